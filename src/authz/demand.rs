//! Who may use what: the limits that rules have to keep.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use fixedbitset::FixedBitSet;

use super::party::Party;
use crate::netpol::PortSet;

/// What the tunnel to one workload may carry.
#[derive(Debug, Clone)]
pub struct Demand<'p> {
    /// Everybody there is, sorted.
    pub parties: &'p [Party],
    /// The clients that reach the tunnel port, as indices of [`Self::parties`], by the TCP ports that
    /// they may use. Disjoint, and each set of ports is there once.
    pub clients: Vec<(PortSet, FixedBitSet)>,
    /// TCP ports for clients not listed; `None` when no other reaches the tunnel port.
    pub others: Option<PortSet>,
    /// Clients without a known name that may have any name of their namespace. All others without one
    /// have names that nobody else has.
    pub any_name: FixedBitSet,
    /// Ports that the workload declares: what is enforced when a list would be too long.
    pub declared: PortSet,
    /// Ports that can be meant at all.
    pub universe: PortSet,
}

/// What tells demands over the same parties apart.
type Key<'d> = (
    &'d [(PortSet, FixedBitSet)],
    &'d Option<PortSet>,
    &'d FixedBitSet,
    &'d PortSet,
    &'d PortSet,
);

impl Demand<'_> {
    fn key(&self) -> Key<'_> {
        let Self {
            parties: _,
            clients,
            others,
            any_name,
            declared,
            universe,
        } = self;
        (clients, others, any_name, declared, universe)
    }
}

/// Demands are compared over the same parties.
impl PartialEq for Demand<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Demand<'_> {}

impl PartialOrd for Demand<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Demand<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Demand<'_> {
    /// What each client may use of what either allows: the limits of two workloads that no selector
    /// tells apart.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let mut clients = BTreeMap::new();
        let mut add = |ports: PortSet, parties: FixedBitSet| add(&mut clients, ports, parties);
        let or_others = |ports: &PortSet, others: &Option<PortSet>| match others {
            Some(others) => ports.union(others),
            None => ports.clone(),
        };
        for (ports, parties) in &self.clients {
            for (other_ports, other_parties) in &other.clients {
                let mut both = parties.clone();
                both.intersect_with(other_parties);
                add(ports.union(other_ports), both);
            }
        }
        for (one, another) in [(self, other), (other, self)] {
            let elsewhere = another.all();
            for (ports, parties) in &one.clients {
                let mut alone = parties.clone();
                alone.difference_with(&elsewhere);
                add(or_others(ports, &another.others), alone);
            }
        }
        let others = match (&self.others, &other.others) {
            (Some(a), Some(b)) => Some(a.union(b)),
            (one, another) => one.clone().or(another.clone()),
        };
        let mut any_name = self.any_name.clone();
        any_name.union_with(&other.any_name);
        Self {
            parties: self.parties,
            clients: clients.into_iter().collect(),
            others,
            any_name,
            declared: self.declared.union(&other.declared),
            universe: self.universe.union(&other.universe),
        }
    }

    /// All clients that are listed.
    pub(super) fn all(&self) -> FixedBitSet {
        self.of(&(0..self.clients.len()).collect())
    }

    /// The clients of some entries of [`Self::clients`].
    pub(super) fn of(&self, entries: &BTreeSet<usize>) -> FixedBitSet {
        let mut parties = FixedBitSet::with_capacity(self.parties.len());
        for (_, listed) in entries.iter().filter_map(|&e| self.clients.get(e)) {
            parties.union_with(listed);
        }
        parties
    }

    /// The clients of the other entries.
    pub(super) fn without(&self, entries: &BTreeSet<usize>) -> FixedBitSet {
        let rest = (0..self.clients.len()).filter(|e| !entries.contains(e));
        self.of(&rest.collect())
    }
}

/// Clients by the ports that they may use, given in groups of which some share clients: who is in
/// several may use what any of them may.
pub fn disjoint(groups: &[(PortSet, FixedBitSet)]) -> Vec<(PortSet, FixedBitSet)> {
    let mut clients: Vec<(PortSet, FixedBitSet)> = Vec::new();
    for (ports, members) in groups {
        let mut rest = members.clone();
        for place in 0..clients.len() {
            let (known, parties) = &mut clients[place];
            if parties.is_disjoint(&rest) {
                continue;
            }
            let mut both = parties.clone();
            both.intersect_with(&rest);
            parties.difference_with(&both);
            rest.difference_with(&both);
            let ports = known.union(ports);
            if parties.is_clear() {
                (*known, *parties) = (ports, both);
            } else {
                clients.push((ports, both));
            }
        }
        if !rest.is_clear() {
            clients.push((ports.clone(), rest));
        }
    }
    let mut by_ports: BTreeMap<PortSet, FixedBitSet> = BTreeMap::new();
    for (ports, parties) in clients {
        add(&mut by_ports, ports, parties);
    }
    by_ports.into_iter().collect()
}

fn add(clients: &mut BTreeMap<PortSet, FixedBitSet>, ports: PortSet, parties: FixedBitSet) {
    if parties.is_clear() {
        return;
    }
    match clients.get_mut(&ports) {
        Some(known) => known.union_with(&parties),
        None => {
            clients.insert(ports, parties);
        }
    }
}
