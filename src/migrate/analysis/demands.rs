//! What the tunnel to a destination may carry, and what a waypoint may let through: the port limits
//! of the network policies, by who the client is.

use std::collections::BTreeMap;
use std::sync::Arc;

use fixedbitset::FixedBitSet;

use super::Analysis;
use super::unlisted::{admits_namespaces, admitted_namespaces};
use crate::authz::{Demand, Party, disjoint};
use crate::migrate::tunnel_port::covers_tunnel;
use crate::model::{LabelSelector, NetworkPolicy, Peer, Protocol, Rule, Service};
use crate::netpol::{Direction, Node, PortSet, Selection, rule_ports};

impl Analysis<'_, '_> {
    /// `after` are the policies as they will be.
    pub(crate) fn find_grants_for_anybody<'p>(
        &mut self,
        policies: &[NetworkPolicy],
        after: impl Iterator<Item = &'p NetworkPolicy>,
    ) {
        let selection = Selection::new(&self.setting.world, self.universe);
        for policy in after.filter(|p| p.isolates_ingress) {
            // The port may be open to all by a rule that grants nothing on these pods: none of them
            // has a port of its name.
            let mut rules = policy.ingress.iter();
            if rules.any(|r| admits_anybody(r) && covers_tunnel(r)) {
                let nodes = selection.subjects(&policy.meta.namespace, &policy.pod_selector);
                self.open_to_anybody.extend(nodes);
            }
        }
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

    /// The same for rules that admit every pod of some namespaces: these are not only the pods of the
    /// input, and may use less than those that other rules admit too.
    pub(crate) fn find_grants_for_namespaces(&mut self) {
        let setting = self.setting;
        // What an earlier run added for a waypoint says nothing about other pods.
        let policies: Vec<&NetworkPolicy> = setting.world.network_policies_of_people().collect();
        let mut selection = Selection::new(&setting.world, self.universe);
        let sending = sending(&policies, &mut selection);
        let mut known: BTreeMap<(&str, &Peer), Vec<Admitted<'_>>> = BTreeMap::new();
        for policy in policies.iter().filter(|p| p.isolates_ingress) {
            let own = policy.meta.namespace.as_str();
            for rule in &policy.ingress {
                for peer in rule.peers.iter().filter(|p| admits_namespaces(p)) {
                    let admitted = known.entry((own, peer)).or_insert_with(|| {
                        let names = admitted_namespaces(setting, own, peer);
                        let (limited, others): (Vec<&str>, Vec<&str>) =
                            names.into_iter().partition(|n| sending.contains_key(n));
                        let limited = limited.iter().map(|n| (Some(*n), self.unlisted_of(&[n])));
                        let others = (None, self.unlisted_of(&others));
                        limited.chain([others]).collect()
                    });
                    for node in selection.subjects(own, &policy.pod_selector) {
                        let class = &self.universe.classes()[node];
                        let ports = rule_ports(rule, class);
                        for (namespace, parties) in &*admitted {
                            let sent = namespace.and_then(|n| sending.get(n));
                            let ports = sent.map_or_else(
                                || ports.clone(),
                                |rules| {
                                    let sent = rules.iter().filter(|(to, _)| to.contains(node));
                                    let sent: PortSet =
                                        sent.map(|(_, r)| rule_ports(r, class)).collect();
                                    ports.intersection(&sent)
                                },
                            );
                            self.for_namespaces[node].push((ports, Arc::clone(parties)));
                        }
                    }
                }
            }
        }
    }

    /// The parties that stand for pods of some namespaces that are not in the input.
    fn unlisted_of(&self, namespaces: &[&str]) -> Arc<FixedBitSet> {
        let parties = namespaces.iter().map(|name| Party::new(name, None));
        let mut bits = FixedBitSet::with_capacity(self.parties.len());
        bits.extend(parties.filter_map(|p| self.parties.binary_search(&p).ok()));
        Arc::new(bits)
    }

    /// Pods that are not in the input, of namespaces of which all may reach a class and some of the
    /// input do so through the tunnel, with what they may use.
    fn unlisted(&self, class: Node, reaching: &FixedBitSet) -> Vec<(PortSet, FixedBitSet)> {
        let is_there = |party: &usize| {
            let namespace = self.parties.get(*party).map(Party::namespace);
            let mut same = (*party..self.parties.len())
                .take_while(|&p| self.parties.get(p).map(Party::namespace) == namespace);
            same.any(|p| reaching.contains(p))
        };
        let of_rule = |(ports, parties): &(PortSet, Arc<FixedBitSet>)| {
            let mut there = FixedBitSet::with_capacity(self.parties.len());
            there.extend(parties.ones().filter(is_there));
            let ports = ports.union(&self.for_anybody[class]);
            (ports.intersection(&self.tunnelled), there)
        };
        let unlisted = self.for_namespaces[class].iter().map(of_rule);
        unlisted.filter(|(_, there)| !there.is_clear()).collect()
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
    pub(crate) fn demand(&self, class: Node) -> Option<Demand<'_>> {
        let unlimited = |ports: &PortSet| *ports == self.tunnelled;
        let groups = self.tunnel_clients(class);
        let (mut clients, nameless) = self.named(self.by_party(class, &groups));
        let reaching = union(&clients);
        let any_name = self.without_account(&reaching);
        let unlisted = self.unlisted(class, &reaching);
        let mut limits = groups.iter().chain(&unlisted).map(|(ports, _)| ports);
        let is_limited = limits.any(|ports| !unlimited(ports));
        clients.extend(unlisted);
        let others = self.for_others(class);
        clients.extend(self.unnamed(others.as_ref(), &clients));
        let mut others = either(others, nameless);
        if clients.is_empty() && others.is_none() {
            others = self.listed_unused.get(&class).cloned();
        }
        if !is_limited && others.as_ref().is_none_or(unlimited) {
            return None;
        }
        let mut demand = Demand {
            parties: &self.parties,
            clients: disjoint(&clients),
            others,
            any_name,
            declared: PortSet::none(),
            universe: self.tunnelled.clone(),
        };
        let limits = demand.clients.iter().map(|(ports, _)| ports);
        let mut limits = limits.chain(&demand.others);
        let first = limits.next().cloned().unwrap_or_default();
        if limits.all(|ports| *ports == first) {
            // All clients alike: no identities are needed, whoever they are.
            demand.others = Some(first);
            demand.clients.clear();
        } else if let Some(others) = &demand.others {
            // Who may use what others may need not be named.
            demand.clients.retain(|(ports, _)| ports != others);
        }
        demand.any_name.intersect_with(&union(&demand.clients));
        Some(demand)
    }

    /// Who reaches a class through the tunnel, and what they may use today. A party may be there
    /// more than once.
    fn by_party(
        &self,
        class: Node,
        groups: &[(PortSet, FixedBitSet)],
    ) -> Vec<(PortSet, FixedBitSet)> {
        // What waypoints may carry is what their clients may use.
        let speaking =
            |(_, nodes): &&(PortSet, FixedBitSet)| !nodes.is_disjoint(&self.speakers.clients);
        let used = groups.iter().filter(speaking);
        let used: PortSet = used.map(|(ports, _)| ports.clone()).collect();
        let mut clients: Vec<(PortSet, FixedBitSet)> = Vec::new();
        for (ports, nodes) in groups {
            let mut direct = nodes.clone();
            direct.intersect_with(&self.speakers.clients);
            clients.push((ports.clone(), self.parties_of(&direct)));
            let mut waypoints = nodes.clone();
            waypoints.difference_with(&self.speakers.clients);
            for node in waypoints.ones() {
                let Some(waypoint) = self.waypoint_at(node) else {
                    continue;
                };
                let ways = self.ways_to(class).iter();
                for way in ways.filter(|w| w.waypoint == waypoint) {
                    let ports = used.intersection(&self.targets_of(way));
                    let mut one = FixedBitSet::with_capacity(self.universe.nodes());
                    one.insert(node);
                    clients.push((ports, self.parties_of(&one)));
                }
            }
        }
        clients
    }

    /// The parties that some classes are.
    fn parties_of(&self, nodes: &FixedBitSet) -> FixedBitSet {
        let mut parties = FixedBitSet::with_capacity(self.parties.len());
        parties.extend(nodes.ones().filter_map(|n| self.party_of.get(n).copied()));
        parties
    }

    /// Clients without those of which no rule can name even the namespace, and what these may use.
    fn named(
        &self,
        mut clients: Vec<(PortSet, FixedBitSet)>,
    ) -> (Vec<(PortSet, FixedBitSet)>, Option<PortSet>) {
        let mut nameless = None;
        if self.has_nameless() {
            for (ports, parties) in &mut clients {
                if parties.contains(0) {
                    parties.set(0, false);
                    nameless = either(nameless, Some(ports.clone()));
                }
            }
            clients.retain(|(_, parties)| !parties.is_clear());
        }
        (clients, nameless)
    }

    /// Clients without a known service account, with what anybody may use: others of their namespace
    /// may be behind the name that they do not have.
    fn unnamed(
        &self,
        anybody: Option<&PortSet>,
        clients: &[(PortSet, FixedBitSet)],
    ) -> Option<(PortSet, FixedBitSet)> {
        let unnamed = self.without_account(&union(clients));
        Some((anybody?.clone(), unnamed)).filter(|(_, parties)| !parties.is_clear())
    }

    /// Those of some parties whose service account is not known.
    fn without_account(&self, parties: &FixedBitSet) -> FixedBitSet {
        let has_none = |party: &usize| {
            let party = self.parties.get(*party);
            party.is_some_and(|p| p.service_account().is_none())
        };
        let mut unnamed = FixedBitSet::with_capacity(self.parties.len());
        unnamed.extend(parties.ones().filter(has_none));
        unnamed
    }

    /// Whether pods that are not in the input reach the tunnel's port of a class by a rule for
    /// everybody.
    pub(crate) fn is_open_to_strangers(&self, class: Node) -> bool {
        let isolated = self.network.is_isolated(class, Direction::Ingress);
        !isolated || self.open_to_anybody.contains(class)
    }

    /// What pods that are not in the input may use, when they can reach the tunnel at all. They have
    /// no name, so those of a block are not told from others.
    pub(crate) fn for_others(&self, class: Node) -> Option<PortSet> {
        if !self.network.is_isolated(class, Direction::Ingress) {
            return Some(self.tunnelled.clone());
        }
        let granted = self.for_anybody[class].intersection(&self.tunnelled);
        let reached = self.open_to_anybody.contains(class) || !granted.is_empty();
        let strangers = self.strangers(class).into_iter();
        let by_block = strangers.filter(|s| s.by_block && s.opens);
        let by_block = by_block.map(|s| s.before.intersection(&self.tunnelled));
        by_block.fold(reached.then_some(granted), |all, ports| {
            either(all, Some(ports))
        })
    }

    /// What a waypoint may let through to a Service, by Service port.
    pub(crate) fn service_demand(
        &self,
        service: &Service,
        waypoints: &[Node],
    ) -> Option<Demand<'_>> {
        let mut others = PortSet::none();
        let direct = |nodes: &FixedBitSet| {
            let mut direct = nodes.clone();
            direct.intersect_with(&self.speakers.clients);
            self.parties_of(&direct)
        };
        let reaching = waypoints.iter().flat_map(|&w| self.tunnel_clients(w));
        let mut clients: Vec<(PortSet, FixedBitSet)> = reaching
            .map(|(_, nodes)| (PortSet::none(), direct(&nodes)))
            .collect();
        let mut any_name = union(&clients);
        for workload in self.setting.backends(service) {
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
                let today = self.sets.get(value.before.high);
                let today = today.intersection(&self.tunnelled);
                let parties = direct(nodes);
                any_name.union_with(&parties);
                clients.push((leading(&today), parties));
            }
            let unlisted = self.unlisted(class, &union(&clients)).into_iter();
            clients.extend(unlisted.map(|(ports, parties)| (leading(&ports), parties)));
        }
        let ports = service.ports.iter().filter(|p| p.protocol == Protocol::Tcp);
        let universe: PortSet = ports
            .map(|p| PortSet::port(Protocol::Tcp, p.port))
            .collect();
        let (mut clients, nameless) = self.named(clients);
        clients.extend(self.unnamed(Some(&others), &clients));
        others = others.union(&nameless.unwrap_or_default());
        let clients = disjoint(&clients);
        let mut limits = clients.iter().map(|(ports, _)| ports);
        if limits.all(|ports| *ports == universe) && others == universe {
            return None;
        }
        Some(Demand {
            parties: &self.parties,
            clients,
            others: Some(others),
            any_name: self.without_account(&any_name),
            declared: PortSet::none(),
            universe,
        })
    }
}

