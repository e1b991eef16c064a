//! Whole programs, started as a user starts them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::generate::{self, Manifest};
use super::shape::Shape;
use super::table::{self, Table};
use super::write;

/// How long `kubectl-ambient --help` takes.
///
/// # Errors
///
/// When the program is not there, or the output cannot be written.
pub(super) fn start(runs: u32, output: &mut impl Write) -> io::Result<()> {
    let ours = ours()?;
    let help = || once(Command::new(&ours).arg("--help"));
    // The first run reads the program from the disk.
    help()?;
    let times = (0..runs.saturating_mul(4)).map(|_| help());
    let mut times = times.collect::<io::Result<Vec<Duration>>>()?;
    writeln!(
        output,
        "kubectl-ambient --help: {}\n",
        table::milliseconds(median(&mut times))
    )
}

/// Lists connections with ours and with another program, one after the other, so that both meet the
/// same machine.
///
/// # Errors
///
/// When a program cannot be run, or a manifest or the output not be written.
pub(super) fn beside(peer: &Path, runs: u32, output: &mut impl Write) -> io::Result<()> {
    let ours = ours()?;
    // Larger ones the peer does not finish within minutes.
    let shape = Shape {
        pods: 2_000,
        namespaces: 40,
        policies: 400,
        ..Shape::usual(1)
    };
    let folder = std::env::temp_dir().join(format!("ambient-bench-{}", std::process::id()));
    let manifests = generate::manifests(&shape).into_iter().map(numbered);
    let manifests: Vec<_> = manifests.collect();
    let (mut own, mut others) = (Vec::new(), Vec::new());
    write::while_in_folder(&manifests, &folder, || {
        for _ in 0..runs {
            own.push(once(
                Command::new(&ours)
                    .args(["policy", "list", "-f"])
                    .arg(&folder),
            )?);
            others.push(once(
                Command::new(peer)
                    .args(["list", "-q", "--dirpath"])
                    .arg(&folder),
            )?);
        }
        Ok(())
    })?;
    let mut table = Table::new(&["list connections", "wall", ""]);
    let peer = peer.display().to_string();
    for (name, times) in [("kubectl-ambient", &mut own), (&peer, &mut others)] {
        table.push(&[name, &table::milliseconds(median(times)), ""]);
    }
    writeln!(output, "{shape}\n\n{table}")
}

/// The same with numbers for the names of ports in policies: the peer takes no name for a port of an
/// address block, which the API allows.
fn numbered(manifest: Manifest) -> Manifest {
    let names = [("metrics", 9090), ("dns", 5353), ("http", 8080)];
    let text = names.iter().fold(manifest.text, |text, (name, number)| {
        text.replace(
            &format!("    - port: {name}\n"),
            &format!("    - port: {number}\n"),
        )
        .replace(
            &format!("      port: {name}\n"),
            &format!("      port: {number}\n"),
        )
    });
    Manifest { text, ..manifest }
}

/// The program beside this one.
///
/// # Errors
///
/// When it is not there.
pub(super) fn ours() -> io::Result<PathBuf> {
    let ours = std::env::current_exe()?.with_file_name("kubectl-ambient");
    if ours.is_file() {
        return Ok(ours);
    }
    let message = format!(
        "there is no `{}`: build it with `cargo build --release`",
        ours.display()
    );
    Err(io::Error::new(io::ErrorKind::NotFound, message))
}

/// Runs a program without input and output, and tells how long it took.
///
/// # Errors
///
/// When it cannot be run, or does not succeed.
pub(super) fn once(command: &mut Command) -> io::Result<Duration> {
    let start = Instant::now();
    let program = command.get_program().to_owned();
    let run = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let elapsed = start.elapsed();
    match run {
        Ok(status) if status.success() => Ok(elapsed),
        Ok(status) => Err(io::Error::other(format!(
            "`{}` ended with {status}",
            program.display()
        ))),
        Err(error) => Err(io::Error::new(
            error.kind(),
            format!("cannot run `{}`: {error}", program.display()),
        )),
    }
}

/// The middle value; the upper one of two.
pub(super) fn median(times: &mut [Duration]) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}
