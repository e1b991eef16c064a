//! Telling templates of Helm from manifests.

/// How far before the place where a parser gives up the braces may stand.
const REACH: u32 = 3;

/// The line of template braces that explain why a parser gave up at `error_line`. Both lines are
/// one-based; the text starts at line `first`.
pub(super) fn near(text: &str, first: u32, error_line: u32) -> Option<u32> {
    let from = error_line.saturating_sub(REACH);
    (first..)
        .zip(text.lines())
        .skip_while(|(line, _)| *line < from)
        .take_while(|(line, _)| *line <= error_line)
        .find(|(_, text)| has_braces(text))
        .map(|(line, _)| line)
}

/// Whether `{{` stands in a line outside of quotes and comments.
fn has_braces(line: &str) -> bool {
    let Some(at) = line.find("{{") else {
        return false;
    };
    let before = &line[..at];
    let quoted = |quote: char| before.matches(quote).count() % 2 == 1;
    !before.trim_start().starts_with('#') && !quoted('"') && !quoted('\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_count_outside_of_quotes_and_near_the_error() {
        let text = "a: 1\n{{- if .x }}\nb: \"{{ y }}\"\n# {{ z }}\nc: d\ne: f\ng: [\n";
        assert_eq!(near(text, 1, 2), Some(2));
        assert_eq!(near(text, 1, 5), Some(2));
        assert_eq!(near(text, 1, 6), None);
        assert_eq!(near(text, 11, 12), Some(12));
    }
}
