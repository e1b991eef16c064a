//! Which nodes a selector, a block or a list of peers matches.

use std::collections::BTreeMap;
use std::ops::Range;

use ambient_facts::labels;
use fixedbitset::FixedBitSet;

use super::class::{Node, Universe};
use super::index::Index;
use crate::model::{LabelSelector, Peer, Protocol, World};

/// Number of a [`PeerSet`] in the [`Selection`] that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerSetId(usize);

impl PeerSetId {
    /// Its index among [`Selection::into_sets`].
    pub(super) fn index(self) -> usize {
        self.0
    }

    #[cfg(test)]
    pub(super) fn numbered(index: usize) -> Self {
        Self(index)
    }
}

/// The nodes that some peers match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSet {
    /// Nodes that match.
    pub yes: FixedBitSet,
    /// Nodes of which it is not defined, or not known, whether they match. Disjoint from `yes`.
    pub maybe: FixedBitSet,
    /// Classes that match, or may, only by the addresses of their pods: plugins differ on whether
    /// the name of a port means anything there.
    by_address: FixedBitSet,
}

#[cfg(test)]
impl PeerSet {
    pub(super) fn of(yes: FixedBitSet, maybe: FixedBitSet) -> Self {
        Self {
            by_address: FixedBitSet::new(),
            yes,
            maybe,
        }
    }
}

/// Evaluates selectors, each distinct one once.
#[derive(Debug)]
pub struct Selection<'w> {
    universe: &'w Universe,
    world: &'w World,
    index: Index<'w>,
    sets: Vec<PeerSet>,
    numbers: BTreeMap<(Option<&'w str>, &'w [Peer]), PeerSetId>,
    namespaces: BTreeMap<&'w LabelSelector, Stretches>,
    named: BTreeMap<(PeerSetId, Protocol, &'w str), Numbered>,
}

/// Parts of a set, by the number that they give to a port name.
type Numbered = Vec<(u16, PeerSetId)>;

/// Stretches of classes: namespaces that a selector selects, and that it may.
#[derive(Debug, Clone, Default)]
struct Stretches {
    yes: Vec<Range<Node>>,
    maybe: Vec<Range<Node>>,
}

impl<'w> Selection<'w> {
    /// Nothing evaluated yet.
    pub fn new(world: &'w World, universe: &'w Universe) -> Self {
        Self {
            universe,
            world,
            index: Index::of(universe),
            sets: Vec::new(),
            numbers: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            named: BTreeMap::new(),
        }
    }

