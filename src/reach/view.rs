//! A world, compiled for questions.

use std::collections::BTreeMap;

use ambient_facts::ports;

use super::{Lens, Mode};
use crate::authz::{Crowd, Party, Selected};
use crate::migrate::{Role, Scope, ScopeOptions};
use crate::model::{EndpointId, Endpoints, Protocol, Workload, World};
use crate::netpol::{
    Assumptions, Network, Node, PortSet, PortSets, Selection, Trait, Universe, Version,
};

/// A world and its policies, ready to be asked.
pub(super) struct View<'w> {
    pub(super) world: &'w World,
    pub(super) mode: Mode,
    pub(super) endpoints: Endpoints,
    pub(super) universe: Universe,
    network: Network,
    sets: PortSets,
    roles: Vec<Role>,
    /// What AuthorizationPolicies let the sources of a class use, by destination and source.
    authorized: BTreeMap<(Node, Node), PortSet>,
}

impl<'w> View<'w> {
    pub(super) fn of(world: &'w World, lens: &Lens) -> Self {
        let mode = lens.mode;
        let endpoints = Endpoints::of(world);
        let scope = Scope::of(world, &endpoints, &ScopeOptions::default());
        let role = |(index, w): (usize, &Workload)| Role::of(&w.pod, scope.workload(index));
        let roles: Vec<Role> = world.workloads.iter().enumerate().map(role).collect();
        let tag = |r: &Role| match mode {
            Mode::Plaintext => 0,
            Mode::Tunnel => {
                u32::from(r.sends) | u32::from(r.receives) << 1 | u32::from(r.dns_captured) << 2
            }
        };
        let traits: Vec<Trait> = roles
            .iter()
            .map(|r| Trait {
                tag: tag(r),
                identity_known: mode == Mode::Tunnel,
            })
            .collect();
        let keys = match mode {
            Mode::Plaintext => Vec::new(),
            Mode::Tunnel => {
                let policies = world.authorization_policies.iter();
                policies
                    .flat_map(|p| p.selector.keys())
                    .map(String::as_str)
                    .collect()
            }
        };
        let policies = &world.network_policies;
        let universe = Universe::of(
            world,
            &endpoints,
            policies,
            keys,
            &traits,
            Assumptions::default().with_pod_ranges(&lens.pod_ranges),
        );
        let mut sets = PortSets::default();
        let versions: Vec<Version<'_>> = policies.iter().map(Version::unchanged).collect();
        let network = Network::compile(Selection::new(world, &universe), &versions, &mut sets);
        Self {
            world,
            mode,
            endpoints,
            universe,
            network,
            sets,
            roles,
            authorized: BTreeMap::new(),
        }
    }

    /// The classes of an endpoint's pods.
    pub(super) fn classes_of(&self, endpoint: EndpointId) -> Vec<Node> {
        let workloads = self
            .endpoints
            .get(endpoint)
            .map_or(&[][..], |e| &e.workloads);
        let mut classes: Vec<Node> = workloads
            .iter()
            .filter_map(|&w| self.universe.class_of(w))
            .collect();
        classes.sort_unstable();
        classes.dedup();
        classes
    }

    /// What surely gets from one node to another.
    pub(super) fn connections(&mut self, source: Node, destination: Node) -> PortSet {
        let value = self.network.value(source, destination, &mut self.sets);
        let plain = self.sets.get(value.before.low).clone();
        if !self.is_tunnelled(source, destination) {
            return plain;
        }
        let outside = self.outside_tunnel(source);
        let open = plain.contains(Protocol::Tcp, ports::HBONE);
        let inside = if open {
            self.authorized(source, destination)
        } else {
            PortSet::none()
        };
        plain
            .intersection(&outside)
            .union(&inside.difference(&outside))
    }

    /// Whether it is not known for all connections of a pair whether they are allowed.
    pub(super) fn is_uncertain(&mut self, source: Node, destination: Node) -> bool {
        let value = self.network.value(source, destination, &mut self.sets);
        value.before.low != value.before.high
    }

    /// Whether TCP between two nodes goes through the tunnel.
    pub(super) fn is_tunnelled(&self, source: Node, destination: Node) -> bool {
        self.mode == Mode::Tunnel && self.role(source).sends && self.role(destination).receives
    }

    /// What AuthorizationPolicies let a class use at another, through the tunnel.
    pub(super) fn authorized(&mut self, source: Node, destination: Node) -> PortSet {
        if let Some(known) = self.authorized.get(&(destination, source)) {
            return known.clone();
        }
        let classes = self.universe.classes();
        let (Some(from), Some(to)) = (classes.get(source), classes.get(destination)) else {
            return PortSet::none();
        };
        let labels = to
            .workloads
            .first()
            .and_then(|&w| self.world.workloads.get(w));
        let Some(labels) = labels.map(|w| &w.pod.labels) else {
            return PortSet::none();
        };
        let party = [Party {
            namespace: from.namespace.clone(),
            service_account: from.service_account.clone(),
        }];
        let selected = Selected::of(&self.world.authorization_policies, &to.namespace, labels);
        let decision = selected.decide(&Crowd::new(&party));
        let own = decision
            .into_iter()
            .find(|(_, members)| members.contains(0));
        let set = own.map(|(allowance, _)| allowance.low).unwrap_or_default();
        self.authorized.insert((destination, source), set.clone());
        set
    }

    /// What a class never sends through the tunnel.
    fn outside_tunnel(&self, source: Node) -> PortSet {
        let captured = self.role(source).dns_captured;
        let dns = if captured {
            PortSet::port(Protocol::Tcp, ports::DNS)
        } else {
            PortSet::none()
        };
        PortSet::protocol(Protocol::Sctp)
            .union(&PortSet::protocol(Protocol::Udp))
            .union(&dns)
    }

    fn role(&self, node: Node) -> Role {
        let class = self.universe.classes().get(node);
        let workload = class.and_then(|c| c.workloads.first());
        workload
            .and_then(|&w| self.roles.get(w))
            .copied()
            .unwrap_or_default()
    }

    /// Nodes of the address ranges.
    pub(super) fn address_nodes(&self) -> std::ops::Range<Node> {
        self.universe.classes().len()..self.universe.nodes()
    }
}
