//! What a pod does with the tunnel.

use ambient_facts::{annotations, labels};

use super::scope::{Membership, StaysOut};
use crate::model::PodTemplate;

/// What a pod does with the tunnel, once everything is in place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Role {
    /// Its connections to receivers go through the tunnel.
    pub sends: bool,
    /// Connections from senders come through the tunnel.
    pub receives: bool,
    /// Its DNS look-ups over TCP stay outside of the tunnel.
    pub dns_captured: bool,
}

impl Role {
    /// The role of a pod, given whether it joins the mesh. Gateways and sidecars speak the tunnel's
    /// protocol themselves; a sidecar accepts it only when its pod says so.
    pub fn of(pod: &PodTemplate, membership: Membership) -> Self {
        let joins = membership.joins();
        let injected = pod.annotations.contains_key(annotations::SIDECAR_STATUS)
            || pod.containers.iter().any(|c| c == "istio-proxy");
        let is_gateway = matches!(membership, Membership::StaysOut(StaysOut::Gateway));
        let accepts = pod.labels.get(labels::TUNNEL).is_some_and(|v| v == "http");
        let capture = pod.annotations.get(annotations::DNS_CAPTURE);
        Self {
            sends: !pod.host_network && (joins || injected || is_gateway),
            receives: !pod.host_network && (joins || (injected && accepts)),
            dns_captured: joins && capture.is_none_or(|v| v != "false"),
        }
    }
}
