//! Network policies on the way through waypoints.
//!
//! A client reaches a waypoint on the tunnel's port, and the waypoint the server; so policies that
//! let the client reach the server have to let each of them take its half of the way, and a
//! waypoint that is isolated itself has to be let out and in.

use std::collections::BTreeSet;

use ambient_facts::{labels, namespaces, ports};
use fixedbitset::FixedBitSet;

use super::object;
use super::opening::{
    Added, Changed, Opener, covers_tunnel, gateway_peer, grants_some_tcp, tunnel_port,
};
use super::serving::{Serving, pod_labels};
use super::setting::Setting;
use crate::model::{
    LabelSelector, NetworkPolicy, ObjectRef, Operator, Origin, Peer, PortMatch, PortRule, Protocol,
    Requirement, Rule,
};
use crate::netpol::Direction;

impl<'s> Opener<'s, '_> {
    /// Appends the rules that the ways through waypoints need.
    pub(super) fn waypoint_rules(&mut self, changed: &mut Vec<Changed>) {
        for place in 0..self.setting.waypoints.all.len() {
            let served = self.served_by(place);
            let Some(waypoint) = self.setting.waypoints.all.get(place) else {
                continue;
            };
            let policies = self.policies;
            for (index, policy) in policies.iter().enumerate() {
                for direction in Direction::BOTH {
                    if direction.isolated_by(policy)
                        && !policy.meta.is_ours()
                        && self.leads_through(direction, policy, &served)
                    {
                        let peer = gateway_peer(
                            &policy.meta.namespace,
                            &waypoint.namespace,
                            &waypoint.name,
                        );
                        let peers = std::slice::from_ref(&peer);
                        if !self.is_covered(policy, direction, peers) {
                            add(changed, index, policy, direction, peer);
                        }
                    }
                }
            }
        }
        changed.sort_by_key(|c| c.policy);
    }

    /// The receiving classes behind a waypoint.
    fn served_by(&self, place: usize) -> FixedBitSet {
        let setting = self.setting;
        let universe = self.selection.universe();
        let mut served = FixedBitSet::with_capacity(universe.nodes());
        for (&service, _) in setting
            .waypoints
            .of_service
            .iter()
            .filter(|(_, w)| **w == place)
        {
            let Some(service) = setting.world.services.get(service) else {
                continue;
            };
            served.extend(
                setting
                    .backends(service)
                    .filter_map(|w| universe.class_of(w)),
            );
        }
        served.intersect_with(&self.speakers.receivers);
        served
    }

    /// Whether a policy lets somebody take a way that goes through the waypoint in front of
    /// `served`.
    fn leads_through(
        &mut self,
        direction: Direction,
        policy: &'s NetworkPolicy,
        served: &FixedBitSet,
    ) -> bool {
        let subjects = self
            .selection
            .subjects(&policy.meta.namespace, &policy.pod_selector);
        let (own, other) = match direction {
            Direction::Ingress => (served, &self.speakers.senders),
            Direction::Egress => (&self.speakers.senders, served),
        };
        if !subjects.iter().any(|&n| own.contains(n)) {
            return false;
        }
        direction.rules(policy).iter().any(|rule| {
            let set = self.selection.peers(&policy.meta.namespace, &rule.peers);
            let set = self.selection.get(set);
            (rule.ports.is_empty() || grants_some_tcp(rule))
                && (!set.yes.is_disjoint(other) || !set.maybe.is_disjoint(other))
        })
    }
}

fn add(
    changed: &mut Vec<Changed>,
    index: usize,
    policy: &NetworkPolicy,
    direction: Direction,
    peer: Peer,
) {
    let known = changed.iter().position(|c| c.policy == index);
    let opened = |place: usize| {
        known
            .and_then(|k| changed.get(k))
            .is_some_and(|c| c.rules.contains(&(direction, place)))
    };
    // A rule for everybody, or for just this waypoint, opens the way already.
    let open = direction
        .rules(policy)
        .iter()
        .enumerate()
        .any(|(place, rule)| {
            (covers_tunnel(rule) || opened(place))
                && (rule.peers.is_empty() || rule.peers.contains(&peer))
        });
    if open {
        return;
    }
    let rule = Rule {
        peers: vec![peer],
        ports: vec![tunnel_port()],
        line: 0,
    };
    match known.and_then(|k| changed.get_mut(k)) {
        Some(change) => change.appended.push((direction, rule)),
        None => changed.push(Changed {
            policy: index,
            rules: Vec::new(),
            appended: vec![(direction, rule)],
        }),
    }
}

