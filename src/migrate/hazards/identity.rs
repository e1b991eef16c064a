//! What an AuthorizationPolicy says about one known source, a waypoint, as ztunnel evaluates it
//! (ztunnel `src/rbac.rs`).

use crate::authz::{self, Enforcer, TrustDomain};
use crate::model::{Action, AuthorizationPolicy, AuthorizationRule, Condition, Operation, Source};

/// A source whose service account is known and whose address is not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity<'a> {
    pub(super) namespace: &'a str,
    pub(super) service_account: &'a str,
    pub(super) trust_domain: &'a TrustDomain,
}

/// Whether something matches; addresses leave it open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    No,
    Perhaps,
    Yes,
}

impl From<bool> for Answer {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl Identity<'_> {
    /// Whether a rule of a policy matches a connection from this source to a port.
    pub(super) fn matches(self, policy: &AuthorizationPolicy, port: u16) -> Answer {
        let rules = policy.rules.iter();
        rules
            .map(|rule| self.matches_rule(policy, rule, port))
            .max()
            .unwrap_or(Answer::No)
    }

    fn matches_rule(
        self,
        policy: &AuthorizationPolicy,
        rule: &AuthorizationRule,
        port: u16,
    ) -> Answer {
        if policy.action == Action::Allow && has_layer7(rule) {
            return Answer::No;
        }
        let any = |answers: Vec<Answer>| answers.into_iter().max().unwrap_or(Answer::Yes);
        let sources = rule.from.iter();
        let from = any(sources
            .map(|s| self.matches_source(s, &policy.meta.namespace))
            .collect());
        let to = any(rule.to.iter().map(|o| matches_operation(o, port)).collect());
        let when = rule.when.iter().map(|c| self.matches_condition(c, port));
        when.chain([from, to]).min().unwrap_or(Answer::Yes)
    }

    fn matches_source(self, source: &Source, policy_namespace: &str) -> Answer {
        if !has_layer4_source(source) {
            return Answer::No;
        }
        let account = |a: &str| self.is_account(a, policy_namespace).into();
        let principal = |p: &str| self.is_principal(p);
        let namespace = |n: &str| pattern(n, self.namespace).into();
        let kinds = [
            both(&source.principals, &source.not_principals, principal),
            both(&source.namespaces, &source.not_namespaces, namespace),
            both(
                &source.service_accounts,
                &source.not_service_accounts,
                account,
            ),
        ];
        let addresses = source.ip_blocks.is_empty() && source.not_ip_blocks.is_empty();
        let address = if addresses {
            Answer::Yes
        } else {
            Answer::Perhaps
        };
        kinds.into_iter().min().unwrap_or(Answer::Yes).min(address)
    }

    fn matches_condition(self, condition: &Condition, port: u16) -> Answer {
        let (yes, no) = (&condition.values, &condition.not_values);
        match condition.key.as_str() {
            "source.principal" => both(yes, no, |p| self.is_principal(p)),
            "source.namespace" => both(yes, no, |n| pattern(n, self.namespace).into()),
            "destination.port" => both(yes, no, |p| (p.parse() == Ok(port)).into()),
            "source.ip" | "destination.ip" => Answer::Perhaps,
            // Emptied by the converter: it matches nothing.
            _ => Answer::No,
        }
    }

    /// Whether a `principals` value names this source.
    pub(super) fn is_principal(self, value: &str) -> Answer {
        let identity = authz::Identity::Workload {
            namespace: self.namespace,
            service_account: self.service_account,
        };
        match authz::principal(value, identity, self.trust_domain, Enforcer::Ztunnel) {
            Some(answer) => answer.into(),
            None => Answer::Perhaps,
        }
    }

    /// Whether a `serviceAccounts` value names this source.
    pub(super) fn is_account(self, value: &str, policy_namespace: &str) -> bool {
        let (namespace, name) = value.split_once('/').unwrap_or((policy_namespace, value));
        namespace == self.namespace && name == self.service_account
    }
}

/// Whether any field of a rule is of HTTP.
pub(super) fn has_layer7(rule: &AuthorizationRule) -> bool {
    rule.from.iter().any(|s| !s.layer7.is_empty())
        || rule.to.iter().any(|o| !o.layer7.is_empty())
        || rule.when.iter().any(|c| !is_layer4_key(&c.key))
}

/// Whether ztunnel evaluates this `when` key (istiod `ambient/authorization.go`,
/// `l4WhenAttributes`).
pub(super) fn is_layer4_key(key: &str) -> bool {
    matches!(
        key,
        "source.ip"
            | "source.namespace"
            | "source.principal"
            | "destination.ip"
            | "destination.port"
    )
}

/// Whether anything is left of a source at ztunnel.
pub(super) fn has_layer4_source(source: &Source) -> bool {
    [
        &source.principals,
        &source.not_principals,
        &source.namespaces,
        &source.not_namespaces,
        &source.service_accounts,
        &source.not_service_accounts,
        &source.ip_blocks,
        &source.not_ip_blocks,
    ]
    .iter()
    .any(|values| !values.is_empty())
}

/// Whether anything is left of an operation at ztunnel.
pub(super) fn has_layer4_operation(operation: &Operation) -> bool {
    !operation.ports.is_empty() || !operation.not_ports.is_empty()
}

fn matches_operation(operation: &Operation, port: u16) -> Answer {
    let is_port = |p: &str| (p.parse() == Ok(port)).into();
    if !has_layer4_operation(operation) {
        return Answer::No;
    }
    both(&operation.ports, &operation.not_ports, is_port)
}

/// Whether some positive value matches, where there are any, and no negative one does.
fn both<T: AsRef<str>>(yes: &[T], no: &[T], matches: impl Fn(&str) -> Answer) -> Answer {
    let best = |list: &[T]| list.iter().map(|v| matches(v.as_ref())).max();
    let excluded = match best(no) {
        Some(Answer::Yes) => Answer::No,
        Some(Answer::Perhaps) => Answer::Perhaps,
        Some(Answer::No) | None => Answer::Yes,
    };
    best(yes).unwrap_or(Answer::Yes).min(excluded)
}

/// Istio's string match: exact, `prefix*`, `*suffix`, or `*` for any.
fn pattern(value: &str, text: &str) -> bool {
    match (value.strip_prefix('*'), value.strip_suffix('*')) {
        (Some(suffix), _) => text.ends_with(suffix),
        (None, Some(prefix)) => text.starts_with(prefix),
        (None, None) => value == text,
    }
}
