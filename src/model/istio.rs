//! `security.istio.io/v1` kinds, as far as the L4 dataplane and the planner read them.

use std::sync::Arc;

use ambient_facts::annotations;

use super::{LabelSelector, Labels, Meta, ObjectRef};

/// A name, or a pattern of names, that many rules may share.
pub type Name = Arc<str>;

/// An `AuthorizationPolicy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationPolicy {
    /// Metadata.
    pub meta: Meta,
    /// `spec.selector.matchLabels`; empty means the whole namespace.
    pub selector: Labels,
    /// `spec.selector` is there without `matchLabels`. A sidecar reads that as the whole namespace;
    /// ztunnel gets the policy for no workload (istiod `ambient/authorization.go`,
    /// `convertAuthorizationPolicy`, and `workloads.go`, `buildWorkloadPolicies`).
    pub selects_nothing: bool,
    /// `spec.targetRefs`, and `spec.targetRef` as a list of one.
    pub targets: Vec<TargetRef>,
    /// `spec.action`, `ALLOW` when absent.
    pub action: Action,
    /// `spec.rules`. Several policies may share them.
    pub rules: Arc<[AuthorizationRule]>,
}

impl AuthorizationPolicy {
    /// The reference to this policy.
    pub fn reference(&self) -> ObjectRef {
        self.meta.reference("AuthorizationPolicy")
    }

    /// Whether it is evaluated and not enforced.
    pub fn is_dry_run(&self) -> bool {
        let value = self.meta.annotation(annotations::DRY_RUN);
        value.is_some_and(is_true)
    }
}

/// Whether the value of an annotation of Istio means yes, as its programs read it (Go's
/// `strconv.ParseBool`).
pub fn is_true(value: &str) -> bool {
    truth(value) == Some(true)
}

/// What the value of an annotation of Istio means, read the same way; `None` when it is neither.
pub fn truth(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// `spec.action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Allow what matches; with it, whatever matches no ALLOW policy is denied.
    Allow,
    /// Deny what matches.
    Deny,
    /// Only audit.
    Audit,
    /// Ask an external authorizer.
    Custom,
}

/// One rule. `None` and an absent list mean the same: no condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuthorizationRule {
    /// `from[].source`; any of them.
    pub from: Vec<Source>,
    /// `to[].operation`; any of them.
    pub to: Vec<Operation>,
    /// `when`; all of them.
    pub when: Vec<Condition>,
    /// One-based line; 0 when unknown.
    pub line: u32,
}

/// One `source`: all the given kinds must match, any value of each.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// `principals`.
    pub principals: Vec<Name>,
    /// `notPrincipals`.
    pub not_principals: Vec<Name>,
    /// `namespaces`.
    pub namespaces: Vec<Name>,
    /// `notNamespaces`.
    pub not_namespaces: Vec<Name>,
    /// `serviceAccounts`: `namespace/name`, or `name` in the policy's namespace.
    pub service_accounts: Vec<Name>,
    /// `notServiceAccounts`.
    pub not_service_accounts: Vec<Name>,
    /// `ipBlocks`.
    pub ip_blocks: Vec<Name>,
    /// `notIpBlocks`.
    pub not_ip_blocks: Vec<Name>,
    /// Names of fields that are set and only an L7 proxy can evaluate.
    pub layer7: Vec<String>,
    /// Names of fields that are set and the ambient converter ignores without a word
    /// (`trustDomains`, `notTrustDomains`).
    pub ignored: Vec<String>,
}

/// One `operation`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// `ports`.
    pub ports: Vec<String>,
    /// `notPorts`.
    pub not_ports: Vec<String>,
    /// Names of fields that are set and only an L7 proxy can evaluate.
    pub layer7: Vec<String>,
}

/// One `when` condition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// Key, for example `source.ip`.
    pub key: String,
    /// `values`.
    pub values: Vec<String>,
    /// `notValues`.
    pub not_values: Vec<String>,
}

/// One entry of `targetRefs`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TargetRef {
    /// API group, empty for the core group.
    pub group: String,
    /// Kind: `Service`, `Gateway`, `GatewayClass`, `ServiceEntry`.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace, when given; it must be the policy's own.
    pub namespace: Option<String>,
}

/// A `PeerAuthentication`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAuthentication {
    /// Metadata.
    pub meta: Meta,
    /// `spec.selector.matchLabels`; empty means the namespace, or the mesh in the root namespace.
    pub selector: Labels,
    /// `spec.mtls.mode`.
    pub mode: PeerMode,
    /// `spec.portLevelMtls`.
    pub ports: Vec<(u16, PeerMode)>,
}

/// mTLS mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerMode {
    /// Inherit.
    Unset,
    /// Plaintext only.
    Disable,
    /// Both.
    Permissive,
    /// mTLS only.
    Strict,
}

/// A `RequestAuthentication`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestAuthentication {
    /// Metadata.
    pub meta: Meta,
    /// `spec.selector.matchLabels`.
    pub selector: Labels,
    /// `spec.targetRefs`.
    pub targets: Vec<TargetRef>,
}

impl From<&Labels> for LabelSelector {
    fn from(labels: &Labels) -> Self {
        Self {
            match_labels: labels.clone(),
            match_expressions: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dry_run_is_what_go_reads_as_true() {
        let mut policy = AuthorizationPolicy {
            meta: Meta::synthetic("shop", "a"),
            selector: Labels::new(),
            selects_nothing: false,
            targets: Vec::new(),
            action: Action::Deny,
            rules: Arc::default(),
        };
        assert!(!policy.is_dry_run());
        let mut says = |value: &str| {
            let annotations = [(annotations::DRY_RUN.to_owned(), value.to_owned())];
            policy.meta.annotations = annotations.into();
            policy.is_dry_run()
        };
        for value in ["1", "t", "T", "true", "TRUE", "True"] {
            assert!(says(value), "{value}");
        }
        for value in ["", "0", "f", "false", "tRUE", "yes", "on", " true"] {
            assert!(!says(value), "{value}");
        }
    }
}
