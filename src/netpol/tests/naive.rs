//! Who may connect to whom, one pair and one rule at a time, by the words of the API.

use std::net::IpAddr;

use proptest::prelude::*;

use super::generate::Cluster;
use crate::model::{NetworkPolicy, Peer, PortMatch, Rule, Workload};
use crate::netpol::{Direction, PortSet};

/// What manifests do not tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// An `ipBlock` matches pods that have an address in it.
    blocks_match_pods: bool,
    /// A selector matches pods on the network of their node.
    host_network_selected: bool,
    /// The name of a port is looked up on pods that an `ipBlock` matches.
    names_behind_blocks: bool,
}

impl Arbitrary for Facts {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let facts = any::<[bool; 3]>().prop_map(
            |[
                blocks_match_pods,
                host_network_selected,
                names_behind_blocks,
            ]| Self {
                blocks_match_pods,
                host_network_selected,
                names_behind_blocks,
            },
        );
        facts.boxed()
    }
}

impl Facts {
    /// With what is known of the cluster's network plugin.
    pub(super) fn under(self, cluster: &Cluster) -> Self {
        let known = cluster.blocks_match_pods;
        Self {
            blocks_match_pods: known.unwrap_or(self.blocks_match_pods),
            ..self
        }
    }
}

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Party {
    /// Index of a workload.
    Pod(usize),
    Outside(IpAddr),
}

/// All pairs of which at least one is a pod; not a pod with itself.
pub(super) fn pairs(cluster: &Cluster) -> Vec<(Party, Party)> {
    let outside = [
        "10.0.0.2",
        "10.200.0.1",
        "192.0.2.1",
        "198.51.100.1",
        "2001:db8::1",
    ];
    let pods: Vec<Party> = (0..cluster.world.workloads.len()).map(Party::Pod).collect();
    let outside = outside.map(|a| Party::Outside(a.parse().unwrap()));
    let mut pairs = Vec::new();
    for &pod in &pods {
        let others = pods.iter().filter(|&&other| other != pod);
        pairs.extend(others.map(|&other| (pod, other)));
        pairs.extend(outside.iter().flat_map(|&o| [(pod, o), (o, pod)]));
    }
    pairs
}

/// What the source may send to the destination.
pub(super) fn connections(
    cluster: &Cluster,
    facts: &Facts,
    source: Party,
    destination: Party,
) -> PortSet {
    let side = |direction: Direction| {
        let (subject, peer) = match direction {
            Direction::Ingress => (destination, source),
            Direction::Egress => (source, destination),
        };
        let Party::Pod(subject) = subject else {
            return PortSet::all();
        };
        let subject = &cluster.world.workloads[subject];
        let selects = |p: &&NetworkPolicy| {
            direction.isolated_by(p)
                && !subject.pod.host_network
                && p.meta.namespace == subject.meta.namespace
                && p.pod_selector.matches(&subject.pod.labels)
        };
        let policies: Vec<&NetworkPolicy> = cluster
            .world
            .network_policies
            .iter()
            .filter(selects)
            .collect();
        if policies.is_empty() {
            return PortSet::all();
        }
        let granted = policies.iter().flat_map(|policy| {
            let rules = direction.rules(policy).iter();
            rules.map(|rule| grants(cluster, facts, policy, rule, peer, destination))
        });
        granted.collect()
    };
    side(Direction::Ingress).intersection(&side(Direction::Egress))
}

fn grants(
    cluster: &Cluster,
    facts: &Facts,
    policy: &NetworkPolicy,
    rule: &Rule,
    peer: Party,
    destination: Party,
) -> PortSet {
    let matching = |wanted: fn(&Peer) -> bool| {
        let mut peers = rule.peers.iter().filter(|p| wanted(p));
        peers.any(|p| is_peer(cluster, facts, policy, p, peer))
    };
    let by_labels = rule.peers.is_empty() || matching(|p| matches!(p, Peer::Pods { .. }));
    let by_address = matching(|p| matches!(p, Peer::Block { .. }));
    if !by_labels && !by_address {
        return PortSet::none();
    }
    if rule.ports.is_empty() {
        return PortSet::all();
    }
    // Only where the peer is the destination it depends on the peer what a name means.
    let looked_up = by_labels || facts.names_behind_blocks || peer != destination;
    let ports = rule.ports.iter().map(|port| match &port.port {
        PortMatch::All => PortSet::protocol(port.protocol),
        PortMatch::Range(first, last) => PortSet::range(port.protocol, *first, *last),
        PortMatch::Name(name) => match destination {
            Party::Pod(pod) if looked_up => {
                let pod = &cluster.world.workloads[pod].pod;
                let numbers = pod.named_port(name, port.protocol);
                numbers.map(|n| PortSet::port(port.protocol, n)).collect()
            }
            _ => PortSet::none(),
        },
    });
    ports.collect()
}

fn is_peer(
    cluster: &Cluster,
    facts: &Facts,
    policy: &NetworkPolicy,
    peer: &Peer,
    party: Party,
) -> bool {
    match (peer, party) {
        (Peer::Block { cidr, except }, _) => {
            let address = match party {
                Party::Outside(address) => address,
                Party::Pod(_) if !facts.blocks_match_pods => return false,
                Party::Pod(pod) => cluster.addresses[pod],
            };
            cidr.contains(&address) && !except.iter().any(|e| e.contains(&address))
        }
        (Peer::Pods { .. }, Party::Outside(_)) => false,
        (Peer::Pods { namespaces, pods }, Party::Pod(pod)) => {
            let Workload { meta, pod, .. } = &cluster.world.workloads[pod];
            let namespace = cluster
                .namespaces
                .iter()
                .find(|(name, _)| *name == meta.namespace);
            let (_, labels) = namespace.unwrap();
            let here = match namespaces {
                None => meta.namespace == policy.meta.namespace,
                Some(selector) => selector.matches(labels),
            };
            here && pods.as_ref().is_none_or(|s| s.matches(&pod.labels))
                && (facts.host_network_selected || !pod.host_network)
        }
    }
}
