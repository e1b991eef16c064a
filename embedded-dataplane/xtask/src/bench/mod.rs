//! Benchmarks: programs that print a table, not tests.
//!
//! [`shape`] says what cluster is wanted, [`generate`] makes its manifests, [`stages`] and
//! [`programs`] say what is done with them, [`measure`] measures it. This module only puts them
//! together. [`identity`] and [`tunnel`] are about connections, and need none of that.

mod generate;
mod identity;
mod measure;
mod probe;
mod programs;
mod random;
mod shape;
mod stages;
mod table;
mod tunnel;
mod write;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use generate::Manifest;
use shape::Shape;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Reading manifests, and the policy engine.
    Policy(Policy),
    /// Probing many tunnels at once.
    Probe(probe::Probe),
    /// Certificates of workloads, and handshakes with them.
    Identity(identity::Identity),
    /// Connections through a tunnel, beside none and beside a peer.
    Tunnel(tunnel::Tunnel),
    /// The server of `tunnel`.
    #[command(hide = true)]
    TunnelAnswer(tunnel::Answer),
    /// An authority of `tunnel`.
    #[command(hide = true)]
    TunnelCertify(tunnel::Certify),
    /// The client of `tunnel`.
    #[command(hide = true)]
    TunnelAsk(tunnel::Ask),
}

/// Options of `bench policy`.
#[derive(Debug, Args)]
pub(crate) struct Policy {
    #[command(flatten)]
    shape: Shape,
    /// Measure everything that the README has figures of, whatever size is given.
    #[arg(long, conflicts_with = "write")]
    all: bool,
    /// An analyzer to run beside ours with `--all`: the program of np-guard's netpol-analyzer.
    #[arg(long, value_name = "PROGRAM", requires = "all")]
    peer: Option<PathBuf>,
    /// How often each stage runs; the table shows medians.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Write the manifests into this folder, and measure nothing.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

/// Runs a benchmark and prints its table.
///
/// # Errors
///
/// When the output or a manifest cannot be written, or a program not be run.
pub(crate) fn run(bench: &Bench, output: &mut impl Write) -> io::Result<()> {
    match bench {
        Bench::Policy(bench) => policy(bench, output),
        Bench::Probe(bench) => probe::run(bench, output),
        Bench::Identity(bench) => identity::run(bench, output),
        Bench::Tunnel(bench) => tunnel::run(bench, output),
        Bench::TunnelAnswer(bench) => tunnel::answer(bench),
        Bench::TunnelCertify(bench) => tunnel::certify(bench),
        Bench::TunnelAsk(bench) => tunnel::ask(bench),
    }
}

fn policy(policy: &Policy, output: &mut impl Write) -> io::Result<()> {
    if policy.all {
        return all(policy, output);
    }
    let manifests = generate::manifests(&policy.shape);
    if let Some(folder) = &policy.write {
        return write::to_folder(&manifests, folder);
    }
    title(output, &policy.shape, &manifests)?;
    write!(output, "{}", stages::all(&manifests, policy.runs))
}

/// The sizes for which there are goals, then loading alone, then whole programs.
fn all(policy: &Policy, output: &mut impl Write) -> io::Result<()> {
    let usual = Shape::usual(policy.shape.seed);
    let more_policies = Shape {
        policies: 5_000,
        ..usual.clone()
    };
    let distinct = Shape {
        distinct: true,
        ..usual.clone()
    };
    for shape in [usual.clone(), more_policies, distinct] {
        let manifests = generate::manifests(&shape);
        title(output, &shape, &manifests)?;
        writeln!(output, "{}", stages::all(&manifests, policy.runs))?;
    }
    let large = Shape {
        pods: 24_000,
        policies: 4_800,
        ..usual
    };
    let manifests = generate::manifests(&large);
    title(output, &large, &manifests)?;
    writeln!(output, "{}", stages::load_alone(&manifests, policy.runs))?;
    programs::start(policy.runs, output)?;
    match &policy.peer {
        Some(peer) => programs::beside(peer, policy.runs, output),
        None => Ok(()),
    }
}

fn title(output: &mut impl Write, shape: &Shape, manifests: &[Manifest]) -> io::Result<()> {
    let size = manifests.iter().map(|m| m.text.len()).sum();
    let files = manifests.len();
    writeln!(output, "{shape}\n{files} files, {}\n", table::bytes(size))
}
