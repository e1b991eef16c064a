//! Writing strings so that every reader gets the same string back.

use std::fmt::Write as _;

use crate::yaml::Scalar;

/// Where a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    /// Among indented lines.
    Block,
    /// Inside brackets or braces.
    Flow,
}

/// How a string is quoted where there is a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    /// `'…'`, as a neighbour does; double when the string does not fit.
    Single,
    /// `"…"`, as a neighbour does.
    Double,
    /// None if the string can do without, else double.
    AsNeeded,
}

impl Quotes {
    /// The quotes of a piece of YAML text.
    pub(super) fn of(written: &str) -> Self {
        match written.as_bytes().first() {
            Some(b'\'') => Self::Single,
            Some(b'"') => Self::Double,
            _ => Self::AsNeeded,
        }
    }
}

/// Writes a string in one line.
pub(super) fn string(text: &str, quotes: Quotes, context: Context) -> String {
    let printable = text.chars().all(|c| c == ' ' || is_graphic(c));
    match quotes {
        Quotes::Single if printable => format!("'{}'", text.replace('\'', "''")),
        Quotes::AsNeeded if is_plain(text, context) => text.to_owned(),
        _ => double_quoted(text),
    }
}

/// Whether a string may stand without quotes: no reader, be it of YAML 1.1 or of 1.2, takes it for
/// anything but this string. Where readers are known to differ the answer is no.
pub(super) fn is_plain(text: &str, context: Context) -> bool {
    let mut chars = text.chars();
    let Some(first) = chars.next() else {
        return false;
    };
    let starts_well = first.is_alphanumeric() || matches!(first, '/' | '_' | '$' | '(' | '^');
    let ends_well = text
        .chars()
        .next_back()
        .is_some_and(|c| c != ' ' && c != ':');
    let chars_fit = text.chars().all(|c| match context {
        _ if !c.is_ascii() => c.is_alphanumeric(),
        Context::Block => c == ' ' || c.is_ascii_graphic(),
        Context::Flow => {
            (c == ' ' || c.is_ascii_graphic())
                && !matches!(c, ',' | '[' | ']' | '{' | '}' | ':' | '?' | '#')
        }
    });
    starts_well
        && ends_well
        && chars_fit
        && !text.contains(": ")
        && !text.contains(" #")
        && !is_ambiguous(text)
}

/// Whether some reader resolves the plain text to something other than a string.
fn is_ambiguous(text: &str) -> bool {
    if !matches!(Scalar::plain(text), Scalar::String(_)) {
        return true;
    }
    let lower = text.to_lowercase();
    let word = matches!(
        lower.as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null" | "nan" | "inf"
    );
    // Integers in every base, floats, sexagesimals, dates and times are made of these.
    let numeric = lower.starts_with(|c: char| c.is_numeric())
        && lower.chars().all(|c| {
            c.is_numeric()
                || matches!(
                    c,
                    'a'..='f' | 'x' | 'o' | 't' | 'z' | '_' | '.' | ':' | '+' | '-' | ' '
                )
        });
    word || numeric
}

fn is_graphic(c: char) -> bool {
    match c {
        '\u{20}'..='\u{7e}' => c != ' ',
        '\u{a1}'..='\u{d7ff}' => !matches!(c, '\u{ad}' | '\u{2028}' | '\u{2029}'),
        '\u{e000}'..='\u{fffd}' => c != '\u{feff}',
        '\u{10000}'.. => true,
        _ => false,
    }
}

fn double_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c == ' ' || is_graphic(c) => out.push(c),
            c => {
                let code = u32::from(c);
                // Writing to a string cannot fail.
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02x}"),
                    0x100..=0xffff => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push('"');
    out
}
