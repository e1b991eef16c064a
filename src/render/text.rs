//! Words, colour and safety of text that reaches a person.

use std::borrow::Cow;
use std::fmt;

/// How text is shown. Meaning never depends on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether ANSI colours are used.
    pub color: bool,
    /// Whether a terminal interprets the text, so that control characters in a diff are escaped.
    /// Other text has them escaped always.
    pub terminal: bool,
}

/// What a piece of text is, for colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Error,
    Warning,
    Information,
    Good,
    Added,
    Removed,
    Hunk,
    Heading,
}

impl Style {
    /// The text in the colour of its role.
    pub(super) fn paint(self, role: Role, text: &str) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let code = match role {
            Role::Error => "1;31",
            Role::Warning => "1;33",
            Role::Information => "1;34",
            Role::Good | Role::Added => "32",
            Role::Removed => "31",
            Role::Hunk => "36",
            Role::Heading => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Text from outside as one harmless line: control characters, and characters that reorder or hide
/// text, are written as escapes.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    escape_unless(text, |_| false)
}

/// A line of a file for a terminal: like [`escape`], with tabs kept.
pub(super) fn escape_line(line: &str) -> Cow<'_, str> {
    escape_unless(line, |c| c == '\t')
}

fn escape_unless(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    let unsafe_here = |c: char| !keep(c) && is_deceptive(c);
    if !text.contains(unsafe_here) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if unsafe_here(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Whether a terminal would do something else than show the character.
pub(super) fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        )
}

/// A number with its noun: `1 file`, `2 files`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count(pub(super) usize, pub(super) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, noun) = *self;
        match (number, noun.strip_suffix('y')) {
            (1, _) => write!(f, "1 {noun}"),
            (_, Some(stem)) => write!(f, "{number} {stem}ies"),
            _ if noun.ends_with('s') => write!(f, "{number} {noun}es"),
            (_, None) => write!(f, "{number} {noun}s"),
        }
    }
}

/// A table as kubectl prints it: upper-case headers, no borders, three blanks between columns.
#[derive(Debug)]
pub(super) struct Table {
    style: Style,
    inner: comfy_table::Table,
    /// Colour of the last cell of each row.
    roles: Vec<(String, Option<Role>)>,
}

impl Table {
    pub(super) fn new<const COLUMNS: usize>(style: Style, headers: [&str; COLUMNS]) -> Self {
        let mut inner = comfy_table::Table::new();
        inner
            .load_style(comfy_table::presets::NOTHING)
            .set_header(headers);
        for column in inner.column_iter_mut() {
            column.set_padding((0, 3));
        }
        Self {
            style,
            inner,
            roles: Vec::new(),
        }
    }

    /// Adds a row; an empty cell reads `<none>`. The last cell takes the colour of its role.
    pub(super) fn row<const COLUMNS: usize>(
        &mut self,
        cells: [&str; COLUMNS],
        role: Option<Role>,
    ) -> &mut Self {
        let cells = cells.map(|cell| match escape(cell) {
            cell if cell.is_empty() => "<none>".to_owned(),
            cell => cell.into_owned(),
        });
        self.roles
            .push((cells.last().cloned().unwrap_or_default(), role));
        self.inner.add_row(cells);
        self
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut roles = self.roles.iter();
        for (index, line) in self.inner.lines().enumerate() {
            let line = line.trim_end();
            let last = if index == 0 { None } else { roles.next() };
            match last {
                // Colour goes on after the layout, which would count it as width.
                Some((cell, Some(role))) if line.ends_with(cell.as_str()) => {
                    let before = line.strip_suffix(cell.as_str()).unwrap_or(line);
                    writeln!(f, "{before}{}", self.style.paint(*role, cell))?;
                }
                _ => writeln!(f, "{line}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_control_the_terminal() {
        assert_eq!(
            escape("a\u{1b}[2Jb\rc\nd\te\u{9b}f\u{202e}g"),
            r"a\u{1b}[2Jb\rc\nd\te\u{9b}f\u{202e}g"
        );
        assert_eq!(escape_line("\tkept: \u{7}"), "\tkept: \\u{7}");
        assert_eq!(escape("größer"), "größer");
    }

    #[test]
    fn numbers_agree_with_their_nouns() {
        let text = [
            Count(0, "file"),
            Count(1, "policy"),
            Count(2, "policy"),
            Count(1, "file"),
            Count(3, "class"),
        ]
        .map(|c| c.to_string())
        .join(", ");
        assert_eq!(text, "0 files, 1 policy, 2 policies, 1 file, 3 classes");
    }

    #[test]
    fn tables_look_like_those_of_kubectl() {
        let mut table = Table::new(Style::default(), ["NAME", "VERDICT"]);
        table
            .row(["a", "ready"], None)
            .row(["a-longer-name", ""], None)
            .row(["größe", "two\nlines"], None);
        insta::assert_snapshot!(table, @r"
        NAME            VERDICT
        a               ready
        a-longer-name   <none>
        größe           two\nlines
        ");
    }

    #[test]
    fn colour_does_not_move_columns() {
        let style = Style {
            color: true,
            terminal: true,
        };
        let mut table = Table::new(style, ["NAME", "VERDICT"]);
        table
            .row(["a", "ready"], Some(Role::Good))
            .row(["longer", "blocked"], Some(Role::Error));
        insta::assert_snapshot!(table.to_string().replace('\u{1b}', "^["), @"
        NAME     VERDICT
        a        ^[[32mready^[[0m
        longer   ^[[1;31mblocked^[[0m
        ");
    }
}
