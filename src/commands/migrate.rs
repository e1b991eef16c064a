//! `migrate`: the plan, its proof, and the files that it changes.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use crate::error::ExpectedError;
use crate::exit::Exit;
use crate::finding::Severity;
use crate::migrate;
use crate::plan::{Plan, Verdict};
use crate::render::{self, Format, Inventory, Outcome, Report};
use crate::settings::{DEFAULT_NAMESPACE, Migrate, MigrateDiff};
use crate::sink::{self, Target};
use crate::source::Request;

use super::input;
use super::output::Output;

/// `migrate`, `migrate plan`.
pub(super) fn plan(settings: &Migrate, output: &mut Output<'_>) -> Result<Exit, ExpectedError> {
    let input = input::load(&settings.request, output)?;
    if settings.format == Format::Github {
        // GitHub shows both streams in one log, and its annotations hold the problems.
        input.tell_notes(output);
    } else {
        input.tell(output);
    }
    let plan = migrate::plan(&input.loaded.world, &settings.options);
    let prepared = sink::prepare(&plan, &input.texts());
    let mut report = Report {
        inventory: Inventory::of(&input.loaded.world, input.loaded.templates),
        folder: output.folder().map(Path::to_owned),
        show_diff: settings.diff,
        problems: input.problems,
        notes: input.notes,
        ..Report::new(&plan, &prepared, |finding, id| {
            settings.acceptance.accepts(finding, id)
        })
    };
    warn_of_unused_acceptance(&report, settings, output);

    let written = write(&report, settings);
    let exit = match &written {
        Ok(outcome) => exit(&report, outcome, settings.fail_on),
        Err(error) => error.exit(),
    };
    settle(&mut report, written, output);

    output.answer(&render::report(&report, settings.format, output.style()))?;
    if let Some(path) = &settings.step_summary {
        append(path, &render::markdown(&report))?;
    }
    if settings.format == Format::Table {
        suggest(&report, settings, output);
    }
    Ok(exit)
}

/// `migrate diff`: 1 when something differs, like `kubectl diff`.
pub(super) fn diff(settings: &MigrateDiff, output: &mut Output<'_>) -> Result<Exit, ExpectedError> {
    let input = input::load(&settings.request, output)?;
    input.tell(output);
    let plan = migrate::plan(&input.loaded.world, &settings.options);
    let files = sink::prepare(&plan, &input.texts()).changes;
    output.answer(&render::diff(&files, output.folder(), output.style()))?;
    output.tell(&render::diff_summary(&files, output.folder()));
    if plan.proof.is_empty() {
        let message = "nothing was compared: the input holds no workload and no policy";
        output.tell(&render::warning(message, output.error_style()));
    }
    if has_errors(&plan) {
        let command = format!("kubectl ambient migrate {}", flags(&settings.request));
        let message = format!("error findings stand against these changes; `{command}` shows them");
        output.tell(&render::warning(&message, output.error_style()));
    }
    Ok(if !input.problems.is_empty() {
        Exit::BadInput
    } else if files.iter().any(render::differs) {
        Exit::Found
    } else {
        Exit::Done
    })
}

/// Writes, unless nothing is to be written or something stands against it.
fn write(report: &Report<'_>, settings: &Migrate) -> Result<Outcome, ExpectedError> {
    let Some(target) = &settings.target else {
        return Ok(Outcome::Planned);
    };
    if let Some(reason) = objection(report, settings) {
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

/// Why nothing may be written, if there is a reason.
fn objection(report: &Report<'_>, settings: &Migrate) -> Option<String> {
    if !report.problems.is_empty() && !settings.keep_going {
        let reason = "some of the input cannot be used; `--keep-going` writes the rest";
        return Some(reason.to_owned());
    }
    let open: Vec<&str> = report
        .open_findings(settings.fail_on)
        .map(|entry| entry.id.as_str())
        .collect();
    if !open.is_empty() {
        let accept = match open.as_slice() {
            few @ ([_] | [_, _] | [_, _, _]) => few.join(" --accept "),
            _ => "ID".to_owned(),
        };
        return Some(format!(
            "findings have to be dealt with first, or be accepted with `--accept {accept}`"
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

fn exit(report: &Report<'_>, outcome: &Outcome, fail_on: Severity) -> Exit {
    if !report.problems.is_empty() {
        Exit::BadInput
    } else if matches!(outcome, Outcome::Refused(_))
        || report.open_findings(fail_on).next().is_some()
    {
        Exit::Found
    } else {
        Exit::Done
    }
}

/// Puts what came of writing into the report.
fn settle(
    report: &mut Report<'_>,
    written: Result<Outcome, ExpectedError>,
    output: &mut Output<'_>,
) {
    report.outcome = written.unwrap_or_else(|error| {
        let failure = super::failure_of(&error);
        output.tell(&render::failure(&failure, output.error_style()));
        let reason = failure.message.clone();
        report.failure = Some(failure);
        Outcome::Refused(reason)
    });
}

fn warn_of_unused_acceptance(report: &Report<'_>, settings: &Migrate, output: &mut Output<'_>) {
    let findings = report.findings.iter().map(|e| (e.finding, e.id.as_str()));
    for name in settings.acceptance.unused(findings) {
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

/// Names the commands that make sense after a plan that can still be carried out.
fn suggest(report: &Report<'_>, settings: &Migrate, output: &mut Output<'_>) {
    if !matches!(report.outcome, Outcome::Planned) {
        return;
    }
    let flags = flags(&settings.request);
    let mut commands = Vec::new();
    if let Some(entry) = report.open_findings(settings.fail_on).next() {
        commands.push(format!("kubectl ambient explain {}", entry.finding.code.id));
    }
    if report.differing_files() > 0 {
        commands.push(format!("kubectl ambient migrate diff {flags}"));
        if objection(report, settings).is_none() && !reads_stdin(&settings.request) {
            commands.push(format!("kubectl ambient migrate {flags} --write"));
        }
    }
    output.tell(&render::next(&commands, output.error_style()));
}

fn reads_stdin(request: &Request) -> bool {
    request.files.iter().any(|file| file.as_os_str() == "-")
}

/// The flags that name the same input again.
fn flags(request: &Request) -> String {
    let mut flags = Vec::new();
    for file in &request.files {
        flags.push(format!("-f {}", quoted(file)));
    }
    if let Some(folder) = &request.kustomize {
        flags.push(format!("-k {}", quoted(folder)));
    }
    if request.recursive {
        flags.push("-R".to_owned());
    }
    if request.default_namespace != DEFAULT_NAMESPACE {
        flags.push(format!("-n {}", request.default_namespace));
    }
    flags.join(" ")
}

/// A path as a POSIX shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
