//! What is to be done: the steps with their changes, and what cannot be edited.

use std::fmt::Write as _;

use crate::plan::{Change, ChangeAction, Step, StepKind};
use crate::render::report::Report;
use crate::render::table::Table;
use crate::render::text::{Role, Style, escape, escape_line, wrap};
use crate::sink::FileRefusal;

use super::{SHOWN, more};

pub(super) fn steps(report: &Report<'_>, style: Style) -> String {
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
    // A reason that differs in nothing but names, and a folder that all objects go to, are said
    // once.
    let reason = shared_reason(&step.changes);
    let folder = reason.as_ref().and_then(|_| shared_folder(&step.changes));
    let mut text = String::new();
    if let Some(reason) = &reason {
        _ = writeln!(text, "  {}", wrap(&escape(reason), 2, style.width));
    }
    if let Some(folder) = folder {
        _ = writeln!(text, "  new objects in {}", escape(folder));
    }
    let shown = step.changes.iter().take(SHOWN).map(|change| {
        let object = change.object.to_string();
        (action(change), object, place(change), &change.reason)
    });
    let table = match (&reason, folder) {
        (_, Some(_)) => {
            let mut table = Table::new(style, ["ACTION", "OBJECT"]);
            shown.for_each(|(action, object, ..)| {
                table.row([action, &object], None);
            });
            table.to_string()
        }
        (Some(_), None) => {
            let mut table = Table::new(style, ["ACTION", "OBJECT", "WHERE"]);
            shown.for_each(|(action, object, place, _)| {
                table.row([action, &object, &place], None);
            });
            table.to_string()
        }
        (None, None) => {
            let mut table = Table::new(style, ["ACTION", "OBJECT", "WHERE", "WHY"]);
            shown.for_each(|(action, object, place, reason)| {
                table.row([action, &object, &place, reason], None);
            });
            table.to_string()
        }
    };
    text.push_str(&table);
    text.push_str(&more(step.changes.len(), SHOWN, "object"));
    text
}

/// The folder that all changes put new objects into, if there are several.
fn shared_folder(changes: &[Change]) -> Option<&str> {
    let (first, others) = changes.split_first()?;
    let shared = new_in(first).filter(|_| !others.is_empty())?;
    let same = |other: &Change| new_in(other) == Some(shared);
    others.iter().all(same).then_some(shared)
}

/// The folder that a new object is put into.
fn new_in(change: &Change) -> Option<&str> {
    match &change.action {
        ChangeAction::Create { beside, .. } => beside.file.rsplit_once('/').map(|(f, _)| f),
        ChangeAction::Edit { .. } | ChangeAction::Replace { .. } => None,
    }
}

/// The reason that all changes have in common, if there are several, with `…` for what is between
/// backticks where that differs.
fn shared_reason(changes: &[Change]) -> Option<String> {
    let (first, others) = changes.split_first()?;
    if others.is_empty() {
        return None;
    }
    if others.iter().all(|other| other.reason == first.reason) {
        return Some(first.reason.clone());
    }
    let pattern = |reason: &str| {
        let parts = reason.split('`').enumerate();
        let part = |(index, part)| if index % 2 == 0 { part } else { "…" };
        parts.map(part).collect::<Vec<_>>().join("`")
    };
    let shared = pattern(&first.reason);
    let alike = |other: &Change| pattern(&other.reason) == shared;
    others.iter().all(alike).then_some(shared)
}

/// What kind of step it is, in a few words.
pub(in crate::render) fn step_title(kind: StepKind) -> &'static str {
    match kind {
        StepKind::OpenTunnel => "open the tunnel port in network policies",
        StepKind::RestorePorts => "keep the port limits inside the tunnel",
        StepKind::Enrol => "enrol",
        StepKind::UseWaypoints => {
            "use waypoints, once the pods behind them are enrolled, and restarted where they have sidecars"
        }
    }
}

/// The verb of a change.
pub(in crate::render) fn action(change: &Change) -> &'static str {
    match change.action {
        ChangeAction::Edit { .. } => "edit",
        ChangeAction::Create { .. } => "create",
        ChangeAction::Replace { .. } => "replace",
    }
}

/// The file and line that a change touches.
pub(in crate::render) fn place(change: &Change) -> String {
    match &change.action {
        ChangeAction::Edit { origin, .. } | ChangeAction::Replace { origin, .. } => {
            origin.to_string()
        }
        ChangeAction::Create { beside, .. } if beside.is_synthetic() => "new file".to_owned(),
        ChangeAction::Create { beside, .. } => format!("beside {}", beside.file),
    }
}

pub(super) fn refusals(report: &Report<'_>, style: Style) -> String {
    if report.prepared.refusals.is_empty() {
        return String::new();
    }
    let mut table = Table::new(style, ["NOT EDITED", "WHERE", "BECAUSE", "INSTEAD"]);
    for refusal in report.prepared.refusals.iter().take(SHOWN) {
        let cells = [
            refusal.object.to_string(),
            refusal.origin.to_string(),
            refusal.reason.clone(),
            instead(refusal),
        ];
        table.row(cells.each_ref().map(String::as_str), None);
    }
    let more = more(report.prepared.refusals.len(), SHOWN, "object");
    format!("{table}{more}")
}

/// What is done in place of an edit that was not made.
pub(in crate::render) fn instead(refusal: &FileRefusal) -> String {
    match &refusal.companion {
        Some(file) => format!("a companion in {file}"),
        None => "to be changed by hand".to_owned(),
    }
}

pub(super) fn snippets(report: &Report<'_>, style: Style) -> String {
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
