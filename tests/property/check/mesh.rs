//! Between pods in the mesh: what passed before passes the tunnel, or the waypoint, and no more.

use std::collections::{BTreeMap, BTreeSet};

use kubectl_ambient::model::Protocol;
use kubectl_ambient::plan::Relation;

use super::Case;
use super::claims::Pair;
use super::in_the_clear::{entering, past_sidecar};
use super::subjects::Subject;
use super::ways::{Way, ways};
use crate::reference::{
    Connection, Hop, Identity, Party, Pod, Port, admitted_by_sidecar, authorized,
    authorized_at_waypoint, authorized_by_sidecar, captures_dns, enters_waypoint, plaintext,
    refused_by_ztunnel, tunnel, via_waypoint, waypoint_pod,
};

/// The tunnel's own port, which a sidecar leaves to whoever listens there.
const TUNNEL: u16 = 15008;

/// What became of every port of every pair in every relation that governs it.
#[derive(Default)]
pub(super) struct Fates {
    pub(super) by_pair: BTreeMap<Pair, BTreeMap<Port, Fate>>,
    pub(super) flows: u64,
}

/// What became of one port of a pair, over all its pods.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fate {
    pub(super) gained: Certainty,
    pub(super) lost: Certainty,
    /// The user's own authorization policies refuse it in some reading before. Whether they were
    /// in force then is not in the manifests, so a plan may call it allowed or refused.
    pub(super) disputed: bool,
    /// Such a connection passes now.
    pub(super) widened: bool,
}

/// In how many readings of the manifests something is so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Certainty {
    #[default]
    Never,
    Sometimes,
    Always,
}

/// What the authorization policies that there were let pass, by who would apply them.
#[derive(Debug, Clone, Copy)]
pub(super) struct User {
    pub(super) by_ztunnel: bool,
    pub(super) by_sidecar: bool,
}

impl User {
    const NO_POLICY: Self = Self {
        by_ztunnel: true,
        by_sidecar: true,
    };
}

/// Answers about one port of one pair of pods, over the readings.
#[derive(Default)]
struct Tally {
    readings: u32,
    gained: u32,
    lost: u32,
    disputed: u32,
    widened: u32,
}

impl Tally {
    /// Counts one reading. `network`: the network policies let it pass before; `user`: so do the
    /// authorization policies that there were; `now`: it passes after.
    fn count(&mut self, network: bool, user: User, now: bool) {
        self.readings += 1;
        self.gained += u32::from(!network && now);
        self.lost += u32::from(network && user.by_ztunnel && !now);
        let refused = !user.by_ztunnel || !user.by_sidecar;
        self.disputed += u32::from(network && refused);
        self.widened += u32::from(network && !user.by_ztunnel && now);
    }

    /// Counts a way that is taken or not: whether the sidecar takes the tunnel is not known. Where it
    /// is not taken, nothing changes by it.
    fn count_if_taken(&mut self, network: bool, user: User, now: bool) {
        self.count(network, user, now);
        self.count(network, user, network && user.by_ztunnel);
    }

    fn fate(&self) -> Fate {
        let certainty = |count| match count {
            0 => Certainty::Never,
            n if n == self.readings => Certainty::Always,
            _ => Certainty::Sometimes,
        };
        Fate {
            gained: certainty(self.gained),
            lost: certainty(self.lost),
            disputed: self.disputed > 0,
            widened: self.widened > 0,
        }
    }
}

