//! Random clusters, as objects and as the text of manifests.
//!
//! Strategies make the objects as JSON values, from pools so small that selectors hit, names
//! collide and service accounts are shared. Everything shrinks: fewer objects, fewer rules, the
//! simplest alternative first.

mod authorization;
mod peers;
mod policies;
mod text;
mod workloads;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

pub(crate) use text::{File, early_files, files, later_files};

/// Namespaces that objects live in.
pub(crate) const NAMESPACES: [&str; 4] = ["bank", "default", "ops", "shop"];

/// A cluster and what is asked of the program.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cluster {
    pub(crate) objects: Vec<Value>,
    pub(crate) request: Request,
    /// Seed of how the objects are written.
    pub(crate) layout: u64,
}

/// What the user asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// Namespaces that stay out.
    pub(crate) exclude: Vec<String>,
    /// Waypoints to plan: name, and the namespace that it serves and lives in.
    pub(crate) waypoints: Vec<(String, String)>,
    /// How port limits come back.
    pub(crate) authorization: Authorization,
    /// Whether policies are edited; else companions are added.
    pub(crate) edit: bool,
}

/// How port limits come back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Authorization {
    #[default]
    Deny,
    Allow,
    None,
}

/// Any cluster.
pub(crate) fn cluster() -> impl Strategy<Value = Cluster> {
    let namespaces = prop_oneof![3 => Just(1), 4 => Just(2), 2 => Just(3), 1 => Just(4_usize)];
    (namespaces, any::<bool>()).prop_flat_map(|(count, own_accounts)| {
        let objects = (
            namespace_objects(count),
            mostly_many(move || workloads::workload(count, own_accounts)),
            prop_oneof![1 => Just(Vec::new()), 3 => vec(workloads::service(count), 1..4)],
            mostly_many(move || policies::network_policy(count)),
            prop_oneof![
                2 => Just(Vec::new()),
                1 => vec(authorization::policy(count), 1..4),
            ],
            prop_oneof![3 => Just(Vec::new()), 1 => vec(gateway(count), 1..2)],
            prop_oneof![2 => Just(Vec::new()), 1 => vec(peers::policy(count), 1..4)],
        );
        let stray = prop_oneof![9 => Just(false), 1 => Just(true)];
        (objects, request(count), stray, any::<u64>()).prop_map(
            |(
                (namespaces, workloads, services, policies, authorization, gateways, peers),
                request,
                stray,
                layout,
            )| {
                let mut objects = namespaces;
                let named = [
                    ("w", workloads),
                    ("s", services),
                    ("p", policies),
                    ("a", authorization),
                    ("waypoint-", gateways),
                    ("m", peers),
                ];
                for (prefix, group) in named {
                    for (index, mut object) in group.into_iter().enumerate() {
                        object["metadata"]["name"] = json!(format!("{prefix}{index}"));
                        objects.push(object);
                    }
                }
                workloads::use_own_accounts(&mut objects);
                drop_stray_waypoints(&mut objects, stray);
                Cluster {
                    objects,
                    request,
                    layout,
                }
            },
        )
    })
}

/// Some of the namespaces as objects, with labels; the others are only mentioned.
fn namespace_objects(count: usize) -> impl Strategy<Value = Vec<Value>> {
    let names: Vec<&str> = NAMESPACES[..count].to_vec();
    subsequence(names, 0..=count).prop_flat_map(|names| {
        let object_named = |name| {
            let waypoint = prop_oneof![1 => Just(None), 1 => Just(Some("waypoint-0"))];
            (namespace_labels(), waypoint).prop_map(move |(mut labels, waypoint)| {
                if let Some(waypoint) = waypoint {
                    labels.insert("istio.io/use-waypoint".to_owned(), json!(waypoint));
                }
                json!({
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "metadata": { "name": name, "labels": labels },
                })
            })
        };
        names.into_iter().map(object_named).collect::<Vec<_>>()
    })
}

