//! All connections of a world, and how two worlds differ.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::authorized::parties;
use super::view::{self, NOTHING, View, union};
use super::{Lens, Mode, silent};
use crate::model::{Endpoint, ObjectRef, World};
use crate::netpol::{AddressRange, Bounds, Node, PortSet, PortSetId, PortSets};

/// What one party may send to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    /// Source: `namespace/name[Kind]`, or a range of addresses.
    pub source: Arc<str>,
    /// Destination, written alike.
    pub destination: Arc<str>,
    /// `All Connections` or ports by protocol; never empty.
    pub connections: Arc<str>,
}

/// All connections of a world.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connectivity {
    /// Sorted by source, then destination, as text.
    pub connections: Vec<Connection>,
    /// Pairs for which it is not known whether more is allowed: an `ipBlock` may match pods, or a
    /// selector pods on the node's network.
    pub uncertain: u64,
}

/// A pair of parties that two worlds treat differently.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Source, as in [`Connection`].
    pub source: Arc<str>,
    /// Destination, as in [`Connection`].
    pub destination: Arc<str>,
    /// What the first world allows; `None` for nothing.
    pub before: Option<Arc<str>>,
    /// What the second world allows; `None` for nothing.
    pub after: Option<Arc<str>>,
}

/// How two worlds differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Sorted by source, then destination.
    pub pairs: Vec<Difference>,
    /// Pairs of either world as in [`Connectivity::uncertain`], whichever has more of them.
    pub uncertain: u64,
    /// NetworkPolicies that differ and have no part in any of the pairs, sorted: pods that the worlds
    /// do not hold are not compared.
    pub silent: Vec<ObjectRef>,
}

/// All connections of a world that surely are allowed. Pairs of one endpoint with itself, and of
/// addresses outside with each other, are left out.
pub fn connectivity(world: &World, lens: impl Into<Lens>) -> Connectivity {
    let lens = lens.into();
    let listing = Listing::of(world, &lens);
    let mut shown = Shown::of(lens.mode);
    let mut lines = Lines::new();
    for (index, source) in listing.names.iter().enumerate() {
        for (destination, ports) in listing.from(index) {
            lines.add(source, destination, shown.ports(ports));
        }
        for outside in [Outside::From, Outside::To] {
            for (range, ports) in listing.ranges(index, outside) {
                if !ports.is_empty() {
                    let (source, destination) = outside.ends(source, shown.range(*range));
                    lines.add(&source, &destination, shown.ports(ports));
                }
            }
        }
    }
    Connectivity {
        connections: lines.sorted(),
        uncertain: listing.uncertain,
    }
}

/// Connections by source, so that only the lists of single sources have to be sorted.
struct Lines(BTreeMap<Arc<str>, Vec<Connection>>);

impl Lines {
    fn new() -> Self {
        Self(BTreeMap::new())
    }

    fn add(&mut self, source: &Arc<str>, destination: &Arc<str>, connections: Arc<str>) {
        let line = Connection {
            source: Arc::clone(source),
            destination: Arc::clone(destination),
            connections,
        };
        match self.0.get_mut(source) {
            Some(lines) => lines.push(line),
            None => {
                self.0.insert(Arc::clone(source), vec![line]);
            }
        }
    }

    fn sorted(self) -> Vec<Connection> {
        let mut all = Vec::with_capacity(self.0.values().map(Vec::len).sum());
        for mut lines in self.0.into_values() {
            lines.sort_by(|a, b| a.destination.cmp(&b.destination));
            all.append(&mut lines);
        }
        all
    }
}

/// The pairs that two worlds treat differently, as far as that is known. Ranges of addresses are
/// cut where the answers of either world change.
pub fn difference(before: &World, after: &World, lens: impl Into<Lens>) -> Differences {
    let lens = lens.into();
    let worlds = [before, after];
    let [before, after] = worlds.map(|world| Listing::of(world, &lens));
    let mut shown = Shown::of(lens.mode);
    let mut differences = Vec::new();
    let mut add = |(source, destination), before: &PortSet, after: &PortSet, shown: &mut Shown| {
        if before == after {
            return;
        }
        let mut text = |ports: &PortSet| (!ports.is_empty()).then(|| shown.ports(ports));
        let (before, after) = (text(before), text(after));
        // All connections are not the same set in the clear and in the tunnel.
        if before != after {
            differences.push(Difference {
                source,
                destination,
                before,
                after,
            });
        }
    };
    let names: BTreeSet<&Arc<str>> = before.names.iter().chain(&after.names).collect();
    let none = PortSet::none();
    for name in names {
        let [old, new] = [&before, &after].map(|listing| (listing, listing.place(name)));
        let mut pairs: BTreeMap<&Arc<str>, [&PortSet; 2]> = BTreeMap::new();
        for (side, (listing, place)) in [old, new].into_iter().enumerate() {
            for (destination, ports) in place.into_iter().flat_map(|place| listing.from(place)) {
                pairs.entry(destination).or_insert([&none; 2])[side] = ports;
            }
        }
        for (destination, [old, new]) in pairs {
            let ends = (Arc::clone(name), Arc::clone(destination));
            add(ends, old, new, &mut shown);
        }
        for outside in [Outside::From, Outside::To] {
            let ranges = |(listing, place): (&Listing, Option<usize>)| {
                place.map_or_else(Ranges::new, |place| listing.ranges(place, outside).clone())
            };
            for (range, old, new) in refined(&ranges(old), &ranges(new)) {
                let ends = outside.ends(name, shown.range(range));
                add(ends, &old, &new, &mut shown);
            }
        }
    }
    differences.sort_unstable();
    let [old, new] = worlds;
    let ends = differences.iter().map(|d| (&d.source, &d.destination));
    Differences {
        silent: silent::policies(old, new, ends),
        pairs: differences,
        uncertain: before.uncertain.max(after.uncertain),
    }
}

