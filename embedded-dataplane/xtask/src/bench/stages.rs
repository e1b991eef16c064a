//! The stages of the program, each on its own.

use kubectl_ambient::model::{Endpoints, World};
use kubectl_ambient::netpol::{
    Assumptions, Distinctions, Network, PortSets, Selection, Universe, Version,
};
use kubectl_ambient::reach::{self, Mode};
use kubectl_ambient::{migrate, source, yaml};

use super::generate::Manifest;
use super::measure::{Measurement, repeat};
use super::table::{self, Table};

/// Every stage, in the order of the program. What a stage makes is the next one's input.
pub(super) fn all(manifests: &[Manifest], runs: u32) -> Table {
    let mut table = empty();
    let (documents, measured) = repeat(runs, || parse(manifests));
    row(
        &mut table,
        "parse YAML",
        &measured,
        &format!("{documents} documents"),
    );
    let world = load(&mut table, manifests, runs);
    let (groups, measured) = repeat(runs, || evaluate(&world));
    row(
        &mut table,
        "engine",
        &measured,
        &format!("{groups} groups of sources"),
    );
    let options = migrate::Options {
        cni: Some(migrate::Cni::Calico),
        ..Default::default()
    };
    let (plan, measured) = repeat(runs, || migrate::plan(&world, &options));
    row(
        &mut table,
        "plan",
        &measured,
        &format!("{} classes, equal {}", plan.proof.classes, plan.proof.equal),
    );
    drop(plan);
    let (reach, measured) = repeat(runs, || reach::connectivity(&world, Mode::Plaintext));
    row(
        &mut table,
        "list",
        &measured,
        &format!("{} lines", reach.connections.len()),
    );
    table
}

/// Only from text to objects.
pub(super) fn load_alone(manifests: &[Manifest], runs: u32) -> Table {
    let mut table = empty();
    load(&mut table, manifests, runs);
    table
}

fn empty() -> Table {
    Table::new(&["stage", "wall", "cpu", "peak memory", "result"])
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

fn load(table: &mut Table, manifests: &[Manifest], runs: u32) -> World {
    let texts = || manifests.iter().map(|m| (m.name.as_str(), m.text.as_str()));
    let (loaded, measured) = repeat(runs, || source::load_texts(texts(), "default"));
    let workloads = loaded.world.workloads.len();
    row(table, "load", &measured, &format!("{workloads} workloads"));
    loaded.world
}

/// How many documents there are that parse.
fn parse(manifests: &[Manifest]) -> usize {
    let chunks = manifests.iter().flat_map(|m| yaml::split(&m.text));
    chunks.filter(|c| yaml::Document::parse(*c).is_ok()).count()
}

/// The policy engine alone: who may send what to whom, for every pair there is. Returns how many
/// groups of sources the destinations have.
fn evaluate(world: &World) -> usize {
    let endpoints = Endpoints::of(world);
    let policies = &world.network_policies;
    let assumptions = Assumptions::default();
    let others = Distinctions::default();
    let universe = Universe::of(world, &endpoints, policies, others, &[], assumptions);
    let versions: Vec<Version<'_>> = policies.iter().map(Version::unchanged).collect();
    let mut sets = PortSets::default();
    let network = Network::compile(Selection::new(world, &universe), &versions, &mut sets);
    let classes = 0..universe.classes().len();
    let groups = classes.map(|class| network.sources_of(class, &mut sets).len());
    groups.sum()
}
