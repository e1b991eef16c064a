//! What the kustomizations among the files change, and what they leave out.

use std::fs;

use crate::model::World;
use crate::source::{Request, load};

const APPS: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {}, ingress: [{ports: [{port: 8080}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: web}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web, namespace: shop}
";

/// The world of a folder that is read with what is below it, and what is beside `APPS` in `base`.
fn world(files: &[(&str, &str)]) -> World {
    let directory = tempfile::tempdir().unwrap();
    let base = [
        ("base/apps.yaml", APPS),
        ("base/kustomization.yaml", "resources: [apps.yaml]\n"),
    ];
    for (name, text) in base.iter().chain(files) {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let request = Request {
        files: vec![directory.path().to_owned()],
        recursive: true,
        default_namespace: "default".to_owned(),
        ..Request::default()
    };
    load(&request, &mut std::io::empty()).world
}

/// What an overlay over `base` changes, with a file `patch.yaml` beside it.
fn changed(overlay: &str, patch: &str) -> String {
    let overlay = format!("resources: [../base]\n{overlay}");
    let world = world(&[
        ("prod/kustomization.yaml", &overlay),
        ("prod/patch.yaml", patch),
    ]);
    shown(&world)
}

fn shown(world: &World) -> String {
    let shown = world.reworked.iter().map(|it| {
        let objects: Vec<_> = it.objects.iter().map(ToString::to_string).collect();
        format!("{}:{} {}", it.field, it.origin.line, objects.join(" "))
    });
    shown.collect::<Vec<_>>().join(", ")
}

const POLICY: &str = "shop/networkpolicy/web";
const DEPLOYMENT: &str = "shop/deployment/web";
const BOTH: &str = "shop/deployment/web shop/networkpolicy/web";

#[test]
fn fields_that_change_what_policies_or_pods_say_are_told_with_their_objects() {
    let merge = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web}\n\
                 spec: {ingress: [{ports: [{port: 22}]}]}\n";
    let operations = "[{op: add, path: /spec/ingress/-, value: {}}]\n";
    let labelled = "kind: Deployment\nmetadata: {name: web}\n\
                    spec: {template: {metadata: {labels: {tier: front}}}}\n";
    let by_name = "{path: patch.yaml, target: {kind: NetworkPolicy, name: web}}";
    let cases = [
        ("patches: [{path: patch.yaml}]", merge, "patches", POLICY),
        (
            "patchesStrategicMerge: [patch.yaml]",
            labelled,
            "patchesStrategicMerge",
            DEPLOYMENT,
        ),
        (
            &format!("patches: [{by_name}]"),
            operations,
            "patches",
            POLICY,
        ),
        (
            &format!("patchesJson6902: [{by_name}]"),
            operations,
            "patchesJson6902",
            POLICY,
        ),
        (
            "patches: [{path: gone.yaml, target: {kind: NetworkPolicy}}]",
            "",
            "patches",
            POLICY,
        ),
        // An expression may mean any kind.
        (
            "patches: [{path: patch.yaml, target: {kind: Net.*}}]",
            operations,
            "patches",
            BOTH,
        ),
        (
            "patches: [{path: patch.yaml, target: {labelSelector: a=b}}]",
            operations,
            "patches",
            BOTH,
        ),
        ("transformers: [patch.yaml]", "", "transformers", BOTH),
        ("commonLabels: {team: a}", "", "commonLabels", BOTH),
        (
            "labels: [{pairs: {team: a}, includeSelectors: true}]",
            "",
            "labels",
            BOTH,
        ),
        (
            "labels: [{pairs: {istio.io/use-waypoint: w}}]",
            "",
            "labels",
            BOTH,
        ),
        (
            "commonAnnotations: {sidecar.istio.io/inject: 'true'}",
            "",
            "commonAnnotations",
            BOTH,
        ),
        ("components: [../gone]", "", "components", BOTH),
        (
            "replacements: [{source: {kind: ConfigMap}, targets: [{select: {kind: NetworkPolicy}, \
             fieldPaths: [spec.ingress.0.ports.0.port]}]}]",
            "",
            "replacements",
            POLICY,
        ),
        (
            "replacements: [{path: patch.yaml}]",
            "targets: [{select: {kind: Deployment}, fieldPaths: [spec.template.metadata.labels.app]}]\n",
            "replacements",
            DEPLOYMENT,
        ),
    ];
    for (overlay, patch, field, objects) in cases {
        let expected = format!("{field}:2 {objects}");
        assert_eq!(changed(overlay, patch), expected, "{overlay}\n{patch}");
    }
    let inline = "patches:\n- patch: |-\n    kind: Deployment\n    metadata: {name: web}\n    \
                  $patch: delete\n";
    assert_eq!(changed(inline, ""), format!("patches:3 {DEPLOYMENT}"));
}

#[test]
fn labels_change_namespaces_and_pods() {
    let objects = "kind: Namespace\napiVersion: v1\nmetadata: {name: shop}\n---\n\
                   kind: Pod\napiVersion: v1\nmetadata: {name: job, namespace: shop}\n\
                   spec: {containers: [{name: main, image: x}]}\n";
    let changed = |labels: &str| {
        let prod = format!("resources: [../base, more.yaml]\nlabels: [{labels}]\n");
        let files = [
            ("prod/kustomization.yaml", &*prod),
            ("prod/more.yaml", objects),
        ];
        shown(&world(&files))
    };
    let selected = "labels:2 namespace/shop shop/pod/job";
    assert_eq!(changed("{pairs: {app: a}}"), selected);
    let no = "{pairs: {app: a}, includeSelectors: false, fields: []}";
    assert_eq!(changed(no), selected);
    let all = format!("labels:2 namespace/shop {BOTH} shop/pod/job");
    let into = "fields: [{path: spec/template/metadata/labels, create: true}]";
    for more in ["includeTemplates: yes", into] {
        let found = changed(&format!("{{pairs: {{app: a}}, {more}}}"));
        assert_eq!(found, all, "{more}");
    }
    // Nobody has or asks for a team.
    for more in ["", "includeTemplates: yes"] {
        let found = changed(&format!("{{pairs: {{team: a}}, {more}}}"));
        assert_eq!(found, "", "{more}");
    }
    assert_eq!(changed(&format!("{{pairs: {{team: a}}, {into}}}")), all);
    assert_eq!(changed("{pairs: {team: a}, includeSelectors: true}"), all);
    assert_eq!(changed("{pairs: {}, includeSelectors: true}"), "");
}

#[test]
fn patches_that_take_away_what_they_do_not_name_are_told() {
    let spec = "{containers: [{name: main, image: web}]}";
    let operations = [
        format!("{{op: replace, path: /spec/template/spec, value: {spec}}}"),
        format!("{{op: add, path: /spec/template/spec, value: {spec}}}"),
        "{op: replace, path: /spec/template/spec/containers/0, value: {name: main}}".to_owned(),
        "{op: add, path: /spec/template/metadata/annotations, value: {a: b}}".to_owned(),
        "{op: remove, path: /spec/template/spec/containers/0}".to_owned(),
        "{op: move, from: /spec/template/spec, path: /metadata/annotations/a}".to_owned(),
        // The container may have been the proxy.
        "{op: replace, path: /spec/template/spec/containers/0/name, value: other}".to_owned(),
    ];
    let overlay = "patches: [{path: patch.yaml, target: {kind: Deployment}}]";
    for operation in operations {
        let found = changed(overlay, &format!("[{operation}]\n"));
        assert_eq!(found, format!("patches:2 {DEPLOYMENT}"), "{operation}");
    }
    let replaced = "metadata: {annotations: {$patch: replace, a: b}}\n";
    assert_eq!(
        changed(overlay, replaced),
        format!("patches:2 {DEPLOYMENT}")
    );
    let volume = "spec: {template: {spec: {volumes: [{name: a, $patch: delete}]}}}\n";
    assert_eq!(changed(overlay, volume), "");
}

#[test]
fn a_patch_that_adds_a_proxy_is_told() {
    let overlay = "patches: [{path: patch.yaml, target: {kind: Deployment}}]";
    for (name, expected) in [
        ("istio-proxy", format!("patches:2 {DEPLOYMENT}")),
        ("logs", String::new()),
    ] {
        for list in ["containers", "initContainers"] {
            let container = format!("{{name: {name}, image: x}}");
            let merged = format!("spec: {{template: {{spec: {{{list}: [{container}]}}}}}}\n");
            assert_eq!(changed(overlay, &merged), expected, "{merged}");
            let added =
                format!("[{{op: add, path: /spec/template/spec/{list}/-, value: {container}}}]\n");
            assert_eq!(changed(overlay, &added), expected, "{added}");
        }
    }
}

#[test]
fn fields_that_decide_nothing_are_not_told() {
    let merge = |spec: &str| format!("kind: Deployment\nmetadata: {{name: web}}\nspec: {spec}\n");
    let harmless = merge(
        "{replicas: 3, template: {metadata: {annotations: {a: b}}, spec: {tolerations: [], \
         volumes: [{name: data}], containers: [{name: main, image: x, \
         env: [{name: a, value: b}], resources: {limits: {cpu: 1}}}]}}}",
    );
    let operations = "[{op: test, path: /spec/selector, value: {}}, \
                      {op: replace, path: /spec/replicas, value: 2}, \
                      {op: add, path: /metadata/annotations/a, value: b}, \
                      {op: replace, path: /spec/template/spec/containers/0/resources, \
                       value: {limits: {cpu: 1}}}, \
                      {op: remove, path: /spec/template/spec/volumes/0}]\n";
    let cases = [
        (
            "images: [{name: web, newTag: v2}]\nreplicas: [{name: web, count: 2}]",
            "",
        ),
        ("patches: [{path: patch.yaml}]", &*harmless),
        (
            "patches: [{path: patch.yaml, target: {kind: Deployment}}]",
            operations,
        ),
        // Another object, and a kind that nothing is concluded from.
        (
            "patches: [{path: patch.yaml}]",
            "kind: NetworkPolicy\nmetadata: {name: other}\nspec: {}\n",
        ),
        (
            "patches: [{path: patch.yaml, target: {kind: ConfigMap}}]",
            "[{op: add, path: /data, value: {}}]\n",
        ),
        (
            "labels: [{pairs: {team: a}}]\ncommonAnnotations: {owner: b}",
            "",
        ),
        (
            "replacements: [{targets: [{select: {kind: Deployment}, \
             fieldPaths: ['spec.template.spec.containers.[name=main].image']}]}]",
            "",
        ),
    ];
    for (overlay, patch) in cases {
        assert_eq!(changed(overlay, patch), "", "{overlay}\n{patch}");
    }
}

#[test]
fn a_component_changes_what_those_take_who_name_it() {
    let component = "kind: Component\ncommonLabels: {team: a}\n";
    let world = world(&[
        ("part/kustomization.yaml", component),
        (
            "prod/kustomization.yaml",
            "resources: [../base]\ncomponents: [../part]\n",
        ),
    ]);
    assert_eq!(shown(&world), format!("commonLabels:2 {BOTH}"));
    assert!(world.reworked.iter().all(|it| it.folder.ends_with("part")));
}

#[test]
fn a_kustomization_that_leaves_out_what_this_program_added_is_told() {
    let ours = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
                metadata: {name: p, namespace: shop, labels: {app.kubernetes.io/managed-by: kubectl-ambient}}\n\
                spec: {action: DENY, rules: [{}]}\n";
    let unlisted = |files: &[(&str, &str)]| {
        let world = world(files);
        let shown = world.unlisted.iter().map(|it| {
            let folder = it.folder.rsplit('/').next().unwrap_or_default();
            format!("{folder}:{} {} {}", it.origin.line, it.entry, it.objects)
        });
        shown.collect::<Vec<_>>()
    };
    let file = ("base/ambient-policies.yaml", ours);
    assert_eq!(unlisted(&[file]), ["base:1 ambient-policies.yaml 1"]);
    let listed = "resources: [apps.yaml, ./ambient-policies.yaml]\n";
    assert!(unlisted(&[file, ("base/kustomization.yaml", listed)]).is_empty());
    let elsewhere = "resources: [../base, ../base/ambient-policies.yaml]\n";
    assert!(unlisted(&[file, ("prod/kustomization.yaml", elsewhere)]).is_empty());
    let theirs = ours.replace("kubectl-ambient", "somebody");
    assert!(unlisted(&[("base/extra.yaml", &theirs)]).is_empty());
    assert!(unlisted(&[("other/ambient-policies.yaml", ours)]).is_empty());
}
