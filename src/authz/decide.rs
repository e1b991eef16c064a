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

use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;

use super::crowd::{Crowd, Matched};
use super::matching::{Enforcer, is_layer4, listed};
use crate::model::{
    Action, AuthorizationPolicy, AuthorizationRule, Condition, Labels, Operation, Protocol, Source,
    includes,
};
use crate::netpol::PortSet;

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

    /// The same and these ports, whatever was said of them.
    #[must_use]
    pub fn with(&self, ports: &PortSet) -> Self {
        Self {
            low: self.low.union(ports),
            high: self.high.union(ports),
        }
    }

    /// What both allow.
    #[must_use]
    pub fn both(&self, other: &Self) -> Self {
        Self {
            low: self.low.intersection(&other.low),
            high: self.high.intersection(&other.high),
        }
    }

    /// What one of the two allows, where the input does not tell which.
    #[must_use]
    pub fn either(&self, other: &Self) -> Self {
        Self {
            low: self.low.intersection(&other.low),
            high: self.high.union(&other.high),
        }
    }

    /// What another says of some ports, and this one of all others.
    #[must_use]
    pub fn replaced(&self, ports: &PortSet, by: &Self) -> Self {
        let replaced =
            |own: &PortSet, by: &PortSet| own.difference(ports).union(&by.intersection(ports));
        Self {
            low: replaced(&self.low, &by.low),
            high: replaced(&self.high, &by.high),
        }
    }
}

/// Groups of a crowd that policies treat alike, with the TCP ports that they may use; together they
/// are the whole crowd.
pub type Decision = Vec<(Allowance, FixedBitSet)>;

/// The policies that apply to one workload.
#[derive(Debug)]
pub struct Selected<'p> {
    policies: Vec<&'p AuthorizationPolicy>,
    enforcer: Enforcer,
}

