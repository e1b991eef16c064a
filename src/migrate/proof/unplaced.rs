//! Pods that the input does not hold, told apart by the addresses that they may have: a rule for an
//! address block may be a rule for them. Whether they are there, and where, is not known, so what
//! differs for them is not either.

use std::collections::BTreeMap;
use std::sync::Arc;

use ambient_facts::ports;
use fixedbitset::FixedBitSet;

use crate::finding::{Finding, codes};
use crate::migrate::AuthzMode;
use crate::migrate::analysis::Analysis;
use crate::migrate::analysis::naming::names_of;
use crate::model::{NetworkPolicy, ObjectRef, Peer, Protocol, Workload};
use crate::netpol::{AddressRange, Direction, Node, PortSet};
use crate::plan::{Comparison, Relation, Verdict};

/// Some of them, that no policy of one class tells apart.
#[derive(Debug, Clone)]
pub(crate) struct Stranger {
    /// What the network policies let them use today.
    pub(crate) before: PortSet,
    /// Whether the tunnel's port is open to them afterwards.
    pub(crate) opens: bool,
    /// Whether a block tells them from others.
    pub(crate) by_block: bool,
    /// The nodes that are the ranges of their addresses, and the number of nodes for those that no
    /// block matches.
    pub(crate) places: FixedBitSet,
}

/// What may change for some of them.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) class: Node,
    pub(crate) workloads: Vec<usize>,
    pub(crate) relation: Relation,
    pub(crate) places: FixedBitSet,
    pub(crate) before: PortSet,
    pub(crate) after: PortSet,
    pub(crate) why: Why,
}

/// Why it may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// A block may match their addresses.
    Block,
    /// Sidecars refuse today who has no identity.
    Identity,
}

impl Analysis<'_, '_> {
    /// Pods that the input does not hold, by what the policies of a class let them use.
    pub(crate) fn strangers(&self, class: Node) -> Vec<Stranger> {
        let mut rest = self.universe.ranges_of_pods();
        let nowhere = self.universe.nodes();
        rest.grow(nowhere + 1);
        let matching = self.universe.assumptions().blocks_match_pods;
        let is_certain = matching == Some(true) && !rest.is_clear();
        rest.set(nowhere, !is_certain);
        if !self.network.is_isolated(class, Direction::Ingress) {
            return vec![Stranger {
                before: PortSet::all(),
                opens: true,
                by_block: false,
                places: rest,
            }];
        }
        let mut found: Vec<Stranger> = Vec::new();
        let mut add = |ports: &PortSet, opens: bool, places: FixedBitSet| {
            let before = ports.union(&self.for_anybody[class]);
            let is_open = self.open_to_anybody.contains(class);
            let opens = opens || is_open;
            let mut known = found.iter_mut();
            match known.find(|s| s.before == before && s.opens == opens) {
                Some(known) => known.places.union_with(&places),
                None => found.push(Stranger {
                    by_block: before != self.for_anybody[class] || opens != is_open,
                    before,
                    opens,
                    places,
                }),
            }
        };
        for (value, nodes) in self.sources_of(class) {
            let mut places = rest.clone();
            places.intersect_with(nodes);
            if !places.is_clear() {
                rest.difference_with(&places);
                let opens = self.opens_tunnel(value.after.high);
                add(self.sets.get(value.before.high), opens, places);
            }
        }
        if !rest.is_clear() {
            add(&PortSet::none(), false, rest);
        }
        found
    }
}

impl Stranger {
    /// What they lose where nothing lets them in any more. Look-ups of DNS do not go that way.
    pub(crate) fn lost(before: &PortSet) -> PortSet {
        before.difference(&PortSet::port(Protocol::Tcp, ports::DNS))
    }
}

