//! Reading the layout around a node: where its text ends, where a list's dashes stand, how lines
//! end.

use crate::yaml::{Chunk, NodeKind, Style, View};

/// The text of one document, addressed by offsets in the stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page<'t> {
    chunk: Chunk<'t>,
    /// The end of the first line of the stream, for lines that have none.
    line_ending: &'t str,
}

/// The dash of a block list's item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dash {
    /// Column of the dash, zero-based.
    pub(super) column: usize,
    /// Spaces between dash and item; `None` when the item starts on a later line.
    pub(super) gap: Option<usize>,
}

impl<'t> Page<'t> {
    /// The page of a document in a stream.
    pub(super) fn new(chunk: Chunk<'t>, line_ending: &'t str) -> Self {
        Self { chunk, line_ending }
    }

    /// Text between two offsets of the stream; empty when they are not on the page.
    pub(super) fn slice(&self, start: usize, end: usize) -> &'t str {
        let base = self.chunk.offset;
        start
            .checked_sub(base)
            .zip(end.checked_sub(base))
            .and_then(|(start, end)| self.chunk.text.get(start..end))
            .unwrap_or("")
    }

    /// The text of a node.
    pub(super) fn text(&self, node: View<'_>) -> &'t str {
        self.slice(node.span().start, node.span().end)
    }

    /// Text from an offset on.
    pub(super) fn after(&self, offset: usize) -> &'t str {
        self.slice(offset, self.end())
    }

    /// The end of the page.
    pub(super) fn end(&self) -> usize {
        self.chunk.offset + self.chunk.text.len()
    }

    /// The part of the line before an offset.
    pub(super) fn before_on_line(&self, offset: usize) -> &'t str {
        let before = self.slice(self.chunk.offset, offset);
        before.rsplit('\n').next().unwrap_or("")
    }

    /// The start of the line after the one with this offset, or the end of the page.
    pub(super) fn next_line(&self, offset: usize) -> usize {
        let rest = self.after(offset);
        offset + rest.find('\n').map_or(rest.len(), |i| i + 1)
    }

    /// White space at the start of the line with this offset.
    pub(super) fn indentation(&self, offset: usize) -> &'t str {
        let start = offset - self.before_on_line(offset).len();
        let line = self.after(start);
        let text = line.trim_start_matches([' ', '\t']);
        self.slice(start, start + line.len() - text.len())
    }

    /// How the line with this offset ends, or lines of the stream do.
    pub(super) fn line_ending(&self, offset: usize) -> &'t str {
        let rest = self.after(offset);
        match rest.split_inclusive('\n').next() {
            Some(line) if line.ends_with("\r\n") => "\r\n",
            Some(line) if line.ends_with('\n') => "\n",
            _ => self.line_ending,
        }
    }

    /// The offset at which the text of a node ends: without white space and comments after it.
    pub(super) fn content_end(&self, node: View<'_>) -> usize {
        if node.is_block_scalar() {
            return self.block_scalar_end(node);
        }
        let span = node.span();
        if node.is_alias() || node.style() != Style::Block {
            return span.end;
        }
        match node.kind() {
            NodeKind::Scalar => span.end,
            NodeKind::Sequence => node
                .items()
                .next_back()
                .map_or(span.end, |i| self.content_end(i)),
            NodeKind::Mapping => node
                .written_entries()
                .next_back()
                .map_or(span.end, |(k, v)| self.entry_end(k, v)),
        }
    }

    /// The offset at which a mapping's entry ends.
    pub(super) fn entry_end(&self, key: View<'_>, value: View<'_>) -> usize {
        let (key_end, start) = (key.span().end, value.span().start);
        // `? key` without a value: the null is placed where the next token starts.
        let absent = value.span().is_empty()
            && !value.is_block_scalar()
            && self.slice(key_end, start).contains('\n');
        if absent {
            return key_end;
        }
        self.content_end(value)
    }

    fn block_scalar_end(&self, node: View<'_>) -> usize {
        let span = node.span();
        let text = self.text(node);
        let before = self.slice(self.chunk.offset, span.start);
        let header_end = self.chunk.offset + before.trim_end().len();
        if keeps_line_breaks(self.before_on_line(header_end)) {
            // Blank lines at the end are part of the scalar.
            let after = self.slice(header_end, span.end);
            let complete = after
                .rfind('\n')
                .filter(|&i| after.get(i..).is_some_and(is_blank));
            return complete.map_or(span.end, |i| header_end + i);
        }
        let indent = self.before_on_line(span.start).len();
        let mut end = header_end;
        let mut offset = span.start;
        for line in text.split_inclusive('\n') {
            let content = line.trim_end_matches(['\n', '\r']);
            let is_first = offset == span.start;
            if !is_blank(content) || (!is_first && content.len() > indent) {
                end = offset + content.len();
            }
            offset += line.len();
        }
        end
    }

    /// The dash of a list's item; `None` when the layout is not understood.
    pub(super) fn dash(&self, item: View<'_>) -> Option<Dash> {
        let start = item.span().start;
        let mut offset = start;
        loop {
            let line = self.before_on_line(offset);
            let line_start = offset - line.len();
            let on_item_line = offset == start;
            let mut text = line;
            if !on_item_line || item.span().is_empty() {
                text = without_comment(line);
            }
            text = without_properties(text.trim_end());
            if let Some(indent) = text.strip_suffix('-')
                && (indent.is_empty() || indent.ends_with([' ', '-']))
            {
                let column = indent.chars().count();
                let after = self.slice(line_start + text.len(), start);
                if after.contains('\t') {
                    return None;
                }
                let spaces = after.len() - after.trim_start_matches(' ').len();
                let starts_here = on_item_line && !item.span().is_empty();
                let gap = match (starts_here, item.span().is_empty()) {
                    (true, _) => Some(spaces.max(1)),
                    (false, true) => Some(1),
                    (false, false) => None,
                };
                return Some(Dash { column, gap });
            }
            if !text.is_empty() || line_start == self.chunk.offset {
                return None;
            }
            offset = line_start - 1;
        }
    }

    /// Where lines that follow a node are inserted: after the line on which it ends, and after
    /// comments that clearly belong to it, because they continue the comment on that line or are
    /// indented deeper than `column`.
    pub(super) fn line_after(&self, end: usize, column: usize) -> usize {
        let mut next = self.next_line(end);
        let trailing = self.slice(end, next);
        let comment_column = trailing
            .find('#')
            .map(|i| self.before_on_line(end + i).chars().count());
        while next < self.end() {
            let line = self.slice(next, self.next_line(next));
            let text = line.trim_start_matches(' ');
            let indent = line.len() - text.len();
            let belongs = indent > column || Some(indent) == comment_column;
            if !text.starts_with('#') || !belongs {
                break;
            }
            next += line.len();
        }
        next
    }
}

