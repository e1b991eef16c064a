//! Labels of namespaces and pods that contradict enrolment.

use ambient_facts::labels;

use super::{Context, about, at_line};
use crate::finding::{Finding, codes};
use crate::migrate::setting::role::asks_for_injection;
use crate::migrate::setting::scope::{LeftOut, NamespaceState};
use crate::migrate::steps::injection_removal;
use crate::model::ObjectRef;

pub(super) fn find(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for (name, state) in context.scope.namespaces() {
        if let NamespaceState::LeftOut(LeftOut::UnknownMode(mode)) = state {
            findings.extend(unknown_mode(context, name, mode));
        }
        if state.is_enrolled() {
            findings.extend(injection(context, name, state));
        }
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
