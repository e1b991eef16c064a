//! The plan as a person reads it in a terminal.

use std::fmt::Write as _;

use crate::finding::Severity;
use crate::plan::{Change, ChangeAction, NamespacePlan, Step, StepKind, Verdict};

use crate::sink::FileRefusal;

use super::report::{ChangeCounts, Entry, Outcome, Report};
use super::text::{Count, Role, Style, Table, escape, escape_line};

/// Comparisons beyond this many are counted, not shown.
const COMPARISONS_SHOWN: usize = 20;
/// Flows of one finding beyond this many are counted, not shown.
const FLOWS_SHOWN: usize = 10;

/// The whole report.
pub(super) fn plan(report: &Report<'_>, style: Style) -> String {
    let sections = [
        header(report),
        namespaces(report, style),
        staying_out(report, style),
        steps(report, style),
        findings(report, style),
        information(report, style),
        accepted(report, style),
        refusals(report, style),
        snippets(report, style),
        proof(report, style),
        diff(report, style),
        outcome(report, style),
    ];
    let sections: Vec<String> = sections.into_iter().filter(|s| !s.is_empty()).collect();
    sections.join("\n")
}

fn header(report: &Report<'_>) -> String {
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
    let mut rows = enrolled.flat_map(|n| &n.staying_out).peekable();
    if rows.peek().is_none() {
        return String::new();
    }
    let mut table = Table::new(style, ["STAYS OUT", "BECAUSE"]);
    for (endpoint, reason) in rows {
        table.row([endpoint, reason], None);
    }
    table.to_string()
}

fn steps(report: &Report<'_>, style: Style) -> String {
    let mut sections = Vec::new();
    for (index, step) in report.plan.steps.iter().enumerate() {
        let title = format!("Step {}   {}", index + 1, step_title(step.kind));
        let mut text = format!("{}\n", style.paint(Role::Heading, &title));
        text.push_str(&step_table(step, style));
        for command in &step.commands {
            _ = writeln!(text, "  {}", escape(command));
        }
        sections.push(text);
    }
    sections.join("\n")
}

fn step_table(step: &Step, style: Style) -> String {
    if step.changes.is_empty() {
        return String::new();
    }
    let mut table = Table::new(style, ["ACTION", "OBJECT", "WHERE", "WHY"]);
    for change in &step.changes {
        let cells = [
            action(change),
            &change.object.to_string(),
            &place(change),
            &change.reason,
        ];
        table.row(cells, None);
    }
    table.to_string()
}

/// What kind of step it is, in a few words.
pub(super) fn step_title(kind: StepKind) -> &'static str {
    match kind {
        StepKind::OpenTunnel => "open the tunnel port in network policies",
        StepKind::RestorePorts => "keep the port limits inside the tunnel",
        StepKind::Enrol => "enrol",
    }
}

/// The verb of a change.
pub(super) fn action(change: &Change) -> &'static str {
    match change.action {
        ChangeAction::Edit { .. } => "edit",
        ChangeAction::Create { .. } => "create",
        ChangeAction::Replace { .. } => "replace",
    }
}

/// The file and line that a change touches.
pub(super) fn place(change: &Change) -> String {
    match &change.action {
        ChangeAction::Edit { origin, .. } | ChangeAction::Replace { origin, .. } => {
            origin.to_string()
        }
        ChangeAction::Create { beside, .. } if beside.is_synthetic() => "new file".to_owned(),
        ChangeAction::Create { beside, .. } => format!("beside {}", beside.file),
    }
}

fn findings(report: &Report<'_>, style: Style) -> String {
    let open: Vec<&Entry<'_>> = report.open_findings(Severity::Warning).collect();
    let alike = |a: &&Entry<'_>, b: &&Entry<'_>| {
        a.finding.code.id == b.finding.code.id && fixes(a) == fixes(b)
    };
    let sections: Vec<String> = open
        .chunk_by(alike)
        .map(|group| findings_alike(group, style))
        .collect();
    sections.join("\n")
}

