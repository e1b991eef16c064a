//! What a pod does with the tunnel.

use ambient_facts::{annotations, labels};

use super::scope::{
    Membership, StaysOut, asks_for_sidecar, has_sidecar, injection_of, is_gateway, is_system,
};
use crate::model::{Labels, PodTemplate, Workload, World, truth};

/// What those who receive its connections learn of a client today.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClientToday {
    /// Whether a sidecar or gateway sends what it opens, and so presents its identity to sidecars;
    /// `None` when the input does not tell, or it does for some connections.
    pub(crate) vouched: Option<bool>,
    /// Whether what it opens goes through the tunnel where that is taken; as little may be known.
    pub(crate) tunnels: Option<bool>,
}

/// What a pod does with the tunnel, once everything is in place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Role {
    /// Its connections to receivers go through the tunnel.
    pub sends: bool,
    /// Connections from senders come through the tunnel, or may.
    pub receives: bool,
    /// Whether they do is not known, so that they may come in the clear as well.
    pub perhaps_receives: bool,
    /// Its DNS look-ups over TCP stay outside of the tunnel.
    pub dns_captured: bool,
    /// A sidecar receives for it in place of ztunnel, or may: until it restarts, where only its
    /// namespace asked for the sidecar and is enrolled now.
    pub behind_sidecar: bool,
}

impl Role {
    /// The role of a workload's pods, given whether they join the mesh, and the namespace does. Gateways and sidecars speak
    /// the tunnel's protocol themselves; a sidecar accepts it only when its pod says so, which the
    /// injector makes it say where that is switched on. Where a sidecar may be injected, it is taken
    /// to send and to accept, and so is one that goes with the next restart: a port that is open for
    /// nobody does no harm.
    pub fn of(
        world: &World,
        workload: &Workload,
        membership: Membership,
        in_enrolled_namespace: bool,
    ) -> Self {
        let pod = &workload.pod;
        let joins = membership.joins();
        let proxy = has_proxy_today(world, workload);
        let injected = proxy == Some(true);
        let left_out = !in_enrolled_namespace && !is_system(&workload.meta.namespace);
        let perhaps = proxy.is_none() && left_out;
        let is_gateway = matches!(membership, Membership::StaysOut(StaysOut::Gateway));
        let is_out = pod.host_network || workload.terminated;
        let accepts = accepts_tunnel(pod);
        let may_have_sidecar = proxy.unwrap_or(!is_system(&workload.meta.namespace));
        let behind_sidecar = may_have_sidecar && !is_out && !joins && !is_gateway;
        let stays = injected && keeps_proxy(workload, in_enrolled_namespace);
        let may_accept = if accepts { !stays } else { !has_sidecar(pod) };
        let perhaps_receives = behind_sidecar && may_accept;
        Self {
            sends: !is_out && (joins || injected || perhaps || is_gateway),
            receives: !is_out && (joins || (injected && accepts) || perhaps_receives),
            perhaps_receives,
            dns_captured: joins && captures_dns(world, pod),
            behind_sidecar,
        }
    }

    /// How the last part of a way through a waypoint may lead to it: whether in the clear. Both ways
    /// count where it is not known whether it takes the tunnel.
    pub(crate) fn last_hops(self) -> impl Iterator<Item = bool> {
        let plain = (!self.surely_receives()).then_some(true);
        plain.into_iter().chain(self.receives.then_some(false))
    }

    /// Whether connections from senders surely come through the tunnel.
    pub fn surely_receives(self) -> bool {
        self.receives && !self.perhaps_receives
    }
}

/// Whether ztunnel answers the look-ups of a pod itself, once it is in the mesh: the pod says so, or
/// else the configuration of the node agents (istio `cni/pkg/nodeagent`,
/// `getPodLevelTrafficOverrides`).
pub(crate) fn captures_dns(world: &World, pod: &PodTemplate) -> bool {
    let own = pod.annotations.get(annotations::DNS_CAPTURE);
    let own = own.and_then(|value| truth(value));
    own.unwrap_or_else(|| world.mesh.captures_dns())
}

/// Whether a proxy of Istio is in a pod today, which knows its peers and enforces policies; `None`
/// when the input does not tell, because it does not hold the namespace that may ask for injection.
pub(crate) fn has_proxy_today(world: &World, workload: &Workload) -> Option<bool> {
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

/// Whether ztunnel carries the connections of a workload's pods today, because they are in the mesh
/// already, given what is to become of them; `None` when the input does not tell, because it does not
/// hold the namespace that may carry the label. What manifests say is what is there today.
pub(crate) fn is_captured_today(
    world: &World,
    workload: &Workload,
    membership: Membership,
    proxy_today: Option<bool>,
) -> Option<bool> {
    let pod = &workload.pod;
    if !membership.joins() || proxy_today == Some(true) {
        return Some(false);
    }
    // The node agent says of a pod that runs whether it captured it.
    if !workload.addresses.is_empty() {
        let redirection = pod.annotations.get(annotations::REDIRECTION);
        return Some(redirection.is_some_and(|r| r == annotations::REDIRECTION_ENABLED));
    }
    let own = pod.labels.get(labels::DATAPLANE_MODE);
    let namespace = world.namespaces.get(&workload.meta.namespace);
    let namespace = namespace.filter(|n| n.declared);
    let asked = if own.is_some() {
        own
    } else {
        let namespace = namespace?;
        namespace.meta.labels.get(labels::DATAPLANE_MODE)
    };
    match asked.map(String::as_str) {
        Some(labels::AMBIENT) if proxy_today.is_none() => None,
        mode => Some(mode == Some(labels::AMBIENT)),
    }
}

/// Whether what pods send to receivers goes through the tunnel today, which tells who they are;
/// `None` when the input does not tell. Sidecars and gateways are taken to do so as in [`Role::of`].
pub(crate) fn sends_today(
    role: Role,
    vouched: Option<bool>,
    captured: Option<bool>,
) -> Option<bool> {
    match (captured, vouched) {
        _ if !role.sends => Some(false),
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

/// Whether the sidecar of a pod takes the tunnel today, if it has one; `None` when the injector may
/// make it do so.
pub(crate) fn sidecar_takes_tunnel(pod: &PodTemplate) -> Option<bool> {
    let accepts = accepts_tunnel(pod);
    (accepts || has_sidecar(pod)).then_some(accepts)
}

fn accepts_tunnel(pod: &PodTemplate) -> bool {
    pod.labels.get(labels::TUNNEL).is_some_and(|v| v == "http")
}

/// Whether a proxy that is in a pod today is in it after a restart too, if the pod stays out of the
/// mesh: sidecars that only the namespace asks for are no longer injected once it is enrolled.
pub(crate) fn keeps_proxy(workload: &Workload, in_enrolled_namespace: bool) -> bool {
    let pod = &workload.pod;
    !in_enrolled_namespace || is_gateway(pod) || asks_for_sidecar(pod)
}

/// Whether the pods of a namespace may speak through the tunnel though it is not enrolled: because
/// sidecars are injected, or may be.
pub(crate) fn may_be_injected(world: &World, namespace: &str) -> bool {
    match world.namespaces.get(namespace).filter(|n| n.declared) {
        Some(namespace) => asks_for_injection(&namespace.meta.labels),
        None => !is_system(namespace),
    }
}

/// Whether the labels of a namespace ask for injection: `istio-injection` decides where it is set,
/// else a revision does.
pub(crate) fn asks_for_injection(own: &Labels) -> bool {
    match own.get(labels::INJECTION).map(String::as_str) {
        Some(value) => value == "enabled",
        None => own.contains_key(labels::REVISION),
    }
}