/// What is allowed on each range of addresses; neighbours differ.
type Ranges = Vec<(AddressRange, PortSet)>;

/// All connections of a world, before they are text.
struct Listing {
    /// Endpoints, sorted as text.
    names: Vec<Arc<str>>,
    /// By source, sorted: the destinations, and what may be sent to them.
    pairs: Vec<Vec<(u32, PortSetId)>>,
    /// By endpoint, an index into `groups`.
    group_of: Vec<usize>,
    /// Connections with addresses outside, from them and to them, of endpoints that are alike.
    groups: Vec<[Ranges; 2]>,
    sets: PortSets,
    uncertain: u64,
}

/// Endpoints whose pods are of the same classes.
struct Alike {
    classes: Vec<Node>,
    endpoints: Vec<u32>,
}

impl Listing {
    fn of(world: &World, lens: &Lens) -> Self {
        let parties = parties(world);
        let mut view = View::of(world, &parties, lens);
        let name = |e: &Endpoint| Arc::<str>::from(e.to_string());
        let mut endpoints: Vec<(Arc<str>, Vec<Node>)> = view
            .endpoints
            .iter()
            .map(|(id, e)| (name(e), view.classes_of(id)))
            .collect();
        endpoints.sort_unstable();
        let mut by_classes: BTreeMap<&[Node], Vec<u32>> = BTreeMap::new();
        for (place, (_, classes)) in (0_u32..).zip(&endpoints) {
            by_classes.entry(classes).or_default().push(place);
        }
        let alike: Vec<Alike> = by_classes
            .into_iter()
            .map(|(classes, endpoints)| Alike {
                classes: classes.to_vec(),
                endpoints,
            })
            .collect();
        let mut listing = Self {
            pairs: vec![Vec::new(); endpoints.len()],
            group_of: vec![0; endpoints.len()],
            names: endpoints.into_iter().map(|(name, _)| name).collect(),
            groups: Vec::with_capacity(alike.len()),
            sets: PortSets::default(),
            uncertain: 0,
        };
        for (group, destinations) in alike.iter().enumerate() {
            for &endpoint in &destinations.endpoints {
                if let Some(of) = listing.group_of.get_mut(endpoint as usize) {
                    *of = group;
                }
            }
            let into = view.reaching(&destinations.classes);
            for sources in &alike {
                listing.connect(sources, destinations, &into, &mut view.sets);
            }
            let ranges = ranges(&mut view, &destinations.classes, &into);
            listing.groups.push(ranges);
        }
        for pairs in &mut listing.pairs {
            pairs.sort_unstable();
        }
        listing.sets = view.sets;
        listing
    }

    /// Adds what some endpoints may send to others.
    fn connect(
        &mut self,
        sources: &Alike,
        destinations: &Alike,
        into: &[Bounds],
        sets: &mut PortSets,
    ) {
        let each = sources.classes.iter().filter_map(|&class| into.get(class));
        let bounds = each.fold(NOTHING, |all, &bounds| union(all, bounds, sets));
        if bounds == NOTHING {
            return;
        }
        for &source in &sources.endpoints {
            let Some(pairs) = self.pairs.get_mut(source as usize) else {
                continue;
            };
            let others = destinations.endpoints.iter().filter(|&&d| d != source);
            if bounds.low != bounds.high {
                self.uncertain += others.clone().count() as u64;
            }
            if bounds.low != PortSets::NONE {
                pairs.extend(others.map(|&destination| (destination, bounds.low)));
            }
        }
    }

    /// Where an endpoint is in the list.
    fn place(&self, name: &Arc<str>) -> Option<usize> {
        self.names.binary_search(name).ok()
    }

