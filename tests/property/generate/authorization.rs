//! AuthorizationPolicies that a user has already.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use super::workloads::POD_LABELS;
use super::{label_map, maybe, namespace, object};

const PRINCIPALS: [&str; 7] = [
    "*",
    "cluster.local/ns/shop/sa/one",
    "cluster.local/ns/bank/*",
    "*/sa/one",
    "*/ns/default/sa/default",
    "cluster.local/ns/bank/sa/w0",
    "cluster.local/ns/bank/sa/way",
];
const SERVICE_ACCOUNTS: [&str; 4] = ["one", "shop/one", "bank/w0", "bank/w1"];
const NAMESPACE_PATTERNS: [&str; 4] = ["shop", "bank", "*", "ba*"];
const PORTS: [&str; 5] = ["80", "8080", "9090", "443", "53"];

/// A policy; its name is given later.
pub(super) fn policy(count: usize) -> impl Strategy<Value = Value> {
    let home = prop_oneof![6 => namespace(count), 1 => Just("istio-system")];
    let scope = prop_oneof![
        2 => Just(None),
        1 => Just(Some(("selector", json!({})))),
        4 => label_map(POD_LABELS).prop_filter_map("a selector without labels", |labels| {
            (!labels.is_empty()).then(|| Some(("selector", json!({ "matchLabels": labels }))))
        }),
        1 => (0..3_u8, select(vec!["", "core"])).prop_map(|(i, group)| {
            let service = format!("s{i}");
            Some(("targetRefs", json!([{ "group": group, "kind": "Service", "name": service }])))
        }),
        1 => select(vec!["gateway.networking.k8s.io", "networking.istio.io"]).prop_map(|group| {
            Some(("targetRefs", json!([{ "group": group, "kind": "Gateway", "name": "way" }])))
        }),
    ];
    let action = select(vec![None, Some("ALLOW"), Some("DENY"), Some("DENY")]);
    let rules = vec(rule(), 0..3);
    (home, scope, action, rules).prop_map(|(namespace, scope, action, rules)| {
        let mut spec = object([("action", action.map(|a| json!(a)))]);
        if let Some((field, value)) = scope {
            spec[field] = value;
        }
        if !rules.is_empty() {
            spec["rules"] = Value::Array(rules);
        }
        json!({
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": { "namespace": namespace },
            "spec": spec,
        })
    })
}

fn rule() -> impl Strategy<Value = Value> {
    let from = maybe(vec(source(), 1..3).prop_map(|sources| {
        let wrapped: Vec<_> = sources
            .into_iter()
            .map(|s| json!({ "source": s }))
            .collect();
        json!(wrapped)
    }));
    let to = maybe(vec(operation(), 1..3).prop_map(|operations| {
        let wrapped: Vec<_> = operations
            .into_iter()
            .map(|o| json!({ "operation": o }))
            .collect();
        json!(wrapped)
    }));
    let when = prop_oneof![6 => Just(None), 1 => condition().prop_map(|c| Some(json!([c])))];
    (from, to, when)
        .prop_map(|(from, to, when)| object([("from", from), ("to", to), ("when", when)]))
}

fn source() -> impl Strategy<Value = Value> {
    prop_oneof![
        some_of("principals", &PRINCIPALS),
        some_of("notPrincipals", &PRINCIPALS),
        some_of("namespaces", &NAMESPACE_PATTERNS),
        some_of("notNamespaces", &NAMESPACE_PATTERNS),
        some_of("serviceAccounts", &SERVICE_ACCOUNTS),
        some_of("notServiceAccounts", &SERVICE_ACCOUNTS),
        (
            some_of("principals", &PRINCIPALS),
            some_of("notNamespaces", &NAMESPACE_PATTERNS)
        )
            .prop_map(|(mut both, second)| {
                both["notNamespaces"] = second["notNamespaces"].clone();
                both
            }),
    ]
}

fn operation() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => some_of("ports", &PORTS),
        2 => some_of("notPorts", &PORTS),
    ]
}

fn condition() -> impl Strategy<Value = Value> {
    let values = prop_oneof![
        some_of("values", &PORTS).prop_map(|v| ("destination.port", v)),
        some_of("notValues", &PORTS).prop_map(|v| ("destination.port", v)),
        some_of("values", &NAMESPACE_PATTERNS).prop_map(|v| ("source.namespace", v)),
        some_of("notValues", &PRINCIPALS).prop_map(|v| ("source.principal", v)),
    ];
    values.prop_map(|(key, mut condition)| {
        condition["key"] = json!(key);
        condition
    })
}

/// One or two of the values, under a key.
fn some_of(key: &'static str, values: &'static [&str]) -> impl Strategy<Value = Value> {
    subsequence(values.to_vec(), 1..=2).prop_map(move |chosen| json!({ key: chosen }))
}
