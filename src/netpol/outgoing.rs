//! What nodes may send by their own policies, seen from the destination.

use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;

use super::class::Node;
use super::row::{Row, Value};

/// Rows of egress, turned around.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Nodes by what they may send to destinations in no cell of their rows.
    usual: BTreeMap<Value, FixedBitSet>,
    /// Rows with cells, and the classes that they are of.
    rows: Vec<(usize, Vec<Node>)>,
    /// Cells with few nodes: their row, as an index into `rows`, and their value.
    cells: Vec<(usize, Value)>,
    /// For each class as a destination, those of `cells` that it is in.
    holding: Vec<Vec<u32>>,
    /// Rows with large cells, or many: lists of their nodes would be too long.
    wide: Vec<usize>,
}

/// Rows with more than one in this many nodes in cells are wide.
const WIDE: usize = 4;

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
            cells: Vec::new(),
            holding: vec![Vec::new(); of.len()],
            wide: Vec::new(),
        };
        for (id, classes) in classes {
            outgoing.add(id, classes, rows, nodes);
        }
        outgoing
    }

    fn add(&mut self, id: usize, classes: Vec<Node>, rows: &[Row], nodes: usize) {
        let place = self.rows.len();
        self.rows.push((id, classes));
        let cells = rows.get(id).map_or(&[][..], |row| &row.cells);
        let held: usize = cells.iter().map(|(_, nodes)| nodes.count()).sum();
        let large = cells.iter().any(|(_, nodes)| nodes.is_many());
        let numbers = [0, cells.len()].map(|more| u32::try_from(self.cells.len() + more));
        let ([Ok(first), Ok(last)], false) = (numbers, large || held > nodes / WIDE) else {
            self.wide.push(place);
            return;
        };
        for (cell, (value, nodes)) in (first..last).zip(cells) {
            self.cells.push((place, *value));
            nodes.each(|node| {
                // Address ranges are nobody's destination here.
                if let Some(holding) = self.holding.get_mut(node) {
                    holding.push(cell);
                }
            });
        }
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
        for &cell in self.holding.get(class).into_iter().flatten() {
            if let Some(&(place, value)) = self.cells.get(cell as usize) {
                single_out(place, value);
            }
        }
        for &place in &self.wide {
            let row = self.rows.get(place).and_then(|(id, _)| rows.get(*id));
            let cell = row.and_then(|row| row.cells.iter().find(|(_, n)| n.contains(class)));
            if let Some((value, _)) = cell {
                single_out(place, *value);
            }
        }
        groups.remove(&Value::NONE);
        groups
    }
}
