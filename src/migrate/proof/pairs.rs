//! How many pairs of endpoints are compared, and how many of them differ.
//!
//! A pair counts once in each relation, however many classes the pods of its ends are, and however
//! many ways lead from one to the other.

use std::collections::{BTreeMap, BTreeSet};

use fixedbitset::FixedBitSet;

use super::differences::Difference;
use crate::migrate::analysis::Analysis;
use crate::model::{EndpointId, WorkloadKind};
use crate::netpol::Node;
use crate::plan::{Relation, Verdict};

/// An endpoint, or behind all of them a range of addresses.
type Party = usize;

/// How many pairs are compared, in all relations together.
fn compared(analysis: &Analysis<'_, '_>) -> u64 {
    let classes = 0..analysis.universe.classes().len();
    let number = |nodes: &mut dyn Iterator<Item = Node>| {
        let parties = nodes.flat_map(|node| parties(analysis, node));
        parties.collect::<BTreeSet<_>>().len() as u64
    };
    let has_way = |&class: &Node| {
        let mut ways = analysis.ways_to(class).iter();
        ways.any(|way| !analysis.nodes_of_waypoint(way.waypoint).is_empty())
    };
    let ranges = analysis.universe.address_ranges().len() as u64;
    let everybody = number(&mut classes.clone());
    let clients = number(&mut analysis.speakers.clients.ones());
    let receivers = number(&mut analysis.speakers.receivers.ones());
    let behind_waypoints = number(&mut classes.filter(has_way));
    everybody * (everybody + 2 * ranges) + clients * (receivers + behind_waypoints)
}

/// The pairs that differ.
pub(crate) struct Differing<'a, 's, 'w> {
    analysis: &'a Analysis<'s, 'w>,
    /// By node.
    parties: Vec<Vec<Party>>,
    /// Sources, by what they differ in to whom.
    found: BTreeMap<(Relation, Party), BTreeMap<Verdict, FixedBitSet>>,
}

impl<'a, 's, 'w> Differing<'a, 's, 'w> {
    pub(crate) fn new(analysis: &'a Analysis<'s, 'w>) -> Self {
        let nodes = 0..analysis.universe.nodes();
        let parties = nodes.map(|node| parties(analysis, node).into_iter().collect());
        Self {
            analysis,
            parties: parties.collect(),
            found: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, difference: &Difference) {
        let analysis = self.analysis;
        let destination = difference.destination;
        let mut to: BTreeSet<Party> = difference
            .to_workloads(analysis)
            .filter_map(|w| analysis.setting.endpoints.of_workload(w))
            .collect();
        if destination >= analysis.universe.classes().len() {
            to.extend(self.parties.get(destination).into_iter().flatten());
        }
        let mut sources = FixedBitSet::new();
        difference.sources.each(|node| {
            if node != destination {
                let parties = self.parties.get(node);
                sources.extend(parties.into_iter().flatten().copied());
            }
        });
        let own = self.parties.get(destination);
        let own = own.filter(|_| difference.sources.contains(destination));
        let single = own.map(|_| single_pods(analysis, destination));
        for to in to {
            let verdicts = self.found.entry((difference.relation, to)).or_default();
            let known = verdicts.entry(difference.verdict).or_default();
            known.union_with(&sources);
            let is_single = single.as_ref().is_some_and(|s| s.contains(&to));
            let own = own.into_iter().flatten().copied();
            known.extend(own.filter(|&party| party != to || !is_single));
        }
    }

    /// How many pairs do not.
    pub(crate) fn equal(&self) -> u64 {
        compared(self.analysis).saturating_sub(self.all())
    }

    /// How many pairs differ at all.
    fn all(&self) -> u64 {
        let pairs = self.found.values().map(|verdicts| {
            let mut sources = FixedBitSet::new();
            for some in verdicts.values() {
                sources.union_with(some);
            }
            sources.count_ones(..) as u64
        });
        pairs.sum()
    }

    /// How many pairs have each verdict. A pair may have several.
    pub(crate) fn by_verdict(&self) -> BTreeMap<Verdict, u64> {
        let mut counts = BTreeMap::new();
        for (&verdict, sources) in self.found.values().flatten() {
            *counts.entry(verdict).or_default() += sources.count_ones(..) as u64;
        }
        counts
    }
}

/// The endpoints that a class is pods of, or the range of addresses.
fn parties(analysis: &Analysis<'_, '_>, node: Node) -> BTreeSet<Party> {
    let classes = analysis.universe.classes();
    let endpoints = &analysis.setting.endpoints;
    match classes.get(node) {
        Some(class) => {
            let workloads = class.workloads.iter();
            workloads
                .filter_map(|&w| endpoints.of_workload(w))
                .collect()
        }
        None => BTreeSet::from([endpoints.len() + (node - classes.len())]),
    }
}

/// The endpoints that have one pod in a class and no more, so that nothing of the class connects to
/// it from the same endpoint.
fn single_pods(analysis: &Analysis<'_, '_>, class: Node) -> BTreeSet<EndpointId> {
    let setting = analysis.setting;
    let workloads = analysis.universe.classes().get(class);
    let mut pods: BTreeMap<EndpointId, Vec<usize>> = BTreeMap::new();
    for &workload in workloads.into_iter().flat_map(|c| &c.workloads) {
        if let Some(endpoint) = setting.endpoints.of_workload(workload) {
            pods.entry(endpoint).or_default().push(workload);
        }
    }
    let is_pod = |workload: usize| {
        let workload = setting.world.workloads.get(workload);
        workload.is_some_and(|w| w.kind == WorkloadKind::Pod)
    };
    let single = pods
        .into_iter()
        .filter(|(_, own)| matches!(own[..], [one] if is_pod(one)));
    single.map(|(endpoint, _)| endpoint).collect()
}
