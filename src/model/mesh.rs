//! What is known of the mesh itself, from its configuration.

use std::collections::BTreeSet;

use ambient_facts::namespaces;

use super::{ObjectRef, Origin};

/// The configuration of a mesh, or of several that share a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mesh {
    /// What the control planes are told: one for each MeshConfig, sorted by object.
    pub configs: Vec<MeshConfig>,
    /// Objects whose MeshConfig could not be read, sorted.
    pub unreadable: BTreeSet<(ObjectRef, Origin)>,
    /// Whether the node agents are told to capture look-ups of names (`AMBIENT_DNS_CAPTURE`), by
    /// each object that says so.
    pub dns_capture: BTreeSet<bool>,
}

/// One MeshConfig.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MeshConfig {
    /// The object that holds it.
    pub object: ObjectRef,
    /// Where that was read.
    pub origin: Origin,
    /// `trustDomain`, if the object decides it.
    pub trust_domain: Option<String>,
    /// `rootNamespace`, if the object decides it.
    pub root_namespace: Option<String>,
    /// `outboundTrafficPolicy.mode` is `REGISTRY_ONLY`.
    pub registry_only: bool,
}

impl Mesh {
    /// The trust domains; empty when nothing was read.
    pub fn trust_domains(&self) -> BTreeSet<String> {
        let domains = self.configs.iter().filter_map(|c| c.trust_domain.clone());
        domains.collect()
    }

    /// The namespaces whose policies hold for the whole mesh: one, unless revisions differ.
    pub fn root_namespaces(&self) -> BTreeSet<&str> {
        let roots = self
            .configs
            .iter()
            .filter_map(|c| c.root_namespace.as_deref());
        let mut roots: BTreeSet<&str> = roots.collect();
        if roots.is_empty() {
            roots.insert(namespaces::ROOT);
        }
        roots
    }

    /// The namespace whose policies hold for the whole mesh. Of several the first, because which
    /// revision a pod belongs to is not followed.
    pub fn root_namespace(&self) -> &str {
        let roots = self.root_namespaces();
        roots.first().copied().unwrap_or(namespaces::ROOT)
    }

    /// The namespaces that control planes run in.
    pub fn homes(&self) -> BTreeSet<String> {
        let homes = self.configs.iter();
        let homes = homes.filter_map(|c| c.object.namespace.clone());
        let homes: BTreeSet<String> = homes.collect();
        if homes.is_empty() {
            return BTreeSet::from([namespaces::ROOT.to_owned()]);
        }
        homes
    }

    /// Whether look-ups of pods that say nothing themselves are captured, as they are by default.
    pub fn captures_dns(&self) -> bool {
        self.dns_capture.is_empty() || self.dns_capture.contains(&true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str, root: Option<&str>) -> MeshConfig {
        MeshConfig {
            object: ObjectRef::namespaced("mesh", "ConfigMap", name),
            origin: Origin::synthetic(),
            trust_domain: None,
            root_namespace: root.map(str::to_owned),
            registry_only: false,
        }
    }

    #[test]
    fn without_a_configuration_the_root_namespace_is_the_usual_one() {
        let mut mesh = Mesh::default();
        assert_eq!(mesh.root_namespace(), "istio-system");
        mesh.configs.push(config("operator", None));
        assert_eq!(mesh.root_namespace(), "istio-system");
        mesh.configs.push(config("istio", Some("wide")));
        assert_eq!(mesh.root_namespaces(), BTreeSet::from(["wide"]));
        assert_eq!(mesh.homes(), BTreeSet::from(["mesh".to_owned()]));
    }

    #[test]
    fn look_ups_are_captured_unless_all_say_they_are_not() {
        let captures = |said: &[bool]| {
            let mesh = Mesh {
                dns_capture: said.iter().copied().collect(),
                ..Mesh::default()
            };
            mesh.captures_dns()
        };
        assert!(captures(&[]));
        assert!(captures(&[true, false]));
        assert!(!captures(&[false]));
    }
}
