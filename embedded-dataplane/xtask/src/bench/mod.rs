//! Benchmarks: programs that print a table, not tests.
//!
//! [`shape`] says what cluster is wanted, [`generate`] makes its manifests, [`measure`] measures
//! what is done with them. This module only puts them together.

mod generate;
mod measure;
mod random;
mod shape;
mod table;
mod write;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use kubectl_ambient::reach::{self, Mode};
use kubectl_ambient::{migrate, source, yaml};

use generate::Manifest;
use measure::{Measurement, repeat};
use shape::Shape;
use table::Table;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Reading manifests, and the policy engine.
    Policy(Policy),
}

/// Options of `bench policy`.
#[derive(Debug, Args)]
pub(crate) struct Policy {
    #[command(flatten)]
    shape: Shape,
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
/// When the output or, with `--write`, a manifest cannot be written.
pub(crate) fn run(bench: &Bench, output: &mut impl Write) -> io::Result<()> {
    let Bench::Policy(policy) = bench;
    let manifests = generate::manifests(&policy.shape);
    if let Some(folder) = &policy.write {
        return write::to_folder(&manifests, folder);
    }
    let size = manifests.iter().map(|m| m.text.len()).sum();
    writeln!(
        output,
        "{}\n{} files, {}\n",
        policy.shape,
        manifests.len(),
        table::bytes(size)
    )?;
    write!(output, "{}", stages(&manifests, policy.runs))
}

/// Each stage on its own, in the order of the program. What a stage makes is the next one's input.
fn stages(manifests: &[Manifest], runs: u32) -> Table {
    let mut table = Table::new(&["stage", "wall", "cpu", "peak memory", "result"]);
    let (documents, measured) = repeat(runs, || parse(manifests));
    row(
        &mut table,
        "parse YAML",
        &measured,
        &format!("{documents} documents"),
    );
    let texts = || manifests.iter().map(|m| (m.name.as_str(), m.text.as_str()));
    let (loaded, measured) = repeat(runs, || source::load_texts(texts(), "default"));
    row(
        &mut table,
        "load",
        &measured,
        &format!("{} workloads", loaded.world.workloads.len()),
    );
    let options = migrate::Options {
        cni: Some(migrate::Cni::Calico),
        ..Default::default()
    };
    let (plan, measured) = repeat(runs, || migrate::plan(&loaded.world, &options));
    row(
        &mut table,
        "plan",
        &measured,
        &format!("{} classes, equal {}", plan.proof.classes, plan.proof.equal),
    );
    let (reach, measured) = repeat(runs, || reach::connectivity(&loaded.world, Mode::Plaintext));
    row(
        &mut table,
        "list",
        &measured,
        &format!("{} lines", reach.connections.len()),
    );
    table
}

fn row(table: &mut Table, stage: &str, measured: &Measurement, result: &str) {
    table.push(&[
        stage,
        &table::milliseconds(Some(measured.wall)),
        &table::milliseconds(measured.cpu),
        &measured.peak.map_or_else(|| "-".to_owned(), table::bytes),
        result,
    ]);
}

/// How many documents there are that parse.
fn parse(manifests: &[Manifest]) -> usize {
    let chunks = manifests.iter().flat_map(|m| yaml::split(&m.text));
    chunks.filter(|c| yaml::Document::parse(*c).is_ok()).count()
}
