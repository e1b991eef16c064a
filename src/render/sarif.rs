//! SARIF 2.1.0 (OASIS), which code scanning services read. Only the properties that are used are
//! written down here.

use std::fmt::Write as _;

use serde::Serialize;

use crate::finding::{Code, Severity};
use crate::model::{Note, Problem};

use super::document::to_json;
use super::plan::fixes;
use super::report::{Entry, Failure, Report};

/// The report as one SARIF log.
pub(super) fn sarif(report: &Report<'_>) -> String {
    let mut rules: Vec<&'static Code> = report.findings.iter().map(|e| e.finding.code).collect();
    rules.sort_by_key(|code| code.id);
    rules.dedup_by_key(|code| code.id);
    let results = report.findings.iter().map(|e| Result::of(e, &rules));
    let mut notifications: Vec<Notification> = report
        .problems
        .iter()
        .map(Notification::of_problem)
        .collect();
    notifications.extend(report.notes.iter().map(Notification::of_note));
    notifications.extend(report.failure.iter().map(Notification::of_failure));
    log(
        rules.iter().copied().map(Rule::of).collect(),
        results.collect(),
        notifications,
        report.problems.is_empty() && report.failure.is_none(),
    )
}

/// The log in place of a report that could not be made.
pub(super) fn sarif_failure(failure: &Failure) -> String {
    let notification = Notification::of_failure(failure);
    log(Vec::new(), Vec::new(), vec![notification], false)
}

fn log(
    rules: Vec<Rule>,
    results: Vec<Result<'_>>,
    notifications: Vec<Notification>,
    successful: bool,
) -> String {
    to_json(&Log {
        schema: "https://json.schemastore.org/sarif-2.1.0.json",
        version: "2.1.0",
        runs: [Run {
            tool: Tool {
                driver: Driver {
                    name: "kubectl-ambient",
                    version: env!("CARGO_PKG_VERSION"),
                    information_uri: env!("CARGO_PKG_REPOSITORY"),
                    rules,
                },
            },
            invocations: [Invocation {
                execution_successful: successful,
                tool_execution_notifications: notifications,
            }],
            results,
        }],
    })
}

#[derive(Serialize)]
struct Log<'r> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'r>; 1],
}

#[derive(Serialize)]
struct Run<'r> {
    tool: Tool,
    invocations: [Invocation; 1],
    results: Vec<Result<'r>>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    version: &'static str,
    information_uri: &'static str,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: &'static str,
    short_description: Message,
    full_description: Message,
    help: Message,
    default_configuration: Configuration,
}

impl Rule {
    fn of(code: &'static Code) -> Self {
        Self {
            id: code.id,
            short_description: Message::of(code.title),
            full_description: Message::of(code.meaning),
            help: Message::of(code.fix),
            default_configuration: Configuration {
                level: level(code.severity),
            },
        }
    }
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Serialize)]
struct Message {
    text: String,
}

impl Message {
    fn of(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_execution_notifications: Vec<Notification>,
}

#[derive(Serialize)]
struct Notification {
    level: &'static str,
    message: Message,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    locations: Vec<Location>,
}

impl Notification {
    fn of_problem(problem: &Problem) -> Self {
        Self {
            level: "error",
            message: with_hint(&problem.message, problem.hint.as_deref()),
            locations: Location::physical(&problem.file, problem.line, problem.column),
        }
    }

    fn of_note(note: &Note) -> Self {
        Self {
            level: "note",
            message: Message::of(&*note.message),
            locations: Location::physical(&note.file, note.line, 0),
        }
    }

    fn of_failure(failure: &Failure) -> Self {
        Self {
            level: "error",
            message: with_hint(&failure.message, failure.hint.as_deref()),
            locations: Vec::new(),
        }
    }
}

fn with_hint(message: &str, hint: Option<&str>) -> Message {
    match hint {
        Some(hint) => Message::of(format!("{message}; hint: {hint}")),
        None => Message::of(message),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Result<'r> {
    rule_id: &'static str,
    rule_index: usize,
    level: &'static str,
    message: Message,
    locations: Vec<Location>,
    partial_fingerprints: Fingerprints<'r>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suppressions: Vec<Suppression>,
}

impl<'r> Result<'r> {
    fn of(entry: &'r Entry<'_>, rules: &[&'static Code]) -> Self {
        let finding = entry.finding;
        let rule_index = rules.partition_point(|code| code.id < finding.code.id);
        let mut locations = Location::physical(&finding.origin.file, finding.origin.line, 0);
        let name = LogicalLocation {
            fully_qualified_name: finding.subject.to_string(),
            kind: "resource",
        };
        match locations.first_mut() {
            Some(location) => location.logical_locations.push(name),
            None => locations.push(Location {
                physical_location: None,
                logical_locations: vec![name],
            }),
        }
        let accepted = Suppression {
            kind: "external",
            justification: "accepted on the command line",
        };
        Self {
            rule_id: finding.code.id,
            rule_index,
            level: level(finding.code.severity),
            message: message(entry),
            locations,
            partial_fingerprints: Fingerprints {
                finding_id: &entry.id,
            },
            suppressions: entry.accepted.then_some(accepted).into_iter().collect(),
        }
    }
}

fn message(entry: &Entry<'_>) -> Message {
    let mut text = entry.finding.message.clone();
    for flow in &entry.finding.flows {
        _ = write!(
            text,
            "\n{} => {} : {} (for example {})",
            flow.source, flow.destination, flow.connections, flow.example
        );
    }
    for fix in fixes(entry) {
        _ = write!(text, "\nfix: {fix}");
    }
    Message { text }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

#[derive(Serialize)]
struct Fingerprints<'r> {
    #[serde(rename = "findingId/v1")]
    finding_id: &'r str,
}

#[derive(Serialize)]
struct Suppression {
    kind: &'static str,
    justification: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    physical_location: Option<PhysicalLocation>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logical_locations: Vec<LogicalLocation>,
}

impl Location {
    /// The place in a file; none for standard input, which no viewer can open.
    fn physical(file: &str, line: u32, column: u32) -> Vec<Self> {
        if file.is_empty() || file == "-" {
            return Vec::new();
        }
        let region = (line > 0).then(|| Region {
            start_line: line,
            start_column: (column > 0).then_some(column),
        });
        let physical_location = PhysicalLocation {
            artifact_location: Artifact { uri: uri(file) },
            region,
        };
        vec![Self {
            physical_location: Some(physical_location),
            logical_locations: Vec::new(),
        }]
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: Artifact,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_column: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation {
    fully_qualified_name: String,
    kind: &'static str,
}

/// A path as a URI reference, relative to where the command ran (RFC 3986 section 4.2).
fn uri(path: &str) -> String {
    let path = if cfg!(windows) {
        path.replace('\\', "/")
    } else {
        path.to_owned()
    };
    let path = path.strip_prefix("./").unwrap_or(&path);
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            byte => _ = write!(uri, "%{byte:02X}"),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_relative_references() {
        let uris = [
            "./k8s/a b.yaml",
            "größe:1.yaml",
            "/etc/k8s/a.yaml",
            "../a.yaml",
        ]
        .map(uri);
        insta::assert_snapshot!(uris.join("\n"), @"
        k8s/a%20b.yaml
        gr%C3%B6%C3%9Fe%3A1.yaml
        file:///etc/k8s/a.yaml
        ../a.yaml
        ");
    }
}
