//! Values that many hold, each kept once and told apart by a number.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many values are kept before those that nobody holds are looked for.
const FEW: usize = 64;

/// A value with its number, which no other value of the same interner ever has.
#[derive(Debug)]
pub(super) struct Interned<T> {
    pub(super) number: u64,
    pub(super) value: T,
}

/// Keeps values as long as somebody holds them, and at most as many again.
#[derive(Debug)]
pub(super) struct Interner<T> {
    values: BTreeSet<ByValue<T>>,
    next: u64,
    /// As many as this are worth looking through.
    many: usize,
}

#[derive(Debug)]
struct ByValue<T>(Arc<Interned<T>>);

impl<T: Ord + Clone> Interner<T> {
    /// The one that is equal to this.
    pub(super) fn intern(&mut self, value: &T) -> Arc<Interned<T>> {
        if let Some(known) = self.values.get(value) {
            return Arc::clone(&known.0);
        }
        if self.values.len() >= self.many.max(FEW) {
            self.values.retain(|value| Arc::strong_count(&value.0) > 1);
            self.many = self.values.len() * 2;
        }
        self.next += 1;
        let interned = Arc::new(Interned {
            number: self.next,
            value: value.clone(),
        });
        self.values.insert(ByValue(Arc::clone(&interned)));
        interned
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self {
            values: BTreeSet::new(),
            next: 0,
            many: 0,
        }
    }
}

impl<T> Borrow<T> for ByValue<T> {
    fn borrow(&self) -> &T {
        &self.0.value
    }
}

impl<T: Ord> Ord for ByValue<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.value.cmp(&other.0.value)
    }
}

impl<T: Ord> PartialOrd for ByValue<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> Eq for ByValue<T> {}

impl<T: Ord> PartialEq for ByValue<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_as_long_as_somebody_holds_it() {
        let mut interner = Interner::default();
        let first = interner.intern(&"a".to_owned());
        let same = interner.intern(&"a".to_owned());
        let other = interner.intern(&"b".to_owned());
        assert!(Arc::ptr_eq(&first, &same));
        assert_eq!((first.number, other.number), (1, 2));
        drop((first, same));
        for value in 0..10_000 {
            interner.intern(&value.to_string());
            assert!(interner.len() <= FEW + 1);
        }
        assert_eq!(interner.intern(&"b".to_owned()).number, 2);
        assert!(interner.intern(&"a".to_owned()).number > 10_000);
    }
}
