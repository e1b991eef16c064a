//! What the comparison of before and after came to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::finding::Flow;
use crate::model::ObjectRef;

/// The relation that governs a pair of endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// At least one of the two is not enrolled: the network policies see the real port.
    Plaintext,
    /// Both are enrolled: the network policies see the tunnel, ztunnel authorizes.
    Tunnel,
    /// Both are enrolled and the destination is reached through its waypoint.
    Waypoint,
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plaintext => "plaintext",
            Self::Tunnel => "tunnel",
            Self::Waypoint => "waypoint",
        })
    }
}

/// What a pair of endpoints has after, compared with before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The same connections.
    Equal,
    /// It cannot be said, for the reason given.
    Unknown,
    /// Connections more.
    Gained,
    /// Connections fewer.
    Lost,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "equal",
            Self::Unknown => "unknown",
            Self::Gained => "gained",
            Self::Lost => "lost",
        })
    }
}

/// Connections of one pair of endpoints whose verdict is not [`Verdict::Equal`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Comparison {
    /// Source, as printed.
    pub source: String,
    /// Destination, as printed.
    pub destination: String,
    /// Which relation differs.
    pub relation: Relation,
    /// How it differs.
    pub verdict: Verdict,
    /// What was allowed before, as printed.
    pub before: String,
    /// What is allowed after, as printed.
    pub after: String,
    /// The connections that were lost or gained, or that are in question, as printed.
    pub difference: String,
    /// One concrete connection among [`Self::difference`].
    pub example: String,
    /// Why, in one sentence.
    pub because: String,
    /// The policies responsible, which many may share.
    pub policies: Arc<[ObjectRef]>,
}

impl Comparison {
    /// The difference as evidence of a finding.
    pub fn flow(&self) -> Flow {
        Flow {
            source: self.source.clone(),
            destination: self.destination.clone(),
            connections: self.difference.clone(),
            example: self.example.clone(),
            policies: Arc::clone(&self.policies),
        }
    }
}

/// The comparison of every pair of endpoints in every relation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// How many pairs of endpoints have [`Verdict::Equal`], counted once in each relation.
    pub equal: u64,
    /// How many of the others are not listed, because there are too many, by verdict. A pair may have
    /// several.
    pub unlisted: BTreeMap<Verdict, u64>,
    /// The others, sorted.
    pub differences: Vec<Comparison>,
    /// How many pod classes were told apart.
    pub classes: usize,
    /// How many ranges of external addresses were told apart.
    pub address_ranges: usize,
}

impl Proof {
    /// The worst verdict of all pairs.
    pub fn verdict(&self) -> Verdict {
        let unlisted = self.unlisted.keys().copied();
        let listed = self.differences.iter().map(|c| c.verdict);
        listed.chain(unlisted).max().unwrap_or(Verdict::Equal)
    }

    /// Whether there was nothing to compare, so that no verdict means anything.
    pub fn is_empty(&self) -> bool {
        self.equal == 0 && self.differences.is_empty() && self.unlisted.is_empty()
    }

    /// How many pairs have a verdict, counted once in each relation.
    pub fn count(&self, verdict: Verdict) -> u64 {
        let listed = self.differences.iter().filter(|c| c.verdict == verdict);
        let listed = listed.map(|c| (&c.source, &c.destination, c.relation));
        let listed: BTreeSet<_> = listed.collect();
        let unlisted = match verdict {
            Verdict::Equal => self.equal,
            other => self.unlisted.get(&other).copied().unwrap_or_default(),
        };
        listed.len() as u64 + unlisted
    }
}
