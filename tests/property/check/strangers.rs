//! Pods that the manifests do not hold, and whose namespaces they do not hold either.
//!
//! Rules may be for them: by labels that no Namespace has, by a name that none has, or because they
//! are for everybody, or for a block in which their address is. Nobody knows their service account, so
//! they have one of their own here. What differs for them has to be said of somebody who is not in the
//! manifests.

use std::collections::BTreeSet;

use kubectl_ambient::model::{LabelSelector, Labels, Namespace, Operator, Peer, Protocol};
use kubectl_ambient::plan::Relation;

use super::claims::Claims;
use super::passage::{before, travels};
use super::readings::{blocks, peers, private_addresses, selected_labels};
use super::subjects::Subject;
use super::{Case, Violations};
use crate::generate::Authorization;
use crate::reference::{Pod, Port, is_peer, selects, tunnel};

const NAME: &str = "kubernetes.io/metadata.name";

/// Differences between strangers and workloads that nothing is said about.
pub(super) fn check(
    case: &Case<'_>,
    claims: &Claims,
    ports: &BTreeSet<Port>,
    subjects: &[Subject],
) -> Violations {
    let mut violations = Vec::new();
    if case.request.authorization == Authorization::None {
        return violations;
    }
    for stranger in strangers(case) {
        let own = format!("{}/(any other pod", stranger.namespace);
        let is_stranger = |name: &str| {
            let elsewhere = ["other namespaces/", "namespaces with "];
            let is_elsewhere = elsewhere.iter().any(|of| name.starts_with(of));
            name.contains("/pods with ")
                || name.starts_with(&own)
                || (is_elsewhere && name.contains("/(any pod"))
        };
        for subject in subjects {
            let pod = subject.any_reading();
            for sent in [true, false] {
                let (from, to) = if sent {
                    (pod, &stranger)
                } else {
                    (&stranger, pod)
                };
                let speaks = if sent {
                    // Where they are is nothing that a server could tell. What is opened to pods that
                    // only share labels with those of the manifests is not limited.
                    subject.sends && stranger.address.is_none() && !is_like_known(case, &stranger)
                } else {
                    subject.in_mesh
                };
                if !speaks {
                    continue;
                }
                let tcp = ports.iter().filter(|p| p.protocol == Protocol::Tcp);
                for &port in tcp.filter(|p| travels(from, p.number, p.number)) {
                    // Who speaks through the tunnel is known where that is taken.
                    let takes_tunnel = !sent && subject.sidecar_takes_tunnel_today == Some(true);
                    let client = (from, takes_tunnel.then_some(true));
                    let (network, user) = before(case, client, (to, true), port.number);
                    let now = tunnel(case.after, from, to, port.number);
                    let said = claims.pairs().any(|pair| {
                        let (source, destination, relation) = pair;
                        let is_about = if sent {
                            *source == subject.name && is_stranger(destination)
                        } else {
                            *destination == subject.name && is_stranger(source)
                        };
                        is_about
                            && *relation == Relation::Tunnel
                            && !claims.about(pair, port).is_empty()
                    });
                    // What is in a stranger nobody knows.
                    let is_refused = !sent && subject.sidecar_today != Some(false);
                    let was = network && (user.by_sidecar || !is_refused);
                    let lost = was && user.by_ztunnel && !now;
                    // Clients that come later are shut out where limits name accounts.
                    let lost = lost && !(is_like_known(case, &stranger) && warns(case, subject));
                    let differs = lost || (now && !was);
                    if differs && !said && !has_other_readings(case, pod) {
                        let what = if now { "gained" } else { "lost" };
                        let way = if sent { "to" } else { "from" };
                        violations.push(format!(
                            "{} {way} a stranger of {:?} with {:?} at {:?}: TCP {} {what}, and not reported",
                            subject.name,
                            stranger.namespace_labels,
                            stranger.labels,
                            stranger.address,
                            port.number
                        ));
                    }
                }
            }
        }
    }
    violations
}

/// Whether the labels of a pod's namespace are not known: then differences are reported of the pods
/// that there are.
pub(super) fn has_other_readings(case: &Case<'_>, pod: &Pod) -> bool {
    let namespace = case.before.namespaces.get(&pod.namespace);
    namespace.is_none_or(|n| !n.declared)
}

/// One stranger for each peer that is for namespaces of which the manifests hold none, and one that
/// no label tells from others.
fn strangers(case: &Case<'_>) -> Vec<Pod> {
    let nobody = stranger(Labels::new(), Labels::new());
    let addresses = private_addresses(&blocks(&[case.before])).into_iter();
    let at = |address| Pod {
        address: Some(address),
        ..nobody.clone()
    };
    let mut strangers: Vec<Pod> = addresses.map(at).collect();
    strangers.push(nobody);
    for (_, peer) in peers(case.before) {
        let Peer::Pods {
            namespaces: Some(namespaces),
            pods,
        } = peer
        else {
            continue;
        };
        let everything = LabelSelector::default();
        let pods = pods.as_ref().unwrap_or(&everything);
        let pod = stranger(selected_labels(namespaces), selected_labels(pods));
        let is_known = case.before.namespaces.contains_key(&pod.namespace);
        if !is_known && is_peer("", peer, &pod) && !lists_known(case, namespaces) {
            strangers.push(pod);
        }
    }
    strangers
}

/// Whether some peer admits both a stranger and pods of a namespace of the manifests.
fn is_like_known(case: &Case<'_>, stranger: &Pod) -> bool {
    let known = |namespace: &Namespace| {
        let mut namespace_labels = namespace.meta.labels.clone();
        namespace_labels.insert(NAME.to_owned(), namespace.meta.name.clone());
        Pod {
            namespace_labels,
            ..stranger.clone()
        }
    };
    let known: Vec<Pod> = case.before.namespaces.values().map(known).collect();
    peers(case.before)
        .any(|(_, peer)| is_peer("", peer, stranger) && known.iter().any(|k| is_peer("", peer, k)))
}

/// Whether it is said that clients of a workload that come later are not told by their labels.
pub(super) fn warns(case: &Case<'_>, subject: &Subject) -> bool {
    let labels = &subject.any_reading().labels;
    let mut policies = case.before.network_policies.iter().filter(|policy| {
        policy.meta.namespace == subject.namespace && selects(&policy.pod_selector, labels)
    });
    policies.any(|policy| {
        let reference = policy.meta.reference("NetworkPolicy");
        let mut findings = case.plan.findings.iter();
        findings.any(|f| f.code.id == "AMB0119" && f.subject == reference)
    })
}

/// Whether a selector lists names of which the manifests hold one.
fn lists_known(case: &Case<'_>, namespaces: &LabelSelector) -> bool {
    let mut asked = namespaces.match_expressions.iter();
    asked.any(|r| match &r.operator {
        Operator::In(names) if r.key == NAME => {
            names.iter().any(|n| case.before.namespaces.contains_key(n))
        }
        _ => false,
    })
}

pub(super) fn stranger(mut namespace_labels: Labels, labels: Labels) -> Pod {
    let name = namespace_labels.entry(NAME.to_owned());
    let namespace = name.or_insert_with(|| "elsewhere".to_owned()).clone();
    Pod {
        namespace,
        namespace_labels,
        labels,
        annotations: Labels::new(),
        service_account: "stranger".to_owned(),
        host_network: false,
        matched_on_host: false,
        ports: Vec::new(),
        address: None,
    }
}
