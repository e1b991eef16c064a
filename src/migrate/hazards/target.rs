//! Policies that only a waypoint can enforce: where they point, and those that point nowhere.

use ambient_facts::labels;

use super::{Context, list, workloads};
use crate::finding::{Finding, codes};
use crate::migrate::waypoints::Binding;
use crate::model::{
    AuthorizationPolicy, AuthorizationRule, Gateway, Kind, Labels, Meta, ObjectRef, Service,
    TargetRef, Workload,
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
            if !selected.is_empty() {
                let message = format!(
                    "checks the tokens of requests to {} by selector, which nothing does in ambient \
                     mode; from the moment of enrolment requests with any token are let through",
                    workloads(&selected)
                );
                let origin = object.meta.origin.clone();
                let mut finding = Finding::new(&codes::JWT_NOT_CHECKED, subject, origin, message);
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
        let message =
            format!("`spec.targetRefs[{index}]`: {problem}, so nothing enforces it there");
        let code = &codes::TARGET_NOT_ENFORCED;
        findings.push(Finding::new(
            code,
            subject.clone(),
            meta.origin.clone(),
            message,
        ));
    }
}

/// Why a target is not enforced; `None` when it is, or when that cannot be said.
fn problem(context: &Context<'_>, meta: &Meta, target: &TargetRef) -> Option<String> {
    let name = &target.name;
    let kind = &target.kind;
    let root = meta.namespace == context.options.root_namespace;
    if kind == "GatewayClass" {
        let message = "a GatewayClass counts in the root namespace only, which is";
        return (!root).then(|| format!("{message} `{}`", context.options.root_namespace));
    }
    // The mesh's own namespace holds gateways and is never enrolled, but its targets count.
    if !root && !context.scope.is_enrolled(&meta.namespace) {
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
    match kind.as_str() {
        "Service" => match context.world.services.iter().find(|s| here(&s.meta)) {
            None => missing(Kind::Service),
            Some(service) => unserved_service(context, service),
        },
        "Gateway" => match context.waypoints.gateway(&meta.namespace, name) {
            None if context.waypoints.is_planned(&meta.namespace, name) => None,
            None => missing(Kind::Gateway),
            Some(gateway) => unused_gateway(context, gateway),
        },
        "ServiceEntry" => {
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
        _ => Some(format!("{kind} is not a kind that a policy can target")),
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
    (!used).then(|| format!("nothing uses the waypoint `{}`", meta.name))
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
            && super::includes(&pod_labels(g), selector)
    });
    let Some(gateway) = selected.next() else {
        return;
    };
    let message = format!(
        "`spec.selector` selects the pods of waypoint `{}/{}`, which ignores policies with a \
         selector",
        gateway.meta.namespace, gateway.meta.name
    );
    let origin = meta.origin.clone();
    let mut finding = Finding::new(
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

/// Whether a rule of a policy with a selector stands, word for word, in one that a waypoint
/// enforces for every Service of the selected workloads.
pub(super) fn is_copied(
    context: &Context<'_>,
    policy: &AuthorizationPolicy,
    rule: &AuthorizationRule,
    selected: &[&Workload],
) -> bool {
    let same =
        |r: &AuthorizationRule| r.from == rule.from && r.to == rule.to && r.when == rule.when;
    let copies: Vec<_> = context
        .world
        .authorization_policies
        .iter()
        .filter(|p| p.action == policy.action && p.rules.iter().any(same))
        .collect();
    let covers = |copy: &AuthorizationPolicy, service: &Service| {
        copy.meta.namespace == service.meta.namespace
            && copy.targets.iter().any(|t| reaches(context, t, service))
    };
    selected.iter().all(|workload| {
        let mut services = context.services_of(workload).peekable();
        services.peek().is_some() && services.all(|s| copies.iter().any(|c| covers(c, s)))
    })
}

/// Whether a target, in the namespace of a Service, makes its waypoint enforce a policy.
pub(super) fn reaches(context: &Context<'_>, target: &TargetRef, service: &Service) -> bool {
    let Binding::Bound(waypoint) = context.waypoints.of_service(service) else {
        return false;
    };
    match target.kind.as_str() {
        "Service" => target.name == service.meta.name && !service.headless,
        "Gateway" => target.name == waypoint.name && waypoint.namespace == service.meta.namespace,
        _ => false,
    }
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
    let mut names: Vec<_> = selected
        .iter()
        .flat_map(|w| context.services_of(w))
        .filter(|s| !s.headless)
        .map(|s| s.meta.name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return format!(
            "no Service with an address selects these pods: put a Service in front of them, or a \
             waypoint with the label `{}: workload`",
            labels::WAYPOINT_FOR
        );
    }
    let unserved: Vec<_> = context
        .world
        .services
        .iter()
        .filter(|s| s.meta.namespace == meta.namespace && names.contains(&s.meta.name.as_str()))
        .filter(|s| !matches!(context.waypoints.of_service(s), Binding::Bound(_)))
        .map(|s| s.meta.name.as_str())
        .collect();
    let refs: Vec<_> = names
        .iter()
        .map(|n| format!("{{group: \"\", kind: Service, name: {n}}}"))
        .collect();
    let waypoint = if unserved.is_empty() {
        String::new()
    } else {
        format!(", and a waypoint for {} with `--waypoint`", list(unserved))
    };
    format!(
        "add a copy with `spec.targetRefs: [{}]` in place of the selector{waypoint}",
        refs.join(", ")
    )
}

#[cfg(test)]
mod tests;
