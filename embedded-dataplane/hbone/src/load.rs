//! How many streams a connection carries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The streams of a connection.
#[derive(Debug, Default)]
pub(crate) struct Load {
    streams: AtomicUsize,
    /// Somebody waits for a place.
    is_wanted: AtomicBool,
    freed: Notify,
    /// Octets that came and were passed on.
    used: AtomicU64,
}

impl Load {
    /// How many there are.
    pub(crate) fn now(&self) -> usize {
        self.streams.load(Ordering::SeqCst)
    }

    /// One more, as long as there are less than so many.
    pub(crate) fn take(self: &Arc<Self>, most: usize) -> Option<Place> {
        let more = |now: usize| (now < most).then_some(now + 1);
        let taken = (self.streams).fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        taken.ok().map(|_| Place(Arc::clone(self)))
    }

    /// How many octets came on all its streams and were passed on.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether [`Self::freed`] is to tell of places. A place that became free before shows in
    /// [`Self::now`] after this.
    pub(crate) fn want(&self, is_wanted: bool) {
        // INVARIANT: this store and the look at the count, and in `Place::drop` the count and the
        // look at this, are in one order for everybody, so that one of both sees the other.
        self.is_wanted.store(is_wanted, Ordering::SeqCst);
    }

    /// Waits until a place became free while one was wanted.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }
}

/// A stream's place on its connection, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Load>);

impl Place {
    /// So many octets more that came on the stream were passed on.
    pub(crate) fn use_up(&self, octets: usize) {
        self.0.used.fetch_add(octets as u64, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::SeqCst);
        if self.0.is_wanted.load(Ordering::SeqCst) {
            self.0.freed.notify_one();
        }
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
        let place = load.take(1).unwrap();
        place.use_up(5);
        place.use_up(6);
        assert_eq!(load.used(), 11);
    }

    #[tokio::test]
    async fn only_a_place_that_is_wanted_is_told_of() {
        let load = Arc::new(Load::default());
        let told = || tokio::time::timeout(std::time::Duration::ZERO, load.freed());
        drop(load.take(1));
        assert!(told().await.is_err());
        let place = load.take(1);
        load.want(true);
        drop(place);
        assert!(told().await.is_ok());
        load.want(false);
        drop(load.take(1));
        assert!(told().await.is_err());
    }
}
