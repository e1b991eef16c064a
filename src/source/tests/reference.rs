//! What we read in a NetworkPolicy against what Kubernetes' own types read.

use k8s_openapi::api::networking::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use super::report;
use crate::model::{
    LabelSelector, NetworkPolicy, Operator, Peer, PortMatch, PortRule, Protocol, Requirement, Rule,
};
use crate::source::load_texts;

/// An object with these fields, some of them left out or null.
fn object(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let count = fields.len();
    let (keys, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    (values, vec(0..8u8, count))
        .prop_map(move |(values, presence)| {
            let entries = keys.iter().zip(values).zip(presence);
            let entries = entries.filter_map(|((key, value), presence)| match presence {
                0 => None,
                1 => Some(((*key).to_owned(), Value::Null)),
                _ => Some(((*key).to_owned(), value)),
            });
            Value::Object(entries.collect::<Map<_, _>>())
        })
        .boxed()
}

fn list(item: BoxedStrategy<Value>, longest: usize) -> BoxedStrategy<Value> {
    vec(item, 0..=longest).prop_map(Value::Array).boxed()
}

fn one_of(words: &'static [&'static str]) -> BoxedStrategy<Value> {
    prop::sample::select(words).prop_map(Value::from).boxed()
}

fn selector() -> BoxedStrategy<Value> {
    // Go reads a null label value as an empty one, the types of this crate refuse it.
    let labels = object(vec![
        ("app", one_of(&["web", "db", "", "yes", "1"])),
        ("example.com/tier", one_of(&["a", "b.c_d"])),
    ]);
    let labels = labels.prop_map(|mut labels| {
        if let Some(labels) = labels.as_object_mut() {
            labels.retain(|_, value| !value.is_null());
        }
        labels
    });
    let expression = object(vec![
        ("key", one_of(&["app", "tier"])),
        (
            "operator",
            one_of(&["In", "NotIn", "Exists", "DoesNotExist"]),
        ),
        ("values", list(one_of(&["a", "b"]), 2)),
    ]);
    object(vec![
        ("matchLabels", labels.boxed()),
        ("matchExpressions", list(expression, 2)),
    ])
}

fn ports() -> BoxedStrategy<Value> {
    let number = (1..10u16).prop_map(Value::from);
    let port = prop_oneof![3 => number.clone(), 1 => one_of(&["http", "80-a"])];
    let port = object(vec![
        ("port", port.boxed()),
        ("endPort", number.boxed()),
        ("protocol", one_of(&["TCP", "UDP", "SCTP"])),
    ]);
    list(port, 2)
}

fn peers() -> BoxedStrategy<Value> {
    let block = object(vec![
        ("cidr", one_of(&["10.0.0.0/8", "0.0.0.0/0", "fd00::/8"])),
        (
            "except",
            list(one_of(&["10.1.0.0/16", "10.2.3.4/32", "fd00::/64"]), 2),
        ),
    ]);
    let block = block.prop_map(|block| json!({ "ipBlock": block }));
    let pods = object(vec![
        ("podSelector", selector()),
        ("namespaceSelector", selector()),
    ]);
    list(prop_oneof![1 => block, 3 => pods].boxed(), 2)
}

fn policy() -> BoxedStrategy<Value> {
    let rule = |peers_key| object(vec![(peers_key, peers()), ("ports", ports())]);
    let spec = object(vec![
        ("podSelector", selector()),
        ("ingress", list(rule("from"), 2)),
        ("egress", list(rule("to"), 2)),
        ("policyTypes", list(one_of(&["Ingress", "Egress"]), 2)),
    ]);
    spec.prop_map(|spec| {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "p"},
            "spec": spec,
        })
    })
    .boxed()
}

fn selector_of(selector: &meta::LabelSelector) -> LabelSelector {
    let requirement = |r: &meta::LabelSelectorRequirement| {
        let values = r.values.iter().flatten().cloned().collect();
        Requirement {
            key: r.key.clone(),
            operator: match r.operator.as_str() {
                "In" => Operator::In(values),
                "NotIn" => Operator::NotIn(values),
                "Exists" => Operator::Exists,
                _ => Operator::DoesNotExist,
            },
        }
    };
    LabelSelector {
        match_labels: selector.match_labels.clone().unwrap_or_default(),
        match_expressions: selector
            .match_expressions
            .iter()
            .flatten()
            .map(requirement)
            .collect(),
    }
}

