//! Differences as the comparison finds them.

use std::sync::Arc;

use fixedbitset::FixedBitSet;

use super::outcome::{Doubt, Outcome};
use super::strangers::Gain;
use super::unplaced::Change;
use crate::migrate::analysis::Analysis;
use crate::netpol::{Node, Nodes, PortSet};
use crate::plan::{Relation, Verdict};

/// Sources that differ alike from today in what they may send to one destination. There may be
/// hundreds of thousands, so they share what they can.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    /// Not empty.
    pub(crate) sources: Arc<Nodes>,
    pub(crate) destination: Node,
    /// The workloads of the destination that it is about; `None` means all.
    pub(crate) workloads: Option<Arc<[usize]>>,
    pub(crate) relation: Relation,
    /// Which of the ways to the destination it is about.
    pub(crate) way: Option<usize>,
    pub(crate) verdict: Verdict,
    pub(crate) doubt: Option<Doubt>,
    /// AuthorizationPolicies refuse what is lost.
    pub(crate) refused: bool,
    pub(crate) before: Arc<PortSet>,
    pub(crate) after: Arc<PortSet>,
    /// The ports in question.
    pub(crate) changed: PortSet,
}

impl Difference {
    /// The workloads of the destination that it is about.
    pub(crate) fn to_workloads<'d>(
        &'d self,
        analysis: &'d Analysis<'_, '_>,
    ) -> impl Iterator<Item = usize> + 'd {
        let class = analysis.universe.classes().get(self.destination);
        let all = class.map_or(&[][..], |c| &c.workloads);
        self.workloads.as_deref().unwrap_or(all).iter().copied()
    }
}

/// Where connections lead, and how.
pub(crate) struct To {
    pub(crate) destination: Node,
    /// `None` means all of the destination.
    pub(crate) workloads: Option<Arc<[usize]>>,
    pub(crate) relation: Relation,
    /// Which of the ways through waypoints.
    pub(crate) way: Option<usize>,
}

impl To {
    pub(crate) fn plaintext(destination: Node) -> Self {
        Self {
            destination,
            workloads: None,
            relation: Relation::Plaintext,
            way: None,
        }
    }

    /// Workloads of a class.
    pub(crate) fn workloads(
        analysis: &Analysis<'_, '_>,
        destination: Node,
        workloads: &[usize],
        relation: Relation,
    ) -> Self {
        let class = analysis.universe.classes().get(destination);
        let is_all = class.is_some_and(|c| c.workloads == workloads);
        Self {
            destination,
            workloads: (!is_all).then(|| workloads.into()),
            relation,
            way: None,
        }
    }
}

/// All differences.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    pub(crate) list: Vec<Difference>,
    /// What pods gain that the input does not hold.
    pub(crate) of_strangers: Vec<Gain>,
    /// The same of those that their addresses, or sidecars, tell from others.
    pub(crate) of_unplaced: Vec<Change>,
}

impl Differences {
    /// Takes in what another part of the comparison found.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.list.append(&mut other.list);
        self.of_strangers.append(&mut other.of_strangers);
        self.of_unplaced.append(&mut other.of_unplaced);
    }

    /// Adds what pods gain that the input does not hold.
    pub(crate) fn add_gain(&mut self, gain: Gain) {
        if !gain.gained.is_empty() {
            self.of_strangers.push(gain);
        }
    }

    /// Adds what changes for some of them.
    pub(crate) fn add_change(&mut self, change: Change) {
        if change.before != change.after {
            self.of_unplaced.push(change);
        }
    }

    /// Adds how the connections of some sources differ. About pods that are only imagined nothing is
    /// certain.
    pub(crate) fn add(
        &mut self,
        analysis: &Analysis<'_, '_>,
        sources: FixedBitSet,
        to: &To,
        outcome: &Outcome,
    ) {
        let imagined: Vec<Node> = sources
            .ones()
            .filter(|&n| analysis.is_imagined(n))
            .collect();
        let mut known = sources;
        let mut apart = FixedBitSet::with_capacity(known.len());
        for node in imagined {
            known.set(node, false);
            apart.insert(node);
        }
        let to_imagined = analysis.is_imagined(to.destination);
        let parts = [(known, to_imagined), (apart, true)];
        let parts = parts.into_iter().filter(|(nodes, _)| !nodes.is_clear());
        let parts: Vec<(Arc<Nodes>, bool)> = parts
            .map(|(nodes, is_imagined)| (Arc::new(Nodes::of(nodes)), is_imagined))
            .collect();
        let before = Arc::new(outcome.before.clone());
        let after = Arc::new(outcome.after.clone());
        for (verdict, doubt, changed) in outcome.verdicts() {
            for (sources, is_imagined) in &parts {
                self.list.push(Difference {
                    sources: Arc::clone(sources),
                    destination: to.destination,
                    workloads: to.workloads.clone(),
                    relation: to.relation,
                    way: to.way,
                    verdict: if *is_imagined {
                        Verdict::Unknown
                    } else {
                        verdict
                    },
                    doubt,
                    refused: outcome.refused,
                    before: Arc::clone(&before),
                    after: Arc::clone(&after),
                    changed: changed.clone(),
                });
            }
        }
    }
}
