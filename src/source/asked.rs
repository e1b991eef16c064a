//! Which labels of pods and namespaces matter to anything that is read.

use std::collections::BTreeSet;

use ambient_facts::labels;
use serde_json::Value;

use super::decode::{Object, Read};
use crate::model::{AllowedNamespaces, LabelSelector, NetworkPolicy, Peer};

/// Keys of labels that selectors ask for, or that pods and namespaces have already, so that a new value
/// replaces one that the plan may select by.
#[derive(Debug, Default)]
pub(super) struct Asked(BTreeSet<String>);

impl Asked {
    pub(super) fn by(objects: &[Read]) -> Self {
        let mut asked = Self::default();
        for read in objects {
            asked.object(&read.object);
        }
        asked
    }

    /// Whether a label matters: somebody asks for it, or has it, or the program itself knows it.
    pub(super) fn for_label(&self, key: &str) -> bool {
        let known = [
            labels::APP,
            labels::K8S_APP,
            labels::GATEWAY_NAME,
            labels::NAMESPACE_NAME,
        ];
        known.contains(&key) || labels::OF_ONE_REVISION.contains(&key) || self.0.contains(key)
    }

    fn object(&mut self, object: &Object) {
        match object {
            Object::Namespace(meta) => self.add(meta.labels.keys()),
            Object::Workload(workload) => self.add(workload.pod.labels.keys()),
            Object::Service(service) => self.add(service.selector.keys()),
            Object::NetworkPolicy(policy) => self.policy(policy),
            Object::AuthorizationPolicy(policy) => self.add(policy.selector.keys()),
            Object::PeerAuthentication(policy) => self.add(policy.selector.keys()),
            Object::RequestAuthentication(policy) => self.add(policy.selector.keys()),
            Object::Networking(object) | Object::PluginPolicy(object) => self.any(&object.body),
            Object::Gateway(gateway) => {
                for listener in &gateway.listeners {
                    if let AllowedNamespaces::Selector(selector) = &listener.allowed {
                        self.selector(selector);
                    }
                }
            }
            Object::ServiceAccount(_) | Object::Configuration(_) | Object::Other(..) => {}
        }
    }

    fn policy(&mut self, policy: &NetworkPolicy) {
        self.selector(&policy.pod_selector);
        for peer in policy.rules().flat_map(|rule| &rule.peers) {
            if let Peer::Pods { namespaces, pods } = peer {
                namespaces.iter().chain(pods).for_each(|s| self.selector(s));
            }
        }
    }

    fn selector(&mut self, selector: &LabelSelector) {
        self.0.extend(selector.keys().map(str::to_owned));
    }

    fn add<'k>(&mut self, keys: impl Iterator<Item = &'k String>) {
        self.0.extend(keys.cloned());
    }

    /// Every key and text of an object whose selectors are not known by their place. Recursion is
    /// bounded by the nesting limit of the parser.
    fn any(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                self.add(fields.keys());
                fields.values().for_each(|value| self.any(value));
            }
            Value::Array(items) => items.iter().for_each(|value| self.any(value)),
            Value::String(text) => {
                self.0.insert(text.clone());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}
