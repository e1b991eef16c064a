//! Which PeerAuthentications hold for pods, and on which ports they make a sidecar refuse clients
//! that present no identity (istiod `pilot/pkg/security/authn/policy_applier.go`,
//! `ComposePeerAuthentication`).

use std::collections::{BTreeMap, BTreeSet};

use super::client_tls::ClientTls;
use crate::authz::Allowance;
use crate::model::{PeerAuthentication, PeerMode, Protocol, Workload, World, includes};
use crate::netpol::PortSet;

/// The PeerAuthentications of a world by namespace.
#[derive(Debug)]
pub(crate) struct Peering<'w> {
    root_namespace: &'w str,
    by_namespace: BTreeMap<&'w str, Vec<(usize, &'w PeerAuthentication)>>,
    client_tls: ClientTls<'w>,
}

impl<'w> Peering<'w> {
    pub(crate) fn of(world: &'w World, root_namespace: &'w str) -> Self {
        let mut by_namespace: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (index, policy) in world.peer_authentications.iter().enumerate() {
            let here = by_namespace.entry(&policy.meta.namespace);
            here.or_default().push((index, policy));
        }
        Self {
            root_namespace,
            by_namespace,
            client_tls: ClientTls::of(world, root_namespace),
        }
    }

    /// The policy whose mode holds for a workload, with its index: its own, else its namespace's,
    /// else the mesh's. Of several the control plane takes the oldest; where manifests do not show
    /// which that is, the first counts here.
    pub(crate) fn decisive(&self, workload: &Workload) -> Option<(usize, &'w PeerAuthentication)> {
        let levels = [
            self.own(workload).collect::<Vec<_>>(),
            self.of_namespace(workload).collect(),
            self.wide(self.root_namespace).collect(),
        ];
        let mut policies = levels.into_iter().flatten();
        policies.find(|(_, p)| p.mode != PeerMode::Unset)
    }

    /// The policies that make some port of a workload strict, or might.
    pub(crate) fn strict(
        &self,
        workload: &Workload,
    ) -> impl Iterator<Item = &'w PeerAuthentication> {
        self.with(PeerMode::Strict, workload)
    }

    /// The policies that switch mutual TLS off on some port of a workload, or might.
    pub(crate) fn disabling(
        &self,
        workload: &Workload,
    ) -> impl Iterator<Item = &'w PeerAuthentication> {
        self.with(PeerMode::Disable, workload)
    }

    fn with(
        &self,
        wanted: PeerMode,
        workload: &Workload,
    ) -> impl Iterator<Item = &'w PeerAuthentication> {
        let all = self.own(workload).chain(self.of_namespace(workload));
        let all: Vec<_> = all.chain(self.wide(self.root_namespace)).collect();
        let has = move |p: &&PeerAuthentication| {
            let mut modes = p.ports.iter().map(|(_, mode)| *mode).chain([p.mode]);
            modes.any(|mode| mode == wanted)
        };
        all.into_iter().map(|(_, p)| p).filter(has)
    }

    /// The ports on which a sidecar of the workload lets in clients without an identity.
    pub(crate) fn plaintext(&self, workload: &Workload) -> Allowance {
        self.in_modes(workload, |mode| mode != PeerMode::Strict)
    }

    /// The ports on which a sidecar of the workload takes nothing but plaintext, so that no client
    /// has an identity: the sidecars of clients send none there (istiod `pilot/pkg/xds/endpoints`,
    /// `mtlsChecker`).
    pub(crate) fn unidentified(&self, workload: &Workload) -> Allowance {
        self.in_modes(workload, |mode| mode == PeerMode::Disable)
    }

    /// The ports on which the sidecars of clients present no identity, whatever the workload takes.
    pub(crate) fn not_presented(&self, workload: &Workload) -> Allowance {
        self.client_tls.not_presented(workload)
    }

    /// The ports of either kind, on which sidecars of clients have no identity there.
    pub(crate) fn hidden(&self, workload: &Workload) -> Allowance {
        let by_server = self.unidentified(workload);
        let by_client = self.not_presented(workload);
        Allowance {
            low: by_server.low.union(&by_client.low),
            high: by_server.high.union(&by_client.high),
        }
    }

    /// The ports whose mode is one of some. Where one of several policies holds and the input does
    /// not tell which, the bounds differ.
    fn in_modes(&self, workload: &Workload, wanted: impl Fn(PeerMode) -> bool) -> Allowance {
        let modes = |policies: &mut dyn Iterator<Item = (usize, &'w PeerAuthentication)>| {
            let modes: BTreeSet<PeerMode> = policies.map(|(_, p)| p.mode).collect();
            if modes.is_empty() {
                BTreeSet::from([PeerMode::Unset])
            } else {
                modes
            }
        };
        let mesh = modes(&mut self.wide(self.root_namespace));
        let namespace = modes(&mut self.of_namespace(workload));
        let nothing = (PeerMode::Unset, &[][..]);
        let own = self
            .own(workload)
            .map(|(_, p)| (p.mode, p.ports.as_slice()));
        let mut own: BTreeSet<(PeerMode, &[(u16, PeerMode)])> = own.collect();
        if own.is_empty() {
            own.insert(nothing);
        }
        let mut allowance: Option<Allowance> = None;
        for &mesh in &mesh {
            for &namespace in &namespace {
                for (own, ports) in &own {
                    let open = ports_in([mesh, namespace, *own], ports, &wanted);
                    allowance = Some(match allowance {
                        None => Allowance::exactly(open),
                        Some(known) => Allowance {
                            low: known.low.intersection(&open),
                            high: known.high.union(&open),
                        },
                    });
                }
            }
        }
        allowance.unwrap_or_else(Allowance::all)
    }

    /// Those that select the workload. In the root namespace none does by labels.
    fn own(&self, workload: &Workload) -> std::vec::IntoIter<Numbered<'w>> {
        let namespace = workload.meta.namespace.as_str();
        oldest(self.at(namespace).filter(|(_, p)| {
            namespace != self.root_namespace
                && !p.selector.is_empty()
                && includes(&workload.pod.labels, &p.selector)
        }))
    }

    fn of_namespace(&self, workload: &Workload) -> impl Iterator<Item = Numbered<'w>> {
        let namespace = workload.meta.namespace.as_str();
        let is_root = namespace == self.root_namespace;
        self.wide(namespace).filter(move |_| !is_root)
    }

    /// Those of a namespace that select nothing by labels.
    fn wide(&self, namespace: &str) -> std::vec::IntoIter<Numbered<'w>> {
        oldest(self.at(namespace).filter(|(_, p)| p.selector.is_empty()))
    }

    fn at(&self, namespace: &str) -> impl Iterator<Item = Numbered<'w>> {
        let here = self.by_namespace.get(namespace);
        here.into_iter().flatten().copied()
    }
}

