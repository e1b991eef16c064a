//! One file per verb: settings in, [`Exit`] out. A command loads, lets analysis work, shows and
//! writes; it decides nothing about policies and formats nothing.

mod demo;
mod diagnose;
mod explain;
mod input;
mod migrate;
mod names;
mod output;
mod policy;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;

use crate::cli;
use crate::error::ExpectedError;
use crate::exit::Exit;
use crate::render::{self, Failure, Format};
use crate::settings::{self, Environment, Settings};

pub use output::{Channel, Streams};

use output::Output;

/// The name under which kubectl calls a plugin for completion.
const COMPLETER: &str = "kubectl_complete-ambient";

/// Runs the program: the command line with the program's name first, to an exit code.
pub fn run(arguments: Vec<OsString>, environment: &Environment, streams: Streams<'_>) -> Exit {
    if arguments.first().is_some_and(|name| is_completer(name)) {
        return complete(arguments, streams);
    }
    let arguments = match cli::parse(arguments) {
        Ok(arguments) => arguments,
        Err(reason) => return stop(&reason, streams),
    };
    let color = |terminal| environment.color(arguments.global.color, terminal);
    let mut output = Output::new(streams, color).read_in(environment.folder.clone());
    let format = settings::format(&arguments.command);
    let kind = document_kind(&arguments.command);
    let result = Settings::resolve(arguments.command, environment)
        .and_then(|settings| dispatch(&settings, &mut output));
    result.unwrap_or_else(|error| fail(&error, kind, format, &mut output))
}

fn dispatch(settings: &Settings, output: &mut Output<'_>) -> Result<Exit, ExpectedError> {
    match settings {
        Settings::Migrate(settings) => migrate::plan(settings, output),
        Settings::MigrateDiff(settings) => migrate::diff(settings, output),
        Settings::PolicyList(settings) => policy::list(settings, output),
        Settings::PolicyExplain(settings) => policy::explain(settings, output),
        Settings::PolicyDiff(settings) => policy::diff(settings, output),
        Settings::Diagnose(settings) => diagnose::diagnose(settings, output),
        Settings::Demo { once } => demo::demo(*once, output),
        Settings::Explain(code) => explain::explain(code.as_deref(), output),
        Settings::Completion(shell) => output.answer_bytes(&cli::completion_script(*shell)),
        Settings::Version { json: false } => output.answer(&render::version()),
        Settings::Version { json: true } => output.answer(&render::version_json()),
        Settings::Options => output.answer(&cli::options()),
        Settings::Help(words) => help(words, output),
    }
}

fn help(words: &[String], output: &mut Output<'_>) -> Result<Exit, ExpectedError> {
    match cli::help(words) {
        Ok(text) => output.answer(&text),
        Err((name, known)) => {
            let similar = names::similar(&name, known.iter().map(String::as_str));
            Err(ExpectedError::UnknownCommand {
                similar: similar.into_iter().map(str::to_owned).collect(),
                name,
            })
        }
    }
}

/// Shows an error where people and machines look for it.
fn fail(error: &ExpectedError, kind: &str, format: Format, output: &mut Output<'_>) -> Exit {
    let failure = failure_of(error);
    tell_failure(&failure, format, output);
    let document = render::failed_report(&failure, kind, format);
    match output.answer(&document) {
        Ok(_) => error.exit(),
        Err(error) => error.exit(),
    }
}

/// Shows an error to people. GitHub shows both streams in one log, where the annotation is enough.
fn tell_failure(failure: &Failure, format: Format, output: &mut Output<'_>) {
    if format != Format::Github {
        output.tell(&render::failure(failure, output.error_style()));
    }
}

fn failure_of(error: &ExpectedError) -> Failure {
    Failure {
        message: error.message(),
        hint: error.hint(),
        exit_code: error.exit().code(),
    }
}

/// The kind of the document that a command prints.
fn document_kind(command: &cli::Command) -> &'static str {
    match command {
        cli::Command::Policy(arguments) => match arguments.action {
            cli::PolicyAction::List(_) => "Connectivity",
            cli::PolicyAction::Explain(_) => "ConnectivityExplanation",
            cli::PolicyAction::Diff(_) => "ConnectivityDiff",
        },
        cli::Command::Diagnose(_) => "Diagnosis",
        _ => "MigrationPlan",
    }
}

/// Shows why there is no command to run: an error, or help that was asked for.
fn stop(stop: &cli::Stop, streams: Streams<'_>) -> Exit {
    let mut output = Output::new(streams, |_| false);
    if stop.is_answer {
        return output
            .answer(&stop.text)
            .unwrap_or_else(|error| error.exit());
    }
    output.tell(&stop.text);
    Exit::BadInput
}

/// Asks for a report of a panic, whose message is on standard error already.
pub fn report_bug(stderr: &mut dyn Write) -> Exit {
    // Nobody could be told that this fails.
    _ = stderr.write_all(render::bug().as_bytes());
    Exit::Bug
}

fn is_completer(program: &OsStr) -> bool {
    Path::new(program)
        .file_stem()
        .is_some_and(|name| name == COMPLETER)
}

/// Answers kubectl, which shows nothing when completion fails: neither do we.
fn complete(arguments: Vec<OsString>, streams: Streams<'_>) -> Exit {
    let words: Vec<String> = arguments
        .into_iter()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let mut output = Output::new(streams, |_| false);
    output
        .answer(&cli::candidates(&words))
        .unwrap_or(Exit::BadInput)
}
