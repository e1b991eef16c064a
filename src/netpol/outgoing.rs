//! What nodes may send by their own policies, seen from the destination.

use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;

use super::class::Node;
use super::nodes::Nodes;
use super::row::{Row, Value};

/// Rows of egress, turned around.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Nodes by what they may send to destinations in no cell of their rows.
    usual: BTreeMap<Value, FixedBitSet>,
    /// Rows with cells, and the classes that they are of.
    rows: Vec<(usize, Vec<Node>)>,
    /// Small cells: their row, as an index into `rows`, and their value.
    small: Vec<(usize, Value)>,
    /// For each class as a destination, those of `small` that it is in.
    in_small: Vec<Vec<u32>>,
    /// Other cells, written alike.
    large: Vec<(usize, Value)>,
    /// For each class as a destination, those of `large` that it is in.
    in_large: Vec<FixedBitSet>,
}

/// Cells are large where more than one in this many nodes is in cells of their row: lists would be
/// longer than bits.
const LARGE: usize = u32::BITS as usize;

impl Outgoing {
    /// `of` has the row of each class; the nodes behind the classes may send everything.
    pub(super) fn of(of: &[usize], rows: &[Row], nodes: usize) -> Self {
        let mut usual: BTreeMap<Value, FixedBitSet> = BTreeMap::new();
        let mut classes: BTreeMap<usize, Vec<Node>> = BTreeMap::new();
        for node in 0..nodes {
            let row = of.get(node).and_then(|&id| rows.get(id).zip(Some(id)));
            let rest = row.map_or(Value::ALL, |(row, _)| row.rest);
            let alike = usual.entry(rest);
            alike
                .or_insert_with(|| FixedBitSet::with_capacity(nodes))
                .insert(node);
            if let Some((row, id)) = row
                && !row.cells.is_empty()
            {
                classes.entry(id).or_default().push(node);
            }
        }
        let mut outgoing = Self {
            usual,
            rows: Vec::with_capacity(classes.len()),
            small: Vec::new(),
            in_small: vec![Vec::new(); of.len()],
            large: Vec::new(),
            in_large: Vec::new(),
        };
        let mut large: Vec<&Nodes> = Vec::new();
        for (place, (id, classes)) in classes.into_iter().enumerate() {
            outgoing.rows.push((id, classes));
            let cells = rows.get(id).map_or(&[][..], |row| &row.cells);
            let listed = cells.iter().filter(|(_, nodes)| !nodes.is_many());
            let listed: usize = listed.map(|(_, nodes)| nodes.count()).sum();
            for (value, members) in cells {
                if listed > nodes / LARGE || !outgoing.list(place, *value, members) {
                    outgoing.large.push((place, *value));
                    large.push(members);
                }
            }
        }
        outgoing.in_large = vec![FixedBitSet::with_capacity(large.len()); of.len()];
        for (cell, nodes) in large.into_iter().enumerate() {
            // Address ranges are nobody's destination here.
            nodes.each(|node| {
                if let Some(cells) = outgoing.in_large.get_mut(node) {
                    cells.insert(cell);
                }
            });
        }
        outgoing
    }

    /// Keeps a cell in lists, when it is small.
    fn list(&mut self, place: usize, value: Value, nodes: &Nodes) -> bool {
        let (Ok(cell), false) = (u32::try_from(self.small.len()), nodes.is_many()) else {
            return false;
        };
        self.small.push((place, value));
        nodes.each(|node| {
            if let Some(cells) = self.in_small.get_mut(node) {
                cells.push(cell);
            }
        });
        true
    }

    /// The nodes that may send something to a class by their own policies, by what.
    pub(super) fn to(&self, class: Node, rows: &[Row]) -> BTreeMap<Value, FixedBitSet> {
        let mut groups = self.usual.clone();
        let mut single_out = |place: usize, value: Value| {
            let Some((id, sources)) = self.rows.get(place) else {
                return;
            };
            if let Some(usual) = rows.get(*id).and_then(|row| groups.get_mut(&row.rest)) {
                for &source in sources {
                    usual.set(source, false);
                }
            }
            let nodes = self.usual.values().next().map_or(0, FixedBitSet::len);
            let alike = groups.entry(value);
            alike
                .or_insert_with(|| FixedBitSet::with_capacity(nodes))
                .extend(sources.iter().copied());
        };
        let small = self.in_small.get(class).into_iter().flatten();
        let small = small.filter_map(|&cell| self.small.get(cell as usize));
        let large = self
            .in_large
            .get(class)
            .into_iter()
            .flat_map(FixedBitSet::ones);
        let large = large.filter_map(|cell| self.large.get(cell));
        for &(place, value) in small.chain(large) {
            single_out(place, value);
        }
        groups.remove(&Value::NONE);
        groups
    }
}
