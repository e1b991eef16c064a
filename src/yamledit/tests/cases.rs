use std::fs;
use std::path::Path;

use serde_json::json;

use super::*;
use crate::plan::Body;

/// Name, text, and text with marks around what is inserted.
fn cases() -> Vec<(String, String, String)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/yamledit/append.txt");
    let text = fs::read_to_string(file).unwrap();
    let bytes = [("␍", "\r"), ("↦", "\t"), ("␢", "\u{feff}"), ("∎\n", "")];
    let cases = text.split("\n== ").skip(1).map(|case| {
        let (name, marked) = case.split_once('\n').unwrap();
        let mut marked = format!("{}\n", marked.trim_end_matches('\n'));
        if marked.ends_with("\n⟧\n") {
            marked.pop();
        }
        for (mark, byte) in bytes {
            marked = marked.replace(mark, byte);
        }
        let after = marked.replace(['⟦', '⟧'], "");
        let mut before = marked.clone();
        while let (Some(start), Some(end)) = (before.find('⟦'), before.find('⟧')) {
            before.replace_range(start..end + '⟧'.len_utf8(), "");
        }
        (name.to_owned(), before, after)
    });
    cases.collect()
}

#[test]
fn appended_ports_look_like_their_neighbours() {
    let cases = cases();
    assert!(cases.len() > 20);
    for (name, before, after) in cases {
        let format = if before.starts_with('{') {
            Format::Json
        } else {
            Format::Yaml
        };
        let objects = open_tunnel(&before, format);
        assert_eq!(
            apply_all(&before, format, &objects).as_deref(),
            Ok(&*after),
            "{name}"
        );
    }
}

#[test]
fn no_edits_change_nothing() {
    for (name, _, after) in cases() {
        assert_eq!(
            apply(&after, Format::Yaml, &[]).as_deref(),
            Ok(&*after),
            "{name}"
        );
        let empty = ObjectEdits {
            document: 0,
            items: &[],
            edits: &[],
        };
        assert_eq!(
            apply(&after, Format::Yaml, &[empty]).as_deref(),
            Ok(&*after),
            "{name}"
        );
    }
}

#[test]
fn labels_go_into_the_mapping_or_make_it() {
    let edits = [
        add(
            "metadata.labels",
            "istio.io/dataplane-mode",
            json!("ambient"),
        ),
        add("metadata.labels", "on", json!("true")),
    ];
    let cases = [
        (
            "metadata:\n  name: a\n  # end\nspec: {}\n",
            "metadata:\n  name: a\n  labels:\n    istio.io/dataplane-mode: ambient\n    \"on\": \"true\"\n  # end\nspec: {}\n",
        ),
        (
            "metadata:\n    labels: # those\n        \"app\": 'web' # c\n        # more\n    name: a",
            "metadata:\n    labels: # those\n        \"app\": 'web' # c\n        \"istio.io/dataplane-mode\": 'ambient'\n        \"on\": 'true'\n        # more\n    name: a",
        ),
        (
            "metadata: {name: a}\n",
            "metadata: {name: a, labels: {istio.io/dataplane-mode: ambient, \"on\": \"true\"}}\n",
        ),
        (
            "metadata:\n  labels: {}\n",
            "metadata:\n  labels: {istio.io/dataplane-mode: ambient, \"on\": \"true\"}\n",
        ),
        (
            "metadata:\n  labels: { }\n",
            "metadata:\n  labels: { istio.io/dataplane-mode: ambient, \"on\": \"true\" }\n",
        ),
        (
            "metadata:\n  labels: {\n  }\n",
            "metadata:\n  labels: {\n    istio.io/dataplane-mode: ambient,\n    \"on\": \"true\"\n  }\n",
        ),
        (
            "a:\n    b:\n        c: 1\nmetadata:\n    name: a\r\n",
            "a:\n    b:\n        c: 1\nmetadata:\n    name: a\r\n    labels:\r\n        istio.io/dataplane-mode: ambient\r\n        \"on\": \"true\"\r\n",
        ),
        (
            "metadata:\n  labels:\n    text: |+\n      a\n\n",
            "metadata:\n  labels:\n    text: |+\n      a\n\n    istio.io/dataplane-mode: ambient\n    \"on\": \"true\"\n",
        ),
    ];
    for (before, after) in cases {
        assert_eq!(apply_to_one(before, &edits).as_deref(), Ok(after));
    }
}

