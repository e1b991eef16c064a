//! Runs the checks on many clusters, and shrinks the first that fails.

use std::fmt::Write as _;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use rayon::prelude::*;

use crate::check::{Migration, Summary, check};
use crate::generate::{self, Cluster};

/// How often a failing cluster is made smaller.
const SHRINKING_STEPS: u32 = 4000;

/// A runner whose choices follow from a number.
fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        failure_persistence: None,
        max_shrink_iters: SHRINKING_STEPS,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// The cluster with this number.
pub(crate) fn cluster(seed: u64) -> Cluster {
    let tree = generate::cluster().new_tree(&mut runner(seed));
    tree.expect("clusters are never rejected").current()
}

/// Checks the clusters with these numbers. Fails with the smallest cluster that the first failing
/// one shrinks to.
pub(crate) fn prove(migration: &(impl Migration + Sync), seeds: std::ops::Range<u64>) -> Summary {
    let outcome = seeds.into_par_iter().map(|seed| {
        let cluster = cluster(seed);
        let files = generate::files(&cluster);
        check(migration, &files, &cluster.request).map_err(|_| seed)
    });
    let outcome = outcome.try_fold(Summary::default, |mut total, summary| {
        total += summary?;
        Ok(total)
    });
    let outcome = outcome.try_reduce(Summary::default, |mut total, part| {
        total += part;
        Ok(total)
    });
    outcome.unwrap_or_else(|seed: u64| panic!("{}", shrunk(migration, seed)))
}

/// What is wrong about the cluster with this number, made as small as it can be.
fn shrunk(migration: &impl Migration, seed: u64) -> String {
    let mut runner = runner(seed);
    let tree = generate::cluster().new_tree(&mut runner);
    let tree = tree.expect("clusters are never rejected");
    let result = runner.run_one(tree, |cluster| {
        let files = generate::files(&cluster);
        match check(migration, &files, &cluster.request) {
            Ok(_) => Ok(()),
            Err(violations) => Err(TestCaseError::fail(violations.join("\n"))),
        }
    });
    let Err(TestError::Fail(reason, cluster)) = result else {
        return format!("cluster {seed} fails, but not twice");
    };
    let mut text = format!(
        "cluster {seed} (AMBIENT_PROPERTY_SEED={seed} runs it alone):\n{reason}\n\n{:?}\n",
        cluster.request
    );
    let files = generate::files(&cluster);
    for file in &files {
        let _ = write!(text, "\n# {}\n{}", file.name, file.text);
    }
    if let Ok(outcome) = migration.migrate(&files, &cluster.request) {
        for file in outcome.after.iter().filter(|f| !files.contains(f)) {
            let _ = write!(text, "\n# {} after\n{}", file.name, file.text);
        }
        for difference in &outcome.plan.proof.differences {
            let _ = write!(
                text,
                "\n# claimed: {} => {} by {}: {} {}",
                difference.source,
                difference.destination,
                difference.relation,
                difference.verdict,
                difference.difference
            );
        }
    }
    text
}
