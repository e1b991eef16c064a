//! Workloads and Services.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::{label_map, maybe, namespace, object};

/// Labels of pods, and what selectors ask for.
pub(super) const POD_LABELS: &[(&str, &[&str])] = &[
    ("app", &["web", "api", "db"]),
    ("tier", &["front", "back"]),
    ("track", &["canary"]),
];

/// Names of ports; which number each has differs from pod to pod.
pub(super) const PORT_NAMES: [&str; 3] = ["http", "metrics", "dns"];

/// Annotation by which the generator remembers, until names are known, that a workload is to have
/// a service account of its own.
const OWN_ACCOUNT: &str = "own-account";

/// A workload of any kind; its name is given later.
pub(super) fn workload(count: usize, own_account: bool) -> impl Strategy<Value = Value> {
    let kind = prop_oneof![
        5 => Just("Deployment"),
        3 => Just("Pod"),
        1 => Just("OwnedPod"),
        1 => Just("StatefulSet"),
        1 => Just("DaemonSet"),
        1 => Just("ReplicaSet"),
        1 => Just("ReplicationController"),
        1 => Just("Job"),
        1 => Just("CronJob"),
    ];
    let account = if own_account {
        Just(Some(OWN_ACCOUNT)).boxed()
    } else {
        select(vec![None, Some("one"), Some("two")]).boxed()
    };
    (kind, namespace(count), pod(), account, 0..200_u8).prop_map(
        |(kind, namespace, mut pod, account, address)| {
            if let Some(account) = account {
                pod["spec"]["serviceAccountName"] = json!(account);
            }
            let mut workload = wrap(kind, pod, address);
            workload["metadata"]["namespace"] = json!(namespace);
            workload
        },
    )
}

/// Gives every workload that wants it a service account with the workload's name.
pub(super) fn use_own_accounts(objects: &mut [Value]) {
    for object in objects {
        let name = object["metadata"]["name"].clone();
        let paths = [
            "/spec/serviceAccountName",
            "/spec/template/spec/serviceAccountName",
            "/spec/jobTemplate/spec/template/spec/serviceAccountName",
        ];
        for path in paths {
            if let Some(account) = object.pointer_mut(path)
                && account == OWN_ACCOUNT
            {
                *account = name.clone();
            }
        }
    }
}

/// The object that creates these pods, or the pod itself.
fn wrap(kind: &str, mut pod: Value, address: u8) -> Value {
    let labels = pod["metadata"]["labels"].clone();
    let (version, spec) = match kind {
        "Pod" | "OwnedPod" => {
            pod["apiVersion"] = json!("v1");
            pod["kind"] = json!("Pod");
            if kind == "OwnedPod" {
                let owner = format!("set-{}", address % 2);
                pod["metadata"]["ownerReferences"] = json!([{
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner,
                    "uid": "0", "controller": true,
                }]);
            }
            if address >= 150 {
                let ip = format!("10.{}.0.{address}", address % 3);
                pod["status"] = json!({ "phase": "Running", "podIPs": [{ "ip": ip }] });
            }
            return pod;
        }
        "Job" => {
            pod["spec"]["restartPolicy"] = json!("Never");
            ("batch/v1", json!({ "template": pod }))
        }
        "CronJob" => {
            pod["spec"]["restartPolicy"] = json!("OnFailure");
            let job = json!({ "spec": { "template": pod } });
            (
                "batch/v1",
                json!({ "schedule": "* * * * *", "jobTemplate": job }),
            )
        }
        "ReplicationController" => ("v1", json!({ "selector": labels, "template": pod })),
        _ => {
            let selector = json!({ "matchLabels": labels });
            ("apps/v1", json!({ "selector": selector, "template": pod }))
        }
    };
    json!({ "apiVersion": version, "kind": kind, "metadata": {}, "spec": spec })
}

/// Whether a pod has the label of those that take the tunnel.
#[derive(Debug, Clone, Copy)]
enum Tunnel {
    Never,
    WithSidecar,
    Always,
}

/// What a pod says about its sidecar.
#[derive(Debug, Clone, Copy)]
enum Sidecar {
    AsTheNamespaceSays,
    /// It is there already.
    Injected,
    /// It wants one, or none.
    Asked(bool),
}

