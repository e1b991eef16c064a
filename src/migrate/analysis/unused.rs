//! Workloads that rules let the tunnel of pods into, and that nobody of the input reaches through it:
//! egress policies keep the clients that there are from sending. One that comes and is let out would
//! find every port.

use fixedbitset::FixedBitSet;

use super::Analysis;
use crate::migrate::tunnel_port::covers_tunnel;
use crate::model::{NetworkPolicy, Peer, Rule};
use crate::netpol::{Node, PortSet, Selection, rule_ports};

impl Analysis<'_, '_> {
    /// `after` are the policies as they will be.
    pub(super) fn find_unused_entrances<'p>(
        &mut self,
        policies: &[NetworkPolicy],
        after: impl Iterator<Item = &'p NetworkPolicy>,
    ) {
        let selection = Selection::new(&self.setting.world, self.universe);
        let mut unused = FixedBitSet::with_capacity(self.universe.classes().len());
        for policy in after.filter(|p| p.isolates_ingress) {
            if policy.ingress.iter().any(lets_pods_in) {
                let nodes = selection.subjects(&policy.meta.namespace, &policy.pod_selector);
                unused.extend(nodes.into_iter().filter(|&node| !self.is_reached(node)));
            }
        }
        if unused.is_clear() {
            return;
        }
        for policy in policies.iter().filter(|p| p.isolates_ingress) {
            let nodes = selection.subjects(&policy.meta.namespace, &policy.pod_selector);
            for node in nodes.into_iter().filter(|&node| unused.contains(node)) {
                let Some(class) = self.universe.classes().get(node) else {
                    continue;
                };
                let listed = policy.ingress.iter().map(|rule| rule_ports(rule, class));
                let listed: PortSet = listed.collect();
                let known = self.listed_unused.entry(node).or_insert_with(PortSet::none);
                *known = known.union(&listed.intersection(&self.tunnelled));
            }
        }
    }

    /// Whether somebody of the input reaches a class through the tunnel.
    fn is_reached(&self, class: Node) -> bool {
        let mut sources = self.sources_of(class).iter();
        sources.any(|(value, nodes)| {
            self.opens_tunnel(value.after.high) && !nodes.is_disjoint(&self.speakers.senders)
        })
    }
}

/// Whether a rule opens the tunnel to pods.
fn lets_pods_in(rule: &Rule) -> bool {
    let is_pods = |peer: &Peer| matches!(peer, Peer::Pods { .. });
    covers_tunnel(rule) && (rule.peers.is_empty() || rule.peers.iter().any(is_pods))
}
