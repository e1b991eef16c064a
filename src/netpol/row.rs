//! One direction of one subject: which node may use which ports.
//!
//! A subject's policies come in three tiers, evaluated in this order: **Admin** (ordered rules, the
//! first that matches decides), **NetworkPolicy** (if any policy isolates the subject, the union of
//! all grants decides), **Baseline** (ordered rules again); what none of them decides is allowed.
//! A *pass* in the Admin tier hands its ports on to the NetworkPolicy tier.

use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;

use super::intern::{PortSetId, PortSets};
use super::nodes::Nodes;
use super::select::{PeerSet, PeerSetId};

/// Bounds on what is allowed. They differ where it is not known whether a peer matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bounds {
    /// Allowed in any case.
    pub low: PortSetId,
    /// Allowed at the most.
    pub high: PortSetId,
}

/// What is allowed before and after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value {
    /// Under the policies as they are.
    pub before: Bounds,
    /// Under the policies as they would be.
    pub after: Bounds,
    /// Allowed after and not before, at the most. The bounds do not tell: where peers that may match
    /// are granted a port, some before and others only after, both sides may allow it or not, and
    /// yet it depends on which of them match whether there is a difference.
    pub gained: PortSetId,
}

impl Value {
    /// Everything, before and after.
    pub const ALL: Self = Self::constant(PortSets::ALL);
    /// Nothing, before and after.
    pub const NONE: Self = Self::constant(PortSets::NONE);

    const fn constant(set: PortSetId) -> Self {
        let bounds = Bounds {
            low: set,
            high: set,
        };
        Self {
            before: bounds,
            after: bounds,
            gained: PortSets::NONE,
        }
    }

    /// Whether something may be allowed on one side that is not on the other.
    pub fn changes(self) -> bool {
        self.before != self.after || self.gained != PortSets::NONE
    }

    /// What both directions allow. Each is decided by peers of its own, so that what one of them
    /// gains is gained where the other may allow it.
    pub(super) fn intersection(self, other: Self, sets: &mut PortSets) -> Self {
        let mut bounds = |a: Bounds, b: Bounds| Bounds {
            low: sets.intersection(a.low, b.low),
            high: sets.intersection(a.high, b.high),
        };
        let (before, after) = (
            bounds(self.before, other.before),
            bounds(self.after, other.after),
        );
        let here = sets.intersection(self.gained, other.after.high);
        let there = sets.intersection(other.gained, self.after.high);
        Self {
            before,
            after,
            gained: sets.union(here, there),
        }
    }
}

/// Action of a rule in an ordered tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrderedAction {
    /// Allow.
    Accept,
    /// Deny.
    Deny,
    /// Leave it to the tiers that follow.
    Pass,
}

/// A rule of an ordered tier, the same before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OrderedRule {
    pub(super) action: OrderedAction,
    pub(super) peers: PeerSetId,
    pub(super) ports: PortSetId,
}

/// What a NetworkPolicy rule grants. A rule that one of the two versions lacks grants nothing
/// there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Grant {
    pub(super) peers: PeerSetId,
    pub(super) before: PortSetId,
    pub(super) after: PortSetId,
}

/// Everything that applies to one subject in one direction.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tiers {
    pub(super) admin: Vec<OrderedRule>,
    pub(super) isolated_before: bool,
    pub(super) isolated_after: bool,
    /// Sorted, without duplicates.
    pub(super) grants: Vec<Grant>,
    pub(super) baseline: Vec<OrderedRule>,
}

/// The evaluated tiers: nodes by what they may use.
#[derive(Debug)]
pub(super) struct Row {
    /// Disjoint; together with `rest` they are all nodes.
    pub(super) cells: Vec<(Value, Nodes)>,
    /// What the nodes in no cell may use.
    pub(super) rest: Value,
}

/// Ports before and after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sides {
    before: PortSetId,
    after: PortSetId,
}

impl Sides {
    const NONE: Self = Self::both(PortSets::NONE);
    const ALL: Self = Self::both(PortSets::ALL);

