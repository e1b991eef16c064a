//! Any string, as key and as value, is written so that two parsers read it back.

use kubectl_ambient::yaml::{Document, Scalar, View, split};
use kubectl_ambient::yamledit::emit;
use serde_json::{Value, json};

pub(crate) fn run(data: &[u8]) {
    let Ok(string) = std::str::from_utf8(data) else {
        return;
    };
    let (key, value) = string.split_once('\n').unwrap_or(("key", string));
    // A longer key would have to be written with `?`; Kubernetes has none longer than 317.
    if key.len() > 100 {
        return;
    }
    let object = json!({key: value, "list": [value, [value], {key: value}]});
    let text = emit(&object);
    assert_eq!(
        serde_yaml::from_str::<Value>(&text).expect("YAML"),
        object,
        "{text}"
    );
    let chunks = split(&text);
    assert_eq!(chunks.len(), 1, "{text}");
    let document = Document::parse(chunks[0]).expect("YAML");
    let root = document.root().expect("an object");
    let read = root.get(key).and_then(View::scalar);
    if key != "list" && key != "<<" {
        assert_eq!(read, Some(Scalar::String(value)), "{text}");
    }
}
