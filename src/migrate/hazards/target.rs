//! Policies that only a waypoint can enforce: where they point, and those that point nowhere.

use ambient_facts::labels;

use super::{Context, about, list, workloads};
use crate::finding::{Finding, codes};
use crate::migrate::setting::attachment::{Place, TargetKind, group};
use crate::migrate::setting::waypoints::Binding;
use crate::model::{
    AuthorizationPolicy, AuthorizationRule, Coverage, Gateway, Kind, Labels, Meta, ObjectRef,
    Service, TargetRef, Workload, includes,
};

pub(super) fn find(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for policy in &context.world.authorization_policies {
        let subject = policy.reference();
        targets(context, &subject, &policy.meta, &policy.targets, findings);
        if policy.targets.is_empty() {
            selects_waypoint(context, &subject, &policy.meta, &policy.selector, findings);
        }
    }
    for object in &context.world.request_authentications {
        let subject = object.meta.reference("RequestAuthentication");
        targets(context, &subject, &object.meta, &object.targets, findings);
        if object.targets.is_empty() {
            selects_waypoint(context, &subject, &object.meta, &object.selector, findings);
            let selected = context.selected(&object.meta, &object.selector);
            let others = context.world.request_authentications.iter();
            let copies = others.map(|o| (&o.meta, o.targets.as_slice()));
            if !selected.is_empty() && !covers(context, copies, &selected) {
                let message = format!(
                    "checks the tokens of requests to {} by selector, which nothing does in ambient \
                     mode; from the moment of enrolment requests with any token are let through",
                    workloads(&selected)
                );
                let origin = object.meta.origin.clone();
                let mut finding = about(&codes::JWT_NOT_CHECKED, subject, origin, message);
                finding.fixes = vec![copy_for(context, &object.meta, &selected)];
                findings.push(finding);
            }
        }
    }
}

/// Reports targets that do not lead to a waypoint.
fn targets(
    context: &Context<'_>,
    subject: &ObjectRef,
    meta: &Meta,
    targets: &[TargetRef],
    findings: &mut Vec<Finding>,
) {
    for (index, target) in targets.iter().enumerate() {
        let Some(problem) = problem(context, meta, target) else {
            continue;
        };
        let message = format!("is not enforced through `spec.targetRefs[{index}]`: {problem}");
        let code = &codes::TARGET_NOT_ENFORCED;
        let mut finding = about(code, subject.clone(), meta.origin.clone(), message);
        if meta.is_ours() {
            finding.fixes.extend(ask_again(context, meta, target));
        }
        findings.push(finding);
    }
}

/// How to have the waypoint again that an earlier run planned, and made a policy for.
fn ask_again(context: &Context<'_>, meta: &Meta, target: &TargetRef) -> Option<String> {
    let namespace = &meta.namespace;
    let name = match TargetKind::of(target)? {
        TargetKind::Gateway => target.name.as_str(),
        // Which waypoint serves it stands in no policy.
        TargetKind::Service => {
            let mut services = context.services_in(namespace);
            services.find(|s| s.meta.name == target.name)?;
            "NAME"
        }
        _ => return None,
    };
    Some(format!(
        "pass `--waypoint {name}={namespace}` again, as in the run that made it"
    ))
}

/// Why a target is not enforced; `None` when it is, or when that cannot be said.
fn problem(context: &Context<'_>, meta: &Meta, target: &TargetRef) -> Option<String> {
    let name = &target.name;
    let kind = &target.kind;
    let root = meta.namespace == context.options.root_namespace;
    let target_kind = TargetKind::of(target);
    if target_kind == Some(TargetKind::GatewayClass) {
        let message = "a GatewayClass counts in the root namespace only, which is";
        return (!root).then(|| format!("{message} `{}`", context.options.root_namespace));
    }
    if !context.scope.is_enrolled(&meta.namespace) {
        return None;
    }
    if let Some(other) = target.namespace.as_ref().filter(|n| **n != meta.namespace) {
        return Some(format!(
            "{kind} `{other}/{name}` is in another namespace than the policy, which is not allowed"
        ));
    }
    let missing = |kind_read| {
        let absence = context.absence(kind_read)?;
        Some(format!(
            "{absence} {kind} `{name}` in namespace `{}`",
            meta.namespace
        ))
    };
    let here = |m: &Meta| m.namespace == meta.namespace && m.name == *name;
    match target_kind {
        Some(TargetKind::Service) => match context.world.services.iter().find(|s| here(&s.meta)) {
            None => missing(Kind::Service),
            Some(service) => unserved_service(context, service),
        },
        Some(TargetKind::Gateway) => match context.waypoints.gateway(&meta.namespace, name) {
            None if context.waypoints.is_planned(&meta.namespace, name) => None,
            None => missing(Kind::Gateway),
            Some(gateway) => unused_gateway(context, gateway),
        },
        Some(TargetKind::ServiceEntry) => {
            let mut entries = context
                .world
                .networking
                .iter()
                .filter(|o| o.kind == "ServiceEntry");
            match entries.find(|o| here(&o.meta)) {
                None => missing(Kind::Networking),
                Some(entry) => match context.waypoints.of_entry(&entry.meta) {
                    Binding::Bound(_) => None,
                    Binding::Unbound => Some(format!("no waypoint serves ServiceEntry `{name}`")),
                    Binding::Broken(broken) => Some(format!(
                        "ServiceEntry `{name}` names the waypoint `{}/{}`, which cannot serve it",
                        broken.namespace, broken.name
                    )),
                },
            }
        }
        // What it selects may be anywhere.
        Some(TargetKind::IstioGateway | TargetKind::GatewayClass) => None,
        None => Some(format!(
            "{kind} of group `{}` is not a kind that a policy can target",
            group(target)
        )),
    }
}

