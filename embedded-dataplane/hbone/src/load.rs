//! How many streams a connection carries.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The streams of a connection.
#[derive(Debug, Default)]
pub(crate) struct Load(AtomicUsize);

impl Load {
    /// How many there are.
    pub(crate) fn now(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// One more, as long as there are less than so many.
    pub(crate) fn take(self: &Arc<Self>, most: usize) -> Option<Place> {
        let more = |now: usize| (now < most).then_some(now + 1);
        let taken = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.ok().map(|_| Place(Arc::clone(self)))
    }
}

/// A stream's place on its connection, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Load>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_and_taken_back() {
        let load = Arc::new(Load::default());
        let places = [load.take(2), load.take(2)];
        assert!(places.iter().all(Option::is_some));
        assert!(load.take(2).is_none());
        drop(places);
        assert_eq!(load.now(), 0);
        assert!(load.take(1).is_some());
    }
}
