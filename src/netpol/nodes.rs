//! Sets of nodes that are kept: small ones as lists, since there are as many as there are classes.

use fixedbitset::FixedBitSet;

use super::class::Node;

/// A set of nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nodes {
    /// A sorted list.
    Few(Box<[u32]>),
    /// A bit for each node.
    Many(FixedBitSet),
}

impl Nodes {
    /// A list is smaller than the bits when it holds one node in this many.
    const BITS_OF_A_LISTED_NODE: usize = u32::BITS as usize;

    /// The same nodes in whichever way is smaller.
    pub fn of(bits: FixedBitSet) -> Self {
        let count = bits.count_ones(..);
        if count > bits.len() / Self::BITS_OF_A_LISTED_NODE {
            return Self::Many(bits);
        }
        let listed: Result<Box<[u32]>, _> = bits.ones().map(u32::try_from).collect();
        listed.map_or(Self::Many(bits), Self::Few)
    }

    /// Whether a node is among them.
    pub fn contains(&self, node: Node) -> bool {
        match self {
            Self::Few(list) => u32::try_from(node).is_ok_and(|n| list.binary_search(&n).is_ok()),
            Self::Many(bits) => bits.contains(node),
        }
    }

    pub(super) fn is_many(&self) -> bool {
        matches!(self, Self::Many(_))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Few(list) => list.len(),
            Self::Many(bits) => bits.count_ones(..),
        }
    }

    /// Calls `visit` with each node, in order.
    pub fn each(&self, mut visit: impl FnMut(Node)) {
        match self {
            Self::Few(list) => list.iter().for_each(|&n| visit(n as Node)),
            Self::Many(bits) => bits.ones().for_each(visit),
        }
    }

    /// Takes these nodes out of a set; returns those that were in it, if any.
    pub(super) fn take_from(&self, set: &mut FixedBitSet) -> Option<FixedBitSet> {
        let mut taken: Option<FixedBitSet> = None;
        match self {
            Self::Few(list) => {
                for node in list.iter().map(|&n| n as Node) {
                    if set.contains(node) {
                        set.set(node, false);
                        let taken =
                            taken.get_or_insert_with(|| FixedBitSet::with_capacity(set.len()));
                        taken.insert(node);
                    }
                }
            }
            Self::Many(bits) => {
                if !set.is_disjoint(bits) {
                    let mut both = set.clone();
                    both.intersect_with(bits);
                    set.difference_with(bits);
                    taken = Some(both);
                }
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 200;

    fn bits(nodes: impl IntoIterator<Item = Node>) -> FixedBitSet {
        let mut bits = FixedBitSet::with_capacity(SIZE);
        bits.extend(nodes);
        bits
    }

    #[test]
    fn lists_and_bits_answer_alike() {
        let (few, many) = ([3, 64, 199], (0..SIZE).step_by(3));
        assert!(matches!(Nodes::of(bits(few)), Nodes::Few(_)));
        assert!(matches!(Nodes::of(bits(many.clone())), Nodes::Many(_)));
        for members in [bits([]), bits(few), bits(many), bits(0..SIZE)] {
            let nodes = Nodes::of(members.clone());
            let mut visited = Vec::new();
            nodes.each(|n| visited.push(n));
            assert_eq!(visited, members.ones().collect::<Vec<_>>());
            assert_eq!(nodes.count(), visited.len());
            for node in 0..=SIZE {
                assert_eq!(nodes.contains(node), members.contains(node));
            }
            let mut set = bits(60..SIZE);
            let taken = nodes.take_from(&mut set);
            let expected: Vec<Node> = members.ones().filter(|&n| n >= 60).collect();
            let left: Vec<Node> = (60..SIZE).filter(|&n| !members.contains(n)).collect();
            assert_eq!(set, bits(left));
            assert_eq!(taken, (!expected.is_empty()).then(|| bits(expected)));
        }
    }
}
