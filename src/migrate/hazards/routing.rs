//! Istio's routing and extension objects, which sidecars apply and ztunnel does not read.

use serde_json::Value;

use super::{Context, about, list, workloads};
use crate::finding::{Code, Finding, codes};
use crate::migrate::setting::waypoints::Binding;
use crate::model::{GenericObject, Labels, Service, Workload};

pub(super) fn find(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for object in &context.world.networking {
        let found = match object.kind.as_str() {
            "VirtualService" => virtual_service(context, object),
            "DestinationRule" => destination_rule(context, object),
            "EnvoyFilter" => envoy_filter(context, object),
            "Sidecar" => sidecar(context, object),
            "WasmPlugin" | "Telemetry" => extension(context, object),
            _ => None,
        };
        if let Some((code, message)) = found {
            let origin = object.meta.origin.clone();
            findings.push(about(code, object.reference(), origin, message));
        }
    }
}

type Found = Option<(&'static Code, String)>;

fn virtual_service(context: &Context<'_>, object: &GenericObject) -> Found {
    let gateways = strings(object, "/spec/gateways");
    // Without `gateways` the rules are for the mesh; else only where the word `mesh` is among them.
    if !gateways.is_empty() && !gateways.contains(&"mesh") {
        return None;
    }
    let hosts = strings(object, "/spec/hosts");
    let unserved: Vec<_> = hosts
        .iter()
        .filter_map(|host| unserved(context, host, &object.meta.namespace))
        .map(|s| s.meta.reference("Service"))
        .collect();
    if is_plain(object, &hosts) {
        return None;
    }
    if unserved.is_empty() {
        return not_seen(context, object, &hosts);
    }
    let message = format!(
        "routes requests to {}, which no waypoint serves; its rules have no effect for callers in \
         ambient mode",
        list(unserved)
    );
    Some((&codes::ROUTING_IGNORED, message))
}

/// Rules for a Service behind a waypoint that the waypoint cannot apply: those from a namespace
/// other than the Service's and its own, and those that choose by the labels of the client.
fn not_seen(context: &Context<'_>, object: &GenericObject, hosts: &[&str]) -> Found {
    let at = &object.meta.namespace;
    let found = hosts.iter().find_map(|host| {
        let service = named_service(context, host, at)?;
        let Binding::Bound(waypoint) = context.waypoints.of_service(service) else {
            return None;
        };
        (!context.backends(service).is_empty()).then_some((service, waypoint))
    });
    let (service, waypoint) = found?;
    let name = format!("{}/{}", waypoint.namespace, waypoint.name);
    let reference = service.meta.reference("Service");
    if *at != service.meta.namespace && *at != waypoint.namespace {
        let message = format!(
            "routes requests to `{reference}` from namespace `{at}`, where waypoint `{name}` does \
             not read"
        );
        return Some((&codes::ROUTING_NOT_SEEN, message));
    }
    let by_labels = ["http", "tls", "tcp"].into_iter().find_map(|protocol| {
        let rules = object
            .body
            .pointer(&format!("/spec/{protocol}"))?
            .as_array()?;
        let labelled = |rule: &Value| {
            let matches = rule.get("match").and_then(Value::as_array);
            matches.is_some_and(|m| m.iter().any(|m| m.get("sourceLabels").is_some()))
        };
        let index = rules.iter().position(labelled)?;
        Some(format!("spec.{protocol}[{index}]"))
    })?;
    let message = format!(
        "chooses by the labels of the client in `{by_labels}`, which waypoint `{name}` of \
         `{reference}` does not know"
    );
    Some((&codes::ROUTING_NOT_SEEN, message))
}

/// Whether the rules do nothing but what happens without them: one destination, the host itself.
fn is_plain(object: &GenericObject, hosts: &[&str]) -> bool {
    let spec = |key: &str| object.body.pointer(&format!("/spec/{key}"));
    let empty = |key: &str| spec(key).is_none_or(|v| v.as_array().is_none_or(Vec::is_empty));
    let plain = |rule: &Value| {
        let keys = rule.as_object().map(serde_json::Map::keys);
        let only = keys.is_some_and(|mut k| k.all(|k| matches!(k.as_str(), "route" | "name")));
        let routes = rule
            .get("route")
            .and_then(Value::as_array)
            .map(Vec::as_slice);
        let Some([route]) = routes else { return false };
        let keys = route.as_object().map(serde_json::Map::keys);
        let bare =
            keys.is_some_and(|mut k| k.all(|k| matches!(k.as_str(), "destination" | "weight")));
        let destination = route.get("destination");
        let host = destination
            .and_then(|d| d.get("host"))
            .and_then(Value::as_str);
        let whole = destination.is_some_and(|d| d.get("subset").is_none());
        only && bare && whole && host.is_some_and(|h| hosts.contains(&h))
    };
    let http = spec("http").and_then(Value::as_array);
    empty("tls") && empty("tcp") && http.is_some_and(|rules| rules.iter().all(plain))
}

fn destination_rule(context: &Context<'_>, object: &GenericObject) -> Found {
    let host = object.body.pointer("/spec/host").and_then(Value::as_str)?;
    let service = unserved(context, host, &object.meta.namespace)?;
    let policy = object
        .body
        .pointer("/spec/trafficPolicy")
        .and_then(Value::as_object);
    let mut fields: Vec<_> = policy
        .into_iter()
        .flatten()
        // ISTIO_MUTUAL is what the mesh does anyway.
        .filter(|(key, value)| *key != "tls" || value.get("mode") != Some(&"ISTIO_MUTUAL".into()))
        .map(|(key, _)| format!("spec.trafficPolicy.{key}"))
        .collect();
    // A subset alone does nothing: it takes a route to it, which is reported as a route.
    let subsets = object.body.pointer("/spec/subsets");
    let subsets = subsets.and_then(Value::as_array).into_iter().flatten();
    for (index, subset) in subsets.enumerate() {
        if subset.get("trafficPolicy").is_some() {
            fields.push(format!("spec.subsets[{index}].trafficPolicy"));
        }
    }
    if fields.is_empty() {
        return None;
    }
    let message = format!(
        "has no effect for callers of `{}` in ambient mode, because no waypoint serves it: {}",
        service.meta.reference("Service"),
        list(fields)
    );
    Some((&codes::TRAFFIC_POLICY_IGNORED, message))
}

fn envoy_filter(context: &Context<'_>, object: &GenericObject) -> Found {
    let patches = object
        .body
        .pointer("/spec/configPatches")
        .and_then(Value::as_array);
    let for_gateways = |p: &Value| {
        p.get("applyTo").is_some()
            && p.get("match").and_then(|m| m.get("context")) == Some(&"GATEWAY".into())
    };
    if patches.is_none_or(|patches| patches.iter().all(for_gateways)) {
        return None;
    }
    let selected = selected(context, object, "/spec/workloadSelector/labels");
    if selected.is_empty() {
        return None;
    }
    let message = format!(
        "{}has no effect on {} in ambient mode",
        reach(context, object, "/spec/workloadSelector/labels"),
        workloads(&selected)
    );
    Some((&codes::ENVOY_FILTER_IGNORED, message))
}

fn sidecar(context: &Context<'_>, object: &GenericObject) -> Found {
    let selected = selected(context, object, "/spec/workloadSelector/labels");
    if selected.is_empty() {
        return None;
    }
    let mode = object
        .body
        .pointer("/spec/outboundTrafficPolicy/mode")
        .and_then(Value::as_str);
    let mut message = format!(
        "{}has no effect on {} in ambient mode",
        reach(context, object, "/spec/workloadSelector/labels"),
        workloads(&selected)
    );
    if mode == Some("REGISTRY_ONLY") {
        message.push_str(
            ", and `spec.outboundTrafficPolicy.mode: REGISTRY_ONLY` goes with it: connections to \
             unknown hosts are let out",
        );
    }
    Some((&codes::SIDECAR_SCOPE_IGNORED, message))
}

/// Where extensions have their selector.
const SELECTOR: &str = "/spec/selector/matchLabels";

fn extension(context: &Context<'_>, object: &GenericObject) -> Found {
    let body = |pointer: &str| object.body.pointer(pointer);
    // Without a selector a waypoint of the namespace applies Telemetry as well.
    if body("/spec/targetRefs").is_some()
        || body("/spec/targetRef").is_some()
        || (object.kind == "Telemetry" && body(SELECTOR).is_none())
    {
        return None;
    }
    let selected = selected(context, object, SELECTOR);
    if selected.is_empty() {
        return None;
    }
    let wide = reach(context, object, SELECTOR);
    let verb = if wide.is_empty() { "selects" } else { "meets" };
    let message = format!(
        "{wide}{verb} {}, whose pods have no HTTP proxy in ambient mode",
        workloads(&selected)
    );
    Some((&codes::EXTENSION_IGNORED, message))
}

/// Words before what an object without a selector does; none for one with a selector.
fn reach(context: &Context<'_>, object: &GenericObject, selector: &str) -> String {
    let pairs = object.body.pointer(selector).and_then(Value::as_object);
    let namespace = object.meta.namespace.as_str();
    if pairs.is_some_and(|pairs| !pairs.is_empty()) {
        String::new()
    } else if namespace == context.options.root_namespace {
        "applies to the whole mesh without a selector, and ".to_owned()
    } else {
        format!("applies to all of namespace `{namespace}` without a selector, and ")
    }
}

/// The workloads that join and that an object's selector matches.
fn selected<'w>(context: &Context<'w>, object: &GenericObject, pointer: &str) -> Vec<&'w Workload> {
    let pairs = object.body.pointer(pointer).and_then(Value::as_object);
    let selector: Labels = pairs
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    context.selected(&object.meta, &selector)
}

