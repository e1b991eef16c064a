//! Which ports of a workload a client may use, by ztunnel's rules.
//!
//! Semantics: istiod `pilot/pkg/serviceregistry/ambient/authorization.go` (what is handed to
//! ztunnel) and ztunnel `src/rbac.rs`, `src/state.rs` (how it decides): a matching DENY denies;
//! without any ALLOW everything else passes; else a matching ALLOW is needed. Fields that need an
//! L7 proxy drop an ALLOW rule and empty a DENY rule's match, and an empty match never matches.

use std::net::IpAddr;

use ambient_facts::{annotations, namespaces};
use ipnet::IpNet;

use crate::model::{
    Action, AuthorizationPolicy, AuthorizationRule, Condition, Labels, Operation, Protocol, Source,
};
use crate::netpol::PortSet;

use super::names::{Names, principal};

/// Who opens a connection, as the destination's ztunnel sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity<'c> {
    /// Plaintext: nobody.
    Anonymous,
    /// A workload of the mesh.
    Workload {
        /// Namespace.
        namespace: &'c str,
        /// Service account.
        service_account: &'c str,
    },
    /// A workload of the mesh whose service account is not known.
    SomeoneIn {
        /// Namespace.
        namespace: &'c str,
    },
}

/// Who opens a connection, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Client<'c> {
    /// Identity in the client's certificate.
    pub identity: Identity<'c>,
    /// Source address, where it is known.
    pub address: Option<IpAddr>,
}

/// The policies that ztunnel applies to one workload, prepared for many questions.
#[derive(Debug, Default)]
pub struct Selected<'p> {
    policies: Vec<Prepared<'p>>,
}

impl<'p> Selected<'p> {
    /// Picks the policies for a workload by namespace and labels.
    pub fn of(
        policies: impl IntoIterator<Item = &'p AuthorizationPolicy>,
        namespace: &str,
        labels: &Labels,
    ) -> Self {
        Self::listed(
            policies
                .into_iter()
                .filter(|p| selects(p, namespace, labels)),
        )
    }

    /// Takes these policies, wherever they are attached.
    pub fn listed(policies: impl IntoIterator<Item = &'p AuthorizationPolicy>) -> Self {
        let enforced = |p: &&AuthorizationPolicy| {
            matches!(p.action, Action::Allow | Action::Deny)
                && p.meta.annotation(annotations::DRY_RUN) != Some("true")
        };
        let policies = policies.into_iter().filter(enforced);
        Self {
            policies: policies.map(Prepared::of).collect(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// Whether some of them have an action.
    pub fn have(&self, action: Action) -> bool {
        self.policies.iter().any(|p| p.action == action)
    }
}

/// Whether ztunnel applies a policy to a workload: those of its namespace and of the root
/// namespace, by selector. Policies with `targetRefs` are for waypoints.
pub fn selects(policy: &AuthorizationPolicy, namespace: &str, labels: &Labels) -> bool {
    (policy.meta.namespace == namespace || policy.meta.namespace == namespaces::ROOT)
        && policy.targets.is_empty()
        && policy
            .selector
            .iter()
            .all(|(k, v)| labels.get(k) == Some(v))
}

/// A policy whose lists can be searched.
#[derive(Debug)]
struct Prepared<'p> {
    namespace: &'p str,
    action: Action,
    rules: Vec<PreparedRule<'p>>,
}

#[derive(Debug)]
struct PreparedRule<'p> {
    /// `None` when there is no `from`.
    from: Option<Vec<PreparedSource<'p>>>,
    /// Ports at which the rule matches whoever matches.
    ports: PortSet,
    when: &'p [Condition],
}

#[derive(Debug)]
struct PreparedSource<'p> {
    source: &'p Source,
    principals: Names<'p>,
    not_principals: Names<'p>,
}

impl<'p> Prepared<'p> {
    fn of(policy: &'p AuthorizationPolicy) -> Self {
        let rules = policy
            .rules
            .iter()
            .filter_map(|r| PreparedRule::of(policy.action, r));
        Self {
            namespace: &policy.meta.namespace,
            action: policy.action,
            rules: rules.collect(),
        }
    }
}

impl<'p> PreparedRule<'p> {
    /// `None` when the rule never matches.
    fn of(action: Action, rule: &'p AuthorizationRule) -> Option<Self> {
        let needs_l7 = rule.from.iter().any(|s| !s.layer7.is_empty())
            || rule.to.iter().any(|o| !o.layer7.is_empty())
            || rule.when.iter().any(|c| !is_layer4(c));
        if action == Action::Allow && needs_l7 {
            return None;
        }
        let ports = if rule.to.is_empty() {
            PortSet::protocol(Protocol::Tcp)
        } else {
            rule.to.iter().map(operation).collect()
        };
        let source = |source: &'p Source| PreparedSource {
            source,
            principals: Names::of(&source.principals),
            not_principals: Names::of(&source.not_principals),
        };
        let from = (!rule.from.is_empty()).then(|| rule.from.iter().map(source).collect());
        Some(Self {
            from,
            ports,
            when: &rule.when,
        })
    }
}

