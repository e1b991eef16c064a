//! PeerAuthentications: mutual TLS that is switched off, and callers that strict mode refuses.

use std::collections::{BTreeMap, BTreeSet};

use super::{Context, about, list, workloads};
use crate::finding::{Finding, codes};
use crate::migrate::setting::peering::Peering;
use crate::migrate::setting::scope::{Membership, StaysOut};
use crate::migrate::tunnel_port::grants_some_tcp;
use crate::model::{NetworkPolicy, ObjectRef, Peer, PeerAuthentication, PeerMode, Workload};
use crate::netpol::selects_namespace;

pub(super) fn find(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for policy in &context.world.peer_authentications {
        let selected = selected(context, policy);
        if !selected.is_empty() {
            disabled(policy, &selected, findings);
        }
    }
    strict(context, findings);
}

/// The workloads that join and that a policy applies to, were there no other. One in the root
/// namespace applies everywhere without a selector, and nowhere with one (istiod
/// `ambient/authorization.go`, `convertedSelectorPeerAuthentications`).
fn selected<'w>(context: &Context<'w>, policy: &PeerAuthentication) -> Vec<&'w Workload> {
    let root = policy.meta.namespace == context.options.root_namespace;
    if root && !policy.selector.is_empty() {
        return Vec::new();
    }
    context.selected(&policy.meta, &policy.selector)
}

fn disabled(policy: &PeerAuthentication, selected: &[&Workload], findings: &mut Vec<Finding>) {
    let ports = policy.ports.iter().filter(|(_, m)| *m == PeerMode::Disable);
    let ports = ports.map(|(port, _)| format!("spec.portLevelMtls.{port}.mode"));
    let whole = (policy.mode == PeerMode::Disable).then(|| "spec.mtls.mode".to_owned());
    let fields: Vec<_> = whole.into_iter().chain(ports).collect();
    if fields.is_empty() {
        return;
    }
    let message = format!(
        "switches mutual TLS off for {} by {}, and ztunnel encrypts all the same",
        workloads(selected),
        list(fields)
    );
    let origin = policy.meta.origin.clone();
    let subject = reference(policy);
    findings.push(about(&codes::MTLS_DISABLED, subject, origin, message));
}

fn strict(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let callers = callers(context);
    if callers.is_empty() {
        return;
    }
    let peering = Peering::of(context.world, &context.options.root_namespace);
    let mut by_policy: BTreeMap<usize, (Vec<&Workload>, BTreeSet<&str>)> = BTreeMap::new();
    for workload in context.members.values().flatten() {
        let decisive = peering.decisive(workload);
        let strict = decisive.filter(|(_, p)| p.mode == PeerMode::Strict);
        let Some((index, _)) = strict else { continue };
        let reaching = callers.iter().filter(|(_, pods)| {
            let mut pods = pods.iter();
            pods.any(|pod| may_reach(context, pod, workload))
        });
        let mut reaching = reaching.map(|(name, _)| name.as_str()).peekable();
        if reaching.peek().is_some() {
            let (servers, refused) = by_policy.entry(index).or_default();
            servers.push(workload);
            refused.extend(reaching);
        }
    }
    for (index, (servers, refused)) in by_policy {
        let Some(policy) = context.world.peer_authentications.get(index) else {
            continue;
        };
        let message = format!(
            "refuses callers of {} that have no mesh identity, and these stay without one: {}",
            workloads(&servers),
            list(&refused)
        );
        let origin = policy.meta.origin.clone();
        let code = &codes::STRICT_REFUSES_CALLERS;
        findings.push(about(code, reference(policy), origin, message));
    }
}

/// Whether the network policies at a server may let a caller in on some port of TCP.
fn may_reach(context: &Context<'_>, caller: &Workload, server: &Workload) -> bool {
    let mut isolating = context.isolating.at(server).peekable();
    if isolating.peek().is_none() {
        return true;
    }
    let is_caller = |policy: &NetworkPolicy, peer: &Peer| match peer {
        Peer::Block { .. } => true,
        Peer::Pods { namespaces, pods } => {
            let namespace = caller.meta.namespace.as_str();
            let here = match namespaces {
                Some(selector) => {
                    selects_namespace(context.world, namespace, selector) != Some(false)
                }
                None => policy.meta.namespace == namespace,
            };
            let mut pods = pods.iter();
            here && pods.all(|selector| selector.matches(&caller.pod.labels))
        }
    };
    isolating.any(|policy| {
        let mut rules = policy.ingress.iter();
        rules.any(|rule| {
            (rule.ports.is_empty() || grants_some_tcp(rule))
                && (rule.peers.is_empty() || rule.peers.iter().any(|p| is_caller(policy, p)))
        })
    })
}

/// Endpoints of enrolled namespaces that call without an identity, with the objects that describe
/// their pods.
fn callers<'w>(context: &Context<'w>) -> Vec<(String, Vec<&'w Workload>)> {
    let endpoints = context.endpoints.iter();
    endpoints
        .filter(|(id, endpoint)| {
            let reason = context.scope.endpoint(*id);
            context.scope.is_enrolled(&endpoint.namespace)
                && matches!(
                    reason,
                    Membership::StaysOut(
                        StaysOut::HostNetwork | StaysOut::OptedOut | StaysOut::Windows
                    )
                )
        })
        .map(|(_, endpoint)| {
            let pods = endpoint.workloads.iter();
            let pods = pods.filter_map(|&w| context.world.workloads.get(w));
            (endpoint.to_string(), pods.collect())
        })
        .collect()
}

fn reference(policy: &PeerAuthentication) -> ObjectRef {
    policy.meta.reference("PeerAuthentication")
}

#[cfg(test)]
mod tests;
