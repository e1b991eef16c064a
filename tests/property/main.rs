//! The proof of the proof: random clusters, and a naive reference that judges every connection.
//!
//! - `AMBIENT_PROPERTY_CASES`: how many clusters.
//! - `AMBIENT_PROPERTY_FIRST`: the number of the first of them, so that a long run can go in parts.
//! - `AMBIENT_PROPERTY_SEED`: the number of the one cluster to run.
//! - `AMBIENT_PROPERTY_ONLY`: text of the violations that count; the others are ignored, so that a
//!   cluster shrinks towards one of them.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod check;
mod generate;
mod objects;
mod program;
mod prove;
mod reference;
mod shrink;

#[test]
fn what_is_written_is_what_was_generated() {
    for seed in 0..200 {
        let cluster = prove::cluster(seed);
        let mut read = Vec::new();
        for file in &generate::files(&cluster) {
            let objects = file.objects();
            read.extend(objects.unwrap_or_else(|e| panic!("{e}\n{}", file.text)));
        }
        let written = objects::world(&cluster.objects);
        let read = objects::world(&read);
        assert_eq!(format!("{written:#?}"), format!("{read:#?}"), "seed {seed}");
    }
}

/// Clusters of a run that nobody asked to be longer: enough for every kind of rule to meet every
/// other, and done within a minute.
const CASES: u64 = 300;

#[test]
fn plans_lose_nothing_and_gain_nothing_unsaid() {
    prove_with(prove::History::New, CASES);
}

#[test]
fn plans_for_what_was_planned_before_lose_and_gain_nothing_either() {
    prove_with(prove::History::PlannedBefore, CASES / 3);
}

/// Proves for the clusters that the environment asks for, else for the first ones.
fn prove_with(history: prove::History, cases: u64) {
    let number = |name| {
        let value = std::env::var(name).ok()?;
        let number = value.parse::<u64>();
        Some(number.unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
    };
    let (first, count) = match number("AMBIENT_PROPERTY_SEED") {
        Some(seed) => (seed, 1),
        None => (
            number("AMBIENT_PROPERTY_FIRST").unwrap_or(0),
            number("AMBIENT_PROPERTY_CASES").unwrap_or(cases),
        ),
    };
    let run = prove::Run {
        seeds: first..first + count,
        history,
        only: std::env::var("AMBIENT_PROPERTY_ONLY").unwrap_or_default(),
    };
    let summary = run.prove(&program::Program);
    report(&summary);
}

#[expect(
    clippy::print_stderr,
    reason = "how much was compared is part of the result"
)]
fn report(summary: &check::Summary) {
    eprintln!("{summary:?}");
}
