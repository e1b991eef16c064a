//! How an event becomes a line: as text with tabs between its parts, or as a JSON object, both in
//! the shape of ztunnel's (its `src/telemetry.rs`), which people's pipelines read.
//!
//! ```text
//! TIME \t LEVEL \t SCOPE[:SPAN{…}] \t MESSAGE \t KEY=VALUE KEY=VALUE
//! {"level":…,"time":…,"scope":…,"message":…,KEY:VALUE,…,SPAN:{KEY:VALUE}}
//! ```

use std::error::Error;
use std::fmt::{self, Debug, Write as _};
use std::str::FromStr;
use std::time::SystemTime;

use time::OffsetDateTime;
use tracing::Level;
use tracing::field::{Field, Visit};

/// The most octets that a value takes: what outsiders send may be logged.
const LONGEST_VALUE: usize = 4096;

/// The shape of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// A text that names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no log format: use `plain` or `json`")]
pub struct FormatError(String);

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        match text {
            "plain" | "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(FormatError(other.to_owned())),
        }
    }
}

/// The fields of an event or of a span, as they go into a line.
#[derive(Debug)]
pub(super) struct Fields {
    format: Format,
    message: String,
    text: String,
}

impl Fields {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            message: String::new(),
            text: String::new(),
        }
    }

    /// What is said of lines that were dropped.
    pub(super) fn dropped(format: Format, lines: u64, why: &str) -> Self {
        let mut fields = Self::new(format);
        fields.message.push_str("lines were dropped");
        fields.key("lines");
        let _ = write!(fields.text, "{lines}");
        fields.key("error");
        quote(&mut fields.text, why);
        fields
    }

    fn key(&mut self, name: &str) {
        match self.format {
            Format::Text => {
                if !self.text.is_empty() {
                    self.text.push(' ');
                }
                self.text.push_str(name);
                self.text.push('=');
            }
            Format::Json => {
                if !self.text.is_empty() {
                    self.text.push(',');
                }
                quote(&mut self.text, name);
                self.text.push(':');
            }
        }
    }

    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        self.key(field.name());
        // A `String` takes everything.
        let _ = write!(self.text, "{value}");
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == MESSAGE {
            escape(&mut self.message, value);
            return;
        }
        self.key(field.name());
        quote(&mut self.text, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if self.format == Format::Json && !value.is_finite() {
            return self.record_str(field, &value.to_string());
        }
        self.plain(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        self.record_str(field, &text);
    }

    /// What is logged by `%` or `?` stands without quotes in text, as addresses do.
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let value = format!("{value:?}");
        if field.name() == MESSAGE {
            escape(&mut self.message, &value);
            return;
        }
        self.key(field.name());
        match self.format {
            Format::Text => escape(&mut self.text, &value),
            Format::Json => quote(&mut self.text, &value),
        }
    }
}

/// A span around an event, with its fields.
#[derive(Debug)]
pub(super) struct Around<'a> {
    pub(super) name: &'static str,
    pub(super) fields: &'a Fields,
}

/// Adds a line.
pub(super) fn line(
    out: &mut String,
    now: SystemTime,
    level: Level,
    scope: &str,
    spans: &[Around<'_>],
    fields: &Fields,
) {
    match fields.format {
        Format::Text => {
            timestamp(out, now);
            let _ = write!(out, "\t{}\t{scope}", lowercase(level));
            for span in spans {
                let _ = write!(out, ":{}", span.name);
                if !span.fields.text.is_empty() {
                    let _ = write!(out, "{{{}}}", span.fields.text);
                }
            }
            let _ = write!(out, "\t{}\t{}", fields.message, fields.text);
        }
        Format::Json => {
            let _ = write!(out, "{{\"level\":\"{}\",\"time\":\"", lowercase(level));
            timestamp(out, now);
            out.push_str("\",\"scope\":");
            quote(out, scope);
            let _ = write!(out, ",\"message\":\"{}\"", fields.message);
            if !fields.text.is_empty() {
                let _ = write!(out, ",{}", fields.text);
            }
            for span in spans {
                out.push(',');
                quote(out, span.name);
                let _ = write!(out, ":{{{}}}", span.fields.text);
            }
            out.push('}');
        }
    }
    out.push('\n');
}

/// Adds a time of day, with microseconds, in UTC.
fn timestamp(out: &mut String, now: SystemTime) {
    let now = OffsetDateTime::from(now);
    let (date, time) = (now.date(), now.time());
    let _ = write!(
        out,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.microsecond(),
    );
}

fn lowercase(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// Adds a text in quotes, as JSON has it.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    escape(out, text);
    out.push('"');
}

/// Adds a text on one line: what would end it, or a quoted text within it, is escaped, and its end
/// is left out where it is too long.
fn escape(out: &mut String, text: &str) {
    let cut = text.floor_char_boundary(LONGEST_VALUE);
    let (kept, rest) = text.split_at_checked(cut).unwrap_or((text, ""));
    for character in kept.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // What moves the cursor of a terminal, and what some readers take for an end of line.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    if !rest.is_empty() {
        out.push('…');
    }
}

/// The name of the field that a message comes in.
const MESSAGE: &str = "message";
