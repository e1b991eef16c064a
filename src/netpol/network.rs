//! Policies, compiled: what every node may send to every other.

use std::collections::BTreeMap;
use std::ops::Range;

use fixedbitset::FixedBitSet;

use super::class::{Class, Node, Universe};
use super::intern::{PortSetId, PortSets};
use super::outgoing::Outgoing;
use super::ports::PortSet;
use super::row::{Grant, Row, Tiers, Value};
use super::select::{PeerSetId, Selection};
use crate::model::{NetworkPolicy, PortMatch, PortRule, Protocol, Rule};

/// One policy before and after a change. A policy that is only added or removed has one of them.
#[derive(Debug, Clone, Copy)]
pub struct Version<'p> {
    /// As it is.
    pub before: Option<&'p NetworkPolicy>,
    /// As it would be: rules of the policy as it is, in their order, perhaps with more ports, and
    /// perhaps more rules behind them.
    pub after: Option<&'p NetworkPolicy>,
}

impl<'p> Version<'p> {
    /// A policy that does not change.
    pub fn unchanged(policy: &'p NetworkPolicy) -> Self {
        Self {
            before: Some(policy),
            after: Some(policy),
        }
    }
}

/// Direction of a rule, seen from the pods that its policy selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// To the selected pods.
    Ingress,
    /// From the selected pods.
    Egress,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    /// Whether a policy isolates its pods in this direction.
    pub fn isolated_by(self, policy: &NetworkPolicy) -> bool {
        match self {
            Self::Ingress => policy.isolates_ingress,
            Self::Egress => policy.isolates_egress,
        }
    }

    /// The rules of a policy in this direction.
    pub fn rules(self, policy: &NetworkPolicy) -> &[Rule] {
        match self {
            Self::Ingress => &policy.ingress,
            Self::Egress => &policy.egress,
        }
    }
}

type RowId = usize;

/// What every node may send to every other, under the policies of a world.
#[derive(Debug)]
pub struct Network {
    rows: Vec<Row>,
    ingress: Vec<RowId>,
    egress: Vec<RowId>,
    /// Classes that some policy isolates for egress, before or after.
    egress_isolated: FixedBitSet,
    ingress_isolated: FixedBitSet,
    outgoing: Outgoing,
}

impl Network {
    /// Compiles policies over a universe that was made with all of them in view.
    pub fn compile<'w>(
        mut selection: Selection<'w>,
        versions: &[Version<'w>],
        sets: &mut PortSets,
    ) -> Self {
        let universe = selection.universe();
        let classes = universe.classes().len();
        let mut tiers = [
            vec![Tiers::default(); classes],
            vec![Tiers::default(); classes],
        ];
        for version in versions {
            for part in whole_or_parts(*version) {
                compile_policy(part, universe, &mut selection, sets, &mut tiers);
            }
        }
        let peers = selection.into_sets();
        let mut known: BTreeMap<Tiers, RowId> = BTreeMap::new();
        let mut rows = Vec::new();
        let [ingress, egress] = tiers.map(|tiers| {
            let row_of = |mut tiers: Tiers| {
                tiers.grants.sort_unstable();
                tiers.grants.dedup();
                *known.entry(tiers).or_insert_with_key(|tiers| {
                    rows.push(Row::evaluate(tiers, universe.nodes(), &peers, sets));
                    rows.len() - 1
                })
            };
            tiers.into_iter().map(row_of).collect::<Vec<_>>()
        });
        let limited = |of: &[RowId]| {
            let restricts = |row: &Row| !(row.cells.is_empty() && row.rest == Value::ALL);
            let limited = of
                .iter()
                .enumerate()
                .filter(|(_, row)| restricts(&rows[**row]));
            let mut bits = FixedBitSet::with_capacity(universe.nodes());
            bits.extend(limited.map(|(node, _)| node));
            bits
        };
        let (ingress_isolated, egress_isolated) = (limited(&ingress), limited(&egress));
        Self {
            outgoing: Outgoing::of(&egress, &rows, universe.nodes()),
            rows,
            ingress,
            egress,
            egress_isolated,
            ingress_isolated,
        }
    }

    /// What one node may send to another. Address ranges are not isolated; between two of them
    /// everything is allowed, and means nothing.
    pub fn value(&self, source: Node, destination: Node, sets: &mut PortSets) -> Value {
        let out = self
            .egress
            .get(source)
            .map_or(Value::ALL, |&row| self.rows[row].at(destination));
        let into = self
            .ingress
            .get(destination)
            .map_or(Value::ALL, |&row| self.rows[row].at(source));
        out.intersection(into, sets)
    }

    /// Nodes of a stretch to which the policies of the source alone let a class send something else
    /// after than before.
    pub fn egress_changes(
        &self,
        source: Node,
        stretch: Range<Node>,
    ) -> impl Iterator<Item = (Value, Node)> {
        let row = self.egress.get(source).and_then(|&row| self.rows.get(row));
        let row = row.filter(|row| {
            let mut values = row.cells.iter().map(|(value, _)| *value).chain([row.rest]);
            values.any(Value::changes)
        });
        let stretch = if row.is_some() { stretch } else { 0..0 };
        let values = stretch.map(move |node| (row.map_or(Value::ALL, |row| row.at(node)), node));
        values.filter(|(value, _)| value.changes())
    }

