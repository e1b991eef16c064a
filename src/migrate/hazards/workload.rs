//! Pods and pod templates: what keeps them out of the mesh, and what stops working in it.

use ambient_facts::{annotations, labels, ports};

use super::enrolment::injects;
use super::{Context, about, at_line, list};
use crate::finding::{Code, Finding, codes};
use crate::migrate::setting::scope::{
    Membership, NamespaceState, StaysOut, asks_for_sidecar, has_sidecar, injection_of,
};
use crate::model::{Endpoint, Protocol, Workload, WorkloadKind};

pub(super) fn find(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for (id, endpoint) in context.endpoints.iter() {
        let Some(workload) = context.representative(endpoint) else {
            continue;
        };
        match context.scope.endpoint(id) {
            Membership::StaysOut(reason) => {
                if context.scope.is_enrolled(&endpoint.namespace) {
                    findings.extend(stays_out(workload, reason));
                }
            }
            _ => joins(context, endpoint, workload, findings),
        }
    }
}

fn of(workload: &Workload, code: &'static Code, predicate: String) -> Finding {
    let origin = at_line(&workload.meta.origin, workload.pod.line);
    about(code, workload.reference(), origin, predicate)
}

fn stays_out(workload: &Workload, reason: StaysOut) -> Option<Finding> {
    match reason {
        StaysOut::HostNetwork => {
            let message = "uses the host network, so its pods stay out of the mesh".to_owned();
            Some(of(workload, &codes::HOST_NETWORK, message))
        }
        StaysOut::Windows => {
            let message = "runs on Windows nodes, so its pods stay out of the mesh".to_owned();
            Some(of(workload, &codes::WINDOWS_POD, message))
        }
        _ => None,
    }
}

fn joins(
    context: &Context<'_>,
    endpoint: &Endpoint,
    workload: &Workload,
    findings: &mut Vec<Finding>,
) {
    let pods: Vec<_> = endpoint
        .workloads
        .iter()
        .filter(|&&index| context.scope.workload(index).joins())
        .filter_map(|&index| context.world.workloads.get(index))
        .filter(|w| w.kind == WorkloadKind::Pod)
        .collect();
    findings.extend(without_tunnel(workload, &pods));
    findings.extend(opted_out(context, workload, &pods));
    findings.extend(injection(workload));
    findings.extend(sidecar_calls(workload));
    findings.extend(metrics(workload));
    findings.extend(reserved_ports(workload));
    findings.extend(networks(workload));
    findings.extend(exclusions(workload));
}

/// Running sidecars that were injected before they could accept the tunnel.
fn without_tunnel(workload: &Workload, pods: &[&Workload]) -> Option<Finding> {
    let stale: Vec<_> = pods
        .iter()
        .filter(|p| has_sidecar(&p.pod))
        .filter(|p| p.pod.labels.get(labels::TUNNEL).is_none_or(|v| v != "http"))
        .map(|p| p.meta.name.as_str())
        .collect();
    if stale.is_empty() {
        return None;
    }
    let message = format!(
        "has sidecars that do not accept the tunnel: {} without the label `{}: http`",
        list(stale),
        labels::TUNNEL
    );
    let mut finding = of(workload, &codes::SIDECAR_WITHOUT_TUNNEL, message);
    finding.fixes = vec![restart(workload)];
    Some(finding)
}

fn restart(workload: &Workload) -> String {
    let (name, namespace) = (&workload.meta.name, &workload.meta.namespace);
    match workload.kind {
        WorkloadKind::Deployment | WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => {
            let kind = workload.kind.as_str().to_lowercase();
            format!("kubectl rollout restart {kind} {name} --namespace {namespace}")
        }
        kind => {
            let kind = kind.as_str().to_lowercase();
            format!(
                "kubectl delete {kind} {name} --namespace {namespace}, and let it be created again"
            )
        }
    }
}

