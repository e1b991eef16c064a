//! The naive reference: one connection at a time, from the specifications alone.
//!
//! Everything here is written to be obviously right rather than fast: no classes, no interval
//! sets, no caches, and nothing of the program but its model of objects. `networkpolicy.rs` reads
//! the Kubernetes API reference of NetworkPolicy v1, `authorization.rs` reads what istiod hands to
//! ztunnel and how ztunnel matches it, `mutual_tls.rs` which clients without an identity are let in,
//! `relations.rs` puts all of it together into the ways in which a connection can travel.

mod authorization;
mod mutual_tls;
mod networkpolicy;
mod relations;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use kubectl_ambient::model::{ContainerPort, Labels, Requirement, Workload, World};
use kubectl_ambient::model::{LabelSelector, Operator, Protocol};

pub(crate) use authorization::{
    Connection, Identity, admitted_by_sidecar, authorized, authorized_at_waypoint,
    authorized_by_sidecar, is_sidecars_own,
};
pub(crate) use mutual_tls::modes;
pub(crate) use networkpolicy::{Direction, is_peer, isolated, isolating, plaintext, received};
pub(crate) use relations::{
    Asked, Hop, captures_dns, enters_waypoint, in_mesh, plain_to_mesh, refused_by_ztunnel, tunnel,
    tunnel_port_open, via_waypoint, waypoint_of, waypoint_pod,
};

/// One pod: what a policy can see of it.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) namespace_labels: Labels,
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    pub(crate) service_account: String,
    pub(crate) host_network: bool,
    /// Whether the network plugin takes a pod on the host network for a pod where peers are matched,
    /// which the API leaves open.
    pub(crate) matched_on_host: bool,
    pub(crate) ports: Vec<ContainerPort>,
    /// The address that address blocks are compared with. `None`: no block ever matches the pod,
    /// because its address is in none, or because the network plugin knows pods by identity only.
    pub(crate) address: Option<IpAddr>,
}

impl Pod {
    /// A pod of a workload, given the address that it happens to have.
    pub(crate) fn of(world: &World, workload: &Workload, address: Option<IpAddr>) -> Self {
        Self {
            namespace: workload.meta.namespace.clone(),
            namespace_labels: namespace_labels(world, &workload.meta.namespace),
            labels: workload.pod.labels.clone(),
            annotations: workload.pod.annotations.clone(),
            service_account: workload.pod.service_account.clone(),
            host_network: workload.pod.host_network,
            matched_on_host: false,
            ports: workload.pod.ports.clone(),
            address,
        }
    }

    /// The identity in the pod's certificate.
    pub(crate) fn identity(&self) -> Identity {
        Identity {
            namespace: self.namespace.clone(),
            service_account: self.service_account.clone(),
        }
    }
}

/// One end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Party<'p> {
    /// A pod.
    Pod(&'p Pod),
    /// An address outside the cluster.
    External(IpAddr),
}

impl Party<'_> {
    /// The address that address blocks are compared with.
    pub(crate) fn address(self) -> Option<IpAddr> {
        match self {
            Self::Pod(pod) => pod.address,
            Self::External(address) => Some(address),
        }
    }
}

/// A destination port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Port {
    pub(crate) protocol: Protocol,
    pub(crate) number: u16,
}

impl Port {
    /// A TCP port.
    pub(crate) const fn tcp(number: u16) -> Self {
        Self {
            protocol: Protocol::Tcp,
            number,
        }
    }
}

/// Whether a selector selects labels (`metav1.LabelSelector`): every requirement holds.
pub(crate) fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    for (key, value) in &selector.match_labels {
        if labels.get(key) != Some(value) {
            return false;
        }
    }
    for Requirement { key, operator } in &selector.match_expressions {
        let holds = match (operator, labels.get(key)) {
            (Operator::In(values), Some(value)) => values.contains(value),
            (Operator::In(_), None) => false,
            (Operator::NotIn(values), Some(value)) => !values.contains(value),
            (Operator::NotIn(_), None) => true,
            (Operator::Exists, value) => value.is_some(),
            (Operator::DoesNotExist, value) => value.is_none(),
        };
        if !holds {
            return false;
        }
    }
    true
}

/// The labels of a namespace; the one that Kubernetes sets itself is always there.
pub(crate) fn namespace_labels(world: &World, name: &str) -> Labels {
    let mut labels = match world.namespaces.get(name) {
        Some(namespace) => namespace.meta.labels.clone(),
        None => Labels::new(),
    };
    labels.insert("kubernetes.io/metadata.name".to_owned(), name.to_owned());
    labels
}
