//! `ambient-proxy`: the process that carries everybody's traffic. Its first argument says which part
//! of the dataplane it is.
//!
//! A library for the sake of what tests it: the program is [`run`].
#![forbid(unsafe_code)]

mod begin;
mod certificates;
pub mod fuzzing;
mod listeners;
mod options;
mod profile;
mod settings;
mod signals;
mod ztunnel;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use options::Options;
use settings::Settings;

/// Carries the traffic of workloads in ambient mesh.
#[derive(Debug, Parser)]
#[command(name = "ambient-proxy", version)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Relay the connections of one workload, in the network namespace that this process is in.
    Ztunnel(Box<Options>),
}

/// Wrong usage or configuration (`EX_USAGE`, sysexits(3)).
const USAGE: u8 = 64;

/// Does what the arguments of the process say, until that is over.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // With both outputs gone there is nobody left to tell.
            let _ = error.print();
            return code.into();
        }
    };
    let Role::Ztunnel(options) = arguments.role;
    let options = options.with_file().map_err(Into::into);
    let settings = options.and_then(Settings::resolve);
    let outcome = match settings {
        Ok(settings) => ztunnel::run(settings),
        Err(error) => return fail(&error, USAGE),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, error.code()),
    }
}

fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    // With stderr gone there is nobody left to tell.
    let _ = writeln!(io::stderr(), "{}", harmless(&text));
    code.into()
}

/// A text on one line, whatever it quotes of a file: what moves the cursor of a terminal is escaped.
fn harmless(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}
