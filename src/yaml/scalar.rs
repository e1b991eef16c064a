//! What a plain scalar means to kubectl.

/// A scalar as kubectl reads it: by the YAML 1.1 rules of its parser, not by those of YAML 1.2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'t> {
    /// `null`, `~`, or nothing.
    Null,
    /// `true`, `yes`, `on`, `y` and their opposites.
    Bool(bool),
    /// An integer in any base, with optional underscores.
    Int(i128),
    /// A number that is no integer, or too large for one.
    Float(f64),
    /// Everything else.
    String(&'t str),
}

impl<'t> Scalar<'t> {
    /// Resolves an unquoted scalar.
    pub fn plain(text: &'t str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => {
                Self::Bool(true)
            }
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n"
            | "N" => Self::Bool(false),
            ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Self::Float(f64::INFINITY),
            "-.inf" | "-.Inf" | "-.INF" => Self::Float(f64::NEG_INFINITY),
            ".nan" | ".NaN" | ".NAN" => Self::Float(f64::NAN),
            _ => number(text).unwrap_or(Self::String(text)),
        }
    }

    /// The name of the type in messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::String(_) => "a string",
        }
    }
}

fn number(text: &str) -> Option<Scalar<'_>> {
    let first = text.chars().next()?;
    if !(first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return None;
    }
    let (sign, digits) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (if first == '-' { -1 } else { 1 }, rest),
        None => (1, text),
    };
    let digits: String = digits.chars().filter(|&c| c != '_').collect();
    let radix = |prefix: &str, radix| {
        let rest = digits.strip_prefix(prefix)?;
        i128::from_str_radix(rest, radix)
            .ok()
            .filter(|_| !rest.starts_with(['+', '-']))
    };
    let octal = || {
        let all_octal = digits.len() > 1 && digits.chars().all(|c| c.is_digit(8));
        all_octal.then(|| radix("0", 8)).flatten()
    };
    let int = radix("0x", 16)
        .or_else(|| radix("0b", 2))
        .or_else(|| radix("0o", 8))
        .or_else(octal);
    if let Some(int) = int.or_else(|| decimal(&digits)) {
        return Some(Scalar::Int(sign * int));
    }
    let float_like = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'))
        && digits.chars().any(|c| c.is_ascii_digit());
    let float = float_like.then(|| digits.parse::<f64>().ok()).flatten()?;
    Some(Scalar::Float(if sign < 0 { -float } else { float }))
}

fn decimal(digits: &str) -> Option<i128> {
    let all_digits = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::Scalar::{self, Bool, Float, Int, Null, String};

    #[test]
    fn plain_scalars_are_read_as_kubectl_does() {
        let cases = [
            ("", Null),
            ("~", Null),
            ("yes", Bool(true)),
            ("off", Bool(false)),
            ("0644", Int(420)),
            ("0o644", Int(420)),
            ("0x1F", Int(31)),
            ("0b11", Int(3)),
            ("1_000", Int(1000)),
            ("-7", Int(-7)),
            ("089", Int(89)),
            ("1e3", Float(1000.0)),
            (
                "12345678901234567890123",
                Int(12_345_678_901_234_567_890_123),
            ),
            (".5", Float(0.5)),
            ("1.2.3", String("1.2.3")),
            ("10.0.0.0/8", String("10.0.0.0/8")),
            ("8080-8090", String("8080-8090")),
            ("-", String("-")),
            ("0x", String("0x")),
            ("e3", String("e3")),
            ("http", String("http")),
        ];
        for (text, expected) in cases {
            assert_eq!(Scalar::plain(text), expected, "{text}");
        }
    }
}