fn peer_of(peer: &api::NetworkPolicyPeer) -> Peer {
    match &peer.ip_block {
        Some(block) => Peer::Block {
            cidr: block.cidr.parse().unwrap(),
            except: block
                .except
                .iter()
                .flatten()
                .map(|c| c.parse().unwrap())
                .collect(),
        },
        None => Peer::Pods {
            namespaces: peer.namespace_selector.as_ref().map(selector_of),
            pods: peer.pod_selector.as_ref().map(selector_of),
        },
    }
}

fn port_of(port: &api::NetworkPolicyPort) -> PortRule {
    let number = |n: i32| u16::try_from(n).unwrap();
    PortRule {
        protocol: match port.protocol.as_deref() {
            Some("UDP") => Protocol::Udp,
            Some("SCTP") => Protocol::Sctp,
            _ => Protocol::Tcp,
        },
        port: match &port.port {
            None => PortMatch::All,
            Some(IntOrString::String(name)) => PortMatch::Name(name.clone()),
            Some(IntOrString::Int(first)) => {
                PortMatch::Range(number(*first), number(port.end_port.unwrap_or(*first)))
            }
        },
    }
}

/// Everything but metadata and lines, as Kubernetes' types have it.
fn reference(policy: &api::NetworkPolicy, of: &NetworkPolicy) -> NetworkPolicy {
    let spec = policy.spec.clone().unwrap_or_default();
    let rule = |peers: &Option<Vec<_>>, ports: &Option<Vec<_>>| Rule {
        peers: peers.iter().flatten().map(peer_of).collect(),
        ports: ports.iter().flatten().map(port_of).collect(),
        line: 0,
    };
    let types = spec.policy_types.unwrap_or_default();
    let egress = spec.egress.unwrap_or_default();
    let has = |word: &str| types.iter().any(|t| t == word);
    NetworkPolicy {
        meta: of.meta.clone(),
        pod_selector: spec
            .pod_selector
            .as_ref()
            .map(selector_of)
            .unwrap_or_default(),
        isolates_ingress: types.is_empty() || has("Ingress"),
        isolates_egress: has("Egress") || (types.is_empty() && !egress.is_empty()),
        ingress: spec
            .ingress
            .iter()
            .flatten()
            .map(|r| rule(&r.from, &r.ports))
            .collect(),
        egress: egress.iter().map(|r| rule(&r.to, &r.ports)).collect(),
    }
}

fn without_lines(mut policy: NetworkPolicy) -> NetworkPolicy {
    for rule in policy.ingress.iter_mut().chain(&mut policy.egress) {
        rule.line = 0;
    }
    policy
}

#[test]
fn many_of_the_generated_policies_are_accepted() {
    let mut runner = TestRunner::deterministic();
    let accepted = (0..200).filter(|_| {
        let object = policy().new_tree(&mut runner).unwrap().current();
        let loaded = load_texts([("a.json", &*object.to_string())], "default");
        loaded.problems.is_empty()
    });
    let accepted = accepted.count();
    assert!((50..150).contains(&accepted), "{accepted}");
}

proptest! {
    #[test]
    fn accepted_policies_are_read_as_kubernetes_types_read_them(object in policy()) {
        let expected: Result<api::NetworkPolicy, _> = serde_json::from_value(object.clone());
        let json = serde_json::to_string_pretty(&object).unwrap();
        // A string that YAML 1.1 reads otherwise is written bare by this writer.
        let yaml = serde_yaml::to_string(&object).unwrap().replace(": yes\n", ": 'yes'\n");
        for (name, text) in [("a.json", json), ("a.yaml", yaml)] {
            let loaded = load_texts([(name, text.as_str())], "default");
            let Some(read) = loaded.world.network_policies.first() else {
                prop_assert!(!loaded.problems.is_empty());
                continue;
            };
            prop_assert!(loaded.problems.is_empty());
            let Ok(expected) = &expected else {
                prop_assert!(false, "{}\n{text}", report(&loaded));
                continue;
            };
            prop_assert_eq!(without_lines(read.clone()), reference(expected, read));
        }
    }
}