impl<'p> Selected<'p> {
    /// Picks the policies that ztunnel applies to a workload by namespace and labels.
    pub fn of(
        policies: impl IntoIterator<Item = &'p AuthorizationPolicy>,
        root_namespace: &str,
        namespace: &str,
        labels: &Labels,
    ) -> Self {
        Self::listed(
            policies
                .into_iter()
                .filter(|p| selects(p, root_namespace, namespace, labels)),
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
                Enforcer::Ztunnel => {
                    matches!(p.action, Action::Allow | Action::Deny) && !p.selects_nothing
                }
                Enforcer::Envoy => p.action != Action::Audit,
            };
            known && !p.is_dry_run()
        };
        Self {
            policies: policies.into_iter().filter(applies).collect(),
            enforcer,
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

    /// What everybody may use.
    pub fn decide(&self, crowd: &Crowd<'_>) -> Decision {
        let mut parts = vec![Part::of(crowd.everybody())];
        for policy in &self.policies {
            for rule in &*policy.rules {
                let Some((which, who)) = self.matched(crowd, policy, rule) else {
                    continue;
                };
                split(&mut parts, policy.action, &who, &which);
            }
        }
        let has_allow = self.have(Action::Allow);
        let mut decision: BTreeMap<Allowance, FixedBitSet> = BTreeMap::new();
        for part in parts {
            let known = decision.entry(part.allowance(has_allow)).or_default();
            known.grow(crowd.size());
            known.union_with(&part.who);
        }
        decision.into_iter().collect()
    }

    /// The ports that a rule is about, and whom it matches; `None` when it never matches.
    fn matched(
        &self,
        crowd: &Crowd<'_>,
        policy: &AuthorizationPolicy,
        rule: &AuthorizationRule,
    ) -> Option<(Allowance, Matched)> {
        let needs_l7 = rule.from.iter().any(|s| !s.layer7.is_empty())
            || rule.to.iter().any(|o| !o.layer7.is_empty())
            || rule.when.iter().any(|c| !is_layer4(c));
        if self.enforcer == Enforcer::Ztunnel && policy.action == Action::Allow && needs_l7 {
            return None;
        }
        let mut ports = if rule.to.is_empty() {
            Allowance::all()
        } else {
            let of = |f: fn(Allowance) -> PortSet| {
                let each = rule.to.iter().map(|o| f(self.operation(o)));
                each.collect::<PortSet>()
            };
            Allowance {
                low: of(|a| a.low),
                high: of(|a| a.high),
            }
        };
        let mut matched = crowd.constant(rule.from.is_empty());
        for source in &rule.from {
            matched.or(&self.source(crowd, policy, source));
        }
        for condition in &rule.when {
            if condition.key == "destination.port" {
                let listed = listed(&condition.values, &condition.not_values);
                ports.low = ports.low.intersection(&listed);
                ports.high = ports.high.intersection(&listed);
            } else {
                matched.and(&self.condition(crowd, policy, condition));
            }
        }
        Some((ports, matched))
    }

    fn operation(&self, operation: &Operation) -> Allowance {
        let named = !operation.ports.is_empty() || !operation.not_ports.is_empty();
        let asks_requests = self.enforcer == Enforcer::Envoy && !operation.layer7.is_empty();
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

    /// Whom a source matches: by every list that is there.
    fn source(&self, crowd: &Crowd<'_>, policy: &AuthorizationPolicy, source: &Source) -> Matched {
        let own = &policy.meta.namespace;
        let on_requests = self.enforcer == Enforcer::Envoy && !source.layer7.is_empty();
        let by_address = !source.ip_blocks.is_empty() || !source.not_ip_blocks.is_empty();
        let lists = [
            (&source.principals, &source.not_principals),
            (&source.namespaces, &source.not_namespaces),
            (&source.service_accounts, &source.not_service_accounts),
        ];
        let named = lists.iter().any(|(a, b)| !a.is_empty() || !b.is_empty());
        if !named && !on_requests && !by_address {
            return crowd.constant(false);
        }
        // Nothing is known of requests.
        let mut matched = if on_requests {
            crowd.unknown()
        } else {
            crowd.constant(true)
        };
        if by_address {
            let blocks = (&source.ip_blocks, &source.not_ip_blocks);
            matched.by_lists(blocks, |list| addresses(crowd, policy, list));
        }
        let [principals, namespaces, accounts] = lists;
        matched.by_lists(principals, |list| crowd.principals(list, self.enforcer));
        matched.by_lists(namespaces, |list| crowd.namespaces(list));
        matched.by_lists(accounts, |list| crowd.service_accounts(list, own));
        matched
    }

    fn condition(
        &self,
        crowd: &Crowd<'_>,
        policy: &AuthorizationPolicy,
        condition: &Condition,
    ) -> Matched {
        let (values, not_values) = (&condition.values, &condition.not_values);
        let mut matched = crowd.constant(true);
        match condition.key.as_str() {
            "source.principal" => {
                matched.by_lists((values, not_values), |list| {
                    crowd.principals(list, self.enforcer)
                });
            }
            "source.namespace" => {
                matched.by_lists((values, not_values), |list| crowd.namespaces(list));
            }
            "source.ip" => {
                let blocks = (values, not_values);
                matched.by_lists(blocks, |list| addresses(crowd, policy, list));
            }
            "destination.ip" => matched = crowd.unknown(),
            _ if self.enforcer == Enforcer::Envoy => matched = crowd.unknown(),
            // Emptied, and an empty match never matches.
            _ => matched = crowd.constant(false),
        }
        matched
    }
}

/// Who has an address in one of some blocks, as the enforcer of a policy sees it: what a waypoint
/// takes for the address of a client is not known.
fn addresses(crowd: &Crowd<'_>, policy: &AuthorizationPolicy, list: &[impl AsRef<str>]) -> Matched {
    if policy.targets.is_empty() {
        crowd.addresses(list)
    } else {
        crowd.unknown()
    }
}

/// A part of the crowd that all rules so far treat alike.
#[derive(Clone)]
struct Part {
    who: FixedBitSet,
    denied: Allowance,
    allowed: Allowance,
    /// What an external authorizer is asked about, and may refuse.
    asked: PortSet,
}

impl Part {
    fn of(who: FixedBitSet) -> Self {
        Self {
            who,
            denied: Allowance::exactly(PortSet::none()),
            allowed: Allowance::exactly(PortSet::none()),
            asked: PortSet::none(),
        }
    }

    fn hit(&mut self, action: Action, ports: &Allowance, surely: bool) {
        let matched = match action {
            Action::Deny => &mut self.denied,
            Action::Allow => &mut self.allowed,
            Action::Custom => {
                self.asked = self.asked.union(&ports.high);
                return;
            }
            Action::Audit => return,
        };
        matched.high = matched.high.union(&ports.high);
        if surely {
            matched.low = matched.low.union(&ports.low);
        }
    }

    fn allowance(&self, has_allow: bool) -> Allowance {
        let all = Allowance::all();
        let offered = if has_allow { &self.allowed } else { &all };
        let low = offered.low.difference(&self.denied.high);
        Allowance {
            low: low.difference(&self.asked),
            high: offered.high.difference(&self.denied.low),
        }
    }
}

/// Takes a rule into account: those whom it treats differently become parts of their own.
fn split(parts: &mut Vec<Part>, action: Action, matched: &Matched, which: &Allowance) {
    let mut perhaps = matched.high.clone();
    perhaps.difference_with(&matched.low);
    for index in 0..parts.len() {
        for (matching, surely) in [(&matched.low, true), (&perhaps, false)] {
            let part = &mut parts[index];
            if part.who.is_disjoint(matching) {
                continue;
            }
            if part.who.is_subset(matching) {
                part.hit(action, which, surely);
                break;
            }
            let mut inside = part.clone();
            inside.who.intersect_with(matching);
            part.who.difference_with(matching);
            inside.hit(action, which, surely);
            parts.push(inside);
        }
    }
}

/// Whether ztunnel applies a policy to a workload: those of its namespace and of the root
/// namespace, by selector. Policies with `targetRefs` are for waypoints.
pub fn selects(
    policy: &AuthorizationPolicy,
    root_namespace: &str,
    namespace: &str,
    labels: &Labels,
) -> bool {
    (policy.meta.namespace == namespace || policy.meta.namespace == root_namespace)
        && policy.targets.is_empty()
        && includes(labels, &policy.selector)
}
