//! The compiled policies before and after, and what each destination's tunnel may carry.

pub(super) mod demands;
pub(super) mod naming;
pub(super) mod unlisted;
mod unused;
pub(super) mod ways;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ambient_facts::{addresses, ports};
use fixedbitset::FixedBitSet;

use super::opening::{Opening, Speakers};
use super::setting::Setting;
use super::setting::role::ClientToday;
use crate::authz::{Crowd, Party, Places, TrustDomain};
use crate::model::{Protocol, WorkloadKind};
use crate::netpol::{Class, Network, Node, PortSet, PortSets, Selection, Universe, Value};
use unlisted::unlisted_parties;
use ways::Way;

/// Everything that limits and proof are made from.
pub(crate) struct Analysis<'s, 'w> {
    pub(crate) setting: &'s Setting<'w>,
    pub(crate) universe: &'s Universe,
    pub(crate) opening: &'s Opening,
    pub(crate) network: Network,
    pub(crate) sets: PortSets,
    pub(crate) speakers: Speakers,
    /// TCP ports that the tunnel carries: all but those that ztunnel keeps for itself.
    pub(crate) tunnelled: PortSet,
    /// The distinct clients that rules can tell apart.
    pub(crate) parties: Vec<Party>,
    /// By class: its place among the parties.
    pub(crate) party_of: Vec<usize>,
    /// By party: the classes that are it.
    pub(crate) nodes_of_party: Vec<Vec<Node>>,
    /// The classes, by what is learned of them as clients today.
    pub(crate) clients_today: Vec<(ClientToday, FixedBitSet)>,
    /// By class: the waypoint that it is the pods of.
    waypoint_of: Vec<Option<usize>>,
    /// By class: the nodes that may send something to it, by what.
    sources: Vec<Vec<(Value, FixedBitSet)>>,
    /// By class: ports granted to any pod there may be.
    pub(crate) for_anybody: Vec<PortSet>,
    /// Classes whose tunnel's port is open to any pod there may be.
    pub(crate) open_to_anybody: FixedBitSet,
    /// By class that the tunnel is let into and nobody of the input reaches: the ports that its
    /// policies list.
    listed_unused: BTreeMap<Node, PortSet>,
    /// By class: ports granted to any pod of some namespaces, and the parties that stand there for
    /// pods that are not in the input.
    pub(crate) for_namespaces: Vec<Vec<(PortSet, Arc<FixedBitSet>)>>,
    /// By class: the ways to it through waypoints.
    pub(crate) ways: Vec<Vec<Way>>,
    /// By waypoint: the classes of its pods.
    pub(crate) nodes_of_waypoint: Vec<Vec<Node>>,
    /// By waypoint: the ports of pods behind it that it reaches in the clear.
    pub(crate) in_the_clear: BTreeMap<usize, PortSet>,
}

