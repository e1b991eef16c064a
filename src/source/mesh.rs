//! What a MeshConfig says, which is a text inside a ConfigMap.

use ambient_facts::namespaces;

use crate::model::GenericObject;
use crate::yaml::{Document, View, split};

/// The trust domain of a mesh, where an object is its configuration: `istio`, or that of a revision.
pub(super) fn trust_domain(object: &GenericObject) -> Option<String> {
    let meta = &object.meta;
    let is_mesh = object.kind == "ConfigMap"
        && meta.namespace == namespaces::ROOT
        && (meta.name == "istio" || meta.name.starts_with("istio-"));
    let text = object.body.pointer("/data/mesh").filter(|_| is_mesh)?;
    let document = Document::parse(split(text.as_str()?).into_iter().next()?).ok()?;
    let domain = document.root().and_then(|mesh| mesh.get("trustDomain"));
    let domain = domain.and_then(View::text).filter(|d| !d.is_empty());
    Some(domain.unwrap_or(namespaces::TRUST_DOMAIN).to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::source::load_texts;

    fn trust_domains(name: &str, mesh: &str) -> BTreeSet<String> {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: istio-system}}\n\
             data:\n  mesh: |-\n    {}\n",
            mesh.replace('\n', "\n    ")
        );
        load_texts([("a.yaml", text.as_str())], "default")
            .world
            .trust_domains
    }

    #[test]
    fn the_trust_domain_is_read_from_the_mesh_config() {
        let mesh = "accessLogFile: /dev/stdout\ntrustDomain: corp.example\ndefaultConfig: {}";
        let corp = BTreeSet::from(["corp.example".to_owned()]);
        assert_eq!(trust_domains("istio", mesh), corp);
        assert_eq!(trust_domains("istio-canary", mesh), corp);
        assert_eq!(trust_domains("other", mesh), BTreeSet::new());
        let usual = BTreeSet::from(["cluster.local".to_owned()]);
        assert_eq!(trust_domains("istio", "rootNamespace: istio-system"), usual);
        assert_eq!(trust_domains("istio", "trustDomain: ["), BTreeSet::new());
    }
}
