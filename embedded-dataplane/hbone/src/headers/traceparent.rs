//! `traceparent`: the trace that a connection belongs to.

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;

/// Octets of version 00: `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const LENGTH: usize = 55;
/// Octets that are read of a version that is not out yet.
const MOST_OCTETS: usize = 512;

/// Trace and parent of a connection (W3C Trace Context, section 3.2). Neither is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traceparent {
    trace: u128,
    parent: u64,
    flags: u8,
}

/// A text is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TraceparentError {
    /// It does not look like `00-TRACE-PARENT-FLAGS`.
    #[error("it is not of the form `00-TRACE-PARENT-FLAGS`, in digits and small letters up to `f`")]
    Form,
    /// Version `ff`, which is forbidden.
    #[error("version `ff` does not exist")]
    Version,
    /// The trace or the parent is all zeros.
    #[error("trace and parent are not zero")]
    Zero,
}

impl Traceparent {
    /// A new trace, which nobody asked to record. Its numbers are spread evenly, and no secret.
    pub fn random() -> Self {
        Self {
            trace: fastrand::u128(1..),
            parent: fastrand::u64(1..),
            flags: 0,
        }
    }

    /// The trace.
    pub fn trace(self) -> u128 {
        self.trace
    }

    /// The span that the connection is part of.
    pub fn parent(self) -> u64 {
        self.parent
    }

    /// Whether the caller records the trace (section 3.2.2.5.1).
    pub fn is_sampled(self) -> bool {
        self.flags & 1 != 0
    }

    /// The header's value.
    pub fn encode(self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.to_string()).ok()
    }

    /// Reads the header's value.
    ///
    /// # Errors
    ///
    /// When it is none, as section 3.2.2 and, for later versions, 3.2.4 have it.
    pub fn decode(value: &[u8]) -> Result<Self, TraceparentError> {
        std::str::from_utf8(value)
            .map_err(|_| TraceparentError::Form)?
            .parse()
    }
}

impl FromStr for Traceparent {
    type Err = TraceparentError;

    fn from_str(text: &str) -> Result<Self, TraceparentError> {
        let form = TraceparentError::Form;
        if text.len() > MOST_OCTETS {
            return Err(form);
        }
        let mut parts = text.split('-');
        let mut next = |digits| {
            let part = parts.next().filter(|p| p.len() == digits)?;
            let is_digit = |b: u8| b.is_ascii_digit() || matches!(b, b'a'..=b'f');
            let part = part.bytes().all(is_digit).then_some(part)?;
            u128::from_str_radix(part, 16).ok()
        };
        let version = next(2).ok_or(form)?;
        let trace = next(32).ok_or(form)?;
        let parent = next(16).ok_or(form)?;
        let flags = next(2).ok_or(form)?;
        match version {
            0 if text.len() != LENGTH => return Err(form),
            0xff => return Err(TraceparentError::Version),
            _ => {}
        }
        let parent = u64::try_from(parent).map_err(|_| form)?;
        if trace == 0 || parent == 0 {
            return Err(TraceparentError::Zero);
        }
        // Of later versions only the flags of this one are known.
        let flags = u8::try_from(flags).map_err(|_| form)?;
        let flags = if version == 0 { flags } else { flags & 1 };
        Ok(Self {
            trace,
            parent,
            flags,
        })
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace,
            parent,
            flags,
        } = self;
        write!(f, "00-{trace:032x}-{parent:016x}-{flags:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_is_read_and_written_alike() {
        let read = Traceparent::decode(EXAMPLE.as_bytes()).unwrap();
        let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
        let parts = (read.trace(), read.parent(), read.is_sampled());
        assert_eq!(parts, (trace, 0x00f0_67aa_0ba9_02b7, true));
        assert_eq!(read.encode().unwrap(), EXAMPLE);
    }

    #[test]
    fn a_new_trace_is_like_no_other() {
        let [one, other] = [Traceparent::random(), Traceparent::random()];
        assert_ne!(one, other);
        assert!(!one.is_sampled());
        assert_eq!(one.to_string().parse(), Ok(one));
        assert_eq!(one.to_string().len(), LENGTH);
    }

    #[test]
    fn a_later_version_may_have_more() {
        let later = EXAMPLE
            .replacen("00", "cc", 1)
            .replace("-01", "-ff-what-comes");
        let read: Traceparent = later.parse().unwrap();
        assert_eq!(read.to_string(), EXAMPLE);
    }

    #[test]
    fn other_texts_are_refused() {
        use TraceparentError::{Form, Version, Zero};

        let zeros = |digits| "0".repeat(digits);
        let wrong = [
            (String::new(), Form),
            ("-".repeat(60), Form),
            ("\u{fc}".repeat(27), Form),
            (EXAMPLE.to_uppercase(), Form),
            (format!("{EXAMPLE}-"), Form),
            (format!("{EXAMPLE}0"), Form),
            (EXAMPLE.replace("-01", ""), Form),
            (EXAMPLE.replace("-01", "-0g"), Form),
            (EXAMPLE.replace("4bf9", "+bf9"), Form),
            (EXAMPLE.replacen("00", "0", 1), Form),
            (
                format!("01{}-{}", &EXAMPLE[2..], "x".repeat(MOST_OCTETS)),
                Form,
            ),
            (EXAMPLE.replacen("00", "ff", 1), Version),
            (format!("00-{}-00f067aa0ba902b7-01", zeros(32)), Zero),
            (
                format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", zeros(16)),
                Zero,
            ),
        ];
        for (text, error) in wrong {
            assert_eq!(text.parse::<Traceparent>(), Err(error), "{text}");
        }
        assert_eq!(Traceparent::decode(b"\xff"), Err(Form));
    }
}
