//! The `kubectl-ambient` binary.

use std::io::{self, IsTerminal as _};
use std::panic;
use std::process::ExitCode;

use kubectl_ambient::commands::{self, Channel, Streams};
use kubectl_ambient::exit::Exit;
use kubectl_ambient::settings::Environment;

fn main() -> ExitCode {
    let exit = panic::catch_unwind(run);
    exit.unwrap_or_else(|_| commands::report_bug(&mut io::stderr()))
        .into()
}

fn run() -> Exit {
    let (mut stdin, mut stdout, mut stderr) = (io::stdin(), io::stdout(), io::stderr());
    let streams = Streams {
        stdout: Channel {
            terminal: stdout.is_terminal(),
            writer: &mut stdout,
        },
        stderr: Channel {
            terminal: stderr.is_terminal(),
            writer: &mut stderr,
        },
        stdin: &mut stdin,
    };
    let environment = Environment::of_process();
    commands::run(Environment::arguments(), &environment, streams)
}
