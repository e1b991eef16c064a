//! What the process is made of at a moment, as JSON for `/config_dump`. Nothing secret is in it.

use ambient_identity::Status;
use ambient_ztunnel::relay::Known;
use ambient_ztunnel::report::Direction;
use ambient_ztunnel::telemetry::Connection;
use serde_json::{Value, json};

use crate::settings::Settings;

/// The whole document.
pub(crate) fn text(
    settings: &Settings,
    known: &Known,
    certificates: &[Status],
    connections: &[Connection],
) -> String {
    let own = &known.here.own;
    let of = |direction| -> Vec<Value> {
        let mine = connections.iter().filter(|c| c.direction == direction);
        mine.map(connection).collect()
    };
    let document = json!({
        "config": {
            "workload": settings.workload.to_string(),
            "snapshot": settings.snapshot,
            "drainSeconds": settings.drain.as_secs_f64(),
            "threads": settings.threads,
            "preservesSource": settings.sockets.source == ambient_ztunnel::socket::Source::Client,
            "packetMark": settings.sockets.mark,
        },
        "version": { "version": env!("CARGO_PKG_VERSION") },
        "certificates": certificates.iter().map(certificate).collect::<Vec<_>>(),
        "workloadState": {
            own.uid.as_str(): {
                "state": "Up",
                "connections": {
                    "inbound": of(Direction::Inbound),
                    "outbound": of(Direction::Outbound),
                },
                "info": {
                    "name": own.name.name,
                    "namespace": own.name.namespace,
                    "serviceAccount": own.name.service_account,
                },
            },
        },
    });
    format!("{document:#}\n")
}

fn connection(connection: &Connection) -> Value {
    json!({
        "src": connection.source.to_string(),
        "originalDst": connection.asked.to_string(),
        "actualDst": connection.destination.to_string(),
        "protocol": if connection.is_tunnelled { "HBONE" } else { "TCP" },
    })
}

fn certificate(status: &Status) -> Value {
    let held = status
        .workload
        .as_ref()
        .map(|workload| workload.certificate());
    let state = match (&held, &status.error) {
        (Some(_), _) => "Available".to_owned(),
        (None, Some(error)) => format!("Unavailable: {error}"),
        (None, None) => "Initializing".to_owned(),
    };
    json!({
        "identity": status.identity.to_string(),
        "state": state,
        "validFrom": held.map(|certificate| certificate.not_before),
        "expirationTime": held.map(|certificate| certificate.not_after),
    })
}
