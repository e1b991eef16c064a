//! Which kinds there are, where their names are scoped, and into which list of a world they go.

use crate::model::{Kind, WorkloadKind};

/// What is done with objects of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Namespace,
    Workload(WorkloadKind),
    Service,
    ServiceAccount,
    NetworkPolicy,
    Gateway,
    AuthorizationPolicy,
    PeerAuthentication,
    RequestAuthentication,
    /// Kept as it is, in [`crate::model::World::networking`].
    Networking,
    /// Kept as it is, in [`crate::model::World::plugin_policies`].
    PluginPolicy,
    /// Kept as it is, in [`crate::model::World::configuration`].
    Configuration,
}

impl Class {
    /// The kind whose coverage suffers when such an object cannot be read.
    pub(super) fn coverage(self) -> Option<Kind> {
        Some(match self {
            Self::Namespace => Kind::Namespace,
            Self::Workload(_) => Kind::Workload,
            Self::Service => Kind::Service,
            Self::ServiceAccount => Kind::ServiceAccount,
            Self::NetworkPolicy => Kind::NetworkPolicy,
            Self::Gateway => Kind::Gateway,
            Self::AuthorizationPolicy | Self::PeerAuthentication | Self::RequestAuthentication => {
                Kind::Security
            }
            Self::Networking => Kind::Networking,
            Self::PluginPolicy => Kind::PluginPolicy,
            Self::Configuration => return None,
        })
    }
}

/// Where names of a kind are unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Cluster,
    Namespaced,
    /// Not known here: namespaced when the object names a namespace.
    Unknown,
}

/// What an `apiVersion` and `kind` lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    Known(Class, Scope),
    /// The kind is one we read, but not in this version or group; the right `apiVersion`s.
    Unserved(Class, &'static [&'static str]),
    /// Counted only.
    Other,
}

/// Kinds of Kubernetes itself and of the Gateway API, with the versions that are served.
const SERVED: &[(&str, &[&str], Class, Scope)] = {
    use Class as C;
    use Scope::{Cluster, Namespaced};
    use WorkloadKind as W;
    const APPS: &[&str] = &["apps/v1"];
    const BATCH: &[&str] = &["batch/v1"];
    const CORE: &[&str] = &["v1"];
    &[
        ("Namespace", CORE, C::Namespace, Cluster),
        ("Pod", CORE, C::Workload(W::Pod), Namespaced),
        (
            "ReplicationController",
            CORE,
            C::Workload(W::ReplicationController),
            Namespaced,
        ),
        ("Service", CORE, C::Service, Namespaced),
        ("ServiceAccount", CORE, C::ServiceAccount, Namespaced),
        ("ConfigMap", CORE, C::Configuration, Namespaced),
        ("DaemonSet", APPS, C::Workload(W::DaemonSet), Namespaced),
        ("Deployment", APPS, C::Workload(W::Deployment), Namespaced),
        ("ReplicaSet", APPS, C::Workload(W::ReplicaSet), Namespaced),
        ("StatefulSet", APPS, C::Workload(W::StatefulSet), Namespaced),
        ("CronJob", BATCH, C::Workload(W::CronJob), Namespaced),
        ("Job", BATCH, C::Workload(W::Job), Namespaced),
        (
            "NetworkPolicy",
            &["networking.k8s.io/v1"],
            C::NetworkPolicy,
            Namespaced,
        ),
        (
            "Gateway",
            &[
                "gateway.networking.k8s.io/v1",
                "gateway.networking.k8s.io/v1beta1",
            ],
            C::Gateway,
            Namespaced,
        ),
    ]
};

/// Kinds of Istio's security group, in both of its versions.
const SECURITY: &[(&str, Class)] = &[
    ("AuthorizationPolicy", Class::AuthorizationPolicy),
    ("PeerAuthentication", Class::PeerAuthentication),
    ("RequestAuthentication", Class::RequestAuthentication),
];

/// Routes of the Gateway API, in all of their versions: their parent may be a Service.
const ROUTES: [&str; 4] = ["GRPCRoute", "HTTPRoute", "TCPRoute", "TLSRoute"];

/// Policy kinds of network plugins, and the policy tiers of the network-policy-api.
const PLUGIN_POLICIES: &[(&str, &str, Scope)] = {
    use Scope::{Cluster, Namespaced};
    &[
        ("cilium.io", "CiliumClusterwideEnvoyConfig", Cluster),
        ("cilium.io", "CiliumClusterwideNetworkPolicy", Cluster),
        ("cilium.io", "CiliumEgressGatewayPolicy", Cluster),
        ("cilium.io", "CiliumEnvoyConfig", Namespaced),
        ("cilium.io", "CiliumLocalRedirectPolicy", Namespaced),
        ("cilium.io", "CiliumNetworkPolicy", Namespaced),
        ("crd.antrea.io", "ClusterNetworkPolicy", Cluster),
        ("crd.antrea.io", "NetworkPolicy", Namespaced),
        ("crd.projectcalico.org", "GlobalNetworkPolicy", Cluster),
        ("crd.projectcalico.org", "NetworkPolicy", Namespaced),
        ("k8s.ovn.org", "AdminPolicyBasedExternalRoute", Cluster),
        ("k8s.ovn.org", "EgressFirewall", Namespaced),
        ("network.openshift.io", "EgressNetworkPolicy", Namespaced),
        ("networking.gke.io", "FQDNNetworkPolicy", Namespaced),
        ("networking.k8s.aws", "ApplicationNetworkPolicy", Namespaced),
        ("networking.k8s.aws", "ClusterNetworkPolicy", Cluster),
        ("policy.networking.k8s.io", "AdminNetworkPolicy", Cluster),
        (
            "policy.networking.k8s.io",
            "BaselineAdminNetworkPolicy",
            Cluster,
        ),
        ("policy.networking.k8s.io", "ClusterNetworkPolicy", Cluster),
        ("projectcalico.org", "GlobalNetworkPolicy", Cluster),
        ("projectcalico.org", "NetworkPolicy", Namespaced),
        ("projectcalico.org", "StagedGlobalNetworkPolicy", Cluster),
        (
            "projectcalico.org",
            "StagedKubernetesNetworkPolicy",
            Namespaced,
        ),
        ("projectcalico.org", "StagedNetworkPolicy", Namespaced),
    ]
};

