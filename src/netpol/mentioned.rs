//! What policies mention of pods and addresses: all that classes have to keep.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::address::AddressSpace;
use crate::model::{
    LabelSelector, Labels, NetworkPolicy, Peer, PortMatch, Protocol, Rule, Workload,
};

/// What the caller knows of a workload beyond the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trait {
    /// Workloads with different tags are never put into one class.
    pub tag: u32,
    /// Whether the service account is known.
    pub identity_known: bool,
    /// Whether no object describes it, so that what its ports are called is not known either.
    pub imagined: bool,
}

/// What makes two workloads one class, in sort order.
pub(super) type ClassKey = (
    String,
    Labels,
    Option<String>,
    bool,
    BTreeMap<(Protocol, String), BTreeSet<u16>>,
    u32,
    BTreeSet<usize>,
);

/// Everything that some policy mentions.
#[derive(Default)]
pub(super) struct Mentioned<'p> {
    pub(super) keys: BTreeSet<&'p str>,
    port_names: BTreeSet<(Protocol, &'p str)>,
    pub(super) blocks: Vec<IpNet>,
}

impl<'p> Mentioned<'p> {
    /// What these policies mention.
    pub(super) fn by(policies: impl IntoIterator<Item = &'p NetworkPolicy>) -> Self {
        let mut mentioned = Self::default();
        for policy in policies {
            mentioned.selector(&policy.pod_selector);
            for rule in policy.ingress.iter().chain(&policy.egress) {
                mentioned.rule(rule);
            }
        }
        mentioned
    }

    fn selector(&mut self, selector: &'p LabelSelector) {
        self.keys.extend(selector.keys());
    }

    fn rule(&mut self, rule: &'p Rule) {
        for peer in &rule.peers {
            match peer {
                Peer::Block { cidr, except } => {
                    self.blocks.push(*cidr);
                    self.blocks.extend(except);
                }
                Peer::Pods { pods, .. } => {
                    if let Some(pods) = pods {
                        self.selector(pods);
                    }
                }
            }
        }
        for port in &rule.ports {
            if let PortMatch::Name(name) = &port.port {
                self.port_names.insert((port.protocol, name));
            }
        }
    }

    /// What is left of a workload that some policy might see.
    pub(super) fn project(
        &self,
        workload: &Workload,
        found: Trait,
        space: &AddressSpace,
    ) -> ClassKey {
        let pod = &workload.pod;
        let keeps = |key: &String| self.keys.contains(key.as_str());
        let labels = pod.labels.iter().filter(|(k, _)| keeps(k));
        let mut ports: BTreeMap<(Protocol, String), BTreeSet<u16>> = BTreeMap::new();
        for port in &pod.ports {
            if self
                .port_names
                .contains(&(port.protocol, port.name.as_str()))
            {
                ports
                    .entry((port.protocol, port.name.clone()))
                    .or_default()
                    .insert(port.number);
            }
        }
        let atoms = if self.blocks.is_empty() {
            BTreeSet::new()
        } else {
            workload
                .addresses
                .iter()
                .map(|&a| space.holding(a))
                .collect()
        };
        (
            workload.meta.namespace.clone(),
            labels.map(|(k, v)| (k.clone(), v.clone())).collect(),
            found.identity_known.then(|| pod.service_account.clone()),
            pod.host_network,
            ports,
            found.tag,
            atoms,
        )
    }
}
