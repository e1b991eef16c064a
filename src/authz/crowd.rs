//! Everybody who may open a connection, so that a list of names is evaluated once for all of them.

#[expect(clippy::disallowed_types, reason = "is only looked up in")]
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use fixedbitset::FixedBitSet;

use super::matching::{Enforcer, TrustDomain, namespace, principal};
use super::party::{Identity, Party};
use super::places::{Blocks, Places};

/// A name that no namespace can have.
const STRANGER: Identity<'static> = Identity::Workload {
    namespace: "other namespaces",
    service_account: "any",
};

/// A name that no service account can have.
const NEWCOMER: &str = "any other";

/// Parties, by index, and behind them three that have no name: [`Self::anyone`] of whom nothing is
/// known, [`Self::anonymous`] plaintext, and [`Self::stranger`] whom no rule means. Behind these, for
/// each namespace of the parties, is [`Self::newcomer`], whom rules mean by the namespace alone; then
/// plaintext of which more is known: [`Self::plain_pod`], and one for each range of addresses,
/// [`Self::plain_address`].
#[derive(Debug)]
pub struct Crowd<'p> {
    parties: &'p [Party],
    namespaces: BTreeMap<&'p str, Range<usize>>,
    /// The same namespaces, in their order.
    names: Vec<&'p str>,
    /// Those that can be named, as rules of ours name them: long lists are made of that.
    #[expect(clippy::disallowed_types, reason = "is only looked up in")]
    principals: HashMap<&'p str, usize>,
    /// By party: the first of its namespace.
    first_of_namespace: Vec<usize>,
    trust_domain: TrustDomain,
    places: Places,
}

