//! Labels that name a waypoint, and policies of the pods behind one.

use ambient_facts::{labels, namespaces};

use super::identity::{Answer, Identity, has_layer7};
use super::target::reaches;
use super::{Context, about, at_line, list};
use crate::authz::TrustDomain;
use crate::finding::{Code, Finding, codes};
use crate::migrate::setting::waypoints::{Binding, Broken, BrokenReason, Waypoint};
use crate::model::{
    Action, AuthorizationPolicy, AuthorizationRule, Kind, Meta, Name, ObjectRef, Origin, Protocol,
    Service, TargetPort, Workload,
};

pub(super) fn find(context: &Context<'_>, findings: &mut Vec<Finding>) {
    labels_of_namespaces(context, findings);
    labels_of_objects(context, findings);
    for service in &context.world.services {
        let Binding::Bound(waypoint) = context.waypoints.of_service(service) else {
            continue;
        };
        let backends = context.backends(service);
        if backends.is_empty() {
            continue;
        }
        if service.headless {
            let message = format!(
                "is headless, so its clients connect to pods directly and not through waypoint \
                 `{}/{}`",
                waypoint.namespace, waypoint.name
            );
            findings.push(of_service(service, &codes::HEADLESS_WITH_WAYPOINT, message));
            continue;
        }
        if matches!(service.service_type.as_str(), "NodePort" | "LoadBalancer") {
            let message = format!(
                "is of type {}, and connections from outside do not pass through waypoint `{}/{}`",
                service.service_type, waypoint.namespace, waypoint.name
            );
            findings.push(of_service(service, &codes::WAYPOINT_BYPASSED, message));
        }
        admission(context, service, &waypoint, &backends, findings);
    }
    hidden_sources(context, findings);
}

fn of_service(service: &Service, code: &'static Code, predicate: String) -> Finding {
    let subject = service.meta.reference("Service");
    about(code, subject, service.meta.origin.clone(), predicate)
}

fn labels_of_namespaces(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for (name, namespace) in &context.world.namespaces {
        if !context.scope.is_enrolled(name) {
            continue;
        }
        if let Binding::Broken(broken) = context.waypoints.of_namespace(name) {
            let subject = ObjectRef::cluster("Namespace", name);
            let origin = &namespace.meta.origin;
            findings.extend(broken_label(context, subject, origin, name, &broken));
        }
    }
}

/// Reports labels of Services, ServiceEntries and pods; what they inherit is their namespace's.
fn labels_of_objects(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let world = context.world;
    let mut report = |subject: ObjectRef, meta: &Meta, line: u32, binding: Binding<'_>| {
        let Binding::Broken(broken) = binding else {
            return;
        };
        // A Service that inherits a waypoint for pod addresses is what its namespace asked for.
        if broken.own {
            let origin = at_line(&meta.origin, line);
            let from = &meta.namespace;
            findings.extend(broken_label(context, subject, &origin, from, &broken));
        }
    };
    for service in &world.services {
        if context.scope.is_enrolled(&service.meta.namespace) {
            let binding = context.waypoints.of_service(service);
            report(service.meta.reference("Service"), &service.meta, 0, binding);
        }
    }
    for entry in world.networking.iter().filter(|o| o.kind == "ServiceEntry") {
        if context.scope.is_enrolled(&entry.meta.namespace) {
            let binding = context.waypoints.of_entry(&entry.meta);
            report(entry.reference(), &entry.meta, 0, binding);
        }
    }
    for workload in context.members.values().flatten() {
        let binding = context.waypoints.of_workload(workload);
        report(
            workload.reference(),
            &workload.meta,
            workload.pod.line,
            binding,
        );
    }
}

fn broken_label(
    context: &Context<'_>,
    subject: ObjectRef,
    origin: &Origin,
    from: &str,
    broken: &Broken<'_>,
) -> Option<Finding> {
    let (at, name) = (broken.namespace, broken.name);
    let label = format!("`{}: {name}`", labels::USE_WAYPOINT);
    let direct =
        "traffic goes to its destination directly and skips every policy and route of the waypoint";
    let (code, message, fix) = match broken.reason {
        BrokenReason::Missing => {
            let absence = context.absence(Kind::Gateway)?;
            (
                &codes::WAYPOINT_MISSING,
                format!("has the label {label}, and {absence} Gateway `{at}/{name}`; {direct}"),
                format!("istioctl waypoint apply --namespace {at} --name {name}"),
            )
        }
        BrokenReason::NotAWaypoint(gateway) => (
            &codes::WAYPOINT_MALFORMED,
            format!(
                "has the label {label} for Gateway `{at}/{name}` of class `{}`, which has no HBONE listener; \
                 {direct}",
                gateway.class
            ),
            format!("istioctl waypoint apply --namespace {at} --name {name} --overwrite"),
        ),
        BrokenReason::NamespaceRefused(_) => (
            &codes::WAYPOINT_REFUSES_NAMESPACE,
            format!(
                "has the label {label} for waypoint `{at}/{name}`, whose `allowedRoutes` do not admit namespace \
                 `{from}`; {direct}"
            ),
            format!(
                "set `spec.listeners[].allowedRoutes.namespaces.from: All` in Gateway `{at}/{name}`"
            ),
        ),
        BrokenReason::Traffic(_, takes) => (
            &codes::WAYPOINT_TRAFFIC_TYPE,
            format!(
                "has the label {label} for waypoint `{at}/{name}`, which takes {}; {direct}",
                traffic(takes)
            ),
            format!(
                "kubectl label gateway {name} --namespace {at} --overwrite {}=all",
                labels::WAYPOINT_FOR
            ),
        ),
    };
    let mut finding = about(code, subject, origin.clone(), message);
    finding.fixes = vec![fix];
    Some(finding)
}