/// The TCP ports that a client may use under these policies.
///
/// Where the input does not tell whether a rule matches (a source address that is not known, say),
/// the answer is the wider one: more is allowed than may be, never less.
pub fn allowed(policies: &Selected<'_>, client: &Client<'_>) -> PortSet {
    let matched = |action: Action, unknown: bool| -> PortSet {
        let of_action = policies.policies.iter().filter(|p| p.action == action);
        let rules = of_action.flat_map(|p| p.rules.iter().map(|r| (p.namespace, r)));
        rules
            .map(|(own, rule)| ports(own, rule, client, unknown))
            .collect()
    };
    let denied = matched(Action::Deny, false);
    if policies.have(Action::Allow) {
        matched(Action::Allow, true).difference(&denied)
    } else {
        PortSet::protocol(Protocol::Tcp).difference(&denied)
    }
}

/// The ports at which a rule matches a client. `unknown` stands for what is not known.
fn ports(own: &str, rule: &PreparedRule<'_>, client: &Client<'_>, unknown: bool) -> PortSet {
    let from = rule.from.as_ref().is_none_or(|sources| {
        sources
            .iter()
            .any(|s| source(own, s, client).unwrap_or(unknown))
    });
    if !from {
        return PortSet::none();
    }
    let mut ports = rule.ports.clone();
    for condition in rule.when {
        ports = ports.intersection(&when(condition, client, unknown));
    }
    ports
}

fn operation(operation: &Operation) -> PortSet {
    if operation.ports.is_empty() && operation.not_ports.is_empty() {
        return PortSet::none();
    }
    listed(&operation.ports, &operation.not_ports)
}

/// The ports in the first list, or all if it is empty, without those in the second.
fn listed(ports: &[String], not_ports: &[String]) -> PortSet {
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
fn is_layer4(condition: &Condition) -> bool {
    matches!(
        condition.key.as_str(),
        "source.ip"
            | "source.namespace"
            | "source.principal"
            | "destination.ip"
            | "destination.port"
    )
}

fn when(condition: &Condition, client: &Client<'_>, unknown: bool) -> PortSet {
    let (values, not_values) = (&condition.values, &condition.not_values);
    let matched = match condition.key.as_str() {
        "destination.port" => return listed(values, not_values),
        "source.principal" => lists(values, not_values, |p| principal(p, client.identity)),
        "source.namespace" => lists(values, not_values, |p| Some(namespace(p, client.identity))),
        "source.ip" => lists(values, not_values, |p| address(p, client.address)),
        "destination.ip" => None,
        // Emptied, and an empty match never matches.
        _ => Some(false),
    };
    let matched = matched.unwrap_or(unknown);
    if matched {
        PortSet::protocol(Protocol::Tcp)
    } else {
        PortSet::none()
    }
}

/// Whether a source matches: every list that is there. `None` when it is not known.
fn source(own: &str, prepared: &PreparedSource<'_>, client: &Client<'_>) -> Option<bool> {
    let (identity, source) = (client.identity, prepared.source);
    let lists_there = [
        &source.namespaces,
        &source.not_namespaces,
        &source.service_accounts,
        &source.not_service_accounts,
        &source.ip_blocks,
        &source.not_ip_blocks,
    ];
    let (positive, negative) = (&prepared.principals, &prepared.not_principals);
    if positive.is_empty() && negative.is_empty() && lists_there.iter().all(|l| l.is_empty()) {
        return Some(false);
    }
    let principals = if positive.is_empty() {
        Some(true)
    } else {
        positive.match_one(identity)
    };
    let not_principals = negative.match_one(identity).map(|m| !m);
    let namespaces = lists(&source.namespaces, &source.not_namespaces, |p| {
        Some(namespace(p, identity))
    });
    let accounts = lists(
        &source.service_accounts,
        &source.not_service_accounts,
        |p| service_account(p, own, identity),
    );
    let addresses = lists(&source.ip_blocks, &source.not_ip_blocks, |p| {
        address(p, client.address)
    });
    all([principals, not_principals, namespaces, accounts, addresses].into_iter())
}

/// Any of `values`, if there are some, and none of `not_values`.
fn lists(
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
fn all(mut parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
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

fn namespace(pattern: &str, identity: Identity<'_>) -> bool {
    match identity {
        Identity::Anonymous => false,
        Identity::Workload { namespace, .. } | Identity::SomeoneIn { namespace } => {
            text(pattern, namespace)
        }
    }
}

fn service_account(pattern: &str, own: &str, identity: Identity<'_>) -> Option<bool> {
    let (in_namespace, name) = pattern.split_once('/').unwrap_or((own, pattern));
    match identity {
        Identity::Anonymous => Some(false),
        Identity::Workload {
            namespace,
            service_account,
        } => Some(namespace == in_namespace && service_account == name),
        Identity::SomeoneIn { namespace } => (namespace != in_namespace).then_some(false),
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

fn address(block: &str, address: Option<IpAddr>) -> Option<bool> {
    let address = address?;
    let block: Option<IpNet> = block
        .parse()
        .ok()
        .or_else(|| block.parse::<IpAddr>().ok().map(IpNet::from));
    Some(block.is_some_and(|b| b.contains(&address)))
}
