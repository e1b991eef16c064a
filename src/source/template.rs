//! Telling templates of Helm from manifests.

use crate::yaml::{Chunk, Document, SyntaxError};

/// The line of a template action that explains why a document does not parse: without its actions
/// it does, or fails somewhere else. `None` when the error has another cause, whatever braces
/// there are, in block scalars for example.
pub(super) fn explains(chunk: Chunk<'_>, error: &SyntaxError) -> Option<u32> {
    let first = chunk.text.find("{{")?;
    let text = without_actions(chunk.text);
    let plain = Chunk {
        text: &text,
        ..chunk
    };
    if let Err(other) = Document::parse(plain)
        && (other.line, other.column) == (error.line, error.column)
    {
        return None;
    }
    let until_error = (chunk.line..)
        .zip(chunk.text.lines())
        .take_while(|(line, _)| *line <= error.line)
        .filter(|(_, text)| text.contains("{{"));
    let at = until_error.map(|(line, _)| line).last();
    at.or_else(|| {
        let before = chunk.text.get(..first)?;
        let lines = before.split('\n').count() - 1;
        Some(chunk.line.saturating_add(u32::try_from(lines).ok()?))
    })
}

/// The text with every `{{ … }}` replaced: by nothing where it stands alone in its lines, else by
/// a word of the same length in bytes.
fn without_actions(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, after) = after.split_once("}}").unwrap_or((after, ""));
        out.push_str(before);
        let starts_line = out.lines().last().is_none_or(|l| l.trim().is_empty());
        let starts_line = starts_line || out.ends_with('\n');
        let ends_line = after.split('\n').next().is_none_or(|l| l.trim().is_empty());
        let fill = if starts_line && ends_line { ' ' } else { 'x' };
        out.extend(std::iter::repeat_n(fill, 2));
        out.extend(action.chars().map(|c| if c == '\n' { c } else { fill }));
        out.extend(std::iter::repeat_n(fill, 2));
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::split;

    fn explained(text: &str) -> Option<u32> {
        let chunk = split(text)[0];
        explains(chunk, &Document::parse(chunk).unwrap_err())
    }

    #[test]
    fn actions_are_taken_out_with_their_lines_kept() {
        assert_eq!(
            without_actions("a: {{ .x }}-y\n  {{- if\n .z }}\nb: 1\n"),
            "a: xxxxxxxx-y\n        \n      \nb: 1\n"
        );
    }

    #[test]
    fn a_template_is_told_by_what_its_actions_break() {
        assert_eq!(explained("{{- if .x }}\na: 1\n{{- end }}\n"), Some(1));
        assert_eq!(explained("a:\n  b: {{ .x }}\n"), Some(2));
        assert_eq!(
            explained("a:\n  {{- include \"x\" . | nindent 2 }}\nb: 1\n"),
            Some(2)
        );
    }

    #[test]
    fn braces_in_a_block_scalar_explain_nothing() {
        assert_eq!(explained("a: |\n  {{ .x }}\nb: [\n"), None);
        assert_eq!(explained("a: [\n"), None);
    }
}