/// The Service that a host names, when it leads to pods that join and no waypoint serves it.
fn unserved<'w>(context: &Context<'w>, host: &str, namespace: &str) -> Option<&'w Service> {
    let service = named_service(context, host, namespace)?;
    is_unserved(context, service).then_some(service)
}

/// Whether a Service leads to pods that join, and no waypoint serves it.
pub(super) fn is_unserved<'w>(context: &Context<'w>, service: &'w Service) -> bool {
    let bound = matches!(context.waypoints.of_service(service), Binding::Bound(_));
    !bound && !context.backends(service).is_empty()
}

/// The Service that a host names in an object of this namespace.
fn named_service<'w>(context: &Context<'w>, host: &str, namespace: &str) -> Option<&'w Service> {
    let (name, rest) = host.split_once('.').unwrap_or((host, ""));
    // A host is short, or ends in the namespace, `svc` or the whole cluster domain.
    let at = match rest.split_once('.') {
        None if rest.is_empty() => namespace,
        None => rest,
        Some((at, domain)) if domain == "svc" || domain.starts_with("svc.") => at,
        Some(_) => return None,
    };
    context.services_in(at).find(|s| s.meta.name == name)
}

fn strings<'o>(object: &'o GenericObject, pointer: &str) -> Vec<&'o str> {
    let values = object.body.pointer(pointer).and_then(Value::as_array);
    values
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

#[cfg(test)]
mod tests;
