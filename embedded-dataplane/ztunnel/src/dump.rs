//! Everything that a relay knows, for people and for `istioctl ztunnel-config`: JSON in the shape of
//! ztunnel's `/config_dump` (its `src/admin.rs`), as far as ours has it. Keys are not shown.

use std::fmt::Write as _;
use std::sync::Arc;

use ambient_hbone::headers::WorkloadKind;
use ambient_identity::Status;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::relay::Known;
use crate::report::Direction;
use crate::snapshot::{Protocol, Service, Snapshot, Workload};
use crate::telemetry::OpenConnection;

/// What is shown.
#[derive(Debug, Clone, Copy)]
pub struct Dump<'d> {
    /// What the relay knows.
    pub known: &'d Known,
    /// Its certificates.
    pub certificates: &'d [Status],
    /// Its connections.
    pub connections: &'d [OpenConnection],
    /// How it was told to work.
    pub config: &'d Value,
    /// Which version it is.
    pub version: &'d str,
}

impl Dump<'_> {
    /// As one document.
    pub fn to_json(&self) -> String {
        let snapshot = &self.known.snapshot;
        let own = &self.known.here.own;
        let document = json!({
            "workloads": snapshot.workloads().map(|w| workload(snapshot, w)).collect::<Vec<_>>(),
            "services": snapshot.services().map(|s| service(s)).collect::<Vec<_>>(),
            "policies": [],
            "stagedServices": {},
            "staticConfig": {"policies": [], "services": [], "workloads": []},
            "version": {"version": self.version},
            "config": self.config,
            "certificates": self.certificates.iter().map(certificate).collect::<Vec<_>>(),
            "workloadState": {
                own.uid.clone(): {
                    "state": "Up",
                    "connections": {
                        "inbound": self.of(Direction::Inbound),
                        "outbound": self.of(Direction::Outbound),
                    },
                    "info": {
                        "name": own.name.name,
                        "namespace": own.name.namespace,
                        "serviceAccount": own.name.service_account,
                    },
                },
            },
        });
        let text = format!("{document:#}\n");
        // JSON lets some pass that move the cursor of a terminal, and within quotes alone.
        if !text.contains(is_raw) {
            return text;
        }
        let mut escaped = String::with_capacity(text.len() + 64);
        for character in text.chars() {
            if is_raw(character) {
                _ = write!(escaped, "\\u{:04x}", u32::from(character));
            } else {
                escaped.push(character);
            }
        }
        escaped
    }

    fn of(&self, direction: Direction) -> Vec<Value> {
        let connections = self.connections.iter().filter(|c| c.direction == direction);
        let shown = connections.map(|connection| {
            let protocol = if connection.is_tunnelled {
                "HBONE"
            } else {
                "TCP"
            };
            json!({
                "src": connection.source.to_string(),
                "originalDst": connection.asked.to_string(),
                "actualDst": connection.destination.to_string(),
                "protocol": protocol,
            })
        });
        shown.collect()
    }
}

/// DEL, and the controls of ISO 6429 that have eight bits.
fn is_raw(character: char) -> bool {
    matches!(character, '\u{7f}'..='\u{9f}')
}

/// What is empty is left out, as ztunnel does.
fn workload(snapshot: &Snapshot, workload: &Arc<Workload>) -> Value {
    let Workload {
        uid,
        name,
        identity,
        addresses,
        is_on_host_network,
        network,
        protocol,
        is_healthy,
        cluster,
        node,
        canonical_name,
        canonical_revision,
        controller,
        controller_kind,
        locality,
    } = &**workload;
    let services = snapshot.services_of(uid).iter();
    let services: Vec<_> = services
        .map(|s| format!("{}/{}", s.namespace, s.hostname))
        .collect();
    let mut shown = Map::new();
    let mut put = |key: &str, value: Value| {
        let is_empty = match &value {
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        if !is_empty {
            shown.insert(key.to_owned(), value);
        }
    };
    put("uid", json!(uid));
    put("name", json!(name.name));
    put("namespace", json!(name.namespace));
    put("serviceAccount", json!(name.service_account));
    put("trustDomain", json!(identity.trust_domain()));
    put(
        "workloadIps",
        json!(
            addresses
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        ),
    );
    put("network", json!(network));
    let mode = if *is_on_host_network {
        "HostNetwork"
    } else {
        "Standard"
    };
    put("networkMode", json!(mode));
    let protocol = match protocol {
        Protocol::Hbone => "HBONE",
        Protocol::Tcp => "TCP",
    };
    put("protocol", json!(protocol));
    put(
        "status",
        json!(if *is_healthy { "Healthy" } else { "Unhealthy" }),
    );
    put("clusterId", json!(cluster));
    put("node", json!(node));
    put("canonicalName", json!(canonical_name));
    put("canonicalRevision", json!(canonical_revision));
    put("workloadName", json!(controller));
    put("workloadType", json!(kind(*controller_kind)));
    if [&locality.region, &locality.zone, &locality.subzone]
        .iter()
        .any(|part| !part.is_empty())
    {
        let locality = json!({
            "region": locality.region,
            "zone": locality.zone,
            "subzone": locality.subzone,
        });
        put("locality", locality);
    }
    put("services", json!(services));
    Value::Object(shown)
}

fn kind(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::Deployment => "deployment",
        WorkloadKind::CronJob => "cronjob",
        WorkloadKind::Pod => "pod",
        WorkloadKind::Job => "job",
    }
}

fn service(service: &Service) -> Value {
    let vips = service.addresses.iter();
    let vips: Vec<_> = vips
        .map(|(network, address)| format!("{network}/{address}"))
        .collect();
    let endpoints = service.endpoints.iter().map(|endpoint| {
        let uid = &endpoint.workload.uid;
        let status = if endpoint.workload.is_healthy {
            "Healthy"
        } else {
            "Unhealthy"
        };
        let shown = json!({"workloadUid": uid, "port": endpoint.ports, "status": status});
        (uid.clone(), shown)
    });
    let endpoints: Map<_, _> = endpoints.collect();
    let identities = service.identities.iter().map(ToString::to_string);
    json!({
        "name": service.name,
        "namespace": service.namespace,
        "hostname": service.hostname,
        "vips": vips,
        "ports": service.ports,
        "endpoints": endpoints,
        "subjectAltNames": identities.collect::<Vec<_>>(),
    })
}

fn certificate(status: &Status) -> Value {
    let error = status.error.as_ref();
    let state = match (&status.workload, error) {
        (Some(_), _) => "Available".to_owned(),
        (None, Some(error)) => format!("Unavailable: {error}"),
        (None, None) => "Initializing".to_owned(),
    };
    let chain = status.workload.iter().map(|workload| {
        let certificate = workload.certificate();
        json!({
            "validFrom": time(certificate.not_before),
            "expirationTime": time(certificate.not_after),
            "issuer": certificate.issuer,
        })
    });
    json!({
        "identity": status.identity.to_string(),
        "state": state,
        "certChain": chain.collect::<Vec<_>>(),
    })
}

/// A time of day in UTC; the number itself where the calendar ends.
fn time(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    let text = time.and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_else(|| seconds.to_string())
}

#[cfg(test)]
mod tests;