    /// The universe that the nodes are of.
    pub fn universe(&self) -> &'w Universe {
        self.universe
    }

    /// The classes of a namespace that a policy's `podSelector` selects. Pods on the node's
    /// network are never among them.
    pub fn subjects(&self, namespace: &str, selector: &LabelSelector) -> Vec<Node> {
        let range = self
            .universe
            .namespaces
            .get(namespace)
            .cloned()
            .unwrap_or(0..0);
        let mut selected = self.index.selected(&[range], selector);
        selected.difference_with(self.index.host_network());
        selected.ones().collect()
    }

    /// The nodes that the peers of a rule match; no peers match everything.
    pub fn peers(&mut self, namespace: &'w str, peers: &'w [Peer]) -> PeerSetId {
        let local = |p: &Peer| {
            matches!(
                p,
                Peer::Pods {
                    namespaces: None,
                    ..
                }
            )
        };
        let scope = peers.iter().any(local).then_some(namespace);
        if let Some(&id) = self.numbers.get(&(scope, peers)) {
            return id;
        }
        let mut set = self.empty();
        if peers.is_empty() {
            set.yes.insert_range(..);
        }
        for peer in peers {
            if let Peer::Pods { namespaces, pods } = peer {
                self.pods(namespace, namespaces.as_ref(), pods.as_ref(), &mut set);
            }
        }
        if peers.iter().any(|p| matches!(p, Peer::Block { .. })) {
            let classes = self.universe.classes.len();
            set.by_address = FixedBitSet::with_capacity(classes);
            set.by_address.insert_range(..);
            set.by_address.difference_with(&set.yes);
        }
        for peer in peers {
            if let Peer::Block { cidr, except } = peer {
                self.block(cidr, except, &mut set);
            }
        }
        set.maybe.difference_with(&set.yes);
        let id = PeerSetId(self.sets.len());
        self.sets.push(set);
        self.numbers.insert((scope, peers), id);
        id
    }

    /// The classes among some peers that give a number to a port name, by number.
    pub(super) fn named(&mut self, of: PeerSetId, protocol: Protocol, name: &'w str) -> Numbered {
        if let Some(parts) = self.named.get(&(of, protocol, name)) {
            return parts.clone();
        }
        let mut by_number: BTreeMap<u16, PeerSet> = BTreeMap::new();
        let whole = self.get(of);
        for &(node, number) in self.index.with_port(protocol, name) {
            let (yes, maybe) = (whole.yes.contains(node), whole.maybe.contains(node));
            if !yes && !maybe {
                continue;
            }
            let part = by_number.entry(number).or_insert_with(|| self.empty());
            if yes && !whole.by_address.contains(node) {
                part.yes.insert(node);
            } else {
                part.maybe.insert(node);
            }
        }
        let mut parts = Vec::new();
        for (number, set) in by_number {
            parts.push((number, PeerSetId(self.sets.len())));
            self.sets.push(set);
        }
        self.named.insert((of, protocol, name), parts.clone());
        parts
    }

    /// The classes among some peers whose ports are not known, so that any number may have a name.
    pub(super) fn unnumbered(&mut self, of: PeerSetId) -> Option<PeerSetId> {
        let mut maybe = self.universe.imagined();
        let whole = self.get(of);
        let mut peers = whole.yes.clone();
        peers.union_with(&whole.maybe);
        maybe.intersect_with(&peers);
        self.doubtful(maybe)
    }

    /// Some peers, as ones that may match.
    pub(super) fn perhaps(&mut self, of: PeerSetId) -> Option<PeerSetId> {
        let whole = self.get(of);
        let mut maybe = whole.yes.clone();
        maybe.union_with(&whole.maybe);
        self.doubtful(maybe)
    }

    fn doubtful(&mut self, maybe: FixedBitSet) -> Option<PeerSetId> {
        if maybe.is_clear() {
            return None;
        }
        let id = PeerSetId(self.sets.len());
        self.sets.push(PeerSet {
            maybe,
            ..self.empty()
        });
        Some(id)
    }

    /// One of its sets.
    pub fn get(&self, id: PeerSetId) -> &PeerSet {
        &self.sets[id.0]
    }

    fn empty(&self) -> PeerSet {
        let nodes = self.universe.nodes();
        PeerSet {
            yes: FixedBitSet::with_capacity(nodes),
            maybe: FixedBitSet::with_capacity(nodes),
            by_address: FixedBitSet::new(),
        }
    }

    /// All sets, for those who keep the numbers.
    pub(super) fn into_sets(self) -> Vec<PeerSet> {
        self.sets
    }

    fn block(&self, cidr: &ipnet::IpNet, except: &[ipnet::IpNet], set: &mut PeerSet) {
        let classes = self.universe.classes.len();
        let block = self.universe.block(cidr, except);
        set.yes
            .extend(block.atoms.ones().map(|atom| classes + atom));
        let (hosts, unknown) = (self.index.host_network(), self.index.without_address());
        let mut known = self.index.in_atoms(&block.atoms);
        let [mut pods, mut nodes] = [unknown.clone(), unknown.clone()];
        pods.difference_with(hosts);
        nodes.intersect_with(hosts);
        for (classes, matches) in [
            (&mut known, self.universe.assumptions.blocks_match_pods),
            (&mut pods, block.pods),
            (&mut nodes, block.nodes),
        ] {
            match matches {
                Some(true) => {
                    // A pod on the node's network has the node's address, which is not known.
                    let mut perhaps = classes.clone();
                    perhaps.intersect_with(hosts);
                    classes.difference_with(hosts);
                    set.maybe.union_with(&perhaps);
                    set.yes.union_with(classes);
                }
                Some(false) => {}
                None => set.maybe.union_with(classes),
            }
        }
    }

    fn pods(
        &mut self,
        own: &str,
        namespaces: Option<&'w LabelSelector>,
        pods: Option<&LabelSelector>,
        set: &mut PeerSet,
    ) {
        let everything = LabelSelector::default();
        let ranges = match namespaces {
            None => Stretches {
                yes: vec![self.universe.namespaces.get(own).cloned().unwrap_or(0..0)],
                maybe: Vec::new(),
            },
            Some(selector) => self.namespaces(selector),
        };
        let pods = pods.unwrap_or(&everything);
        let mut yes = self.index.selected(&ranges.yes, pods);
        let mut maybe = yes.clone();
        maybe.intersect_with(self.index.host_network());
        yes.difference_with(&maybe);
        if !ranges.maybe.is_empty() {
            maybe.union_with(&self.index.selected(&ranges.maybe, pods));
        }
        set.yes.union_with(&yes);
        set.maybe.union_with(&maybe);
    }

    fn namespaces(&mut self, selector: &'w LabelSelector) -> Stretches {
        let (world, universe) = (self.world, self.universe);
        let evaluate = || {
            let mut found = Stretches::default();
            for (name, range) in &universe.namespaces {
                match selects_namespace(world, name, selector) {
                    Some(true) => found.yes.push(range.clone()),
                    Some(false) => {}
                    None => found.maybe.push(range.clone()),
                }
            }
            found
        };
        self.namespaces
            .entry(selector)
            .or_insert_with(evaluate)
            .clone()
    }
}

/// Whether a selector selects a namespace. Of one that the world does not hold only the name is
/// known: `None` where other labels decide.
pub fn selects_namespace(world: &World, name: &str, selector: &LabelSelector) -> Option<bool> {
    let labels = world.namespace_labels(name);
    if world.namespaces.get(name).is_some_and(|n| n.declared) {
        return Some(selector.matches(&labels));
    }
    let (known, unknown) = selector.split_at(labels::NAMESPACE_NAME);
    if !known.matches(&labels) || unknown.is_contradiction() {
        Some(false)
    } else if unknown.is_empty() {
        Some(true)
    } else {
        None
    }
}