fn unserved_service(context: &Context<'_>, service: &Service) -> Option<String> {
    let name = &service.meta.name;
    match context.waypoints.of_service(service) {
        Binding::Bound(_) if service.headless => Some(format!(
            "Service `{name}` is headless, and its clients never pass through a waypoint"
        )),
        Binding::Bound(_) => None,
        Binding::Unbound => Some(format!("no waypoint serves Service `{name}`")),
        Binding::Broken(broken) => Some(format!(
            "Service `{name}` names the waypoint `{}/{}`, which cannot serve it",
            broken.namespace, broken.name
        )),
    }
}

/// A waypoint that nothing is labelled for. Gateways of other kinds take traffic of their own.
fn unused_gateway(context: &Context<'_>, gateway: &Gateway) -> Option<String> {
    if !gateway.is_waypoint() {
        return None;
    }
    let meta = &gateway.meta;
    let is_it = |binding: Binding<'_>| matches!(binding, Binding::Bound(w) if w.name == meta.name && w.namespace == meta.namespace);
    let world = context.world;
    let waypoints = &context.waypoints;
    let used = world
        .services
        .iter()
        .any(|s| is_it(waypoints.of_service(s)))
        || world
            .workloads
            .iter()
            .any(|w| is_it(waypoints.of_workload(w)))
        || world
            .namespaces
            .keys()
            .any(|n| is_it(waypoints.of_namespace(n)))
        || world
            .networking
            .iter()
            .any(|o| o.kind == "ServiceEntry" && is_it(waypoints.of_entry(&o.meta)));
    let nothing = match world.coverage(Kind::Service) {
        Coverage::Complete => "nothing",
        _ => "nothing in the input",
    };
    (!used).then(|| format!("{nothing} uses the waypoint `{}`", meta.name))
}

/// Reports a selector that can only mean the pods of a waypoint.
fn selects_waypoint(
    context: &Context<'_>,
    subject: &ObjectRef,
    meta: &Meta,
    selector: &Labels,
    findings: &mut Vec<Finding>,
) {
    if selector.is_empty() {
        return;
    }
    let here = |namespace: &str| {
        namespace == meta.namespace || meta.namespace == context.options.root_namespace
    };
    let gateways = context.world.gateways.iter();
    let mut selected = gateways.filter(|g| {
        g.class == labels::WAYPOINT_CLASS
            && here(&g.meta.namespace)
            && context.scope.is_enrolled(&g.meta.namespace)
            && includes(&pod_labels(g), selector)
    });
    let Some(gateway) = selected.next() else {
        return;
    };
    let message = format!(
        "selects the pods of waypoint `{}/{}` by `spec.selector`, and a waypoint ignores policies with \
         a selector",
        gateway.meta.namespace, gateway.meta.name
    );
    let origin = meta.origin.clone();
    let mut finding = about(
        &codes::SELECTOR_ON_WAYPOINT,
        subject.clone(),
        origin,
        message,
    );
    finding.fixes = vec![format!(
        "in namespace `{}`, replace `spec.selector` by `spec.targetRefs: [{{group: \
         gateway.networking.k8s.io, kind: Gateway, name: {}}}]`",
        gateway.meta.namespace, gateway.meta.name
    )];
    findings.push(finding);
}

/// The labels that the control plane gives to the pods of a waypoint: the Gateway's own, and those
/// that name it (istiod `pilot/pkg/config/kube/gateway`).
fn pod_labels(gateway: &Gateway) -> Labels {
    let mut all = gateway.meta.labels.clone();
    for (key, value) in [
        (labels::GATEWAY_NAME, gateway.meta.name.as_str()),
        (labels::GATEWAY_CLASS_NAME, gateway.class.as_str()),
        (labels::GATEWAY_MANAGED, labels::MANAGED_WAYPOINT),
    ] {
        all.insert(key.to_owned(), value.to_owned());
    }
    all
}