/// Parties that a rule admits, by the namespace whose policies limit what they send, if any does.
type Admitted<'n> = (Option<&'n str>, Arc<FixedBitSet>);

/// Rules by which pods may send, with to whom at the most.
type Sending<'p> = Vec<(FixedBitSet, &'p Rule)>;

/// What pods of a namespace that are not in the input may send at the most, for namespaces in which a
/// policy isolates all pods: some rule of some policy there has to allow it.
fn sending<'p>(
    policies: &[&'p NetworkPolicy],
    selection: &mut Selection<'p>,
) -> BTreeMap<&'p str, Sending<'p>> {
    let own = |p: &'p NetworkPolicy| p.meta.namespace.as_str();
    let isolating = || policies.iter().copied().filter(|p| p.isolates_egress);
    let whole = isolating().filter(|p| p.pod_selector.is_empty());
    let mut limited: BTreeMap<&str, Sending<'_>> = whole.map(|p| (own(p), Vec::new())).collect();
    for policy in isolating() {
        let Some(rules) = limited.get_mut(own(policy)) else {
            continue;
        };
        for rule in &policy.egress {
            let peers = selection.peers(own(policy), &rule.peers);
            let peers = selection.get(peers);
            let mut to = peers.yes.clone();
            to.union_with(&peers.maybe);
            rules.push((to, rule));
        }
    }
    limited
}

/// All parties of some groups.
fn union(groups: &[(PortSet, FixedBitSet)]) -> FixedBitSet {
    let mut all = FixedBitSet::new();
    for (_, parties) in groups {
        all.union_with(parties);
    }
    all
}

/// The ports of both.
fn either(one: Option<PortSet>, another: Option<PortSet>) -> Option<PortSet> {
    match (one, another) {
        (Some(one), Some(another)) => Some(one.union(&another)),
        (one, another) => one.or(another),
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
