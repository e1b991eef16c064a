//! Differences as the comparison finds them, and how much was compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::analysis::Analysis;
use super::causes::Teller;
use super::outcome::Doubt;
use super::restore::Limits;
use crate::finding::{Finding, Flow};
use crate::model::ObjectRef;
use crate::netpol::{Node, PortSet};
use crate::plan::{Comparison, Proof, Relation, Verdict};

/// Pairs of endpoints are listed one by one up to this number; the others are counted.
const LISTED_PAIRS: usize = 10_000;

/// Sources that differ alike from today in what they may send to one destination.
#[derive(Debug, Clone)]
pub(super) struct Difference {
    /// Not empty.
    pub(super) sources: Vec<Node>,
    pub(super) destination: Node,
    /// The workloads of the destination that it is about; `None` means all.
    pub(super) workloads: Option<Vec<usize>>,
    pub(super) relation: Relation,
    /// Which of the ways to the destination it is about.
    pub(super) way: Option<usize>,
    pub(super) verdict: Verdict,
    pub(super) doubt: Option<Doubt>,
    /// AuthorizationPolicies refuse what is lost.
    pub(super) refused: bool,
    pub(super) before: PortSet,
    pub(super) after: PortSet,
    /// The ports in question.
    pub(super) changed: PortSet,
}

impl Difference {
    /// The workloads of the destination that it is about.
    pub(super) fn to_workloads<'d>(
        &'d self,
        analysis: &'d Analysis<'_, '_>,
    ) -> impl Iterator<Item = usize> + 'd {
        let class = analysis.universe.classes().get(self.destination);
        let all = class.map_or(&[][..], |c| &c.workloads);
        self.workloads.as_deref().unwrap_or(all).iter().copied()
    }
}

/// All differences, and how many pairs were compared.
#[derive(Debug, Default)]
pub(super) struct Differences {
    list: Vec<Difference>,
    compared: u64,
}

impl Differences {
    pub(super) fn compared(&mut self, pairs: u64) {
        self.compared += pairs;
    }

    /// Takes in what another part of the comparison found.
    pub(super) fn append(&mut self, mut other: Self) {
        self.compared += other.compared;
        self.list.append(&mut other.list);
    }

    /// Adds a difference. About pods that are only imagined nothing is certain.
    pub(super) fn add(&mut self, analysis: &Analysis<'_, '_>, difference: &Difference) {
        let (imagined, known): (Vec<Node>, Vec<Node>) = difference
            .sources
            .iter()
            .partition(|&&n| analysis.is_imagined(n));
        let to_imagined = analysis.is_imagined(difference.destination);
        for (sources, is_imagined) in [(known, to_imagined), (imagined, true)] {
            if sources.is_empty() {
                continue;
            }
            let mut part = Difference {
                sources,
                ..difference.clone()
            };
            if is_imagined {
                part.verdict = Verdict::Unknown;
            }
            self.list.push(part);
        }
    }

    /// Writes everything down.
    pub(super) fn report(
        mut self,
        analysis: &Analysis<'_, '_>,
        limits: &Limits,
    ) -> (Proof, Vec<Finding>) {
        // What is lost and gained is listed first, should there be too much.
        self.list.sort_by_key(|d| std::cmp::Reverse(d.verdict));
        let mut proof = Proof {
            equal: 0,
            unlisted: BTreeMap::new(),
            differences: Vec::new(),
            classes: analysis.universe.classes().len(),
            address_ranges: analysis.universe.address_ranges().len(),
        };
        let mut findings: BTreeMap<(&'static str, ObjectRef), Finding> = BTreeMap::new();
        let mut teller = Teller::new(analysis, limits);
        let mut comparisons: BTreeSet<Comparison> = BTreeSet::new();
        for difference in &self.list {
            for &source in &difference.sources {
                let full = comparisons.len() >= LISTED_PAIRS;
                if full && source != difference.sources[0] {
                    let pairs = analysis.weight(source) * analysis.weight(difference.destination);
                    *proof.unlisted.entry(difference.verdict).or_default() += pairs;
                    continue;
                }
                let room = LISTED_PAIRS.saturating_sub(comparisons.len()).max(1);
                let told = teller.tell(difference, source, room);
                if told.hidden > 0 {
                    *proof.unlisted.entry(difference.verdict).or_default() += told.hidden;
                }
                let key = (told.code.id, told.subject.clone());
                let finding = findings.entry(key).or_insert_with(|| {
                    Finding::new(told.code, told.subject, told.origin, told.message)
                });
                for fix in told.fixes {
                    if !finding.fixes.contains(&fix) {
                        finding.fixes.push(fix);
                    }
                }
                finding.flows.extend(told.comparisons.iter().map(flow));
                comparisons.extend(told.comparisons);
            }
        }
        let unlisted: u64 = proof.unlisted.values().sum();
        proof.equal = self
            .compared
            .saturating_sub(comparisons.len() as u64 + unlisted);
        proof.differences = comparisons.into_iter().collect();
        let mut findings: Vec<Finding> = findings.into_values().collect();
        for finding in &mut findings {
            finding.flows.sort();
            finding.flows.dedup();
        }
        (proof, findings)
    }
}

fn flow(comparison: &Comparison) -> Flow {
    Flow {
        source: comparison.source.clone(),
        destination: comparison.destination.clone(),
        connections: comparison.difference.clone(),
        example: comparison.example.clone(),
        policies: Arc::clone(&comparison.policies),
    }
}
