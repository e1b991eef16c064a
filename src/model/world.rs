//! The [`World`]: everything that was read, and how completely.

use std::collections::BTreeMap;
use std::fmt;

use super::{
    AuthorizationPolicy, Gateway, GenericObject, Labels, Mesh, Meta, Namespace, NetworkPolicy,
    ObjectRef, Origin, PeerAuthentication, Rebuilt, RequestAuthentication, Reworked, Service,
    Unlisted, Workload,
};

/// The kinds that a [`World`] holds, for [`Coverage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `v1` `Namespace`.
    Namespace,
    /// Pods and every pod-bearing kind.
    Workload,
    /// `v1` `Service`.
    Service,
    /// `v1` `ServiceAccount`.
    ServiceAccount,
    /// `networking.k8s.io/v1` `NetworkPolicy`.
    NetworkPolicy,
    /// Gateway API `Gateway`.
    Gateway,
    /// `security.istio.io` kinds.
    Security,
    /// `networking.istio.io` kinds, with `WasmPlugin` and `Telemetry`, and routes of the Gateway API.
    Networking,
    /// Policy kinds of network plugins, and the policy tiers of the network-policy-api.
    PluginPolicy,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Namespace,
        Self::Workload,
        Self::Service,
        Self::ServiceAccount,
        Self::NetworkPolicy,
        Self::Gateway,
        Self::Security,
        Self::Networking,
        Self::PluginPolicy,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespace => "namespaces",
            Self::Workload => "workloads",
            Self::Service => "services",
            Self::ServiceAccount => "serviceaccounts",
            Self::NetworkPolicy => "networkpolicies",
            Self::Gateway => "gateways",
            Self::Security => "istio security policies",
            Self::Networking => "routing objects",
            Self::PluginPolicy => "network plugin policies",
        })
    }
}

/// How completely a kind was read: *could not look* is never *none there*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coverage {
    /// All of them are here (a live cluster was listed).
    Complete,
    /// Those that the given files hold; a cluster may hold more.
    Given,
    /// Some could not be read: a file did not parse, a list was denied.
    Partial,
    /// The kind does not exist there.
    KindAbsent,
    /// Nobody asked.
    NotRequested,
}

/// An object of a kind that analysis does not read, which makes pods from a template: a `Rollout`,
/// for example.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Maker {
    /// The object.
    pub object: ObjectRef,
    /// Labels of its pods.
    pub labels: Labels,
}

/// Everything that was read. Lists are sorted by namespace and name.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Namespaces by name. Every namespace that an object lives in is here, declared or not.
    pub namespaces: BTreeMap<String, Namespace>,
    /// Pods and pod-bearing kinds.
    pub workloads: Vec<Workload>,
    /// Services.
    pub services: Vec<Service>,
    /// Service accounts.
    pub service_accounts: Vec<Meta>,
    /// Network policies.
    pub network_policies: Vec<NetworkPolicy>,
    /// Gateways.
    pub gateways: Vec<Gateway>,
    /// Authorization policies.
    pub authorization_policies: Vec<AuthorizationPolicy>,
    /// Peer authentications.
    pub peer_authentications: Vec<PeerAuthentication>,
    /// Request authentications.
    pub request_authentications: Vec<RequestAuthentication>,
    /// Istio's routing and extension kinds, and routes of the Gateway API, kept as they are.
    pub networking: Vec<GenericObject>,
    /// Policy kinds of network plugins: they decide about traffic, and are not analysed.
    pub plugin_policies: Vec<GenericObject>,
    /// ConfigMaps and plugin configuration kinds that say which network plugin there is.
    pub configuration: Vec<GenericObject>,
    /// What is known of the mesh itself.
    pub mesh: Mesh,
    /// Objects of kinds that analysis does not read, counted by `kind.group`.
    pub others: BTreeMap<String, usize>,
    /// Those of them that make pods from a template.
    pub makers: Vec<Maker>,
    /// Files with templates of Helm, which say nothing before they are rendered: where it shows.
    pub templates: Vec<Origin>,
    /// Builds of kustomize that make other objects of those that were read.
    pub rebuilt: Vec<Rebuilt>,
    /// Fields of kustomizations that change what these objects say.
    pub reworked: Vec<Reworked>,
    /// Files of this program that the kustomizations beside them leave out.
    pub unlisted: Vec<Unlisted>,
    /// How completely each kind was read.
    pub coverage: BTreeMap<Kind, Coverage>,
}

impl World {
    /// The labels of a namespace; only its name when the object was not read.
    pub fn namespace_labels(&self, name: &str) -> Labels {
        self.namespaces
            .get(name)
            .map_or_else(|| namespace_name_label(name), |n| n.meta.labels.clone())
    }

    /// The network policies that people wrote, not this program.
    pub fn network_policies_of_people(&self) -> impl Iterator<Item = &NetworkPolicy> {
        self.indexed_network_policies_of_people().map(|(_, p)| p)
    }

    /// The same, with their indices in [`Self::network_policies`].
    pub fn indexed_network_policies_of_people(
        &self,
    ) -> impl Iterator<Item = (usize, &NetworkPolicy)> {
        let all = self.network_policies.iter().enumerate();
        all.filter(|(_, p)| !p.meta.is_ours())
    }

    /// The authorization policies that people wrote, not this program.
    pub fn authorization_policies_of_people(&self) -> impl Iterator<Item = &AuthorizationPolicy> {
        let all = self.authorization_policies.iter();
        all.filter(|p| !p.meta.is_ours())
    }

    /// Indices of [`Self::workloads`] by namespace.
    pub fn workloads_by_namespace(&self) -> BTreeMap<&str, Vec<usize>> {
        let mut by_namespace: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, workload) in self.workloads.iter().enumerate() {
            let here = by_namespace.entry(&workload.meta.namespace);
            here.or_default().push(index);
        }
        by_namespace
    }

    /// Makes sure that a namespace which something lives in is known, declared or not.
    pub fn add_namespace(&mut self, name: &str) {
        self.namespaces.entry(name.to_owned()).or_insert_with(|| {
            let mut meta = Meta::synthetic("", name);
            meta.labels = namespace_name_label(name);
            Namespace {
                meta,
                declared: false,
            }
        });
    }

    /// How completely a kind was read.
    pub fn coverage(&self, kind: Kind) -> Coverage {
        self.coverage
            .get(&kind)
            .copied()
            .unwrap_or(Coverage::NotRequested)
    }
}

/// The one label that every namespace carries.
pub fn namespace_name_label(name: &str) -> Labels {
    Labels::from([(
        ambient_facts::labels::NAMESPACE_NAME.to_owned(),
        name.to_owned(),
    )])
}
