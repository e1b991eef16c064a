//! A world, compiled for questions.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ambient_facts::ports;

use super::authorized::Authorizer;
use super::{Lens, Mode};
use crate::authz::{Enforcer, Party};
use crate::migrate::{Role, Scope, ScopeOptions};
use crate::model::{AuthorizationPolicy, EndpointId, Endpoints, Protocol, Workload, World};
use crate::netpol::{
    Assumptions, Bounds, Distinctions, Network, Node, PortSet, PortSetId, PortSets, Selection,
    Trait, Universe, Value, Version,
};

/// Nothing is allowed.
pub(super) const NOTHING: Bounds = Bounds {
    low: PortSets::NONE,
    high: PortSets::NONE,
};

/// A world and its policies, ready to be asked.
pub(super) struct View<'w> {
    pub(super) world: &'w World,
    pub(super) endpoints: Endpoints,
    pub(super) universe: Universe,
    pub(super) sets: PortSets,
    network: Network,
    /// By class.
    speakers: Vec<Speaker>,
    authorizer: Authorizer<'w>,
    outside: Outside,
    /// What ztunnel does not connect to for anybody.
    refused: PortSetId,
}

/// What the pods of a class do with the tunnel.
#[derive(Debug, Clone, Copy, Default)]
struct Speaker {
    role: Role,
    party: Option<usize>,
}

/// What never goes through the tunnel.
#[derive(Debug, Clone, Copy)]
struct Outside {
    always: PortSetId,
    /// From pods whose look-ups of names are captured.
    with_names: PortSetId,
}

impl Outside {
    fn new(sets: &mut PortSets) -> Self {
        let always = PortSet::protocol(Protocol::Sctp).union(&PortSet::protocol(Protocol::Udp));
        Self {
            with_names: sets.intern(always.union(&PortSet::port(Protocol::Tcp, ports::DNS))),
            always: sets.intern(always),
        }
    }
}

impl<'w> View<'w> {
    pub(super) fn of(world: &'w World, parties: &'w [Party], lens: &Lens) -> Self {
        let mode = lens.mode;
        let endpoints = Endpoints::of(world);
        let roles = match mode {
            Mode::Plaintext => vec![Role::default(); world.workloads.len()],
            Mode::Tunnel => {
                let scope = Scope::of(world, &endpoints, &ScopeOptions::default());
                let role = |(index, w): (usize, &Workload)| {
                    Role::of(
                        world,
                        w,
                        scope.workload(index),
                        scope.enrols(&w.meta.namespace),
                    )
                };
                world.workloads.iter().enumerate().map(role).collect()
            }
        };
        let traits: Vec<Trait> = roles
            .iter()
            .map(|role| Trait {
                tag: tag(*role),
                identity_known: mode == Mode::Tunnel,
                imagined: false,
            })
            .collect();
        let selecting = match mode {
            Mode::Plaintext => &[],
            Mode::Tunnel => &world.authorization_policies[..],
        };
        let keys = selecting.iter().flat_map(|p| p.selector.keys());
        let policies = &world.network_policies;
        let universe = Universe::of(
            world,
            &endpoints,
            policies,
            Distinctions {
                keys: keys.map(String::as_str).collect(),
                ..Distinctions::default()
            },
            &traits,
            Assumptions::default().with_pod_ranges(&lens.pod_ranges),
        );
        let mut sets = PortSets::default();
        let versions: Vec<Version<'_>> = policies.iter().map(Version::unchanged).collect();
        let network = Network::compile(Selection::new(world, &universe), &versions, &mut sets);
        let authorizer = Authorizer::new(selecting, parties, &world.mesh);
        let classes = universe.classes().iter();
        let speakers = classes.map(|class| {
            let workload = class.workloads.first().copied();
            let pods = workload.and_then(|w| world.workloads.get(w));
            Speaker {
                role: workload
                    .and_then(|w| roles.get(w))
                    .copied()
                    .unwrap_or_default(),
                party: pods.and_then(|w| authorizer.party(w)),
            }
        });
        Self {
            speakers: speakers.collect(),
            outside: Outside::new(&mut sets),
            refused: sets.intern(refused_by_ztunnel()),
            world,
            endpoints,
            universe,
            sets,
            network,
            authorizer,
        }
    }

    /// The classes of an endpoint's pods.
    pub(super) fn classes_of(&self, endpoint: EndpointId) -> Vec<Node> {
        let endpoint = self.endpoints.get(endpoint);
        let workloads = endpoint.map_or(&[][..], |e| &e.workloads);
        let classes = workloads.iter().filter_map(|&w| self.universe.class_of(w));
        let mut classes: Vec<Node> = classes.collect();
        classes.sort_unstable();
        classes.dedup();
        classes
    }

    /// What gets from one node to another.
    pub(super) fn between(&mut self, source: Node, destination: Node) -> Bounds {
        let plain = self
            .network
            .value(source, destination, &mut self.sets)
            .before;
        if !self.is_tunnelled(source, destination) {
            return plain;
        }
        let inside = self.authorized(source, destination);
        self.carried(plain, inside, self.speaker(source).role)
    }

