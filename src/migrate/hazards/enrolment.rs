//! Labels of namespaces and pods that contradict enrolment.

use ambient_facts::{annotations, labels};

use super::{Context, about, at_line};
use crate::finding::{Finding, codes};
use crate::migrate::setting::role::{asks_for_injection, has_proxy_today, is_captured_today};
use crate::migrate::setting::scope::{LeftOut, NamespaceState};
use crate::migrate::steps::injection_removal;
use crate::model::{ObjectRef, Workload};

pub(super) fn find(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for (name, state) in context.scope.namespaces() {
        if let NamespaceState::LeftOut(LeftOut::UnknownMode(mode)) = state {
            findings.extend(unknown_mode(context, name, mode));
        }
        if state.is_enrolled() {
            findings.extend(injection(context, name, state));
        }
    }
    for (index, workload) in context.world.workloads.iter().enumerate() {
        findings.extend(not_captured(context, index, workload));
    }
    for (_, workload) in context.representatives() {
        let mode = workload.pod.labels.get(labels::DATAPLANE_MODE);
        let unknown = mode.filter(|m| !matches!(m.as_str(), labels::AMBIENT | labels::NONE));
        if let Some(mode) = unknown {
            let origin = at_line(&workload.meta.origin, workload.pod.line);
            let message = format!(
                "has the pod label `{}: {mode}`, which means nothing, so its namespace decides",
                labels::DATAPLANE_MODE
            );
            let code = &codes::UNKNOWN_DATAPLANE_MODE;
            findings.push(about(code, workload.reference(), origin, message));
        }
    }
}

/// A pod that runs and is asked for, and that the node agent did not capture.
fn not_captured(context: &Context<'_>, index: usize, workload: &Workload) -> Option<Finding> {
    let world = context.world;
    let own = workload.pod.labels.get(labels::DATAPLANE_MODE);
    let namespace = world.namespaces.get(&workload.meta.namespace);
    let asked = own.or_else(|| namespace?.meta.labels.get(labels::DATAPLANE_MODE));
    let is_asked = asked.is_some_and(|mode| mode == labels::AMBIENT);
    let runs = !workload.addresses.is_empty();
    let membership = context.scope.workload(index);
    let proxy = has_proxy_today(world, workload);
    let captured = is_captured_today(world, workload, membership, proxy);
    let is_left = is_asked && runs && membership.joins() && proxy == Some(false);
    (is_left && captured == Some(false)).then(|| {
        let message = format!(
            "runs without the annotation `{}: {}`, so the node agent has not captured it",
            annotations::REDIRECTION,
            annotations::REDIRECTION_ENABLED
        );
        let origin = workload.meta.origin.clone();
        about(&codes::NOT_CAPTURED, workload.reference(), origin, message)
    })
}

fn unknown_mode(context: &Context<'_>, name: &str, mode: &str) -> Option<Finding> {
    let namespace = context.world.namespaces.get(name)?;
    let message = format!(
        "has the label `{}: {mode}`, which means nothing, so it is not enrolled",
        labels::DATAPLANE_MODE
    );
    let subject = ObjectRef::cluster("Namespace", name);
    let origin = namespace.meta.origin.clone();
    let mut finding = about(&codes::UNKNOWN_DATAPLANE_MODE, subject, origin, message);
    finding.fixes = vec![format!(
        "kubectl label namespace {name} --overwrite {}={}",
        labels::DATAPLANE_MODE,
        labels::AMBIENT
    )];
    Some(finding)
}

/// Whether a namespace asks for injection.
pub(super) fn injects(context: &Context<'_>, namespace: &str) -> bool {
    let namespace = context.world.namespaces.get(namespace);
    namespace.is_some_and(|n| asks_for_injection(&n.meta.labels))
}

fn injection(context: &Context<'_>, name: &str, state: &NamespaceState) -> Option<Finding> {
    let namespace = context.world.namespaces.get(name)?;
    let labelled = *state == NamespaceState::Labelled;
    let mut workloads = context.world.workloads.iter();
    let enrols = labelled || workloads.any(|w| w.meta.namespace == name);
    if !enrols || !injects(context, name) {
        return None;
    }
    let present: Vec<_> = [labels::INJECTION, labels::REVISION]
        .into_iter()
        .filter_map(|key| Some((key, namespace.meta.label(key)?)))
        .collect();
    let shown: Vec<_> = present.iter().map(|(k, v)| format!("`{k}: {v}`")).collect();
    // The same words before and after the label is written, so that the finding keeps its id.
    let message = format!(
        "has the label {} beside that of ambient mesh, so pods that restart get sidecars and are \
         not captured",
        shown.join(" and ")
    );
    let subject = ObjectRef::cluster("Namespace", name);
    let origin = namespace.meta.origin.clone();
    let mut finding = about(&codes::INJECTION_IN_AMBIENT, subject, origin, message);
    finding.fixes = injection_removal(context.world, name);
    if !namespace.meta.origin.is_synthetic() {
        let origin = &namespace.meta.origin;
        let fix = format!("take the label out of `{origin}` as well: the plan only inserts");
        finding.fixes.push(fix);
    }
    finding.fixes.push(format!(
        "then restart its workloads: kubectl rollout restart deployment,statefulset,daemonset \
         --namespace {name}"
    ));
    Some(finding)
}

#[cfg(test)]
mod tests;
