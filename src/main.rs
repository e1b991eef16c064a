//! The `kubectl-ambient` binary.

use std::io::{self, IsTerminal as _};
use std::panic;
use std::process::ExitCode;

use kubectl_ambient::commands::{self, Channel, Streams};
use kubectl_ambient::exit::Exit;
use kubectl_ambient::settings::Environment;
use terminal_size::{Height, Width, terminal_size_of};

fn main() -> ExitCode {
    let exit = panic::catch_unwind(run);
    exit.unwrap_or_else(|_| commands::report_bug(&mut io::stderr()))
        .into()
}

fn run() -> Exit {
    let (mut stdin, mut stdout, mut stderr) = (io::stdin(), io::stdout(), io::stderr());
    let columns = |size: Option<(Width, Height)>| size.map(|(Width(columns), _)| columns.into());
    let streams = Streams {
        stdout: Channel {
            terminal: stdout.is_terminal(),
            columns: columns(terminal_size_of(&stdout)),
            writer: &mut stdout,
        },
        stderr: Channel {
            terminal: stderr.is_terminal(),
            columns: columns(terminal_size_of(&stderr)),
            writer: &mut stderr,
        },
        stdin: &mut stdin,
    };
    let environment = Environment::of_process();
    commands::run(Environment::arguments(), &environment, streams)
}
