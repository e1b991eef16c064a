//! `migrate`: the plan, its proof, and the files that it changes.

mod gate;
mod next;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use crate::error::ExpectedError;
use crate::exit::Exit;
use crate::finding::Finding;
use crate::migrate;
use crate::plan::Plan;
use crate::render::{self, Format, Inventory, Outcome, Report};
use crate::settings::{Acceptance, Migrate, MigrateDiff};
use crate::sink::{self, Prepared, Target};

use super::input::{self, Input};
use super::names;
use super::output::Output;

/// `migrate`, `migrate plan`.
pub(super) fn plan(settings: &Migrate, output: &mut Output<'_>) -> Result<Exit, ExpectedError> {
    let mut input = input::load(&settings.request, output)?;
    let (plan, prepared) = prepare(&mut input, &settings.options)?;
    if settings.format == Format::Github {
        // GitHub shows both streams in one log, and its annotations hold the problems.
        input.tell_notes(output);
    } else {
        input.tell(output);
    }
    let mut report = Report {
        folder: output.folder().map(Path::to_owned),
        show_diff: settings.diff,
        ..report(input, &plan, &prepared, &settings.acceptance)
    };
    warn_of_unused_acceptance(&report, &settings.acceptance, output);

    let written = write(&report, settings);
    let exit = match &written {
        Ok(outcome) => gate::exit(&report, outcome, settings.fail_on),
        Err(error) => error.exit(),
    };
    settle(&mut report, written, settings.format, output);

    output.answer(&render::report(&report, settings.format, output.style()))?;
    if let Some(path) = &settings.step_summary {
        append(path, &render::markdown(&report))?;
    }
    if settings.format == Format::Table {
        let commands = next::commands(&report, settings);
        output.tell(&render::next(&commands, output.error_style()));
    }
    Ok(exit)
}

/// `migrate diff`: 1 when something differs, like `kubectl diff`, and when findings keep the diff
/// from being printed.
pub(super) fn diff(settings: &MigrateDiff, output: &mut Output<'_>) -> Result<Exit, ExpectedError> {
    let mut input = input::load(&settings.request, output)?;
    let (plan, prepared) = prepare(&mut input, &settings.options)?;
    input.tell(output);
    let report = report(input, &plan, &prepared, &settings.acceptance);
    warn_of_unused_acceptance(&report, &settings.acceptance, output);
    // People pipe the diff into `patch`: what may not be written is not printed either.
    if let Some(reason) = gate::standing(&report, settings.fail_on) {
        let flags = next::flags(&settings.request, &settings.options);
        let refusal = render::Failure {
            message: format!("no diff is printed: {reason}"),
            hint: Some(format!(
                "`kubectl ambient migrate {flags} --diff` shows it all"
            )),
            exit_code: gate::exit(&report, &Outcome::Planned, settings.fail_on).code(),
        };
        output.tell(&render::failure(&refusal, output.error_style()));
        return Ok(gate::exit(
            &report,
            &Outcome::Refused(reason),
            settings.fail_on,
        ));
    }
    let files = &prepared.changes;
    output.answer(&render::diff(files, output.folder(), output.style()))?;
    output.tell(&render::diff_summary(files, output.folder()));
    let members = plan.namespaces.iter().any(|n| n.in_mesh > 0);
    if plan.proof.equal == 0 && !members {
        let message = "nothing was compared: the input holds no workload and no policy";
        output.tell(&render::warning(message, output.error_style()));
    }
    Ok(
        match gate::exit(&report, &Outcome::Planned, settings.fail_on) {
            Exit::Done if report.differing_files() > 0 => Exit::Found,
            exit => exit,
        },
    )
}

/// Plans, and counts what no file can take among what is wrong with the input.
fn prepare(
    input: &mut Input,
    options: &migrate::Options,
) -> Result<(Plan, Prepared), ExpectedError> {
    // What could not be read may have the names.
    if input.problems.is_empty() {
        names::check(options, &input.loaded.world)?;
    }
    let mut plan = migrate::plan(&input.loaded.world, options);
    let prepared = sink::prepare(&plan, &input.texts());
    input.refuse(&prepared.refusals);
    let replaced = prepared.refusals.iter().filter_map(input::not_edited);
    plan.findings.extend(replaced);
    Finding::sort(&mut plan.findings);
    Ok((plan, prepared))
}

fn report<'p>(
    input: Input,
    plan: &'p Plan,
    prepared: &'p Prepared,
    acceptance: &Acceptance,
) -> Report<'p> {
    Report {
        inventory: Inventory::of(&input.loaded.world),
        problems: input.problems,
        notes: input.notes,
        ..Report::new(plan, prepared, |finding, id| {
            acceptance.accepts(finding, id)
        })
    }
}

/// Writes, unless nothing is to be written or something stands against it.
fn write(report: &Report<'_>, settings: &Migrate) -> Result<Outcome, ExpectedError> {
    let Some(target) = &settings.target else {
        return Ok(Outcome::Planned);
    };
    if let Some(reason) = gate::objection(report, settings) {
        return Ok(Outcome::Refused(reason));
    }
    if settings.dry_run {
        return Ok(Outcome::DryRun);
    }
    let written = sink::write(report.prepared, target)?;
    let names = match target {
        // The names that the user knows, not where links lead.
        Target::InPlace => {
            let changes = report.prepared.changes.iter();
            changes.map(|change| change.name.to_string()).collect()
        }
        Target::Directory(_) => {
            let paths = written.files.iter();
            paths.map(|path| path.display().to_string()).collect()
        }
    };
    Ok(Outcome::Written(names))
}

/// Puts what came of writing into the report.
fn settle(
    report: &mut Report<'_>,
    written: Result<Outcome, ExpectedError>,
    format: Format,
    output: &mut Output<'_>,
) {
    report.outcome = written.unwrap_or_else(|error| {
        let failure = super::failure_of(&error);
        super::tell_failure(&failure, format, output);
        report.failure = Some(failure);
        Outcome::Refused("writing failed".to_owned())
    });
}

fn warn_of_unused_acceptance(
    report: &Report<'_>,
    acceptance: &Acceptance,
    output: &mut Output<'_>,
) {
    let findings = report.findings.iter().map(|e| (e.finding, e.id.as_str()));
    for name in acceptance.unused(findings) {
        let message = format!("`--accept {name}` fits no finding");
        output.tell(&render::warning(&message, output.error_style()));
    }
}

/// Appends to the step summary of GitHub Actions, which may hold that of earlier commands.
fn append(path: &Path, text: &str) -> Result<(), ExpectedError> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| ExpectedError::StepSummary {
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests;
