//! Inserting lines: block collections.

use serde_json::Value;

use crate::yaml::{Format, NodeKind, View};

use super::Refusal;
use super::example;
use super::flow::Flow;
use super::layout::{Dash, Page};
use super::place::Lines;
use super::scalar::{self, Context, Quotes};
use super::splice::Insertion;
use super::target::Added;

/// How a document indents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nesting {
    /// Columns by which a mapping is deeper than the key that it stands under.
    pub(super) mapping: usize,
    /// Columns by which a list's dashes are deeper than the key that it stands under.
    pub(super) dash: usize,
}

impl Nesting {
    /// What kubectl prints.
    pub(super) const KUBECTL: Self = Self {
        mapping: 2,
        dash: 0,
    };

    /// What a document does in most places; where it shows nothing, as kubectl.
    pub(super) fn of(page: &Page<'_>, root: View<'_>) -> Self {
        let mut counts = Counts::default();
        counts.visit(page, root);
        Self {
            mapping: most(&counts.mapping).unwrap_or(Self::KUBECTL.mapping),
            dash: most(&counts.dash).unwrap_or(Self::KUBECTL.dash),
        }
    }
}

/// How often each indentation occurs; the widest counted is seven columns.
#[derive(Default)]
struct Counts {
    mapping: [usize; 8],
    dash: [usize; 8],
}

impl Counts {
    /// Aliases are not followed and flow collections not entered, so this takes time linear in
    /// the text.
    fn visit(&mut self, page: &Page<'_>, node: View<'_>) {
        if node.is_alias() || example::is_flow(node) {
            return;
        }
        for item in node.items() {
            self.visit(page, item);
        }
        for (key, value) in node.written_entries() {
            let is_block = !value.is_alias() && !example::is_flow(value);
            let counted = match value.kind() {
                NodeKind::Mapping if is_block => {
                    Some((&mut self.mapping, value.column() as usize - 1))
                }
                NodeKind::Sequence if is_block => value
                    .items()
                    .next()
                    .and_then(|item| page.dash(item))
                    .map(|dash| (&mut self.dash, dash.column)),
                _ => None,
            };
            if let Some((counts, column)) = counted
                && let Some(deeper) = (column + 1).checked_sub(key.column() as usize)
                && let Some(count) = counts.get_mut(deeper)
            {
                *count += 1;
            }
            self.visit(page, value);
        }
    }
}

fn most(counts: &[usize]) -> Option<usize> {
    let most = counts.iter().max().filter(|&&count| count > 0)?;
    counts.iter().position(|count| count == most)
}

/// Writes values in block style.
#[derive(Debug)]
pub(super) struct Block<'t> {
    /// The text that examples are taken from, and the style for what is written in one line.
    pub(super) example: Option<(Page<'t>, Flow<'t>)>,
    pub(super) nesting: Nesting,
    pub(super) line_ending: &'t str,
}

