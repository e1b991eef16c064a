//! What went wrong with the input, and what was left out of it on purpose.

use std::sync::Arc;

use crate::model::ObjectRef;

/// Excerpts are cut to this many characters: a JSON file may be one long line.
const LONGEST_EXCERPT: usize = 160;

/// Something in the input that cannot be used as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File as the user would name it.
    pub file: Arc<str>,
    /// One-based line; 0 when it is the file as a whole.
    pub line: u32,
    /// One-based column in characters; 0 when unknown.
    pub column: u32,
    /// The object, when it has a name.
    pub object: Option<ObjectRef>,
    /// What is wrong, in lower case.
    pub message: String,
    /// The line itself, shortened around the column when it is very long.
    pub excerpt: Option<String>,
    /// What to do about it: a command or a field.
    pub hint: Option<String>,
}

/// Something in the input that was skipped or read in a way worth knowing; nothing is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// File as the user would name it.
    pub file: Arc<str>,
    /// One-based line; 0 when it is the file as a whole.
    pub line: u32,
    /// What was done and why, in lower case.
    pub message: String,
}

/// A [`Problem`] before its file and line are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Defect {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) object: Option<ObjectRef>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Problem {
    /// A problem of a file as a whole.
    pub(super) fn of_file(file: &Arc<str>, message: String, hint: Option<&str>) -> Self {
        Self {
            file: Arc::clone(file),
            line: 0,
            column: 0,
            object: None,
            message,
            excerpt: None,
            hint: hint.map(str::to_owned),
        }
    }
}

/// The lines of a text, for excerpts.
pub(super) struct Lines<'t> {
    first: u32,
    lines: Vec<&'t str>,
}

impl<'t> Lines<'t> {
    /// The lines of a text whose first line has this number.
    pub(super) fn new(text: &'t str, first: u32) -> Self {
        Self {
            first,
            lines: text.lines().collect(),
        }
    }

    /// The problem that a defect is.
    pub(super) fn problem(&self, file: &Arc<str>, defect: Defect) -> Problem {
        let index = defect.line.checked_sub(self.first);
        let line = index.and_then(|i| self.lines.get(i as usize));
        Problem {
            file: Arc::clone(file),
            line: defect.line,
            column: defect.column,
            object: defect.object,
            message: defect.message,
            excerpt: line.map(|l| excerpt(l, defect.column)),
            hint: defect.hint,
        }
    }
}

fn excerpt(line: &str, column: u32) -> String {
    let line = line.trim_end();
    if line.chars().nth(LONGEST_EXCERPT).is_none() {
        return line.to_owned();
    }
    let column = column.saturating_sub(1) as usize;
    let skipped = column.saturating_sub(LONGEST_EXCERPT / 2);
    let mut rest = line.chars().skip(skipped);
    let mut excerpt = String::from(if skipped > 0 { "…" } else { "" });
    excerpt.extend(rest.by_ref().take(LONGEST_EXCERPT));
    if rest.next().is_some() {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_around_the_column() {
        let line = "x".repeat(1000) + "here" + &"y".repeat(1000);
        let cut = excerpt(&line, 1001);
        assert_eq!(cut.chars().count(), LONGEST_EXCERPT + 2);
        assert!(cut.starts_with("…x") && cut.contains("here") && cut.ends_with("y…"));
        assert_eq!(excerpt("short  ", 3), "short");
    }
}
