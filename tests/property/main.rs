//! The proof of the proof: random clusters, and a naive reference that judges every connection.

mod check;
mod generate;
mod objects;
mod reference;

use generate::Cluster;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// A runner whose choices follow from a number.
fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// The cluster with this number.
fn cluster(seed: u64) -> Cluster {
    let mut runner = runner(seed);
    let tree = generate::cluster().new_tree(&mut runner);
    tree.expect("clusters are never rejected").current()
}

#[test]
fn what_is_written_is_what_was_generated() {
    for seed in 0..200 {
        let cluster = cluster(seed);
        let files = generate::files(&cluster);
        let mut read = Vec::new();
        for file in &files {
            read.extend(
                file.objects()
                    .unwrap_or_else(|e| panic!("{e}\n{}", file.text)),
            );
        }
        let written = objects::world(&cluster.objects);
        let read = objects::world(&read);
        assert_eq!(format!("{written:#?}"), format!("{read:#?}"), "seed {seed}");
    }
}
