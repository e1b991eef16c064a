//! Whole objects that a plan adds.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::model::{Action, AuthorizationPolicy, AuthorizationRule, Name, TargetRef};

/// A whole object. Those with long lists of names become manifests only when they are needed as such:
/// the lists of a large cluster together name clients a million times.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// As the API takes it.
    Object(Value),
    /// A policy that is still to become a manifest.
    AuthorizationPolicy(Box<AuthorizationPolicy>),
}

impl Body {
    /// The object as the API takes it, keys in the order in which people write them.
    pub fn value(&self) -> Cow<'_, Value> {
        match self {
            Self::Object(value) => Cow::Borrowed(value),
            Self::AuthorizationPolicy(policy) => Cow::Owned(authorization_policy(policy)),
        }
    }
}

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Self::Object(value)
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

fn authorization_policy(policy: &AuthorizationPolicy) -> Value {
    let meta = &policy.meta;
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), json!(meta.name));
    if meta.namespace_given {
        metadata.insert("namespace".to_owned(), json!(meta.namespace));
    }
    if !meta.labels.is_empty() {
        metadata.insert("labels".to_owned(), json!(meta.labels));
    }
    if !meta.annotations.is_empty() {
        metadata.insert("annotations".to_owned(), json!(meta.annotations));
    }
    let mut spec = Map::new();
    if !policy.selector.is_empty() {
        let selector = json!({ "matchLabels": policy.selector });
        spec.insert("selector".to_owned(), selector);
    }
    if !policy.targets.is_empty() {
        let target = |t: &TargetRef| json!({ "group": t.group, "kind": t.kind, "name": t.name });
        let targets = policy.targets.iter().map(target);
        spec.insert("targetRefs".to_owned(), targets.collect());
    }
    let action = match policy.action {
        Action::Allow => "ALLOW",
        Action::Deny => "DENY",
        Action::Audit => "AUDIT",
        Action::Custom => "CUSTOM",
    };
    spec.insert("action".to_owned(), json!(action));
    let rules = policy.rules.iter().map(rule);
    spec.insert("rules".to_owned(), rules.collect());
    json!({
        "apiVersion": ambient_facts::groups::SECURITY,
        "kind": "AuthorizationPolicy",
        "metadata": metadata,
        "spec": spec,
    })
}

fn rule(rule: &AuthorizationRule) -> Value {
    let from = rule.from.iter().map(|source| {
        let lists = [
            ("principals", &source.principals),
            ("notPrincipals", &source.not_principals),
            ("namespaces", &source.namespaces),
            ("notNamespaces", &source.not_namespaces),
        ];
        json!({ "source": present(lists.map(|(key, list)| (key, names(list)))) })
    });
    let to = rule.to.iter().map(|operation| {
        let lists = [
            ("ports", &operation.ports),
            ("notPorts", &operation.not_ports),
        ];
        json!({ "operation": present(lists.map(|(key, list)| (key, json!(list)))) })
    });
    Value::Object(present([("from", from.collect()), ("to", to.collect())]))
}

fn names(list: &[Name]) -> Value {
    list.iter().map(|name| Value::from(&**name)).collect()
}

/// The lists that are not empty.
fn present(lists: impl IntoIterator<Item = (&'static str, Value)>) -> Map<String, Value> {
    let there = lists
        .into_iter()
        .filter(|(_, list)| list.as_array().is_some_and(|l| !l.is_empty()));
    there.map(|(key, list)| (key.to_owned(), list)).collect()
}
