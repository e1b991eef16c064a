//! The steps of a plan: what is changed in which order, and why.

use std::collections::BTreeSet;

use ambient_facts::{labels, ports};
use serde_json::Value;

use super::object;
use super::opening::{self, Means, Opening};
use super::restore::Limits;
use super::scope::NamespaceState;
use super::setting::Setting;
use crate::finding::{Finding, codes};
use crate::model::{AuthorizationPolicy, NetworkPolicy, ObjectRef, Origin};
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
        let reason = match change.rules.len() {
            0 => "open the way through the waypoint".to_owned(),
            1 => format!("open port {} in 1 rule{through}", ports::HBONE),
            rules => format!("open port {} in {rules} rules{through}", ports::HBONE),
        };
        if change.means == Means::Standing {
            continue;
        }
        findings.push(closed_tunnel(policy, change));
        if change.means == Means::Edit {
            let companion = object::network_policy(&opening::companion(policy, change));
            changes.push(Change {
                object: policy.reference(),
                reason,
                action: ChangeAction::Edit {
                    origin: policy.meta.origin.clone(),
                    edits: opening::edits(policy, change),
                    companion: Some(companion.into()),
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
        .chain(change.appended.iter().map(|(d, _)| d))
        .map(|d| match d {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        })
        .collect();
    let directions: Vec<&str> = directions.into_iter().collect();
    let code = if change.rules.is_empty() {
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
        changes.push(Change {
            object: policy.reference(),
            reason: limit.reason.clone(),
            action: creation(
                Body::AuthorizationPolicy(policy.clone()),
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
    for (namespace, waypoint) in &setting.planned {
        let mut gateways = setting.world.gateways.iter();
        if !gateways.any(|g| g.meta.namespace == *namespace && g.meta.name == *waypoint) {
            step.commands.push(format!(
                "istioctl waypoint apply --namespace {namespace} --name {waypoint}"
            ));
        }
        label(
            setting,
            namespace,
            labels::USE_WAYPOINT,
            waypoint,
            &mut step,
        );
    }
    for (namespace, state) in setting.scope.namespaces() {
        if *state == NamespaceState::Enrolled && has_members(setting, namespace) {
            label(
                setting,
                namespace,
                labels::DATAPLANE_MODE,
                labels::AMBIENT,
                &mut step,
            );
        }
    }
    step.changes.sort_by(|a, b| a.object.cmp(&b.object));
    step
}

/// Labels a namespace: in its manifest where there is one and labels are wanted, else by command.
fn label(setting: &Setting<'_>, namespace: &str, key: &str, value: &str, step: &mut Step) {
    let known = setting.world.namespaces.get(namespace);
    if known.is_some_and(|n| n.meta.labels.contains_key(key)) {
        return;
    }
    match known.filter(|n| n.declared && setting.options.enroll) {
        Some(declared) => {
            let edit = Edit::Add {
                path: vec!["metadata".into(), "labels".into()],
                key: key.to_owned(),
                value: Value::String(value.to_owned()),
            };
            let object = ObjectRef::cluster("Namespace", namespace);
            let same = step.changes.iter_mut().find(|c| c.object == object);
            match same.map(|c| &mut c.action) {
                Some(ChangeAction::Edit { edits, .. }) => edits.push(edit),
                _ => step.changes.push(Change {
                    object,
                    reason: "enrol the namespace".to_owned(),
                    action: ChangeAction::Edit {
                        origin: declared.meta.origin.clone(),
                        edits: vec![edit],
                        companion: None,
                    },
                }),
            }
        }
        None => step
            .commands
            .push(format!("kubectl label namespace {namespace} {key}={value}")),
    }
}

/// Whether something of a namespace in the input would be enrolled.
fn has_members(setting: &Setting<'_>, namespace: &str) -> bool {
    if setting.imagined_namespaces.contains(namespace) {
        return false;
    }
    let mut workloads = setting.world.workloads.iter().enumerate();
    let declared = setting
        .world
        .namespaces
        .get(namespace)
        .is_some_and(|n| n.declared);
    declared
        || workloads
            .any(|(i, w)| w.meta.namespace == namespace && setting.scope.workload(i).joins())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::finding::codes;
    use crate::migrate::fixture::{Fixture, deployment, meta};
    use crate::migrate::{Options, plan};
    use crate::model::{
        LabelSelector, NetworkPolicy, ObjectRef, Operator, PortMatch, PortRule, Protocol,
        Requirement, Rule, WorkloadKind,
    };

    #[test]
    fn a_limit_is_about_the_object_that_it_accompanies() {
        let mut pod = deployment("shop", "web");
        pod.kind = WorkloadKind::Pod;
        let requirement = Requirement {
            key: "app".to_owned(),
            operator: Operator::In(BTreeSet::from(["web".to_owned(), "other".to_owned()])),
        };
        let fixture = Fixture::with_namespace("shop", &[])
            .workload(pod)
            .network(NetworkPolicy {
                meta: meta("shop", "in", "policies.yaml"),
                pod_selector: LabelSelector {
                    match_expressions: vec![requirement],
                    ..LabelSelector::default()
                },
                isolates_ingress: true,
                isolates_egress: false,
                ingress: vec![Rule {
                    peers: Vec::new(),
                    ports: vec![PortRule {
                        protocol: Protocol::Tcp,
                        port: PortMatch::Range(80, 80),
                    }],
                    line: 8,
                }],
                egress: Vec::new(),
            });
        let plan = plan(&fixture.world, &Options::default());
        let limits = plan.findings.iter();
        let limits = limits.filter(|f| *f.code == codes::PORT_LIMIT_IN_TUNNEL);
        let subjects: Vec<_> = limits.map(|f| f.subject.clone()).collect();
        assert_eq!(subjects, [ObjectRef::namespaced("shop", "Pod", "web")]);
    }
}