/// Labels that name a waypoint, from namespaces where most waypoints are missing.
fn drop_stray_waypoints(objects: &mut [Value], keep_stray: bool) {
    let home = |o: &Value| o["metadata"]["namespace"].clone();
    let homes: Vec<Value> = objects
        .iter()
        .filter(|o| o["kind"] == "Gateway")
        .map(home)
        .collect();
    for object in objects.iter_mut().filter(|o| o["kind"] == "Namespace") {
        if !keep_stray && !homes.contains(&object["metadata"]["name"]) {
            let labels = object["metadata"]["labels"].as_object_mut();
            labels.map(|labels| labels.remove("istio.io/use-waypoint"));
        }
    }
}

fn namespace_labels() -> impl Strategy<Value = Map<String, Value>> {
    let labels = label_map(&[("team", &["red", "blue"]), ("env", &["prod"])]);
    let injected = prop_oneof![5 => Just(false), 1 => Just(true)];
    let in_mesh = prop_oneof![4 => Just(false), 1 => Just(true)];
    (labels, injected, in_mesh).prop_map(|(mut labels, injected, in_mesh)| {
        if in_mesh {
            labels.insert("istio.io/dataplane-mode".to_owned(), json!("ambient"));
        }
        if injected {
            labels.insert("istio-injection".to_owned(), json!("enabled"));
        }
        labels
    })
}

/// A map with some of the keys, each with one of its values.
fn label_map(pool: &'static [(&str, &[&str])]) -> impl Strategy<Value = Map<String, Value>> {
    let pairs = pool
        .iter()
        .map(|(key, values)| {
            let value = prop_oneof![1 => Just(None), 2 => select(*values).prop_map(Some)];
            value.prop_map(move |v| v.map(|v| ((*key).to_owned(), json!(v))))
        })
        .collect::<Vec<_>>();
    pairs.prop_map(|pairs| pairs.into_iter().flatten().collect())
}

/// A waypoint that exists already.
fn gateway(count: usize) -> impl Strategy<Value = Value> {
    let kinds = select(vec![None, Some("service"), Some("all"), Some("none")]);
    (namespace(count), kinds).prop_map(|(namespace, kind)| {
        let mut object = json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": { "namespace": namespace },
            "spec": {
                "gatewayClassName": "istio-waypoint",
                "listeners": [{ "name": "mesh", "port": 15008, "protocol": "HBONE" }],
            },
        });
        if let Some(kind) = kind {
            object["metadata"]["labels"] = json!({ "istio.io/waypoint-for": kind });
        }
        object
    })
}

fn request(count: usize) -> impl Strategy<Value = Request> {
    let names: Vec<String> = NAMESPACES[..count].iter().map(|&n| n.to_owned()).collect();
    let some = |names: Vec<String>, weight: u32| {
        let length = names.len().min(1)..=names.len().min(2);
        prop_oneof![weight => Just(Vec::new()), 1 => subsequence(names, length)]
    };
    let authorization = prop_oneof![
        10 => Just(Authorization::Deny),
        1 => Just(Authorization::None),
        1 => Just(Authorization::Allow),
    ];
    let edit = prop_oneof![4 => Just(true), 1 => Just(false)];
    (
        some(names[1..].to_vec(), 4),
        some(names, 1),
        authorization,
        edit,
    )
        .prop_map(|(exclude, waypoints, authorization, edit)| Request {
            waypoints: waypoints
                .into_iter()
                .filter(|namespace| !exclude.contains(namespace))
                .map(|namespace| ("way".to_owned(), namespace))
                .collect(),
            exclude,
            authorization,
            edit,
        })
}

fn namespace(count: usize) -> impl Strategy<Value = &'static str> {
    select(&NAMESPACES[..count])
}

/// A few of something; that can shrink to one.
fn mostly_many<S: Strategy<Value = Value>>(
    one: impl Fn() -> S,
) -> impl Strategy<Value = Vec<Value>> {
    prop_oneof![1 => vec(one(), 1..3), 9 => vec(one(), 3..9)]
}

/// Present or not; not is the simpler.
fn maybe(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![1 => Just(None), 2 => value.prop_map(Some)]
}

/// An object without the fields that are absent.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let present = fields
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(present.collect())
}
