//! Whether single fields of a rule match a client: string matches, address blocks, conditions.
//!
//! The answers are Kleene's three: `None` where the input does not tell.

use std::net::IpAddr;

use ipnet::IpNet;

use super::decide::{Client, Enforcer, Identity};
use super::names::principal;
use crate::model::{Condition, Protocol};
use crate::netpol::PortSet;

/// The ports in the first list, or all if it is empty, without those in the second.
pub(super) fn listed(ports: &[String], not_ports: &[String]) -> PortSet {
    let set = |list: &[String]| -> PortSet {
        let numbers = list.iter().filter_map(|p| p.parse().ok());
        numbers.map(|n| PortSet::port(Protocol::Tcp, n)).collect()
    };
    let positive = if ports.is_empty() {
        PortSet::protocol(Protocol::Tcp)
    } else {
        set(ports)
    };
    positive.difference(&set(not_ports))
}

/// Whether ztunnel can evaluate a condition.
pub(super) fn is_layer4(condition: &Condition) -> bool {
    matches!(
        condition.key.as_str(),
        "source.ip"
            | "source.namespace"
            | "source.principal"
            | "destination.ip"
            | "destination.port"
    )
}

/// The ports that a condition is about, and whether it holds there.
pub(super) fn when(
    condition: &Condition,
    client: &Client<'_>,
    enforcer: Enforcer,
) -> (PortSet, Option<bool>) {
    let (values, not_values) = (&condition.values, &condition.not_values);
    let matched = match condition.key.as_str() {
        "destination.port" => return (listed(values, not_values), Some(true)),
        "source.principal" => lists(values, not_values, |p| principal(p, client.identity)),
        "source.namespace" => lists(values, not_values, |p| namespace(p, client.identity)),
        "source.ip" => lists(values, not_values, |p| address(p, client.address)),
        "destination.ip" => None,
        _ if enforcer == Enforcer::Envoy => None,
        // Emptied, and an empty match never matches.
        _ => Some(false),
    };
    (PortSet::protocol(Protocol::Tcp), matched)
}

/// Any of `values`, if there are some, and none of `not_values`.
pub(super) fn lists(
    values: &[String],
    not_values: &[String],
    matches: impl Fn(&str) -> Option<bool>,
) -> Option<bool> {
    let positive = if values.is_empty() {
        Some(true)
    } else {
        any(values.iter().map(|v| matches(v)))
    };
    let negative = any(not_values.iter().map(|v| matches(v))).map(|m| !m);
    all([positive, negative].into_iter())
}

/// Kleene's conjunction.
pub(super) fn all(mut parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    parts
        .try_fold(Some(true), |known, part| match part {
            Some(false) => Err(()),
            Some(true) => Ok(known),
            None => Ok(None),
        })
        .unwrap_or(Some(false))
}

/// Kleene's disjunction.
pub(super) fn any(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    all(parts.map(|p| p.map(|m| !m))).map(|none| !none)
}

pub(super) fn namespace(pattern: &str, identity: Identity<'_>) -> Option<bool> {
    match identity {
        Identity::Anonymous => Some(false),
        Identity::Workload { namespace, .. } | Identity::SomeoneIn { namespace } => {
            Some(text(pattern, namespace))
        }
        Identity::Anyone => (pattern == "*").then_some(true),
    }
}

pub(super) fn service_account(pattern: &str, own: &str, identity: Identity<'_>) -> Option<bool> {
    let (in_namespace, name) = pattern.split_once('/').unwrap_or((own, pattern));
    match identity {
        Identity::Anonymous => Some(false),
        Identity::Workload {
            namespace,
            service_account,
        } => Some(namespace == in_namespace && service_account == name),
        Identity::SomeoneIn { namespace } => (namespace != in_namespace).then_some(false),
        Identity::Anyone => None,
    }
}

/// A string match of Istio: exact, prefix, suffix or presence.
fn text(pattern: &str, value: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        _ if pattern == "*" => true,
        (Some(suffix), _) => value.ends_with(suffix),
        (_, Some(prefix)) => value.starts_with(prefix),
        _ => value == pattern,
    }
}

pub(super) fn address(block: &str, address: Option<IpAddr>) -> Option<bool> {
    let address = address?;
    let block: Option<IpNet> = block
        .parse()
        .ok()
        .or_else(|| block.parse::<IpAddr>().ok().map(IpNet::from));
    Some(block.is_some_and(|b| b.contains(&address)))
}
