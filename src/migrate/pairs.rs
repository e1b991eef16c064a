//! How many pairs of endpoints are compared, and how many of them differ.
//!
//! A pair counts once in each relation, however many classes the pods of its ends are, and however
//! many ways lead from one to the other.

use std::collections::{BTreeMap, BTreeSet};

use fixedbitset::FixedBitSet;

use super::analysis::Analysis;
use super::differences::Difference;
use crate::model::{EndpointId, WorkloadKind};
use crate::netpol::Node;
use crate::plan::{Relation, Verdict};

/// An endpoint, or behind all of them a range of addresses.
type Party = usize;

/// How many pairs are compared, in all relations together.
pub(super) fn compared(analysis: &Analysis<'_, '_>) -> u64 {
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
#[derive(Default)]
pub(super) struct Differing(BTreeMap<(Relation, Party), BTreeMap<Verdict, FixedBitSet>>);

impl Differing {
    pub(super) fn add(&mut self, analysis: &Analysis<'_, '_>, difference: &Difference) {
        let destination = difference.destination;
        let (own, others): (Vec<Node>, Vec<Node>) = difference
            .sources
            .iter()
            .partition(|&&source| source == destination);
        let all = |nodes: Vec<Node>| -> FixedBitSet {
            nodes
                .into_iter()
                .flat_map(|n| parties(analysis, n))
                .collect()
        };
        let (own, others) = (all(own), all(others));
        let single = if own.is_clear() {
            BTreeSet::new()
        } else {
            single_pods(analysis, destination)
        };
        let mut to: BTreeSet<Party> = difference
            .to_workloads(analysis)
            .filter_map(|w| analysis.setting.endpoints.of_workload(w))
            .collect();
        if destination >= analysis.universe.classes().len() {
            to.extend(parties(analysis, destination));
        }
        for to in to {
            let verdicts = self.0.entry((difference.relation, to)).or_default();
            let sources = verdicts.entry(difference.verdict).or_default();
            let is_known = sources.contains(to) || others.contains(to);
            sources.union_with(&others);
            sources.union_with(&own);
            if !is_known && single.contains(&to) {
                sources.remove(to);
            }
        }
    }

    /// How many pairs differ at all.
    pub(super) fn all(&self) -> u64 {
        let pairs = self.0.values().map(|verdicts| {
            let mut sources = FixedBitSet::new();
            for some in verdicts.values() {
                sources.union_with(some);
            }
            sources.count_ones(..) as u64
        });
        pairs.sum()
    }

    /// How many pairs have each verdict. A pair may have several.
    pub(super) fn by_verdict(&self) -> BTreeMap<Verdict, u64> {
        let mut counts = BTreeMap::new();
        for (&verdict, sources) in self.0.values().flatten() {
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
