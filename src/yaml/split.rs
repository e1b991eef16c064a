//! Cutting a YAML stream into documents.

/// One document of a stream, as a piece of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'t> {
    /// Text from the document's first line (directives and `---` included) up to the next
    /// document's.
    pub text: &'t str,
    /// Byte offset of `text` in the stream.
    pub offset: usize,
    /// One-based line at which `text` starts.
    pub line: u32,
}

/// Cuts a stream at its document markers.
///
/// A line that begins with `---` or `...` and ends there or goes on with white space always
/// delimits documents, whatever scalar it may stand in (YAML 1.2.2, rule `c-forbidden`), so the
/// cut needs no parser. A byte order mark is skipped. Comments and directives before the first
/// marker belong to the document that the marker opens.
pub fn split(stream: &str) -> Vec<Chunk<'_>> {
    let body = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let base = stream.len() - body.len();
    let mut chunks = Vec::new();
    let mut start = (0, 1);
    let mut has_content = false;
    let mut offset = 0;
    for (line, text) in (1u32..).zip(body.split_inclusive('\n')) {
        if is_marker(text, "---") {
            if has_content {
                push(&mut chunks, body, start, offset, base);
                start = (offset, line);
            }
            has_content = true;
        } else if is_marker(text, "...") {
            let end = offset + text.len();
            if has_content {
                push(&mut chunks, body, start, end, base);
            }
            start = (end, line + 1);
            has_content = false;
        } else if !has_content {
            let trimmed = text.trim_start();
            has_content =
                !(trimmed.is_empty() || trimmed.starts_with('#') || text.starts_with('%'));
        }
        offset += text.len();
    }
    if has_content {
        push(&mut chunks, body, start, offset, base);
    }
    chunks
}

fn push<'t>(
    chunks: &mut Vec<Chunk<'t>>,
    body: &'t str,
    (start, line): (usize, u32),
    end: usize,
    base: usize,
) {
    chunks.push(Chunk {
        text: &body[start..end],
        offset: base + start,
        line,
    });
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.chars().next().is_none_or(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(stream: &str) -> Vec<(&str, u32)> {
        split(stream)
            .into_iter()
            .map(|c| (c.text, c.line))
            .collect()
    }

    #[test]
    fn documents_are_cut_at_markers_in_column_zero() {
        assert_eq!(
            texts("# c\na: |\n  ---\n--- # two\nb: 1\n---\n---\nc: 2"),
            [
                ("# c\na: |\n  ---\n", 1),
                ("--- # two\nb: 1\n", 4),
                ("---\n", 6),
                ("---\nc: 2", 7)
            ]
        );
    }

    #[test]
    fn directives_and_comments_open_the_document_that_follows() {
        assert_eq!(
            texts("# c\n%YAML 1.2\n---\na: 1\n"),
            [("# c\n%YAML 1.2\n---\na: 1\n", 1)]
        );
    }

    #[test]
    fn an_end_marker_ends_a_document() {
        assert_eq!(
            texts("a: 1\n...\n# c\n%YAML 1.2\n---\nb: 2\n"),
            [("a: 1\n...\n", 1), ("# c\n%YAML 1.2\n---\nb: 2\n", 3)]
        );
    }

    #[test]
    fn a_byte_order_mark_counts_in_offsets_only() {
        let chunks = split("\u{feff}a: 1\n---\nb: 2\n");
        assert_eq!(chunks.iter().map(|c| c.offset).collect::<Vec<_>>(), [3, 8]);
        assert_eq!(split("\u{feff}"), []);
    }

    #[test]
    fn a_longer_dash_line_is_no_marker() {
        assert_eq!(texts("----\n"), [("----\n", 1)]);
        assert_eq!(
            texts("a: 1\r\n---\r\nb: 2\r\n"),
            [("a: 1\r\n", 1), ("---\r\nb: 2\r\n", 2)]
        );
    }
}