impl<'s, 'w> Analysis<'s, 'w> {
    /// Compiles the policies of the world and those that will be there.
    pub(crate) fn of(
        setting: &'s Setting<'w>,
        universe: &'s Universe,
        opening: &'s Opening,
    ) -> Self {
        let world = &*setting.world;
        let mut sets = PortSets::default();
        let selection = Selection::new(world, universe);
        let speakers = Speakers::of(setting, &selection);
        let versions = opening.versions(&world.network_policies);
        let network = Network::compile(selection, &versions, &mut sets);
        let classes = 0..universe.classes().len();
        let sources = classes
            .map(|class| network.sources_of(class, &mut sets))
            .collect();
        let reserved = ports::REFUSED
            .map(|p| PortSet::port(Protocol::Tcp, p))
            .into_iter()
            .collect();
        let party = |class: &Class| {
            if setting.nameless.contains(&class.namespace) {
                Party::nameless()
            } else {
                Party::new(&class.namespace, class.service_account.as_deref())
            }
        };
        let of_class: Vec<Party> = universe.classes().iter().map(party).collect();
        let mut parties: BTreeSet<Party> = of_class.iter().cloned().collect();
        parties.extend(unlisted_parties(setting));
        let parties: Vec<Party> = parties.into_iter().collect();
        let place = |party: &Party| parties.binary_search(party).unwrap_or_default();
        let party_of: Vec<usize> = of_class.iter().map(place).collect();
        let mut nodes_of_party = vec![Vec::new(); parties.len()];
        for (node, &party) in party_of.iter().enumerate() {
            if let Some(nodes) = nodes_of_party.get_mut(party) {
                nodes.push(node);
            }
        }
        let waypoint_of = |class: &Class| setting.waypoint_at(*class.workloads.first()?);
        let mut clients_today: BTreeMap<ClientToday, FixedBitSet> = BTreeMap::new();
        for (node, class) in universe.classes().iter().enumerate() {
            let part = class.workloads.first().and_then(|&w| setting.part_of(w));
            let client = part.map(|p| p.client_today).unwrap_or_default();
            let alike = clients_today.entry(client).or_default();
            alike.grow_and_insert(node);
        }
        let mut analysis = Self {
            clients_today: clients_today.into_iter().collect(),
            waypoint_of: universe.classes().iter().map(waypoint_of).collect(),
            parties,
            party_of,
            nodes_of_party,
            setting,
            universe,
            opening,
            network,
            sources,
            sets,
            speakers,
            tunnelled: PortSet::protocol(Protocol::Tcp).difference(&reserved),
            open_to_anybody: FixedBitSet::with_capacity(universe.classes().len()),
            for_anybody: vec![PortSet::none(); universe.classes().len()],
            listed_unused: BTreeMap::new(),
            for_namespaces: vec![Vec::new(); universe.classes().len()],
            ways: vec![Vec::new(); universe.classes().len()],
            nodes_of_waypoint: vec![Vec::new(); setting.waypoints.all.len()],
            in_the_clear: BTreeMap::new(),
        };
        let added = opening.added.iter().map(|a| &a.policy);
        let after = opening.after.iter().chain(added);
        analysis.find_grants_for_anybody(&world.network_policies, after.clone());
        analysis.find_unused_entrances(&world.network_policies, after);
        analysis.find_grants_for_namespaces();
        analysis.find_ways();
        analysis
    }

