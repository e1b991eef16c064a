//! The compiled policies before and after, and what each destination's tunnel may carry.

use std::collections::{BTreeMap, BTreeSet};

use ambient_facts::ports;
use fixedbitset::FixedBitSet;

use super::opening::{Opening, Speakers};
use super::setting::Setting;
use crate::authz::{Demand, Party};
use crate::model::{
    AuthorizationPolicy, LabelSelector, NetworkPolicy, Peer, Protocol, Rule, Service, WorkloadKind,
};
use crate::netpol::{
    Class, Direction, Network, Node, PortSet, PortSets, Selection, Universe, Value, Version,
    rule_ports,
};

/// Everything that limits and proof are made from.
pub(super) struct Analysis<'s, 'w> {
    pub(super) setting: &'s Setting<'w>,
    pub(super) universe: &'s Universe,
    pub(super) network: Network,
    pub(super) sets: PortSets,
    pub(super) speakers: Speakers,
    /// TCP ports that the tunnel carries: all but those that ztunnel keeps for itself.
    pub(super) tunnelled: PortSet,
    /// The distinct clients that rules can tell apart.
    pub(super) parties: Vec<Party>,
    /// By class: its place among the parties.
    pub(super) party_of: Vec<usize>,
    /// By class: the waypoint that it is the pods of.
    waypoint_of: Vec<Option<usize>>,
    /// By class: the nodes that may send something to it, by what.
    sources: Vec<Vec<(Value, FixedBitSet)>>,
    /// By class: ports granted to any pod there may be.
    for_anybody: Vec<PortSet>,
    /// By class: the waypoints in front of it, with the target ports of the Services they serve.
    behind: Vec<BTreeMap<usize, PortSet>>,
}

impl<'s, 'w> Analysis<'s, 'w> {
    /// Compiles the policies of the world and those that will be there.
    pub(super) fn of(
        setting: &'s Setting<'w>,
        universe: &'s Universe,
        opening: &'s Opening,
    ) -> Self {
        let world = &*setting.world;
        let mut sets = PortSets::default();
        let selection = Selection::new(world, universe);
        let speakers = Speakers::of(setting, &selection);
        let existing = world.network_policies.iter().zip(&opening.after);
        let mut versions: Vec<Version<'_>> = existing
            .map(|(before, after)| Version {
                before: Some(before),
                after: Some(after),
            })
            .collect();
        let new = opening.added.iter().filter(|a| a.replaces.is_none());
        versions.extend(new.map(|a| Version {
            before: None,
            after: Some(&a.policy),
        }));
        let network = Network::compile(selection, &versions, &mut sets);
        let classes = 0..universe.classes().len();
        let sources = classes
            .map(|class| network.sources_of(class, &mut sets))
            .collect();
        let reserved = [
            ports::OUTBOUND,
            ports::INBOUND_PLAINTEXT,
            ports::HBONE,
            ports::SOCKS5,
        ];
        let reserved = reserved
            .map(|p| PortSet::port(Protocol::Tcp, p))
            .into_iter()
            .collect();
        let party = |class: &Class| Party {
            namespace: class.namespace.clone(),
            service_account: class.service_account.clone(),
        };
        let of_class: Vec<Party> = universe.classes().iter().map(party).collect();
        let parties: BTreeSet<Party> = of_class.iter().cloned().collect();
        let parties: Vec<Party> = parties.into_iter().collect();
        let place = |party: &Party| parties.binary_search(party).unwrap_or_default();
        let party_of = of_class.iter().map(place).collect();
        let waypoint_of = |class: &Class| setting.waypoint_at(*class.workloads.first()?);
        let mut analysis = Self {
            waypoint_of: universe.classes().iter().map(waypoint_of).collect(),
            parties,
            party_of,
            setting,
            universe,
            network,
            sources,
            sets,
            speakers,
            tunnelled: PortSet::protocol(Protocol::Tcp).difference(&reserved),
            for_anybody: vec![PortSet::none(); universe.classes().len()],
            behind: vec![BTreeMap::new(); universe.classes().len()],
        };
        analysis.find_grants_for_anybody(&world.network_policies);
        analysis.find_waypoints();
        analysis
    }

    fn find_grants_for_anybody(&mut self, policies: &[NetworkPolicy]) {
        let selection = Selection::new(&self.setting.world, self.universe);
        for policy in policies.iter().filter(|p| p.isolates_ingress) {
            let open: Vec<&Rule> = policy
                .ingress
                .iter()
                .filter(|r| admits_anybody(r))
                .collect();
            if open.is_empty() {
                continue;
            }
            for node in selection.subjects(&policy.meta.namespace, &policy.pod_selector) {
                let class = &self.universe.classes()[node];
                let granted: PortSet = open.iter().map(|r| rule_ports(r, class)).collect();
                self.for_anybody[node] = self.for_anybody[node].union(&granted);
            }
        }
    }

