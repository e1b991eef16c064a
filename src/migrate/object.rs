//! Network policies as the objects that the API takes.

use std::collections::{BTreeMap, BTreeSet};

use ambient_facts::{annotations, labels};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

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

/// A name made of another, as the API takes names (RFC 1123 subdomain, 253 characters).
///
/// Imagined pods are named after their labels, which may hold other characters. A name that cannot
/// be kept as it is gets a hash of what it was, so that two of them stay apart.
pub(super) fn derived_name(of: &str, suffix: &str) -> String {
    const LONGEST: usize = 253;
    let plain = format!("{of}-{suffix}");
    if plain.len() <= LONGEST && is_subdomain(of) {
        return plain;
    }
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(of.as_bytes()));
    let hash = format!("{:08x}", u32::from_be_bytes([a, b, c, d]));
    let keep = LONGEST.saturating_sub(suffix.len() + hash.len() + 2);
    let allowed = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() => c,
        _ => '-',
    };
    let stem: String = of.chars().map(allowed).take(keep).collect();
    match stem.trim_matches('-') {
        "" => format!("{hash}-{suffix}"),
        stem => format!("{stem}-{hash}-{suffix}"),
    }
}

/// Whether a text of any length is an RFC 1123 subdomain.
pub(super) fn is_subdomain(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.split('.').all(|label| {
        label.starts_with(inner)
            && label.ends_with(inner)
            && label.chars().all(|c| inner(c) || c == '-')
    })
}

/// The names that objects have, by which new ones are kept apart from them. Objects of people are
/// never replaced.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: BTreeSet<(String, String)>,
    /// The number to try next, by namespace and the name that was wanted.
    next: BTreeMap<(String, String), u32>,
}

impl Names {
    /// The names of some objects.
    pub(super) fn of<'m>(objects: impl Iterator<Item = &'m Meta>) -> Self {
        let taken = objects.map(|m| (m.namespace.clone(), m.name.clone()));
        Self {
            taken: taken.collect(),
            next: BTreeMap::new(),
        }
    }

    /// Keeps more names, of a namespace each, from being given.
    pub(super) fn reserve<'m>(&mut self, names: impl Iterator<Item = &'m (&'m str, &'m str)>) {
        let own = names.map(|&(namespace, name)| (namespace.to_owned(), name.to_owned()));
        self.taken.extend(own);
    }

    /// Gives an object that we add a name that no other has, by a number where it must be.
    pub(super) fn take(&mut self, meta: &mut Meta) {
        let key = |name: &str| (meta.namespace.clone(), name.to_owned());
        let wanted = meta.name.clone();
        if self.taken.insert(key(&wanted)) {
            return;
        }
        let next = self.next.entry(key(&wanted)).or_insert(2);
        let free = loop {
            let name = derived_name(&wanted, &next.to_string());
            *next += 1;
            if self.taken.insert(key(&name)) {
                break name;
            }
        };
        meta.name = free;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_api_takes_are_kept() {
        assert_eq!(derived_name("web", "hbone"), "web-hbone");
        assert_eq!(derived_name("web.v1-a", "hbone"), "web.v1-a-hbone");
        let longest = "a".repeat(253 - "-hbone".len());
        assert_eq!(derived_name(&longest, "hbone"), format!("{longest}-hbone"));
    }

    #[test]
    fn names_that_have_to_be_changed_stay_apart() {
        let names = [
            "app=web", "app.=web", "app_web", "App-web", "é=", "=", "==", ".", "a..b",
        ];
        let derived = names.map(|name| derived_name(name, "hbone"));
        insta::assert_snapshot!(derived.join("\n"), @"
        app-web-f95e1400-hbone
        app--web-23b0b051-hbone
        app-web-6f1935f2-hbone
        app-web-e77d33c0-hbone
        76e8c746-hbone
        380918b9-hbone
        f16474a9-hbone
        cdb4ee2a-hbone
        a--b-f62b4241-hbone
        ");
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let names = ["x", "y"].map(|end| format!("{}.{end}", "a".repeat(250)));
        let derived = names.map(|name| derived_name(&name, "np-clients"));
        assert!(derived.iter().all(|name| is_subdomain(name)));
        assert_eq!(derived.each_ref().map(String::len), [253, 253]);
        let ends = derived.map(|name| name.trim_start_matches('a').to_owned());
        insta::assert_snapshot!(ends.join("\n"), @"
        -036a903e-np-clients
        -ca2935f3-np-clients
        ");
    }

    #[test]
    fn clashing_names_are_numbered_by_namespace() {
        let meta = |namespace: &str, name: &str| Meta::synthetic(namespace, name);
        let people = [meta("shop", "web"), meta("shop", "web-3")];
        let mut names = Names::of(people.iter());
        let wanted = ["web", "web", "web-2", "db", "db"].map(|name| ("shop", name));
        let taken = wanted.into_iter().chain([("pay", "web")]);
        let taken = taken.map(|(namespace, name)| {
            let mut new = meta(namespace, name);
            names.take(&mut new);
            format!("{namespace}/{name} is {}", new.name)
        });
        insta::assert_snapshot!(taken.collect::<Vec<_>>().join("\n"), @"
        shop/web is web-2
        shop/web is web-4
        shop/web-2 is web-2-2
        shop/db is db
        shop/db is db-2
        pay/web is web
        ");
    }
}
