//! Any text is edited as intended, or refused: first the edits, a line each, then `---` and the
//! text. `+ a.0.b` appends to a list, `= a.b` adds to a mapping, `0/1` before either leads to an
//! item of a `List`.

use kubectl_ambient::plan::{Edit, Path, Segment};
use kubectl_ambient::yaml::{Format, split, split_json};
use kubectl_ambient::yamledit::{ObjectEdits, apply};
use serde_json::{Value, json};

pub(crate) fn run(data: &[u8]) {
    let Some((head, text)) = std::str::from_utf8(data)
        .ok()
        .and_then(|d| d.split_once("---\n"))
    else {
        return;
    };
    let objects: Vec<_> = head.lines().take(8).enumerate().filter_map(edit).collect();
    let edits: Vec<_> = objects
        .iter()
        .map(|(document, items, edit)| ObjectEdits {
            document: *document,
            items,
            edits: std::slice::from_ref(edit),
        })
        .collect();
    for format in [Format::Yaml, Format::Json] {
        let Ok(edited) = apply(text, format, &edits) else {
            continue;
        };
        assert!(
            is_subsequence(text.as_bytes(), edited.as_bytes()),
            "bytes were lost:\n{edited}"
        );
        let mut intended = read(text, format);
        for edit in &edits {
            // What has tags is no JSON value; the editor compares such documents as YAML.
            let Some(document) = &mut intended[edit.document] else {
                continue;
            };
            let object = edit
                .items
                .iter()
                .fold(document, |value, i| &mut value["items"][*i]);
            for edit in edit.edits {
                edit.apply(object)
                    .expect("an edit that was made to the text fits its value");
            }
        }
        for (read, intended) in read(&edited, format).into_iter().zip(intended) {
            assert_eq!(read, intended, "{edited}");
        }
        assert_eq!(apply(&edited, format, &[]).as_deref(), Ok(&*edited));
    }
}

/// Reads one line: document, place in a list, edit.
fn edit((number, line): (usize, &str)) -> Option<(usize, Vec<usize>, Edit)> {
    let mut words = line.split(' ').collect::<Vec<_>>().into_iter();
    let mut document = 0;
    let mut items = Vec::new();
    let mut kind = words.next()?;
    while let Some((d, list)) = kind.split_once(':') {
        document = d.parse().ok()?;
        items = list.split('/').filter_map(|i| i.parse().ok()).collect();
        kind = words.next()?;
    }
    let path: Path = words
        .next()?
        .split('.')
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().map_or_else(|_| part.into(), Segment::Index))
        .collect();
    let text = words.next().unwrap_or("x: #y");
    let value = match number % 3 {
        0 => json!({"protocol": "TCP", "port": 7}),
        1 => json!(text),
        _ => json!([{"a": [text, {}], "b": {"c": 1}}]),
    };
    match kind {
        "+" => Some((document, items, Edit::Append { path, item: value })),
        "=" => Some((
            document,
            items,
            Edit::Add {
                path,
                key: format!("k{number}{text}"),
                value,
            },
        )),
        _ => None,
    }
}

fn read(text: &str, format: Format) -> Vec<Option<Value>> {
    match format {
        Format::Yaml => split(text)
            .iter()
            .map(|chunk| serde_yaml::from_str(chunk.text).ok())
            .collect(),
        Format::Json => split_json(text)
            .0
            .iter()
            .map(|chunk| serde_json::from_str(chunk.text).ok())
            .collect(),
    }
}

fn is_subsequence(short: &[u8], long: &[u8]) -> bool {
    let mut long = long.iter();
    short.iter().all(|byte| long.any(|b| b == byte))
}
