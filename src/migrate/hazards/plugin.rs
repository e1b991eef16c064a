//! Policies of network plugins, as far as their rules rely on what the tunnel hides.
//!
//! Selectors are not evaluated: that these policies decide about traffic at all is reported
//! elsewhere, as unknown.

use ambient_facts::ports;
use serde_json::Value;

use super::{Context, about, list};
use crate::finding::{Finding, codes};
use crate::model::GenericObject;

pub(super) fn find(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for object in &context.world.plugin_policies {
        let namespace = object.meta.namespace.as_str();
        let concerned = if namespace.is_empty() {
            !context.members.is_empty()
        } else {
            context.scope.is_enrolled(namespace)
        };
        if concerned && !object.is_staged() {
            policy(object, findings);
        }
    }
}

fn policy(object: &GenericObject, findings: &mut Vec<Finding>) {
    let (mut denying, mut reading) = (Vec::new(), Vec::new());
    for (path, rule) in rules(object) {
        if denies(&path, rule) && hides_from(rule) {
            denying.push(path.clone());
        }
        if reads_application(rule) {
            reading.push(path);
        }
    }
    let mut report = |code, message| {
        let origin = object.meta.origin.clone();
        findings.push(about(code, object.reference(), origin, message));
    };
    if !denying.is_empty() {
        let message = format!(
            "denies by port in {}, which matches nothing between mesh workloads: their traffic has \
             port {}, and what is denied is ALLOWED from the moment of enrolment",
            list(denying),
            ports::HBONE
        );
        report(&codes::PLUGIN_DENIES_PORT, message);
    }
    if !reading.is_empty() {
        let message = format!(
            "has rules about the application protocol in {}, which nobody but a waypoint can read \
             between mesh workloads",
            list(reading)
        );
        report(&codes::PLUGIN_READS_APPLICATION, message);
    }
}

/// All rules of a policy with their paths. `specs` is Cilium's list of several policies in one.
fn rules(object: &GenericObject) -> Vec<(String, &Value)> {
    let single = object
        .body
        .get("spec")
        .map(|spec| ("spec".to_owned(), spec));
    let several = object.body.get("specs").and_then(Value::as_array);
    let several = several.into_iter().flatten().enumerate();
    let specs = single
        .into_iter()
        .chain(several.map(|(index, spec)| (format!("specs[{index}]"), spec)));
    specs
        .flat_map(|(at, spec)| {
            ["ingress", "ingressDeny", "egress", "egressDeny"]
                .into_iter()
                .flat_map(move |list| {
                    let at = at.clone();
                    let rules = spec.get(list).and_then(Value::as_array);
                    let rules = rules.into_iter().flatten().enumerate();
                    rules.map(move |(index, rule)| (format!("{at}.{list}[{index}]"), rule))
                })
        })
        .collect()
}

/// Whether a rule denies: by its action (Calico, Antrea, the policy tiers of Kubernetes and of
/// Amazon), or by the list that it stands in (Cilium).
fn denies(path: &str, rule: &Value) -> bool {
    let action = rule.get("action").and_then(Value::as_str);
    path.contains("Deny[") || matches!(action, Some("Deny" | "Drop" | "Reject"))
}

/// Whether a rule is limited to ports, some of them of TCP, and the tunnel's is not among them.
fn hides_from(rule: &Value) -> bool {
    let ports = tcp_ports(rule);
    let tunnel = u64::from(ports::HBONE);
    let includes = |port: &&Value| range(port).is_some_and(|(a, b)| (a..=b).contains(&tunnel));
    !ports.is_empty() && !ports.iter().any(includes)
}

/// The entries of a rule that name ports of TCP, in whatever way its kind spells them.
fn tcp_ports(rule: &Value) -> Vec<&Value> {
    fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
        value.and_then(Value::as_array).into_iter().flatten()
    }
    let tcp = |value: Option<&Value>| {
        let protocol = value.and_then(Value::as_str);
        protocol.is_none_or(|p| p.eq_ignore_ascii_case("TCP") || p.eq_ignore_ascii_case("ANY"))
    };
    // Antrea: `ports: [{protocol, port}]`; AdminNetworkPolicy: `ports: [{portNumber: {…}}]`.
    let nested = |port| {
        let inner = ["portNumber", "portRange"]
            .into_iter()
            .find_map(|k| Value::get(port, k));
        inner.unwrap_or(port)
    };
    let listed = list(rule.get("ports"))
        .map(nested)
        .filter(|p| tcp(p.get("protocol")));
    // Cilium: `toPorts: [{ports: [{port, protocol}]}]`.
    let grouped = list(rule.get("toPorts")).flat_map(|group| list(group.get("ports")));
    let grouped = grouped.filter(|p| tcp(p.get("protocol")));
    // Calico: one protocol, `destination: {ports: [5432, "1:1024", name]}`.
    let destination = rule
        .get("destination")
        .filter(|_| tcp(rule.get("protocol")));
    let destination = list(destination.and_then(|d| d.get("ports")));
    // ClusterNetworkPolicy: `protocols: [{tcp: {destinationPort}}, {destinationNamedPort}]`.
    let tiers = list(rule.get("protocols")).filter_map(|protocol| {
        let number = protocol.pointer("/tcp/destinationPort");
        number.or_else(|| protocol.get("destinationNamedPort"))
    });
    listed
        .chain(grouped)
        .chain(destination)
        .chain(tiers)
        .collect()
}

/// The numbers of a port entry, both ends included; `None` for a name.
fn range(entry: &Value) -> Option<(u64, u64)> {
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    if let Some(ends) = entry.as_str().and_then(|text| text.split_once(':')) {
        return Some((ends.0.parse().ok()?, ends.1.parse().ok()?));
    }
    let of = |key: &str| entry.get(key);
    let inner = of("range").unwrap_or(entry);
    if let (Some(start), Some(end)) = (inner.get("start"), inner.get("end")) {
        return Some((number(start)?, number(end)?));
    }
    let first = number(of("port").or_else(|| of("number")).unwrap_or(entry))?;
    Some((first, of("endPort").and_then(number).unwrap_or(first)))
}

/// Whether a rule reads HTTP, TLS or another application protocol: Cilium's `rules` and
/// `serverNames` of ports (DNS is not tunnelled and goes on to work), Calico's `http`, Antrea's
/// `l7Protocols`.
fn reads_application(rule: &Value) -> bool {
    let groups = rule.get("toPorts").and_then(Value::as_array);
    let cilium = groups.into_iter().flatten().any(|group| {
        let rules = group.get("rules").and_then(Value::as_object);
        rules.is_some_and(|rules| rules.keys().any(|kind| kind != "dns"))
            || group.get("serverNames").is_some()
    });
    cilium || rule.get("http").is_some() || rule.get("l7Protocols").is_some()
}

#[cfg(test)]
mod tests;