    /// Everybody, for policies to decide about.
    pub(crate) fn crowd(&self) -> Crowd<'_> {
        let domain = TrustDomain::of(&self.setting.world.mesh.trust_domains());
        let crowd = Crowd::new(&self.parties).of_domain(domain);
        if !self.universe.is_cut_for_others() {
            return crowd;
        }
        let mut on_nodes = FixedBitSet::with_capacity(self.parties.len());
        for (class, &party) in self.universe.classes().iter().zip(&self.party_of) {
            if class.host_network {
                on_nodes.insert(party);
            }
        }
        crowd.at(Places {
            ranges: self.universe.address_ranges().to_vec(),
            pods: self.universe.assumptions().pod_addresses.clone(),
            on_nodes,
        })
    }

    /// Who of the crowd a node is that presents no identity.
    pub(crate) fn without_identity(&self, crowd: &Crowd<'_>, node: Node) -> usize {
        let classes = self.universe.classes();
        match classes.get(node) {
            Some(class) if class.host_network => crowd.anonymous(),
            Some(_) => crowd.plain_pod(),
            None => crowd.plain_address(node.saturating_sub(classes.len())),
        }
    }

    /// Everybody as one who presents no identity, by whom of the crowd that is.
    pub(crate) fn plain_clients(&self, crowd: &Crowd<'_>) -> Vec<(usize, FixedBitSet)> {
        let all = self.universe.nodes();
        let mut plain: BTreeMap<usize, FixedBitSet> = BTreeMap::new();
        for node in 0..all {
            let nodes = plain.entry(self.without_identity(crowd, node));
            let nodes = nodes.or_insert_with(|| FixedBitSet::with_capacity(all));
            nodes.insert(node);
        }
        plain.into_iter().collect()
    }

    /// Whether there are clients of which not even the namespace is known.
    pub(crate) fn has_nameless(&self) -> bool {
        self.parties.first().is_some_and(Party::is_nameless)
    }

    /// The waypoint that a class is the pods of.
    pub(crate) fn waypoint_at(&self, node: Node) -> Option<usize> {
        self.waypoint_of.get(node).copied().flatten()
    }

    /// What is learned of a node as a client today.
    pub(crate) fn client_today(&self, node: Node) -> ClientToday {
        let class = self.universe.classes().get(node);
        let part = class.and_then(|c| self.setting.part_of(*c.workloads.first()?));
        part.map(|p| p.client_today).unwrap_or_default()
    }

    /// Whether connections of a node go through waypoints today, where these are used; `None` when the
    /// input does not tell. Sidecars go past them (istio issue 51445). Who does not join goes on as today.
    pub(crate) fn takes_waypoints_today(&self, node: Node) -> Option<bool> {
        let class = self.universe.classes().get(node);
        let part = class.and_then(|c| self.setting.part_of(*c.workloads.first()?));
        match part.filter(|part| part.joins) {
            Some(part) => part.captured_today,
            None => Some(true),
        }
    }

    /// Whether the tunnel's port is in one side of a value.
    pub(crate) fn opens_tunnel(&self, set: crate::netpol::PortSetId) -> bool {
        self.sets.get(set).contains(Protocol::Tcp, ports::HBONE)
    }

    /// All nodes that may send something to a class, grouped by what.
    pub(crate) fn sources_of(&self, class: Node) -> &[(Value, FixedBitSet)] {
        self.sources.get(class).map_or(&[], Vec::as_slice)
    }

    /// All nodes, grouped by what they may send to a class.
    pub(crate) fn all_sources_of(&self, class: Node) -> Vec<(Value, FixedBitSet)> {
        let mut groups = self.sources_of(class).to_vec();
        let mut rest = FixedBitSet::with_capacity(self.universe.nodes());
        rest.insert_range(..);
        for (_, nodes) in &groups {
            rest.difference_with(nodes);
        }
        groups.push((Value::NONE, rest));
        groups
    }

    /// What one node may send to a class.
    pub(crate) fn value_at(&self, source: Node, class: Node) -> Value {
        let mut groups = self.sources_of(class).iter();
        groups
            .find(|(_, nodes)| nodes.contains(source))
            .map_or(Value::NONE, |(value, _)| *value)
    }

    /// Whether the pods of a class are only imagined, because a policy speaks of them.
    pub(crate) fn is_imagined(&self, node: Node) -> bool {
        let class = self.universe.classes().get(node);
        class.is_some_and(|c| c.imagined)
    }

    /// Whether all addresses of a range are pods': what becomes of connections to pods is told of these.
    /// `None` where pods may have them, and others too.
    pub(crate) fn are_pods(&self, range: Node) -> Option<bool> {
        let place = range.checked_sub(self.universe.classes().len())?;
        let range = self.universe.address_ranges().get(place)?;
        let mut blocks = self.universe.assumptions().pod_addresses.iter();
        let inside = blocks.any(|b| b.contains(&range.first) && b.contains(&range.last));
        let known = !self.setting.options.pod_ranges.is_empty();
        match (inside, known) {
            (true, true) => Some(true),
            (true, false) => None,
            (false, _) => Some(false),
        }
    }

    /// Whether a node is the address that the node agent gives to what comes from a pod's own node.
    pub(crate) fn is_probe(&self, range: Node) -> bool {
        let place = range.checked_sub(self.universe.classes().len());
        let range = place.and_then(|place| self.universe.address_ranges().get(place));
        let probes = [addresses::NODE_PROBE_V4, addresses::NODE_PROBE_V6];
        range.is_some_and(|r| r.first == r.last && probes.contains(&r.first))
    }

    /// Whether there is only one pod in a class, so that nothing of it connects to it but itself,
    /// which no policy can prevent.
    pub(crate) fn is_one_pod(&self, class: Node) -> bool {
        let world = &self.setting.world;
        match self.universe.classes().get(class).map(|c| &c.workloads[..]) {
            Some([one]) => world
                .workloads
                .get(*one)
                .is_some_and(|w| w.kind == WorkloadKind::Pod),
            _ => false,
        }
    }

    /// The classes of some parties.
    pub(crate) fn nodes_of(&self, parties: &FixedBitSet) -> impl Iterator<Item = Node> {
        let nodes = parties.ones().filter_map(|p| self.nodes_of_party.get(p));
        nodes.flatten().copied()
    }

    /// The TCP ports that the pods of a class declare.
    pub(crate) fn declared(&self, class: Node) -> PortSet {
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
}