    /// All nodes that may send something to a class, grouped by what.
    pub fn sources_of(&self, class: Node, sets: &mut PortSets) -> Vec<(Value, FixedBitSet)> {
        let row = &self.rows[self.ingress[class]];
        let mut groups: BTreeMap<Value, FixedBitSet> = BTreeMap::new();
        let mut add = |value: Value, nodes: FixedBitSet| {
            if value != Value::NONE && !nodes.is_clear() {
                match groups.get_mut(&value) {
                    Some(known) => known.union_with(&nodes),
                    None => {
                        groups.insert(value, nodes);
                    }
                }
            }
        };
        for (out, mut sources) in self.outgoing.to(class, &self.rows) {
            for (into, nodes) in &row.cells {
                if let Some(part) = nodes.take_from(&mut sources) {
                    add(out.intersection(*into, sets), part);
                }
            }
            add(out.intersection(row.rest, sets), sources);
        }
        groups.into_iter().collect()
    }

    /// Whether some policy isolates a class for ingress, or for egress.
    pub fn is_isolated(&self, class: Node, direction: Direction) -> bool {
        match direction {
            Direction::Ingress => self.ingress_isolated.contains(class),
            Direction::Egress => self.egress_isolated.contains(class),
        }
    }
}

/// A version whose two sides select the same pods, or the two sides as versions of their own.
fn whole_or_parts(version: Version<'_>) -> impl Iterator<Item = Version<'_>> {
    let same = |a: &NetworkPolicy, b: &NetworkPolicy| {
        a.pod_selector == b.pod_selector && a.meta.namespace == b.meta.namespace
    };
    let whole = match (version.before, version.after) {
        (Some(before), Some(after)) => same(before, after),
        _ => true,
    };
    let parts = if whole {
        [Some(version), None]
    } else {
        let (before, after) = (version.before, version.after);
        [
            Some(Version {
                before,
                after: None,
            }),
            Some(Version {
                before: None,
                after,
            }),
        ]
    };
    parts.into_iter().flatten()
}

fn compile_policy<'w>(
    version: Version<'w>,
    universe: &Universe,
    selection: &mut Selection<'w>,
    sets: &mut PortSets,
    tiers: &mut [Vec<Tiers>; 2],
) {
    let Some(policy) = version.before.or(version.after) else {
        return;
    };
    let subjects = selection.subjects(&policy.meta.namespace, &policy.pod_selector);
    for (direction, tiers) in Direction::BOTH.into_iter().zip(tiers) {
        let isolates = |p: Option<&NetworkPolicy>| p.is_some_and(|p| direction.isolated_by(p));
        let (before, after) = (isolates(version.before), isolates(version.after));
        if !before && !after {
            continue;
        }
        for &subject in &subjects {
            tiers[subject].isolated_before |= before;
            tiers[subject].isolated_after |= after;
        }
        let rules = |p: Option<&'w NetworkPolicy>| match p {
            Some(p) if direction.isolated_by(p) => direction.rules(p),
            _ => &[],
        };
        let (before, after) = (rules(version.before), rules(version.after));
        for index in 0..before.len().max(after.len()) {
            for (before, after) in paired(before.get(index), after.get(index)) {
                let Some(rule) = before.or(after) else {
                    continue;
                };
                let peers = selection.peers(&policy.meta.namespace, &rule.peers);
                let ports = [before, after].map(|rule| rule.map(Ports::of));
                match direction {
                    Direction::Ingress => {
                        let mut granted = Granted::default();
                        for &subject in &subjects {
                            let class = &universe.classes()[subject];
                            let [before, after] = granted.on(class, &ports, sets);
                            tiers[subject].grants.push(Grant {
                                peers,
                                before,
                                after,
                            });
                            if class.imagined {
                                let perhaps = || selection.perhaps(peers);
                                let any = unnumbered_grants(&ports, sets, perhaps);
                                tiers[subject].grants.extend(any);
                            }
                        }
                    }
                    Direction::Egress => {
                        let grants = egress_grants(peers, &ports, selection, sets);
                        for &subject in &subjects {
                            tiers[subject].grants.extend(&grants);
                        }
                    }
                }
            }
        }
    }
}

/// What a rule of ingress grants, which is the same on all pods unless it names ports.
#[derive(Default)]
struct Granted(Option<[PortSetId; 2]>);