#[test]
fn json_objects_grow_as_they_are_laid_out() {
    let edits = [add("metadata.labels", "mode", json!("ambient"))];
    let cases = [
        (
            r#"{"metadata":{"name":"a"}}"#,
            r#"{"metadata":{"name":"a","labels":{"mode":"ambient"}}}"#,
        ),
        (
            "{\n    \"metadata\": {\n        \"name\": \"a\"\n    }\n}\n",
            "{\n    \"metadata\": {\n        \"name\": \"a\",\n        \"labels\": {\n            \"mode\": \"ambient\"\n        }\n    }\n}\n",
        ),
        (
            "{\n  \"metadata\": {\n    \"labels\": {}\n  }\n}\n",
            "{\n  \"metadata\": {\n    \"labels\": {\"mode\": \"ambient\"}\n  }\n}\n",
        ),
    ];
    for (before, after) in cases {
        let objects = [(0, Vec::new(), edits.to_vec())];
        assert_eq!(
            apply_all(before, Format::Json, &objects).as_deref(),
            Ok(after)
        );
    }
}

#[test]
fn rules_and_lists_of_their_own_follow_the_document() {
    let rule = json!({"ports": [{"protocol": "TCP", "port": 15008}], "from": []});
    let edits = [
        append("spec.ingress.0.ports", json!({"port": 1})),
        append("spec.ingress", rule),
        append("spec.ingress.1.ports", json!({"port": 2})),
        add("spec", "policyTypes", json!(["Ingress", "Egress"])),
    ];
    let unindented = "spec:\n  ingress:\n  - ports:\n    - port: 80\n    from: []\n";
    let indented = "spec:\n    ingress:\n      - ports:\n          - port: 80";
    insta::assert_snapshot!(apply_to_one(unindented, &edits).unwrap(), @r"
    spec:
      ingress:
      - ports:
        - port: 80
        - port: 1
        from: []
      - ports:
        - port: 15008
          protocol: TCP
        - port: 2
        from: []
      policyTypes:
      - Ingress
      - Egress
    ");
    insta::assert_snapshot!(apply_to_one(indented, &edits).unwrap(), @r"
    spec:
        ingress:
          - ports:
              - port: 80
              - port: 1
          - ports:
              - port: 15008
                protocol: TCP
              - port: 2
            from: []
        policyTypes:
          - Ingress
          - Egress
    ");
}

#[test]
fn documents_are_replaced_among_others() {
    let text = "# ours\n---\n# first\na: 1\n# end\n---\nb:\n- 2\n\n---\nc: 3\n---\n[d\n";
    let [b, c] = [json!({"b": {"x": "yes"}}), json!({"c": 4})].map(Body::from);
    let bodies = [(2, &c), (9, &b), (1, &b), (3, &b), (1, &c)];
    let replaced = replace_documents(text, &bodies);
    assert_eq!(
        replaced.text,
        "# ours\n---\n# first\na: 1\n# end\n---\nb:\n  x: \"yes\"\n\n---\nc: 4\n---\n[d\n"
    );
    let refusals = replaced.refusals.iter();
    let refusals: Vec<_> = refusals.map(|(i, r)| format!("{i}, {r}")).collect();
    insta::assert_snapshot!(refusals.join("\n"), @"
    1, line 0: there is no document 10
    3, line 13: unclosed bracket '['
    4, line 0: the document is replaced twice
    ");
    let end = replace_documents("a: 1\r\n---\r\nb: 2", &[(1, &c)]);
    assert_eq!(end.text, "a: 1\r\n---\r\nc: 4\r\n");
}

#[test]
fn documents_are_added_after_others() {
    let [a, b] = [json!({"a": 1}), json!({"b": [1]})].map(Body::from);
    let append = |text| append_documents(text, &[&a, &b]).unwrap();
    assert_eq!(append(""), "a: 1\n---\nb:\n- 1\n");
    assert_eq!(append("# none\n"), "# none\na: 1\n---\nb:\n- 1\n");
    assert_eq!(append("c: 1"), "c: 1\n---\na: 1\n---\nb:\n- 1\n");
    assert_eq!(
        append("c: '{{'\r\n"),
        "c: '{{'\r\n---\r\na: 1\r\n---\r\nb:\r\n- 1\r\n"
    );
}

#[test]
fn nothing_is_added_to_a_template() {
    let refusal = |text| {
        append_documents(text, &[&json!({"a": 1}).into()])
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(refusal("kind: A\n---\n{{- if .on }}\nkind: B\n{{- end }}\n"), @"line 3: this is a template, not plain YAML");
    insta::assert_snapshot!(refusal("kind: A\nname: x-{{ .Release.Name }}\n"), @"line 2: this is a template, not plain YAML");
    insta::assert_snapshot!(refusal("kind: [A\n"), @"line 1: unclosed bracket '['");
}