/// Whether text is nothing but white space.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}

/// Whether the header of a block scalar, at the end of this line, has the indicator `+`.
fn keeps_line_breaks(line: &str) -> bool {
    line.match_indices(['|', '>']).any(|(i, indicator)| {
        let starts = line
            .get(..i)
            .is_none_or(|b| b.is_empty() || b.ends_with([' ', '\t', '-']));
        let rest = line.get(i + indicator.len()..).unwrap_or("");
        let modifiers = rest.len()
            - rest
                .trim_start_matches(|c: char| "+-0123456789".contains(c))
                .len();
        let (modifiers, rest) = rest.split_at(modifiers);
        let rest_is_comment =
            is_blank(rest) || (rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#'));
        starts && rest_is_comment && modifiers.contains('+')
    })
}

fn without_comment(line: &str) -> &str {
    let comment = line.match_indices('#').find(|&(i, _)| {
        line.get(..i)
            .is_some_and(|b| b.is_empty() || b.ends_with([' ', '\t']))
    });
    comment.and_then(|(i, _)| line.get(..i)).unwrap_or(line)
}

/// Cuts anchors and tags off the end of a line.
fn without_properties(line: &str) -> &str {
    let mut line = line;
    while let Some((before, word)) = line.rsplit_once([' ', '\t'])
        && word.starts_with(['&', '!'])
    {
        line = before.trim_end();
    }
    line
}
