//! Words, colour and safety of text that reaches a person.

use std::borrow::Cow;
use std::fmt;

/// How text is shown. Meaning never depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether ANSI colours are used.
    pub color: bool,
    /// Whether a terminal interprets the text, so that control characters in a diff are escaped.
    /// Other text has them escaped always.
    pub terminal: bool,
    /// How many columns a line should have at most.
    pub width: usize,
}

impl Style {
    /// The width of text that no terminal shows.
    pub const WIDTH: usize = 100;
}

impl Default for Style {
    fn default() -> Self {
        Self {
            color: false,
            terminal: false,
            width: Self::WIDTH,
        }
    }
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
pub(super) struct Count<'n>(pub(super) usize, pub(super) &'n str);

impl fmt::Display for Count<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, noun) = *self;
        let vowel = |stem: &str| stem.ends_with(['a', 'e', 'o', 'u']);
        match (number, noun.strip_suffix('y').filter(|stem| !vowel(stem))) {
            (1, _) => write!(f, "1 {noun}"),
            (_, Some(stem)) => write!(f, "{number} {stem}ies"),
            _ if noun.ends_with('s') => write!(f, "{number} {noun}es"),
            (_, None) => write!(f, "{number} {noun}s"),
        }
    }
}

/// A sentence over several lines of at most so many columns: the first starts after `indent`
/// columns that are printed already, the others are indented by as many blanks. Words, and what is
/// between backticks, stay whole, so that names and commands can be copied.
pub(super) fn wrap(text: &str, indent: usize, width: usize) -> String {
    let mut wrapped = String::with_capacity(text.len());
    let mut column = indent;
    for word in words(text) {
        let length = word.chars().count();
        if wrapped.is_empty() {
            column += length;
        } else if column + 1 + length <= width {
            wrapped.push(' ');
            column += 1 + length;
        } else {
            wrapped.push('\n');
            wrapped.extend(std::iter::repeat_n(' ', indent));
            column = indent + length;
        }
        wrapped.push_str(word);
    }
    wrapped
}

/// The text cut at blanks that are not between backticks.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let balanced = text.matches('`').count().is_multiple_of(2);
    let words = text.split(move |c| {
        quoted ^= c == '`' && balanced;
        c == ' ' && !quoted
    });
    words.filter(|word| !word.is_empty())
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
            Count(2, "Gateway"),
        ]
        .map(|c| c.to_string())
        .join(", ");
        assert_eq!(
            text,
            "0 files, 1 policy, 2 policies, 1 file, 3 classes, 2 Gateways"
        );
    }

    #[test]
    fn sentences_wrap_between_words_and_around_code() {
        let text = "run `kubectl label namespace shop x=y` first, then look at what it says";
        insta::assert_snapshot!(format!("  fix: {}", wrap(text, 7, 40)), @"
        fix: run
             `kubectl label namespace shop x=y`
             first, then look at what it says
        ");
        assert_eq!(
            wrap("an odd ` backtick is only a character", 0, 20),
            "an odd ` backtick is\nonly a character"
        );
        assert_eq!(
            wrap("a-word-that-is-too-long for it", 4, 10),
            "a-word-that-is-too-long\n    for it"
        );
        assert_eq!(wrap("", 4, 10), "");
    }
}