/// Tells what may change.
pub(crate) fn tell(
    analysis: &Analysis<'_, '_>,
    changes: &[Change],
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    let mut found: BTreeMap<(ObjectRef, String), Finding> = BTreeMap::new();
    for change in changes {
        let Some(workload) = workload_of(analysis, change) else {
            continue;
        };
        let policies = admitting(analysis, workload);
        let with_block = policies.iter().find(|p| has_block(p));
        let (subject, origin) = match (change.why, with_block) {
            (Why::Block, Some(policy)) => (policy.reference(), &policy.meta.origin),
            _ => (workload.reference(), &workload.meta.origin),
        };
        let (code, because, fix) = match change.why {
            Why::Block => {
                let (because, fix) = by_block(analysis, change);
                (&codes::UNKNOWN_ADDRESS_BLOCK, because, Some(fix))
            }
            Why::Identity => (
                &codes::UNKNOWN_PEER,
                "sidecars refuse them today, or those without an identity, and nothing does so afterwards",
                None,
            ),
        };
        let message = format!(
            "what pods may use that the input does not hold can change: {because} ({})",
            change.relation
        );
        let key = (subject.clone(), message.clone());
        let finding = found.entry(key).or_insert_with(|| Finding {
            fixes: fix.map(str::to_owned).into_iter().collect(),
            ..Finding::new(code, subject, origin.clone(), message)
        });
        let comparisons = compared(analysis, change, because, &policies);
        finding
            .flows
            .extend(comparisons.iter().map(Comparison::flow));
        differences.extend(comparisons);
    }
    findings.extend(found.into_values());
    differences.sort();
    differences.dedup();
}

/// Why a block makes a difference, and what to do.
fn by_block(analysis: &Analysis<'_, '_>, change: &Change) -> (&'static str, &'static str) {
    let setting = analysis.setting;
    let because = if change.after.is_empty() {
        "a block may hold their addresses, and the tunnel is not opened for it"
    } else if setting.options.authz == AuthzMode::None {
        "a block may hold their addresses, and no limits were asked for"
    } else {
        "a block may hold their addresses, and nothing in the tunnel tells who is in it"
    };
    let fix = if setting.assumptions.blocks_match_pods.is_none() {
        "name the network plugin with `--cni`"
    } else if setting.options.pod_ranges.is_empty() {
        "name the addresses of pods with `--pod-cidr`"
    } else {
        "select the pods by labels in place of the block"
    };
    (because, fix)
}

fn workload_of<'a>(analysis: &'a Analysis<'_, '_>, change: &Change) -> Option<&'a Workload> {
    let workloads = &analysis.setting.world.workloads;
    workloads.get(*change.workloads.first()?)
}

/// The policies of people that let clients in.
fn admitting<'a>(analysis: &'a Analysis<'_, '_>, workload: &Workload) -> Vec<&'a NetworkPolicy> {
    let policies = analysis.setting.world.network_policies_of_people();
    let admits = |p: &&NetworkPolicy| {
        p.isolates_ingress
            && p.meta.namespace == workload.meta.namespace
            && p.pod_selector.matches(&workload.pod.labels)
    };
    policies.filter(admits).collect()
}

fn has_block(policy: &NetworkPolicy) -> bool {
    let mut peers = policy.ingress.iter().flat_map(|r| &r.peers);
    peers.any(|p| matches!(p, Peer::Block { .. }))
}

fn compared(
    analysis: &Analysis<'_, '_>,
    change: &Change,
    because: &str,
    policies: &[&NetworkPolicy],
) -> Vec<Comparison> {
    let Change { before, after, .. } = change;
    let changed = before.difference(after).union(&after.difference(before));
    let example = changed.example();
    let example = example.map_or_else(String::new, |(protocol, port)| format!("{protocol} {port}"));
    let policies: Arc<[_]> = policies.iter().map(|p| p.reference()).collect();
    let comparison = |source: &str, destination: String| Comparison {
        source: source.to_owned(),
        destination,
        relation: change.relation,
        verdict: Verdict::Unknown,
        before: before.to_string(),
        after: after.to_string(),
        difference: changed.to_string(),
        example: example.clone(),
        because: because.to_owned(),
        policies: Arc::clone(&policies),
    };
    let names = names_of(analysis, change.class, Some(&change.workloads));
    let sources = sources(analysis, change);
    let pairs = sources
        .iter()
        .flat_map(|s| names.iter().map(move |n| (s, n)));
    pairs.map(|(s, n)| comparison(s, n.clone())).collect()
}

/// What they are called: by their addresses, where these matter.
fn sources(analysis: &Analysis<'_, '_>, change: &Change) -> Vec<String> {
    let nowhere = analysis.universe.nodes();
    if change.why == Why::Identity || change.places.contains(nowhere) {
        return vec!["other namespaces/(any pod)".to_owned()];
    }
    let classes = analysis.universe.classes().len();
    let ranges = analysis.universe.address_ranges();
    let ranges = change.places.ones().filter_map(|n| ranges.get(n - classes));
    let mut joined: Vec<AddressRange> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.joined(*range).is_some() => last.last = range.last,
            _ => joined.push(*range),
        }
    }
    let name = |range: &AddressRange| format!("other namespaces/(any pod of {range})");
    joined.iter().map(name).collect()
}
