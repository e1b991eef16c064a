mod cases;
mod properties;
mod refusals;
mod scalars;
mod wild;

use serde_json::{Value, json};

use super::*;
use crate::plan::{Path, Segment};
use crate::yaml::{Document, View};

/// The edits of one object, with its place.
pub(super) type Object = (usize, Vec<usize>, Vec<Edit>);

/// Appends port 15008 to every list of ports that has an item, in rules of every object.
pub(super) fn open_tunnel(text: &str, format: Format) -> Vec<Object> {
    let mut found = Vec::new();
    for (i, chunk) in document::chunks(text, format).into_iter().enumerate() {
        if let Ok(document) = Document::parse(chunk)
            && let Some(root) = document.root()
        {
            visit(root, i, &mut Vec::new(), &mut found);
        }
    }
    found
}

fn visit(node: View<'_>, document: usize, items: &mut Vec<usize>, found: &mut Vec<Object>) {
    let list = node.get("items").into_iter().flat_map(View::items);
    for (i, item) in list.enumerate() {
        items.push(i);
        visit(item, document, items, found);
        items.pop();
    }
    let mut edits = Vec::new();
    for direction in ["ingress", "egress"] {
        let rules = node.get("spec").and_then(|s| s.get(direction));
        for (i, rule) in rules.into_iter().flat_map(View::items).enumerate() {
            if rule.get("ports").is_some_and(|p| p.items().len() > 0) {
                let path = path(&format!("spec.{direction}.{i}.ports"));
                let item = json!({"protocol": "TCP", "port": 15008});
                edits.push(Edit::Append { path, item });
            }
        }
    }
    if !edits.is_empty() {
        found.push((document, items.clone(), edits));
    }
}

pub(super) fn apply_all(text: &str, format: Format, objects: &[Object]) -> Result<String, Refusal> {
    let edits: Vec<_> = objects
        .iter()
        .map(|(document, items, edits)| ObjectEdits {
            document: *document,
            items,
            edits,
        })
        .collect();
    apply(text, format, &edits)
}

/// Applies edits to the only object of a text.
pub(super) fn apply_to_one(text: &str, edits: &[Edit]) -> Result<String, Refusal> {
    apply_all(text, Format::Yaml, &[(0, Vec::new(), edits.to_vec())])
}

/// A path written with dots: `spec.ingress.0.ports`.
pub(super) fn path(text: &str) -> Path {
    text.split('.')
        .filter(|segment| !segment.is_empty())
        .map(|segment| {
            segment
                .parse()
                .map_or_else(|_| segment.into(), Segment::Index)
        })
        .collect()
}

pub(super) fn append(at: &str, item: Value) -> Edit {
    Edit::Append {
        path: path(at),
        item,
    }
}

pub(super) fn add(at: &str, key: &str, value: Value) -> Edit {
    Edit::Add {
        path: path(at),
        key: key.to_owned(),
        value,
    }
}
