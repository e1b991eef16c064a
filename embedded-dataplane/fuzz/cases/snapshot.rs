//! Any text is read as a snapshot, or refused with a line that it has; and whatever was read, every
//! connection is decided upon.

use std::sync::Arc;

use ambient_ztunnel::route::{Arrival, Here, route};
use ambient_ztunnel::snapshot::{Snapshot, SnapshotError};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Snapshot::from_yaml("mesh.yaml".as_ref(), text) {
        Ok(snapshot) => decide(&snapshot),
        Err(SnapshotError::Content { line, message, .. }) => {
            assert!(!message.is_empty());
            // A lone carriage return ends a line too, and the end of the text is on one of its own.
            let lines = text
                .matches(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
                .count()
                + 2;
            assert!(line <= lines, "line {line} of {lines}");
        }
        Err(SnapshotError::File { .. }) => panic!("no file is read"),
    }
}

fn decide(snapshot: &Snapshot) {
    let workloads: Vec<_> = snapshot.workloads().collect();
    for own in &workloads {
        let here = Here::of(Arc::clone(own));
        for address in workloads.iter().flat_map(|workload| &workload.addresses) {
            for port in [0, 80, 15001, 15008] {
                let arrival = Arrival::Outbound {
                    destination: (*address, port).into(),
                    draw: u64::MAX,
                };
                let once = route(snapshot, &here, &arrival);
                assert_eq!(once, route(snapshot, &here, &arrival));
            }
        }
    }
}
