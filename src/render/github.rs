//! Workflow commands of GitHub Actions, which show findings at the lines of a pull request.

use std::fmt::Write as _;

use crate::finding::Severity;
use crate::model::Problem;
use crate::plan::Verdict;

use super::plan::fixes;
use super::report::{Entry, Failure, Outcome, Report};
use super::text::escape;

/// The report as workflow commands, a line each. The step summary is [`super::markdown`].
pub(super) fn github(report: &Report<'_>) -> String {
    let mut text = String::new();
    for problem in &report.problems {
        text.push_str(&of_problem(problem));
    }
    for entry in &report.findings {
        text.push_str(&of_finding(entry));
    }
    if let Some(failure) = &report.failure {
        text.push_str(&github_failure(failure));
    }
    if let Outcome::Refused(reason) = &report.outcome {
        let message = format!("nothing was written: {reason}");
        text.push_str(&command("error", None, TITLE, &message));
    }
    let proof = &report.plan.proof;
    let message = format!(
        "{}: {} (equal {}, lost {}, gained {}, unknown {})",
        report.verdict(),
        report.proof_sentence(),
        proof.count(Verdict::Equal),
        proof.count(Verdict::Lost),
        proof.count(Verdict::Gained),
        proof.count(Verdict::Unknown),
    );
    let level = if proof.is_empty() {
        "warning"
    } else {
        "notice"
    };
    text.push_str(&command(level, None, TITLE, &message));
    text
}

/// The command in place of a report that could not be made.
pub(super) fn github_failure(failure: &Failure) -> String {
    let message = with_hint(&failure.message, failure.hint.as_deref());
    command("error", None, TITLE, &message)
}

const TITLE: &str = "kubectl ambient";

fn of_problem(problem: &Problem) -> String {
    let place = Place {
        file: &problem.file,
        line: problem.line,
        column: problem.column,
    };
    let message = with_hint(&problem.message, problem.hint.as_deref());
    command("error", Some(&place), "bad input", &message)
}

fn with_hint(message: &str, hint: Option<&str>) -> String {
    match hint {
        Some(hint) => format!("{message}\nhint: {hint}"),
        None => message.to_owned(),
    }
}

fn of_finding(entry: &Entry<'_>) -> String {
    let finding = entry.finding;
    let level = match finding.code.severity {
        // What was accepted must not fail a check.
        _ if entry.accepted => "notice",
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "notice",
    };
    let origin = &finding.origin;
    let place = Place {
        file: &origin.file,
        line: origin.line,
        column: 0,
    };
    let mut message = format!("{}: {}", finding.subject, finding.message);
    for flow in &finding.flows {
        _ = write!(
            message,
            "\n{} => {} : {} (for example {})",
            flow.source, flow.destination, flow.connections, flow.example
        );
    }
    for fix in fixes(entry) {
        _ = write!(message, "\nfix: {fix}");
    }
    let accepted = if entry.accepted { " (accepted)" } else { "" };
    let title = format!("{} {}{accepted}", entry.id, finding.code.title);
    command(level, Some(&place), &title, &message)
}

/// Where an annotation stands; zero for what is not known.
struct Place<'p> {
    file: &'p str,
    line: u32,
    column: u32,
}

fn command(level: &str, place: Option<&Place<'_>>, title: &str, message: &str) -> String {
    let mut properties = String::new();
    if let Some(&Place { file, line, column }) = place
        && !file.is_empty()
        && file != "-"
    {
        let file = file.strip_prefix("./").unwrap_or(file);
        _ = write!(properties, "file={},", property(file));
        if line > 0 {
            _ = write!(properties, "line={line},");
        }
        if column > 0 {
            _ = write!(properties, "col={column},");
        }
    }
    _ = write!(properties, "title={}", property(title));
    format!("::{level} {properties}::{}\n", data(message))
}

/// Escapes the message of a command (actions/toolkit `packages/core/src/command.ts`,
/// `escapeData`).
fn data(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (content, end) = match line.strip_suffix('\n') {
            Some(content) => (content, "%0A"),
            None => (line, ""),
        };
        let content = escape(content);
        escaped.push_str(&content.replace('%', "%25"));
        escaped.push_str(end);
    }
    escaped
}

/// Escapes a property of a command (`escapeProperty` there).
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_start_a_command() {
        let place = Place {
            file: "./k8s/a,b:c.yaml",
            line: 3,
            column: 7,
        };
        let text = command(
            "error",
            Some(&place),
            "50%: a, b",
            "one\n::error::two\r\u{1b}[0m 9%",
        );
        insta::assert_snapshot!(text, @r"::error file=k8s/a%2Cb%3Ac.yaml,line=3,col=7,title=50%25%3A a%2C b::one%0A::error::two\r\u{1b}[0m 9%25");
    }
}
