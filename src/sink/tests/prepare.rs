use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::model::{ObjectRef, Origin};
use crate::plan::{Body, Change, ChangeAction, Edit, Plan, Step, StepKind};
use crate::sink::{Input, InputKind, Prepared, prepare};
use crate::yaml::Format;

const POLICY: &str = "\
# web
kind: NetworkPolicy
spec:
  ingress:
  - ports:
    - port: 80 # http
";

fn input(name: &str, path: Option<&Path>, text: &str) -> Input {
    Input {
        name: name.into(),
        path: path.map(Path::to_path_buf),
        link_to: None,
        text: text.into(),
        format: Format::Yaml,
        kind: InputKind::Text,
    }
}

fn origin(file: &str, document: usize) -> Origin {
    Origin {
        file: file.into(),
        document,
        items: Vec::new(),
        line: 2,
    }
}

fn open_tunnel() -> Vec<Edit> {
    let path = vec!["spec".into(), "ingress".into(), 0.into(), "ports".into()];
    vec![Edit::Append {
        path,
        item: json!({"protocol": "TCP", "port": 15008}),
    }]
}

fn object(name: &str) -> Value {
    json!({"kind": "AuthorizationPolicy", "metadata": {"name": name}, "spec": {"action": "DENY"}})
}

fn edit(file: &str, document: usize, companion: Option<Value>) -> ChangeAction {
    ChangeAction::Edit {
        origin: origin(file, document),
        edits: open_tunnel(),
        companion: companion.map(Body::from),
    }
}

fn create(name: &str, beside: &str) -> ChangeAction {
    ChangeAction::Create {
        body: object(name).into(),
        beside: origin(beside, 0),
    }
}

fn plan(actions: impl IntoIterator<Item = ChangeAction>) -> Plan {
    let change = |action| Change {
        object: ObjectRef::namespaced("shop", "NetworkPolicy", "web"),
        reason: "because".to_owned(),
        action,
    };
    let changes = actions.into_iter().map(change).collect();
    let step = Step {
        kind: StepKind::OpenTunnel,
        changes,
        commands: Vec::new(),
    };
    Plan {
        steps: vec![step],
        ..Plan::default()
    }
}

/// Everything that was prepared, as text.
fn show(prepared: &Prepared) -> String {
    let mut out = String::new();
    for change in &prepared.changes {
        let path = change
            .path
            .as_deref()
            .map_or("(no file)".into(), Path::to_string_lossy);
        let new = if change.before.is_none() { ", new" } else { "" };
        let _ = write!(out, "== {} at {path}{new}\n{}", change.name, change.after);
    }
    for refusal in &prepared.refusals {
        let companion = refusal.companion.as_deref().unwrap_or("none");
        let _ = writeln!(
            out,
            "!! {}: {} (companion: {companion})",
            refusal.origin, refusal.reason
        );
    }
    for snippet in &prepared.snippets {
        let _ = write!(
            out,
            ">> {}: {}\n{}",
            snippet.file, snippet.message, snippet.text
        );
    }
    out
}