    /// What an endpoint may send to others, sorted.
    fn from(&self, place: usize) -> impl Iterator<Item = (&Arc<str>, &PortSet)> {
        let pairs = self.pairs.get(place).into_iter().flatten();
        pairs.filter_map(|&(destination, ports)| {
            let name = self.names.get(destination as usize)?;
            Some((name, self.sets.get(ports)))
        })
    }

    fn ranges(&self, place: usize, outside: Outside) -> &Ranges {
        const NONE: &Ranges = &Vec::new();
        let group = self.group_of.get(place).and_then(|&g| self.groups.get(g));
        group.map_or(NONE, |[from, to]| match outside {
            Outside::From => from,
            Outside::To => to,
        })
    }
}

/// Which end of a connection is outside of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outside {
    From,
    To,
}

impl Outside {
    /// Source and destination as text.
    fn ends(self, endpoint: &Arc<str>, range: Arc<str>) -> (Arc<str>, Arc<str>) {
        match self {
            Self::From => (range, Arc::clone(endpoint)),
            Self::To => (Arc::clone(endpoint), range),
        }
    }
}

/// The connections of classes, taken together, from addresses outside and to them.
fn ranges(view: &mut View<'_>, classes: &[Node], into: &[Bounds]) -> [Ranges; 2] {
    let addresses = view.address_nodes();
    let from = into.get(addresses.clone()).unwrap_or_default().to_vec();
    let mut to = Vec::with_capacity(addresses.len());
    for address in addresses {
        let mut all = NOTHING;
        for &class in classes {
            let bounds = view.between(class, address);
            all = union(all, bounds, &mut view.sets);
        }
        to.push(all);
    }
    [from, to].map(|bounds| joined(view, &bounds))
}

/// Joins neighbours of which the same surely is allowed.
fn joined(view: &View<'_>, bounds: &[Bounds]) -> Ranges {
    let mut joined: Vec<(AddressRange, PortSetId)> = Vec::new();
    for (&range, bounds) in view.universe.address_ranges().iter().zip(bounds) {
        if let Some((last, known)) = joined.last_mut()
            && *known == bounds.low
            && let Some(both) = last.joined(range)
        {
            *last = both;
        } else {
            joined.push((range, bounds.low));
        }
    }
    let sets = joined.into_iter();
    sets.map(|(range, ports)| (range, view.sets.get(ports).clone()))
        .collect()
}

/// Cuts two lists of ranges at each other's ends, and joins neighbours that agree in both. A world
/// without the endpoint has no ranges: nothing is allowed there.
fn refined(old: &Ranges, new: &Ranges) -> Vec<(AddressRange, PortSet, PortSet)> {
    let starts: BTreeSet<IpAddr> = old
        .iter()
        .chain(new)
        .map(|(range, _)| range.first)
        .collect();
    let at = |list: &Ranges, address: IpAddr| {
        let found = list.iter().find(|(range, _)| range.contains(address));
        found.map(|(range, ports)| (range.last, ports.clone()))
    };
    let mut refined: Vec<(AddressRange, PortSet, PortSet)> = Vec::new();
    for first in starts {
        let (left, right) = (at(old, first), at(new, first));
        let ends = [&left, &right].into_iter().flatten().map(|(last, _)| *last);
        let Some(last) = ends.min() else { continue };
        let ports = |side: Option<(IpAddr, PortSet)>| side.map(|(_, p)| p).unwrap_or_default();
        let piece = (AddressRange { first, last }, ports(left), ports(right));
        if let Some(known) = refined.last_mut()
            && (&known.1, &known.2) == (&piece.1, &piece.2)
            && let Some(both) = known.0.joined(piece.0)
        {
            known.0 = both;
        } else {
            refined.push(piece);
        }
    }
    refined
}

/// Port sets and ranges as text, each once.
struct Shown {
    mode: Mode,
    ports: BTreeMap<PortSet, Arc<str>>,
    ranges: BTreeMap<AddressRange, Arc<str>>,
}

impl Shown {
    fn of(mode: Mode) -> Self {
        Self {
            mode,
            ports: BTreeMap::new(),
            ranges: BTreeMap::new(),
        }
    }

    fn ports(&mut self, ports: &PortSet) -> Arc<str> {
        if let Some(known) = self.ports.get(ports) {
            return Arc::clone(known);
        }
        let text: Arc<str> = Arc::from(view::shown(ports, self.mode));
        self.ports.insert(ports.clone(), Arc::clone(&text));
        text
    }

    fn range(&mut self, range: AddressRange) -> Arc<str> {
        let text = || Arc::from(range.to_string());
        Arc::clone(self.ranges.entry(range).or_insert_with(text))
    }
}
