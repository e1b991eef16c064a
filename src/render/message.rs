//! Short texts: errors, warnings, next commands, codes and the version.

use std::fmt::Write as _;

use serde::Serialize;

use crate::finding::{CATALOGUE, Code};

use super::document::{API_VERSION, Metadata, to_json};
use super::report::Failure;
use super::table::Table;
use super::text::{Role, Style, escape};

/// An error, then the way out.
pub fn failure(failure: &Failure, style: Style) -> String {
    let label = style.paint(Role::Error, "error");
    let mut text = format!("{label}: {}\n", escape(&failure.message));
    if let Some(way_out) = &failure.hint {
        text.push_str(&hint(way_out, style));
    }
    text
}

/// A warning.
pub fn warning(message: &str, style: Style) -> String {
    let label = style.paint(Role::Warning, "warning");
    format!("{label}: {}\n", escape(message))
}

/// A hint.
pub fn hint(message: &str, style: Style) -> String {
    let label = style.paint(Role::Information, "hint");
    format!("{label}: {}\n", escape(message))
}

/// The commands that make sense now; nothing when there are none.
pub fn next(commands: &[String], style: Style) -> String {
    if commands.is_empty() {
        return String::new();
    }
    let label = style.paint(Role::Heading, "Next:");
    format!("{label} {}\n", escape(&commands.join("   |   ")))
}

/// A code at length.
pub fn code(code: &Code, style: Style) -> String {
    let title = format!("{} {}", code.id, code.title);
    let mut text = format!("{}\n", style.paint(Role::Heading, &title));
    _ = write!(text, "severity: {}\n\n{}\n\n", code.severity, code.meaning);
    let label = style.paint(Role::Good, "fix:");
    _ = writeln!(text, "{label} {}", code.fix);
    text
}

/// All codes, a line each.
pub fn codes(style: Style) -> String {
    let mut table = Table::new(style, ["CODE", "SEVERITY", "TITLE"]);
    for code in CATALOGUE {
        table.row([code.id, &code.severity.to_string(), code.title], None);
    }
    table.to_string()
}

/// What to do about a bug in this program.
pub fn bug() -> String {
    concat!(
        "\nerror: this is a bug in kubectl-ambient ",
        env!("CARGO_PKG_VERSION"),
        "\nhint: report it with the message above and the command at ",
        env!("CARGO_PKG_REPOSITORY"),
        "/issues\n",
    )
    .to_owned()
}

/// The version of this program.
pub fn version() -> String {
    concat!("kubectl-ambient ", env!("CARGO_PKG_VERSION"), "\n").to_owned()
}

/// The version as JSON.
pub fn version_json() -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Document {
        api_version: &'static str,
        kind: &'static str,
        metadata: Metadata,
    }
    to_json(&Document {
        api_version: API_VERSION,
        kind: "Version",
        metadata: Metadata::CURRENT,
    })
}
