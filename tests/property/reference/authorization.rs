//! AuthorizationPolicy as an L4 proxy of ambient mesh reads it: istiod's translation
//! (`pilot/pkg/serviceregistry/ambient/authorization.go`) followed by ztunnel's matching
//! (`src/rbac.rs`, `src/state.rs`).

use std::net::IpAddr;

use kubectl_ambient::model::{
    Action, AuthorizationPolicy, AuthorizationRule, Condition, Operation, PeerMode, Source, World,
};

use super::Pod;

/// Namespace of mesh-wide policies.
pub(crate) const ROOT_NAMESPACE: &str = "istio-system";
const TRUST_DOMAIN: &str = "cluster.local";

/// The identity in a client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) namespace: String,
    pub(crate) service_account: String,
}

impl Identity {
    /// As policies write it, without the scheme.
    fn principal(&self) -> String {
        let Self {
            namespace,
            service_account,
        } = self;
        format!("{TRUST_DOMAIN}/ns/{namespace}/sa/{service_account}")
    }
}

/// What a proxy knows of a connection when it decides.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// `None` for a connection that did not come through a tunnel.
    pub(crate) identity: Option<Identity>,
    /// Address of the peer, where it is known.
    pub(crate) source: Option<IpAddr>,
    /// Address of the destination, where it is known.
    pub(crate) destination: Option<IpAddr>,
    /// The destination port; at a waypoint the port of the Service.
    pub(crate) port: u16,
}

/// ztunnel's decision at a pod.
pub(crate) fn authorized(world: &World, pod: &Pod, connection: &Connection) -> bool {
    authorized_as(world, pod, connection, false)
}

/// Whether a sidecar of a pod lets a connection in, unless it goes past it. Where the mode is to
/// switch mutual TLS off nobody presents an identity, and where it is strict everybody has to.
pub(crate) fn admitted_by_sidecar(
    world: &World,
    pod: &Pod,
    connection: &Connection,
    mode: PeerMode,
) -> bool {
    let mut connection = connection.clone();
    if mode == PeerMode::Disable {
        connection.identity = None;
    }
    let is_refused = mode == PeerMode::Strict && connection.identity.is_none();
    goes_past_sidecar(pod, connection.port)
        || (!is_refused && authorized_by_sidecar(world, pod, &connection))
}

/// Whether a sidecar, or its agent, serves a port itself, so that nothing does once it is gone.
pub(crate) fn is_sidecars_own(port: u16) -> bool {
    [15020, 15021, 15090].contains(&port)
}

/// Whether a port is excepted from what the sidecar of a pod receives.
fn goes_past_sidecar(pod: &Pod, port: u16) -> bool {
    let annotation = |name: &str| {
        pod.annotations
            .get(&format!("traffic.sidecar.istio.io/{name}"))
    };
    let lists = |list: &String| list.split(',').any(|p| p.trim() == port.to_string());
    is_sidecars_own(port)
        || annotation("excludeInboundPorts").is_some_and(lists)
        || annotation("includeInboundPorts").is_some_and(|list| list != "*" && !lists(list))
}

/// A sidecar's decision, which takes an empty selector for none.
pub(crate) fn authorized_by_sidecar(world: &World, pod: &Pod, connection: &Connection) -> bool {
    authorized_as(world, pod, connection, true)
}

fn authorized_as(world: &World, pod: &Pod, connection: &Connection, by_sidecar: bool) -> bool {
    let applying = |policy: &&AuthorizationPolicy| {
        let scope_fits =
            policy.meta.namespace == pod.namespace || policy.meta.namespace == ROOT_NAMESPACE;
        let selected = policy
            .selector
            .iter()
            .all(|(key, value)| pod.labels.get(key) == Some(value));
        let idle = policy.selects_nothing && !by_sidecar;
        policy.targets.is_empty() && scope_fits && selected && !idle
    };
    decide(
        world.authorization_policies.iter().filter(applying),
        connection,
    )
}

/// A waypoint's decision: the policies that target the Service that was asked for, the Gateway, or from the root namespace the class of waypoints.
pub(crate) fn authorized_at_waypoint(
    world: &World,
    gateway: (&str, &str),
    service: Option<(&str, &str)>,
    connection: &Connection,
) -> bool {
    let applying = |policy: &&AuthorizationPolicy| {
        let namespace = policy.meta.namespace.as_str();
        policy.targets.iter().any(|target| {
            let name = target.name.as_str();
            let of_gateway_api = target.group == "gateway.networking.k8s.io";
            match target.kind.as_str() {
                "Service" => {
                    (target.group.is_empty() || target.group == "core")
                        && Some((namespace, name)) == service
                }
                "Gateway" => {
                    of_gateway_api
                        && (namespace, name) == gateway
                        && target.namespace.as_deref().unwrap_or(namespace) == gateway.0
                }
                "GatewayClass" => {
                    of_gateway_api && namespace == ROOT_NAMESPACE && name == "istio-waypoint"
                }
                _ => false,
            }
        })
    };
    decide(
        world.authorization_policies.iter().filter(applying),
        connection,
    )
}

/// A matching DENY denies. Without ALLOW policies everything else is allowed, with them what one
/// of them matches.
fn decide<'w>(
    policies: impl Iterator<Item = &'w AuthorizationPolicy>,
    connection: &Connection,
) -> bool {
    let mut allow_policies = 0;
    let mut allowed = false;
    for policy in policies {
        if is_dry_run(policy) {
            continue;
        }
        match policy.action {
            Action::Deny if matches(policy, connection) => return false,
            Action::Allow => {
                allow_policies += 1;
                allowed |= matches(policy, connection);
            }
            Action::Deny | Action::Audit | Action::Custom => {}
        }
    }
    allow_policies == 0 || allowed
}

