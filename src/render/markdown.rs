//! The report as a comment on a pull request, or as the summary of a CI step.

use std::fmt::Write as _;

use crate::finding::Severity;
use crate::plan::Verdict;

use super::Style;
use super::plan::{action, fixes, instead, left_out, place, step_title, workloads};
use super::report::{Entry, Failure, Outcome, Report};
use super::text::{Count, escape, escape_line};

/// GitHub refuses comments over 65,536 characters; other forges allow more.
const LIMIT: usize = 60_000;
/// What findings may take of it, so that the diff keeps a place.
const FINDINGS_LIMIT: usize = 25_000;
/// What the changes may take of it.
const CHANGES_LIMIT: usize = 10_000;
/// What changes that were not made may take of it.
const REFUSALS_LIMIT: usize = 5_000;
/// What text for people to put elsewhere may take of it.
const SNIPPETS_LIMIT: usize = 5_000;
/// What commands may take of it.
const COMMANDS_LIMIT: usize = 5_000;

/// The report in at most 60,000 bytes: what does not fit is counted.
pub fn markdown(report: &Report<'_>) -> String {
    let mut text = summary(report);
    text.push_str(&namespaces(report));
    text.push_str(&problems(report));
    append_within(&mut text, FINDINGS_LIMIT, "finding", &findings(report));
    append_within(&mut text, CHANGES_LIMIT, "change", &changes(report));
    append_within(&mut text, REFUSALS_LIMIT, "refusal", &refusals(report));
    text.push_str(&snippets(report));
    text.push_str(&commands(report));
    text.push_str(&outcome(report));
    let room = LIMIT.saturating_sub(text.len());
    text.push_str(&diff(report, room));
    text
}

/// The text in place of a report that could not be made.
pub(super) fn markdown_failure(failure: &Failure) -> String {
    let mut text = format!("{HEADING}\n**error**: {}\n", inline(&failure.message));
    if let Some(hint) = &failure.hint {
        _ = writeln!(text, "\nhint: {}", inline(hint));
    }
    text
}

const HEADING: &str = "### kubectl ambient migrate\n";

fn summary(report: &Report<'_>) -> String {
    let proof = &report.plan.proof;
    let counts = report.finding_counts();
    let changes = report.change_counts();
    let read: Vec<String> = report.inventory.lines().iter().map(|l| inline(l)).collect();
    format!(
        "{HEADING}\n**{}**: {} (equal {}, lost {}, gained {}, unknown {}).\n\
         {}, {} not accepted, {} accepted; {} changed.\n\
         Read: {}.\n",
        report.verdict(),
        report.proof_sentence(),
        proof.count(Verdict::Equal),
        proof.count(Verdict::Lost),
        proof.count(Verdict::Gained),
        proof.count(Verdict::Unknown),
        Count(counts.error, "error"),
        Count(counts.warning, "warning"),
        counts.accepted,
        Count(changes.total(), "object"),
        read.join("; "),
    )
}

fn namespaces(report: &Report<'_>) -> String {
    if report.plan.namespaces.is_empty() {
        return String::new();
    }
    let mut text = table(["Namespace", "Workloads", "Policies", "Waypoint", "Verdict"]);
    let changes = report.changes_by_namespace();
    for namespace in &report.plan.namespaces {
        let policies = changes.get(namespace.name.as_str());
        let verdict = if namespace.enrolled {
            report.namespace_verdict(&namespace.name).0
        } else {
            left_out(namespace)
        };
        text.push_str(&row([
            &inline(&namespace.name),
            &workloads(namespace),
            &policies.map(|c| c.words()).unwrap_or_default(),
            &inline(namespace.waypoint.as_deref().unwrap_or_default()),
            &inline(&verdict),
        ]));
    }
    text
}

fn problems(report: &Report<'_>) -> String {
    if report.problems.is_empty() {
        return String::new();
    }
    let mut text = table(["Bad input", "Error"]);
    for problem in &report.problems {
        let message = inline(&problem.message);
        text.push_str(&row([&code(&super::input::place(problem)), &message]));
    }
    text
}