/// Kinds that say which network plugin there is and how it is set up.
const CONFIGURATION: &[(&str, &str, Scope)] = {
    use Scope::{Cluster, Namespaced};
    &[
        ("cilium.io", "CiliumNodeConfig", Namespaced),
        ("crd.projectcalico.org", "FelixConfiguration", Cluster),
        ("crd.projectcalico.org", "IPPool", Cluster),
        ("projectcalico.org", "FelixConfiguration", Cluster),
        ("projectcalico.org", "IPPool", Cluster),
        ("operator.antrea.io", "AntreaInstall", Namespaced),
        ("operator.openshift.io", "Network", Cluster),
        ("config.openshift.io", "Network", Cluster),
        ("operator.tigera.io", "Installation", Cluster),
        ("operator.tigera.io", "Istio", Cluster),
        ("install.istio.io", "IstioOperator", Namespaced),
        ("sailoperator.io", "Istio", Cluster),
        ("sailoperator.io", "IstioCNI", Cluster),
    ]
};

/// Finds a kind.
pub(super) fn lookup(api_version: &str, kind: &str) -> Lookup {
    let (group, version) = split(api_version);
    if let Some(&(_, versions, class, scope)) = SERVED.iter().find(|(k, ..)| *k == kind) {
        if versions.contains(&api_version) {
            return Lookup::Known(class, scope);
        }
        if is_of_kubernetes(group) || versions.iter().any(|v| split(v).0 == group) {
            return Lookup::Unserved(class, versions);
        }
    }
    match group {
        "security.istio.io" => {
            let class = SECURITY.iter().find(|(k, _)| *k == kind).map(|(_, c)| *c);
            return match class {
                Some(class) if matches!(version, "v1" | "v1beta1") => {
                    Lookup::Known(class, Scope::Namespaced)
                }
                Some(class) => Lookup::Unserved(class, &[]),
                None => Lookup::Other,
            };
        }
        "networking.istio.io" | "extensions.istio.io" | "telemetry.istio.io" => {
            return Lookup::Known(Class::Networking, Scope::Namespaced);
        }
        "gateway.networking.k8s.io" if ROUTES.contains(&kind) => {
            return Lookup::Known(Class::Networking, Scope::Namespaced);
        }
        _ => {}
    }
    let find = |table: &[(&str, &str, Scope)]| {
        let row = table.iter().find(|(g, k, _)| *g == group && *k == kind);
        row.map(|&(_, _, scope)| scope)
    };
    if let Some(scope) = find(PLUGIN_POLICIES) {
        return Lookup::Known(Class::PluginPolicy, scope);
    }
    if let Some(scope) = find(CONFIGURATION) {
        return Lookup::Known(Class::Configuration, scope);
    }
    // A plugin that is not known here: whatever calls itself a network policy decides about
    // traffic, and must not go unnoticed.
    if kind.ends_with("NetworkPolicy") {
        return Lookup::Known(Class::PluginPolicy, Scope::Unknown);
    }
    Lookup::Other
}

/// Group and version of an `apiVersion`.
pub(super) fn split(api_version: &str) -> (&str, &str) {
    api_version.rsplit_once('/').unwrap_or(("", api_version))
}

fn is_of_kubernetes(group: &str) -> bool {
    matches!(
        group,
        "" | "apps" | "batch" | "extensions" | "core" | "networking.k8s.io"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart_by_their_group() {
        let class = |v, k| match lookup(v, k) {
            Lookup::Known(class, scope) => format!("{class:?} {scope:?}"),
            other => format!("{other:?}"),
        };
        let cases = [
            (
                "networking.k8s.io/v1",
                "NetworkPolicy",
                "NetworkPolicy Namespaced",
            ),
            (
                "extensions/v1beta1",
                "NetworkPolicy",
                "Unserved(NetworkPolicy, [\"networking.k8s.io/v1\"])",
            ),
            (
                "v1",
                "NetworkPolicy",
                "Unserved(NetworkPolicy, [\"networking.k8s.io/v1\"])",
            ),
            (
                "projectcalico.org/v3",
                "NetworkPolicy",
                "PluginPolicy Namespaced",
            ),
            (
                "crd.antrea.io/v1beta1",
                "ClusterNetworkPolicy",
                "PluginPolicy Cluster",
            ),
            (
                "example.com/v1",
                "SpecialNetworkPolicy",
                "PluginPolicy Unknown",
            ),
            ("serving.knative.dev/v1", "Service", "Other"),
            ("networking.istio.io/v1", "Gateway", "Networking Namespaced"),
            (
                "gateway.networking.k8s.io/v1",
                "Gateway",
                "Gateway Namespaced",
            ),
            (
                "gateway.networking.k8s.io/v1alpha2",
                "TCPRoute",
                "Networking Namespaced",
            ),
            (
                "security.istio.io/v1alpha1",
                "PeerAuthentication",
                "Unserved(PeerAuthentication, [])",
            ),
            ("cilium.io/v2", "CiliumNode", "Other"),
            ("v1", "Secret", "Other"),
        ];
        for (version, kind, expected) in cases {
            assert_eq!(class(version, kind), expected, "{version} {kind}");
        }
    }
}
