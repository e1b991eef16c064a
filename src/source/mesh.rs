//! What is said of the mesh itself: by a MeshConfig, which is a text inside a ConfigMap, by the
//! operators that write it, and by the configuration of the node agents.

use ambient_facts::namespaces;
use serde_json::Value;

use crate::model::{GenericObject, Mesh, MeshConfig, truth};
use crate::yaml::{Document, Scalar, View, split};

/// Takes in what an object says, if it is about the mesh.
pub(super) fn read(object: &GenericObject, mesh: &mut Mesh) {
    let name = object.meta.name.as_str();
    match (object.group.as_str(), object.kind.as_str()) {
        // Of istiod, or of one of its revisions, in whichever namespace it runs (istiod chart,
        // `templates/configmap.yaml`).
        ("", "ConfigMap") if name == "istio" || name.starts_with("istio-") => {
            if let Some(text) = object.body.pointer("/data/mesh") {
                if let Some(config) = text.as_str().and_then(|text| written(object, text)) {
                    mesh.configs.push(config);
                } else {
                    let origin = object.meta.origin.clone();
                    mesh.unreadable.insert((object.reference(), origin));
                }
            }
            // Of the node agents (istio-cni chart, `templates/configmap-cni.yaml`).
            if name == "istio-cni-config" {
                mesh.dns_capture
                    .extend(said(object, "/data/AMBIENT_DNS_CAPTURE"));
            }
        }
        ("install.istio.io", "IstioOperator") => {
            mesh.configs.extend(wanted(object, "/spec/meshConfig"));
            by_values(object, mesh);
        }
        ("sailoperator.io", _) => by_values(object, mesh),
        _ => {}
    }
}

/// What the values of Istio's charts say.
fn by_values(object: &GenericObject, mesh: &mut Mesh) {
    mesh.configs
        .extend(wanted(object, "/spec/values/meshConfig"));
    mesh.dns_capture
        .extend(said(object, "/spec/values/cni/ambient/dnsCapture"));
}

/// The MeshConfig in a ConfigMap, if it can be read. What it leaves out has its usual value.
fn written(object: &GenericObject, text: &str) -> Option<MeshConfig> {
    let document = match split(text).into_iter().next() {
        Some(text) => Some(Document::parse(text).ok()?),
        None => None,
    };
    let mesh = document.as_ref().and_then(Document::root);
    let is_other = |mesh: View<'_>| mesh.text().is_some() || mesh.items().len() > 0;
    if mesh.is_some_and(|mesh| !mesh.is_null() && is_other(mesh)) {
        return None;
    }
    let field = |key| mesh.and_then(|mesh| mesh.get(key));
    let text = |field: Option<View<'_>>| {
        let text = field.and_then(View::text);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let texts = [field("trustDomain"), field("rootNamespace")];
    let is_text =
        |field: &View<'_>| matches!(field.scalar(), Some(Scalar::String(_) | Scalar::Null));
    if !texts.iter().flatten().all(is_text) {
        return None;
    }
    let [domain, root] = texts.map(text);
    let mode = field("outboundTrafficPolicy").and_then(|policy| policy.get("mode"));
    Some(MeshConfig {
        object: object.reference(),
        origin: object.meta.origin.clone(),
        trust_domain: Some(domain.unwrap_or_else(|| namespaces::TRUST_DOMAIN.to_owned())),
        root_namespace: Some(root.unwrap_or_else(|| namespaces::ROOT.to_owned())),
        registry_only: text(mode).is_some_and(|mode| mode == REGISTRY_ONLY),
    })
}

