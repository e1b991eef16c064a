//! Pods that the manifests do not hold, of namespaces that they do.
//!
//! A rule may admit all pods of a namespace, or some by labels that one to come may have alone. Such a
//! one has a service account that nobody else has. What it can use afterwards and cannot before has to
//! be said of somebody of its namespace who is not in the manifests, or of the policy by whose labels
//! the limits tell nobody apart.

use std::collections::BTreeSet;

use kubectl_ambient::model::{LabelSelector, Labels, Peer, Protocol};
use kubectl_ambient::plan::Relation;

use super::claims::Claims;
use super::passage::{hop, travels};
use super::readings::{peers, selected_labels};
use super::strangers::{has_other_readings, stranger, warns};
use super::subjects::Subject;
use super::ways::ways;
use super::{Case, Violations};
use crate::generate::Authorization;
use crate::reference::{
    Party, Pod, Port, namespace_labels, received, tunnel, via_waypoint, waypoint_pod,
};

/// What newcomers gain that nothing is said about.
pub(super) fn check(
    case: &Case<'_>,
    claims: &Claims,
    ports: &BTreeSet<Port>,
    subjects: &[Subject],
) -> Violations {
    let tcp = ports.iter().filter(|p| p.protocol == Protocol::Tcp);
    let tcp: Vec<u16> = tcp.map(|p| p.number).collect();
    let mut violations = Violations::new();
    // Then nothing limits anybody, which plans say of those that there are.
    if case.request.authorization == Authorization::None {
        return violations;
    }
    for newcomer in newcomers(case) {
        for subject in subjects {
            let to = subject.any_reading();
            if has_other_readings(case, to) {
                continue;
            }
            let mut gained: BTreeSet<(Relation, u16)> = BTreeSet::new();
            let direct = tcp.iter().filter(|_| subject.in_mesh);
            for &port in direct.filter(|&&port| travels(&newcomer, port, port)) {
                let now = tunnel(case.after, &newcomer, to, port);
                if now && !enters_before(case, &newcomer, to, port) {
                    gained.insert((Relation::Tunnel, port));
                }
            }
            let plain = !subject.in_mesh;
            for way in ways(case, to, &tcp, plain) {
                let by_address = plain && way.service.is_none();
                if by_address || !travels(&newcomer, way.asked_port, way.target_port) {
                    continue;
                }
                let gateway = (way.gateway.0.as_str(), way.gateway.1.as_str());
                let waypoint = waypoint_pod(case.before, gateway);
                let now = via_waypoint(case.after, &newcomer, &hop(&way, &waypoint), to);
                if now && !enters_before(case, &newcomer, to, way.target_port) {
                    gained.insert((Relation::Waypoint, way.target_port));
                }
            }
            gained.retain(|&(relation, port)| {
                let is_said = is_said(claims, (&newcomer, subject), relation, port);
                let is_alike = !newcomer.labels.is_empty() && warns(case, subject);
                !is_said && !is_alike
            });
            for (relation, port) in gained {
                violations.push(format!(
                    "a newcomer of {} with {:?} => {} by {relation}: TCP {port} gained, and not reported",
                    newcomer.namespace, newcomer.labels, subject.name
                ));
            }
        }
    }
    violations
}

/// Whether the server's policies let it in. Those for the client are limits at the server for the
/// accounts of clients that there are, and so for nobody who comes later.
fn enters_before(case: &Case<'_>, from: &Pod, to: &Pod, port: u16) -> bool {
    let ends = (Party::Pod(from), Party::Pod(to));
    received(case.before, ends.0, ends.1, Port::tcp(port))
}

/// Whether something is said of pods of the namespace that the manifests do not hold and that have no
/// other labels, or of those of all namespaces.
fn is_said(
    claims: &Claims,
    (newcomer, subject): (&Pod, &Subject),
    relation: Relation,
    port: u16,
) -> bool {
    let others = format!("{}/(any other pod", newcomer.namespace);
    let imagined = format!("{}/pods with ", newcomer.namespace);
    let has_all = |labels: &str| {
        let mut labels = labels.split(',').filter(|l| !l.is_empty() && *l != "any");
        labels.all(|label| {
            let (key, value) = label.split_once('=').unwrap_or((label, ""));
            newcomer.labels.get(key).is_some_and(|v| v == value)
        })
    };
    let is_newcomer = |name: &str| {
        let other = name.strip_prefix(&others);
        let other = other.map(|rest| rest.trim_end_matches(')').trim_start_matches(" with "));
        let labels = other.or_else(|| name.strip_prefix(&imagined));
        labels.is_some_and(has_all) || name.starts_with("other namespaces/(any pod")
    };
    claims.pairs().any(|pair| {
        is_newcomer(&pair.0)
            && pair.1 == subject.name
            && pair.2 == relation
            && !claims.about(pair, Port::tcp(port)).is_empty()
    })
}

/// One without labels of each namespace that is enrolled, and one for each peer that has the labels
/// that it asks for; of either also those whom another policy of the namespace lets send.
fn newcomers(case: &Case<'_>) -> Vec<Pod> {
    let mut asked = BTreeSet::from([LabelSelector::default()]);
    for (_, peer) in peers(case.before) {
        if let Peer::Pods { pods, .. } = peer {
            asked.insert(pods.clone().unwrap_or_default());
        }
    }
    let namespaces = case.before.namespaces.iter();
    let namespaces = namespaces.filter(|(name, n)| n.declared && case.enrols(name));
    let of_namespace = |name: &str| {
        let here = namespace_labels(case.before, name);
        let policies = case.before.network_policies.iter();
        let sending = policies.filter(|p| p.meta.namespace == name && !p.egress.is_empty());
        let selectors: Vec<&LabelSelector> = sending.map(|p| &p.pod_selector).collect();
        let with = |asked: &LabelSelector| {
            let also = selectors.iter().map(|s| selected_labels(&both(asked, s)));
            let alone = selected_labels(asked);
            also.chain([alone]).collect::<Vec<_>>()
        };
        let labels: BTreeSet<Labels> = asked.iter().flat_map(with).collect();
        let one = |labels: Labels| Pod {
            namespace: name.to_owned(),
            ..stranger(here.clone(), labels)
        };
        labels.into_iter().map(one).collect::<Vec<_>>()
    };
    namespaces
        .flat_map(|(name, _)| of_namespace(name))
        .collect()
}

/// What two selectors ask for together.
fn both(one: &LabelSelector, other: &LabelSelector) -> LabelSelector {
    let mut both = other.clone();
    both.match_labels.extend(one.match_labels.clone());
    both.match_expressions
        .extend(one.match_expressions.iter().cloned());
    both
}
