//! The steps of a plan: what is changed in which order, and why.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use ambient_facts::{labels, ports};
use serde_json::Value;

use super::limits::restore::Limits;
use super::object;
use super::opening::{self, Means, Opening};
use super::setting::Setting;
use super::setting::role::asks_for_injection;
use super::setting::scope::NamespaceState;
use crate::finding::{Finding, codes};
use crate::model::{AuthorizationPolicy, NetworkPolicy, ObjectRef, Origin, World};
use crate::netpol::Direction;
use crate::plan::{Body, Change, ChangeAction, Edit, Step, StepKind};

pub(super) fn open_step(
    setting: &Setting<'_>,
    opening: &Opening,
    findings: &mut Vec<Finding>,
) -> Step {
    let world = &*setting.world;
    let mut changes = Vec::new();
    for change in &opening.changed {
        let Some(policy) = world.network_policies.get(change.policy) else {
            continue;
        };
        let through = if change.appended.is_empty() {
            ""
        } else {
            ", and to the waypoint"
        };
        let reason = match change.rules.len() + change.inward.len() {
            0 => "open the way through the waypoint".to_owned(),
            1 => format!("open port {} in 1 rule{through}", ports::HBONE),
            rules => format!("open port {} in {rules} rules{through}", ports::HBONE),
        };
        if change.means == Means::Standing {
            continue;
        }
        findings.push(closed_tunnel(policy, change));
        if change.means == Means::Edit {
            let companion = change.fallback.as_ref().map(object::network_policy);
            changes.push(Change {
                object: policy.reference(),
                reason,
                action: ChangeAction::Edit {
                    origin: policy.meta.origin.clone(),
                    edits: opening::edits(policy, change),
                    companion: companion.map(Body::from),
                },
            });
        }
    }
    changes.extend(opening.added.iter().map(|added| Change {
        object: added.policy.reference(),
        reason: added.reason.clone(),
        action: creation(
            object::network_policy(&added.policy).into(),
            added.replaces.clone(),
            added.beside.clone(),
        ),
    }));
    changes.sort_by(|a, b| a.object.cmp(&b.object));
    Step {
        kind: StepKind::OpenTunnel,
        changes,
        commands: Vec::new(),
    }
}

fn creation(body: Body, replaces: Option<Origin>, beside: Origin) -> ChangeAction {
    match replaces {
        Some(origin) => ChangeAction::Replace { origin, body },
        None => ChangeAction::Create { body, beside },
    }
}

fn closed_tunnel(policy: &NetworkPolicy, change: &opening::Changed) -> Finding {
    let directions: BTreeSet<&str> = change
        .rules
        .iter()
        .map(|(d, _)| d)
        .chain(change.new_rules().map(|(d, _)| d))
        .map(|d| match d {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        })
        .collect();
    let directions: Vec<&str> = directions.into_iter().collect();
    let code = if change.rules.is_empty() && change.inward.is_empty() {
        &codes::WAYPOINT_CLOSED
    } else {
        &codes::TUNNEL_CLOSED
    };
    let message = format!(
        "its {} rules do not let the tunnel through; the plan opens it for the same peers",
        directions.join(" and ")
    );
    let line = change
        .rules
        .first()
        .and_then(|(d, i)| d.rules(policy).get(*i))
        .map_or(0, |r| r.line);
    let origin = &policy.meta.origin;
    let origin = if line == 0 {
        origin.clone()
    } else {
        origin.at(line)
    };
    Finding::new(code, policy.reference(), origin, message)
}

pub(super) fn limit_step(
    setting: &Setting<'_>,
    limits: &Limits,
    findings: &mut Vec<Finding>,
) -> Step {
    let existing = &setting.world.authorization_policies;
    let mut changes = Vec::new();
    for limit in &limits.policies {
        let policy = &limit.policy;
        let known = existing
            .iter()
            .find(|p| p.meta.namespace == policy.meta.namespace && p.meta.name == policy.meta.name);
        if known.is_some_and(|known| same_authorization(known, policy)) {
            continue;
        }
        if !limit.is_spent {
            let message = format!(
                "ports are limited; `{}` keeps the limit inside the tunnel",
                policy.reference()
            );
            findings.push(Finding::new(
                &codes::PORT_LIMIT_IN_TUNNEL,
                limit.of.clone(),
                limit.beside.clone(),
                message,
            ));
        }
        changes.push(Change {
            object: policy.reference(),
            reason: limit.reason.clone(),
            action: creation(
                Body::AuthorizationPolicy(Box::new(policy.clone())),
                known.map(|k| k.meta.origin.clone()),
                limit.beside.clone(),
            ),
        });
    }
    changes.sort_by(|a, b| a.object.cmp(&b.object));
    Step {
        kind: StepKind::RestorePorts,
        changes,
        commands: Vec::new(),
    }
}

fn same_authorization(a: &AuthorizationPolicy, b: &AuthorizationPolicy) -> bool {
    let rules = |p: &AuthorizationPolicy| {
        let rules = p
            .rules
            .iter()
            .map(|r| (r.from.clone(), r.to.clone(), r.when.clone()));
        rules.collect::<Vec<_>>()
    };
    a.selector == b.selector
        && a.action == b.action
        && a.targets == b.targets
        && a.is_dry_run() == b.is_dry_run()
        && rules(a) == rules(b)
}

