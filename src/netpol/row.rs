//! One direction of one subject: which node may use which ports.
//!
//! A subject's policies come in three tiers, evaluated in this order: **Admin** (ordered rules, the
//! first that matches decides), **NetworkPolicy** (if any policy isolates the subject, the union of
//! all grants decides), **Baseline** (ordered rules again); what none of them decides is allowed.
//! A *pass* in the Admin tier hands its ports on to the NetworkPolicy tier.

use fixedbitset::FixedBitSet;

use super::intern::{PortSetId, PortSets};
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
        }
    }

    fn zip(self, other: Self, mut f: impl FnMut(PortSetId, PortSetId) -> PortSetId) -> Self {
        let mut bounds = |a: Bounds, b: Bounds| Bounds {
            low: f(a.low, b.low),
            high: f(a.high, b.high),
        };
        Self {
            before: bounds(self.before, other.before),
            after: bounds(self.after, other.after),
        }
    }

    pub(super) fn union(self, other: Self, sets: &mut PortSets) -> Self {
        self.zip(other, |a, b| sets.union(a, b))
    }

    pub(super) fn intersection(self, other: Self, sets: &mut PortSets) -> Self {
        self.zip(other, |a, b| sets.intersection(a, b))
    }

    fn difference(self, other: Self, sets: &mut PortSets) -> Self {
        self.zip(other, |a, b| sets.difference(a, b))
    }

    /// Only the upper bounds: what a peer gets that may match.
    fn high_only(self) -> Self {
        let high = |b: Bounds| Bounds {
            low: PortSets::NONE,
            high: b.high,
        };
        Self {
            before: high(self.before),
            after: high(self.after),
        }
    }

    /// Only the lower bounds: what a rule that denies surely leaves to a peer that may match.
    fn low_only(self) -> Self {
        let low = |b: Bounds| Bounds {
            low: b.low,
            high: PortSets::NONE,
        };
        Self {
            before: low(self.before),
            after: low(self.after),
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
    pub(super) cells: Vec<(Value, FixedBitSet)>,
    /// What the nodes in no cell may use.
    pub(super) rest: Value,
}

/// Nodes that all rules so far treat alike.
#[derive(Clone)]
struct Cell {
    nodes: FixedBitSet,
    /// What no rule has decided.
    open: Value,
    /// What the Admin tier has handed on.
    passed: Value,
    allowed: Value,
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
        let mut cells = vec![Cell {
            nodes: all,
            open: Value::ALL,
            passed: Value::NONE,
            allowed: Value::NONE,
        }];
        for rule in &tiers.admin {
            split(&mut cells, &peers[rule.peers.index()], |cell, sure| {
                ordered(cell, rule, sure, sets);
            });
        }
        for cell in &mut cells {
            cell.open = cell.open.union(cell.passed, sets);
            cell.passed = Value::NONE;
        }
        for grant in &tiers.grants {
            let ports = Value {
                before: Bounds {
                    low: grant.before,
                    high: grant.before,
                },
                after: Bounds {
                    low: grant.after,
                    high: grant.after,
                },
            };
            split(&mut cells, &peers[grant.peers.index()], |cell, sure| {
                let ports = if sure { ports } else { ports.high_only() };
                let granted = cell.open.intersection(ports, sets);
                cell.allowed = cell.allowed.union(granted, sets);
            });
        }
        for cell in &mut cells {
            let closed = Bounds {
                low: PortSets::NONE,
                high: PortSets::NONE,
            };
            if tiers.isolated_before {
                cell.open.before = closed;
            }
            if tiers.isolated_after {
                cell.open.after = closed;
            }
        }
        for rule in &tiers.baseline {
            split(&mut cells, &peers[rule.peers.index()], |cell, sure| {
                ordered(cell, rule, sure, sets);
            });
        }
        Self::gather(cells, sets)
    }

    /// Joins cells of one value. The largest becomes the rest.
    fn gather(cells: Vec<Cell>, sets: &mut PortSets) -> Self {
        let mut gathered: Vec<(Value, FixedBitSet)> = Vec::new();
        for cell in cells {
            let value = cell.allowed.union(cell.open, sets);
            match gathered.iter_mut().find(|(v, _)| *v == value) {
                Some((_, nodes)) => nodes.union_with(&cell.nodes),
                None => gathered.push((value, cell.nodes)),
            }
        }
        gathered.sort_by_key(|&(value, _)| value);
        let largest = (0..gathered.len()).max_by_key(|&i| gathered[i].1.count_ones(..));
        let rest = largest.map_or(Value::ALL, |i| gathered.remove(i).0);
        Self {
            cells: gathered,
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

fn ordered(cell: &mut Cell, rule: &OrderedRule, sure: bool, sets: &mut PortSets) {
    let ports = Value::constant(rule.ports);
    let hit = cell.open.intersection(ports, sets);
    match (rule.action, sure) {
        (OrderedAction::Accept, true) => cell.allowed = cell.allowed.union(hit, sets),
        (OrderedAction::Pass, true) => cell.passed = cell.passed.union(hit, sets),
        (OrderedAction::Deny, true) => {}
        // Not known whether it applies: each bound takes the outcome that widens it less or more.
        (OrderedAction::Accept, false) => {
            cell.allowed = cell.allowed.union(hit.high_only(), sets);
            cell.open = cell.open.difference(hit.high_only(), sets);
            return;
        }
        (OrderedAction::Deny, false) => {
            cell.open = cell.open.difference(hit.low_only(), sets);
            return;
        }
        (OrderedAction::Pass, false) => {
            cell.passed = cell.passed.union(hit.high_only(), sets);
            cell.open = cell.open.difference(hit.low_only(), sets);
            return;
        }
    }
    cell.open = cell.open.difference(hit, sets);
}
