//! Waypoints that are in use before everything behind them is captured.

use std::collections::BTreeMap;

use ambient_facts::labels;

use super::{Context, about, workloads};
use crate::finding::{Finding, codes};
use crate::migrate::setting::role::has_proxy_today;
use crate::migrate::setting::scope::NamespaceState;
use crate::migrate::setting::waypoints::{Binding, Waypoint};
use crate::model::{Labels, Meta, ObjectRef, Origin, Workload};

/// What carries a label for a waypoint, which is in use.
#[derive(Clone)]
struct Holder<'w> {
    subject: ObjectRef,
    origin: &'w Origin,
    waypoint: Waypoint<'w>,
    /// How the label is taken off.
    removal: String,
}

/// Until a pod is captured the waypoint reaches it in the clear and from its own address: where a
/// policy isolates the pod, that is another client than those it knows.
pub(super) fn find(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let services = context.world.services.iter().filter(|s| !s.headless);
    let services = services.filter_map(|service| {
        let binding = context.waypoints.of_service(service);
        let own = &service.meta.labels;
        let holder = holder(context, &service.meta, own, "Service", binding)?;
        Some((holder, context.backends(service)))
    });
    let pods = context.members.values().flatten().filter_map(|workload| {
        let binding = context.waypoints.of_workload(workload);
        let (own, kind) = (&workload.pod.labels, workload.kind.as_str());
        let holder = holder(context, &workload.meta, own, kind, binding)?;
        Some((holder, vec![*workload]))
    });
    let mut behind: BTreeMap<ObjectRef, (Holder<'_>, Vec<&Workload>)> = BTreeMap::new();
    for (holder, servers) in services.chain(pods) {
        for workload in servers.into_iter().filter(|w| is_waiting(context, w)) {
            let entry = behind.entry(holder.subject.clone());
            let (_, waiting) = entry.or_insert_with(|| (holder.clone(), Vec::new()));
            if !waiting.iter().any(|known| std::ptr::eq(*known, workload)) {
                waiting.push(workload);
            }
        }
    }
    for (holder, waiting) in behind.into_values() {
        let message = format!(
            "has the label `{}: {}` already, and until these isolated pods are captured waypoint \
             `{}/{}` reaches them in the clear, from its own address: {}",
            labels::USE_WAYPOINT,
            holder.waypoint.name,
            holder.waypoint.namespace,
            holder.waypoint.name,
            workloads(&waiting),
        );
        let code = &codes::WAYPOINT_IN_USE;
        let mut finding = about(code, holder.subject, holder.origin.clone(), message);
        finding.fixes = vec![holder.removal];
        findings.push(finding);
    }
}

/// What has the label that binds an object to a waypoint today: the object itself, or its namespace.
/// `None` when the waypoint or its use is still planned.
fn holder<'w>(
    context: &Context<'w>,
    meta: &'w Meta,
    own: &Labels,
    kind: &str,
    binding: Binding<'w>,
) -> Option<Holder<'w>> {
    let Binding::Bound(waypoint) = binding else {
        return None;
    };
    waypoint.gateway?;
    let key = labels::USE_WAYPOINT;
    if own.contains_key(key) {
        let subject = meta.reference(kind);
        let removal = format!(
            "take the label `{key}` off `{subject}` until its pods are captured, or restart them \
             before clients are enrolled"
        );
        return Some(Holder {
            subject,
            origin: &meta.origin,
            waypoint,
            removal,
        });
    }
    let name = &meta.namespace;
    let namespace = &context.world.namespaces.get(name)?.meta;
    namespace.labels.contains_key(key).then(|| Holder {
        subject: ObjectRef::cluster("Namespace", name),
        origin: &namespace.origin,
        waypoint,
        removal: format!("kubectl label namespace {name} {key}-"),
    })
}

/// Whether the pods of a workload that joins are not captured yet, and isolated.
fn is_waiting(context: &Context<'_>, workload: &Workload) -> bool {
    let own = workload.pod.labels.get(labels::DATAPLANE_MODE);
    let is_enrolled = context.scope.namespace(&workload.meta.namespace)
        == Some(&NamespaceState::Labelled)
        || own.is_some_and(|mode| mode == labels::AMBIENT);
    let is_captured = is_enrolled && has_proxy_today(context.world, workload) != Some(true);
    !is_captured
        && !workload.meta.origin.is_synthetic()
        && context.isolating.at(workload).next().is_some()
}

#[cfg(test)]
mod tests;
