//! How large a generated cluster is.

use std::fmt;

use clap::Args;

/// The size of a generated cluster, and what decides about its details.
#[derive(Debug, Clone, Args)]
pub(super) struct Shape {
    /// Pods, spread evenly over the namespaces.
    #[arg(long, default_value_t = 10_000)]
    pub(super) pods: usize,
    /// Namespaces.
    #[arg(long, default_value_t = 200, value_parser = at_least_one)]
    pub(super) namespaces: usize,
    /// Network policies, spread evenly over the namespaces.
    #[arg(long, default_value_t = 2_000)]
    pub(super) policies: usize,
    /// Give every pod a label of its own that policies select by, so that no two are alike.
    #[arg(long)]
    pub(super) distinct: bool,
    /// Seed: the same seed and size give the same cluster.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("there must be at least one".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

impl Shape {
    /// 10,000 pods in 200 namespaces under 2,000 policies.
    pub(super) fn usual(seed: u64) -> Self {
        Self {
            pods: 10_000,
            namespaces: 200,
            policies: 2_000,
            distinct: false,
            seed,
        }
    }

    /// How many of `all` fall to a namespace.
    pub(super) fn share(&self, all: usize, namespace: usize) -> usize {
        let more = usize::from(namespace < all % self.namespaces);
        all / self.namespaces + more
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} pods{}, {} namespaces, {} policies, seed {}",
            self.pods,
            if self.distinct { " (all distinct)" } else { "" },
            self.namespaces,
            self.policies,
            self.seed
        )
    }
}