fn is_dry_run(policy: &AuthorizationPolicy) -> bool {
    let value = policy.meta.annotation("istio.io/dry-run");
    ["1", "t", "T", "TRUE", "true", "True"]
        .iter()
        .any(|yes| value == Some(yes))
}

/// Any rule matches.
fn matches(policy: &AuthorizationPolicy, connection: &Connection) -> bool {
    policy.rules.iter().any(|rule| {
        // A proxy that cannot read a field leaves an ALLOW rule out.
        let left_out = policy.action == Action::Allow && has_layer7(rule);
        !left_out && rule_matches(rule, &policy.meta.namespace, connection)
    })
}

/// All clauses that are there match. A clause whose every alternative is empty never matches:
/// that is what becomes of a DENY rule without its L7 fields.
fn rule_matches(rule: &AuthorizationRule, namespace: &str, connection: &Connection) -> bool {
    let from = rule.from.is_empty()
        || rule
            .from
            .iter()
            .any(|s| source_matches(s, namespace, connection));
    let to = rule.to.is_empty() || rule.to.iter().any(|o| operation_matches(o, connection));
    let when = rule.when.iter().all(|c| condition_matches(c, connection));
    from && to && when
}

const LAYER_4_KEYS: [&str; 5] = [
    "source.ip",
    "source.namespace",
    "source.principal",
    "destination.ip",
    "destination.port",
];

fn has_layer7(rule: &AuthorizationRule) -> bool {
    rule.from.iter().any(|s| !s.layer7.is_empty())
        || rule.to.iter().any(|o| !o.layer7.is_empty())
        || rule
            .when
            .iter()
            .any(|c| !LAYER_4_KEYS.contains(&c.key.as_str()))
}

fn source_matches(source: &Source, policy_namespace: &str, connection: &Connection) -> bool {
    let lists = [
        &source.principals,
        &source.not_principals,
        &source.namespaces,
        &source.not_namespaces,
        &source.service_accounts,
        &source.not_service_accounts,
        &source.ip_blocks,
        &source.not_ip_blocks,
    ];
    if lists.iter().all(|list| list.is_empty()) {
        return false;
    }
    let identity = connection.identity.as_ref();
    let principal = |v: &str| identity.is_some_and(|i| string_matches(v, &i.principal()));
    let namespace = |v: &str| identity.is_some_and(|i| string_matches(v, &i.namespace));
    let account = |v: &str| {
        let (ns, name) = v.split_once('/').unwrap_or((policy_namespace, v));
        identity.is_some_and(|i| i.namespace == ns && i.service_account == name)
    };
    let address = |v: &str| address_matches(v, connection.source);
    holds(&source.principals, &source.not_principals, principal)
        && holds(&source.namespaces, &source.not_namespaces, namespace)
        && holds(
            &source.service_accounts,
            &source.not_service_accounts,
            account,
        )
        && holds(&source.ip_blocks, &source.not_ip_blocks, address)
}

fn operation_matches(operation: &Operation, connection: &Connection) -> bool {
    if operation.ports.is_empty() && operation.not_ports.is_empty() {
        return false;
    }
    let port = |v: &str| is_port(v, connection.port);
    holds(&operation.ports, &operation.not_ports, port)
}

/// Most of the time of the property test goes by in here: whatever ends in another digit is not read.
fn is_port(text: &str, port: u16) -> bool {
    let ends_alike = |last: &u8| u16::from(last.wrapping_sub(b'0')) == port % 10;
    text.as_bytes().last().is_some_and(ends_alike) && text.parse() == Ok(port)
}

fn condition_matches(condition: &Condition, connection: &Connection) -> bool {
    let Condition {
        key,
        values,
        not_values,
    } = condition;
    if values.is_empty() && not_values.is_empty() {
        return false;
    }
    let identity = connection.identity.as_ref();
    match key.as_str() {
        "source.ip" => holds(values, not_values, |v| {
            address_matches(v, connection.source)
        }),
        "destination.ip" => holds(values, not_values, |v| {
            address_matches(v, connection.destination)
        }),
        "source.namespace" => holds(values, not_values, |v| {
            identity.is_some_and(|i| string_matches(v, &i.namespace))
        }),
        "source.principal" => holds(values, not_values, |v| {
            identity.is_some_and(|i| string_matches(v, &i.principal()))
        }),
        "destination.port" => holds(values, not_values, |v| is_port(v, connection.port)),
        _ => false,
    }
}

/// Of the values that are given one must match, of the negative ones none may.
fn holds<T: AsRef<str>>(values: &[T], not_values: &[T], matches: impl Fn(&str) -> bool) -> bool {
    let among = |list: &[T]| list.iter().any(|v| matches(v.as_ref()));
    (values.is_empty() || among(values)) && !among(not_values)
}

/// `*` is presence, `*x` a suffix, `x*` a prefix, anything else the whole string.
fn string_matches(pattern: &str, text: &str) -> bool {
    if pattern == "*" {
        !text.is_empty()
    } else if let Some(suffix) = pattern.strip_prefix('*') {
        text.ends_with(suffix)
    } else if let Some(prefix) = pattern.strip_suffix('*') {
        text.starts_with(prefix)
    } else {
        text == pattern
    }
}

fn address_matches(block: &str, address: Option<IpAddr>) -> bool {
    let Some(address) = address else {
        return false;
    };
    match (block.parse::<ipnet::IpNet>(), block.parse::<IpAddr>()) {
        (Ok(block), _) => block.contains(&address),
        (_, Ok(single)) => single == address,
        _ => false,
    }
}
