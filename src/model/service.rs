//! Namespaces, Services and Gateways.

use ambient_facts::{labels, namespaces, ports};

use super::{LabelSelector, Labels, Meta, Protocol, includes};

/// A `Namespace`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Metadata; `kubernetes.io/metadata.name` is always among the labels.
    pub meta: Meta,
    /// Whether the input holds the object. If not, its labels but for its name are unknown.
    pub declared: bool,
}

/// A `Service`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Metadata.
    pub meta: Meta,
    /// `spec.selector`; empty means that the Service selects nothing itself.
    pub selector: Labels,
    /// `spec.clusterIP: None`.
    pub headless: bool,
    /// `spec.type`, `ClusterIP` when absent.
    pub service_type: String,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
}

impl Service {
    /// Whether it selects a pod of its namespace. Without a selector it selects none.
    pub fn selects(&self, labels: &Labels) -> bool {
        !self.selector.is_empty() && includes(labels, &self.selector)
    }

    /// Whether it is the one that Kubernetes makes for its API server.
    pub fn is_api_server(&self) -> bool {
        (self.meta.namespace.as_str(), self.meta.name.as_str()) == namespaces::API_SERVER_SERVICE
    }
}

/// One port of a [`Service`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// Name; empty when absent.
    pub name: String,
    /// Port of the Service.
    pub port: u16,
    /// Port of the pods.
    pub target: TargetPort,
    /// Protocol.
    pub protocol: Protocol,
    /// `appProtocol`.
    pub app_protocol: Option<String>,
}

/// A port by number or by container port name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TargetPort {
    /// Number.
    Number(u16),
    /// Name of a container port, resolved on each pod.
    Name(String),
}

/// A Gateway API `Gateway`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Metadata.
    pub meta: Meta,
    /// `spec.gatewayClassName`.
    pub class: String,
    /// `spec.listeners`.
    pub listeners: Vec<Listener>,
}

impl Gateway {
    /// Whether this is a waypoint: its class, or a listener that speaks HBONE.
    pub fn is_waypoint(&self) -> bool {
        self.class == labels::WAYPOINT_CLASS
            || self
                .listeners
                .iter()
                .any(|l| l.protocol == "HBONE" && l.port == ports::HBONE)
    }
}

/// One listener of a [`Gateway`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Name.
    pub name: String,
    /// Port.
    pub port: u16,
    /// Protocol, for example `HBONE`.
    pub protocol: String,
    /// `allowedRoutes.namespaces`.
    pub allowed: AllowedNamespaces,
}

/// Which namespaces may attach to a [`Listener`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedNamespaces {
    /// The Gateway's own (the default).
    Same,
    /// Any.
    All,
    /// Those with matching labels.
    Selector(LabelSelector),
}
