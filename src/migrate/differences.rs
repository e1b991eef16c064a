//! Differences as the comparison finds them, and what is said of them.

use std::collections::{BTreeMap, BTreeSet};

use super::analysis::Analysis;
use super::causes::Teller;
use super::outcome::Doubt;
use super::pairs::{self, Differing};
use super::restore::Limits;
use super::strangers::{self, Gain};
use crate::finding::Finding;
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

/// All differences.
#[derive(Debug, Default)]
pub(super) struct Differences {
    list: Vec<Difference>,
    /// What pods gain that the input does not hold.
    of_strangers: Vec<Gain>,
}

impl Differences {
    /// Takes in what another part of the comparison found.
    pub(super) fn append(&mut self, mut other: Self) {
        self.list.append(&mut other.list);
        self.of_strangers.append(&mut other.of_strangers);
    }

    /// Adds what pods gain that the input does not hold.
    pub(super) fn add_gain(&mut self, gain: Gain) {
        if !gain.gained.is_empty() {
            self.of_strangers.push(gain);
        }
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
        let mut differing = Differing::default();
        for difference in &self.list {
            differing.add(analysis, difference);
            for &source in &difference.sources {
                let told = teller.tell(difference, source);
                let key = (told.code.id, told.subject.clone());
                let room = LISTED_PAIRS.saturating_sub(comparisons.len());
                let listed = if room == 0 && findings.contains_key(&key) {
                    Vec::new()
                } else {
                    // Each finding has one at least.
                    teller.list(difference, source, &told, room.max(1))
                };
                let finding = findings.entry(key).or_insert_with(|| {
                    let message = format!("{} ({})", told.because, difference.relation);
                    Finding::new(told.code, told.subject, told.origin, message)
                });
                for fix in told.fixes {
                    if !finding.fixes.contains(&fix) {
                        finding.fixes.push(fix);
                    }
                }
                finding.flows.extend(listed.iter().map(Comparison::flow));
                comparisons.extend(listed);
            }
        }
        proof.equal = pairs::compared(analysis).saturating_sub(differing.all());
        proof.differences = comparisons.into_iter().collect();
        for (verdict, pairs) in differing.by_verdict() {
            let unlisted = pairs.saturating_sub(proof.count(verdict));
            if unlisted > 0 {
                proof.unlisted.insert(verdict, unlisted);
            }
        }
        let mut findings: Vec<Finding> = findings.into_values().collect();
        for finding in &mut findings {
            finding.flows.sort();
            finding.flows.dedup();
        }
        strangers::tell(
            analysis,
            limits,
            &self.of_strangers,
            &mut proof.differences,
            &mut findings,
        );
        (proof, findings)
    }
}
