//! Inserting between brackets and braces: flow collections, and all of JSON.

use serde_json::Value;

use crate::yaml::{Format, NodeKind, View};

use super::Refusal;
use super::example::{child, is_flow, key_like, last_child, ordered, quotes};
use super::layout::Page;
use super::place::{Lines, Place, bounds};
use super::scalar::{self, Context, Quotes};
use super::splice::Insertion;
use super::target::Added;

/// Writes values in flow style, as the text around does.
#[derive(Debug, Clone)]
pub(super) struct Flow<'t> {
    page: Page<'t>,
    format: Format,
    colon: Option<&'t str>,
    comma: Option<&'t str>,
    brace_padding: Option<&'t str>,
    bracket_padding: Option<&'t str>,
}

/// An entry of a collection to be written: its key, its value, and the node it is modelled on.
type Part<'v, 'd> = (Option<String>, &'v Value, Option<View<'d>>);

impl<'t> Flow<'t> {
    /// A writer that follows the first of the given nodes that shows a trait of style.
    pub(super) fn like<'d>(
        page: Page<'t>,
        format: Format,
        examples: impl IntoIterator<Item = View<'d>>,
    ) -> Self {
        let mut flow = Self {
            page,
            format,
            colon: None,
            comma: None,
            brace_padding: None,
            bracket_padding: None,
        };
        for example in examples {
            if is_flow(example) {
                flow.observe(example);
            }
        }
        flow
    }

    fn observe(&mut self, example: View<'_>) {
        let bounds = bounds(&self.page, example, 2);
        if let Some((key, value)) = example.written_entries().next() {
            let between = self.page.slice(key.span().end, value.span().start);
            let is_colon = between.trim_matches(' ') == ":" && !value.span().is_empty();
            self.colon = self.colon.or(is_colon.then_some(between));
        }
        if let [(_, end), (start, _)] = bounds.as_slice() {
            let between = self.page.slice(*end, *start);
            let is_comma = between.trim_matches(' ') == ",";
            self.comma = self.comma.or(is_comma.then_some(between));
        }
        if let Some((start, _)) = bounds.first() {
            let padding = self.page.slice(example.span().start + 1, *start);
            let padding = padding.trim_matches(' ').is_empty().then_some(padding);
            match example.kind() {
                NodeKind::Mapping => self.brace_padding = self.brace_padding.or(padding),
                _ => self.bracket_padding = self.bracket_padding.or(padding),
            }
        }
    }

    /// Writes a value. A collection that is modelled on one that is spread over lines is spread
    /// too.
    pub(super) fn value(
        &self,
        out: &mut String,
        value: &Value,
        like: Option<View<'_>>,
        lines: &Lines<'_>,
    ) {
        match value {
            Value::Object(entries) if !entries.is_empty() => {
                let parts = ordered(entries, like)
                    .into_iter()
                    .map(|(key, value)| (Some(self.key(key, like)), value, child(like, key)))
                    .collect();
                self.collection(out, ('{', '}'), parts, like, lines);
            }
            Value::Array(items) if !items.is_empty() => {
                let example = like.and_then(|l| l.items().next_back());
                let parts = items.iter().map(|item| (None, item, example)).collect();
                self.collection(out, ('[', ']'), parts, like, lines);
            }
            Value::String(text) => out.push_str(&self.string(text, like)),
            // Numbers, booleans, null, `{}` and `[]` are the same in JSON and YAML.
            _ => out.push_str(&value.to_string()),
        }
    }

    fn collection(
        &self,
        out: &mut String,
        (open, close): (char, char),
        parts: Vec<Part<'_, '_>>,
        like: Option<View<'_>>,
        lines: &Lines<'_>,
    ) {
        let example = like.filter(|l| is_flow(*l) && !bounds(&self.page, *l, 1).is_empty());
        let spread = example.map_or(lines.spread, |l| self.is_spread(l));
        let padding = match open {
            '{' => self.brace_padding,
            _ => self.bracket_padding,
        };
        let padding = padding.unwrap_or("");
        let inner = if spread {
            lines.deeper()
        } else {
            Lines {
                spread: false,
                ..lines.clone()
            }
        };
        out.push(open);
        for (i, (key, value, like)) in parts.into_iter().enumerate() {
            match (spread, i) {
                (true, 0) => self.line(out, "", &inner),
                (true, _) => self.line(out, ",", &inner),
                (false, 0) => out.push_str(padding),
                (false, _) => out.push_str(self.comma()),
            }
            if let Some(key) = key {
                out.push_str(&key);
                out.push_str(self.colon(&key));
            }
            self.value(out, value, like, &inner);
        }
        if spread {
            self.line(out, "", lines);
        } else {
            out.push_str(padding);
        }
        out.push(close);
    }

    #[expect(clippy::unused_self, reason = "reads as one of the writer's moves")]
    fn line(&self, out: &mut String, before: &str, lines: &Lines<'_>) {
        out.push_str(before);
        out.push_str(lines.ending);
        out.push_str(&lines.indent);
    }

    fn is_spread(&self, example: View<'_>) -> bool {
        let first = bounds(&self.page, example, 1);
        first
            .first()
            .is_some_and(|(start, _)| self.page.slice(example.span().start, *start).contains('\n'))
    }

    fn comma(&self) -> &'t str {
        // Text without a space after a colon has none after a comma either.
        let tight = self.colon.is_some_and(|colon| colon.ends_with(':'));
        self.comma.unwrap_or(if tight { "," } else { ", " })
    }

    fn colon(&self, key: &str) -> &'t str {
        match self.colon {
            // Without a space the colon would be part of a plain key.
            Some(colon) if colon.ends_with(' ') || key.ends_with('"') => colon,
            _ => ": ",
        }
    }

    fn string(&self, text: &str, like: Option<View<'_>>) -> String {
        if self.format == Format::Json {
            return Value::from(text).to_string();
        }
        let quotes = like.map_or(Quotes::AsNeeded, |l| quotes(&self.page, l));
        scalar::string(text, quotes, Context::Flow)
    }

    fn key(&self, key: &str, like: Option<View<'_>>) -> String {
        if self.format == Format::Json {
            return Value::from(key).to_string();
        }
        key_like(&self.page, key, like, Context::Flow)
    }

    /// Inserts into a flow collection.
    pub(super) fn insert(
        &self,
        container: View<'_>,
        added: &Added,
    ) -> Result<Vec<Insertion>, Refusal> {
        let text = self.page.text(container);
        if !text.starts_with(['[', '{']) {
            let reason = "a single `key: value` between brackets cannot be added to";
            return Err(Refusal::new(container.line(), reason));
        }
        let Some(place) = Place::find(&self.page, container)? else {
            return Ok(self.insert_first(container, added));
        };
        let lines = self.lines(&place, container);
        let example = last_child(container);
        let entries = self.parts(container, added, example, &lines);
        Ok(place.insert(&self.page, &entries, self.comma(), &lines))
    }

    fn parts(
        &self,
        container: View<'_>,
        added: &Added,
        example: Option<View<'_>>,
        lines: &Lines<'_>,
    ) -> Vec<String> {
        let write = |key: Option<String>, value, like| {
            let mut out = String::new();
            if let Some(key) = key {
                out.push_str(&key);
                out.push_str(self.colon(&key));
            }
            self.value(&mut out, value, like, lines);
            out
        };
        match added {
            Added::Items(items) => items
                .iter()
                .map(|item| write(None, item, example))
                .collect(),
            Added::Entries(entries) => entries
                .iter()
                .map(|(key, value)| {
                    // Only the quotes of a neighbouring scalar are followed.
                    let like = example.filter(|e| e.kind() == NodeKind::Scalar);
                    write(Some(self.key(key, Some(container))), value, like)
                })
                .collect(),
        }
    }

    fn lines(&self, place: &Place, container: View<'_>) -> Lines<'t> {
        let page = &self.page;
        let indent = page.indentation(place.last_start);
        let inside = last_child(container)
            .filter(|last| is_flow(*last))
            .and_then(|last| bounds(page, last, 1).first().copied())
            .and_then(|(start, _)| page.indentation(start).strip_prefix(indent));
        let outer = page.indentation(container.span().start);
        let unit = [inside, indent.strip_prefix(outer)];
        let unit = unit
            .into_iter()
            .flatten()
            .find(|s| !s.is_empty())
            .unwrap_or("  ");
        Lines {
            ending: page.line_ending(container.span().start),
            indent: indent.to_owned(),
            unit: unit.to_owned(),
            spread: place.own_line && self.format == Format::Json,
        }
    }

    /// Inserts into `{}`.
    fn insert_first(&self, container: View<'_>, added: &Added) -> Vec<Insertion> {
        let start = container.span().start + 1;
        let inner = self
            .page
            .slice(start, container.span().end.saturating_sub(1));
        let lines = Lines {
            ending: self.page.line_ending(start),
            indent: self.page.indentation(start).to_owned(),
            unit: "  ".to_owned(),
            spread: false,
        };
        let entries = self.parts(container, added, None, &lines);
        if inner.contains('\n') {
            let inner = lines.deeper();
            let separator = format!(",{}{}", lines.ending, inner.indent);
            let text = format!(
                "{}{}{}",
                lines.ending,
                inner.indent,
                entries.join(&separator)
            );
            return vec![Insertion::new(start, text)];
        }
        let text = format!("{}{inner}", entries.join(self.comma()));
        vec![Insertion::new(start + inner.len(), text)]
    }
}