/// A policy with its index.
type Numbered<'w> = (usize, &'w PeerAuthentication);

/// The oldest of some policies, or all of them where one does not say when it was created. Two of the
/// same second are alike.
fn oldest<'w>(policies: impl Iterator<Item = Numbered<'w>>) -> std::vec::IntoIter<Numbered<'w>> {
    let mut policies: Vec<Numbered<'_>> = policies.collect();
    let first = policies.iter().map(|(_, p)| p.meta.created.as_ref()).min();
    if let Some(Some(first)) = first.map(Option::<&String>::cloned) {
        policies.retain(|(_, p)| p.meta.created.as_ref() == Some(&first));
    }
    policies.into_iter()
}

/// The ports in some modes, given the modes of the mesh, the namespace and the workload, and those of
/// single ports.
fn ports_in(
    modes: [PeerMode; 3],
    ports: &[(u16, PeerMode)],
    wanted: impl Fn(PeerMode) -> bool,
) -> PortSet {
    let set = |mode: &PeerMode| *mode != PeerMode::Unset;
    let whole = modes.into_iter().rfind(set).unwrap_or(PeerMode::Permissive);
    let of = |is_wanted: bool| -> PortSet {
        let ports = ports.iter().filter(|(_, mode)| set(mode));
        let ports = ports.filter(|(_, mode)| wanted(*mode) == is_wanted);
        ports
            .map(|(port, _)| PortSet::port(Protocol::Tcp, *port))
            .collect()
    };
    let others = if wanted(whole) {
        PortSet::protocol(Protocol::Tcp)
    } else {
        PortSet::none()
    };
    others.difference(&of(false)).union(&of(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::fixture::{Fixture, deployment, labels, peer_authentication};

    /// What a sidecar of `shop/web` accepts without an identity.
    fn plaintext(policies: impl IntoIterator<Item = PeerAuthentication>) -> (String, String) {
        let policies = policies.into_iter();
        let fixture = policies.fold(Fixture::with_namespace("shop", &[]), Fixture::peer);
        let peering = Peering::of(&fixture.world, "istio-system");
        let Allowance { low, high } = peering.plaintext(&deployment("shop", "web"));
        (low.to_string(), high.to_string())
    }

    /// Where a sidecar of `shop/web` knows nobody.
    fn unidentified(policies: impl IntoIterator<Item = PeerAuthentication>) -> (String, String) {
        let policies = policies.into_iter();
        let fixture = policies.fold(Fixture::with_namespace("shop", &[]), Fixture::peer);
        let peering = Peering::of(&fixture.world, "istio-system");
        let Allowance { low, high } = peering.unidentified(&deployment("shop", "web"));
        (low.to_string(), high.to_string())
    }

    fn exactly(ports: &str) -> (String, String) {
        (ports.to_owned(), ports.to_owned())
    }

    fn own(mode: PeerMode, ports: &[(u16, PeerMode)]) -> PeerAuthentication {
        let mut policy = peer_authentication("shop", mode);
        policy.selector = labels(&[("app", "web")]);
        policy.ports = ports.to_vec();
        policy
    }

    #[test]
    fn the_narrowest_mode_that_is_set_holds() {
        use PeerMode::{Disable, Permissive, Strict, Unset};
        let [all, none] = ["TCP 1-65535", "No Connections"].map(exactly);
        assert_eq!(plaintext([]), all);
        let mesh = |mode| peer_authentication("istio-system", mode);
        let namespace = |mode| peer_authentication("shop", mode);
        assert_eq!(plaintext([mesh(Strict)]), none);
        assert_eq!(plaintext([peer_authentication("bank", Strict)]), all);
        assert_eq!(plaintext([mesh(Strict), namespace(Unset)]), none);
        assert_eq!(plaintext([mesh(Strict), namespace(Permissive)]), all);
        assert_eq!(plaintext([mesh(Strict), own(Disable, &[])]), all);
        assert_eq!(plaintext([namespace(Permissive), own(Strict, &[])]), none);
        let mut selecting = mesh(Strict);
        selecting.selector = labels(&[("app", "web")]);
        assert_eq!(plaintext([selecting]), all);
    }

    #[test]
    fn single_ports_have_modes_of_their_own() {
        use PeerMode::{Permissive, Strict, Unset};
        let ports = [(80, Permissive), (81, Strict), (82, Unset)];
        assert_eq!(plaintext([own(Strict, &ports)]), exactly("TCP 80"));
        let others = exactly("TCP 1-80,82-65535");
        assert_eq!(plaintext([own(Unset, &ports)]), others);
        let mesh = peer_authentication("istio-system", Strict);
        assert_eq!(plaintext([mesh, own(Unset, &ports)]), exactly("TCP 80"));
    }

    #[test]
    fn one_of_several_policies_holds() {
        let mesh = [PeerMode::Strict, PeerMode::Permissive];
        let mesh = mesh.map(|mode| peer_authentication("istio-system", mode));
        let (none, all) = ("No Connections".to_owned(), "TCP 1-65535".to_owned());
        assert_eq!(plaintext(mesh.clone()), (none, all));
        let [mut strict, mut permissive] = mesh;
        permissive.meta.created = Some("2026-03-01T08:00:00Z".to_owned());
        let either = plaintext([strict.clone(), permissive.clone()]);
        assert_ne!(
            either.0, either.1,
            "when the other was created is not known"
        );
        strict.meta.created = Some("2026-02-28T23:59:59Z".to_owned());
        assert_eq!(plaintext([permissive, strict]), exactly("No Connections"));
    }

    #[test]
    fn nobody_is_known_where_mutual_tls_is_switched_off() {
        use PeerMode::{Disable, Permissive, Strict};
        let [all, none] = ["TCP 1-65535", "No Connections"].map(exactly);
        let mesh = peer_authentication("istio-system", Disable);
        let namespace = |mode| peer_authentication("shop", mode);
        assert_eq!(unidentified([]), none);
        assert_eq!(unidentified([namespace(Strict)]), none);
        assert_eq!(unidentified([mesh.clone()]), all);
        assert_eq!(unidentified([mesh, namespace(Permissive)]), none);
        let ports = [(80, Disable), (81, Strict)];
        assert_eq!(unidentified([own(Permissive, &ports)]), exactly("TCP 80"));
        let others = exactly("TCP 1-80,82-65535");
        assert_eq!(unidentified([own(Disable, &ports)]), others);
        let either = [namespace(Disable), namespace(Permissive)];
        let (low, high) = unidentified(either);
        assert_eq!(
            (low.as_str(), high.as_str()),
            ("No Connections", "TCP 1-65535")
        );
    }
}