impl Granted {
    fn on(
        &mut self,
        class: &Class,
        ports: &[Option<Ports<'_>>; 2],
        sets: &mut PortSets,
    ) -> [PortSetId; 2] {
        if let Some(known) = self.0 {
            return known;
        }
        let granted = ports.each_ref().map(|ports| {
            let set = ports.as_ref().map(|p| p.on(class));
            sets.intern(set.unwrap_or_default())
        });
        if ports.iter().flatten().all(|p| p.names.is_empty()) {
            self.0 = Some(granted);
        }
        granted
    }
}

/// The two versions of one rule as one, or, when their peers differ, as two.
fn paired<'w>(
    before: Option<&'w Rule>,
    after: Option<&'w Rule>,
) -> impl Iterator<Item = (Option<&'w Rule>, Option<&'w Rule>)> {
    let same = matches!((before, after), (Some(b), Some(a)) if b.peers == a.peers);
    let parts = if same {
        [Some((before, after)), None]
    } else {
        [
            before.map(|b| (Some(b), None)),
            after.map(|a| (None, Some(a))),
        ]
    };
    parts.into_iter().flatten()
}

/// Grants of an egress rule: names are resolved on each destination.
fn egress_grants<'w>(
    peers: PeerSetId,
    ports: &[Option<Ports<'w>>; 2],
    selection: &mut Selection<'w>,
    sets: &mut PortSets,
) -> Vec<Grant> {
    let numbers = |ports: &Option<Ports<'w>>| ports.as_ref().map(|p| p.numbers.clone());
    let intern = |ports| sets.intern(numbers(ports).unwrap_or_default());
    let [before, after] = ports.each_ref().map(intern);
    let mut grants = vec![Grant {
        peers,
        before,
        after,
    }];
    let mut named: BTreeMap<(Protocol, &'w str), [bool; 2]> = BTreeMap::new();
    for (side, ports) in ports.iter().enumerate() {
        for &name in ports.iter().flat_map(|p| &p.names) {
            named.entry(name).or_default()[side] = true;
        }
    }
    for ((protocol, name), sides) in named {
        for (number, part) in selection.named(peers, protocol, name) {
            let port = sets.intern(PortSet::port(protocol, number));
            let on = |side: bool| if side { port } else { PortSets::NONE };
            grants.push(Grant {
                peers: part,
                before: on(sides[0]),
                after: on(sides[1]),
            });
        }
    }
    grants.extend(unnumbered_grants(ports, sets, || {
        selection.unnumbered(peers)
    }));
    grants.retain(|g| (g.before, g.after) != (PortSets::NONE, PortSets::NONE));
    grants
}

/// What the names in a rule may mean on pods whose ports are not known: any number.
fn unnumbered_grants(
    ports: &[Option<Ports<'_>>; 2],
    sets: &mut PortSets,
    peers: impl FnOnce() -> Option<PeerSetId>,
) -> Option<Grant> {
    let any = |ports: &Option<Ports<'_>>| ports.iter().map(Ports::any_named).collect();
    let [before, after]: [PortSet; 2] = ports.each_ref().map(any);
    if before.is_empty() && after.is_empty() {
        return None;
    }
    Some(Grant {
        peers: peers()?,
        before: sets.intern(before),
        after: sets.intern(after),
    })
}

/// The ports that a rule grants on pods of a class, at the most.
pub fn rule_ports(rule: &Rule, class: &Class) -> PortSet {
    let ports = Ports::of(rule);
    let any = class.imagined.then(|| ports.any_named());
    any.into_iter().chain([ports.on(class)]).collect()
}

/// The ports of a rule: numbers, and names that depend on the destination.
#[derive(Debug)]
struct Ports<'r> {
    numbers: PortSet,
    names: Vec<(Protocol, &'r str)>,
}

impl<'r> Ports<'r> {
    /// Reads the `ports` of a rule; none means all.
    fn of(rule: &'r Rule) -> Self {
        if rule.ports.is_empty() {
            return Self {
                numbers: PortSet::all(),
                names: Vec::new(),
            };
        }
        let numbers = rule.ports.iter().filter_map(numbers).collect();
        let name = |port: &'r PortRule| match &port.port {
            PortMatch::Name(name) => Some((port.protocol, name.as_str())),
            _ => None,
        };
        Self {
            numbers,
            names: rule.ports.iter().filter_map(name).collect(),
        }
    }

    /// What the names may mean.
    fn any_named(&self) -> PortSet {
        let names = self.names.iter();
        names.map(|&(p, _)| PortSet::protocol(p)).collect()
    }

    /// The ports on pods of a class, which resolve the names.
    fn on(&self, class: &Class) -> PortSet {
        let mut set = self.numbers.clone();
        for &(protocol, name) in &self.names {
            let numbers = class.ports.get(&(protocol, name.to_owned()));
            for &number in numbers.into_iter().flatten() {
                set = set.union(&PortSet::port(protocol, number));
            }
        }
        set
    }
}

fn numbers(port: &PortRule) -> Option<PortSet> {
    match port.port {
        PortMatch::All => Some(PortSet::protocol(port.protocol)),
        PortMatch::Range(first, last) => Some(PortSet::range(port.protocol, first, last)),
        PortMatch::Name(_) => None,
    }
}
