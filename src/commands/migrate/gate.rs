//! What stands between a plan and its files, and the exit code that it leads to.

use std::collections::BTreeSet;

use crate::exit::Exit;
use crate::finding::Severity;
use crate::plan::{Plan, Verdict};
use crate::render::{Outcome, Report};
use crate::settings::Migrate;

/// Findings beyond this many are accepted by code, so that the flags fit on a command line.
const ACCEPTED_BY_ID: usize = 20;

/// Why nothing may be written, if there is a reason.
pub(super) fn objection(report: &Report<'_>, settings: &Migrate) -> Option<String> {
    if !report.problems.is_empty() && !settings.keep_going {
        let reason = "some of the input cannot be used; `--keep-going` writes the rest";
        return Some(reason.to_owned());
    }
    standing(report, settings.fail_on)
}

/// Why the plan itself may not be carried out: its findings, and its proof.
pub(super) fn standing(report: &Report<'_>, fail_on: Severity) -> Option<String> {
    let open: Vec<(&str, &str)> = report
        .open_findings(fail_on)
        .map(|entry| (entry.id.as_str(), entry.finding.code.id))
        .collect();
    if !open.is_empty() {
        let ids: BTreeSet<&str> = open.iter().map(|(id, _)| *id).collect();
        let names = if ids.len() > ACCEPTED_BY_ID {
            open.iter().map(|(_, code)| *code).collect()
        } else {
            ids
        };
        let names: Vec<&str> = names.into_iter().collect();
        return Some(format!(
            "findings have to be dealt with first, or be accepted with `--accept {}`",
            names.join(" --accept ")
        ));
    }
    // A plan whose proof fails says so in an error finding. Should one not, nobody can have
    // accepted it.
    let explained = has_errors(report.plan);
    let verdict = report.plan.proof.verdict();
    (matches!(verdict, Verdict::Lost | Verdict::Gained) && !explained)
        .then(|| format!("connections are {verdict}, and no finding accounts for them"))
}

fn has_errors(plan: &Plan) -> bool {
    plan.findings
        .iter()
        .any(|finding| finding.code.severity == Severity::Error)
}

/// The exit code of a report that came to this.
pub(super) fn exit(report: &Report<'_>, outcome: &Outcome, fail_on: Severity) -> Exit {
    if !report.problems.is_empty() {
        Exit::BadInput
    } else if matches!(outcome, Outcome::Refused(_)) || standing(report, fail_on).is_some() {
        Exit::Found
    } else {
        Exit::Done
    }
}