impl Fates {
    /// Compares a pair of workloads in the relations of the mesh.
    pub(super) fn compare(
        &mut self,
        case: &Case<'_>,
        ports: &BTreeSet<Port>,
        source: &Subject,
        destination: &Subject,
    ) {
        let pair = |relation| (source.name.clone(), destination.name.clone(), relation);
        let tcp: Vec<u16> = ports
            .iter()
            .filter(|p| p.protocol == Protocol::Tcp)
            .map(|p| p.number)
            .collect();
        if destination.behind_sidecar {
            for &port in tcp.iter().filter(|&&port| port != TUNNEL) {
                let mut tally = Tally::default();
                for (from, to) in source.with(destination) {
                    for (was, now) in past_sidecar(case, (source, from), (destination, to), port) {
                        tally.count(was, User::NO_POLICY, now);
                        self.flows += 1;
                    }
                }
                self.add(pair(Relation::Plaintext), port, &tally);
            }
        }
        if !source.sends {
            for &port in tcp
                .iter()
                .filter(|&&port| destination.in_mesh && port != TUNNEL)
            {
                let mut tally = Tally::default();
                for (from, to) in source.with(destination) {
                    let client = (Party::Pod(from), Some((from, source.vouched)));
                    for (was, now) in entering(case, client, (destination, to), port) {
                        tally.count(was, User::NO_POLICY, now);
                        self.flows += 1;
                    }
                }
                self.add(pair(Relation::Plaintext), port, &tally);
            }
            return;
        }
        let plain = !destination.in_mesh;
        let mut through_tunnel: BTreeMap<u16, Tally> = BTreeMap::new();
        // A port can be reached by several ways, each of which is compared.
        let mut through_waypoint: BTreeMap<(u16, Way), Tally> = BTreeMap::new();
        let vouched = source.vouched;
        for (from, to) in source.with(destination) {
            let direct = tcp.iter().filter(|_| !plain || destination.behind_sidecar);
            let guarded = destination.sidecar_today != Some(false);
            for &port in direct.filter(|&&port| travels(from, port, port)) {
                let (network, mut user) = before(case, (from, vouched), (to, guarded), port);
                let tally = through_tunnel.entry(port).or_default();
                if plain {
                    user.by_ztunnel = user.by_sidecar;
                    let now = tunnel_to_sidecar(case, from, to, port);
                    tally.count_if_taken(network, user, now);
                } else {
                    tally.count(network, user, tunnel(case.after, from, to, port));
                }
                self.flows += 1;
            }
            for way in ways(case, to, &tcp, plain) {
                let by_address = way.service.is_none();
                let refused = if plain {
                    // Only a Service leads through a waypoint to a pod outside of the mesh.
                    by_address
                } else {
                    refused_by_ztunnel(way.target_port)
                };
                if !is_look_up(from, way.asked_port) && !refused {
                    let client = (from, vouched);
                    let mut passed = if plain {
                        pass_in_the_clear(case, client, &way, (to, destination))
                    } else {
                        vec![pass_waypoint(case, client, &way, (to, guarded))]
                    };
                    if destination.behind_sidecar {
                        passed.extend(pass_into_sidecar(case, client, &way, to));
                    }
                    let key = (way.target_port, way);
                    let tally = through_waypoint.entry(key).or_default();
                    for (network, user, now) in passed {
                        tally.count(network, user, now);
                        self.flows += 1;
                    }
                }
            }
        }
        for (port, tally) in &through_tunnel {
            self.add(pair(Relation::Tunnel), *port, tally);
        }
        for ((port, _), tally) in &through_waypoint {
            self.add(pair(Relation::Waypoint), *port, tally);
        }
    }

    fn add(&mut self, pair: Pair, port: u16, tally: &Tally) {
        let ports = self.by_pair.entry(pair).or_default();
        let known = ports.entry(Port::tcp(port)).or_default();
        let fate = tally.fate();
        known.gained = known.gained.max(fate.gained);
        known.lost = known.lost.max(fate.lost);
        known.disputed |= fate.disputed;
        known.widened |= fate.widened;
    }
}

/// Whether a connection passes the tunnel to a pod whose sidecar accepts it, and decides.
fn tunnel_to_sidecar(case: &Case<'_>, from: &Pod, to: &Pod, port: u16) -> bool {
    let ends = (Party::Pod(from), Party::Pod(to));
    plaintext(case.after, ends.0, ends.1, Port::tcp(15008))
        && authorized_by_sidecar(case.after, to, &connection(from, to, port))
}

/// Whether a connection travels in the mesh: not when it is a look-up, which leaves the pod in the
/// clear, nor when ztunnel refuses its port.
pub(super) fn travels(from: &Pod, asked_port: u16, target_port: u16) -> bool {
    !is_look_up(from, asked_port) && !refused_by_ztunnel(target_port)
}

fn is_look_up(from: &Pod, asked_port: u16) -> bool {
    asked_port == 53 && captures_dns(from)
}

/// A client, and whether it has a sidecar before, which vouches for its identity: `None` where the
/// manifests do not tell.
pub(super) type Client<'p> = (&'p Pod, Option<bool>);

/// The identities that a client may present to a sidecar before.
pub(super) fn presented((from, vouched): Client<'_>) -> Vec<Option<Identity>> {
    let identity = Some(from.identity());
    match vouched {
        Some(true) => vec![identity],
        Some(false) => vec![None],
        None => vec![identity, None],
    }
}

/// Whether the network policies let a connection pass before, and the authorization policies, which a
/// sidecar applies only where there is one: `guarded`, unless there surely is none.
pub(super) fn before(
    case: &Case<'_>,
    client: Client<'_>,
    (to, guarded): (&Pod, bool),
    port: u16,
) -> (bool, User) {
    let from = client.0;
    let network = plaintext(
        case.before,
        Party::Pod(from),
        Party::Pod(to),
        Port::tcp(port),
    );
    let by_sidecar = |identity| {
        let mut connection = connection(from, to, port);
        connection.identity = identity;
        admitted_by_sidecar(case.before, to, &connection)
    };
    let user = User {
        by_ztunnel: authorized(case.before, to, &connection(from, to, port)),
        by_sidecar: !guarded || presented(client).into_iter().all(by_sidecar),
    };
    (network, user)
}

