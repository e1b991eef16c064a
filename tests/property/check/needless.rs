//! Gains are what cannot be expressed, not what was not tried.
//!
//! An authorization policy knows a client by its service account, and selects servers by labels
//! that must be equal. So a connection can be refused, unless the server's labels are all on
//! another pod too, or another client with the same service account may use the port.
//!
//! Policies may speak of pods that are not in the manifests, whose service account nobody knows, so
//! that it may be any. Where they do, nothing is said here.

use std::collections::BTreeSet;

use kubectl_ambient::model::{Peer, Protocol};

use super::claims::{self, Claims};
use super::passage::travels;
use super::readings::peers;
use super::subjects::Subject;
use super::{Case, Violations};
use crate::generate::Authorization;
use crate::reference::{Party, Pod, Port, is_peer, plaintext, tunnel};

/// Gains through the tunnel that a policy could have refused.
pub(super) fn check(
    case: &Case<'_>,
    claims: &Claims,
    ports: &BTreeSet<Port>,
    subjects: &[Subject],
) -> Violations {
    let mut violations = Vec::new();
    let claims_strangers = claims.pairs().any(|(source, destination, _)| {
        let is_known = |name: &String| subjects.iter().any(|s| s.name == *name);
        claims::range(source).is_none() && !(is_known(source) && is_known(destination))
    });
    let denies = case.request.authorization == Authorization::Deny;
    if !denies || claims_strangers || speaks_of_strangers(case, subjects) {
        return violations;
    }
    for source in subjects {
        for destination in subjects.iter().filter(|d| d.in_mesh) {
            let is_itself = std::ptr::eq(source, destination) && source.is_bare_pod;
            if !source.in_mesh || is_itself {
                continue;
            }
            let mut needless = Vec::new();
            for &port in ports.iter().filter(|p| p.protocol == Protocol::Tcp) {
                if is_gained(case, source, destination, port)
                    && !is_entangled(case, subjects, (source, destination), port)
                {
                    needless.push(port.number.to_string());
                }
            }
            if !needless.is_empty() {
                let (source, destination) = (&source.name, &destination.name);
                let ports = needless.join(",");
                violations.push(format!(
                    "{source} => {destination} by tunnel: TCP {ports} gained, and a policy could refuse it"
                ));
            }
        }
    }
    violations
}

/// Whether a policy has a peer that is no pod of the manifests.
fn speaks_of_strangers(case: &Case<'_>, subjects: &[Subject]) -> bool {
    peers(case.before).any(|(policy, peer)| {
        let of_pods = matches!(peer, Peer::Pods { .. });
        let known = |s: &Subject| is_peer(&policy.meta.namespace, peer, s.any_reading());
        of_pods && !subjects.iter().any(known)
    })
}

/// Whether a port is gained in every reading.
fn is_gained(case: &Case<'_>, source: &Subject, destination: &Subject, port: Port) -> bool {
    source.with(destination).into_iter().all(|(from, to)| {
        travels(from, port.number, port.number)
            && !allowed(case, from, to, port)
            && tunnel(case.after, from, to, port.number)
    })
}

/// Whether refusing a port to a pair would refuse it to another that may use it, or whether no
/// labels select the servers alone.
fn is_entangled(
    case: &Case<'_>,
    subjects: &[Subject],
    (source, destination): (&Subject, &Subject),
    port: Port,
) -> bool {
    let (client, server) = (source.any_reading(), destination.any_reading());
    let has_all_labels = |other: &Pod| {
        let mut labels = server.labels.iter();
        other.namespace == server.namespace
            && labels.all(|(key, value)| other.labels.get(key) == Some(value))
    };
    let others = subjects.iter().filter(|d| !std::ptr::eq(*d, destination));
    let mut others = others.filter(|d| d.in_mesh);
    if others.any(|d| has_all_labels(d.any_reading())) {
        return true;
    }
    let same_client = |s: &&Subject| s.sends && s.any_reading().identity() == client.identity();
    subjects.iter().filter(same_client).any(|s| {
        let mut pairs = s.with(destination).into_iter();
        pairs.any(|(from, to)| allowed(case, from, to, port))
    })
}

fn allowed(case: &Case<'_>, from: &Pod, to: &Pod, port: Port) -> bool {
    plaintext(case.before, Party::Pod(from), Party::Pod(to), port)
}
