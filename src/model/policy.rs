//! `networking.k8s.io/v1` `NetworkPolicy`, with the API server's defaults applied.

use std::fmt;

use ambient_facts::labels;
use ipnet::IpNet;

use super::{LabelSelector, Meta, ObjectRef};

/// A `NetworkPolicy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Metadata.
    pub meta: Meta,
    /// The pods of its own namespace that it selects.
    pub pod_selector: LabelSelector,
    /// Whether it isolates for ingress: effective `policyTypes` (`SetDefaults_NetworkPolicy` in
    /// Kubernetes `pkg/apis/networking/v1/defaults.go`).
    pub isolates_ingress: bool,
    /// Whether it isolates for egress.
    pub isolates_egress: bool,
    /// `spec.ingress`.
    pub ingress: Vec<Rule>,
    /// `spec.egress`.
    pub egress: Vec<Rule>,
}

impl NetworkPolicy {
    /// The reference to this policy.
    pub fn reference(&self) -> ObjectRef {
        self.meta.reference("NetworkPolicy")
    }

    /// The rules of both directions.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.ingress.iter().chain(&self.egress)
    }
}

/// One ingress or egress rule: peers and ports. Both must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// `from` or `to`; empty means any peer, outside the cluster too.
    pub peers: Vec<Peer>,
    /// `ports`; empty means every port of every protocol.
    pub ports: Vec<PortRule>,
    /// One-based line of the rule; 0 when unknown.
    pub line: u32,
}

impl Rule {
    /// Whether it selects namespaces by other labels than their name, which the API server sets.
    pub fn asks_for_namespace_labels(&self) -> bool {
        self.peers.iter().any(|peer| match peer {
            Peer::Pods {
                namespaces: Some(selector),
                ..
            } => selector.keys().any(|k| k != labels::NAMESPACE_NAME),
            _ => false,
        })
    }
}

/// One entry of `from` or `to`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// `ipBlock`.
    Block {
        /// `cidr`, host bits cleared.
        cidr: IpNet,
        /// `except`: parts of `cidr` that do not match.
        except: Vec<IpNet>,
    },
    /// `podSelector`, `namespaceSelector`, or both.
    Pods {
        /// `namespaceSelector`; `None` means the policy's own namespace.
        namespaces: Option<LabelSelector>,
        /// `podSelector`; `None` means every pod.
        pods: Option<LabelSelector>,
    },
}

/// One entry of `ports`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRule {
    /// Protocol; `TCP` when absent from the manifest.
    pub protocol: Protocol,
    /// Which ports of that protocol.
    pub port: PortMatch,
}

/// The `port` and `endPort` of a [`PortRule`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortMatch {
    /// No `port`: all of them.
    All,
    /// Inclusive range; a single port has both ends equal.
    Range(u16, u16),
    /// A name, resolved on each destination pod.
    Name(String),
}

/// Transport protocol, in the order in which connections are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// SCTP.
    Sctp,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// All protocols that a policy can name, in print order.
    pub const ALL: [Self; 3] = [Self::Sctp, Self::Tcp, Self::Udp];
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sctp => "SCTP",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}
