//! Port sets by number, with remembered operations.

use std::collections::BTreeMap;

use super::ports::PortSet;

/// Number of a [`PortSet`] in [`PortSets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortSetId(u32);

/// Every port set that occurs, once. A cluster has few, and pairs of pods in the millions.
#[derive(Debug)]
pub struct PortSets {
    sets: Vec<PortSet>,
    numbers: BTreeMap<PortSet, PortSetId>,
    unions: BTreeMap<(PortSetId, PortSetId), PortSetId>,
    intersections: BTreeMap<(PortSetId, PortSetId), PortSetId>,
    differences: BTreeMap<(PortSetId, PortSetId), PortSetId>,
}

impl Default for PortSets {
    fn default() -> Self {
        let mut sets = Self {
            sets: Vec::new(),
            numbers: BTreeMap::new(),
            unions: BTreeMap::new(),
            intersections: BTreeMap::new(),
            differences: BTreeMap::new(),
        };
        sets.intern(PortSet::none());
        sets.intern(PortSet::all());
        sets
    }
}

impl PortSets {
    /// Nothing.
    pub const NONE: PortSetId = PortSetId(0);
    /// Everything.
    pub const ALL: PortSetId = PortSetId(1);

    /// The number of a set.
    pub fn intern(&mut self, set: PortSet) -> PortSetId {
        if let Some(&id) = self.numbers.get(&set) {
            return id;
        }
        let id = PortSetId(u32::try_from(self.sets.len()).unwrap_or(u32::MAX));
        self.sets.push(set.clone());
        self.numbers.insert(set, id);
        id
    }

    /// The set with a number of this table.
    pub fn get(&self, id: PortSetId) -> &PortSet {
        &self.sets[id.0 as usize]
    }

    /// What is in either.
    pub fn union(&mut self, a: PortSetId, b: PortSetId) -> PortSetId {
        match (a, b) {
            _ if a == b => a,
            (Self::NONE, other) | (other, Self::NONE) => other,
            (Self::ALL, _) | (_, Self::ALL) => Self::ALL,
            _ => {
                let pair = (a.min(b), a.max(b));
                if let Some(&id) = self.unions.get(&pair) {
                    return id;
                }
                let id = self.intern(self.get(a).union(self.get(b)));
                self.unions.insert(pair, id);
                id
            }
        }
    }

    /// What is in both.
    pub fn intersection(&mut self, a: PortSetId, b: PortSetId) -> PortSetId {
        match (a, b) {
            _ if a == b => a,
            (Self::ALL, other) | (other, Self::ALL) => other,
            (Self::NONE, _) | (_, Self::NONE) => Self::NONE,
            _ => {
                let pair = (a.min(b), a.max(b));
                if let Some(&id) = self.intersections.get(&pair) {
                    return id;
                }
                let id = self.intern(self.get(a).intersection(self.get(b)));
                self.intersections.insert(pair, id);
                id
            }
        }
    }

    /// What is in the first and not in the second.
    pub fn difference(&mut self, a: PortSetId, b: PortSetId) -> PortSetId {
        match (a, b) {
            _ if a == b => Self::NONE,
            (Self::NONE, _) | (_, Self::ALL) => Self::NONE,
            (_, Self::NONE) => a,
            _ => {
                if let Some(&id) = self.differences.get(&(a, b)) {
                    return id;
                }
                let id = self.intern(self.get(a).difference(self.get(b)));
                self.differences.insert((a, b), id);
                id
            }
        }
    }
}
