//! Putting the plan together: open the tunnel, put limits back, enrol, and prove it.

use std::collections::BTreeSet;

use ambient_facts::{labels, ports};
use serde_json::Value;

use super::analysis::Analysis;
use super::compare::compare;
use super::hazards::{self, HazardOptions};
use super::opening::{self, Added, Opener, Opening, Speakers};
use super::restore::Limits;
use super::scope::{Membership, NamespaceState, StaysOut};
use super::setting::Setting;
use super::{AuthzMode, Options, Strategy, object, probes, via};
use crate::authz;
use crate::finding::{Finding, codes};
use crate::model::{AuthorizationPolicy, NetworkPolicy, ObjectRef, World};
use crate::netpol::{Selection, Universe};
use crate::plan::{
    Change, ChangeAction, Comparison, Edit, NamespacePlan, Plan, Relation, Step, StepKind, Verdict,
};

/// Plans the move of a world to ambient mesh.
pub(super) fn assemble(world: &World, options: &Options) -> Plan {
    let setting = Setting::of(world, options);
    // A plugin that keeps the ports visible needs neither opening nor limits.
    let visible = setting.cni.cni.keeps_ports_visible();
    let opening = if visible {
        unchanged(&setting)
    } else {
        open(&setting)
    };
    let universe = universe(&setting, &opening);
    let mut analysis = Analysis::of(&setting, &universe, &opening);
    let limits = if visible {
        Limits::default()
    } else {
        Limits::of(&analysis)
    };
    let (mut proof, mut findings) = if visible {
        Default::default()
    } else {
        compare(&mut analysis, &limits).report(&mut analysis, &limits)
    };
    let mut steps = vec![open_step(&setting, &opening, &mut findings)];
    steps.push(limit_step(&setting, &limits, &mut findings));
    steps.push(enrol_step(&setting));
    steps.retain(|s| !s.changes.is_empty() || !s.commands.is_empty());

    probe_findings(&setting, &opening, &mut findings);
    policy_findings(&setting, &mut findings);
    plugin_policies(&setting, &mut proof.differences, &mut findings);
    findings.extend(hazards::find(
        &setting.world,
        &setting.endpoints,
        &setting.scope,
        &HazardOptions {
            waypoints: setting.planned.clone(),
            cni: setting.cni.cni,
            ..HazardOptions::default()
        },
    ));
    Finding::sort(&mut findings);
    findings.dedup();
    Plan {
        namespaces: namespaces(&setting),
        steps,
        findings,
        proof,
    }
}

fn unchanged(setting: &Setting<'_>) -> Opening {
    Opening {
        after: setting.world.network_policies.clone(),
        ..Opening::default()
    }
}

/// Decides about every policy.
fn open(setting: &Setting<'_>) -> Opening {
    let world = &*setting.world;
    let before = &world.network_policies;
    let keys = authorization_keys(&world.authorization_policies);
    let universe = Universe::of(
        world,
        &setting.endpoints,
        before,
        keys.into_iter().chain([labels::GATEWAY_NAME]),
        &setting.traits(),
        setting.assumptions.clone(),
    );
    let selection = Selection::new(world, &universe);
    let speakers = Speakers::of(setting, &selection);
    let mut opener = Opener {
        setting,
        policies: before,
        selection,
        speakers,
    };
    let mut changed = opener.rules();
    opener.waypoint_rules(&mut changed);

    let mut opening = Opening {
        after: before.clone(),
        changed,
        added: Vec::new(),
    };
    for change in &opening.changed {
        let Some(policy) = before.get(change.policy) else {
            continue;
        };
        match setting.options.strategy {
            Strategy::Edit => {
                if let Some(after) = opening.after.get_mut(change.policy) {
                    *after = opening::opened(policy, change);
                }
            }
            Strategy::Companion => opening.added.push(Added {
                policy: opening::companion(policy, change),
                beside: policy.meta.origin.clone(),
                reason: format!(
                    "open the tunnel port for the peers of `{}`",
                    policy.meta.name
                ),
                replaces: None,
            }),
        }
    }
    opening.added.extend(via::policies_of_waypoints(setting));
    if setting.cni.cni.needs_probe_rule() == Some(true) {
        opening
            .added
            .extend(probes::policies(setting, &probes::refused(setting, before)));
    }
    settle(before, &mut opening);
    opening
}

