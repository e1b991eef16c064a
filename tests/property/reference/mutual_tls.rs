//! PeerAuthentication: the mode of mutual TLS that holds for a port of a pod (istiod
//! `pilot/pkg/security/authn/policy_applier.go`, `ComposePeerAuthentication`).

use std::collections::BTreeSet;

use kubectl_ambient::model::{PeerAuthentication, PeerMode, World};

use super::Pod;
use super::authorization::ROOT_NAMESPACE;

/// The modes that may hold for a port. Of several policies for the same pods the oldest counts, and
/// manifests do not tell which that is.
pub(crate) fn modes(world: &World, pod: &Pod, port: u16) -> BTreeSet<PeerMode> {
    let is_root = pod.namespace == ROOT_NAMESPACE;
    let of = |namespace: &str, is_meant: &dyn Fn(&PeerAuthentication) -> bool| {
        let policies = world.peer_authentications.iter();
        let policies = policies.filter(|p| p.meta.namespace == namespace && is_meant(p));
        let policies: Vec<Option<&PeerAuthentication>> = policies.map(Some).collect();
        if policies.is_empty() {
            vec![None]
        } else {
            policies
        }
    };
    let is_for_all = |p: &PeerAuthentication| p.selector.is_empty();
    let is_for_pod = |p: &PeerAuthentication| {
        let mut labels = p.selector.iter();
        // Labels select nothing in the root namespace.
        !is_root
            && !p.selector.is_empty()
            && labels.all(|(key, value)| pod.labels.get(key) == Some(value))
    };
    let mut possible = BTreeSet::new();
    for of_mesh in of(ROOT_NAMESPACE, &is_for_all) {
        for of_namespace in of(&pod.namespace, &is_for_all) {
            for own in of(&pod.namespace, &is_for_pod) {
                let levels = [of_mesh, of_namespace.filter(|_| !is_root), own];
                let mut set = levels
                    .into_iter()
                    .flatten()
                    .map(|p| p.mode)
                    .collect::<Vec<_>>();
                let ports = own.into_iter().flat_map(|p| &p.ports);
                set.extend(ports.filter(|(p, _)| *p == port).map(|(_, mode)| *mode));
                let narrowest = set.into_iter().rfind(|mode| *mode != PeerMode::Unset);
                possible.insert(narrowest.unwrap_or(PeerMode::Permissive));
            }
        }
    }
    possible
}
