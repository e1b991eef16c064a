//! Network policies as the objects that the API takes.

use std::collections::BTreeSet;

use ambient_facts::{annotations, labels};
use serde_json::{Map, Value, json};

use crate::model::{
    LabelSelector, Meta, NetworkPolicy, ObjectRef, Operator, Peer, PortMatch, PortRule, Rule,
};

/// Metadata of an object that we add because of another one. Like the object that it is put
/// beside, it leaves its namespace to whoever applies it, or names it.
pub(super) fn companion_meta(beside: &Meta, name: String, of: &ObjectRef) -> Meta {
    let mut meta = Meta::synthetic(&beside.namespace, name);
    meta.namespace_given = beside.namespace_given;
    meta.labels.insert(
        labels::MANAGED_BY.to_owned(),
        labels::MANAGED_BY_AMBIENT.to_owned(),
    );
    let accompanied = format!("{}/{}", of.kind.to_lowercase(), of.name);
    meta.annotations
        .insert(annotations::COMPANION_OF.to_owned(), accompanied);
    meta
}

/// A name made of another, as the API takes names (RFC 1123 subdomain, 253 characters). Imagined
/// pods are named after their labels, which may hold other characters.
pub(super) fn derived_name(of: &str, suffix: &str) -> String {
    const LONGEST: usize = 253;
    let keep = LONGEST.saturating_sub(suffix.len() + 1);
    let allowed = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' => c,
        _ => '-',
    };
    let stem = of.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let mut stem: String = stem.chars().take(keep).map(allowed).collect();
    while stem.ends_with(['-', '.']) {
        stem.pop();
    }
    format!("{stem}-{suffix}")
}

/// Gives an object that we add a name that no other has, by a number where it must be. Objects of
/// people are never replaced.
pub(super) fn take_free_name(meta: &mut Meta, taken: &mut BTreeSet<(String, String)>) {
    let base = meta.name.clone();
    let mut number = 2;
    while !taken.insert((meta.namespace.clone(), meta.name.clone())) {
        meta.name = derived_name(&base, &number.to_string());
        number += 1;
    }
}

/// Whether two policies say the same.
pub(super) fn same_policy(a: &NetworkPolicy, b: &NetworkPolicy) -> bool {
    let rules = |p: &NetworkPolicy| {
        let part = |r: &Rule| (r.peers.clone(), r.ports.clone());
        let list = |rules: &[Rule]| rules.iter().map(part).collect::<Vec<_>>();
        (list(&p.ingress), list(&p.egress))
    };
    a.meta.namespace == b.meta.namespace
        && a.meta.name == b.meta.name
        && a.pod_selector == b.pod_selector
        && (a.isolates_ingress, a.isolates_egress) == (b.isolates_ingress, b.isolates_egress)
        && rules(a) == rules(b)
}

/// The manifest of a policy.
pub(super) fn network_policy(policy: &NetworkPolicy) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), json!(policy.meta.name));
    if policy.meta.namespace_given {
        metadata.insert("namespace".to_owned(), json!(policy.meta.namespace));
    }
    if !policy.meta.labels.is_empty() {
        metadata.insert("labels".to_owned(), json!(policy.meta.labels));
    }
    if !policy.meta.annotations.is_empty() {
        metadata.insert("annotations".to_owned(), json!(policy.meta.annotations));
    }
    let mut spec = Map::new();
    spec.insert("podSelector".to_owned(), selector(&policy.pod_selector));
    let types = [
        (policy.isolates_ingress, "Ingress"),
        (policy.isolates_egress, "Egress"),
    ];
    let types = types
        .iter()
        .filter(|(isolates, _)| *isolates)
        .map(|(_, name)| json!(name));
    spec.insert("policyTypes".to_owned(), types.collect());
    for (key, peers, rules) in [
        ("ingress", "from", &policy.ingress),
        ("egress", "to", &policy.egress),
    ] {
        if !rules.is_empty() {
            spec.insert(
                key.to_owned(),
                rules.iter().map(|r| rule(r, peers)).collect(),
            );
        }
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": spec,
    })
}

/// A rule; `peers` is `from` or `to`.
pub(super) fn rule(rule: &Rule, peers: &str) -> Value {
    let mut value = Map::new();
    if !rule.peers.is_empty() {
        value.insert(peers.to_owned(), rule.peers.iter().map(peer).collect());
    }
    if !rule.ports.is_empty() {
        value.insert("ports".to_owned(), rule.ports.iter().map(port).collect());
    }
    Value::Object(value)
}

fn peer(peer: &Peer) -> Value {
    match peer {
        Peer::Block { cidr, except } => {
            let mut block = json!({ "cidr": cidr.to_string() });
            if !except.is_empty() {
                block["except"] = except.iter().map(|e| json!(e.to_string())).collect();
            }
            json!({ "ipBlock": block })
        }
        Peer::Pods { namespaces, pods } => {
            let mut value = Map::new();
            if let Some(namespaces) = namespaces {
                value.insert("namespaceSelector".to_owned(), selector(namespaces));
            }
            if let Some(pods) = pods {
                value.insert("podSelector".to_owned(), selector(pods));
            }
            Value::Object(value)
        }
    }
}

/// One entry of `ports`.
pub(super) fn port(port: &PortRule) -> Value {
    let protocol = port.protocol.to_string();
    match &port.port {
        PortMatch::All => json!({ "protocol": protocol }),
        PortMatch::Range(first, last) if first == last => {
            json!({ "port": first, "protocol": protocol })
        }
        PortMatch::Range(first, last) => {
            json!({ "port": first, "endPort": last, "protocol": protocol })
        }
        PortMatch::Name(name) => json!({ "port": name, "protocol": protocol }),
    }
}

fn selector(selector: &LabelSelector) -> Value {
    let mut value = Map::new();
    if !selector.match_labels.is_empty() {
        value.insert("matchLabels".to_owned(), json!(selector.match_labels));
    }
    if !selector.match_expressions.is_empty() {
        let expressions = selector
            .match_expressions
            .iter()
            .map(|r| match &r.operator {
                Operator::In(values) => json!({ "key": r.key, "operator": "In", "values": values }),
                Operator::NotIn(values) => {
                    json!({ "key": r.key, "operator": "NotIn", "values": values })
                }
                Operator::Exists => json!({ "key": r.key, "operator": "Exists" }),
                Operator::DoesNotExist => json!({ "key": r.key, "operator": "DoesNotExist" }),
            });
        value.insert("matchExpressions".to_owned(), expressions.collect());
    }
    Value::Object(value)
}
