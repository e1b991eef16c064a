//! Classes by what selectors and port names ask for.

use std::collections::BTreeMap;
use std::ops::Range;

use fixedbitset::FixedBitSet;

use super::class::{Class, Node, Universe};
use crate::model::{LabelSelector, Operator, Protocol};

/// Sorted lists of classes.
#[derive(Debug)]
pub(super) struct Index<'u> {
    classes: &'u [Class],
    with_label: BTreeMap<(&'u str, &'u str), Vec<Node>>,
    with_key: BTreeMap<&'u str, Vec<Node>>,
    with_port: BTreeMap<(Protocol, &'u str), Vec<(Node, u16)>>,
    host_network: FixedBitSet,
    /// By atom of the address space: the classes with an address in it.
    in_atom: Vec<FixedBitSet>,
    without_address: FixedBitSet,
}

/// Up to this many classes are asked one by one.
const FEW: usize = 64;

impl<'u> Index<'u> {
    pub(super) fn of(universe: &'u Universe) -> Self {
        let atoms = universe.address_ranges().len();
        let mut index = Self {
            classes: &universe.classes,
            with_label: BTreeMap::new(),
            with_key: BTreeMap::new(),
            with_port: BTreeMap::new(),
            host_network: FixedBitSet::with_capacity(universe.classes.len()),
            in_atom: vec![FixedBitSet::with_capacity(universe.classes.len()); atoms],
            without_address: FixedBitSet::with_capacity(universe.classes.len()),
        };
        for (node, class) in universe.classes.iter().enumerate() {
            for (key, value) in &class.labels {
                let labelled = index.with_label.entry((key, value));
                labelled.or_default().push(node);
                index.with_key.entry(key).or_default().push(node);
            }
            for ((protocol, name), numbers) in &class.ports {
                let named = index.with_port.entry((*protocol, name)).or_default();
                named.extend(numbers.iter().map(|&number| (node, number)));
            }
            index.host_network.set(node, class.host_network);
            index.without_address.set(node, class.atoms.is_empty());
            for &atom in &class.atoms {
                if let Some(classes) = index.in_atom.get_mut(atom) {
                    classes.insert(node);
                }
            }
        }
        index
    }

    /// The classes on the network of their node.
    pub(super) fn host_network(&self) -> &FixedBitSet {
        &self.host_network
    }

    /// The classes with an address in one of some atoms.
    pub(super) fn in_atoms(&self, atoms: &FixedBitSet) -> FixedBitSet {
        let mut classes = FixedBitSet::with_capacity(self.classes.len());
        for atom in atoms.ones() {
            if let Some(inside) = self.in_atom.get(atom) {
                classes.union_with(inside);
            }
        }
        classes
    }

    /// The classes of which not every pod has a known address.
    pub(super) fn without_address(&self) -> &FixedBitSet {
        &self.without_address
    }

    /// The classes that give numbers to a port name.
    pub(super) fn with_port<'s>(&'s self, protocol: Protocol, name: &'s str) -> &'s [(Node, u16)] {
        let named = self.with_port.get(&(protocol, name));
        named.map_or(&[], Vec::as_slice)
    }

    /// The classes in some stretches that a selector selects.
    pub(super) fn selected(&self, within: &[Range<Node>], selector: &LabelSelector) -> FixedBitSet {
        let mut set = FixedBitSet::with_capacity(self.classes.len());
        if within.iter().map(ExactSizeIterator::len).sum::<usize>() <= FEW {
            let selects = |&node: &Node| {
                let class = self.classes.get(node);
                class.is_some_and(|c| selector.matches(&c.labels))
            };
            set.extend(within.iter().cloned().flatten().filter(selects));
            return set;
        }
        for stretch in within {
            set.insert_range(stretch.clone());
        }
        for (key, value) in &selector.match_labels {
            keep(&mut set, self.with_label(key, value));
        }
        for requirement in &selector.match_expressions {
            let key = requirement.key.as_str();
            let with_key = || self.with_key.get(key).into_iter().flatten();
            match &requirement.operator {
                Operator::In(values) => {
                    keep(
                        &mut set,
                        values.iter().flat_map(|v| self.with_label(key, v)),
                    );
                }
                Operator::NotIn(values) => {
                    drop_from(
                        &mut set,
                        values.iter().flat_map(|v| self.with_label(key, v)),
                    );
                }
                Operator::Exists => keep(&mut set, with_key()),
                Operator::DoesNotExist => drop_from(&mut set, with_key()),
            }
        }
        set
    }

    fn with_label<'s>(&'s self, key: &'s str, value: &'s str) -> &'s [Node] {
        let labelled = self.with_label.get(&(key, value));
        labelled.map_or(&[], Vec::as_slice)
    }
}

/// Leaves only those on a list.
fn keep<'n>(set: &mut FixedBitSet, listed: impl IntoIterator<Item = &'n Node>) {
    let mut kept = FixedBitSet::with_capacity(set.len());
    kept.extend(listed.into_iter().copied().filter(|&n| set.contains(n)));
    *set = kept;
}

fn drop_from<'n>(set: &mut FixedBitSet, listed: impl IntoIterator<Item = &'n Node>) {
    for &node in listed {
        set.set(node, false);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::{Labels, Requirement};

    /// Classes enough to be counted as many; every third has no label, the others have two.
    fn classes() -> Vec<Class> {
        let labels = |index: usize| match index % 3 {
            0 => Labels::new(),
            other => {
                let app = if other == 1 { "a" } else { "b" };
                let pairs = [
                    ("app", app),
                    ("even", if index.is_multiple_of(2) { "yes" } else { "no" }),
                ];
                pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
            }
        };
        let class = |index| Class {
            labels: labels(index),
            ..Class::default()
        };
        (0..FEW * 3).map(class).collect()
    }

    #[test]
    fn many_classes_are_selected_as_few_are() {
        let universe = Universe::with_classes(classes());
        let index = Index::of(&universe);
        let of = |values: &[&str]| {
            values
                .iter()
                .map(|&v| v.to_owned())
                .collect::<BTreeSet<_>>()
        };
        let operators = [
            Operator::In(of(&["a"])),
            Operator::In(of(&["a", "b", "c"])),
            Operator::In(of(&[])),
            Operator::NotIn(of(&["a"])),
            Operator::NotIn(of(&["a", "b"])),
            Operator::NotIn(of(&[])),
            Operator::Exists,
            Operator::DoesNotExist,
        ];
        let many = [3..40, 50..FEW * 3];
        for operator in operators {
            for labels in [&[][..], &[("even", "yes")]] {
                let mut selector = LabelSelector::labels(labels.iter().copied());
                selector.match_expressions.push(Requirement {
                    key: "app".to_owned(),
                    operator: operator.clone(),
                });
                let few = many.iter().cloned().flatten();
                let mut expected = FixedBitSet::with_capacity(universe.classes.len());
                expected.extend(few.filter(|&n| selector.matches(&universe.classes[n].labels)));
                assert_eq!(index.selected(&many, &selector), expected, "{selector:?}");
                for stretch in &many {
                    let few = stretch.start..stretch.start + 20;
                    let mut part = expected.clone();
                    part.remove_range(..few.start);
                    part.remove_range(few.end..);
                    assert_eq!(index.selected(&[few], &selector), part, "{selector:?}");
                }
            }
        }
    }
}
