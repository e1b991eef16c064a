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
    /// For each destination, the rows and their cells that hold it; indices into `rows` and the
    /// row's cells. Without those of `wide`.
    cells: Vec<Vec<(u32, u32)>>,
    /// Rows with so many nodes in cells that a list of them would be too long.
    wide: Vec<usize>,
}

/// Rows with more than one in this many nodes in cells are wide.
const WIDE: usize = 16;

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
            cells: vec![Vec::new(); of.len()],
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
        let (Ok(short), false) = (u32::try_from(place), held > nodes / WIDE) else {
            self.wide.push(place);
            return;
        };
        for (cell, (_, nodes)) in (0_u32..).zip(cells) {
            nodes.each(|node| {
                // Address ranges are nobody's destination here.
                if let Some(cells) = self.cells.get_mut(node) {
                    cells.push((short, cell));
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
        for &(place, cell) in self.cells.get(class).into_iter().flatten() {
            let row = self.rows.get(place as usize);
            let row = row.and_then(|(id, _)| rows.get(*id));
            if let Some((value, _)) = row.and_then(|row| row.cells.get(cell as usize)) {
                single_out(place as usize, *value);
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
