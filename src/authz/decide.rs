//! Which ports of a workload a client may use, by the rules of ztunnel or of Envoy.
//!
//! Semantics: istiod `pilot/pkg/serviceregistry/ambient/authorization.go` (what is handed to
//! ztunnel) and ztunnel `src/rbac.rs`, `src/state.rs` (how it decides): a matching DENY denies;
//! without any ALLOW everything else passes; else a matching ALLOW is needed. For ztunnel, fields
//! that need an L7 proxy drop an ALLOW rule and empty a DENY rule's match, and an empty match never
//! matches. Envoy, in waypoints and sidecars, evaluates them on requests, of which nothing is
//! known here.
//!
//! Where the input does not tell whether a rule matches, the answer has two bounds.

use std::net::IpAddr;

use ambient_facts::{annotations, namespaces};

use super::matching::{
    address, all, any, is_layer4, listed, lists, namespace, service_account, when,
};
use super::names::Names;
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
    /// A workload of the mesh of which nothing is known.
    Anyone,
}

/// Who opens a connection, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Client<'c> {
    /// Identity in the client's certificate.
    pub identity: Identity<'c>,
    /// Source address, where it is known.
    pub address: Option<IpAddr>,
}

/// What evaluates policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Enforcer {
    /// The proxy of the node, which knows connections.
    Ztunnel,
    /// A waypoint or a sidecar, which knows requests as well.
    Envoy,
}

/// Ports that a client may use. The bounds differ where the input does not tell whether a rule
/// matches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Allowance {
    /// Allowed in any case.
    pub low: PortSet,
    /// Allowed at the most.
    pub high: PortSet,
}

impl Allowance {
    /// These ports, no more and no less.
    pub fn exactly(ports: PortSet) -> Self {
        Self {
            low: ports.clone(),
            high: ports,
        }
    }

    /// Every TCP port, in any case.
    pub fn all() -> Self {
        Self::exactly(PortSet::protocol(Protocol::Tcp))
    }
}

/// The policies that apply to one workload, prepared for many questions.
#[derive(Debug, Default)]
pub struct Selected<'p> {
    policies: Vec<Prepared<'p>>,
}

impl<'p> Selected<'p> {
    /// Picks the policies that ztunnel applies to a workload by namespace and labels.
    pub fn of(
        policies: impl IntoIterator<Item = &'p AuthorizationPolicy>,
        namespace: &str,
        labels: &Labels,
    ) -> Self {
        Self::listed(
            policies
                .into_iter()
                .filter(|p| selects(p, namespace, labels)),
            Enforcer::Ztunnel,
        )
    }

    /// Takes these policies, wherever they are attached.
    pub fn listed(
        policies: impl IntoIterator<Item = &'p AuthorizationPolicy>,
        enforcer: Enforcer,
    ) -> Self {
        let applies = |p: &&AuthorizationPolicy| {
            let known = match enforcer {
                Enforcer::Ztunnel => matches!(p.action, Action::Allow | Action::Deny),
                Enforcer::Envoy => p.action != Action::Audit,
            };
            known && p.meta.annotation(annotations::DRY_RUN) != Some("true")
        };
        let policies = policies.into_iter().filter(applies);
        Self {
            policies: policies.map(|p| Prepared::of(p, enforcer)).collect(),
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

/// Whom some policies name.
#[derive(Debug, Default)]
pub struct Named<'p> {
    /// Service accounts, by namespace and name.
    pub accounts: Vec<(&'p str, &'p str)>,
    /// Namespaces.
    pub namespaces: Vec<&'p str>,
}

impl<'p> Selected<'p> {
    /// Whom they name, so that they treat all others alike; `None` when they also tell clients
    /// apart by patterns or conditions.
    pub fn named(&self) -> Option<Named<'p>> {
        let mut named = Named::default();
        for rule in self.policies.iter().flat_map(|p| &p.rules) {
            if rule.when.iter().any(|c| c.key != "destination.port") {
                return None;
            }
            for from in rule.from.iter().flatten() {
                let source = from.source;
                if !source.service_accounts.is_empty() || !source.not_service_accounts.is_empty() {
                    return None;
                }
                for names in [&from.principals, &from.not_principals] {
                    named.accounts.extend(names.accounts()?);
                }
                for name in source.namespaces.iter().chain(&source.not_namespaces) {
                    match name.as_str() {
                        "*" => {}
                        name if name.contains('*') => return None,
                        name => named.namespaces.push(name),
                    }
                }
            }
        }
        Some(named)
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
    enforcer: Enforcer,
    rules: Vec<PreparedRule<'p>>,
}

#[derive(Debug)]
struct PreparedRule<'p> {
    /// `None` when there is no `from`.
    from: Option<Vec<PreparedSource<'p>>>,
    /// Ports at which the rule matches whoever matches.
    ports: Allowance,
    when: &'p [Condition],
}

#[derive(Debug)]
struct PreparedSource<'p> {
    source: &'p Source,
    principals: Names<'p>,
    not_principals: Names<'p>,
}