    fn find_waypoints(&mut self) {
        for (&service, &waypoint) in &self.setting.waypoints.of_service {
            let Some(service) = self.setting.world.services.get(service) else {
                continue;
            };
            for workload in self.setting.backends(service) {
                let Some(node) = self.universe.class_of(workload) else {
                    continue;
                };
                let targets: PortSet = self
                    .setting
                    .targets(service, workload)
                    .into_iter()
                    .map(|(_, target)| target)
                    .collect();
                let known = self.behind[node].entry(waypoint).or_default();
                *known = known.union(&targets);
            }
        }
    }

    /// The waypoint that a class is the pods of.
    pub(super) fn waypoint_at(&self, node: Node) -> Option<usize> {
        self.waypoint_of.get(node).copied().flatten()
    }

    /// Whether the tunnel's port is in one side of a value.
    pub(super) fn opens_tunnel(&self, set: crate::netpol::PortSetId) -> bool {
        self.sets.get(set).contains(Protocol::Tcp, ports::HBONE)
    }

    /// All nodes that may send something to a class, grouped by what.
    pub(super) fn sources_of(&self, class: Node) -> &[(Value, FixedBitSet)] {
        self.sources.get(class).map_or(&[], Vec::as_slice)
    }

    /// The senders of each group that can reach a class through the tunnel, with what they may use
    /// today.
    fn tunnel_clients(&self, class: Node) -> Vec<(PortSet, FixedBitSet)> {
        let mut clients: Vec<(PortSet, FixedBitSet)> = Vec::new();
        for (value, nodes) in self.sources_of(class) {
            if nodes.is_disjoint(&self.speakers.senders) || !self.opens_tunnel(value.after.high) {
                continue;
            }
            let mut nodes = nodes.clone();
            nodes.intersect_with(&self.speakers.senders);
            let today = self
                .sets
                .get(value.before.high)
                .intersection(&self.tunnelled);
            match clients.iter_mut().find(|(known, _)| *known == today) {
                Some((_, known)) => known.union_with(&nodes),
                None => clients.push((today, nodes)),
            }
        }
        clients
    }

    /// What the tunnel to a class may carry; `None` when it may carry everything.
    pub(super) fn demand(&self, class: Node) -> Option<Demand> {
        let groups = self.tunnel_clients(class);
        let others = self.for_others(class);
        let unlimited = |ports: &PortSet| *ports == self.tunnelled;
        if groups.iter().all(|(ports, _)| unlimited(ports)) && others.as_ref().is_none_or(unlimited)
        {
            return None;
        }
        let mut demand = Demand {
            clients: BTreeMap::new(),
            others,
            declared: self.declared(class),
            universe: self.tunnelled.clone(),
        };
        let mut clients = self.by_party(class, &groups);
        let first = demand
            .others
            .as_ref()
            .or(clients.values().next())
            .cloned()
            .unwrap_or_default();
        if clients.values().all(|ports| *ports == first) {
            // All clients alike: no identities are needed, whoever they are.
            demand.others = Some(first);
            return Some(demand);
        }
        if let Some(others) = &demand.others {
            // Who may use what others may need not be named.
            clients.retain(|_, ports| ports != others);
        }
        let named =
            |(party, ports): (usize, PortSet)| Some((self.parties.get(party)?.clone(), ports));
        demand.clients = clients.into_iter().filter_map(named).collect();
        Some(demand)
    }

    /// What each party may use today of those that reach a class through the tunnel: the union of
    /// what its pods may use.
    fn by_party(&self, class: Node, groups: &[(PortSet, FixedBitSet)]) -> BTreeMap<usize, PortSet> {
        let used: PortSet = groups.iter().map(|(ports, _)| ports.clone()).collect();
        let mut clients: BTreeMap<usize, PortSet> = BTreeMap::new();
        for (ports, nodes) in groups {
            let mut parties = FixedBitSet::with_capacity(self.parties.len());
            for node in nodes.ones() {
                let Some(&party) = self.party_of.get(node) else {
                    continue;
                };
                match self.waypoint_at(node) {
                    None => parties.insert(party),
                    Some(waypoint) => {
                        if let Some(targets) = self.behind[class].get(&waypoint) {
                            let known = clients.entry(party).or_default();
                            *known = known.union(&used.intersection(targets));
                        }
                    }
                }
            }
            for party in parties.ones() {
                let known = clients.entry(party).or_default();
                *known = known.union(ports);
            }
        }
        clients
    }

