//! Text with what few people write: anchors, aliases, tags, merge keys, keys that come twice; and
//! JSON.

use proptest::prelude::*;

use super::properties::{Choices, Writer, intend_object, is_subsequence};
use super::*;
use crate::yaml::split;

/// Puts anchors, aliases, tags, merge keys and second keys into some lines.
fn spoil(text: &str, choices: &mut Choices) -> String {
    let mut out = String::new();
    let mut anchors = 0;
    for line in text.split_inclusive('\n') {
        let (content, end) = line.split_at(line.trim_end_matches(['\r', '\n']).len());
        let start = content.trim_start();
        let indent = content.len() - start.len();
        let key = content.find(':').filter(|_| choices.one_in(6));
        let is_property = choices.one_in(3);
        match key {
            Some(key) if is_property && !start.starts_with('#') => {
                let (before, after) = content.split_at(key + 1);
                let anchor = format!("&a{anchors}");
                let property = choices.pick(&[&anchor, &anchor, "!!map", "!!seq", "!!str", "!x"]);
                anchors += usize::from(property == anchor);
                out.extend([before, " ", property, after, end]);
            }
            Some(_) if !start.starts_with(['-', '#']) => {
                let key = choices.pick(&["<<", "spare", "spec", "ports", "from"]);
                let anchor = choices.below(8).min(anchors.saturating_sub(1));
                let alias = format!("*a{anchor}");
                let value = choices.pick(&[&alias, "[]"]);
                let end = if end.is_empty() { "\n" } else { end };
                out.extend([&" ".repeat(indent), key, ": ", value, end, line]);
            }
            _ => out.push_str(line),
        }
    }
    out
}

/// The object at a place of a document.
fn object<'v>(root: &'v mut Value, items: &[usize]) -> Option<&'v mut Value> {
    items
        .iter()
        .try_fold(root, |value, &i| value.get_mut("items")?.get_mut(i))
}

/// The value of a document, without tags.
fn read(text: &str) -> Value {
    fn untagged(value: serde_yaml::Value) -> Value {
        match value {
            serde_yaml::Value::Tagged(tagged) => untagged(tagged.value),
            serde_yaml::Value::Sequence(items) => items.into_iter().map(untagged).collect(),
            serde_yaml::Value::Mapping(entries) => entries
                .into_iter()
                .map(|(key, value)| (key.as_str().unwrap().to_owned(), untagged(value)))
                .collect(),
            scalar => serde_json::to_value(scalar).unwrap(),
        }
    }
    untagged(serde_yaml::from_str(text).unwrap())
}

/// What came of opening the tunnel in every object: the text, and those that were not refused.
fn open_all(text: &str, format: Format) -> (String, Vec<Object>) {
    let objects = open_tunnel(text, format);
    let edits = objects.iter().map(|(document, items, edits)| ObjectEdits {
        document: *document,
        items,
        edits,
    });
    let applied = apply_where_possible(text, format, &edits.collect::<Vec<_>>());
    let is_refused = |index| applied.refusals.iter().any(|(i, _)| *i == index);
    let done = objects.into_iter().enumerate();
    let done = done.filter(|(index, _)| !is_refused(*index));
    let done = done.map(|(_, object)| object).collect();
    (applied.text.clone(), done)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn what_is_not_refused_reads_as_intended_whatever_is_shared_or_tagged(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        choices in prop::collection::vec(any::<u8>(), 200),
    ) {
        let text = spoil(&Writer::policies(bytes), &mut Choices { bytes: choices, next: 0 });
        let (edited, done) = open_all(&text, Format::Yaml);
        prop_assert!(is_subsequence(&text, &edited));
        let (before, after) = (split(&text), split(&edited));
        prop_assert_eq!(before.len(), after.len());
        for (document, (before, after)) in before.iter().zip(after).enumerate() {
            let here: Vec<_> = done.iter().filter(|(d, ..)| *d == document).collect();
            if here.is_empty() {
                prop_assert_eq!(before.text, after.text);
                continue;
            }
            let mut intended = read(before.text);
            for (_, items, _) in here {
                intend_object(object(&mut intended, items).unwrap());
            }
            prop_assert_eq!(read(after.text), intended, "{}\n{}", text, edited);
        }
    }

    #[test]
    fn json_stays_json_and_reads_as_intended(
        bytes in prop::collection::vec(any::<u8>(), 0..200)
    ) {
        let mut writer = Writer::new(bytes);
        let mut intended = Vec::new();
        let mut text = String::new();
        for _ in 0..=writer.choices.below(3) {
            let policy = writer.policy();
            let written = if writer.choices.one_in(2) {
                serde_json::to_string_pretty(&policy)
            } else {
                serde_json::to_string(&policy)
            };
            text.push_str(&written.unwrap());
            text.push_str(writer.choices.pick(&["\n", "\r\n\r\n", " "]));
            intended.push(policy);
        }
        let (edited, done) = open_all(&text, Format::Json);
        prop_assert_eq!(done.len(), open_tunnel(&text, Format::Json).len(), "{}", text);
        for value in &mut intended {
            intend_object(value);
        }
        let read = serde_json::Deserializer::from_str(&edited).into_iter::<Value>();
        let read: Vec<Value> = read.collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(read, intended);
        prop_assert!(is_subsequence(&text, &edited));
    }
}

#[test]
fn text_with_what_few_people_write_is_edited_as_well_as_refused() {
    let (mut edited, mut refused) = (0, 0);
    let mut state = 1_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[2]
    };
    for _ in 0..600 {
        let mut bytes = || (0..300).map(|_| byte()).collect();
        let policies = Writer::policies(bytes());
        let (bytes, next) = (bytes(), 0);
        let text = spoil(&policies, &mut Choices { bytes, next });
        let all = open_tunnel(&text, Format::Yaml).len();
        let (_, done) = open_all(&text, Format::Yaml);
        edited += done.len();
        refused += all - done.len();
    }
    assert!(
        edited > 100 && refused > 25,
        "{edited} edited, {refused} refused"
    );
}
