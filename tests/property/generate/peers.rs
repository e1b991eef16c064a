//! PeerAuthentications that a user has already.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::workloads::POD_LABELS;
use super::{label_map, namespace, object};

/// A policy of the mesh, of a namespace or of some pods; its name is given later.
pub(super) fn policy(count: usize) -> impl Strategy<Value = Value> {
    let home = prop_oneof![2 => namespace(count), 1 => Just("istio-system")];
    let selector = prop_oneof![1 => Just(None), 1 => label_map(POD_LABELS).prop_map(Some)];
    let ports = prop_oneof![
        1 => Just(Vec::new()),
        1 => vec((select(vec!["80", "8080", "5432"]), mode()), 1..3),
    ];
    (home, selector, mode(), ports).prop_map(|(home, selector, mode, ports)| {
        let selector = selector.filter(|labels| !labels.is_empty());
        // Ports need labels beside them, and mean nothing in the namespace of the mesh.
        let ports: Map<String, Value> = ports
            .into_iter()
            .filter(|_| selector.is_some())
            .map(|(port, mode)| (port.to_owned(), json!({ "mode": mode })))
            .collect();
        let spec = object([
            (
                "selector",
                selector.map(|labels| json!({ "matchLabels": labels })),
            ),
            ("mtls", Some(json!({ "mode": mode }))),
            (
                "portLevelMtls",
                (!ports.is_empty()).then_some(Value::Object(ports)),
            ),
        ]);
        json!({
            "apiVersion": "security.istio.io/v1",
            "kind": "PeerAuthentication",
            "metadata": { "namespace": home },
            "spec": spec,
        })
    })
}

fn mode() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        2 => Just("PERMISSIVE"),
        3 => Just("STRICT"),
        1 => Just("DISABLE"),
        1 => Just("UNSET"),
    ]
}