    const fn both(set: PortSetId) -> Self {
        Self {
            before: set,
            after: set,
        }
    }

    fn zip(self, other: Self, mut f: impl FnMut(PortSetId, PortSetId) -> PortSetId) -> Self {
        Self {
            before: f(self.before, other.before),
            after: f(self.after, other.after),
        }
    }

    fn union(self, other: Self, sets: &mut PortSets) -> Self {
        self.zip(other, |a, b| sets.union(a, b))
    }

    fn intersection(self, other: Self, sets: &mut PortSets) -> Self {
        self.zip(other, |a, b| sets.intersection(a, b))
    }

    fn difference(self, other: Self, sets: &mut PortSets) -> Self {
        self.zip(other, |a, b| sets.difference(a, b))
    }
}

/// Nodes that all rules so far treat alike, and what may have become of each port. A port is in one
/// of `open`, `passed`, `allowed` and `denied`; in several where it is not known which rules apply.
#[derive(Clone)]
struct Cell {
    nodes: FixedBitSet,
    /// No rule has decided.
    open: Sides,
    /// The Admin tier has handed it on.
    passed: Sides,
    allowed: Sides,
    denied: Sides,
    /// What NetworkPolicies grant, surely and at the most.
    granted: [Sides; 2],
    /// What some peers are granted after and not before.
    new: PortSetId,
}

impl Cell {
    fn of(nodes: FixedBitSet) -> Self {
        Self {
            nodes,
            open: Sides::ALL,
            passed: Sides::NONE,
            allowed: Sides::NONE,
            denied: Sides::NONE,
            granted: [Sides::NONE; 2],
            new: PortSets::NONE,
        }
    }

    /// Takes a rule of an ordered tier into account, which surely matches the nodes or may.
    fn ordered(&mut self, rule: &OrderedRule, sure: bool, sets: &mut PortSets) {
        let hit = self.open.intersection(Sides::both(rule.ports), sets);
        let outcome = match rule.action {
            OrderedAction::Accept => &mut self.allowed,
            OrderedAction::Deny => &mut self.denied,
            OrderedAction::Pass => &mut self.passed,
        };
        *outcome = outcome.union(hit, sets);
        if sure {
            self.open = self.open.difference(hit, sets);
        }
    }

    fn grant(&mut self, grant: &Grant, sure: bool, sets: &mut PortSets) {
        let ports = Sides {
            before: grant.before,
            after: grant.after,
        };
        let [low, high] = &mut self.granted;
        *high = high.union(ports, sets);
        if sure {
            *low = low.union(ports, sets);
        }
        let new = sets.difference(grant.after, grant.before);
        self.new = sets.union(self.new, new);
    }

    /// What the Admin tier left open or handed on is open to the next tier.
    fn end_admin(&mut self, sets: &mut PortSets) {
        self.open = self.open.union(self.passed, sets);
        self.passed = Sides::NONE;
    }

    /// Where some policy isolates the subject, what is granted is allowed, and all else denied.
    fn end_policies(&mut self, tiers: &Tiers, sets: &mut PortSets) {
        let isolated = |isolated: bool| {
            if isolated {
                PortSets::ALL
            } else {
                PortSets::NONE
            }
        };
        let isolated = Sides {
            before: isolated(tiers.isolated_before),
            after: isolated(tiers.isolated_after),
        };
        let decided = self.open.intersection(isolated, sets);
        let [low, high] = self.granted;
        let granted = decided.intersection(high, sets);
        self.allowed = self.allowed.union(granted, sets);
        let refused = decided.difference(low, sets);
        self.denied = self.denied.union(refused, sets);
        self.open = self.open.difference(isolated, sets);
    }

    /// What nothing has decided is allowed.
    fn value(&self, tiers: &Tiers, sets: &mut PortSets) -> Value {
        let open = self.open.union(self.passed, sets);
        let high = self.allowed.union(open, sets);
        let low = Sides::ALL.difference(self.denied, sets);
        let mut gained = sets.difference(high.after, low.before);
        if tiers.isolated_before == tiers.isolated_after {
            let [surely, _] = self.granted;
            let new = sets.difference(self.new, surely.before);
            gained = sets.intersection(gained, new);
        }
        Value {
            gained,
            before: Bounds {
                low: low.before,
                high: high.before,
            },
            after: Bounds {
                low: low.after,
                high: high.after,
            },
        }
    }
}