/// The head of the findings table, then a row for each.
fn findings(report: &Report<'_>) -> Vec<String> {
    if report.findings.is_empty() {
        return Vec::new();
    }
    let head = table(["Finding", "Severity", "Object", "What"]);
    let mut previous: Option<&Entry<'_>> = None;
    let rows = report.findings.iter().map(|entry| {
        let finding = entry.finding;
        // What is to be done about several findings in a row is said with the first.
        let before = previous.replace(entry);
        let same = |before: &Entry<'_>| {
            before.finding.code.id == finding.code.id && fixes(before) == fixes(entry)
        };
        let repeats = before.is_some_and(same);
        let severity = match (entry.accepted, finding.code.severity) {
            (true, severity) => format!("{severity}, accepted"),
            (false, Severity::Error) => "**error**".to_owned(),
            (false, severity) => severity.to_string(),
        };
        let mut object = code(&finding.subject.to_string());
        if !finding.origin.is_synthetic() {
            _ = write!(object, "<br>{}", code(&finding.origin.to_string()));
        }
        row([&code(&entry.id), &severity, &object, &what(entry, !repeats)])
    });
    std::iter::once(head).chain(rows).collect()
}

fn what(entry: &Entry<'_>, with_fixes: bool) -> String {
    let mut text = inline(&entry.finding.message);
    for flow in &entry.finding.flows {
        let line = format!(
            "{} => {} : {}",
            flow.source, flow.destination, flow.connections
        );
        _ = write!(
            text,
            "<br>{}, for example {}",
            code(&line),
            code(&flow.example)
        );
    }
    for fix in fixes(entry).iter().filter(|_| with_fixes) {
        _ = write!(text, "<br>fix: {}", inline(fix));
    }
    text
}

/// The head of the table of changes, then a row for each.
fn changes(report: &Report<'_>) -> Vec<String> {
    if report.change_counts().total() == 0 {
        return Vec::new();
    }
    let head = table(["Step", "Action", "Object", "Where", "Why"]);
    let steps = report.plan.steps.iter().enumerate();
    let rows = steps.flat_map(|(index, step)| {
        step.changes.iter().map(move |change| {
            row([
                &format!("{}. {}", index + 1, step_title(step.kind)),
                action(change),
                &code(&change.object.to_string()),
                &code(&place(change)),
                &inline(&change.reason),
            ])
        })
    });
    std::iter::once(head).chain(rows).collect()
}

/// The head of the table of edits that were not made, then a row for each.
fn refusals(report: &Report<'_>) -> Vec<String> {
    if report.prepared.refusals.is_empty() {
        return Vec::new();
    }
    let head = table(["Not edited", "Where", "Because", "Instead"]);
    let rows = report.prepared.refusals.iter().map(|refusal| {
        row([
            &code(&refusal.object.to_string()),
            &code(&refusal.origin.to_string()),
            &inline(&refusal.reason),
            &inline(&instead(refusal)),
        ])
    });
    std::iter::once(head).chain(rows).collect()
}

/// Text for people to put into files of their own.
fn snippets(report: &Report<'_>) -> String {
    let mut text = String::new();
    for snippet in &report.prepared.snippets {
        let (file, message) = (code(&snippet.file), inline(&snippet.message));
        _ = write!(text, "\n{file}: {message}\n\n");
        text.push_str(&fenced("yaml", &snippet.text));
    }
    if text.len() > SNIPPETS_LIMIT {
        let snippets = Count(report.prepared.snippets.len(), "snippet");
        return format!("\n… and {snippets} to put into files; `-o json` lists all\n");
    }
    text
}

/// Text as a block of code.
fn fenced(language: &str, text: &str) -> String {
    let fence = fence(text);
    let mut block = format!("{fence}{language}\n");
    for line in text.lines() {
        _ = writeln!(block, "{}", escape_line(line));
    }
    _ = writeln!(block, "{fence}");
    block
}

/// A fence that no line of the text can end: longer than every run of backticks in it.
fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

/// The commands that do the rest of the plan on a cluster.
fn commands(report: &Report<'_>) -> String {
    let commands = report.plan.steps.iter().flat_map(|step| &step.commands);
    let lines: Vec<String> = commands.map(|c| format!("{}\n", escape(c))).collect();
    if lines.is_empty() {
        return String::new();
    }
    let mut text = "\nThen run:\n\n".to_owned();
    let all = lines.concat();
    if all.len() > COMMANDS_LIMIT {
        _ = writeln!(
            text,
            "… {}; `-o json` lists all",
            Count(lines.len(), "command")
        );
    } else {
        text.push_str(&fenced("sh", &all));
    }
    text
}

