//! YAML, JSON, lists, templates and text that is something else.

use std::fmt::Write as _;

use insta::assert_snapshot;

use super::{load, problems, report};
use crate::model::{Coverage, Kind, Origin};
use crate::source::load_texts;
use crate::yaml::Format;

const ACCOUNT: &str = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\n";

fn policy(name: &str) -> String {
    format!(
        "{{\"apiVersion\": \"networking.k8s.io/v1\", \"kind\": \"NetworkPolicy\", \
         \"metadata\": {{\"name\": \"{name}\"}}, \"spec\": {{\"podSelector\": {{}}}}}}"
    )
}

fn origins(loaded: &super::Loaded) -> Vec<(String, usize, Vec<usize>, u32)> {
    let of = |name: &str, o: &Origin| (name.to_owned(), o.document, o.items.clone(), o.line);
    let policies = loaded.world.network_policies.iter();
    policies.map(|p| of(&p.meta.name, &p.meta.origin)).collect()
}

#[test]
fn one_bad_document_hides_no_other() {
    let text = format!(
        "{ACCOUNT}---\na: [\n---\nkind: Pod\n---\n{}",
        ACCOUNT.replace("{name: a}", "{name: b}")
    );
    let loaded = load(&text);
    assert_eq!(loaded.world.service_accounts.len(), 2);
    assert_snapshot!(report(&loaded), @"
    a.yaml:5:4: invalid YAML: unclosed bracket '['
      | a: [
    a.yaml:7:1: a document without `apiVersion` and `kind`
      | kind: Pod
      hint: name both, or move it to a file of its own
    ");
    assert!(
        Kind::ALL
            .iter()
            .all(|&k| loaded.world.coverage(k) == Coverage::Partial)
    );
}

#[test]
fn what_a_strict_parser_refuses_is_shown_with_its_line() {
    assert_snapshot!(problems("apiVersion: v1\nkind: Pod\nkind: Pod\n"), @"
    a.yaml:3:1: invalid YAML: duplicate key `kind`
      | kind: Pod
      hint: remove one of the two
    ");
    assert_snapshot!(problems("apiVersion: v1\nmetadata:\n\tname: a\n"), @"
    a.yaml:3:2: invalid YAML: tabs disallowed within this context (block indentation)
      | 	name: a
      hint: indent with spaces
    ");
    assert_snapshot!(problems("a: *b\n"), @"
    a.yaml:1:4: invalid YAML: while parsing node, found unknown anchor
      | a: *b
    ");
    assert_snapshot!(problems(&"[".repeat(2000)), @"
    a.yaml:1:129: invalid YAML: recursion limit exceeded
      | …[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[…
    ");
}

#[test]
fn lists_hold_objects() {
    let text = "\
# comment
apiVersion: v1
kind: List
items:
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicyList
  items:
  - metadata: {name: inner}
    spec: {podSelector: {}}
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: outer}
  spec: {podSelector: {}}
- metadata: {name: lost}
- 7
";
    let loaded = load(text);
    assert_eq!(
        origins(&loaded),
        [
            ("inner".to_owned(), 0, vec![0, 0], 8),
            ("outer".to_owned(), 0, vec![1], 10)
        ]
    );
    assert_snapshot!(report(&loaded), @"
    a.yaml:14:3: `apiVersion` is missing
      | - metadata: {name: lost}
    a.yaml:14:3: `kind` is missing
      | - metadata: {name: lost}
    a.yaml:15:3: an object must be a mapping, and is a number
      | - 7
    ");
    assert_snapshot!(problems("apiVersion: v1\nkind: List\nitems: {}\n"), @"
    a.yaml:3:8: `items` must be a list, and is a mapping
      | items: {}
    ");
    assert_snapshot!(problems("apiVersion: v1\nkind: List\nitems: []\n"), @"");
}

#[test]
fn json_holds_one_or_more_objects() {
    let text = format!(
        "\u{feff}\n{}\n{}{}\n",
        policy("a"),
        policy("b"),
        policy("c")
    );
    let loaded = load_texts(
        [("a.json", text.as_str()), ("b.yaml", &policy("d"))],
        "default",
    );
    assert_eq!(report(&loaded), "");
    assert!(loaded.files.iter().all(|f| f.format == Format::Json));
    assert_eq!(
        origins(&loaded),
        [
            ("a".to_owned(), 0, vec![], 2),
            ("b".to_owned(), 1, vec![], 3),
            ("c".to_owned(), 2, vec![], 3),
            ("d".to_owned(), 0, vec![], 1),
        ]
    );
}

#[test]
fn json_is_read_even_where_it_is_no_yaml() {
    let tabs = policy("a").replace(", ", ",\n\t\t").replace(": ", "\t:\t");
    let loaded = load_texts([("a.json", tabs.as_str())], "default");
    assert_eq!(report(&loaded), "");
    assert_eq!(origins(&loaded), [("a".to_owned(), 0, vec![], 1)]);

    let odd = policy("a").replace(
        "{\"name\"",
        "{\"annotations\":\n{\"x\"\n:\"\\ud83d\\ude00\\/\"}, \"name\"",
    );
    let loaded = load_texts([("a.json", odd.as_str())], "default");
    assert_eq!(report(&loaded), "");
    let annotations = &loaded.world.network_policies[0].meta.annotations;
    assert_eq!(annotations["x"], "\u{1f600}/");
}

#[test]
fn json_is_checked_strictly() {
    let json = |text: &str| report(&load_texts([("a.json", text)], "default"));
    assert_snapshot!(json("{\"a\": 1,}"), @r#"
    a.json:1:9: invalid JSON: key must be a string
      | {"a": 1,}
    "#);
    assert_snapshot!(json(&format!("{}\n{{\"kind\"\n", policy("a"))), @"a.json:3:1: invalid JSON: EOF while parsing an object");
    assert_snapshot!(json("apiVersion: v1\nkind: Pod\n"), @"
    a.json:1:1: invalid JSON: expected value
      | apiVersion: v1
    ");
    assert_snapshot!(json(&format!("[{}]", policy("a"))), @r#"
    a.json:1:1: a bare list of objects, which kubectl does not read
      | [{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "a"}, "spec": {"podSelector": {}}}]
      hint: put it under `items` of a `kind: List` with `apiVersion: v1`
    "#);
    assert_snapshot!(json("[{\"op\": \"add\", \"path\": \"/a\"}]"), @"a.json:1: note: holds no Kubernetes object, not read");
    assert_snapshot!(json("{\"compilerOptions\": {}}"), @"a.json:1: note: holds no Kubernetes object, not read");
    assert_snapshot!(json("{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"kind\": \"Pod\"}"), @r#"
    a.json:1:37: invalid JSON: duplicate key `kind`
      | {"apiVersion": "v1", "kind": "Pod", "kind": "Pod"}
      hint: remove one of the two
    "#);
}

#[test]
fn text_that_is_no_manifest_is_noted_unless_objects_stand_beside_it() {
    assert_snapshot!(problems(""), @"a.yaml:0: note: holds no documents");
    assert_snapshot!(problems("# only a comment\n---\n"), @"a.yaml:0: note: holds no documents");
    assert_snapshot!(problems("replicas: 3\nimage: {tag: x}\n"), @"a.yaml:1: note: holds no Kubernetes object, not read");
    assert_snapshot!(problems("just text\n"), @"a.yaml:1: note: holds no Kubernetes object, not read");
    assert_snapshot!(problems("- op: add\n"), @"a.yaml:1: note: holds no Kubernetes object, not read");
    assert_snapshot!(problems(&format!("{ACCOUNT}---\n# nothing\n---\nreplicas: 3\n")), @"
    a.yaml:7:1: a document without `apiVersion` and `kind`
      | replicas: 3
      hint: name both, or move it to a file of its own
    ");
    assert_snapshot!(problems("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"), @"a.yaml:1: note: a kustomization, not read; to read what it builds: `-k DIR`");
}

#[test]
fn templates_are_noted_and_manifests_that_carry_templates_are_read() {
    assert_snapshot!(problems("{{- if .Values.on }}\napiVersion: v1\nkind: Pod\n{{- end }}\n"), @"a.yaml:1: note: Helm template, not read; render it first: `helm template … | kubectl ambient migrate -f -`");
    assert_snapshot!(problems("apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}\n"), @"a.yaml:4: note: Helm template, not read; render it first: `helm template … | kubectl ambient migrate -f -`");
    assert_snapshot!(problems("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a-{{ .Release.Name }}\n"), @"a.yaml:4: note: Helm template, not read; render it first: `helm template … | kubectl ambient migrate -f -`");
    let rules = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: rules}
data:
  a: |
    {{ range .Alerts }}
  b: \"{{ .x }}\"
";
    assert_eq!(problems(rules), "");
    assert_snapshot!(problems(&format!("{rules}  c: [\n")), @"
    a.yaml:8:6: invalid YAML: unclosed bracket '['
      |   c: [
    ");
}

#[test]
fn aliases_that_multiply_are_stopped() {
    let mut text =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nx0: &x0 [lol]\n".to_owned();
    for i in 1..40 {
        let before = format!("*x{}", i - 1);
        let _ = writeln!(text, "x{i}: &x{i} [{}]", [before.as_str(); 9].join(", "));
    }
    let loaded = load(&format!("{text}---\n{ACCOUNT}"));
    assert_eq!(loaded.world.service_accounts.len(), 1);
    assert_snapshot!(report(&loaded), @"
    a.yaml:1:0: the aliases of this document multiply it beyond what can be read
      | apiVersion: v1
      hint: write the repeated parts out, or split the document
    ");

    let mut text =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nx0: &x0 [lol]\n".to_owned();
    for i in 1..5000 {
        let _ = writeln!(text, "x{i}: &x{i} [[[[*x{}]]]]", i - 1);
    }
    assert!(problems(&text).contains("is nested too deeply"));

    let mut text = "x0: &x0 {apiVersion: v1, kind: List, items: []}\n".to_owned();
    for i in 1..40 {
        let before = format!("*x{}", i - 1);
        let items = [before.as_str(); 9].join(", ");
        let _ = writeln!(
            text,
            "x{i}: &x{i} {{apiVersion: v1, kind: List, items: [{items}]}}"
        );
    }
    text += "apiVersion: v1\nkind: List\nitems: [*x39]\n";
    assert!(problems(&text).contains("multiply"));
}

#[test]
fn huge_objects_are_read_and_reported_in_bounds() {
    let ports = |port: &str, count| {
        let ports = format!("    - port: {port}\n").repeat(count);
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec:\n  \
             podSelector: {{}}\n  ingress:\n  - ports:\n{ports}"
        )
    };
    let good = load(&ports("80", 100_000));
    assert_eq!(
        good.world.network_policies[0].ingress[0].ports.len(),
        100_000
    );
    let bad = load(&ports("0", 1000));
    assert_eq!(bad.problems.len(), 51);
    assert_eq!(
        bad.problems[50].message,
        "950 more problems like these in this object"
    );
}

#[test]
fn the_result_does_not_depend_on_the_order_of_documents() {
    let accounts: Vec<String> = (0..50)
        .map(|i| {
            ACCOUNT.replace(
                "{name: a}",
                &format!("{{name: a{i}, namespace: n{}}}", i % 7),
            )
        })
        .collect();
    let mut backwards = accounts.clone();
    backwards.reverse();
    let names = |texts: &[String]| {
        let loaded = load(&texts.join("---\n"));
        let accounts = loaded.world.service_accounts;
        accounts
            .into_iter()
            .map(|m| (m.namespace, m.name))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&accounts), names(&backwards));
    assert_eq!(names(&accounts).len(), 50);
}
