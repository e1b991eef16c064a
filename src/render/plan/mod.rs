//! The plan as a person reads it in a terminal: what is in it, whether it is safe, what is to be
//! done, and what stands in the way. What can be long is shortened here, and nowhere else.

mod changes;
mod findings;
mod proof;

use std::fmt::Write as _;

use crate::finding::Severity;
use crate::plan::NamespacePlan;

use super::report::{ChangeCounts, Outcome, Report};
use super::table::Table;
use super::text::{Count, Role, Style, escape, wrap};

pub(super) use changes::{action, instead, place, step_title};
pub(super) use findings::fixes;

/// Rows of a list beyond this many are counted, not shown: `-o json` lists all of them.
const SHOWN: usize = 10;

/// The whole report.
pub(super) fn plan(report: &Report<'_>, style: Style) -> String {
    let sections = [
        header(report, style),
        namespaces(report, style),
        staying_out(report, style),
        proof::proof(report, style),
        changes::steps(report, style),
        changes::refusals(report, style),
        changes::snippets(report, style),
        findings::findings(report, style),
        findings::information(report, style),
        findings::accepted(report, style),
        diff(report, style),
        outcome(report, style),
    ];
    let sections: Vec<String> = sections.into_iter().filter(|s| !s.is_empty()).collect();
    sections.join("\n")
}

fn header(report: &Report<'_>, style: Style) -> String {
    let plan = report.plan;
    let enrolled = plan.namespaces.iter().filter(|n| n.enrolled).count();
    let workloads = plan.namespaces.iter().map(|n| n.in_mesh).sum();
    let ChangeCounts {
        edited,
        created,
        replaced,
    } = report.change_counts();
    let mut text = format!(
        "Plan   {}, {}   {} to edit, {created} to create",
        Count(enrolled, "namespace"),
        Count(workloads, "workload"),
        Count(edited, "object"),
    );
    if replaced > 0 {
        _ = write!(text, ", {replaced} to replace");
    }
    text.push('\n');
    text.push_str(&inventory(report, style));
    text
}

/// What was read of the input, and what was not.
fn inventory(report: &Report<'_>, style: Style) -> String {
    let mut text = String::new();
    let mut label = "Read   ";
    for words in report.inventory.lines() {
        _ = writeln!(text, "{label}{}", wrap(&escape(&words), 7, style.width));
        label = "       ";
    }
    text
}

fn namespaces(report: &Report<'_>, style: Style) -> String {
    if report.plan.namespaces.is_empty() {
        return String::new();
    }
    let headers = ["NAMESPACE", "WORKLOADS", "POLICIES", "WAYPOINT", "VERDICT"];
    let mut table = Table::new(style, headers);
    let changes = report.changes_by_namespace();
    for namespace in &report.plan.namespaces {
        let policies = changes.get(namespace.name.as_str());
        let (verdict, role) = verdict(report, namespace);
        let cells = [
            namespace.name.as_str(),
            &workloads(namespace),
            &policies.map(|c| c.words()).unwrap_or_default(),
            namespace.waypoint.as_deref().unwrap_or_default(),
            &verdict,
        ];
        table.row(cells, Some(role));
    }
    table.to_string()
}

/// `9`, or `8 of 9` when some stay out.
pub(super) fn workloads(namespace: &NamespacePlan) -> String {
    match namespace.staying_out.len() {
        0 => namespace.in_mesh.to_string(),
        out => format!("{} of {}", namespace.in_mesh, namespace.in_mesh + out),
    }
}

fn verdict(report: &Report<'_>, namespace: &NamespacePlan) -> (String, Role) {
    if !namespace.enrolled {
        return (left_out(namespace), Role::Information);
    }
    let (words, severity) = report.namespace_verdict(&namespace.name);
    let role = match severity {
        Some(Severity::Error) => Role::Error,
        Some(Severity::Warning) => Role::Warning,
        Some(Severity::Info) | None => Role::Good,
    };
    (words, role)
}

/// Why a namespace is not enrolled.
pub(super) fn left_out(namespace: &NamespacePlan) -> String {
    match namespace.reason.as_str() {
        "" => "left out".to_owned(),
        reason => format!("left out: {reason}"),
    }
}

fn staying_out(report: &Report<'_>, style: Style) -> String {
    let enrolled = report.plan.namespaces.iter().filter(|n| n.enrolled);
    let rows: Vec<_> = enrolled.flat_map(|n| &n.staying_out).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new(style, ["STAYS OUT", "BECAUSE"]);
    for (endpoint, reason) in rows.iter().take(SHOWN) {
        table.row([endpoint, reason], None);
    }
    format!("{table}{}", more(rows.len(), SHOWN, "workload"))
}

/// A line that counts what a list of so many things leaves out; nothing when it leaves out nothing.
fn more(all: usize, shown: usize, noun: &str) -> String {
    match all.saturating_sub(shown) {
        0 => String::new(),
        hidden => format!(
            "… and {}; `-o json` lists all\n",
            Count(hidden, &format!("more {noun}"))
        ),
    }
}

fn diff(report: &Report<'_>, style: Style) -> String {
    if report.show_diff {
        report.styled_diff(style)
    } else {
        String::new()
    }
}

fn outcome(report: &Report<'_>, style: Style) -> String {
    match &report.outcome {
        Outcome::Planned => "Nothing was written.\n".to_owned(),
        Outcome::DryRun => {
            let files = Count(report.differing_files(), "file");
            format!("Nothing was written (dry run); {files} would be.\n")
        }
        Outcome::Written(files) if files.is_empty() => "Nothing was to be written.\n".to_owned(),
        Outcome::Written(files) => {
            let mut text = format!("Wrote {}:\n", Count(files.len(), "file"));
            for file in files {
                _ = writeln!(text, "  {}", escape(file));
            }
            text
        }
        Outcome::Refused(reason) => {
            let label = style.paint(Role::Error, "Nothing was written");
            format!("{label}: {}\n", escape(reason))
        }
    }
}
