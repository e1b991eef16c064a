//! An AuthorizationPolicy as the object that the API takes.

use serde_json::{Map, Value, json};

use crate::model::{Action, AuthorizationPolicy, AuthorizationRule};

/// The manifest of a policy, keys in the order in which people write them. Takes the policy: lists of
/// names can be long, and need not be there twice.
pub fn to_value(policy: AuthorizationPolicy) -> Value {
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
    if !policy.selector.is_empty() {
        spec.insert(
            "selector".to_owned(),
            json!({ "matchLabels": policy.selector }),
        );
    }
    if !policy.targets.is_empty() {
        let target = |t: &crate::model::TargetRef| json!({ "group": t.group, "kind": t.kind, "name": t.name });
        spec.insert(
            "targetRefs".to_owned(),
            policy.targets.iter().map(target).collect(),
        );
    }
    let action = match policy.action {
        Action::Allow => "ALLOW",
        Action::Deny => "DENY",
        Action::Audit => "AUDIT",
        Action::Custom => "CUSTOM",
    };
    spec.insert("action".to_owned(), json!(action));
    let rules = policy.rules.into_iter().map(rule);
    spec.insert("rules".to_owned(), rules.collect());
    json!({
        "apiVersion": ambient_facts::groups::SECURITY,
        "kind": "AuthorizationPolicy",
        "metadata": metadata,
        "spec": spec,
    })
}

fn rule(rule: AuthorizationRule) -> Value {
    let mut value = Map::new();
    let from = rule.from.into_iter().map(|source| {
        let lists = [
            ("principals", source.principals),
            ("notPrincipals", source.not_principals),
            ("namespaces", source.namespaces),
            ("notNamespaces", source.not_namespaces),
        ];
        json!({ "source": present(lists) })
    });
    let to = rule.to.into_iter().map(|operation| {
        let lists = [
            ("ports", operation.ports),
            ("notPorts", operation.not_ports),
        ];
        json!({ "operation": present(lists) })
    });
    for (key, list) in [("from", from.collect::<Vec<_>>()), ("to", to.collect())] {
        if !list.is_empty() {
            value.insert(key.to_owned(), Value::Array(list));
        }
    }
    Value::Object(value)
}

fn present(lists: impl IntoIterator<Item = (&'static str, Vec<String>)>) -> Value {
    let there = lists.into_iter().filter(|(_, list)| !list.is_empty());
    let value = |list: Vec<String>| list.into_iter().map(Value::String).collect();
    Value::Object(
        there
            .map(|(key, list)| (key.to_owned(), value(list)))
            .collect(),
    )
}