/// What a waypoint takes that does not take everything, by its label.
fn traffic(takes: &str) -> String {
    let label = labels::WAYPOINT_FOR;
    match takes {
        "service" | "workload" => format!("`{takes}` traffic only"),
        labels::NONE => format!(
            "no traffic, because its label `{label}` is `{}`",
            labels::NONE
        ),
        "" => format!("no traffic, because its label `{label}` is empty"),
        other => format!("no traffic, because its label `{label}` has the unknown value `{other}`"),
    }
}

/// Whether the pods of a Service let its waypoint in, port by port.
fn admission(
    context: &Context<'_>,
    service: &Service,
    waypoint: &Waypoint<'_>,
    backends: &[&Workload],
    findings: &mut Vec<Finding>,
) {
    let identity = Identity {
        namespace: waypoint.namespace,
        service_account: waypoint.service_account(),
        trust_domain: &context.trust_domain,
    };
    let (mut ports, mut responsible) = (Vec::new(), Vec::new());
    for workload in backends {
        let policies = context.authorization_of(workload);
        let policies: Vec<_> = policies.filter(|p| !p.is_dry_run()).collect();
        for port in target_ports(service, workload) {
            let refusing = refusing(identity, &policies, port);
            if !refusing.is_empty() {
                ports.push(port);
                responsible.extend(refusing);
            }
        }
    }
    if ports.is_empty() {
        return;
    }
    ports.sort_unstable();
    ports.dedup();
    responsible.sort_by_key(|p: &&AuthorizationPolicy| p.reference());
    responsible.dedup();
    let denies = responsible.iter().any(|p| p.action == Action::Deny);
    let account = format!("{}/{}", identity.namespace, identity.service_account);
    let message = format!(
        "is behind waypoint `{}/{}`, which connects with service account `{account}`, and {} {} it \
         on port {}; every request through the waypoint is refused",
        waypoint.namespace,
        waypoint.name,
        list(responsible.iter().map(|p| p.reference())),
        if denies { "denies" } else { "does not allow" },
        list(ports),
    );
    let mut finding = of_service(service, &codes::WAYPOINT_NOT_ADMITTED, message);
    let domain = match identity.trust_domain {
        TrustDomain::Known(domain) => domain,
        TrustDomain::Usual | TrustDomain::Ambiguous => namespaces::TRUST_DOMAIN,
    };
    let principal = format!(
        "{domain}/ns/{}/sa/{}",
        identity.namespace, identity.service_account
    );
    finding.fixes = vec![if denies {
        format!("add `{principal}` to `notPrincipals` of the rule that denies")
    } else {
        format!(
            "add an AuthorizationPolicy with `action: ALLOW` for the same pods and \
             `from: [{{source: {{principals: [\"{principal}\"]}}}}]`"
        )
    }];
    findings.push(finding);
}

/// The policies because of which a source is surely refused on a port: one that denies it, or all
/// ALLOW policies when none allows it.
fn refusing<'w>(
    identity: Identity<'_>,
    policies: &[&'w AuthorizationPolicy],
    port: u16,
) -> Vec<&'w AuthorizationPolicy> {
    let with = |action| policies.iter().copied().filter(move |p| p.action == action);
    if let Some(denying) = with(Action::Deny).find(|p| identity.matches(p, port) == Answer::Yes) {
        return vec![denying];
    }
    let allowing: Vec<_> = with(Action::Allow).collect();
    if allowing
        .iter()
        .any(|p| identity.matches(p, port) != Answer::No)
    {
        return Vec::new();
    }
    allowing
}

/// The TCP ports of a workload's pods behind a Service.
fn target_ports(service: &Service, workload: &Workload) -> Vec<u16> {
    let tcp = service.ports.iter().filter(|p| p.protocol == Protocol::Tcp);
    tcp.flat_map(|port| match &port.target {
        TargetPort::Number(number) => vec![*number],
        TargetPort::Name(name) => workload.pod.named_port(name, Protocol::Tcp).collect(),
    })
    .collect()
}

