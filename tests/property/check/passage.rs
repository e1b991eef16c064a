//! What lets a connection pass on its way in the mesh, before and now.

use kubectl_ambient::model::{PeerMode, World};

use super::Case;
use super::subjects::Subject;
use super::ways::Way;
use crate::reference::{
    Connection, Hop, Identity, Party, Pod, Port, admitted_by_sidecar, authorized,
    authorized_at_waypoint, authorized_by_sidecar, captures_dns, enters_waypoint, is_sidecars_own,
    modes, plain_to_mesh, plaintext, refused_by_ztunnel, tunnel, tunnel_port_open, via_waypoint,
    waypoint_pod,
};

/// What the authorization policies that there were let pass, by who would apply them.
#[derive(Debug, Clone, Copy)]
pub(super) struct User {
    pub(super) by_ztunnel: bool,
    pub(super) by_sidecar: bool,
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

pub(super) fn is_look_up(from: &Pod, asked_port: u16) -> bool {
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

/// Whether a connection passed before, whether that excuses that it passes now, and whether it does.
pub(super) type Passed = (bool, bool, bool);

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
    /// Whether the policies of people there let it pass before.
    passes: bool,
    /// The same of all policies.
    carries: bool,
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
        let outcome = |was, now: Now| (was, was, now.unwrap_or(was));
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
                for (admitted, carried) in self.by_ztunnel(case, through) {
                    // Network policies may list less than the tunnel carries, which an earlier run
                    // may have opened.
                    let listed = arrives && admitted;
                    let before = listed || carried;
                    let excuses = listed || (carried && case.is_new);
                    let passed = alone
                        .iter()
                        .map(|now| (before, excuses, now.unwrap_or(before)));
                    outcomes.extend(passed);
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

    /// Whether ztunnel lets it in before by the policies of people, with an identity where it comes
    /// through the tunnel; and whether the tunnel carries it, by all policies that there are.
    fn by_ztunnel(&self, case: &Case<'_>, way: Option<&ByWaypoint<'_>>) -> Vec<(bool, bool)> {
        let (from, to) = self.pods;
        let known = |world, from| authorized(world, to, &connection(from, to, self.port));
        let reaches = |from, to| tunnel_port_open(case.existing, from, to);
        if let Some(waypoint) = way {
            let pod = waypoint.pod;
            let carried = waypoint.carries
                && reaches(from, pod)
                && reaches(pod, to)
                && known(case.existing, pod);
            return vec![(known(case.before, pod), carried)];
        }
        let mut admitted = Vec::new();
        for tunnels in cases(self.ends.0.tunnels_today) {
            if tunnels {
                let carried = reaches(from, to) && known(case.existing, from);
                admitted.push((known(case.before, from), carried));
            } else {
                let modes = modes(case.before, to, self.port).into_iter();
                let from = Party::Pod(from);
                let passes = |mode| plain_to_mesh(case.before, from, to, self.port, mode);
                admitted.extend(modes.map(|mode| (passes(mode), false)));
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
pub(super) fn pass_tunnel(
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
pub(super) fn pass_way(
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
            carries: authorized_at_waypoint(case.existing, gateway, hop.service, &at_waypoint),
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