/// Findings of one code, and what to do about all of them.
fn findings_alike(group: &[&Entry<'_>], style: Style) -> String {
    let mut text: String = group.iter().map(|entry| finding(entry, style)).collect();
    for fix in group.first().map(|entry| fixes(entry)).unwrap_or_default() {
        let label = style.paint(Role::Good, "fix:");
        _ = writeln!(text, "  {label} {}", escape(fix));
    }
    text
}

/// Findings that ask for nothing, a line each.
fn information(report: &Report<'_>, style: Style) -> String {
    let open = report.open_findings(Severity::Info);
    let mut rows = open
        .filter(|e| e.finding.code.severity == Severity::Info)
        .peekable();
    if rows.peek().is_none() {
        return String::new();
    }
    let mut table = Table::new(style, ["INFO", "OBJECT", "WHERE", "MESSAGE"]);
    for Entry { finding, id, .. } in rows {
        let place = if finding.origin.is_synthetic() {
            String::new()
        } else {
            finding.origin.to_string()
        };
        let cells = [id, &finding.subject.to_string(), &place, &finding.message];
        table.row(cells.map(String::as_str), None);
    }
    table.to_string()
}

fn finding(entry: &Entry<'_>, style: Style) -> String {
    let finding = entry.finding;
    let role = match finding.code.severity {
        Severity::Error => Role::Error,
        Severity::Warning => Role::Warning,
        Severity::Info => Role::Information,
    };
    let label = style.paint(role, &format!("{} {}", finding.code.severity, entry.id));
    let mut text = format!("{label}   {}", escape(&finding.subject.to_string()));
    if !finding.origin.is_synthetic() {
        _ = write!(text, "   {}", escape(&finding.origin.to_string()));
    }
    _ = write!(text, "\n  {}\n", escape(&finding.message));
    for flow in finding.flows.iter().take(FLOWS_SHOWN) {
        _ = writeln!(
            text,
            "    {} => {} : {}   for example {}{}",
            escape(&flow.source),
            escape(&flow.destination),
            escape(&flow.connections),
            escape(&flow.example),
            by_policies(&flow.policies),
        );
    }
    let hidden = finding.flows.len().saturating_sub(FLOWS_SHOWN);
    if hidden > 0 {
        _ = writeln!(text, "    … and {}", Count(hidden, "more flow"));
    }
    text
}

/// What to do about a finding: its own fixes, else that of its code.
pub(super) fn fixes<'e>(entry: &'e Entry<'_>) -> Vec<&'e str> {
    if entry.finding.fixes.is_empty() {
        vec![entry.finding.code.fix]
    } else {
        entry.finding.fixes.iter().map(String::as_str).collect()
    }
}

fn by_policies(policies: &[crate::model::ObjectRef]) -> String {
    if policies.is_empty() {
        return String::new();
    }
    let names: Vec<String> = policies.iter().map(ToString::to_string).collect();
    format!("   by {}", escape(&names.join(", ")))
}

fn accepted(report: &Report<'_>, style: Style) -> String {
    let mut rows = report.findings.iter().filter(|e| e.accepted).peekable();
    if rows.peek().is_none() {
        return String::new();
    }
    let mut table = Table::new(style, ["ACCEPTED", "SEVERITY", "OBJECT", "MESSAGE"]);
    for entry in rows {
        let finding = entry.finding;
        let cells = [
            entry.id.as_str(),
            &finding.code.severity.to_string(),
            &finding.subject.to_string(),
            &finding.message,
        ];
        table.row(cells, None);
    }
    table.to_string()
}

fn refusals(report: &Report<'_>, style: Style) -> String {
    if report.prepared.refusals.is_empty() {
        return String::new();
    }
    let mut table = Table::new(style, ["NOT EDITED", "WHERE", "BECAUSE", "INSTEAD"]);
    for refusal in &report.prepared.refusals {
        let cells = [
            refusal.object.to_string(),
            refusal.origin.to_string(),
            refusal.reason.clone(),
            instead(refusal),
        ];
        table.row(cells.each_ref().map(String::as_str), None);
    }
    table.to_string()
}

/// What is done in place of an edit that was not made.
pub(super) fn instead(refusal: &FileRefusal) -> String {
    match &refusal.companion {
        Some(file) => format!("a companion in {file}"),
        None => "to be changed by hand".to_owned(),
    }
}

fn snippets(report: &Report<'_>, style: Style) -> String {
    let snippets = report.prepared.snippets.iter().map(|snippet| {
        let title = format!("{}: {}", escape(&snippet.file), escape(&snippet.message));
        let mut text = format!("{}\n", style.paint(Role::Heading, &title));
        for line in snippet.text.lines() {
            _ = writeln!(text, "  {}", escape_line(line));
        }
        text
    });
    snippets.collect::<Vec<_>>().join("\n")
}

fn proof(report: &Report<'_>, style: Style) -> String {
    let proof = &report.plan.proof;
    let verdict = proof.verdict();
    let role = match verdict {
        Verdict::Equal => Role::Good,
        Verdict::Unknown => Role::Warning,
        Verdict::Gained | Verdict::Lost => Role::Error,
    };
    let mut text = format!(
        "Proof   {}: {}\n        equal {}, lost {}, gained {}, unknown {}   ({}, {})\n",
        style.paint(role, &verdict.to_string()),
        report.proof_sentence(),
        proof.count(Verdict::Equal),
        proof.count(Verdict::Lost),
        proof.count(Verdict::Gained),
        proof.count(Verdict::Unknown),
        Count(proof.classes, "pod class"),
        Count(proof.address_ranges, "address range"),
    );
    if proof.differences.is_empty() {
        return text;
    }
    let headers = [
        "VERDICT",
        "SOURCE",
        "DESTINATION",
        "THROUGH",
        "CONNECTIONS",
        "BECAUSE",
    ];
    let mut table = Table::new(style, headers);
    for comparison in proof.differences.iter().take(COMPARISONS_SHOWN) {
        let verdict = comparison.verdict.to_string();
        let cells = [
            verdict.as_str(),
            &comparison.source,
            &comparison.destination,
            &comparison.relation.to_string(),
            &comparison.difference,
            &comparison.because,
        ];
        table.row(cells, None);
    }
    text.push_str(&table.to_string());
    let hidden = proof.differences.len().saturating_sub(COMPARISONS_SHOWN);
    if hidden > 0 {
        let more = Count(hidden, "more comparison");
        _ = writeln!(text, "… and {more}; `-o json` lists them");
    }
    for (verdict, count) in &proof.unlisted {
        _ = writeln!(text, "… and {count} {verdict}, too many to list");
    }
    text
}

fn diff(report: &Report<'_>, style: Style) -> String {
    if report.show_diff {
        super::diff(&report.prepared.changes, style)
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
