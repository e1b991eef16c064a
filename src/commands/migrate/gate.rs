//! What stands between a plan and its files, and the exit code that it leads to.

use std::collections::BTreeSet;

use crate::exit::Exit;
use crate::finding::Severity;
use crate::plan::{Comparison, Plan, Verdict};
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
    // A plan whose proof fails says so in error findings. Should one of its differences not be
    // among them, nobody can have accepted it.
    let verdict = unexplained(report.plan)?;
    Some(format!(
        "connections are {verdict}, and no finding accounts for them"
    ))
}

/// The worst verdict of connections that no error finding is about.
fn unexplained(plan: &Plan) -> Option<Verdict> {
    let errors = plan.findings.iter();
    let errors = errors.filter(|f| f.code.severity == Severity::Error);
    let told: BTreeSet<(&str, &str, &str)> = errors
        .flat_map(|finding| &finding.flows)
        .map(|flow| (&*flow.source, &*flow.destination, &*flow.connections))
        .collect();
    let proof = &plan.proof;
    [Verdict::Lost, Verdict::Gained]
        .into_iter()
        .find(|&verdict| {
            let mut listed = proof.differences.iter().filter(|c| c.verdict == verdict);
            // Of what is not listed, something of each finding is.
            let is_listed = proof.differences.iter().any(|c| c.verdict == verdict);
            let is_told =
                |c: &Comparison| told.contains(&(&*c.source, &*c.destination, &*c.difference));
            !listed.all(is_told) || (proof.count(verdict) > 0 && !is_listed)
        })
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
