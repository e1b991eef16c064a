//! Names that a mesh has by default.

/// Root namespace of the mesh: policies here apply everywhere (MeshConfig `rootNamespace`).
pub const ROOT: &str = "istio-system";
/// Trust domain of the mesh (MeshConfig `trustDomain`).
pub const TRUST_DOMAIN: &str = "cluster.local";
/// Namespaces whose pods run the cluster or the mesh itself, and are never enrolled by default.
pub const SYSTEM: [&str; 4] = [
    "istio-system",
    "kube-node-lease",
    "kube-public",
    "kube-system",
];