pub(super) fn enrol_step(setting: &Setting<'_>) -> Step {
    let mut step = Step {
        kind: StepKind::Enrol,
        changes: Vec::new(),
        commands: Vec::new(),
    };
    for (namespace, state) in setting.scope.namespaces() {
        if setting.scope.enrols(namespace) {
            // Pods that restart would get sidecars again, and stay out of what was proven.
            let removal = injection_removal(&setting.world, namespace);
            step.commands.extend(removal);
        }
        if *state == NamespaceState::Enrolled && setting.scope.enrols(namespace) {
            let reason = "enrol the namespace";
            let own = (labels::DATAPLANE_MODE, labels::AMBIENT);
            let written = setting.options.enroll;
            label(setting, namespace, own, written, reason, &mut step);
        }
    }
    step.changes.sort_by(|a, b| a.object.cmp(&b.object));
    step
}

/// Waypoints are used when everything behind them is in the mesh: what is not they reach in the
/// clear, from an address of their own. So no file gets both labels at once: who applies it would
/// have the second take effect before pods are captured.
pub(super) fn waypoint_step(setting: &Setting<'_>) -> Step {
    let mut step = Step {
        kind: StepKind::UseWaypoints,
        changes: Vec::new(),
        commands: Vec::new(),
    };
    for (namespace, waypoint) in &setting.planned {
        let mut gateways = setting.world.gateways.iter();
        if !gateways.any(|g| g.meta.namespace == *namespace && g.meta.name == *waypoint) {
            step.commands.push(format!(
                "istioctl waypoint apply --namespace {namespace} --name {waypoint}"
            ));
        }
        let reason = format!("use waypoint `{waypoint}`, once the pods behind it are in the mesh");
        let own = (labels::USE_WAYPOINT, waypoint.as_str());
        let written = setting.options.enroll && is_in_the_mesh(setting, namespace);
        label(setting, namespace, own, written, &reason, &mut step);
    }
    step.changes.sort_by(|a, b| a.object.cmp(&b.object));
    step
}

/// Whether a namespace is enrolled before this plan, and its pods have no sidecars to lose first.
fn is_in_the_mesh(setting: &Setting<'_>, namespace: &str) -> bool {
    let known = setting.world.namespaces.get(namespace);
    setting.scope.namespace(namespace) == Some(&NamespaceState::Labelled)
        && known.is_some_and(|n| !asks_for_injection(&n.meta.labels))
}

/// Labels a namespace: in its manifest where there is one and this label is to be written, else by
/// command.
fn label(
    setting: &Setting<'_>,
    namespace: &str,
    (key, value): (&str, &str),
    written: bool,
    reason: &str,
    step: &mut Step,
) {
    let known = setting.world.namespaces.get(namespace);
    if known.is_some_and(|n| n.meta.labels.contains_key(key)) {
        return;
    }
    match known.filter(|n| n.declared && written) {
        Some(declared) => {
            let edit = Edit::Add {
                path: vec!["metadata".into(), "labels".into()],
                key: key.to_owned(),
                value: Value::String(value.to_owned()),
            };
            step.changes.push(Change {
                object: ObjectRef::cluster("Namespace", namespace),
                reason: reason.to_owned(),
                action: ChangeAction::Edit {
                    origin: declared.meta.origin.clone(),
                    edits: vec![edit],
                    companion: None,
                },
            });
        }
        None => step
            .commands
            .push(format!("kubectl label namespace {namespace} {key}={value}")),
    }
}

/// The commands that end sidecar injection in a namespace, in their order; none when it does not
/// ask for it.
pub(super) fn injection_removal(world: &World, namespace: &str) -> Vec<String> {
    let known = world.namespaces.get(namespace);
    let Some(known) = known.filter(|n| asks_for_injection(&n.meta.labels)) else {
        return Vec::new();
    };
    let present =
        [labels::INJECTION, labels::REVISION].map(|key| Some((key, known.meta.label(key)?)));
    let removals: Vec<String> = present
        .iter()
        .flatten()
        .map(|(key, _)| format!("{key}-"))
        .collect();
    let revision = present
        .iter()
        .flatten()
        .find(|(key, _)| *key == labels::REVISION);
    let keep = revision.and_then(|(_, revision)| keep_gateways(world, namespace, revision));
    let remove = format!("kubectl label namespace {namespace} {}", removals.join(" "));
    keep.into_iter().chain([remove]).collect()
}

/// A Gateway without a revision of its own belongs to its namespace's: removing that label would
/// hand it to another control plane.
fn keep_gateways(world: &World, namespace: &str, revision: &str) -> Option<String> {
    let gateways = world.gateways.iter();
    let names: Vec<_> = gateways
        .filter(|g| g.meta.namespace == namespace && g.meta.label(labels::REVISION).is_none())
        .map(|g| g.meta.name.as_str())
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "kubectl label gateway {} --namespace {namespace} {}={revision}",
            names.join(" "),
            labels::REVISION
        )
    })
}
