//! Which nodes a selector, a block or a list of peers matches.

use std::collections::BTreeMap;
use std::ops::Range;

use ambient_facts::labels;
use fixedbitset::FixedBitSet;

use super::class::{Node, Universe};
use crate::model::{LabelSelector, Operator, Peer, Protocol, World};

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
            by_address: FixedBitSet::with_capacity(yes.len()),
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
    /// Classes by label, and by label key.
    with_label: BTreeMap<(&'w str, &'w str), Vec<Node>>,
    with_key: BTreeMap<&'w str, Vec<Node>>,
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
        let mut with_label: BTreeMap<_, Vec<Node>> = BTreeMap::new();
        let mut with_key: BTreeMap<_, Vec<Node>> = BTreeMap::new();
        for (node, class) in universe.classes.iter().enumerate() {
            for (key, value) in &class.labels {
                with_label
                    .entry((key.as_str(), value.as_str()))
                    .or_default()
                    .push(node);
                with_key.entry(key.as_str()).or_default().push(node);
            }
        }
        Self {
            universe,
            world,
            with_label,
            with_key,
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
        let mut nodes = self.matching(&[range], selector);
        nodes.retain(|&n| !self.universe.classes[n].host_network);
        nodes
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
        let selected = set.yes.clone();
        for peer in peers {
            if let Peer::Block { cidr, except } = peer {
                self.block(cidr, except, &mut set);
                set.by_address.insert_range(..self.universe.classes.len());
            }
        }
        set.maybe.difference_with(&set.yes);
        set.by_address.difference_with(&selected);
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
        for (node, class) in self.universe.classes.iter().enumerate() {
            let (yes, maybe) = (whole.yes.contains(node), whole.maybe.contains(node));
            if !yes && !maybe {
                continue;
            }
            for &number in class
                .ports
                .get(&(protocol, name.to_owned()))
                .into_iter()
                .flatten()
            {
                let part = by_number.entry(number).or_insert_with(|| self.empty());
                if yes && !whole.by_address.contains(node) {
                    part.yes.insert(node);
                } else {
                    part.maybe.insert(node);
                }
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

    /// One of its sets.
    pub fn get(&self, id: PeerSetId) -> &PeerSet {
        &self.sets[id.0]
    }

    fn empty(&self) -> PeerSet {
        let nodes = self.universe.nodes();
        PeerSet {
            yes: FixedBitSet::with_capacity(nodes),
            maybe: FixedBitSet::with_capacity(nodes),
            by_address: FixedBitSet::with_capacity(nodes),
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
        for (node, class) in self.universe.classes.iter().enumerate() {
            match self.universe.is_in(class, &block) {
                // A pod on the node's network has the node's address, which is not known.
                Some(true) | None if class.host_network => set.maybe.insert(node),
                Some(true) => set.yes.insert(node),
                Some(false) => {}
                None => set.maybe.insert(node),
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
        for (stretches, sure) in [(&ranges.yes, true), (&ranges.maybe, false)] {
            for node in self.matching(stretches, pods) {
                let undefined = self.universe.classes[node].host_network;
                if undefined || !sure {
                    set.maybe.insert(node);
                } else {
                    set.yes.insert(node);
                }
            }
        }
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

    /// The classes in some stretches that a selector selects, in order.
    fn matching(&self, within: &[Range<Node>], selector: &LabelSelector) -> Vec<Node> {
        let size = within.iter().map(ExactSizeIterator::len).sum::<usize>();
        let selected = |node: &Node| selector.matches(&self.universe.classes[*node].labels);
        let listed = self.shortest_list(selector);
        match listed {
            Some(nodes) if nodes.len() < size => {
                let inside = |n: &Node| within.iter().any(|r| r.contains(n));
                nodes
                    .into_iter()
                    .filter(|n| inside(n) && selected(n))
                    .collect()
            }
            _ if selector.is_empty() => within.iter().cloned().flatten().collect(),
            _ => within.iter().cloned().flatten().filter(selected).collect(),
        }
    }

    /// The shortest list of classes that surely holds all that a selector selects, sorted; `None`
    /// when the selector only excludes.
    fn shortest_list(&self, selector: &LabelSelector) -> Option<Vec<Node>> {
        let mut shortest: Option<Vec<Node>> = None;
        let mut offer = |list: Vec<Node>| {
            if shortest.as_ref().is_none_or(|s| list.len() < s.len()) {
                shortest = Some(list);
            }
        };
        for (key, value) in &selector.match_labels {
            offer(self.labelled(key, value).to_vec());
        }
        for requirement in &selector.match_expressions {
            match &requirement.operator {
                Operator::In(values) => {
                    let lists = values
                        .iter()
                        .flat_map(|v| self.labelled(&requirement.key, v));
                    let mut nodes: Vec<Node> = lists.copied().collect();
                    nodes.sort_unstable();
                    offer(nodes);
                }
                Operator::Exists => {
                    offer(
                        self.with_key
                            .get(requirement.key.as_str())
                            .cloned()
                            .unwrap_or_default(),
                    );
                }
                Operator::NotIn(_) | Operator::DoesNotExist => {}
            }
        }
        shortest
    }

    fn labelled<'s>(&'s self, key: &'s str, value: &'s str) -> &'s [Node] {
        self.with_label
            .get(&(key, value))
            .map_or(&[], Vec::as_slice)
    }
}

/// Whether a selector selects a namespace. Of one that the world does not hold only the name is
/// known: `None` where other labels decide.
fn selects_namespace(world: &World, name: &str, selector: &LabelSelector) -> Option<bool> {
    let labels = world.namespace_labels(name);
    if world.namespaces.get(name).is_some_and(|n| n.declared) {
        return Some(selector.matches(&labels));
    }
    let (known, unknown) = selector.split_at(labels::NAMESPACE_NAME);
    if !known.matches(&labels) {
        Some(false)
    } else if unknown.is_empty() {
        Some(true)
    } else {
        None
    }
}