/// Pods that run without a sidecar on purpose, or by neglect, and are captured all the same.
fn opted_out(context: &Context<'_>, workload: &Workload, pods: &[&Workload]) -> Option<Finding> {
    let namespace = &workload.meta.namespace;
    let decided = workload.pod.labels.contains_key(labels::DATAPLANE_MODE);
    if decided || context.scope.namespace(namespace) != Some(&NamespaceState::Enrolled) {
        return None;
    }
    let message = if injection_of(&workload.pod) == Some(false) {
        format!(
            "keeps sidecars away with `{}: \"false\"`, but not ambient mesh: its pods are captured as \
             soon as namespace `{namespace}` is labelled",
            labels::SIDECAR_INJECT
        )
    } else {
        let bare = pods.iter().filter(|p| !has_sidecar(&p.pod));
        let bare: Vec<_> = bare.map(|p| p.meta.name.as_str()).collect();
        if bare.is_empty() || !injects(context, namespace) {
            return None;
        }
        format!(
            "has pods without a sidecar although namespace `{namespace}` asks for injection: {}; they \
             are captured as soon as it is labelled",
            list(bare)
        )
    };
    let mut finding = of(workload, &codes::OPTED_OUT_OF_INJECTION, message);
    finding.fixes = vec![format!(
        "set `{}: {}` in `{}.labels` to keep them out",
        labels::DATAPLANE_MODE,
        labels::NONE,
        pod_metadata(workload.kind)
    )];
    Some(finding)
}

/// Templates that ask for a sidecar themselves.
fn injection(workload: &Workload) -> Vec<Finding> {
    let pod = &workload.pod;
    let mut findings = Vec::new();
    let templates = pod.annotations.get(annotations::INJECT_TEMPLATES);
    let asks = asks_for_sidecar(pod);
    let mut fields: Vec<_> = asks
        .then(|| format!("`{}: \"true\"`", labels::SIDECAR_INJECT))
        .into_iter()
        .collect();
    if let Some(templates) = templates {
        fields.push(format!("`{}: {templates}`", annotations::INJECT_TEMPLATES));
        if templates.split(',').any(|t| t.trim() == "spire") {
            let message = format!(
                "takes the identity of its pods from SPIRE with `{}: {templates}`",
                annotations::INJECT_TEMPLATES
            );
            findings.push(of(workload, &codes::SPIRE_IDENTITY, message));
        }
    }
    // A pod that was injected carries what the injector wrote; its template is what counts.
    let injected = workload.kind == WorkloadKind::Pod && has_sidecar(pod);
    if !fields.is_empty() && !injected {
        let message = format!(
            "asks for a sidecar with {} in its pod template, whatever the namespace says",
            fields.join(" and ")
        );
        let mut finding = of(workload, &codes::ASKS_FOR_SIDECAR, message);
        finding.fixes = vec![format!(
            "set `{}: \"false\"` in `{}.labels` and remove what asks for a sidecar",
            labels::SIDECAR_INJECT,
            pod_metadata(workload.kind)
        )];
        findings.push(finding);
    }
    findings
}

/// Where the metadata of the pods stands in an object.
fn pod_metadata(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::Pod => "metadata",
        WorkloadKind::CronJob => "spec.jobTemplate.spec.template.metadata",
        _ => "spec.template.metadata",
    }
}

/// Commands and settings that rely on a proxy in the same pod.
fn sidecar_calls(workload: &Workload) -> Vec<Finding> {
    const PROXY: [u16; 6] = [
        ports::SIDECAR_ADMIN,
        ports::METRICS,
        ports::STATUS,
        ports::OUTBOUND,
        ports::INBOUND_PLAINTEXT,
        ports::ENVOY_METRICS,
    ];
    let mut findings = Vec::new();
    let lines = || workload.pod.commands.iter().flat_map(|text| text.lines());
    let hook = |line: &&str| line.contains("quitquitquit") || waits_for_proxy(line);
    if let Some(line) = lines().find(hook) {
        let message = format!("calls its sidecar: `{}`", excerpt(line));
        findings.push(of(workload, &codes::SIDECAR_HOOK, message));
    }
    let local = |line: &&str| PROXY.iter().any(|port| names_local_port(line, *port)) && !hook(line);
    if let Some(line) = lines().find(local) {
        let message = format!("uses a port of its sidecar: `{}`", excerpt(line));
        findings.push(of(workload, &codes::PROXY_PORT_USED, message));
    }
    findings
}

