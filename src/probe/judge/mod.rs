//! What the answers of a peer mean. Pure.

mod http2;
mod server;
mod tcp;
mod tls;

use std::io;
use std::time::Duration;

use super::Cause;
use super::limit::Late;

pub(super) use http2::{changed, closed, greeting, stalled, status, tunnel};
pub(super) use server::{Server, server};
pub(super) use tcp::dial;
pub(super) use tls::{handshake, wants_certificate};

/// A step failed: why, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) cause: Cause,
    pub(super) detail: String,
    /// What to do, where what was seen asks for something else than the cause does in general.
    pub(super) advice: Option<&'static str>,
}

impl Verdict {
    pub(super) fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Self {
            cause,
            detail: detail.into(),
            advice: None,
        }
    }

    pub(super) fn advise(self, advice: Option<&'static str>) -> Self {
        Self { advice, ..self }
    }
}

/// Nothing came within the time of a step.
pub(super) fn late(cause: Cause, late: Late) -> Verdict {
    Verdict::new(cause, format!("no answer {}", within(late)))
}

/// A share of a time is odd, and told to the millisecond.
fn within(Late { time }: Late) -> String {
    let milliseconds = (time + Duration::from_micros(500)).as_millis();
    let rounded = match u64::try_from(milliseconds) {
        Ok(milliseconds @ 1..) => Duration::from_millis(milliseconds),
        _ => time,
    };
    format!("within {rounded:?}")
}

/// `1 octet`, `2 octets`.
pub(super) fn octets(count: u64) -> String {
    format!("{count} octet{}", if count == 1 { "" } else { "s" })
}

/// An error without the number that Rust adds.
fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return "the peer closed the connection".to_owned();
    }
    let text = error.to_string();
    if text.contains("close_notify") {
        return "the peer closed the connection without a word".to_owned();
    }
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

/// Octets as people can read them.
fn shown(octets: &[u8]) -> String {
    const SHOWN: usize = 24;
    let octets = &octets[..octets.len().min(SHOWN)];
    format!("`{}`", octets.escape_ascii())
}

fn said(debug: &[u8]) -> String {
    if debug.is_empty() {
        String::new()
    } else {
        format!(" {}", shown(debug))
    }
}

/// The name of an error code (RFC 9113, section 7).
fn error_code(code: u32) -> String {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    let name = usize::try_from(code).ok().and_then(|c| NAMES.get(c));
    name.map_or_else(|| code.to_string(), |name| (*name).to_owned())
}
