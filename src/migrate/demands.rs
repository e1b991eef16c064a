//! What the tunnel to a destination may carry, and what a waypoint may let through: the port limits
//! of the network policies, by who the client is.

use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;

use super::analysis::Analysis;
use crate::authz::Demand;
use crate::model::{LabelSelector, NetworkPolicy, Peer, Protocol, Rule, Service};
use crate::netpol::{Direction, Node, PortSet, Selection, rule_ports};

impl Analysis<'_, '_> {
    pub(super) fn find_grants_for_anybody(&mut self, policies: &[NetworkPolicy]) {
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
                        for way in self
                            .ways_to(class)
                            .iter()
                            .filter(|w| w.waypoint == waypoint)
                        {
                            let known = clients.entry(party).or_default();
                            *known = known.union(&used.intersection(&self.targets_of(way)));
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
            for node in nodes.intersection(&self.speakers.clients) {
                demand.clients.entry(self.party(node).clone()).or_default();
            }
        }
        for workload in backends {
            let Some(class) = self.universe.class_of(workload) else {
                continue;
            };
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
                for node in nodes.intersection(&self.speakers.clients) {
                    let known = demand.clients.entry(self.party(node).clone()).or_default();
                    *known = known.union(&ports);
                }
            }
        }
        demand.others = Some(others);
        let unlimited = |ports: &PortSet| *ports == demand.universe;
        let all = demand.clients.values().chain(&demand.others).all(unlimited);
        (!all).then_some(demand)
    }
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
