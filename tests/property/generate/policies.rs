//! NetworkPolicies.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use super::workloads::{POD_LABELS, PORT_NAMES, protocol};
use super::{label_map, maybe, namespace, object};

const NAMESPACE_LABELS: &[(&str, &[&str])] = &[
    ("team", &["red", "blue"]),
    ("env", &["prod", "test"]),
    (
        "kubernetes.io/metadata.name",
        &["bank", "default", "ops", "shop"],
    ),
];

/// A policy; its name is given later.
pub(super) fn network_policy(count: usize) -> impl Strategy<Value = Value> {
    let types = prop_oneof![
        4 => Just(None),
        1 => Just(Some(json!([]))),
        5 => Just(Some(json!(["Ingress"]))),
        1 => Just(Some(json!(["Egress"]))),
        2 => Just(Some(json!(["Ingress", "Egress"]))),
        1 => Just(Some(json!(["Egress", "Ingress"]))),
    ];
    (
        namespace(count),
        prop_oneof![Just(json!({})), selector(POD_LABELS)],
        types,
        rules("from", 10),
        rules("to", 2),
    )
        .prop_map(|(namespace, selector, types, ingress, egress)| {
            let spec = object([
                ("podSelector", Some(selector)),
                ("policyTypes", types),
                ("ingress", ingress),
                ("egress", egress),
            ]);
            json!({
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": { "namespace": namespace },
                "spec": spec,
            })
        })
}

/// Rules of one direction: absent, an empty list, or some; some as often as `some` to 2.
fn rules(peers: &'static str, some: u32) -> impl Strategy<Value = Option<Value>> {
    let rule = (optional_list(peer()), optional_list(port()))
        .prop_map(move |(peer, port)| object([(peers, peer), ("ports", port)]));
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(json!([]))),
        some => vec(rule, 1..4).prop_map(|rules| Some(Value::Array(rules))),
    ]
}

fn optional_list(item: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(json!([]))),
        12 => vec(item, 1..3).prop_map(|items| Some(Value::Array(items))),
    ]
}

fn peer() -> impl Strategy<Value = Value> {
    let pods = || selector(POD_LABELS);
    let namespaces = || selector(NAMESPACE_LABELS);
    prop_oneof![
        2 => Just(json!({ "podSelector": {} })),
        6 => pods().prop_map(|pods| json!({ "podSelector": pods })),
        2 => Just(json!({ "namespaceSelector": {} })),
        3 => namespaces().prop_map(|ns| json!({ "namespaceSelector": ns })),
        3 => (namespaces(), pods())
            .prop_map(|(ns, pods)| json!({ "namespaceSelector": ns, "podSelector": pods })),
        2 => block().prop_map(|block| json!({ "ipBlock": block })),
    ]
}

/// A label selector over a pool, by labels, expressions, both or neither.
fn selector(pool: &'static [(&str, &[&str])]) -> impl Strategy<Value = Value> {
    let labels = prop_oneof![
        1 => Just(None),
        3 => select(pool).prop_flat_map(|(key, values)| {
            select(values).prop_map(move |value| Some(json!({ key: value })))
        }),
        1 => label_map(pool).prop_map(|labels| Some(Value::Object(labels))),
    ];
    let expressions = prop_oneof![
        3 => Just(None),
        1 => vec(expression(pool), 1..3).prop_map(|list| Some(Value::Array(list))),
    ];
    (labels, expressions).prop_map(|(labels, expressions)| {
        object([("matchLabels", labels), ("matchExpressions", expressions)])
    })
}

fn expression(pool: &'static [(&str, &[&str])]) -> impl Strategy<Value = Value> {
    select(pool).prop_flat_map(|(key, values)| {
        let values = || subsequence(values.to_vec(), 1..=values.len());
        prop_oneof![
            values().prop_map(move |v| json!({ "key": key, "operator": "In", "values": v })),
            values().prop_map(move |v| json!({ "key": key, "operator": "NotIn", "values": v })),
            Just(json!({ "key": key, "operator": "Exists" })),
            Just(json!({ "key": key, "operator": "DoesNotExist" })),
        ]
    })
}

/// Blocks outside the cluster, blocks that may hold pods, and everything.
fn block() -> impl Strategy<Value = Value> {
    let pool: [(&str, &[&str]); 9] = [
        ("203.0.113.0/24", &["203.0.113.128/25", "203.0.113.7/32"]),
        ("198.51.100.7/32", &[]),
        ("0.0.0.0/0", &["10.0.0.0/8", "192.0.2.0/24"]),
        ("10.0.0.0/8", &["10.1.0.0/16", "10.2.0.0/24"]),
        ("10.1.0.0/16", &["10.1.7.0/24"]),
        ("192.168.0.0/16", &["192.168.1.0/24"]),
        ("::/0", &["fd00::/8", "2001:db8::/32"]),
        ("2001:db8::/32", &["2001:db8:1::/48"]),
        ("fd00::/8", &["fd00:1::/32"]),
    ];
    select(pool.to_vec()).prop_flat_map(|(cidr, except)| {
        let except = maybe(subsequence(except.to_vec(), 0..=except.len()).prop_map(|e| json!(e)));
        except.prop_map(move |except| object([("cidr", Some(json!(cidr))), ("except", except)]))
    })
}

fn port() -> impl Strategy<Value = Value> {
    let number = || {
        let common = select(vec![80_u16, 8080]);
        let others = select(vec![9090_u16, 443, 53, 5432, 1, 65535]);
        prop_oneof![common, others]
    };
    let name = select(&PORT_NAMES[..]);
    let range = (number(), 0..400_u16);
    prop_oneof![
        1 => Just(json!({})),
        10 => (protocol(6), number())
            .prop_map(|(p, n)| object([("protocol", p), ("port", Some(json!(n)))])),
        3 => (protocol(4), range).prop_map(|(p, (first, more))| {
            let last = first.saturating_add(more);
            object([
                ("protocol", p),
                ("port", Some(json!(first))),
                ("endPort", Some(json!(last))),
            ])
        }),
        6 => (protocol(6), name)
            .prop_map(|(p, n)| object([("protocol", p), ("port", Some(json!(n)))])),
        2 => protocol(1).prop_map(|p| object([("protocol", p)])),
        1 => select(vec![
            json!({ "port": 15008 }),
            json!({ "protocol": "TCP", "port": 15000, "endPort": 15100 }),
            json!({ "port": 1, "endPort": 65535 }),
            json!({ "protocol": "UDP", "port": 15008 }),
        ]),
    ]
}