/// Leaves out what is there already, and replaces what an earlier run left behind.
fn settle(before: &[NetworkPolicy], opening: &mut Opening) {
    let Opening { after, added, .. } = opening;
    added.retain_mut(|new| {
        let known = before.iter().position(|p| {
            p.meta.namespace == new.policy.meta.namespace && p.meta.name == new.policy.meta.name
        });
        let Some((index, policy)) = known.and_then(|i| Some((i, before.get(i)?))) else {
            return true;
        };
        if object::same_policy(policy, &new.policy) {
            return false;
        }
        new.replaces = Some(policy.meta.origin.clone());
        if let Some(after) = after.get_mut(index) {
            *after = new.policy.clone();
        }
        true
    });
}

fn universe(setting: &Setting<'_>, opening: &Opening) -> Universe {
    let world = &*setting.world;
    let policies = world
        .network_policies
        .iter()
        .chain(&opening.after)
        .chain(opening.added.iter().map(|a| &a.policy));
    let keys = authorization_keys(&world.authorization_policies);
    Universe::of(
        world,
        &setting.endpoints,
        policies,
        keys.into_iter().chain([labels::GATEWAY_NAME]),
        &setting.traits(),
        setting.assumptions.clone(),
    )
}

/// Label keys that authorization policies select by.
fn authorization_keys(policies: &[AuthorizationPolicy]) -> BTreeSet<&str> {
    policies
        .iter()
        .flat_map(|p| p.selector.keys())
        .map(String::as_str)
        .collect()
}

