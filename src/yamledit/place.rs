//! The end of a flow collection: where its last entry is, what follows it, and how its lines are
//! written.

use crate::yaml::View;

use super::Refusal;
use super::layout::{Page, is_blank};
use super::splice::Insertion;

/// How collections that are spread over lines are written.
#[derive(Debug, Clone)]
pub(super) struct Lines<'t> {
    pub(super) ending: &'t str,
    /// White space before the line on which the value starts.
    pub(super) indent: String,
    /// White space added by each level.
    pub(super) unit: String,
    /// Whether a collection without example is spread over lines.
    pub(super) spread: bool,
}

impl<'t> Lines<'t> {
    /// For a value in one line, or spread as its example is.
    pub(super) fn like(page: &Page<'t>, ending: &'t str, example: Option<View<'_>>) -> Self {
        let indent = example.map_or("", |e| page.indentation(e.span().start));
        let unit = example
            .and_then(|e| bounds(page, e, 1).first().copied())
            .and_then(|(start, _)| page.indentation(start).strip_prefix(indent))
            .filter(|unit| !unit.is_empty());
        Self {
            ending,
            indent: indent.to_owned(),
            unit: unit.unwrap_or("  ").to_owned(),
            spread: false,
        }
    }

    pub(super) fn deeper(&self) -> Self {
        let indent = format!("{}{}", self.indent, self.unit);
        Self {
            indent,
            ..self.clone()
        }
    }
}

/// Where the new last entry of a flow collection goes.
pub(super) struct Place {
    /// Where the last entry starts.
    pub(super) last_start: usize,
    last_end: usize,
    /// Just after the comma that follows the last entry.
    after_comma: Option<usize>,
    /// Whether the last entry stands at the start of its line.
    pub(super) own_line: bool,
}

impl Place {
    /// Finds the place; `None` in an empty collection.
    pub(super) fn find(page: &Page<'_>, container: View<'_>) -> Result<Option<Self>, Refusal> {
        let Some((last_start, last_end)) = last_bounds(page, container) else {
            return Ok(None);
        };
        let close = container.span().end.saturating_sub(1);
        let mut offset = last_end;
        let mut after_comma = None;
        let mut rest = page.slice(last_end, close);
        while let Some(c) = rest.chars().next() {
            let length = match c {
                '#' => rest.find('\n').unwrap_or(rest.len()),
                ',' if after_comma.is_none() => {
                    after_comma = Some(offset + 1);
                    1
                }
                c if c.is_whitespace() => c.len_utf8(),
                _ => {
                    let reason = "the end of the list is written in a way that is not understood";
                    return Err(Refusal::new(container.line(), reason));
                }
            };
            offset += length;
            rest = rest.get(length..).unwrap_or("");
        }
        let own_line = is_blank(page.before_on_line(last_start));
        Ok(Some(Self {
            last_start,
            last_end,
            after_comma,
            own_line,
        }))
    }

    /// Insertions that put written entries there.
    pub(super) fn insert(
        &self,
        page: &Page<'_>,
        entries: &[String],
        comma: &str,
        lines: &Lines<'_>,
    ) -> Vec<Insertion> {
        let anchor = self.after_comma.unwrap_or(self.last_end);
        let trailing = self.after_comma.is_some();
        if !self.own_line {
            let after_comma = comma.split_once(',').map_or(" ", |(_, after)| after);
            let (before, after) = if trailing {
                (after_comma, ",")
            } else {
                (comma, "")
            };
            let parts = entries
                .iter()
                .flat_map(|entry| [before, entry.as_str(), after]);
            let text = parts.collect();
            return vec![Insertion::new(anchor, text)];
        }
        let next = page.next_line(anchor);
        let rest = page.slice(anchor, next).trim_start();
        let separator = format!(",{}{}", lines.ending, lines.indent);
        let joined = entries.join(&separator);
        let last_comma = if trailing { "," } else { "" };
        if !(rest.is_empty() || rest.starts_with('#')) {
            let first = if trailing {
                separator.trim_start_matches(',')
            } else {
                &separator
            };
            return vec![Insertion::new(
                anchor,
                format!("{first}{joined}{last_comma}"),
            )];
        }
        let column = lines.indent.chars().count();
        let line = Insertion::new(
            page.line_after(anchor, column),
            format!("{}{joined}{last_comma}{}", lines.indent, lines.ending),
        );
        if trailing {
            vec![line]
        } else {
            vec![Insertion::new(self.last_end, ",".to_owned()), line]
        }
    }
}

/// Offsets at which the first entries of a flow collection start and end.
pub(super) fn bounds(page: &Page<'_>, node: View<'_>, limit: usize) -> Vec<(usize, usize)> {
    let items = node
        .items()
        .map(|item| (item.span().start, page.content_end(item)));
    let entries = node
        .written_entries()
        .map(|(key, value)| (key.span().start, page.entry_end(key, value)));
    items.chain(entries).take(limit).collect()
}

fn last_bounds(page: &Page<'_>, node: View<'_>) -> Option<(usize, usize)> {
    let item = node
        .items()
        .next_back()
        .map(|item| (item.span().start, page.content_end(item)));
    item.or_else(|| {
        let (key, value) = node.written_entries().next_back()?;
        Some((key.span().start, page.entry_end(key, value)))
    })
}