/// Whether a connection passed the network policies before, passed the authorization policies
/// before, and passes now.
type Passed = (bool, User, bool);

/// What became of a connection to a pod outside of the mesh by a way through a waypoint, by what may
/// be in the pod before and after: a sidecar, which the waypoint tells no identity, or nothing.
fn pass_in_the_clear(
    case: &Case<'_>,
    client: Client<'_>,
    way: &Way,
    (to, destination): (&Pod, &Subject),
) -> Vec<Passed> {
    let hop = (way.gateway.0.as_str(), way.gateway.1.as_str());
    let waypoint = waypoint_pod(case.before, hop);
    let from = client.0;
    let admits = |world, from: &Pod, identity| {
        let mut connection = connection(from, to, way.target_port);
        connection.identity = identity;
        admitted_by_sidecar(world, to, &connection)
    };
    let guarded = destination.sidecar_today != Some(false);
    let (network, user, now) = pass_waypoint(case, client, way, (to, guarded));
    let mut passed = Vec::new();
    if destination.sidecar_today != Some(true) {
        passed.push((network, user, now));
    }
    if destination.sidecar_today != Some(false) {
        for identity in presented(client) {
            let admitted = admits(case.before, from, identity);
            let user = User {
                by_ztunnel: user.by_ztunnel && admitted,
                by_sidecar: user.by_sidecar && admitted,
            };
            passed.push((network, user, now && admits(case.after, &waypoint, None)));
            if destination.loses_sidecar {
                passed.push((network, user, now));
            }
        }
    }
    passed
}

/// What became of a connection to a pod outside of the mesh by a way through a waypoint, if its sidecar
/// takes the tunnel.
fn pass_into_sidecar(case: &Case<'_>, client: Client<'_>, way: &Way, to: &Pod) -> Vec<Passed> {
    let from = client.0;
    let gateway = (way.gateway.0.as_str(), way.gateway.1.as_str());
    let waypoint = waypoint_pod(case.before, gateway);
    let (network, user, _) = pass_waypoint(case, client, way, (to, true));
    let into = tunnel_to_sidecar(case, &waypoint, to, way.target_port);
    let entered = enters_waypoint(case.after, from, &hop(way, &waypoint));
    let pass = |identity| {
        let mut connection = connection(from, to, way.target_port);
        connection.identity = identity;
        let admitted = admitted_by_sidecar(case.before, to, &connection);
        let user = User {
            by_ztunnel: user.by_ztunnel && admitted,
            by_sidecar: user.by_sidecar && admitted,
        };
        // Nobody knows what a sidecar does with a port that ztunnel refuses.
        let now = if refused_by_ztunnel(way.target_port) {
            network && user.by_ztunnel
        } else {
            entered && into
        };
        (network, user, now)
    };
    presented(client).into_iter().map(pass).collect()
}

/// What became of a connection by a way through a waypoint, apart from what is in a pod outside of
/// the mesh.
fn pass_waypoint(
    case: &Case<'_>,
    client: Client<'_>,
    way: &Way,
    (to, guarded): (&Pod, bool),
) -> Passed {
    let from = client.0;
    let plain = way.plain;
    let gateway = (way.gateway.0.as_str(), way.gateway.1.as_str());
    let mut waypoint = waypoint_pod(case.before, gateway);
    for pod in [from, to] {
        if pod.namespace == waypoint.namespace {
            waypoint.namespace_labels.clone_from(&pod.namespace_labels);
        }
    }
    let hop = hop(way, &waypoint);
    let (network, user) = before(case, client, (to, guarded), way.target_port);
    let at_waypoint = connection(from, &waypoint, way.asked_port);
    let passes = authorized_at_waypoint(case.before, gateway, hop.service, &at_waypoint);
    let user = User {
        by_ztunnel: (user.by_ztunnel || plain) && passes,
        by_sidecar: (user.by_sidecar || plain) && passes,
    };
    (network, user, via_waypoint(case.after, from, &hop, to))
}

fn hop<'w>(way: &'w Way, waypoint: &'w Pod) -> Hop<'w> {
    let service = way.service.as_ref();
    Hop {
        gateway: (way.gateway.0.as_str(), way.gateway.1.as_str()),
        waypoint,
        service: service.map(|(namespace, name)| (namespace.as_str(), name.as_str())),
        asked_port: way.asked_port,
        target_port: way.target_port,
        plain: way.plain,
    }
}

pub(super) fn connection(from: &Pod, to: &Pod, port: u16) -> Connection {
    Connection {
        identity: Some(from.identity()),
        source: from.address,
        destination: to.address,
        port,
    }
}
