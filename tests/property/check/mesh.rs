//! Between pods in the mesh: what passed before passes the tunnel, or the waypoint, and no more.

use std::collections::{BTreeMap, BTreeSet};

use kubectl_ambient::model::{PeerMode, Protocol, World};
use kubectl_ambient::plan::Relation;

use super::Case;
use super::claims::Pair;
use super::in_the_clear::{entering, past_sidecar};
use super::subjects::Subject;
use super::ways::{Way, ways};
use crate::reference::{
    Connection, Hop, Identity, Party, Pod, Port, admitted_by_sidecar, authorized,
    authorized_at_waypoint, authorized_by_sidecar, captures_dns, enters_waypoint, is_sidecars_own,
    modes, plain_to_mesh, plaintext, refused_by_ztunnel, tunnel, via_waypoint, waypoint_pod,
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

/// Answers about one port of one pair of pods, over the readings.
#[derive(Default)]
struct Tally {
    readings: u32,
    gained: u32,
    lost: u32,
}

impl Tally {
    /// Counts one reading. `was`: it passed before; `now`: it passes after.
    fn count(&mut self, was: bool, now: bool) {
        self.readings += 1;
        self.gained += u32::from(!was && now);
        self.lost += u32::from(was && !now);
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
                        tally.count(was, now);
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
                        tally.count(was, now);
                        self.flows += 1;
                    }
                }
                self.add(pair(Relation::Plaintext), port, &tally);
            }
            return;
        }
        let plain = !destination.in_mesh;
        let ends = (source, destination);
        let mut through_tunnel: BTreeMap<u16, Tally> = BTreeMap::new();
        // A port can be reached by several ways, each of which is compared.
        let mut through_waypoint: BTreeMap<(u16, Way), Tally> = BTreeMap::new();
        for pods in source.with(destination) {
            let (from, to) = pods;
            let direct = tcp
                .iter()
                .filter(|_| destination.takes_tunnel != Some(false));
            for &port in direct.filter(|&&port| travels(from, port, port)) {
                let tally = through_tunnel.entry(port).or_default();
                for (was, now) in pass_tunnel(case, ends, pods, port) {
                    tally.count(was, now);
                    self.flows += 1;
                }
            }
            for way in ways(case, to, &tcp, plain) {
                // By its address a pod is asked for through a waypoint only if it takes the tunnel.
                let by_address = way.service.is_none();
                let is_refused = match destination.takes_tunnel {
                    Some(true) => refused_by_ztunnel(way.target_port),
                    _ => by_address,
                };
                if !is_look_up(from, way.asked_port) && !is_refused {
                    let tally = through_waypoint.entry((way.target_port, way.clone()));
                    let tally = tally.or_default();
                    for (was, now) in pass_way(case, ends, pods, &way) {
                        tally.count(was, now);
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
    let admits = |mode| {
        admitted(case.before, client, to, port, mode)
            .into_iter()
            .all(|p| p)
    };
    let user = User {
        by_ztunnel: authorized(case.before, to, &connection(from, to, port)),
        by_sidecar: !guarded || modes(case.before, to, port).into_iter().all(admits),
    };
    (by_network(case, from, to, port), user)
}

fn by_network(case: &Case<'_>, from: &Pod, to: &Pod, port: u16) -> bool {
    let ends = (Party::Pod(from), Party::Pod(to));
    plaintext(case.before, ends.0, ends.1, Port::tcp(port))
}

/// Whether a sidecar in a pod lets a connection in, with each identity that the client may present.
fn admitted(world: &World, client: Client<'_>, to: &Pod, port: u16, mode: PeerMode) -> Vec<bool> {
    let admits = |identity| {
        let mut connection = connection(client.0, to, port);
        connection.identity = identity;
        admitted_by_sidecar(world, to, &connection, mode)
    };
    presented(client).into_iter().map(admits).collect()
}

/// Whether a connection passed before, and whether it passes now.
type Passed = (bool, bool);

/// Whether a connection passes now: `None` where nothing changes for it.
type Now = Option<bool>;

/// A connection on its way in the mesh.
struct Passage<'p> {
    ends: (&'p Subject, &'p Subject),
    pods: (&'p Pod, &'p Pod),
    /// The port of the pod.
    port: u16,
    by_waypoint: Option<ByWaypoint<'p>>,
}

/// A waypoint that a connection may go through already.
struct ByWaypoint<'p> {
    pod: &'p Pod,
    /// Whether the policies there let it pass before.
    passes: bool,
}

/// What may be so.
fn cases(known: Option<bool>) -> Vec<bool> {
    known.map_or_else(|| vec![true, false], |known| vec![known])
}

impl Passage<'_> {
    /// What becomes of it in all cases that the manifests leave open. Before, there was a sidecar in the
    /// pod, or ztunnel was before it, which let it in or not, or there was nothing. `now` is what comes
    /// after each, with a sidecar by the mode of mutual TLS.
    fn outcomes(
        &self,
        case: &Case<'_>,
        alone: &[Now],
        with_sidecar: &dyn Fn(PeerMode) -> Vec<Now>,
    ) -> Vec<Passed> {
        let (source, destination) = self.ends;
        let (from, to) = self.pods;
        let network = by_network(case, from, to, self.port);
        let outcome = |was, now: Now| (was, now.unwrap_or(was));
        let mut outcomes = Vec::new();
        let ways: Vec<Option<&ByWaypoint<'_>>> = match &self.by_waypoint {
            Some(waypoint) => cases(source.takes_waypoints_today)
                .into_iter()
                .map(|takes_it| takes_it.then_some(waypoint))
                .collect(),
            None => vec![None],
        };
        for through in ways {
            let arrives = network && through.is_none_or(|w| w.passes);
            if destination.sidecar_today != Some(true) && destination.captured_today != Some(true) {
                outcomes.extend(alone.iter().map(|&now| outcome(arrives, now)));
            }
            if destination.captured_today != Some(false) {
                for admitted in self.by_ztunnel(case, through) {
                    let passed = arrives && admitted;
                    outcomes.extend(alone.iter().map(|&now| outcome(passed, now)));
                }
            }
            if destination.sidecar_today == Some(false) {
                continue;
            }
            for mode in modes(case.before, to, self.port) {
                for admitted in self.by_sidecar(case, through, mode) {
                    for now in with_sidecar(mode) {
                        // What serves there goes with the sidecar, and is nothing of the pod.
                        let lets_in = match now {
                            Some(now) if is_sidecars_own(self.port) => now,
                            _ => admitted,
                        };
                        outcomes.push(outcome(arrives && lets_in, now));
                    }
                }
            }
        }
        outcomes
    }

    /// Whether ztunnel lets it in before, with an identity where it comes through the tunnel.
    fn by_ztunnel(&self, case: &Case<'_>, way: Option<&ByWaypoint<'_>>) -> Vec<bool> {
        let (from, to) = self.pods;
        let known = |from| authorized(case.before, to, &connection(from, to, self.port));
        if let Some(waypoint) = way {
            return vec![known(waypoint.pod)];
        }
        let mut admitted = Vec::new();
        for tunnels in cases(self.ends.0.tunnels_today) {
            if tunnels {
                admitted.push(known(from));
            } else {
                let modes = modes(case.before, to, self.port).into_iter();
                let from = Party::Pod(from);
                admitted.extend(modes.map(|m| plain_to_mesh(case.before, from, to, self.port, m)));
            }
        }
        admitted
    }

    /// Whether a sidecar lets it in before, with each identity that may be presented.
    fn by_sidecar(
        &self,
        case: &Case<'_>,
        way: Option<&ByWaypoint<'_>>,
        mode: PeerMode,
    ) -> Vec<bool> {
        let (source, destination) = self.ends;
        let (from, to) = self.pods;
        let takes_tunnel = destination.sidecar_takes_tunnel_today;
        if let Some(waypoint) = way {
            let client = (waypoint.pod, takes_tunnel);
            return admitted(case.before, client, to, self.port, mode);
        }
        let in_tunnel = match takes_tunnel {
            Some(true) => source.tunnels_today,
            Some(false) => Some(false),
            None => source.tunnels_today.filter(|tunnels| !tunnels),
        };
        let known = match (source.vouched, in_tunnel) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        };
        let client = (from, known);
        admitted(case.before, client, to, self.port, mode)
    }
}

