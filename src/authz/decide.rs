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

/// The policies that ztunnel applies to one workload.
#[derive(Debug, Clone, Default)]
pub struct Selected<'p> {
    policies: Vec<&'p AuthorizationPolicy>,
}

impl<'p> Selected<'p> {
    /// Picks the policies for a workload by namespace and labels: its own namespace's and the root
    /// namespace's, by selector. Policies with `targetRefs` are for waypoints.
    pub fn of(
        policies: impl IntoIterator<Item = &'p AuthorizationPolicy>,
        namespace: &str,
        labels: &Labels,
    ) -> Self {
        let applies = |p: &&AuthorizationPolicy| {
            let in_scope = p.meta.namespace == namespace || p.meta.namespace == namespaces::ROOT;
            in_scope
                && p.targets.is_empty()
                && p.selector.iter().all(|(k, v)| labels.get(k) == Some(v))
        };
        Self::listed(policies.into_iter().filter(applies))
    }

    /// Takes these policies, wherever they are attached.
    pub fn listed(policies: impl IntoIterator<Item = &'p AuthorizationPolicy>) -> Self {
        let enforced = |p: &&AuthorizationPolicy| {
            matches!(p.action, Action::Allow | Action::Deny)
                && p.meta.annotation(annotations::DRY_RUN) != Some("true")
        };
        Self {
            policies: policies.into_iter().filter(enforced).collect(),
        }
    }

    /// The policies.
    pub fn iter(&self) -> impl Iterator<Item = &'p AuthorizationPolicy> {
        self.policies.iter().copied()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }
}

/// The TCP ports that a client may use under these policies.
///
/// Where the input does not tell whether a rule matches (a source address that is not known, say),
/// the answer is the wider one: more is allowed than may be, never less.
pub fn allowed(policies: &Selected<'_>, client: &Client<'_>) -> PortSet {
    let tcp = PortSet::protocol(Protocol::Tcp);
    let matched = |action: Action, unknown: bool| -> PortSet {
        let of_action = policies.iter().filter(move |p| p.action == action);
        of_action
            .flat_map(|p| p.rules.iter().map(move |r| ports(p, r, client, unknown)))
            .collect()
    };
    let denied = matched(Action::Deny, false);
    if policies.iter().any(|p| p.action == Action::Allow) {
        matched(Action::Allow, true).difference(&denied)
    } else {
        tcp.difference(&denied)
    }
}

/// The ports at which a rule matches a client. `unknown` stands for what is not known.
fn ports(
    policy: &AuthorizationPolicy,
    rule: &AuthorizationRule,
    client: &Client<'_>,
    unknown: bool,
) -> PortSet {
    let none = PortSet::none();
    let needs_l7 = rule.from.iter().any(|s| !s.layer7.is_empty())
        || rule.to.iter().any(|o| !o.layer7.is_empty())
        || rule.when.iter().any(|c| !is_layer4(c));
    if policy.action == Action::Allow && needs_l7 {
        return none;
    }
    let from = rule.from.is_empty()
        || rule
            .from
            .iter()
            .any(|s| source(policy, s, client).unwrap_or(unknown));
    if !from {
        return none;
    }
    let tcp = PortSet::protocol(Protocol::Tcp);
    let mut ports = if rule.to.is_empty() {
        tcp
    } else {
        rule.to.iter().map(operation).collect()
    };
    for condition in &rule.when {
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
fn source(policy: &AuthorizationPolicy, source: &Source, client: &Client<'_>) -> Option<bool> {
    let identity = client.identity;
    let account = |p: &str| service_account(p, &policy.meta.namespace, identity);
    let clauses = [
        (
            &source.principals,
            &source.not_principals,
            lists_by(|p| principal(p, identity)),
        ),
        (
            &source.namespaces,
            &source.not_namespaces,
            lists_by(|p| Some(namespace(p, identity))),
        ),
        (
            &source.service_accounts,
            &source.not_service_accounts,
            lists_by(account),
        ),
        (
            &source.ip_blocks,
            &source.not_ip_blocks,
            lists_by(|p| address(p, client.address)),
        ),
    ];
    if clauses
        .iter()
        .all(|(values, not_values, _)| values.is_empty() && not_values.is_empty())
    {
        return Some(false);
    }
    all(clauses
        .iter()
        .map(|(values, not_values, matched)| matched(values, not_values)))
}

type ListMatch<'f> = Box<dyn Fn(&[String], &[String]) -> Option<bool> + 'f>;

fn lists_by<'f>(matches: impl Fn(&str) -> Option<bool> + 'f) -> ListMatch<'f> {
    Box::new(move |values, not_values| lists(values, not_values, &matches))
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
fn any(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    all(parts.map(|p| p.map(|m| !m))).map(|none| !none)
}

/// `principals`: `trust-domain/ns/NAMESPACE/sa/NAME`, with `*` at one end, or alone.
fn principal(pattern: &str, identity: Identity<'_>) -> Option<bool> {
    match identity {
        Identity::Anonymous => Some(false),
        _ if pattern == "*" => Some(true),
        Identity::Workload {
            namespace,
            service_account,
        } => {
            let path = format!("/ns/{namespace}/sa/{service_account}");
            if let Some(suffix) = pattern.strip_prefix('*') {
                // A suffix that reaches into the trust domain depends on it.
                return if path.ends_with(suffix) {
                    Some(true)
                } else if suffix.ends_with(&path) {
                    None
                } else {
                    Some(false)
                };
            }
            let matches = |identity: String| match pattern.strip_suffix('*') {
                Some(prefix) => identity.starts_with(prefix),
                None => identity == pattern,
            };
            if matches(format!("{}{path}", namespaces::TRUST_DOMAIN)) {
                return Some(true);
            }
            // Another trust domain than the usual one may be in use.
            let domain = pattern.split_once('/').map_or("", |(domain, _)| domain);
            if matches(format!("{domain}{path}")) {
                None
            } else {
                Some(false)
            }
        }
        Identity::SomeoneIn { namespace } => {
            let path = format!("/ns/{namespace}/sa/");
            if pattern.contains("/ns/") && !pattern.contains(&path) {
                Some(false)
            } else {
                None
            }
        }
    }
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
