//! One report in any format.

use super::report::{Failure, Report};
use super::{Style, document, github, markdown, plan, sarif};

/// Output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Tables for people.
    Table,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
    /// A comment for a pull request.
    Markdown,
    /// SARIF 2.1.0.
    Sarif,
    /// Workflow commands of GitHub Actions.
    Github,
}

/// The report in a format. The style is that of tables; the others have none.
pub fn report(report: &Report<'_>, format: Format, style: Style) -> String {
    match format {
        Format::Table => plan::plan(report, style),
        Format::Json => document::json(report),
        Format::Yaml => document::yaml(report),
        Format::Markdown => markdown::markdown(report),
        Format::Sarif => sarif::sarif(report),
        Format::Github => github::github(report),
    }
}

/// What standard output holds when there is no report: a valid document for machines, nothing for
/// people, who read standard error. The kind is that of the missing document.
pub fn failed_report(failure: &Failure, kind: &str, format: Format) -> String {
    match format {
        Format::Table => String::new(),
        Format::Json => document::json_failure(kind, failure),
        Format::Yaml => document::yaml_failure(kind, failure),
        Format::Markdown => markdown::markdown_failure(failure),
        Format::Sarif => sarif::sarif_failure(failure),
        Format::Github => github::github_failure(failure),
    }
}