impl Block<'_> {
    /// Writes a value whose first character is at `column`.
    pub(super) fn value(
        &self,
        out: &mut String,
        value: &Value,
        like: Option<View<'_>>,
        column: usize,
    ) {
        let like = like.filter(|l| !l.is_alias());
        match value {
            Value::Object(entries)
                if !entries.is_empty() && !like.is_some_and(example::is_flow) =>
            {
                for (i, (key, value)) in example::ordered(entries, like).into_iter().enumerate() {
                    if i > 0 {
                        self.line(out, column);
                    }
                    self.entry(out, (key, value), like, example::child(like, key), column);
                }
            }
            Value::Array(items) if !items.is_empty() && !like.is_some_and(example::is_flow) => {
                let example = like.and_then(|l| l.items().next_back());
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        self.line(out, column);
                    }
                    out.push_str("- ");
                    self.value(out, item, example, column + 2);
                }
            }
            _ => self.inline(out, value, like),
        }
    }

    /// Writes a key at `column` and its value.
    fn entry(
        &self,
        out: &mut String,
        (key, value): (&str, &Value),
        siblings: Option<View<'_>>,
        like: Option<View<'_>>,
        column: usize,
    ) {
        let key = match &self.example {
            Some((page, _)) => example::key_like(page, key, siblings, Context::Block),
            None => scalar::string(key, Quotes::AsNeeded, Context::Block),
        };
        out.push_str(&key);
        out.push(':');
        let deeper = match value {
            _ if like.is_some_and(example::is_flow) => None,
            Value::Object(entries) if !entries.is_empty() => Some(self.nesting.mapping),
            Value::Array(items) if !items.is_empty() => Some(self.nesting.dash),
            _ => None,
        };
        if let Some(deeper) = deeper {
            self.line(out, column + deeper);
            self.value(out, value, like, column + deeper);
        } else {
            out.push(' ');
            self.inline(out, value, like.filter(|l| !l.is_alias()));
        }
    }

    fn inline(&self, out: &mut String, value: &Value, like: Option<View<'_>>) {
        match (value, &self.example) {
            (Value::String(text), Some((page, _))) => {
                let quotes = like.map_or(Quotes::AsNeeded, |l| example::quotes(page, l));
                out.push_str(&scalar::string(text, quotes, Context::Block));
            }
            (Value::String(text), None) => {
                out.push_str(&scalar::string(text, Quotes::AsNeeded, Context::Block));
            }
            (Value::Object(_) | Value::Array(_), Some((page, flow))) => {
                let lines = Lines::like(page, self.line_ending, like);
                flow.value(out, value, like, &lines);
            }
            _ => out.push_str(&value.to_string()),
        }
    }

    fn line(&self, out: &mut String, column: usize) {
        out.push_str(self.line_ending);
        out.extend(std::iter::repeat_n(' ', column));
    }
}

/// Inserts into a block collection. `chain` leads from the root to it.
pub(super) fn insert(
    page: Page<'_>,
    nesting: Nesting,
    chain: &[View<'_>],
    added: &Added,
) -> Result<Vec<Insertion>, Refusal> {
    let Some(&container) = chain.last() else {
        return Ok(Vec::new());
    };
    let end = page.content_end(container);
    let line_ending = page.line_ending(end);
    let example = example::last_child(container);
    let examples = example.into_iter().chain(chain.iter().rev().copied());
    let flow = Flow::like(page, Format::Yaml, examples);
    let block = Block {
        example: Some((page, flow)),
        nesting,
        line_ending,
    };
    let (column, lines) = match added {
        Added::Items(items) => {
            let dash = example.and_then(|item| page.dash(item)).ok_or_else(|| {
                let reason = "the dashes of the list are written in a way that is not understood";
                Refusal::new(container.line(), reason)
            })?;
            let write = |item| block.item(item, example, dash);
            (dash.column, items.iter().map(write).collect::<Vec<_>>())
        }
        Added::Entries(entries) => {
            let column = page.before_on_line(container.span().start).chars().count();
            let write = |(key, value): &(String, Value)| {
                let mut out = " ".repeat(column);
                let like = example.filter(|e| e.kind() == NodeKind::Scalar);
                block.entry(&mut out, (key, value), Some(container), like, column);
                out
            };
            (column, entries.iter().map(write).collect())
        }
    };
    let offset = page.line_after(end, column);
    let mut text = lines.join(line_ending);
    let starts_line = page.before_on_line(offset).is_empty();
    if starts_line {
        text.push_str(line_ending);
    } else {
        text.insert_str(0, line_ending);
    }
    Ok(vec![Insertion::new(offset, text)])
}

impl Block<'_> {
    fn item(&self, item: &Value, like: Option<View<'_>>, dash: Dash) -> String {
        let mut out = " ".repeat(dash.column);
        out.push('-');
        let is_block = match item {
            Value::Object(entries) => !entries.is_empty(),
            _ => false,
        };
        let column = match (dash.gap, like) {
            // The neighbour starts on the line after its dash.
            (None, Some(like)) if is_block && !example::is_flow(like) => {
                let column = (like.column() as usize).saturating_sub(1);
                self.line(&mut out, column);
                column
            }
            (gap, _) => {
                let gap = gap.unwrap_or(1);
                out.extend(std::iter::repeat_n(' ', gap));
                dash.column + 1 + gap
            }
        };
        self.value(&mut out, item, like, column);
        out
    }
}
