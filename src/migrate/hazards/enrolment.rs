//! Labels of namespaces and pods that contradict enrolment.

use ambient_facts::labels;

use super::{Context, about, at_line};
use crate::finding::{Finding, codes};
use crate::migrate::role::asks_for_injection;
use crate::migrate::scope::{LeftOut, NamespaceState};
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
    if !injects(context, name) {
        return None;
    }
    let present: Vec<_> = [labels::INJECTION, labels::REVISION]
        .into_iter()
        .filter_map(|key| Some((key, namespace.meta.label(key)?)))
        .collect();
    let shown: Vec<_> = present.iter().map(|(k, v)| format!("`{k}: {v}`")).collect();
    let verb = match state {
        NamespaceState::Labelled => "is",
        _ => "will be",
    };
    let message = format!(
        "has the label {} and {verb} labelled for ambient mesh, so pods that restart get sidecars \
         and are not captured",
        shown.join(" and ")
    );
    let subject = ObjectRef::cluster("Namespace", name);
    let origin = namespace.meta.origin.clone();
    let mut finding = about(&codes::INJECTION_IN_AMBIENT, subject, origin, message);
    let removals: Vec<_> = present.iter().map(|(k, _)| format!("{k}-")).collect();
    finding.fixes = vec![format!(
        "kubectl label namespace {name} {}",
        removals.join(" ")
    )];
    finding
        .fixes
        .extend(revision_of_gateways(context, name, &present));
    Some(finding)
}

/// A Gateway without a revision of its own belongs to its namespace's: removing that label would
/// hand it to another control plane.
fn revision_of_gateways(
    context: &Context<'_>,
    name: &str,
    present: &[(&str, &str)],
) -> Option<String> {
    let (_, revision) = present.iter().find(|(k, _)| *k == labels::REVISION)?;
    let gateways = context.world.gateways.iter();
    let names: Vec<_> = gateways
        .filter(|g| g.meta.namespace == name && g.meta.label(labels::REVISION).is_none())
        .map(|g| g.meta.name.as_str())
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "before that, keep its Gateways with their control plane: kubectl label gateway {} \
             --namespace {name} {}={revision}",
            names.join(" "),
            labels::REVISION
        )
    })
}

#[cfg(test)]
mod tests;