fn open_step(setting: &Setting<'_>, opening: &Opening, findings: &mut Vec<Finding>) -> Step {
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
        findings.push(closed_tunnel(policy, change));
        if setting.options.strategy == Strategy::Edit {
            let companion = object::network_policy(&opening::companion(policy, change));
            changes.push(Change {
                object: policy.reference(),
                reason,
                action: ChangeAction::Edit {
                    origin: policy.meta.origin.clone(),
                    edits: opening::edits(policy, change),
                    companion: Some(companion),
                },
            });
        }
    }
    changes.extend(opening.added.iter().map(|added| Change {
        object: added.policy.reference(),
        reason: added.reason.clone(),
        action: creation(
            object::network_policy(&added.policy),
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

fn creation(
    body: Value,
    replaces: Option<crate::model::Origin>,
    beside: crate::model::Origin,
) -> ChangeAction {
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
            crate::netpol::Direction::Ingress => "ingress",
            crate::netpol::Direction::Egress => "egress",
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

fn limit_step(setting: &Setting<'_>, limits: &Limits, findings: &mut Vec<Finding>) -> Step {
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
        let subject = accompanied(policy);
        let message = format!(
            "ports are limited; `{}` keeps the limit inside the tunnel",
            policy.reference()
        );
        findings.push(Finding::new(
            &codes::PORT_LIMIT_IN_TUNNEL,
            subject,
            limit.beside.clone(),
            message,
        ));
        changes.push(Change {
            object: policy.reference(),
            reason: limit.reason.clone(),
            action: creation(
                authz::to_value(policy),
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

/// The object that one of our policies accompanies.
fn accompanied(policy: &AuthorizationPolicy) -> ObjectRef {
    let of = policy
        .meta
        .annotation(ambient_facts::annotations::COMPANION_OF)
        .unwrap_or_default();
    let (kind, name) = of.split_once('/').unwrap_or(("", of));
    let kind = match kind {
        "networkpolicy" => "NetworkPolicy",
        "service" => "Service",
        "deployment" => "Deployment",
        "statefulset" => "StatefulSet",
        "daemonset" => "DaemonSet",
        other => other,
    };
    ObjectRef::namespaced(&policy.meta.namespace, kind, name)
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
        && rules(a) == rules(b)
}

fn enrol_step(setting: &Setting<'_>) -> Step {
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

fn probe_findings(setting: &Setting<'_>, opening: &Opening, findings: &mut Vec<Finding>) {
    let needed = setting.cni.cni.needs_probe_rule();
    if needed == Some(false) {
        return;
    }
    let mut policies = opening.after.clone();
    let new = opening.added.iter().filter(|a| a.replaces.is_none());
    policies.extend(new.map(|a| a.policy.clone()));
    let code = if needed.is_none() {
        &codes::PROBES_CNI_UNKNOWN
    } else {
        &codes::PROBES_BLOCKED
    };
    for refused in probes::refused(setting, &policies) {
        let ports: Vec<String> = refused.ports.iter().map(ToString::to_string).collect();
        let message = format!(
            "`{}` isolates it, and its probes on port {} come from another address after enrolment",
            refused.policy.reference(),
            ports.join(", ")
        );
        let workload = refused.workload;
        findings.push(Finding::new(
            code,
            workload.reference(),
            workload.meta.origin.clone(),
            message,
        ));
    }
}

/// Findings about policies and options themselves.
fn policy_findings(setting: &Setting<'_>, findings: &mut Vec<Finding>) {
    let world = &*setting.world;
    if setting.options.authz == AuthzMode::None {
        let limited = world.network_policies.iter().find(|p| {
            let mut rules = p.ingress.iter().chain(&p.egress);
            rules.any(opening::grants_some_tcp)
        });
        if let Some(policy) = limited {
            findings.push(Finding::new(
                &codes::AUTHORIZATION_DISABLED,
                policy.reference(),
                policy.meta.origin.clone(),
                "`--authz none` leaves port limits to nobody inside the tunnel".to_owned(),
            ));
        }
    }
    for policy in &world.network_policies {
        let selects = |(index, w): (usize, &crate::model::Workload)| {
            !setting.is_imagined(index)
                && w.meta.namespace == policy.meta.namespace
                && policy.pod_selector.matches(&w.pod.labels)
        };
        if !world.workloads.iter().enumerate().any(selects) {
            findings.push(Finding::new(
                &codes::POLICY_SELECTS_NOTHING,
                policy.reference(),
                policy.meta.origin.clone(),
                "it selects no pod of the input; it is rewritten as if it selected one".to_owned(),
            ));
        }
    }
    for (name, namespace) in &world.namespaces {
        let asked = |p: &NetworkPolicy| {
            let mut peers = p.ingress.iter().chain(&p.egress).flat_map(|r| &r.peers);
            peers.any(|peer| match peer {
                crate::model::Peer::Pods {
                    namespaces: Some(selector),
                    ..
                } => selector.keys().any(|k| k != labels::NAMESPACE_NAME),
                _ => false,
            })
        };
        if !namespace.declared && world.network_policies.iter().any(asked) {
            findings.push(Finding::new(
                &codes::NAMESPACE_UNDECLARED,
                ObjectRef::cluster("Namespace", name),
                crate::model::Origin::synthetic(),
                format!("the input does not hold namespace `{name}`, so of its labels only its name is known"),
            ));
        }
    }
}

/// Policy kinds that are not analysed make what they may touch unknown.
fn plugin_policies(
    setting: &Setting<'_>,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    for policy in &setting.world.plugin_policies {
        let reference = policy.reference();
        let because = format!(
            "`{}` of group `{}` also decides about connections, and is not analysed",
            policy.kind, policy.group
        );
        findings.push(Finding::new(
            &codes::UNKNOWN_PLUGIN_POLICY,
            reference.clone(),
            policy.meta.origin.clone(),
            because.clone(),
        ));
        let pods = match &reference.namespace {
            Some(namespace) => format!("{namespace}/(any pod)"),
            None => "(any pod)".to_owned(),
        };
        differences.push(Comparison {
            source: "(any)".to_owned(),
            destination: pods,
            relation: Relation::Tunnel,
            verdict: Verdict::Unknown,
            before: "unknown".to_owned(),
            after: "unknown".to_owned(),
            difference: "unknown".to_owned(),
            example: String::new(),
            because,
            policies: vec![reference],
        });
    }
    differences.sort();
}

fn namespaces(setting: &Setting<'_>) -> Vec<NamespacePlan> {
    let plan = |(name, state): (&str, &NamespaceState)| {
        let mut in_mesh = 0;
        let mut staying_out = Vec::new();
        for (id, endpoint) in setting
            .endpoints
            .iter()
            .filter(|(_, e)| e.namespace == name)
        {
            let synthetic = |w: &usize| {
                setting
                    .world
                    .workloads
                    .get(*w)
                    .is_none_or(|w| w.meta.origin.is_synthetic())
            };
            if endpoint.workloads.iter().all(synthetic) {
                continue;
            }
            match setting.scope.endpoint(id) {
                Membership::StaysOut(StaysOut::Namespace | StaysOut::Terminated) => {}
                Membership::StaysOut(why) => {
                    staying_out.push((endpoint.to_string(), why.to_string()));
                }
                Membership::Joins | Membership::JoinsWithoutSidecar => in_mesh += 1,
            }
        }
        let reason = match state {
            NamespaceState::LeftOut(why) => why.to_string(),
            NamespaceState::Labelled | NamespaceState::Enrolled => String::new(),
        };
        let waypoint = setting.waypoints.of_namespace(&setting.world, name);
        NamespacePlan {
            name: name.to_owned(),
            enrolled: state.is_enrolled(),
            labelled: *state == NamespaceState::Labelled,
            reason,
            in_mesh,
            staying_out,
            waypoint: waypoint.map(|w| format!("{}/{}", w.namespace, w.name)),
        }
    };
    setting.scope.namespaces().map(plan).collect()
}