fn waits_for_proxy(text: &str) -> bool {
    text.contains(&format!(":{}/healthz/ready", ports::STATUS))
}

/// Whether a text names a port of the loopback interface.
fn names_local_port(text: &str, port: u16) -> bool {
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|host| {
        let address = format!("{host}:{port}");
        text.match_indices(&address).any(|(at, _)| {
            let after = text.get(at + address.len()..).unwrap_or_default();
            !after.starts_with(|c: char| c.is_ascii_digit())
        })
    })
}

/// A line of a command, cut to what fits in a message.
fn excerpt(line: &str) -> String {
    const LONGEST: usize = 80;
    let line = line.trim().replace('`', "'");
    let cut: String = line.chars().take(LONGEST).collect();
    if cut.len() < line.len() {
        format!("{cut}…")
    } else {
        cut
    }
}

fn metrics(workload: &Workload) -> Option<Finding> {
    let annotation = |key: &str| workload.pod.annotations.get(key).map(String::as_str);
    let merged = annotation(annotations::MERGE_METRICS) == Some("true");
    let port = annotation(annotations::SCRAPE_PORT);
    let scraped = port.is_some_and(|p| p.parse() == Ok(ports::METRICS));
    let field = if scraped {
        format!("`{}: \"{}\"`", annotations::SCRAPE_PORT, ports::METRICS)
    } else if merged {
        format!("`{}: \"true\"`", annotations::MERGE_METRICS)
    } else {
        return None;
    };
    let message = format!("has Prometheus scrape its sidecar with {field}, and there will be none");
    Some(of(workload, &codes::METRICS_MERGED, message))
}

fn reserved_ports(workload: &Workload) -> Vec<Finding> {
    let reserved = workload.pod.ports.iter().filter(|p| {
        let dns = p.number == ports::DNS_CAPTURE && p.protocol == Protocol::Udp;
        dns || (p.protocol == Protocol::Tcp && ports::RESERVED.contains(&p.number))
    });
    reserved
        .map(|port| {
            let message = format!(
                "listens on {} port {}, which ztunnel opens in every captured pod",
                port.protocol, port.number
            );
            let mut finding = of(workload, &codes::RESERVED_PORT, message);
            finding.origin = at_line(&finding.origin, port.line);
            finding
        })
        .collect()
}

fn networks(workload: &Workload) -> Option<Finding> {
    let networks = workload
        .pod
        .annotations
        .get(annotations::SECONDARY_NETWORKS)?;
    let message = format!(
        "is attached to further networks, whose traffic the mesh does not carry: `{}`",
        networks.replace('`', "'").replace('\n', " ")
    );
    Some(of(workload, &codes::SECONDARY_NETWORK, message))
}

fn exclusions(workload: &Workload) -> Option<Finding> {
    let annotations = workload.pod.annotations.iter();
    let excluded: Vec<_> = annotations
        .filter(|(key, value)| {
            let name = key.strip_prefix(annotations::SIDECAR_TRAFFIC_PREFIX);
            name.is_some_and(|n| n.starts_with("exclude") || n.starts_with("include"))
                && !matches!(value.as_str(), "" | "*")
        })
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    if excluded.is_empty() {
        return None;
    }
    let message = format!("sets what ambient mesh ignores: {}", list(excluded));
    Some(of(workload, &codes::CAPTURE_EXCLUSION, message))
}

#[cfg(test)]
mod tests;
