//! What a pod does with the tunnel.

use ambient_facts::{annotations, labels};

use super::scope::{Membership, StaysOut, has_sidecar, injection_of, is_gateway};
use crate::model::{Labels, PodTemplate, Workload, World};

/// What a pod does with the tunnel, once everything is in place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Role {
    /// Its connections to receivers go through the tunnel.
    pub sends: bool,
    /// Connections from senders come through the tunnel.
    pub receives: bool,
    /// Its DNS look-ups over TCP stay outside of the tunnel.
    pub dns_captured: bool,
    /// A sidecar stays in it, in place of ztunnel.
    pub keeps_sidecar: bool,
}

impl Role {
    /// The role of a pod, given whether it joins the mesh. Gateways and sidecars speak the tunnel's
    /// protocol themselves; a sidecar accepts it only when its pod says so.
    pub fn of(pod: &PodTemplate, membership: Membership) -> Self {
        let joins = membership.joins();
        let is_gateway = matches!(membership, Membership::StaysOut(StaysOut::Gateway));
        let injected = is_gateway || has_sidecar(pod);
        let accepts = pod.labels.get(labels::TUNNEL).is_some_and(|v| v == "http");
        let capture = pod.annotations.get(annotations::DNS_CAPTURE);
        Self {
            sends: !pod.host_network && (joins || injected),
            receives: !pod.host_network && (joins || (injected && accepts)),
            dns_captured: joins && capture.is_none_or(|v| v != "false"),
            keeps_sidecar: injected && !joins && !is_gateway,
        }
    }
}

/// Whether a proxy of Istio is in a pod today, which knows its peers and enforces policies; `None`
/// when the input does not tell, because it does not hold the namespace that may ask for injection.
pub(super) fn has_proxy_today(world: &World, workload: &Workload) -> Option<bool> {
    let pod = &workload.pod;
    if has_sidecar(pod) || is_gateway(pod) {
        return Some(true);
    }
    // A pod that runs got its sidecar at its creation, or did not.
    let runs = !workload.addresses.is_empty();
    if pod.host_network || runs {
        return Some(false);
    }
    if let Some(asked) = injection_of(pod) {
        return Some(asked);
    }
    let namespace = world.namespaces.get(&workload.meta.namespace);
    let namespace = namespace.filter(|n| n.declared)?;
    Some(asks_for_injection(&namespace.meta.labels))
}

/// Whether the labels of a namespace ask for injection: `istio-injection` decides where it is set,
/// else a revision does.
pub(super) fn asks_for_injection(own: &Labels) -> bool {
    match own.get(labels::INJECTION).map(String::as_str) {
        Some(value) => value == "enabled",
        None => own.contains_key(labels::REVISION),
    }
}
