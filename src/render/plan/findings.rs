//! What stands in the way, by code: what it means and what to do about it once, then the objects.

use std::fmt::Write as _;

use crate::finding::{Flow, Severity};
use crate::render::report::{Entry, Report};
use crate::render::table::Table;
use crate::render::text::{Count, Role, Style, escape, wrap};

use super::{SHOWN, more};

/// Warnings of one code beyond this many are counted, not shown.
const WARNINGS_SHOWN: usize = 5;
/// Flows beyond this many are counted, not shown, where a code has several findings.
const FLOWS_SHOWN: usize = 3;

/// The findings that ask for something, worst first.
pub(super) fn findings(report: &Report<'_>, style: Style) -> String {
    let open: Vec<&Entry<'_>> = report.open_findings(Severity::Warning).collect();
    let alike = |a: &&Entry<'_>, b: &&Entry<'_>| a.finding.code.id == b.finding.code.id;
    let groups = open.chunk_by(alike).map(|group| of_code(group, style));
    groups.collect::<Vec<_>>().join("\n")
}

/// All findings of one code.
fn of_code(group: &[&Entry<'_>], style: Style) -> String {
    let Some((first, others)) = group.split_first() else {
        return String::new();
    };
    let code = first.finding.code;
    let label = format!("{} {}", code.severity, code.id);
    let mut text = format!(
        "{}   {}",
        style.paint(role(code.severity), &label),
        code.title
    );
    if !others.is_empty() {
        _ = write!(text, "   {}", Count(group.len(), "finding"));
    }
    _ = writeln!(text, "\n  {}", wrap(code.meaning, 2, style.width));
    let same_fixes = others.iter().all(|other| fixes(other) == fixes(first));
    if same_fixes {
        text.push_str(&fix_lines(first, 2, style));
    }
    let shown = match code.severity {
        Severity::Error => SHOWN,
        Severity::Warning | Severity::Info => WARNINGS_SHOWN,
    };
    let flows = if others.is_empty() {
        SHOWN
    } else {
        FLOWS_SHOWN
    };
    let shown_entries = group.get(..shown).unwrap_or(group);
    for alike in shown_entries.chunk_by(|a, b| fixes(a) == fixes(b)) {
        text.extend(alike.iter().map(|entry| occurrence(entry, flows, style)));
        if let Some(last) = alike.last().filter(|_| !same_fixes) {
            text.push_str(&fix_lines(last, 4, style));
        }
    }
    let more = more(group.len(), shown, "finding");
    if !more.is_empty() {
        _ = write!(text, "  {more}");
    }
    text
}

/// One finding: its object, and what was found there, with so many flows at most.
fn occurrence(entry: &Entry<'_>, flows: usize, style: Style) -> String {
    let finding = entry.finding;
    let subject = finding.subject.to_string();
    let mut place = String::new();
    if !finding.origin.is_synthetic() {
        place = escape(&finding.origin.to_string()).into_owned();
        let columns = [&entry.id, &subject, &place].map(|c| c.chars().count() + 3);
        let fits = columns.iter().sum::<usize>() <= style.width;
        place.insert_str(0, if fits { "   " } else { "\n    " });
    }
    let id = style.paint(Role::Heading, &entry.id);
    // The object is named in the line above.
    let prefix = format!("`{subject}` ");
    let message = finding.message.strip_prefix(&prefix);
    let message = escape(message.unwrap_or(&finding.message));
    let mut text = format!(
        "  {id}   {}{place}\n    {}\n",
        escape(&subject),
        wrap(&message, 4, style.width)
    );
    for flow in finding.flows.iter().take(flows) {
        text.push_str(&flow_lines(flow, style));
    }
    let more = more(finding.flows.len(), flows, "flow");
    if !more.is_empty() {
        _ = write!(text, "      {more}");
    }
    text
}

/// Policies of one flow that are named; the others are counted.
const POLICIES_NAMED: usize = 5;

fn flow_lines(flow: &Flow, style: Style) -> String {
    let line = format!(
        "{} => {} : {}",
        flow.source, flow.destination, flow.connections
    );
    let mut detail = format!("for example {}", flow.example);
    if !flow.policies.is_empty() {
        let first = flow.policies.iter().take(POLICIES_NAMED);
        let names: Vec<String> = first.map(ToString::to_string).collect();
        _ = write!(detail, ", by {}", names.join(", "));
        let others = flow.policies.len().saturating_sub(POLICIES_NAMED);
        if others > 0 {
            _ = write!(detail, " and {others} more");
        }
    }
    format!(
        "      {}\n        {}\n",
        wrap(&escape(&line), 8, style.width),
        wrap(&escape(&detail), 8, style.width)
    )
}

/// What to do about a finding: its own fixes, else that of its code.
pub(in crate::render) fn fixes<'e>(entry: &'e Entry<'_>) -> Vec<&'e str> {
    if entry.finding.fixes.is_empty() {
        vec![entry.finding.code.fix]
    } else {
        entry.finding.fixes.iter().map(String::as_str).collect()
    }
}

fn fix_lines(entry: &Entry<'_>, indent: usize, style: Style) -> String {
    let label = style.paint(Role::Good, "fix:");
    let mut text = String::new();
    for fix in fixes(entry) {
        let fix = wrap(&escape(fix), indent + "fix: ".len(), style.width);
        _ = writeln!(text, "{:indent$}{label} {fix}", "");
    }
    text
}

fn role(severity: Severity) -> Role {
    match severity {
        Severity::Error => Role::Error,
        Severity::Warning => Role::Warning,
        Severity::Info => Role::Information,
    }
}

/// Findings that ask for nothing, a line for each code.
pub(super) fn information(report: &Report<'_>, style: Style) -> String {
    let open = report.open_findings(Severity::Info);
    let open: Vec<&Entry<'_>> = open
        .filter(|e| e.finding.code.severity == Severity::Info)
        .collect();
    let groups = open.chunk_by(|a, b| a.finding.code.id == b.finding.code.id);
    let mut table = Table::new(style, ["INFO", "OBJECT", "WHAT"]);
    for group in groups {
        let Some((first, others)) = group.split_first() else {
            continue;
        };
        let mut object = first.finding.subject.to_string();
        if !others.is_empty() {
            _ = write!(object, " and {} more", others.len());
        }
        let code = first.finding.code;
        table.row([code.id, &object, code.title], None);
    }
    if open.is_empty() {
        return String::new();
    }
    format!("{table}`kubectl ambient explain CODE` says more, `-o json` lists all objects\n")
}

/// Findings that were accepted.
pub(super) fn accepted(report: &Report<'_>, style: Style) -> String {
    let rows: Vec<&Entry<'_>> = report.findings.iter().filter(|e| e.accepted).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new(style, ["ACCEPTED", "SEVERITY", "OBJECT", "MESSAGE"]);
    for entry in rows.iter().take(SHOWN) {
        let finding = entry.finding;
        let severity = finding.code.severity.to_string();
        let subject = finding.subject.to_string();
        let cells = [entry.id.as_str(), &severity, &subject, &finding.message];
        table.row(cells, None);
    }
    format!("{table}{}", more(rows.len(), SHOWN, "finding"))
}