    /// What pods that are not in the input may use, when they can reach the tunnel at all.
    fn for_others(&self, class: Node) -> Option<PortSet> {
        if !self.network.is_isolated(class, Direction::Ingress) {
            return Some(self.tunnelled.clone());
        }
        let granted = self.for_anybody[class].intersection(&self.tunnelled);
        (!granted.is_empty()).then_some(granted)
    }

    /// What a waypoint may let through to a Service, by Service port.
    pub(super) fn service_demand(&self, service: &Service, waypoint: Node) -> Option<Demand> {
        let backends: Vec<usize> = self.setting.backends(service).collect();
        let mut demand = Demand {
            clients: BTreeMap::new(),
            others: None,
            declared: PortSet::none(),
            universe: service
                .ports
                .iter()
                .filter(|p| p.protocol == Protocol::Tcp)
                .map(|p| PortSet::port(Protocol::Tcp, p.port))
                .collect(),
        };
        let mut others = PortSet::none();
        let reach = self.tunnel_clients(waypoint);
        for (_, nodes) in &reach {
            for node in nodes.ones().filter(|&n| self.waypoint_at(n).is_none()) {
                demand.clients.entry(self.party(node).clone()).or_default();
            }
        }
        for workload in backends {
            let Some(class) = self.universe.class_of(workload) else {
                continue;
            };
            if !self.speakers.receivers.contains(class) {
                continue;
            }
            let targets = self.setting.targets(service, workload);
            let leading = |allowed: &PortSet| -> PortSet {
                let open = targets
                    .iter()
                    .filter(|(_, t)| !t.is_empty() && allowed.includes(t));
                open.map(|&(port, _)| PortSet::port(Protocol::Tcp, port))
                    .collect()
            };
            if let Some(granted) = self.for_others(class) {
                others = others.union(&leading(&granted));
            }
            for (value, nodes) in self.sources_of(class) {
                let today = self
                    .sets
                    .get(value.before.high)
                    .intersection(&self.tunnelled);
                let ports = leading(&today);
                for node in nodes.intersection(&self.speakers.senders) {
                    if self.waypoint_at(node).is_none() {
                        let known = demand.clients.entry(self.party(node).clone()).or_default();
                        *known = known.union(&ports);
                    }
                }
            }
        }
        demand.others = Some(others);
        let unlimited = |ports: &PortSet| *ports == demand.universe;
        let all = demand.clients.values().chain(&demand.others).all(unlimited);
        (!all).then_some(demand)
    }

    /// Whether there is only one pod in a class, so that nothing of it connects to it but itself,
    /// which no policy can prevent.
    pub(super) fn is_one_pod(&self, class: Node) -> bool {
        let world = &self.setting.world;
        match self.universe.classes().get(class).map(|c| &c.workloads[..]) {
            Some([one]) => world
                .workloads
                .get(*one)
                .is_some_and(|w| w.kind == WorkloadKind::Pod),
            _ => false,
        }
    }

    /// How a class is named in rules.
    pub(super) fn party(&self, class: Node) -> &Party {
        &self.parties[self.party_of[class]]
    }

    /// The TCP ports that the pods of a class declare.
    pub(super) fn declared(&self, class: Node) -> PortSet {
        let workloads = &self.universe.classes()[class].workloads;
        let pods = workloads
            .iter()
            .filter_map(|&w| self.setting.world.workloads.get(w));
        let ports = pods
            .flat_map(|w| &w.pod.ports)
            .filter(|p| p.protocol == Protocol::Tcp);
        ports
            .map(|p| PortSet::port(Protocol::Tcp, p.number))
            .collect()
    }

    /// What one class may send to another.
    pub(super) fn value(&mut self, source: Node, destination: Node) -> Value {
        self.network.value(source, destination, &mut self.sets)
    }
}

/// The policies of a world that people wrote, not this program.
pub(super) fn written_by_people(
    policies: &[AuthorizationPolicy],
) -> impl Iterator<Item = &AuthorizationPolicy> {
    policies.iter().filter(|p| !p.meta.is_ours())
}

/// Whether a rule admits every pod, those that are not in the input too.
fn admits_anybody(rule: &Rule) -> bool {
    let everything = LabelSelector::default();
    rule.peers.is_empty()
        || rule.peers.iter().any(|peer| match peer {
            Peer::Pods {
                namespaces: Some(namespaces),
                pods,
            } => namespaces.is_empty() && *pods.as_ref().unwrap_or(&everything) == everything,
            _ => false,
        })
}
