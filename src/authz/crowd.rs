//! Everybody who may open a connection, so that a list of names is evaluated once for all of them.

use std::collections::BTreeMap;
use std::ops::Range;

use fixedbitset::FixedBitSet;

use super::demand::Party;
use super::matching::{namespace, principal};

/// Who opens a connection, as the destination's proxy sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity<'c> {
    /// Plaintext: nobody.
    Anonymous,
    /// A workload of the mesh.
    Workload {
        /// Namespace.
        namespace: &'c str,
        /// Service account.
        service_account: &'c str,
    },
    /// A workload of the mesh whose service account is not known.
    SomeoneIn {
        /// Namespace.
        namespace: &'c str,
    },
    /// A workload of the mesh of which nothing is known.
    Anyone,
}

/// Parties, by index, and behind them two that have no name: [`Self::anyone`] of whom nothing is
/// known, and [`Self::anonymous`] plaintext.
#[derive(Debug)]
pub struct Crowd<'p> {
    parties: &'p [Party],
    namespaces: BTreeMap<&'p str, Range<usize>>,
}

impl<'p> Crowd<'p> {
    /// Parties have to be sorted, without duplicates.
    pub fn new(parties: &'p [Party]) -> Self {
        let mut namespaces: BTreeMap<&str, Range<usize>> = BTreeMap::new();
        for (index, party) in parties.iter().enumerate() {
            namespaces
                .entry(&party.namespace)
                .or_insert(index..index)
                .end = index + 1;
        }
        Self {
            parties,
            namespaces,
        }
    }

    /// Index of a workload of which nothing is known.
    pub fn anyone(&self) -> usize {
        self.parties.len()
    }

    /// Index of plaintext.
    pub fn anonymous(&self) -> usize {
        self.parties.len() + 1
    }

    /// How many there are.
    pub(super) fn size(&self) -> usize {
        self.parties.len() + 2
    }

    fn identity(&self, index: usize) -> Identity<'p> {
        match self.parties.get(index) {
            Some(party) => party.identity(),
            None if index == self.anyone() => Identity::Anyone,
            None => Identity::Anonymous,
        }
    }

    fn nobody(&self) -> FixedBitSet {
        FixedBitSet::with_capacity(self.size())
    }

    pub(super) fn everybody(&self) -> FixedBitSet {
        let mut everybody = self.nobody();
        everybody.insert_range(..);
        everybody
    }

    /// Nobody is known to match, everybody may.
    pub(super) fn unknown(&self) -> Matched {
        Matched {
            low: self.nobody(),
            high: self.everybody(),
        }
    }

    /// Whether all match, or none.
    pub(super) fn constant(&self, matches: bool) -> Matched {
        let set = if matches {
            self.everybody()
        } else {
            self.nobody()
        };
        Matched {
            low: set.clone(),
            high: set,
        }
    }

    /// Who is on a list of principals.
    pub(super) fn principals(&self, list: &[String]) -> Matched {
        let mut matched = self.constant(false);
        for pattern in list {
            if pattern == "*" {
                matched.or(&self.constant(true));
                matched.low.set(self.anonymous(), false);
                matched.high.set(self.anonymous(), false);
                continue;
            }
            // Those of one service account in any trust domain are what long lists are made of.
            let account = pattern
                .strip_prefix("*/ns/")
                .and_then(|rest| rest.split_once("/sa/"));
            match account {
                Some((namespace, name)) if !name.contains(['/', '*']) => {
                    self.account(namespace, name, &mut matched);
                }
                _ => self.each(&mut matched, |identity| principal(pattern, identity)),
            }
        }
        matched
    }

    /// Who is in one of some namespaces.
    pub(super) fn namespaces(&self, list: &[String]) -> Matched {
        let mut matched = self.constant(false);
        for pattern in list {
            if pattern.contains('*') {
                self.each(&mut matched, |identity| namespace(pattern, identity));
                continue;
            }
            if let Some(range) = self.namespaces.get(pattern.as_str()) {
                matched.low.insert_range(range.clone());
                matched.high.insert_range(range.clone());
            }
            matched.high.insert(self.anyone());
        }
        matched
    }

    /// Who runs under one of some service accounts; those without a namespace are of `own`.
    pub(super) fn service_accounts(&self, list: &[String], own: &str) -> Matched {
        let mut matched = self.constant(false);
        for entry in list {
            let (namespace, name) = entry.split_once('/').unwrap_or((own, entry));
            self.account(namespace, name, &mut matched);
        }
        matched
    }

    fn account(&self, namespace: &str, name: &str, matched: &mut Matched) {
        matched.high.insert(self.anyone());
        let Some(range) = self.namespaces.get(namespace) else {
            return;
        };
        let here = self.parties.get(range.clone()).unwrap_or_default();
        // Someone of the namespace without a known name may be it; such a party sorts first.
        if here.first().is_some_and(|p| p.service_account.is_none()) {
            matched.high.insert(range.start);
        }
        let found = here.binary_search_by(|p| p.service_account.as_deref().cmp(&Some(name)));
        if let Ok(place) = found {
            matched.low.insert(range.start + place);
            matched.high.insert(range.start + place);
        }
    }

    fn each(&self, matched: &mut Matched, answer: impl Fn(Identity<'p>) -> Option<bool>) {
        for index in 0..self.size() {
            let answer = answer(self.identity(index));
            if answer == Some(true) {
                matched.low.insert(index);
            }
            if answer != Some(false) {
                matched.high.insert(index);
            }
        }
    }
}

/// Who matches: surely, and at the most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Matched {
    pub(super) low: FixedBitSet,
    pub(super) high: FixedBitSet,
}

impl Matched {
    pub(super) fn and(&mut self, other: &Self) {
        self.low.intersect_with(&other.low);
        self.high.intersect_with(&other.high);
    }

    fn and_not(&mut self, other: &Self) {
        self.low.difference_with(&other.high);
        self.high.difference_with(&other.low);
    }

    /// Who also is on the first list, if there is one, and not on the second.
    pub(super) fn by_lists(
        &mut self,
        (values, not_values): (&Vec<String>, &Vec<String>),
        who: impl Fn(&[String]) -> Self,
    ) {
        if !values.is_empty() {
            self.and(&who(values));
        }
        if !not_values.is_empty() {
            self.and_not(&who(not_values));
        }
    }

    pub(super) fn or(&mut self, other: &Self) {
        self.low.union_with(&other.low);
        self.high.union_with(&other.high);
    }
}