/// Appends a table as long as it stays within a limit, and counts the rows left out.
fn append_within(text: &mut String, limit: usize, noun: &'static str, table: &[String]) {
    let mut left = limit;
    for (index, part) in table.iter().enumerate() {
        let Some(rest) = left.checked_sub(part.len()) else {
            let hidden = Count(table.len() - index, noun);
            _ = writeln!(text, "\n… and {hidden} more; `-o json` lists all");
            return;
        };
        left = rest;
        text.push_str(part);
    }
}

fn outcome(report: &Report<'_>) -> String {
    let mut text = match &report.outcome {
        Outcome::Planned | Outcome::DryRun => String::new(),
        Outcome::Written(files) => format!("\nWrote {}.\n", Count(files.len(), "file")),
        Outcome::Refused(reason) => format!("\n**Nothing was written**: {}.\n", inline(reason)),
    };
    if let Some(failure) = &report.failure {
        _ = writeln!(text, "\n**error**: {}", inline(&failure.message));
    }
    text
}

fn diff(report: &Report<'_>, room: usize) -> String {
    let style = Style {
        terminal: true,
        ..Style::default()
    };
    let diff = report.styled_diff(style);
    if diff.is_empty() {
        return String::new();
    }
    let fence = fence(&diff);
    let files = Count(report.differing_files(), "file");
    let head = format!("\n<details><summary>Diff of {files}</summary>\n\n{fence}diff\n");
    let tail = format!("{fence}\n\n</details>\n");
    // The count below is shorter than this.
    let room = room.saturating_sub(head.len() + tail.len() + 80);
    let mut text = head;
    let mut used = 0;
    let mut hidden = 0_usize;
    for line in diff.split_inclusive('\n') {
        if hidden == 0 && used + line.len() <= room {
            used += line.len();
            text.push_str(line);
        } else {
            hidden += 1;
        }
    }
    text.push_str(&tail);
    if hidden > 0 {
        let hidden = Count(hidden, "more line");
        _ = writeln!(text, "\n… and {hidden}: run `kubectl ambient migrate diff`");
    }
    text
}

fn table<const COLUMNS: usize>(headers: [&str; COLUMNS]) -> String {
    format!("\n{}{}\n", row(headers), "|---".repeat(COLUMNS) + "|")
}

fn row<const COLUMNS: usize>(cells: [&str; COLUMNS]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// Text from outside between other text: what is between backticks stays code, the rest has no
/// meaning in Markdown.
fn inline(text: &str) -> String {
    let text = escape(text);
    let mut parts = text.split('`');
    let balanced = text.matches('`').count().is_multiple_of(2);
    let mut escaped = plain(parts.next().unwrap_or_default());
    for (index, part) in parts.enumerate() {
        if balanced && index % 2 == 0 {
            escaped.push_str(&code(part));
        } else if balanced {
            escaped.push_str(&plain(part));
        } else {
            _ = write!(escaped, "\\`{}", plain(part));
        }
    }
    escaped
}

fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // A mention would notify people.
            '@' => escaped.push_str("&#64;"),
            '|' | '*' | '_' | '[' | ']' | '\\' | '~' | '#' | '!' => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Text from outside as code in a table cell, where only `|` still has a meaning.
fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let text = escape(text).replace('|', "\\|");
    if text.contains('`') {
        format!("`` {text} ``")
    } else {
        format!("`{text}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_only_text() {
        let texts = [
            "`shop/a|b` is *not* <b>bold</b>, ask @team [here](http://x)",
            "an odd ` backtick",
            "two\nlines & more",
        ];
        insta::assert_snapshot!(texts.map(inline).join("\n"), @r"
        `shop/a\|b` is \*not\* &lt;b&gt;bold&lt;/b&gt;, ask &#64;team \[here\](http://x)
        an odd \` backtick
        two\\nlines &amp; more
        ");
    }

    #[test]
    fn a_table_that_is_too_long_says_how_much_is_missing() {
        let mut text = String::new();
        let parts = ["head\n", "one\n", "two\n", "three\n"].map(str::to_owned);
        append_within(&mut text, 10, "finding", &parts);
        insta::assert_snapshot!(text, @"
        head
        one

        … and 2 findings more; `-o json` lists all
        ");
    }
}