/// Policies for waypoints that are isolated themselves.
pub(super) fn policies_of_waypoints(setting: &Setting<'_>) -> Vec<Added> {
    let mut added = Vec::new();
    for (place, waypoint) in setting.waypoints.all.iter().enumerate() {
        let pods: Vec<usize> = (0..setting.world.workloads.len())
            .filter(|&w| setting.waypoint_at(w) == Some(place))
            .collect();
        let isolating = |direction: Direction| {
            setting.world.network_policies.iter().find(|p| {
                !p.meta.is_ours()
                    && p.meta.namespace == waypoint.namespace
                    && direction.isolated_by(p)
                    && pods.iter().any(|&w| {
                        setting
                            .world
                            .workloads
                            .get(w)
                            .is_some_and(|w| p.pod_selector.matches(&w.pod.labels))
                    })
            })
        };
        let (ingress, egress) = (isolating(Direction::Ingress), isolating(Direction::Egress));
        let Some(beside) = ingress.or(egress) else {
            continue;
        };
        added.push(Added {
            policy: policy_of(
                setting,
                place,
                waypoint,
                ingress.is_some(),
                egress.is_some(),
            ),
            beside: beside.meta.origin.clone(),
            reason: format!(
                "the waypoint is isolated by `{}`: let its clients in and let it reach its servers",
                beside.meta.name
            ),
            replaces: None,
        });
    }
    added
}

fn policy_of(
    setting: &Setting<'_>,
    place: usize,
    waypoint: &Serving,
    ingress: bool,
    egress: bool,
) -> NetworkPolicy {
    let of = ObjectRef::namespaced(&waypoint.namespace, "Gateway", &waypoint.name);
    let name = object::derived_name(&waypoint.name, "hbone");
    let served = setting
        .waypoints
        .of_service
        .iter()
        .filter(|(_, w)| **w == place);
    let servers: BTreeSet<String> = served
        .filter_map(|(&s, _)| setting.world.services.get(s))
        .map(|s| s.meta.namespace.clone())
        .collect();
    let clients: BTreeSet<String> = (0..setting.world.workloads.len())
        .filter(|&w| setting.role(w).sends && setting.waypoint_at(w).is_none())
        .filter_map(|w| setting.world.workloads.get(w))
        .map(|w| w.meta.namespace.clone())
        .collect();
    let tcp = |port| PortRule {
        protocol: Protocol::Tcp,
        port: PortMatch::Range(port, port),
    };
    let udp = |port| PortRule {
        protocol: Protocol::Udp,
        port: PortMatch::Range(port, port),
    };
    let system = |name: &str| BTreeSet::from([name.to_owned()]);
    let rule = |peers: Peer, ports: Vec<PortRule>| Rule {
        peers: vec![peers],
        ports,
        line: 0,
    };
    let mut policy = NetworkPolicy {
        meta: object::companion_meta(&waypoint.namespace, name, &of),
        pod_selector: LabelSelector {
            match_labels: pod_labels(&waypoint.name),
            ..Default::default()
        },
        isolates_ingress: ingress,
        isolates_egress: egress,
        ingress: Vec::new(),
        egress: Vec::new(),
    };
    if ingress {
        policy
            .ingress
            .push(rule(in_namespaces(clients), vec![tunnel_port()]));
    }
    if egress {
        policy.egress = vec![
            rule(in_namespaces(servers), vec![tunnel_port()]),
            rule(
                in_namespaces(system(namespaces::ROOT)),
                vec![tcp(ports::CONTROL_PLANE)],
            ),
            rule(
                in_namespaces(system(namespaces::NEVER_CAPTURED)),
                vec![udp(ports::DNS), tcp(ports::DNS)],
            ),
        ];
    }
    policy
}

/// Every pod of some namespaces.
fn in_namespaces(names: BTreeSet<String>) -> Peer {
    let selector = if names.len() == 1 {
        LabelSelector::labels(names.into_iter().map(|n| (labels::NAMESPACE_NAME, n)))
    } else {
        let requirement = Requirement {
            key: labels::NAMESPACE_NAME.to_owned(),
            operator: Operator::In(names),
        };
        LabelSelector {
            match_expressions: vec![requirement],
            ..Default::default()
        }
    };
    Peer::Pods {
        namespaces: Some(selector),
        pods: None,
    }
}

/// The origin that objects for a waypoint go beside when no policy is at hand.
pub(super) fn origin_of(setting: &Setting<'_>, waypoint: &Serving) -> Origin {
    let gateway = setting
        .world
        .gateways
        .iter()
        .find(|g| g.meta.namespace == waypoint.namespace && g.meta.name == waypoint.name);
    let service = || {
        let mut services = setting.world.services.iter();
        services
            .find(|s| s.meta.namespace == waypoint.namespace)
            .map(|s| s.meta.origin.clone())
    };
    gateway
        .map(|g| g.meta.origin.clone())
        .or_else(service)
        .unwrap_or_else(Origin::synthetic)
}
