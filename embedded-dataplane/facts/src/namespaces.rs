//! Namespaces that ambient mesh or Kubernetes keeps for itself.

/// Where the control plane lives by default, and where mesh-wide policies are read (Istio
/// `MeshConfig.rootNamespace`).
pub const ROOT: &str = "istio-system";
/// The namespace whose pods the node agent never captures, by default (istio-cni
/// `excludeNamespaces`).
pub const NEVER_CAPTURED: &str = "kube-system";
/// Prefix of namespaces that Kubernetes keeps for system components.
pub const KUBERNETES_PREFIX: &str = "kube-";
/// Further namespaces of control planes and network plugins that nobody means to enrol.
pub const SYSTEM: [&str; 9] = [
    ROOT,
    "istio-operator",
    "calico-apiserver",
    "calico-system",
    "tigera-operator",
    "cilium-secrets",
    "local-path-storage",
    "openshift-multus",
    "openshift-ovn-kubernetes",
];

/// Namespaces in which the DNS of a cluster runs: of Kubernetes (`cluster/addons/dns`), and of OpenShift
/// (`cluster-dns-operator`).
pub const CLUSTER_DNS: [&str; 2] = [NEVER_CAPTURED, "openshift-dns"];

/// Namespace and name of the Service of the API server (kube-apiserver
/// `pkg/controlplane/controller/kubernetesservice`).
pub const API_SERVER_SERVICE: (&str, &str) = ("default", "kubernetes");

/// Trust domain of a mesh by default (MeshConfig `trustDomain`).
pub const TRUST_DOMAIN: &str = "cluster.local";

/// Domain of the names of Services by default (kubelet `clusterDomain`, and `global.proxy.clusterDomain`
/// of Istio's charts).
pub const CLUSTER_DOMAIN: &str = "cluster.local";
