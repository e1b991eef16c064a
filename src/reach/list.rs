//! All connections of a world, and how two worlds differ.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::Lens;
use super::view::View;
use crate::model::{Endpoint, World};
use crate::netpol::{AddressRange, Node, PortSet};

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
}

/// All connections of a world that surely are allowed. Pairs of one endpoint with itself, and of
/// addresses outside with each other, are left out.
pub fn connectivity(world: &World, lens: impl Into<Lens>) -> Connectivity {
    let listing = Listing::of(world, &lens.into());
    let mut shown = Shown::default();
    let mut connections = Vec::with_capacity(listing.pairs.len());
    for ((source, destination), ports) in listing.pairs {
        connections.push(Connection {
            source,
            destination,
            connections: shown.of(&ports),
        });
    }
    for ((endpoint, outside), ranges) in listing.outside {
        for (range, ports) in ranges.into_iter().filter(|(_, ports)| !ports.is_empty()) {
            let (source, destination) = outside.ends(&endpoint, range);
            connections.push(Connection {
                source,
                destination,
                connections: shown.of(&ports),
            });
        }
    }
    connections.sort_unstable();
    Connectivity {
        connections,
        uncertain: listing.uncertain,
    }
}

/// The pairs that two worlds treat differently, as far as that is known. Ranges of addresses are
/// cut where the answers of either world change.
pub fn difference(before: &World, after: &World, lens: impl Into<Lens>) -> Differences {
    let lens = lens.into();
    let (mut before, mut after) = (Listing::of(before, &lens), Listing::of(after, &lens));
    let mut shown = Shown::default();
    let mut text = |ports: Option<PortSet>| {
        ports
            .filter(|p| !p.is_empty())
            .map(|ports| shown.of(&ports))
    };
    let mut differences = Vec::new();
    let pairs: BTreeSet<_> = before
        .pairs
        .keys()
        .chain(after.pairs.keys())
        .cloned()
        .collect();
    for (source, destination) in pairs {
        let key = (source, destination);
        let (old, new) = (before.pairs.remove(&key), after.pairs.remove(&key));
        if old != new {
            let (source, destination) = key;
            let (before, after) = (text(old), text(new));
            differences.push(Difference {
                source,
                destination,
                before,
                after,
            });
        }
    }
    let keys: BTreeSet<_> = before
        .outside
        .keys()
        .chain(after.outside.keys())
        .cloned()
        .collect();
    for key in keys {
        let old = before.outside.remove(&key).unwrap_or_default();
        let new = after.outside.remove(&key).unwrap_or_default();
        for (range, old, new) in refined(&old, &new) {
            if old != new {
                let (source, destination) = key.1.ends(&key.0, range);
                let (before, after) = (text(Some(old)), text(Some(new)));
                differences.push(Difference {
                    source,
                    destination,
                    before,
                    after,
                });
            }
        }
    }
    differences.sort_unstable();
    Differences {
        pairs: differences,
        uncertain: before.uncertain.max(after.uncertain),
    }
}

/// What is allowed on each range of addresses; neighbours differ.
type Ranges = Vec<(AddressRange, PortSet)>;

/// All connections of a world, before they are text.
#[derive(Default)]
struct Listing {
    pairs: BTreeMap<(Arc<str>, Arc<str>), PortSet>,
    outside: BTreeMap<(Arc<str>, Outside), Ranges>,
    uncertain: u64,
}

impl Listing {
    fn of(world: &World, lens: &Lens) -> Self {
        let mut view = View::of(world, lens);
        let mut listing = Self::default();
        let name = |e: &Endpoint| Arc::from(e.to_string());
        let endpoints: Vec<(Arc<str>, Vec<Node>)> = view
            .endpoints
            .iter()
            .map(|(id, e)| (name(e), view.classes_of(id)))
            .collect();
        for (from, (source, sources)) in endpoints.iter().enumerate() {
            for (to, (destination, destinations)) in endpoints.iter().enumerate() {
                if from == to {
                    continue;
                }
                let mut ports = PortSet::none();
                for &source in sources {
                    for &destination in destinations {
                        ports = ports.union(&view.connections(source, destination));
                        listing.uncertain += u64::from(view.is_uncertain(source, destination));
                    }
                }
                if !ports.is_empty() {
                    let pair = (Arc::clone(source), Arc::clone(destination));
                    listing.pairs.insert(pair, ports);
                }
            }
            for outside in [Outside::From, Outside::To] {
                let ranges = ranges(&mut view, sources, outside);
                listing
                    .outside
                    .insert((Arc::clone(source), outside), ranges);
            }
        }
        listing
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
    fn ends(self, endpoint: &Arc<str>, range: AddressRange) -> (Arc<str>, Arc<str>) {
        let range = Arc::from(range.to_string());
        match self {
            Self::From => (range, Arc::clone(endpoint)),
            Self::To => (Arc::clone(endpoint), range),
        }
    }
}

/// The connections of an endpoint with addresses outside.
fn ranges(view: &mut View<'_>, endpoint: &[Node], outside: Outside) -> Ranges {
    let mut joined = Ranges::new();
    let first = view.address_nodes().start;
    for address in view.address_nodes() {
        let mut ports = PortSet::none();
        for &pod in endpoint {
            let (source, destination) = match outside {
                Outside::From => (address, pod),
                Outside::To => (pod, address),
            };
            ports = ports.union(&view.connections(source, destination));
        }
        let Some(&range) = view.universe.address_ranges().get(address - first) else {
            continue;
        };
        if let Some((last, known)) = joined.last_mut()
            && *known == ports
            && let Some(both) = last.joined(range)
        {
            *last = both;
        } else {
            joined.push((range, ports));
        }
    }
    joined
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

/// Port sets as text, each once.
#[derive(Default)]
struct Shown(BTreeMap<PortSet, Arc<str>>);

impl Shown {
    fn of(&mut self, ports: &PortSet) -> Arc<str> {
        if let Some(known) = self.0.get(ports) {
            return Arc::clone(known);
        }
        let text: Arc<str> = Arc::from(ports.to_string());
        self.0.insert(ports.clone(), Arc::clone(&text));
        text
    }
}