/// Whether a rule of a policy with a selector stands, word for word, in one of the same action that
/// a waypoint enforces for every Service of the selected workloads.
pub(super) fn is_copied(
    context: &Context<'_>,
    policy: &AuthorizationPolicy,
    rule: &AuthorizationRule,
    selected: &[&Workload],
) -> bool {
    let same =
        |r: &AuthorizationRule| r.from == rule.from && r.to == rule.to && r.when == rule.when;
    // A policy in the root namespace may have its copies anywhere.
    let policies: Vec<_> = if policy.meta.namespace == context.options.root_namespace {
        context.world.authorization_policies.iter().collect()
    } else {
        context.authorization_in(&policy.meta.namespace).collect()
    };
    let copies = policies
        .into_iter()
        .filter(|p| p.action == policy.action && !p.is_dry_run() && p.rules.iter().any(same));
    covers(
        context,
        copies.map(|p| (&p.meta, p.targets.as_slice())),
        selected,
    )
}

/// Whether objects with targets reach every Service of the workloads, and each has one.
pub(super) fn covers<'o>(
    context: &Context<'_>,
    objects: impl Iterator<Item = (&'o Meta, &'o [TargetRef])>,
    selected: &[&Workload],
) -> bool {
    let objects: Vec<_> = objects.filter(|(_, targets)| !targets.is_empty()).collect();
    let reached = |service: &Service| {
        objects
            .iter()
            .any(|(meta, targets)| reaches(context, meta, targets, service))
    };
    !objects.is_empty()
        && selected.iter().all(|workload| {
            let mut services = context.services_of(workload).peekable();
            services.peek().is_some() && services.all(reached)
        })
}

/// Whether the targets of an object make the waypoint of a Service enforce it.
pub(super) fn reaches(
    context: &Context<'_>,
    meta: &Meta,
    targets: &[TargetRef],
    service: &Service,
) -> bool {
    let Binding::Bound(waypoint) = context.waypoints.of_service(service) else {
        return false;
    };
    let place = Place {
        root_namespace: &context.options.root_namespace,
        namespace: waypoint.namespace,
        name: waypoint.name,
        service: Some(&service.meta),
    };
    !service.headless && targets.iter().any(|t| place.has(t, &meta.namespace))
}

/// How to let a waypoint enforce a policy.
pub(super) fn copy_to_waypoint(
    context: &Context<'_>,
    policy: &AuthorizationPolicy,
    selected: &[&Workload],
) -> String {
    copy_for(context, &policy.meta, selected)
}

fn copy_for(context: &Context<'_>, meta: &Meta, selected: &[&Workload]) -> String {
    if meta.namespace == context.options.root_namespace {
        return format!(
            "add a copy in namespace `{}` with `spec.targetRefs: [{{group: \
             gateway.networking.k8s.io, kind: GatewayClass, name: {}}}]` in place of the selector, \
             so that all waypoints enforce it",
            meta.namespace,
            labels::WAYPOINT_CLASS
        );
    }
    let mut services: Vec<_> = selected
        .iter()
        .flat_map(|w| context.services_of(w))
        .filter(|s| !s.headless)
        .collect();
    services.sort_unstable_by_key(|s| &s.meta.name);
    services.dedup_by_key(|s| &s.meta.name);
    if services.is_empty() {
        return format!(
            "no Service with an address selects these pods: put a Service in front of them, or a \
             waypoint with the label `{}: workload`",
            labels::WAYPOINT_FOR
        );
    }
    let name = |s: &&Service| s.meta.name.clone();
    let (now, later) = services.split_at(services.len().min(MOST_TARGETS));
    let refs: Vec<_> = now
        .iter()
        .map(|s| format!("{{group: \"\", kind: Service, name: {}}}", s.meta.name))
        .collect();
    let first = format!(
        "add a copy with `spec.targetRefs: [{}]` in place of the selector",
        refs.join(", ")
    );
    let further = if later.is_empty() {
        String::new()
    } else {
        format!(", further copies for {}", list(later.iter().map(name)))
    };
    let bound = |s: &&&Service| matches!(context.waypoints.of_service(s), Binding::Bound(_));
    let unserved: Vec<_> = services.iter().filter(|s| !bound(s)).map(name).collect();
    let waypoint = if unserved.is_empty() {
        String::new()
    } else {
        format!(", and a waypoint for {} with `--waypoint`", list(unserved))
    };
    format!("{first}{further}{waypoint}")
}

/// How many targets the API admits in one policy (istio/api `security/v1`).
const MOST_TARGETS: usize = 16;

#[cfg(test)]
mod tests;