/// The MeshConfig that an operator is asked for. What it leaves out comes from elsewhere.
fn wanted(object: &GenericObject, at: &str) -> Option<MeshConfig> {
    let mesh = object.body.pointer(at)?;
    let text = |pointer| {
        let text = mesh.pointer(pointer).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let config = MeshConfig {
        object: object.reference(),
        origin: object.meta.origin.clone(),
        trust_domain: text("/trustDomain"),
        root_namespace: text("/rootNamespace"),
        registry_only: text("/outboundTrafficPolicy/mode").is_some_and(|m| m == REGISTRY_ONLY),
    };
    let says = config.trust_domain.is_some() || config.root_namespace.is_some();
    (says || config.registry_only).then_some(config)
}

/// A truth value, written as such or as a text.
fn said(object: &GenericObject, at: &str) -> Option<bool> {
    match object.body.pointer(at)? {
        Value::Bool(said) => Some(*said),
        Value::String(said) => truth(said),
        _ => None,
    }
}

/// The mode in which sidecars refuse connections to hosts that nothing declares (MeshConfig and
/// Sidecar, `outboundTrafficPolicy.mode`).
const REGISTRY_ONLY: &str = "REGISTRY_ONLY";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::model::Mesh;
    use crate::source::load_texts;

    fn read(text: &str) -> Mesh {
        load_texts([("a.yaml", text)], "default").world.mesh
    }

    fn config_map(name: &str, namespace: &str, mesh: &str) -> String {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             data:\n  mesh: |-\n    {}\n",
            mesh.replace('\n', "\n    ")
        )
    }

    fn set<const N: usize>(texts: [&str; N]) -> BTreeSet<String> {
        texts.map(str::to_owned).into()
    }

    #[test]
    fn the_trust_domain_is_read_from_the_mesh_config() {
        let trust_domains = |name, mesh| read(&config_map(name, "mesh", mesh)).trust_domains();
        let mesh = "accessLogFile: /dev/stdout\ntrustDomain: corp.example\ndefaultConfig: {}";
        assert_eq!(trust_domains("istio", mesh), set(["corp.example"]));
        assert_eq!(trust_domains("istio-canary", mesh), set(["corp.example"]));
        assert_eq!(trust_domains("other", mesh), set([]));
        let usual = trust_domains("istio", "rootNamespace: istio-system");
        assert_eq!(usual, set(["cluster.local"]));
        assert_eq!(trust_domains("istio", "trustDomain: ["), set([]));
    }

    #[test]
    fn what_is_no_mesh_config_is_told_apart_from_an_empty_one() {
        let unreadable = |mesh| read(&config_map("istio", "mesh", mesh)).unreadable.len();
        let broken = [
            "trustDomain: [",
            "rootNamespace: 5",
            "- rootNamespace: wide",
            "wide",
        ];
        assert_eq!(broken.map(unreadable), [1, 1, 1, 1]);
        assert_eq!(
            ["{}", "rootNamespace: \"5\"", "#"].map(unreadable),
            [0, 0, 0]
        );
    }

    #[test]
    fn the_root_namespace_is_read_from_every_mesh_config() {
        let one = config_map("istio", "mesh", "rootNamespace: wide");
        assert_eq!(read(&one).root_namespaces(), BTreeSet::from(["wide"]));
        let usual = config_map("istio", "mesh", "enableTracing: true");
        let both = BTreeSet::from(["istio-system", "wide"]);
        let other = config_map("istio-canary", "mesh", "enableTracing: true");
        assert_eq!(read(&usual).root_namespace(), "istio-system");
        assert_eq!(read(&format!("{one}---\n{other}")).root_namespaces(), both);
    }

    #[test]
    fn operators_say_what_they_say_and_no_more() {
        let operator = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\n\
                        metadata: {name: mesh, namespace: istio-system}\n\
                        spec: {meshConfig: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}, \
                        values: {cni: {ambient: {dnsCapture: false}}}}\n";
        let mesh = read(operator);
        assert!(mesh.configs[0].registry_only);
        assert!(!mesh.captures_dns());
        assert_eq!(mesh.trust_domains(), set([]));
        let sail = "apiVersion: sailoperator.io/v1\nkind: Istio\nmetadata: {name: default}\n\
                    spec: {namespace: mesh, values: {meshConfig: {rootNamespace: wide}}}\n";
        assert_eq!(read(sail).root_namespace(), "wide");
    }

    #[test]
    fn the_node_agents_are_told_whether_to_capture_look_ups() {
        let captures = |value: &str| {
            let agents = format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio-cni-config, namespace: \
                 kube-system}}\ndata: {{AMBIENT_ENABLED: \"true\", AMBIENT_DNS_CAPTURE: {value}}}\n"
            );
            read(&agents).captures_dns()
        };
        assert!(captures("\"true\""));
        assert!(!captures("\"false\""));
        assert!(!captures("\"0\""));
        assert!(captures("\"perhaps\""));
    }
}
