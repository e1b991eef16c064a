//! Whatever the text, loading ends with an answer.

use proptest::prelude::*;

use crate::source::{Loaded, load_texts};

const WORDS: &[&str] = &[
    "\n",
    "\n  ",
    "\n- ",
    "\n---\n",
    "\n...\n",
    " ",
    ": ",
    ", ",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "|\n",
    ">",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "%YAML 1.2\n",
    "#",
    "\t",
    "\r\n",
    "\u{feff}",
    "é",
    "{{ .x }}",
    "~",
    "apiVersion: v1\n",
    "apiVersion: networking.k8s.io/v1\n",
    "kind: NetworkPolicy\n",
    "kind: List\n",
    "kind: Pod\n",
    "metadata: {name: a}\n",
    "spec:\n",
    "items:\n",
    "podSelector",
    "ingress",
    "ports",
    "port",
    "80",
    "-1",
    "1e99",
    "0x",
    "ipBlock",
    "cidr",
    "10.0.0.0/8",
    "null",
    "yes",
];

const MANIFEST: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: a
  labels: &labels {app: web}
spec:
  podSelector:
    matchLabels: *labels
  ingress:
  - from:
    - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
    - namespaceSelector:
        matchExpressions: [{key: a, operator: In, values: [b]}]
    ports:
    - port: 80
      endPort: 90
    - {port: http, protocol: UDP}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: s}}
";

fn check(text: &str) -> Loaded {
    let loaded = load_texts([("a.yaml", text), ("b.json", text)], "default");
    let lines = u32::try_from(text.lines().count()).unwrap() + 1;
    for problem in &loaded.problems {
        assert!(problem.line <= lines, "{problem:?}\n{text}");
        assert!(!problem.message.is_empty());
    }
    let sorted = |a: &crate::model::Problem, b: &crate::model::Problem| {
        (&a.file, a.line, a.column) <= (&b.file, b.line, b.column)
    };
    assert!(loaded.problems.is_sorted_by(sorted));
    loaded
}

#[test]
fn the_manifest_to_be_damaged_is_whole() {
    let loaded = load_texts([("a.yaml", MANIFEST)], "default");
    assert_eq!(loaded.problems, []);
    assert_eq!(loaded.world.network_policies.len(), 1);
    assert_eq!(loaded.world.service_accounts.len(), 1);
}

proptest! {
    #[test]
    fn words_in_any_order_are_answered(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..60)
    ) {
        check(&words.concat());
    }

    #[test]
    fn any_characters_are_answered(text in "\\PC{0,80}") {
        check(&text);
    }

    #[test]
    fn damaged_manifests_are_answered(
        cut in 0..MANIFEST.len(),
        length in 0..40usize,
        word in prop::sample::select(WORDS),
    ) {
        let end = (cut + length).min(MANIFEST.len());
        check(&[&MANIFEST[..cut], word, &MANIFEST[end..]].concat());
    }
}