#[test]
fn edits_stay_in_their_file_and_new_objects_go_beside_it() {
    let inputs = [
        input("k8s/web.yaml", Some(Path::new("/r/k8s/web.yaml")), POLICY),
        input(
            "k8s/other.yaml",
            Some(Path::new("/r/k8s/other.yaml")),
            "kind: Pod\n",
        ),
        input("-", None, POLICY),
    ];
    let actions = [
        edit("k8s/web.yaml", 0, None),
        edit("-", 0, None),
        create("b", "k8s/web.yaml"),
        create("a", "k8s/other.yaml"),
        create("c", "-"),
    ];
    insta::assert_snapshot!(show(&prepare(&plan(actions), &inputs)), @r"
    == - at (no file)
    # web
    kind: NetworkPolicy
    spec:
      ingress:
      - ports:
        - port: 80 # http
        - port: 15008
          protocol: TCP
    == ambient-policies.yaml at (no file), new
    kind: AuthorizationPolicy
    metadata:
      name: c
    spec:
      action: DENY
    == k8s/ambient-policies.yaml at /r/k8s/ambient-policies.yaml, new
    kind: AuthorizationPolicy
    metadata:
      name: b
    spec:
      action: DENY
    ---
    kind: AuthorizationPolicy
    metadata:
      name: a
    spec:
      action: DENY
    == k8s/web.yaml at /r/k8s/web.yaml
    # web
    kind: NetworkPolicy
    spec:
      ingress:
      - ports:
        - port: 80 # http
        - port: 15008
          protocol: TCP
    ");
}

#[test]
fn a_refused_edit_becomes_a_companion_or_is_reported() {
    let shared = "kind: NetworkPolicy\nspec:\n  ingress:\n  - ports: &p\n    - port: 80\n";
    let text = format!("{shared}---\n{shared}---\n{POLICY}");
    let inputs = [input("web.yaml", Some(Path::new("web.yaml")), &text)];
    let actions = [
        edit("web.yaml", 0, Some(object("companion"))),
        edit("web.yaml", 1, None),
        edit("web.yaml", 2, None),
        edit("gone.yaml", 0, None),
    ];
    insta::assert_snapshot!(show(&prepare(&plan(actions), &inputs)), @r"
    == ambient-policies.yaml at ambient-policies.yaml, new
    kind: AuthorizationPolicy
    metadata:
      name: companion
    spec:
      action: DENY
    == web.yaml at web.yaml
    kind: NetworkPolicy
    spec:
      ingress:
      - ports: &p
        - port: 80
    ---
    kind: NetworkPolicy
    spec:
      ingress:
      - ports: &p
        - port: 80
    ---
    # web
    kind: NetworkPolicy
    spec:
      ingress:
      - ports:
        - port: 80 # http
        - port: 15008
          protocol: TCP
    !! gone.yaml:2: the object was not read from a file (companion: none)
    !! web.yaml:5: `spec.ingress[0].ports` is shared through an anchor, an alias or a merge key (companion: ambient-policies.yaml)
    !! web.yaml:11: `spec.ingress[0].ports` is shared through an anchor, an alias or a merge key (companion: none)
    ");
}

#[test]
fn objects_of_an_earlier_run_are_replaced_and_others_of_their_file_kept() {
    let ours = "# by hand\nkind: A\n---\nkind: B # ours\n# end\n---\nkind: C";
    let inputs = [
        input("d/web.yaml", Some(Path::new("d/web.yaml")), POLICY),
        input(
            "d/ambient-policies.yaml",
            Some(Path::new("d/ambient-policies.yaml")),
            ours,
        ),
    ];
    let body = object("b");
    let actions = [
        create("new", "d/web.yaml"),
        ChangeAction::Replace {
            origin: origin("d/ambient-policies.yaml", 1),
            body: body.into(),
        },
    ];
    insta::assert_snapshot!(show(&prepare(&plan(actions), &inputs)), @r"
    == d/ambient-policies.yaml at d/ambient-policies.yaml
    # by hand
    kind: A
    ---
    kind: AuthorizationPolicy
    metadata:
      name: b
    spec:
      action: DENY
    # end
    ---
    kind: C
    ---
    kind: AuthorizationPolicy
    metadata:
      name: new
    spec:
      action: DENY
    ");
}

#[test]
fn built_manifests_get_patches() {
    let built = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  ingress:
  - ports:
    - port: 80
---
apiVersion: v1
kind: Namespace
metadata:
  name: shop
";
    let mut inputs = [input("overlays/prod", None, built)];
    inputs[0].kind = InputKind::Kustomize;
    let labels = |key: &str| Edit::Add {
        path: vec!["metadata".into(), "labels".into()],
        key: key.to_owned(),
        value: json!("x"),
    };
    let edits = vec![labels("istio.io/dataplane-mode"), labels("b")];
    let actions = [
        edit("overlays/prod", 0, None),
        ChangeAction::Edit {
            origin: origin("overlays/prod", 1),
            edits,
            companion: None,
        },
        create("new", "overlays/prod"),
    ];
    insta::assert_snapshot!(show(&prepare(&plan(actions), &inputs)), @r"
    == ambient-patch-namespace-shop.yaml at (no file), new
    - op: add
      path: /metadata/labels
      value:
        istio.io/dataplane-mode: x
    - op: add
      path: /metadata/labels/b
      value: x
    == ambient-patch-networkpolicy-shop-web.yaml at (no file), new
    - op: test
      path: /spec/ingress/0/ports/0
      value:
        port: 80
    - op: add
      path: /spec/ingress/0/ports/-
      value:
        protocol: TCP
        port: 15008
    == ambient-policies.yaml at (no file), new
    kind: AuthorizationPolicy
    metadata:
      name: new
    spec:
      action: DENY
    >> overlays/prod: add this to a kustomization that has the built one among its `resources`
    resources:
    - ambient-policies.yaml
    patches:
    - path: ambient-patch-networkpolicy-shop-web.yaml
      target:
        group: networking.k8s.io
        version: v1
        kind: NetworkPolicy
        name: web
        namespace: shop
    - path: ambient-patch-namespace-shop.yaml
      target:
        version: v1
        kind: Namespace
        name: shop
    ");
}

#[test]
fn nothing_is_added_to_a_template() {
    let template = "{{- if .Values.mesh }}\nkind: A\n{{- end }}\n";
    let shared = "kind: NetworkPolicy\nspec:\n  ingress:\n  - ports: &p\n    - port: 80\n";
    let inputs = [
        input("d/ambient-policies.yaml", None, template),
        input("d/web.yaml", Some(Path::new("d/web.yaml")), shared),
    ];
    let actions = [
        edit("d/web.yaml", 0, Some(object("companion"))),
        create("new", "d/web.yaml"),
    ];
    insta::assert_snapshot!(show(&prepare(&plan(actions), &inputs)), @"
    !! d/ambient-policies.yaml:1: this is a template, not plain YAML (companion: none)
    !! d/web.yaml:5: `spec.ingress[0].ports` is shared through an anchor, an alias or a merge key; nor can a companion go into `d/ambient-policies.yaml`: this is a template, not plain YAML (companion: none)
    ");
}

#[test]
fn only_whole_documents_are_replaced_and_each_once() {
    let text = "kind: List\nitems:\n- kind: A\n---\nkind: B\n---\nkind: C\n";
    let inputs = [input("a.yaml", Some(Path::new("a.yaml")), text)];
    let replace = |document, items: &[usize], name| ChangeAction::Replace {
        origin: Origin {
            items: items.to_vec(),
            ..origin("a.yaml", document)
        },
        body: object(name).into(),
    };
    let actions = [
        replace(0, &[0], "a"),
        replace(2, &[], "c"),
        replace(1, &[], "b"),
        replace(1, &[], "again"),
    ];
    insta::assert_snapshot!(show(&prepare(&plan(actions), &inputs)), @"
    == a.yaml at a.yaml
    kind: List
    items:
    - kind: A
    ---
    kind: AuthorizationPolicy
    metadata:
      name: b
    spec:
      action: DENY
    ---
    kind: AuthorizationPolicy
    metadata:
      name: c
    spec:
      action: DENY
    !! a.yaml:2: only an object that is a YAML document of its own is replaced (companion: none)
    !! a.yaml:2: the document is replaced twice (companion: none)
    ");
}

#[test]
fn a_kustomization_that_does_not_name_the_new_file_is_made_to() {
    let path = |name: &'static str| Some(Path::new(name));
    let kustomization = |name, text| Input {
        kind: InputKind::Kustomization,
        ..input(name, path(name), text)
    };
    let listed = "resources:\n- web.yaml\n- ./ambient-policies.yaml\n";
    let inputs = [
        input("a/web.yaml", path("a/web.yaml"), POLICY),
        kustomization("a/kustomization.yaml", "resources: [web.yaml]\n"),
        input("b/web.yaml", path("b/web.yaml"), POLICY),
        kustomization("b/Kustomization", listed),
        input("c/web.yaml", path("c/web.yaml"), POLICY),
        kustomization("c/kustomization.yml", "resources: [web.yaml]\n"),
        input("d/web.yaml", path("d/web.yaml"), POLICY),
        kustomization("d/kustomization.yaml", "# none\nnamePrefix: x-\n"),
        input("e/web.yaml", path("e/web.yaml"), POLICY),
        kustomization("e/kustomization.yaml", "resources: []\n"),
    ];
    let actions = [
        create("a", "a/web.yaml"),
        create("b", "b/web.yaml"),
        edit("c/web.yaml", 0, None),
        create("d", "d/web.yaml"),
        create("e", "e/web.yaml"),
    ];
    let mut prepared = prepare(&plan(actions), &inputs);
    prepared
        .changes
        .retain(|c| !c.name.ends_with("ambient-policies.yaml"));
    insta::assert_snapshot!(show(&prepared), @"
    == a/kustomization.yaml at a/kustomization.yaml
    resources: [web.yaml, ambient-policies.yaml]
    == c/web.yaml at c/web.yaml
    # web
    kind: NetworkPolicy
    spec:
      ingress:
      - ports:
        - port: 80 # http
        - port: 15008
          protocol: TCP
    == d/kustomization.yaml at d/kustomization.yaml
    # none
    namePrefix: x-
    resources:
    - ambient-policies.yaml
    !! e/kustomization.yaml:1: there is no list with an item at `resources` (companion: none)
    >> e/kustomization.yaml: add this to its `resources`; without it a build leaves the new objects out
    resources:
    - ambient-policies.yaml
    ");
}
