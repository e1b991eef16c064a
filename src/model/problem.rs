//! What of the input cannot be used, and what was left out of it on purpose.

use std::fmt;
use std::sync::Arc;

use super::ObjectRef;

/// Something in the input that cannot be used as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File as the user would name it; `-` for standard input.
    pub file: Arc<str>,
    /// One-based line; 0 when it is the file as a whole.
    pub line: u32,
    /// One-based column in characters; 0 when it is the line as a whole.
    pub column: u32,
    /// The object, when it has a name.
    pub object: Option<ObjectRef>,
    /// What is wrong, in lower case.
    pub message: String,
    /// The line itself.
    pub excerpt: Option<Excerpt>,
    /// What to do about it: a command or a field.
    pub hint: Option<String>,
}

/// A line of the input, shortened around a column when it is long: a JSON file may be one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The part that is kept, without the end of the line.
    pub text: String,
    /// How many characters of the line come before it.
    pub skipped: usize,
    /// Whether more of the line comes after it.
    pub cut: bool,
}

impl Excerpt {
    /// Characters that are kept, at most.
    pub const WIDTH: usize = 160;

    /// The part of a line around a one-based column, with some text before the column.
    pub fn of(line: &str, column: u32) -> Self {
        Self::cut(line.trim_end(), Self::WIDTH, column_offset(column))
    }

    /// The part of the excerpt around a one-based column of the line that has at most so many
    /// characters.
    #[must_use]
    pub fn within(&self, width: usize, column: u32) -> Self {
        let before = column_offset(column).saturating_sub(self.skipped);
        let part = Self::cut(&self.text, width, before);
        Self {
            skipped: self.skipped + part.skipped,
            cut: self.cut || part.cut,
            ..part
        }
    }

    fn cut(text: &str, width: usize, before: usize) -> Self {
        let long = text.chars().nth(width).is_some();
        let skipped = if long {
            before.saturating_sub(width / 2)
        } else {
            0
        };
        let mut rest = text.chars().skip(skipped);
        Self {
            text: rest.by_ref().take(width).collect(),
            skipped,
            cut: rest.next().is_some(),
        }
    }
}

fn column_offset(column: u32) -> usize {
    usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX)
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = if self.skipped > 0 { "…" } else { "" };
        let end = if self.cut { "…" } else { "" };
        write!(f, "{start}{}{end}", self.text)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_around_the_column() {
        let line = "x".repeat(1000) + "here" + &"y".repeat(1000);
        let cut = Excerpt::of(&line, 1001);
        assert_eq!(cut.text.chars().count(), Excerpt::WIDTH);
        let before: String = line
            .chars()
            .skip(cut.skipped)
            .take(1000 - cut.skipped)
            .collect();
        assert_eq!(
            cut.text.strip_prefix(&before).map(|t| &t[..4]),
            Some("here")
        );
        let shown = cut.to_string();
        assert!(shown.starts_with("…x") && shown.ends_with("y…"), "{shown}");
        assert_eq!(Excerpt::of("short  ", 3).to_string(), "short");
        let narrow = cut.within(10, 1001);
        assert_eq!(narrow.to_string(), "…xxxxxherey…");
        let end = Excerpt::of(&"z".repeat(161), 161);
        assert_eq!((end.text.len(), end.skipped, end.cut), (81, 80, false));
    }
}