/// What becomes of a connection through the tunnel.
fn pass_tunnel(
    case: &Case<'_>,
    ends: (&Subject, &Subject),
    (from, to): (&Pod, &Pod),
    port: u16,
) -> Vec<Passed> {
    let passage = Passage {
        ends,
        pods: (from, to),
        port,
        by_waypoint: None,
    };
    let destination = ends.1;
    if destination.in_mesh {
        let now = [Some(tunnel(case.after, from, to, port))];
        return passage.outcomes(case, &now, &|_| now.to_vec());
    }
    // Where the tunnel is not taken, nothing changes by it.
    let into_sidecar = Some(tunnel_to_sidecar(case, from, to, port));
    passage.outcomes(case, &[], &|_| match destination.takes_tunnel {
        Some(_) => vec![into_sidecar],
        None => vec![into_sidecar, None],
    })
}

/// What becomes of a connection by a way through a waypoint.
fn pass_way(
    case: &Case<'_>,
    ends: (&Subject, &Subject),
    (from, to): (&Pod, &Pod),
    way: &Way,
) -> Vec<Passed> {
    let destination = ends.1;
    let gateway = (way.gateway.0.as_str(), way.gateway.1.as_str());
    let mut waypoint = waypoint_pod(case.before, gateway);
    for pod in [from, to] {
        if pod.namespace == waypoint.namespace {
            waypoint.namespace_labels.clone_from(&pod.namespace_labels);
        }
    }
    let hop = hop(way, &waypoint);
    let at_waypoint = connection(from, &waypoint, way.asked_port);
    let passage = Passage {
        ends,
        pods: (from, to),
        port: way.target_port,
        by_waypoint: way.is_used_today.then(|| ByWaypoint {
            pod: &waypoint,
            passes: authorized_at_waypoint(case.before, gateway, hop.service, &at_waypoint),
        }),
    };
    let through = via_waypoint(case.after, from, &hop, to);
    let alone = [Some(through)];
    if destination.in_mesh {
        return passage.outcomes(case, &alone, &|_| alone.to_vec());
    }
    let into_sidecar = if refused_by_ztunnel(way.target_port) {
        // Nobody knows what a sidecar does with such a port.
        None
    } else {
        let enters = enters_waypoint(case.after, from, &hop);
        Some(enters && tunnel_to_sidecar(case, &waypoint, to, way.target_port))
    };
    passage.outcomes(case, &alone, &|mode| {
        let mut now = Vec::new();
        if destination.takes_tunnel != Some(true) {
            // The waypoint presents no identity in the clear.
            let client = (&waypoint, Some(false));
            let admitted = admitted(case.after, client, to, way.target_port, mode);
            now.push(Some(through && admitted.into_iter().all(|a| a)));
            if destination.loses_sidecar {
                now.push(Some(through));
            }
        }
        if destination.takes_tunnel != Some(false) {
            now.push(into_sidecar);
        }
        now
    })
}

pub(super) fn hop<'w>(way: &'w Way, waypoint: &'w Pod) -> Hop<'w> {
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
