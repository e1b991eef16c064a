//! PeerAuthentications: mutual TLS that is switched off, and callers that strict mode refuses.

use std::collections::BTreeMap;

use super::{Context, about, list, workloads};
use crate::finding::{Finding, codes};
use crate::migrate::setting::peering::Peering;
use crate::migrate::setting::scope::{Membership, StaysOut};
use crate::model::{ObjectRef, PeerAuthentication, PeerMode, Workload};

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
    let mut servers: BTreeMap<usize, Vec<&Workload>> = BTreeMap::new();
    for workload in context.members.values().flatten() {
        let decisive = peering.decisive(workload);
        if let Some((index, _)) = decisive.filter(|(_, p)| p.mode == PeerMode::Strict) {
            servers.entry(index).or_default().push(workload);
        }
    }
    for (index, servers) in servers {
        let Some(policy) = context.world.peer_authentications.get(index) else {
            continue;
        };
        let message = format!(
            "refuses callers of {} that have no mesh identity, and these stay without one: {}",
            workloads(&servers),
            list(&callers)
        );
        let origin = policy.meta.origin.clone();
        let code = &codes::STRICT_REFUSES_CALLERS;
        findings.push(about(code, reference(policy), origin, message));
    }
}

/// Endpoints of enrolled namespaces that call without an identity.
fn callers(context: &Context<'_>) -> Vec<String> {
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
        .map(|(_, endpoint)| endpoint.to_string())
        .collect()
}

fn reference(policy: &PeerAuthentication) -> ObjectRef {
    policy.meta.reference("PeerAuthentication")
}

#[cfg(test)]
mod tests;