impl Row {
    /// Evaluates the tiers for every node.
    pub(super) fn evaluate(
        tiers: &Tiers,
        nodes: usize,
        peers: &[PeerSet],
        sets: &mut PortSets,
    ) -> Self {
        let mut all = FixedBitSet::with_capacity(nodes);
        all.insert_range(..);
        let mut cells = vec![Cell::of(all)];
        for rule in &tiers.admin {
            split(&mut cells, &peers[rule.peers.index()], |cell, sure| {
                cell.ordered(rule, sure, sets);
            });
        }
        for cell in &mut cells {
            cell.end_admin(sets);
        }
        for grant in &together(&tiers.grants, sets) {
            split(&mut cells, &peers[grant.peers.index()], |cell, sure| {
                cell.grant(grant, sure, sets);
            });
        }
        for cell in &mut cells {
            cell.end_policies(tiers, sets);
        }
        for rule in &tiers.baseline {
            split(&mut cells, &peers[rule.peers.index()], |cell, sure| {
                cell.ordered(rule, sure, sets);
            });
        }
        Self::gather(tiers, cells, sets)
    }

    /// Joins cells of one value. The largest becomes the rest.
    fn gather(tiers: &Tiers, cells: Vec<Cell>, sets: &mut PortSets) -> Self {
        let mut by_value: BTreeMap<Value, FixedBitSet> = BTreeMap::new();
        for cell in cells {
            let value = cell.value(tiers, sets);
            match by_value.get_mut(&value) {
                Some(nodes) => nodes.union_with(&cell.nodes),
                None => {
                    by_value.insert(value, cell.nodes);
                }
            }
        }
        let mut gathered: Vec<(Value, FixedBitSet)> = by_value.into_iter().collect();
        let largest = (0..gathered.len()).max_by_key(|&i| gathered[i].1.count_ones(..));
        let rest = largest.map_or(Value::ALL, |i| gathered.remove(i).0);
        let cells = gathered.into_iter();
        Self {
            cells: cells.map(|(v, nodes)| (v, Nodes::of(nodes))).collect(),
            rest,
        }
    }

    /// What one node may use.
    pub(super) fn at(&self, node: usize) -> Value {
        self.cells
            .iter()
            .find(|(_, nodes)| nodes.contains(node))
            .map_or(self.rest, |(v, _)| *v)
    }
}

/// One grant for all that the same peers are granted: they match together, so that what one rule
/// grants before is not gained by another.
fn together(grants: &[Grant], sets: &mut PortSets) -> Vec<Grant> {
    let same = grants.chunk_by(|a, b| a.peers == b.peers);
    let joined = same.filter_map(|grants| {
        let join = |a: Grant, b: &Grant| Grant {
            peers: a.peers,
            before: sets.union(a.before, b.before),
            after: sets.union(a.after, b.after),
        };
        let (first, others) = grants.split_first()?;
        Some(others.iter().fold(*first, join))
    });
    joined.collect()
}

/// Applies a rule to the cells, split by whether its peers match. `apply` is told whether they
/// surely do.
fn split(cells: &mut Vec<Cell>, peers: &PeerSet, mut apply: impl FnMut(&mut Cell, bool)) {
    for index in 0..cells.len() {
        for (matching, sure) in [(&peers.yes, true), (&peers.maybe, false)] {
            let cell = &mut cells[index];
            if cell.nodes.is_disjoint(matching) {
                continue;
            }
            if cell.nodes.is_subset(matching) {
                apply(cell, sure);
                break;
            }
            let mut inside = cell.clone();
            inside.nodes.intersect_with(matching);
            cell.nodes.difference_with(matching);
            apply(&mut inside, sure);
            cells.push(inside);
        }
    }
}

#[cfg(test)]
mod tests;
