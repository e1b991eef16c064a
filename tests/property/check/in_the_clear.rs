//! What proxies make of connections in the clear: sidecars at pods that stay out of the mesh, and
//! ztunnel at those in it.

use std::net::IpAddr;

use kubectl_ambient::model::{PeerMode, Protocol};
use kubectl_ambient::plan::Verdict;

use super::passage::{Client, connection, presented};
use super::subjects::{self, Subject};
use super::{Case, ports, readings};
use crate::reference::{
    Connection, Identity, Party, Pod, Port, admitted_by_sidecar, is_sidecars_own, modes,
    plain_to_mesh, plaintext,
};

/// Whether a connection in the clear to a pod that may have a sidecar passed before, and passes now, in
/// all cases that the manifests leave open. Where both sides present the identity that they do today,
/// only what limits the tunnel could matter, and that is compared there.
pub(super) fn past_sidecar(
    case: &Case<'_>,
    (source, from): (&Subject, &Pod),
    (destination, to): (&Subject, &Pod),
    port: u16,
) -> Vec<(bool, bool)> {
    let lets_in = |world, identity: Option<Identity>, mode| {
        let mut connection = connection(from, to, port);
        connection.identity = identity;
        plaintext(world, Party::Pod(from), Party::Pod(to), Port::tcp(port))
            && admitted_by_sidecar(world, to, &connection, mode)
    };
    let by_network = |world| plaintext(world, Party::Pod(from), Party::Pod(to), Port::tcp(port));
    let mut passed = Vec::new();
    let modes: Vec<PeerMode> = modes(case.before, to, port).into_iter().collect();
    let identities = presented((from, source.vouched)).into_iter();
    for (identity, mode) in identities.flat_map(|i| modes.iter().map(move |m| (i.clone(), *m))) {
        let was = lets_in(case.before, identity.clone(), mode);
        // Its own sidecar sends for it still, or the tunnel is taken.
        if !source.in_mesh || identity.is_none() || destination.takes_tunnel != Some(false) {
            passed.push((was, was));
        }
        // ztunnel sends for it, or nothing does.
        let is_alone = if source.in_mesh {
            destination.takes_tunnel != Some(true)
        } else {
            source.loses_sidecar || identity.is_none()
        };
        if is_alone {
            passed.push((was, lets_in(case.after, None, mode)));
        }
        if destination.loses_sidecar {
            passed.push((was, by_network(case.after)));
        }
    }
    if destination.sidecar_today.is_none() {
        passed.push((by_network(case.before), by_network(case.after)));
    }
    passed
}

/// Whether a connection in the clear to a pod in the mesh passed before, and passes now, in all cases
/// that the manifests leave open. Where it comes from outside, no proxy vouches for it.
pub(super) fn entering(
    case: &Case<'_>,
    (source, client): (Party<'_>, Option<Client<'_>>),
    (destination, to): (&Subject, &Pod),
    port: u16,
) -> Vec<(bool, bool)> {
    let modes = modes(case.before, to, port).into_iter();
    let entering = |mode| entering_in_mode(case, (source, client), (destination, to), port, mode);
    modes.flat_map(entering).collect()
}

fn entering_in_mode(
    case: &Case<'_>,
    (source, client): (Party<'_>, Option<Client<'_>>),
    (destination, to): (&Subject, &Pod),
    port: u16,
    mode: PeerMode,
) -> Vec<(bool, bool)> {
    let by_ztunnel = |world| plain_to_mesh(world, source, to, port, mode);
    let by_network = |world| plaintext(world, source, Party::Pod(to), Port::tcp(port));
    let network = by_network(case.before);
    // From the node's network ztunnel is not asked on the pod's own node, before as little as after.
    let mut in_mesh = vec![(by_ztunnel(case.before), by_ztunnel(case.after))];
    if client.is_some_and(|(from, _)| from.host_network) {
        in_mesh.push((network, by_network(case.after)));
    }
    let afterwards: Vec<bool> = in_mesh.iter().map(|(_, now)| *now).collect();
    let mut passed = Vec::new();
    if destination.captured_today != Some(false) {
        passed.extend(in_mesh);
    }
    if destination.sidecar_today != Some(true) && destination.captured_today != Some(true) {
        passed.extend(afterwards.iter().map(|&now| (network, now)));
    }
    if destination.sidecar_today != Some(false) {
        let identities = client.map_or_else(|| vec![None], presented);
        for identity in identities {
            let connection = Connection {
                identity,
                source: source.address(),
                destination: to.address,
                port,
            };
            let admitted = admitted_by_sidecar(case.before, to, &connection, mode);
            for &now in &afterwards {
                let admitted = if is_sidecars_own(port) { now } else { admitted };
                passed.push((network && admitted, now));
            }
        }
    }
    passed
}

/// What becomes of connections from addresses outside to pods in the mesh: address, endpoint, port,
/// and the verdict.
pub(super) fn changes_from_outside(case: &Case<'_>) -> Vec<(IpAddr, String, u16, Verdict)> {
    let worlds = [case.before, case.after];
    let blocks = readings::blocks(&worlds);
    let ports = ports::interesting(&worlds).into_iter();
    let tcp = ports.filter(|p| p.protocol == Protocol::Tcp && p.number != 15008);
    let tcp: Vec<u16> = tcp.map(|p| p.number).collect();
    let mut changes = Vec::new();
    for subject in subjects::find(case, &blocks).iter().filter(|s| s.in_mesh) {
        for address in readings::external(&blocks) {
            let outside = (Party::External(address), None);
            for &port in &tcp {
                let pods = subject.without_address();
                let passed = pods.flat_map(|pod| entering(case, outside, (subject, pod), port));
                let passed: Vec<(bool, bool)> = passed.collect();
                let mut verdict = |change: (bool, bool), certain| {
                    let count = passed.iter().filter(|p| **p == change).count();
                    let verdict = if count == passed.len() {
                        certain
                    } else {
                        Verdict::Unknown
                    };
                    if count > 0 {
                        changes.push((address, subject.name.clone(), port, verdict));
                    }
                };
                verdict((true, false), Verdict::Lost);
                verdict((false, true), Verdict::Gained);
            }
        }
    }
    changes
}
