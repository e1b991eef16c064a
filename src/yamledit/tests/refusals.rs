use std::fmt::Write as _;

use serde_json::json;

use super::*;

fn refusal(text: &str, edit: Edit) -> String {
    apply_to_one(text, &[edit]).unwrap_err().to_string()
}

#[test]
fn what_an_edit_could_change_elsewhere_is_left_alone() {
    let edit = || append("spec.ports", json!({"port": 15008}));
    let cases = [
        (
            "spec:\n  ports: &p\n  - port: 80\nother: *p\n",
            "line 3: `spec.ports` is shared through an anchor, an alias or a merge key",
        ),
        (
            "base: &p\n- port: 80\nspec:\n  ports: *p\n",
            "line 4: `spec.ports` is shared through an anchor, an alias or a merge key",
        ),
        (
            "base: &b\n  ports:\n  - port: 80\nspec:\n  <<: *b\n",
            "line 3: `spec.ports` is shared through an anchor, an alias or a merge key",
        ),
        (
            "spec:\n  ports: !!seq\n  - port: 80\n",
            "line 3: `spec.ports` has a tag",
        ),
        (
            "--- !x\nspec:\n  ports: [1]\n",
            "line 2: the document has an anchor or a tag",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(refusal(text, edit()), expected, "{text}");
    }
}

#[test]
fn an_empty_list_is_never_appended_to() {
    let edit = || append("spec.ports", json!({"port": 15008}));
    let cases = [
        (
            "spec:\n  ports: []\n",
            "line 2: there is no list with an item at `spec.ports`",
        ),
        (
            "spec:\n  ports:\n",
            "line 2: there is no list with an item at `spec.ports`",
        ),
        (
            "spec:\n  ports: {a: 1}\n",
            "line 2: there is no list with an item at `spec.ports`",
        ),
        ("spec: {}\n", "line 1: there is no `spec.ports`"),
        ("- 1\n", "line 1: there is no `spec`"),
        ("# nothing\n---\n", "line 2: there is no `spec`"),
    ];
    for (text, expected) in cases {
        assert_eq!(refusal(text, edit()), expected, "{text}");
    }
}

#[test]
fn a_key_is_added_once_and_to_mappings_only() {
    let edit = || add("metadata.labels", "a", json!("b"));
    let cases = [
        (
            "metadata:\n  labels:\n    a: c\n",
            "line 3: `metadata.labels.a` is there already",
        ),
        (
            "metadata:\n  labels: [a]\n",
            "line 2: there is no mapping at `metadata.labels`",
        ),
        (
            "metadata:\n  labels:\n",
            "line 2: there is no mapping at `metadata.labels`",
        ),
        ("spec: {}\n", "line 1: there is no `metadata`"),
    ];
    for (text, expected) in cases {
        assert_eq!(refusal(text, edit()), expected, "{text}");
    }
    let twice = [edit(), edit()];
    let error = apply_to_one("metadata:\n  name: x\n", &twice).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 2: `metadata.labels.a` is there already"
    );
}

#[test]
fn text_that_is_not_strict_yaml_is_left_alone() {
    let edit = || append("a", json!(1));
    let cases = [
        ("a:\n- 1\na:\n- 2\n", "line 3: duplicate key `a`"),
        (
            "a:\n- 1\n{{- if x }}\nb: 1\n{{- end }}\n",
            "line 3: this is a template, not plain YAML",
        ),
        (
            "a:\n- 1\nb: {{ x }}\n",
            "line 3: this is a template, not plain YAML",
        ),
        (
            "a:\n- 1\nb: x-{{ y }}\n",
            "line 3: this is a template, not plain YAML",
        ),
        (
            "a:\n-\t1\n",
            "line 2: the dashes of the list are written in a way that is not understood",
        ),
        ("[a: [1]]\n", "line 1: there is no `a`"),
    ];
    for (text, expected) in cases {
        assert_eq!(refusal(text, edit()), expected, "{text}");
    }
    let quoted = "a:\n- 1\nb: '{{ y }}'\n";
    assert!(apply_to_one(quoted, &[edit()]).is_ok());
}

#[test]
fn aliases_that_multiply_are_refused_at_once() {
    let mut text = "a0: &a0 [x]\n".to_owned();
    for i in 1..40 {
        let aliases = vec![format!("*a{}", i - 1); 9].join(", ");
        let _ = writeln!(text, "a{i}: &a{i} [{aliases}]");
    }
    text += "ports:\n- 1\n";
    assert_eq!(
        refusal(&text, append("ports", json!(2))),
        "line 1: its aliases stand for more than a million nodes"
    );
}

#[test]
fn a_refused_object_does_not_hold_back_the_others() {
    let text = "items:\n- a: [1]\n- a: []\n- a: [1]\n---\na: &x [1]\n---\na: [1]\n";
    let edits = [append("a", json!(2))];
    let place = |document, items| ObjectEdits {
        document,
        items,
        edits: &edits,
    };
    let applied = apply_where_possible(
        text,
        Format::Yaml,
        &[
            place(0, &[0]),
            place(0, &[1]),
            place(0, &[2]),
            place(1, &[]),
            place(2, &[]),
            place(9, &[]),
        ],
    );
    assert_eq!(
        applied.text,
        "items:\n- a: [1, 2]\n- a: []\n- a: [1, 2]\n---\na: &x [1]\n---\na: [1, 2]\n"
    );
    let refused: Vec<_> = applied
        .refusals
        .iter()
        .map(|(i, r)| format!("{i}: {r}"))
        .collect();
    assert_eq!(
        refused,
        [
            "1: line 3: there is no list with an item at `a`",
            "3: line 6: `a` is shared through an anchor, an alias or a merge key",
            "5: line 0: there is no document 10",
        ]
    );
}
