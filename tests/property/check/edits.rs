//! Edits only insert: nothing that was written is gone, in the text or in what it means.

use serde_json::Value;

use super::Violations;
use crate::generate::File;

/// Compares every manifest with itself after the plan.
pub(super) fn check(before: &[File], after: &[File]) -> Violations {
    let mut violations = Vec::new();
    // What the program wrote itself it may replace.
    for file in before.iter().filter(|f| !f.is_own()) {
        let Some(edited) = after.iter().find(|a| a.name == file.name) else {
            violations.push(format!("{} is gone", file.name));
            continue;
        };
        if !is_subsequence(&file.text, &edited.text) {
            violations.push(format!(
                "{}: the edit removes text:\n{}",
                file.name, edited.text
            ));
        }
        match (file.objects(), edited.objects()) {
            (Ok(old), Ok(new)) => {
                let (old, new) = (Value::Array(old), Value::Array(new));
                if let Some(place) = lost(&old, &new, "") {
                    violations.push(format!("{}: the edit changes `{place}`", file.name));
                }
            }
            (_, Err(error)) | (Err(error), _) => violations.push(error),
        }
    }
    violations
}

/// Whether the letters of one text are found in the other, in order.
fn is_subsequence(old: &str, new: &str) -> bool {
    let mut rest = new.bytes();
    old.bytes()
        .all(|byte| rest.any(|candidate| candidate == byte))
}

/// Where something of the old value is not in the new one. Mappings may have more keys. Lists may
/// have more items at their end, but not when they had none: an empty list means something else.
fn lost(old: &Value, new: &Value, place: &str) -> Option<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => old.iter().find_map(|(key, value)| {
            let place = format!("{place}.{key}");
            match new.get(key) {
                Some(kept) => lost(value, kept, &place),
                None => Some(place),
            }
        }),
        (Value::Array(old), Value::Array(new)) if old.is_empty() => {
            (!new.is_empty()).then(|| place.to_owned())
        }
        (Value::Array(old), Value::Array(new)) => {
            let mut items = old.iter().enumerate();
            items.find_map(|(index, item)| {
                let place = format!("{place}[{index}]");
                match new.get(index) {
                    Some(kept) => lost(item, kept, &place),
                    None => Some(place),
                }
            })
        }
        _ => (old != new).then(|| place.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_insertions_pass() {
        assert!(is_subsequence("ports: [1]", "ports: [1, 2]"));
        assert!(!is_subsequence("ports: [1]", "ports: [2]"));
        let old = json!({ "a": [{ "p": 1 }], "b": "x", "empty": [] });
        let cases = [
            (
                json!({ "a": [{ "p": 1, "q": 2 }, 3], "b": "x", "c": 1, "empty": [] }),
                None,
            ),
            (
                json!({ "a": [3, { "p": 1 }], "b": "x", "empty": [] }),
                Some(".a[0]"),
            ),
            (json!({ "a": [], "b": "x", "empty": [] }), Some(".a[0]")),
            (
                json!({ "a": [{ "p": 1 }], "b": "y", "empty": [] }),
                Some(".b"),
            ),
            (json!({ "a": [{ "p": 1 }], "empty": [] }), Some(".b")),
            (
                json!({ "a": [{ "p": 1 }], "b": "x", "empty": [1] }),
                Some(".empty"),
            ),
        ];
        for (new, expected) in cases {
            assert_eq!(lost(&old, &new, "").as_deref(), expected, "{new}");
        }
    }
}