/// Rules with a selector that decide by the source, for pods behind a waypoint.
fn hidden_sources(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for policy in &context.world.authorization_policies {
        let ours = policy.meta.label(labels::MANAGED_BY) == Some(labels::MANAGED_BY_AMBIENT);
        let enforced = matches!(policy.action, Action::Allow | Action::Deny);
        let idle = policy.is_dry_run() || policy.selects_nothing;
        if ours || !enforced || !policy.targets.is_empty() || idle {
            continue;
        }
        let Some((service, waypoint)) = unguarded_service(context, policy) else {
            continue;
        };
        let identity = Identity {
            namespace: waypoint.namespace,
            service_account: waypoint.service_account(),
            trust_domain: &context.trust_domain,
        };
        for (index, rule) in policy.rules.iter().enumerate() {
            // ztunnel drops such a rule, whatever its sources.
            let dropped = policy.action == Action::Allow && has_layer7(rule);
            let fields = source_fields(rule, identity, &policy.meta.namespace);
            if dropped || fields.is_empty() {
                continue;
            }
            let consequence = match policy.action {
                Action::Deny => "what the rule denies comes in through the waypoint",
                _ => "which clients the rule allows makes no difference to what comes through it",
            };
            let message = format!(
                "decides by {} of `spec.rules[{index}]`, but Service `{}/{}` is behind waypoint \
                 `{}/{}`, whose service account is all that its pods see: {consequence}",
                list(fields),
                service.meta.namespace,
                service.meta.name,
                waypoint.namespace,
                waypoint.name,
            );
            let origin = at_line(&policy.meta.origin, rule.line);
            let code = &codes::SOURCE_HIDDEN_BY_WAYPOINT;
            let mut finding = about(code, policy.reference(), origin, message);
            finding.fixes = vec![format!(
                "add a copy in namespace `{}` with `spec.targetRefs: [{{group: \"\", kind: Service, \
                 name: {}}}]` in place of the selector",
                service.meta.namespace, service.meta.name
            )];
            findings.push(finding);
        }
    }
}

/// A Service behind a waypoint whose pods the policy selects, and for which no policy of the same
/// action targets the waypoint.
fn unguarded_service<'w>(
    context: &Context<'w>,
    policy: &AuthorizationPolicy,
) -> Option<(&'w Service, Waypoint<'w>)> {
    let guarded = |service: &Service, waypoint: Waypoint<'_>| {
        let root = context.options.root_namespace.as_str();
        [service.meta.namespace.as_str(), waypoint.namespace, root]
            .into_iter()
            .flat_map(|namespace| context.authorization_in(namespace))
            .filter(|p| p.action == policy.action)
            .any(|p| reaches(context, &p.meta, &p.targets, service))
    };
    let selected = context.selected(&policy.meta, &policy.selector);
    selected
        .into_iter()
        .flat_map(|workload| context.services_of(workload))
        .filter(|service| !service.headless)
        .find_map(|service| match context.waypoints.of_service(service) {
            Binding::Bound(waypoint) => {
                (!guarded(service, waypoint)).then_some((service, waypoint))
            }
            _ => None,
        })
}

/// The fields of a rule that tell sources apart, those that only single out the waypoint or ask for
/// any identity left out.
fn source_fields(
    rule: &AuthorizationRule,
    waypoint: Identity<'_>,
    policy_namespace: &str,
) -> Vec<String> {
    let principal = |v: &str| waypoint.is_principal(v) != Answer::No;
    let account = |v: &str| waypoint.is_account(v, policy_namespace);
    let never = |_: &str| false;
    let mut fields = Vec::new();
    for (index, source) in rule.from.iter().enumerate() {
        let mut field = |name: &str, values: &[Name], indifferent: &dyn Fn(&str) -> bool| {
            if !values.iter().all(|v| indifferent(v)) {
                fields.push(format!("from[{index}].source.{name}"));
            }
        };
        field("principals", &source.principals, &principal);
        field("notPrincipals", &source.not_principals, &principal);
        field("namespaces", &source.namespaces, &never);
        field("notNamespaces", &source.not_namespaces, &never);
        field("serviceAccounts", &source.service_accounts, &account);
        field("notServiceAccounts", &source.not_service_accounts, &account);
        field("ipBlocks", &source.ip_blocks, &never);
        field("notIpBlocks", &source.not_ip_blocks, &never);
    }
    for (index, condition) in rule.when.iter().enumerate() {
        let values = || condition.values.iter().chain(&condition.not_values);
        let decides = match condition.key.as_str() {
            "source.principal" => !values().all(|v| principal(v)),
            "source.namespace" | "source.ip" => true,
            _ => false,
        };
        if decides {
            fields.push(format!("when[{index}].key: {}", condition.key));
        }
    }
    fields
}

#[cfg(test)]
mod tests;