    /// What each node may send to some classes, taken together.
    pub(super) fn reaching(&mut self, destinations: &[Node]) -> Vec<Bounds> {
        let mut all = vec![NOTHING; self.universe.nodes()];
        for &destination in destinations {
            let groups = self.network.sources_of(destination, &mut self.sets);
            let authorized = self.authorized_at(destination);
            for (Value { before, .. }, sources) in groups {
                // Few differ: by what policies authorize, and whether names are captured.
                let mut known: BTreeMap<(Bounds, bool), Bounds> = BTreeMap::new();
                for source in sources.ones() {
                    let mut bounds = before;
                    if self.is_tunnelled(source, destination) {
                        let role = self.speaker(source).role;
                        let inside = self.of_party(source, authorized.as_deref());
                        let carried = || self.carried(before, inside, role);
                        let key = (inside, role.dns_captured);
                        bounds = *known.entry(key).or_insert_with(carried);
                    }
                    if let Some(so_far) = all.get_mut(source) {
                        *so_far = union(*so_far, bounds, &mut self.sets);
                    }
                }
            }
        }
        all
    }

    /// What the tunnel and the ways beside it carry together.
    fn carried(&mut self, plain: Bounds, inside: Bounds, source: Role) -> Bounds {
        let outside = if source.dns_captured {
            self.outside.with_names
        } else {
            self.outside.always
        };
        let (sets, refused) = (&mut self.sets, self.refused);
        let mut side = |plain: PortSetId, inside: PortSetId| {
            let beside = sets.intersection(plain, outside);
            if !sets.get(plain).contains(Protocol::Tcp, ports::HBONE) {
                return beside;
            }
            let inside = sets.difference(inside, outside);
            let inside = sets.difference(inside, refused);
            sets.union(beside, inside)
        };
        Bounds {
            low: side(plain.low, inside.low),
            high: side(plain.high, inside.high),
        }
    }

    /// Whether TCP between two nodes goes through the tunnel.
    pub(super) fn is_tunnelled(&self, source: Node, destination: Node) -> bool {
        self.speaker(source).role.sends && self.speaker(destination).role.surely_receives()
    }

    /// What AuthorizationPolicies let a class use at another, through the tunnel.
    pub(super) fn authorized(&mut self, source: Node, destination: Node) -> Bounds {
        let authorized = self.authorized_at(destination);
        self.of_party(source, authorized.as_deref())
    }

    /// What AuthorizationPolicies let each party use at a class that the tunnel leads to.
    fn authorized_at(&mut self, destination: Node) -> Option<Arc<[Bounds]>> {
        let Speaker { role, .. } = self.speaker(destination);
        let enforcer = if role.behind_sidecar {
            Enforcer::Envoy
        } else {
            Enforcer::Ztunnel
        };
        let workload = self
            .workload(destination)
            .filter(|_| role.surely_receives())?;
        Some(self.authorizer.decide(workload, enforcer, &mut self.sets))
    }

    fn of_party(&self, source: Node, authorized: Option<&[Bounds]>) -> Bounds {
        let party = self.speaker(source).party;
        let known = party
            .zip(authorized)
            .and_then(|(party, all)| all.get(party));
        known.copied().unwrap_or(NOTHING)
    }

    /// The AuthorizationPolicies that apply to the pods of a class.
    pub(super) fn authorizing(&self, destination: Node) -> Vec<&'w AuthorizationPolicy> {
        let workload = self.workload(destination);
        let applying = workload.map(|w| self.authorizer.applying(w));
        let policies = &self.world.authorization_policies;
        let applying = applying.into_iter().flatten();
        applying.filter_map(|index| policies.get(index)).collect()
    }

    /// What a class never sends through the tunnel.
    pub(super) fn outside_tunnel(&self, source: Node) -> &PortSet {
        self.sets.get(if self.speaker(source).role.dns_captured {
            self.outside.with_names
        } else {
            self.outside.always
        })
    }

    /// One of the pods of a class; no policy tells them apart.
    fn workload(&self, class: Node) -> Option<&'w Workload> {
        let workload = self.universe.classes().get(class)?.workloads.first()?;
        self.world.workloads.get(*workload)
    }

    fn speaker(&self, node: Node) -> Speaker {
        self.speakers.get(node).copied().unwrap_or_default()
    }

    /// Nodes of the address ranges.
    pub(super) fn address_nodes(&self) -> Range<Node> {
        self.universe.classes().len()..self.universe.nodes()
    }
}

/// The ports that the tunnel leads to nowhere.
pub(super) fn refused_by_ztunnel() -> PortSet {
    let ports = ports::REFUSED.map(|p| PortSet::port(Protocol::Tcp, p));
    ports.into_iter().collect()
}

/// Connections as people read them. The ports that ztunnel keeps for itself are no application's,
/// so inside the tunnel everything is what is left without them.
pub(super) fn shown(ports: &PortSet, mode: Mode) -> String {
    let everything = || ports.union(&refused_by_ztunnel()).is_all();
    if mode == Mode::Tunnel && everything() {
        return PortSet::all().to_string();
    }
    ports.to_string()
}

/// What is in either.
pub(super) fn union(a: Bounds, b: Bounds, sets: &mut PortSets) -> Bounds {
    if a == NOTHING || a == b {
        return b;
    }
    Bounds {
        low: sets.union(a.low, b.low),
        high: sets.union(a.high, b.high),
    }
}

/// A number for what a pod does with the tunnel.
fn tag(role: Role) -> u32 {
    let bits = [
        role.sends,
        role.surely_receives(),
        role.dns_captured,
        role.behind_sidecar,
    ];
    bits.into_iter()
        .fold(0, |tag, bit| tag << 1 | u32::from(bit))
}
