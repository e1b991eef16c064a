//! Network policies that open the tunnel port to everyone, and settings of the network plugin.

use ambient_facts::ports;
use serde_json::Value;

use super::{Context, about, at_line, workloads};
use crate::authz::selects;
use crate::finding::{Finding, codes};
use crate::model::{
    Action, AuthorizationRule, GenericObject, NetworkPolicy, PortMatch, PortRule, Protocol, Rule,
    Workload,
};

pub(super) fn find(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for policy in &context.world.network_policies {
        open_tunnel_port(context, policy, findings);
    }
    for object in &context.world.configuration {
        match object.kind.as_str() {
            "ConfigMap" if object.meta.name == "cilium-config" => cilium(object, findings),
            "FelixConfiguration" => felix(object, findings),
            _ => {}
        }
    }
}

fn open_tunnel_port(context: &Context<'_>, policy: &NetworkPolicy, findings: &mut Vec<Finding>) {
    let opening = || {
        let rules = policy.ingress.iter().enumerate();
        rules.filter(|(_, rule)| opens_tunnel(rule))
    };
    if !policy.isolates_ingress || opening().next().is_none() {
        return;
    }
    let members = context.members_of(&policy.meta.namespace);
    let exposed: Vec<_> = members
        .filter(|w| policy.pod_selector.matches(&w.pod.labels) && !is_limited(context, w))
        .collect();
    if exposed.is_empty() {
        return;
    }
    for (index, rule) in opening() {
        let message = format!(
            "opens port {} without `from` in `spec.ingress[{index}]`, so every mesh workload reaches \
             every TCP port of {} through the tunnel",
            ports::HBONE,
            workloads(&exposed)
        );
        let origin = at_line(&policy.meta.origin, rule.line);
        let code = &codes::TUNNEL_PORT_OPEN_TO_ALL;
        let mut finding = about(code, policy.reference(), origin, message);
        finding.fixes = vec![format!(
            "take port {} out of `spec.ingress[{index}].ports`; the plan puts it back with a policy \
             that limits it",
            ports::HBONE
        )];
        findings.push(finding);
    }
}

/// Whether a rule admits anyone to the tunnel port, though not to every TCP port.
fn opens_tunnel(rule: &Rule) -> bool {
    let tcp = || rule.ports.iter().filter(|p| p.protocol == Protocol::Tcp);
    let contains = |p: &PortRule| matches!(p.port, PortMatch::Range(first, last) if (first..=last).contains(&ports::HBONE));
    let every = |p: &PortRule| matches!(p.port, PortMatch::All | PortMatch::Range(0 | 1, u16::MAX));
    rule.peers.is_empty() && tcp().any(contains) && !tcp().any(every)
}

/// Whether an AuthorizationPolicy keeps what the tunnel may carry to a workload limited: one that
/// denies all ports but some, or one that allows something and thereby refuses the rest.
fn is_limited(context: &Context<'_>, workload: &Workload) -> bool {
    let all_but_some = |rule: &AuthorizationRule| rule.to.iter().any(|o| !o.not_ports.is_empty());
    let anything = |rule: &AuthorizationRule| {
        rule.from.is_empty() && rule.to.is_empty() && rule.when.is_empty()
    };
    let planned = context.options.limits.iter();
    let root = &context.options.root_namespace;
    let planned =
        planned.filter(|p| selects(p, root, &workload.meta.namespace, &workload.pod.labels));
    context
        .authorization_of(workload)
        .chain(planned)
        .any(|policy| match policy.action {
            Action::Deny => policy.rules.iter().any(all_but_some),
            Action::Allow => !policy.rules.iter().any(anything),
            Action::Audit | Action::Custom => false,
        })
}

/// Settings of Cilium that Istio's installer refuses for ambient mesh (Istio
/// `operator/pkg/apis/validation`), and its own ztunnel.
fn cilium(object: &GenericObject, findings: &mut Vec<Finding>) {
    let data = |key: &str| {
        object
            .body
            .pointer(&format!("/data/{key}"))
            .and_then(Value::as_str)
    };
    let mut report = |code, key: &str, value: &str, consequence: &str, fix: &str| {
        let message = format!("has `{key}: {value}`: {consequence}");
        let origin = object.meta.origin.clone();
        let mut finding = about(code, object.reference(), origin, message);
        finding.fixes = vec![format!("set the value `{fix}` of Cilium's chart")];
        findings.push(finding);
    };
    let setting = &codes::PLUGIN_SETTING;
    if data("cni-exclusive") == Some("true") {
        let consequence = "Cilium removes the node agent's entry from the chain of plugins, and no \
                           pod is captured";
        report(
            setting,
            "cni-exclusive",
            "true",
            consequence,
            "cni.exclusive: false",
        );
    }
    if data("enable-bpf-masquerade") == Some("true") {
        let consequence = "probes of the kubelet do not reach captured pods";
        report(
            setting,
            "enable-bpf-masquerade",
            "true",
            consequence,
            "bpf.masquerade: false",
        );
    }
    let host_only = data("bpf-lb-sock-hostns-only") == Some("true");
    if data("bpf-lb-sock") == Some("true") && !host_only {
        let consequence = "Cilium replaces Service addresses in the pod before ztunnel sees them";
        let fix = "socketLB.hostNamespaceOnly: true";
        report(setting, "bpf-lb-sock", "true", consequence, fix);
    }
    if let Some(value) = data("encryption-type").filter(|v| *v == "ztunnel") {
        let consequence = "Cilium runs a ztunnel of its own in the same pods";
        report(
            &codes::PLUGIN_MESH,
            "encryption-type",
            value,
            consequence,
            "encryption.type",
        );
    }
}

/// Settings of Calico's eBPF dataplane.
fn felix(object: &GenericObject, findings: &mut Vec<Finding>) {
    let spec = |key: &str| object.body.pointer(&format!("/spec/{key}"));
    if spec("bpfEnabled").and_then(Value::as_bool) != Some(true) {
        return;
    }
    let mode = spec("bpfConnectTimeLoadBalancing").and_then(Value::as_str);
    let legacy = spec("bpfConnectTimeLoadBalancingEnabled").and_then(Value::as_bool);
    let found = match (mode, legacy) {
        (Some("Disabled"), _) | (None, Some(false)) => return,
        (Some(mode), _) => format!("has `spec.bpfConnectTimeLoadBalancing: {mode}`"),
        (None, Some(true)) => "has `spec.bpfConnectTimeLoadBalancingEnabled: true`".to_owned(),
        (None, None) => "does not set `spec.bpfConnectTimeLoadBalancing`".to_owned(),
    };
    let message = format!(
        "{found}: Calico replaces Service addresses when an application connects, before ztunnel \
         sees them"
    );
    let origin = object.meta.origin.clone();
    let mut finding = about(&codes::PLUGIN_SETTING, object.reference(), origin, message);
    finding.fixes = vec![format!(
        "kubectl patch felixconfiguration {} --type merge --patch \
         '{{\"spec\":{{\"bpfConnectTimeLoadBalancing\":\"Disabled\"}}}}'",
        object.meta.name
    )];
    findings.push(finding);
}

#[cfg(test)]
mod tests;
