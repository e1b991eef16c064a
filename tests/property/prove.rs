//! Runs the checks on many clusters, and shrinks the first that fails.

use std::fmt::Write as _;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rayon::prelude::*;

use crate::check::{Migration, Summary, Violations, check};
use crate::generate::{self, Cluster, File};
use crate::shrink;

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
pub(crate) fn cluster(seed: u64) -> Cluster {
    let tree = generate::cluster().new_tree(&mut runner(seed));
    tree.expect("clusters are never rejected").current()
}

/// How a cluster comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum History {
    /// As a whole, and has no mesh.
    New,
    /// A part of it was planned before; then objects came and went.
    PlannedBefore,
}

/// Which clusters are checked, and what for.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) seeds: std::ops::Range<u64>,
    /// How the clusters come to be.
    pub(crate) history: History,
    /// Only violations with this text count; all when it is empty.
    pub(crate) only: String,
}

impl Run {
    /// Checks the clusters. Fails with what is wrong about each; about a single one with the smallest
    /// cluster that it shrinks to.
    pub(crate) fn prove(&self, migration: &(impl Migration + Sync)) -> Summary {
        let outcomes: Vec<(u64, Result<Summary, Violations>)> = self
            .seeds
            .clone()
            .into_par_iter()
            .map(|seed| (seed, self.check(migration, &cluster(seed))))
            .collect();
        let mut total = Summary::default();
        let mut failures = Vec::new();
        for (seed, outcome) in outcomes {
            match outcome {
                Ok(summary) => total += summary,
                Err(violations) => failures.push((seed, violations)),
            }
        }
        let seeds: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
        if let [seed] = seeds[..]
            && self.seeds.clone().count() == 1
        {
            panic!("cluster {seed} fails\n{}", self.shrink(migration, seed));
        }
        let brief = |(seed, violations): &(u64, Violations)| {
            let first = violations.first().map_or("", String::as_str);
            format!("{seed}: {} wrong, first {first}", violations.len())
        };
        let brief: Vec<String> = failures.iter().map(brief).collect();
        assert!(
            brief.is_empty(),
            "clusters {seeds:?} fail; `AMBIENT_PROPERTY_SEED` shrinks one\n{}",
            brief.join("\n")
        );
        total
    }

    fn check(&self, migration: &impl Migration, cluster: &Cluster) -> Result<Summary, Violations> {
        let files = self.files(migration, cluster).map_err(|e| vec![e])?;
        check(migration, &files, &cluster.request).or_else(|mut violations| {
            violations.retain(|v| v.contains(&self.only));
            if violations.is_empty() {
                Ok(Summary::default())
            } else {
                Err(violations)
            }
        })
    }

    /// The manifests of a cluster.
    fn files(&self, migration: &impl Migration, cluster: &Cluster) -> Result<Vec<File>, String> {
        match self.history {
            History::New => Ok(generate::files(cluster)),
            History::PlannedBefore => {
                let (early, late) = generate::early_files(cluster);
                let before = migration.migrate(&early, &cluster.request)?;
                Ok(generate::later_files(cluster, &before.after, &late))
            }
        }
    }

    /// What is wrong about the cluster with this number, made as small as it can be.
    fn shrink(&self, migration: &impl Migration, seed: u64) -> String {
        let cluster = cluster(seed);
        let Err(violations) = self.check(migration, &cluster) else {
            return format!("cluster {seed} fails, but not twice");
        };
        let wanted = shrink::kinds(&violations);
        let cluster = shrink::smallest(cluster, |cluster| {
            let found = self.check(migration, cluster).err().unwrap_or_default();
            !wanted.is_disjoint(&shrink::kinds(&found))
        });
        let violations = self.check(migration, &cluster).err().unwrap_or_default();
        let files = self.files(migration, &cluster).unwrap_or_default();
        let shown = show(migration, &cluster, &files);
        let violations = violations.join("\n");
        format!("cluster {seed} fails, made smaller:\n{violations}\n\n{shown}")
    }
}

/// A cluster, and what the plan makes of it.
fn show(migration: &impl Migration, cluster: &Cluster, files: &[File]) -> String {
    let mut text = format!("{:?}\n", cluster.request);
    for file in files {
        let _ = write!(text, "\n# {}\n{}", file.name, file.text);
    }
    if let Ok(outcome) = migration.migrate(files, &cluster.request) {
        for file in outcome.after.iter().filter(|f| !files.contains(f)) {
            let _ = write!(text, "\n# {} after\n{}", file.name, file.text);
        }
        for claim in &outcome.plan.proof.differences {
            let _ = write!(
                text,
                "\n# claimed: {} => {} by {}: {} {}, because {}",
                claim.source,
                claim.destination,
                claim.relation,
                claim.verdict,
                claim.difference,
                claim.because
            );
        }
    }
    text
}