impl<'p> Prepared<'p> {
    fn of(policy: &'p AuthorizationPolicy, enforcer: Enforcer) -> Self {
        let rules = policy
            .rules
            .iter()
            .filter_map(|r| PreparedRule::of(policy.action, r, enforcer));
        Self {
            namespace: &policy.meta.namespace,
            action: policy.action,
            enforcer,
            rules: rules.collect(),
        }
    }
}

impl<'p> PreparedRule<'p> {
    /// `None` when the rule never matches.
    fn of(action: Action, rule: &'p AuthorizationRule, enforcer: Enforcer) -> Option<Self> {
        let needs_l7 = rule.from.iter().any(|s| !s.layer7.is_empty())
            || rule.to.iter().any(|o| !o.layer7.is_empty())
            || rule.when.iter().any(|c| !is_layer4(c));
        if enforcer == Enforcer::Ztunnel && action == Action::Allow && needs_l7 {
            return None;
        }
        let ports = if rule.to.is_empty() {
            Allowance::all()
        } else {
            let of = |f: fn(Allowance) -> PortSet| {
                let each = rule.to.iter().map(|o| f(operation(o, enforcer)));
                each.collect::<PortSet>()
            };
            Allowance {
                low: of(|a| a.low),
                high: of(|a| a.high),
            }
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
pub fn allowed(policies: &Selected<'_>, client: &Client<'_>) -> Allowance {
    let matched = |action: Action| {
        let of_action = policies.policies.iter().filter(|p| p.action == action);
        let mut matched = Allowance::exactly(PortSet::none());
        for policy in of_action {
            for rule in &policy.rules {
                let ports = ports(policy, rule, client);
                matched.low = matched.low.union(&ports.low);
                matched.high = matched.high.union(&ports.high);
            }
        }
        matched
    };
    let denied = matched(Action::Deny);
    // An external authorizer may refuse what it is asked about.
    let asked = matched(Action::Custom).high;
    let offered = if policies.have(Action::Allow) {
        matched(Action::Allow)
    } else {
        Allowance::all()
    };
    Allowance {
        low: offered.low.difference(&denied.high).difference(&asked),
        high: offered.high.difference(&denied.low),
    }
}

/// The ports at which a rule matches a client.
fn ports(policy: &Prepared<'_>, rule: &PreparedRule<'_>, client: &Client<'_>) -> Allowance {
    let from = rule.from.as_ref().map_or(Some(true), |sources| {
        any(sources.iter().map(|s| source(policy, s, client)))
    });
    let mut ports = within(&rule.ports, from);
    for condition in rule.when {
        let (listed, matched) = when(condition, client, policy.enforcer);
        ports.low = ports.low.intersection(&listed);
        ports.high = ports.high.intersection(&listed);
        ports = within(&ports, matched);
    }
    ports
}

/// What a condition leaves of ports.
fn within(ports: &Allowance, matched: Option<bool>) -> Allowance {
    let when = |holds: bool, set: &PortSet| {
        if holds { set.clone() } else { PortSet::none() }
    };
    Allowance {
        low: when(matched == Some(true), &ports.low),
        high: when(matched != Some(false), &ports.high),
    }
}

fn operation(operation: &Operation, enforcer: Enforcer) -> Allowance {
    let named = !operation.ports.is_empty() || !operation.not_ports.is_empty();
    let asks_requests = enforcer == Enforcer::Envoy && !operation.layer7.is_empty();
    let high = if named || asks_requests {
        listed(&operation.ports, &operation.not_ports)
    } else {
        PortSet::none()
    };
    Allowance {
        low: if asks_requests {
            PortSet::none()
        } else {
            high.clone()
        },
        high,
    }
}

/// Whether a source matches: every list that is there. `None` when it is not known.
fn source(
    policy: &Prepared<'_>,
    prepared: &PreparedSource<'_>,
    client: &Client<'_>,
) -> Option<bool> {
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
    let on_requests = if policy.enforcer == Enforcer::Envoy && !source.layer7.is_empty() {
        None
    } else {
        Some(true)
    };
    if positive.is_empty()
        && negative.is_empty()
        && lists_there.iter().all(|l| l.is_empty())
        && on_requests.is_some()
    {
        return Some(false);
    }
    let principals = if positive.is_empty() {
        Some(true)
    } else {
        positive.match_one(identity)
    };
    let not_principals = negative.match_one(identity).map(|m| !m);
    let namespaces = lists(&source.namespaces, &source.not_namespaces, |p| {
        namespace(p, identity)
    });
    let accounts = lists(
        &source.service_accounts,
        &source.not_service_accounts,
        |p| service_account(p, policy.namespace, identity),
    );
    let addresses = lists(&source.ip_blocks, &source.not_ip_blocks, |p| {
        address(p, client.address)
    });
    let parts = [
        principals,
        not_principals,
        namespaces,
        accounts,
        addresses,
        on_requests,
    ];
    all(parts.into_iter())
}