impl<'p> Crowd<'p> {
    /// Parties have to be sorted, without duplicates.
    pub fn new(parties: &'p [Party]) -> Self {
        let mut namespaces: BTreeMap<&str, Range<usize>> = BTreeMap::new();
        let mut firsts = Vec::with_capacity(parties.len());
        for (index, party) in parties.iter().enumerate() {
            let range = namespaces.entry(party.namespace());
            let range = range.or_insert(index..index);
            range.end = index + 1;
            firsts.push(range.start);
        }
        let principal = |(index, party): (usize, &'p Party)| Some((&**party.principal()?, index));
        let principals = parties.iter().enumerate().filter_map(principal);
        Self {
            parties,
            names: namespaces.keys().copied().collect(),
            namespaces,
            principals: principals.collect(),
            first_of_namespace: firsts,
            trust_domain: TrustDomain::default(),
            places: Places::default(),
        }
    }

    /// The same crowd, in this trust domain.
    #[must_use]
    pub fn of_domain(self, trust_domain: TrustDomain) -> Self {
        Self {
            trust_domain,
            ..self
        }
    }

    /// The same crowd, of whose addresses this is known.
    #[must_use]
    pub fn at(self, places: Places) -> Self {
        Self { places, ..self }
    }

    /// Index of a workload of which nothing is known.
    pub fn anyone(&self) -> usize {
        self.parties.len()
    }

    /// Index of plaintext, whoever sends it.
    pub fn anonymous(&self) -> usize {
        self.parties.len() + 1
    }

    /// Index of a workload of the mesh that is none of the parties, and that no rule names.
    pub fn stranger(&self) -> usize {
        self.parties.len() + 2
    }

    /// Index of a workload of a namespace that is none of the parties, and whose service account no
    /// rule names. Where no party is of the namespace, that is [`Self::stranger`].
    pub fn newcomer(&self, namespace: &str) -> usize {
        let place = self.names.binary_search(&namespace);
        place.map_or(self.stranger(), |place| self.first_newcomer() + place)
    }

    /// Index of plaintext of a pod that is not on the network of its node.
    pub fn plain_pod(&self) -> usize {
        self.first_newcomer() + self.names.len()
    }

    /// Index of plaintext of a range of addresses, by its place among those that are known; that of
    /// [`Self::anonymous`] for any other.
    pub fn plain_address(&self, place: usize) -> usize {
        if place < self.places.ranges.len() {
            self.first_address() + place
        } else {
            self.anonymous()
        }
    }

    fn first_address(&self) -> usize {
        self.plain_pod() + 1
    }

    /// Whether one of the crowd sends through the tunnel, and its name is known.
    pub fn has_name(&self, member: usize) -> bool {
        member != self.anyone() && member != self.anonymous() && member < self.plain_pod()
    }

    fn first_newcomer(&self) -> usize {
        self.parties.len() + 3
    }

    /// How many there are.
    pub(super) fn size(&self) -> usize {
        self.first_address() + self.places.ranges.len()
    }

    /// The parties of each namespace.
    pub(super) fn of_each_namespace(&self) -> impl Iterator<Item = Range<usize>> {
        self.namespaces.values().cloned()
    }

    fn identity(&self, index: usize) -> Identity<'p> {
        match self.parties.get(index) {
            Some(party) => party.identity(),
            None if index == self.anyone() => Identity::Anyone,
            None if index == self.stranger() => STRANGER,
            None => {
                let place = index.checked_sub(self.first_newcomer());
                let name = place.and_then(|place| self.names.get(place));
                name.map_or(Identity::Anonymous, |namespace| Identity::Workload {
                    namespace,
                    service_account: NEWCOMER,
                })
            }
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
    pub(super) fn principals(&self, list: &[impl AsRef<str>], enforcer: Enforcer) -> Matched {
        let mut matched = self.constant(false);
        for pattern in list.iter().map(AsRef::as_ref) {
            if pattern == "*" {
                matched.or(&self.constant(true));
                let more = self.plain_pod()..self.size();
                for plain in [self.anonymous()].into_iter().chain(more) {
                    matched.low.set(plain, false);
                    matched.high.set(plain, false);
                }
                continue;
            }
            if let Some(&index) = self.principals.get(pattern) {
                self.one(index, &mut matched);
            } else {
                let domain = &self.trust_domain;
                self.each(&mut matched, |identity| {
                    principal(pattern, identity, domain, enforcer)
                });
            }
        }
        matched
    }

    /// Who is in one of some namespaces.
    pub(super) fn namespaces(&self, list: &[impl AsRef<str>]) -> Matched {
        let mut matched = self.constant(false);
        for pattern in list.iter().map(AsRef::as_ref) {
            if pattern.contains('*') {
                self.each(&mut matched, |identity| namespace(pattern, identity));
                continue;
            }
            if let Some(range) = self.namespaces.get(pattern) {
                matched.low.insert_range(range.clone());
                matched.high.insert_range(range.clone());
                matched.high.insert(self.anyone());
                let newcomer = self.newcomer(pattern);
                matched.low.insert(newcomer);
                matched.high.insert(newcomer);
            } else {
                self.anybody(&mut matched);
            }
        }
        matched
    }

    /// Who runs under one of some service accounts; those without a namespace are of `own`.
    pub(super) fn service_accounts(&self, list: &[impl AsRef<str>], own: &str) -> Matched {
        let mut matched = self.constant(false);
        for entry in list.iter().map(AsRef::as_ref) {
            let (namespace, name) = entry.split_once('/').unwrap_or((own, entry));
            self.account(namespace, name, &mut matched);
        }
        matched
    }

    /// Who has an address in one of some blocks. Of pods it is known where all of them have theirs.
    pub(super) fn addresses(&self, list: &[impl AsRef<str>]) -> Matched {
        let mut matched = self.unknown();
        let Some(blocks) = Blocks::parsed(list) else {
            return matched;
        };
        let mut tell = |member: usize, answer: bool| {
            matched.low.set(member, answer);
            matched.high.set(member, answer);
        };
        if let Some(answer) = self.places.of_pods(&blocks) {
            let others = [self.anyone(), self.stranger()].into_iter();
            let others = others.chain(self.first_newcomer()..self.first_address());
            let parties = 0..self.parties.len();
            let parties = parties.filter(|&p| !self.places.on_nodes.contains(p));
            for pod in parties.chain(others) {
                tell(pod, answer);
            }
        }
        for (place, range) in self.places.ranges.iter().enumerate() {
            if let Some(answer) = blocks.hold(*range) {
                tell(self.plain_address(place), answer);
            }
        }
        matched
    }

    fn account(&self, namespace: &str, name: &str, matched: &mut Matched) {
        let Some(range) = self.namespaces.get(namespace) else {
            self.anybody(matched);
            return;
        };
        let here = self.parties.get(range.clone()).unwrap_or_default();
        match here.binary_search_by(|p| p.service_account().cmp(&Some(name))) {
            Ok(place) => self.one(range.start + place, matched),
            Err(_) => self.perhaps(range.start, matched),
        }
    }

    /// A party matches, and so may those of whom too little is known.
    fn one(&self, index: usize, matched: &mut Matched) {
        matched.low.insert(index);
        matched.high.insert(index);
        if let Some(&first) = self.first_of_namespace.get(index) {
            self.perhaps(first, matched);
        }
    }

    /// Someone of a namespace without a known name, who sorts first there, may match.
    fn perhaps(&self, first: usize, matched: &mut Matched) {
        matched.high.insert(self.anyone());
        let first = self.parties.get(first).map(|p| (first, p));
        if let Some((first, party)) = first
            && party.service_account().is_none()
        {
            matched.high.insert(first);
        }
    }

    /// Those of whom nothing is known may match. A nameless party is of none of the namespaces that
    /// others are of.
    fn anybody(&self, matched: &mut Matched) {
        matched.high.insert(self.anyone());
        if self.parties.first().is_some_and(Party::is_nameless) {
            matched.high.insert(0);
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
    pub(super) fn by_lists<T>(
        &mut self,
        (values, not_values): (&Vec<T>, &Vec<T>),
        who: impl Fn(&[T]) -> Self,
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
