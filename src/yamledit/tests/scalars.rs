use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::yaml::{Scalar, split};
use crate::yamledit::scalar::{Context, is_plain};

#[test]
fn objects_are_written_as_kubectl_prints_them() {
    let object = json!({
        "apiVersion": "v1",
        "metadata": {"name": "a", "labels": {"app.kubernetes.io/name": "web", "y": "no"}},
        "spec": {"rules": [{"from": [{"x": ["*", "9090"]}], "to": []}, [1, [2]], "a b"], "empty": {}},
        "text": "two\nlines", "null": null, "n": 1.5,
    });
    insta::assert_snapshot!(emit(&object), @r#"
    apiVersion: v1
    metadata:
      name: a
      labels:
        app.kubernetes.io/name: web
        "y": "no"
    spec:
      rules:
      - from:
        - x:
          - "*"
          - "9090"
        to: []
      - - 1
        - - 2
      - a b
      empty: {}
    text: "two\nlines"
    "null": null
    "n": 1.5
    "#);
    assert_eq!(
        emit_documents(&[json!({"a": 1}), json!({"b": 2})]),
        "a: 1\n---\nb: 2\n"
    );
}

#[test]
fn strings_that_some_reader_takes_for_something_else_are_quoted() {
    let ambiguous = [
        "",
        "~",
        "null",
        "Null",
        "true",
        "False",
        "yes",
        "NO",
        "on",
        "Off",
        "y",
        "N",
        "0644",
        "0o17",
        "0x1F",
        "0b1",
        "1_000",
        "1e3",
        "1.",
        ".5",
        "-1",
        "+1",
        "12:30",
        "190:20:30.15",
        "2024-01-01",
        "2024-01-01T10:00:00Z",
        "10.0.0.1",
        ".inf",
        ".NaN",
        "<<",
        "=",
        "-",
        "- a",
        "? a",
        "a: b",
        "a:",
        "a #b",
        "#a",
        "&a",
        "*a",
        "!a",
        "|",
        ">",
        "'a",
        "\"a",
        "%a",
        "@a",
        "`a",
        "[a",
        "{a",
        ",a",
        " a",
        "a ",
        "a\nb",
        "\ta",
        "---",
        "...",
        "a\u{85}",
        "\u{feff}a",
        "\u{0}",
        "٣",
    ];
    for text in ambiguous {
        assert!(!is_plain(text, Context::Block), "{text:?}");
    }
    for text in [
        "web",
        "a b",
        "10.0.0.0/8",
        "a:b",
        "v1",
        "a-1",
        "cluster.local/ns/a/sa/*",
        "é",
    ] {
        assert!(is_plain(text, Context::Block), "{text:?}");
    }
    for text in ["a,b", "a:b", "a]", "a}", "a?", "a#"] {
        assert!(!is_plain(text, Context::Flow), "{text:?}");
    }
}

fn strings() -> impl Strategy<Value = String> {
    let alphabet = "[ -~\\n\\t\\r\u{0}\u{7f}\u{85}\u{a0}\u{2028}\u{feff}éß中😀]{0,12}";
    let number_like = "[-+.0-9_:eExXobTZ ]{1,10}";
    prop_oneof![any::<String>(), alphabet, number_like]
}

fn assert_reads_as(text: &str, value: &str) {
    let document = Document::parse(split(text)[0]).unwrap();
    let read = document.root().unwrap().get("k").unwrap();
    assert_eq!(read.scalar(), Some(Scalar::String(value)), "{text}");
    let other: Value = serde_yaml::from_str(text).unwrap();
    assert_eq!(other, json!({"k": value, "after": [value]}), "{text}");
}

proptest! {
    #[test]
    fn every_string_reads_back_as_it_was(value in strings()) {
        assert_reads_as(&emit(&json!({"k": value, "after": [value]})), &value);
    }

    #[test]
    fn every_string_can_be_inserted(value in strings()) {
        for text in ["k: x\n", "{k: x}\n", "'k': 'x'\n", "{\"k\": \"x\"}\n", "{k: x }\n"] {
            let edits = [add("", "n", json!(value)), add("", "m", json!([value]))];
            let edited = apply_to_one(text, &edits);
            let read: Value = serde_yaml::from_str(&edited.unwrap()).unwrap();
            prop_assert_eq!(read, json!({"k": "x", "n": value, "m": [value]}));
        }
    }
}
