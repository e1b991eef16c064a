//! Pods that policies speak of and the input does not hold.
//!
//! A repository often keeps policies apart from workloads. A policy that selects nothing known
//! still has to be rewritten and proved, so for every selector that matches no pod one pod is
//! imagined that it matches. Its service account is not known.

use std::collections::BTreeSet;

use super::object;
use super::scope::Scope;
use crate::model::{
    LabelSelector, Labels, Meta, NetworkPolicy, Operator, Peer, PodTemplate, Workload,
    WorkloadKind, World, namespace_name_label,
};
use crate::netpol::{Direction, Selection};

/// One imagined pod for each selector of an analysed policy that matches no pod of the input.
pub(super) fn pods<'w>(
    world: &'w World,
    scope: &Scope,
    selection: &mut Selection<'w>,
) -> Vec<Workload> {
    let unnamed = world.network_policies.iter().map(|p| &p.meta);
    let unnamed = unnamed.filter(|meta| !meta.namespace_given);
    let mut imagined = Imagined {
        unnamed: unnamed.map(|meta| meta.namespace.as_str()).collect(),
        ..Imagined::default()
    };
    let here = world.workloads_by_namespace();
    for policy in world.network_policies_of_people() {
        let namespace = &policy.meta.namespace;
        let relevant = scope.is_enrolled(namespace);
        let here = here.get(namespace.as_str()).map_or(&[][..], Vec::as_slice);
        if relevant && !selects_something(world, here, policy) {
            imagined.add(namespace, &policy.pod_selector);
        }
        for direction in Direction::BOTH {
            if !direction.isolated_by(policy) {
                continue;
            }
            let peers = direction.rules(policy).iter().flat_map(|r| &r.peers);
            for peer in peers {
                let Peer::Pods { namespaces, pods } = peer else {
                    continue;
                };
                let set = selection.peers(namespace, std::slice::from_ref(peer));
                let set = selection.get(set);
                if set.yes.is_clear() && set.maybe.is_clear() {
                    imagined.peer(world, scope, namespace, namespaces.as_ref(), pods.as_ref());
                }
            }
        }
    }
    imagined.pods
}

/// Whether a policy selects some pod of its namespace, be it one on the node's network.
fn selects_something(world: &World, here: &[usize], policy: &NetworkPolicy) -> bool {
    let mut here = here.iter().filter_map(|&index| world.workloads.get(index));
    here.any(|w| !w.terminated && policy.pod_selector.matches(&w.pod.labels))
}

#[derive(Default)]
struct Imagined<'w> {
    /// Namespaces that policies are in without naming them.
    unnamed: BTreeSet<&'w str>,
    pods: Vec<Workload>,
    known: BTreeSet<(String, Labels)>,
}

impl Imagined<'_> {
    fn peer(
        &mut self,
        world: &World,
        scope: &Scope,
        own: &str,
        namespaces: Option<&LabelSelector>,
        pods: Option<&LabelSelector>,
    ) {
        let everything = LabelSelector::default();
        let pods = pods.unwrap_or(&everything);
        let Some(namespaces) = namespaces else {
            if scope.is_enrolled(own) {
                self.add(own, pods);
            }
            return;
        };
        let matching = |name: &&String| namespaces.matches(&world.namespace_labels(name));
        let known: Vec<&String> = world.namespaces.keys().filter(matching).collect();
        if let Some(namespace) = known.iter().find(|n| scope.is_enrolled(n)) {
            self.add(namespace, pods);
        } else if known.is_empty() {
            // Nothing is known of that namespace but the labels that the rule asks for.
            let labels = satisfying(namespaces);
            if let Some(name) = labels.get(ambient_facts::labels::NAMESPACE_NAME)
                && is_namespace_name(name)
                && namespaces.matches(&namespace_name_label(name))
            {
                self.add(name, pods);
            }
        }
    }

    fn add(&mut self, namespace: &str, selector: &LabelSelector) {
        let labels = satisfying(selector);
        if !selector.matches(&labels) || !self.known.insert((namespace.to_owned(), labels.clone()))
        {
            return;
        }
        let shown: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let name = if shown.is_empty() {
            "any".to_owned()
        } else {
            shown.join(",")
        };
        let pod = PodTemplate {
            labels,
            service_account: String::new(),
            ..PodTemplate::default()
        };
        let mut meta = Meta::synthetic(namespace, name);
        meta.namespace_given = !self.unnamed.contains(namespace);
        self.pods.push(Workload {
            meta,
            kind: WorkloadKind::Pod,
            pod,
            selector: None,
            replicas: 1,
            addresses: Vec::new(),
            terminated: false,
        });
    }
}

/// Whether a namespace can have this name (RFC 1123 label). Labels that satisfy a selector need not
/// be names: where any name will do they are empty.
fn is_namespace_name(name: &str) -> bool {
    name.len() <= 63 && !name.contains('.') && object::is_subdomain(name)
}

/// Labels that satisfy a selector, unless it contradicts itself.
fn satisfying(selector: &LabelSelector) -> Labels {
    let mut labels = selector.match_labels.clone();
    for requirement in &selector.match_expressions {
        let value = match &requirement.operator {
            Operator::In(values) => values.first().cloned(),
            Operator::Exists => Some(String::new()),
            Operator::NotIn(_) | Operator::DoesNotExist => None,
        };
        if let Some(value) = value {
            labels.entry(requirement.key.clone()).or_insert(value);
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Requirement;

    #[test]
    fn labels_are_made_to_satisfy_a_selector() {
        let requirement = |key: &str, operator| Requirement {
            key: key.to_owned(),
            operator,
        };
        let values = |v: &[&str]| v.iter().map(|&v| v.to_owned()).collect::<BTreeSet<_>>();
        let mut selector = LabelSelector::labels([("app", "web")]);
        selector.match_expressions = vec![
            requirement("tier", Operator::In(values(&["b", "a"]))),
            requirement("team", Operator::Exists),
            requirement("old", Operator::DoesNotExist),
            requirement("app", Operator::NotIn(values(&["db"]))),
        ];
        let labels = satisfying(&selector);
        assert!(selector.matches(&labels), "{labels:?}");
        assert_eq!(labels.keys().collect::<Vec<_>>(), ["app", "team", "tier"]);
    }
}