/// A pod template.
fn pod() -> impl Strategy<Value = Value> {
    let host_network = prop_oneof![12 => Just(false), 1 => Just(true)];
    let mode = prop_oneof![
        14 => Just(None),
        2 => Just(Some("none")),
        1 => Just(Some("ambient")),
    ];
    // The injector writes the label, where it does.
    let tunnel = prop_oneof![4 => Just(Tunnel::Never), 4 => Just(Tunnel::WithSidecar), 1 => Just(Tunnel::Always)];
    let sidecar = prop_oneof![
        5 => Just(Sidecar::AsTheNamespaceSays),
        2 => Just(Sidecar::Injected),
        1 => Just(Sidecar::Asked(true)),
        1 => Just(Sidecar::Asked(false)),
    ];
    let bypass = prop_oneof![12 => Just(None), 1 => Just(Some("true")), 1 => Just(Some("no"))];
    let dns_capture = prop_oneof![8 => Just(true), 1 => Just(false)];
    let interception = prop_oneof![
        12 => Just(None),
        1 => Just(Some(("excludeInboundPorts", "80, 5432"))),
        1 => Just(Some(("includeInboundPorts", "80,8080"))),
        1 => Just(Some(("excludeOutboundPorts", "5432"))),
    ];
    let ports = vec(container_port(), 0..4);
    let annotations = (dns_capture, interception, bypass);
    (
        label_map(POD_LABELS),
        ports,
        host_network,
        (mode, tunnel, sidecar),
        annotations,
    )
        .prop_map(|(mut labels, mut ports, host_network, mesh, annotations)| {
            let (mode, tunnel, sidecar) = mesh;
            let (dns_capture, interception, bypass) = annotations;
            // Every pod has a label, because a selector of a workload may not be empty.
            labels.entry("app").or_insert(json!("web"));
            if let Some(mode) = mode {
                labels.insert("istio.io/dataplane-mode".to_owned(), json!(mode));
            }
            // Pods on the host network never get one.
            let sidecar = if host_network {
                Sidecar::AsTheNamespaceSays
            } else {
                sidecar
            };
            let has_label = match tunnel {
                Tunnel::Never => false,
                Tunnel::WithSidecar => matches!(sidecar, Sidecar::Injected | Sidecar::Asked(true)),
                Tunnel::Always => true,
            };
            if has_label {
                labels.insert("networking.istio.io/tunnel".to_owned(), json!("http"));
            }
            if let Sidecar::Asked(asked) = sidecar {
                labels.insert(
                    "sidecar.istio.io/inject".to_owned(),
                    json!(asked.to_string()),
                );
            }
            make_valid(&mut ports);
            let mut metadata = json!({ "labels": labels });
            if !dns_capture {
                metadata["annotations"]["ambient.istio.io/dns-capture"] = json!("false");
            }
            if let Some((key, value)) = interception {
                let key = format!("traffic.sidecar.istio.io/{key}");
                metadata["annotations"][key] = json!(value);
            }
            if let Sidecar::Injected = sidecar {
                metadata["annotations"]["sidecar.istio.io/status"] = json!("injected");
            }
            if let Some(bypass) = bypass {
                let key = "ambient.istio.io/bypass-inbound-capture";
                metadata["annotations"][key] = json!(bypass);
            }
            let mut container = json!({ "name": "main", "image": "example.org/app:1" });
            if !ports.is_empty() {
                container["ports"] = Value::Array(ports);
            }
            let mut spec = json!({ "containers": [container] });
            if host_network {
                spec["hostNetwork"] = json!(true);
            }
            json!({ "metadata": metadata, "spec": spec })
        })
}

/// The API server refuses two ports of a container with one name.
fn make_valid(ports: &mut Vec<Value>) {
    let mut seen = Vec::new();
    ports.retain(|port| {
        let name = port["name"].clone();
        let first = name.is_null() || !seen.contains(&name);
        seen.push(name);
        first
    });
}

fn container_port() -> impl Strategy<Value = Value> {
    let name = maybe(select(&PORT_NAMES[..]).prop_map(|n| json!(n)));
    let number = select(vec![80_u16, 8080, 9090, 443, 53, 5432]);
    let number = prop_oneof![30 => number, 1 => Just(15008)];
    (name, number, protocol(8)).prop_map(|(name, number, protocol)| {
        object([
            ("name", name),
            ("containerPort", Some(json!(number))),
            ("protocol", protocol),
        ])
    })
}

/// A protocol; absent or TCP as often as `tcp` to 2.
pub(super) fn protocol(tcp: u32) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        tcp => Just(None),
        tcp => Just(Some(json!("TCP"))),
        1 => Just(Some(json!("UDP"))),
        1 => Just(Some(json!("SCTP"))),
    ]
}

/// A Service; its name is given later.
pub(super) fn service(count: usize) -> impl Strategy<Value = Value> {
    let selector = prop_oneof![3 => label_map(&POD_LABELS[..1]), 1 => label_map(&POD_LABELS[..2])];
    let headless = prop_oneof![4 => Just(false), 1 => Just(true)];
    let waypoint = prop_oneof![6 => Just(None), 1 => Just(Some("waypoint-0"))];
    let ports = vec(service_port(), 1..3);
    (namespace(count), selector, ports, headless, waypoint).prop_map(
        |(namespace, mut selector, mut ports, headless, waypoint)| {
            selector.entry("app").or_insert(json!("web"));
            for (index, port) in ports.iter_mut().enumerate() {
                port["name"] = json!(format!("port-{index}"));
                let base = port["port"].as_u64().unwrap();
                port["port"] = json!(base + index as u64);
            }
            let mut labels = Map::new();
            if let Some(waypoint) = waypoint {
                labels.insert("istio.io/use-waypoint".to_owned(), json!(waypoint));
            }
            let mut spec = json!({ "selector": selector, "ports": ports });
            if headless {
                spec["clusterIP"] = json!("None");
            }
            json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": { "namespace": namespace, "labels": labels },
                "spec": spec,
            })
        },
    )
}

fn service_port() -> impl Strategy<Value = Value> {
    let number = select(vec![80_u16, 443, 8080, 53]);
    let target = prop_oneof![
        Just(None),
        select(vec![80_u16, 8080, 9090]).prop_map(|n| Some(json!(n))),
        select(&PORT_NAMES[..]).prop_map(|n| Some(json!(n))),
    ];
    (number, target, protocol(8)).prop_map(|(number, target, protocol)| {
        object([
            ("port", Some(json!(number))),
            ("targetPort", target),
            ("protocol", protocol),
        ])
    })
}
