//! Windows that grow with what a link holds.
//!
//! A window bounds what one round trip can carry: 4 MiB at 100 ms are 335 Mbit/s, whatever the link.
//! A larger one for all would be memory for every peer to fill. So a window grows only when it was
//! used up within a round trip, by octets that were not only received but passed on, and only while
//! that makes more pass; what all connections take beyond their first windows comes from one budget,
//! and goes back when they rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The largest window of a stream.
const MOST: u32 = 32 << 20;
/// The largest window that there may be (RFC 9113, section 6.9.1).
const LARGEST: u32 = 0x7fff_ffff;
/// The smallest connection window for streams of a size: one that is not read leaves room for others.
const STREAMS: u32 = 2;

/// What windows may take beyond their first size, in octets, for all connections that share it.
#[derive(Debug)]
pub struct Budget {
    left: AtomicU64,
}

impl Budget {
    /// A budget of so many octets.
    pub fn new(octets: u64) -> Self {
        let left = AtomicU64::new(octets);
        Self { left }
    }

    /// Octets that nobody took.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    fn take(&self, octets: u64) -> bool {
        let rest = |left: u64| left.checked_sub(octets);
        let taken = (self.left).fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest);
        taken.is_ok()
    }

    fn give_back(&self, octets: u64) {
        self.left.fetch_add(octets, Ordering::Relaxed);
    }
}

/// The windows of a stream and of a connection, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) stream: u32,
    pub(crate) connection: u32,
}

/// Decides on the windows of one connection.
#[derive(Debug)]
pub(crate) struct Windows {
    sizes: Sizes,
    first: Sizes,
    budget: Option<Arc<Budget>>,
    /// What was used when the round trip that is measured began, and when that was.
    measured: Option<(u64, Instant)>,
    /// It is the second of two: where octets come in bursts, the answer to the first may be just
    /// before the next burst.
    is_second: bool,
    /// Of what was used, where the next measurement begins.
    next: u64,
    /// Octets between measurements.
    pause: u64,
    /// The most octets a second that passed.
    best: f64,
    /// What was used when it was last looked whether the connection rests.
    rested: u64,
}

impl Windows {
    /// Windows that begin with these sizes, and without a budget stay as they are.
    pub(crate) fn new(first: Sizes, budget: Option<Arc<Budget>>) -> Self {
        let pause = u64::from(first.stream) / 4;
        Self {
            sizes: first,
            first,
            budget,
            measured: None,
            is_second: false,
            next: pause,
            pause,
            best: 0.0,
            rested: 0,
        }
    }

    /// Whether to measure a round trip, now that so many octets were used in all.
    pub(crate) fn is_due(&self, used: u64) -> bool {
        self.budget.is_some() && self.measured.is_none() && used >= self.next
    }

    /// A round trip begins.
    pub(crate) fn begin(&mut self, used: u64, now: Instant) {
        self.measured = Some((used, now));
    }

    /// A round trip is over. Tells the new sizes, if they are to change.
    pub(crate) fn end(&mut self, used: u64, now: Instant) -> Option<Sizes> {
        let (before, start) = self.measured.take()?;
        let passed = used.saturating_sub(before);
        let window = self.sizes.stream.min(self.sizes.connection);
        let is_full = passed.saturating_mul(3) >= u64::from(window) * 2;
        if !is_full && !self.is_second {
            self.is_second = true;
            self.next = used;
            return None;
        }
        self.is_second = false;
        let trip = now.duration_since(start).max(Duration::from_micros(1));
        #[expect(clippy::cast_precision_loss, reason = "it is an estimate")]
        let rate = passed as f64 / trip.as_secs_f64();
        // Where a link is full, more under way only waits longer.
        let grown = (is_full && rate > self.best * 1.1)
            .then(|| self.grow())
            .flatten();
        if grown.is_some() {
            self.best = rate;
            self.pause = u64::from(window) / 4;
        } else {
            self.pause = (self.pause * 2).min(u64::from(window) * 16);
        }
        self.next = used.saturating_add(self.pause);
        grown
    }

    fn grow(&mut self) -> Option<Sizes> {
        let Sizes { stream, connection } = self.sizes;
        // A connection that rested has streams as large as they were.
        let has_rested = connection < stream.saturating_mul(STREAMS);
        let stream = if has_rested {
            stream
        } else {
            stream.saturating_mul(2).min(MOST).max(stream)
        };
        let connection = stream.saturating_mul(STREAMS).min(LARGEST).max(connection);
        let sizes = Sizes { stream, connection };
        let more = u64::from(connection - self.sizes.connection);
        if sizes == self.sizes || !self.budget.as_ref()?.take(more) {
            return None;
        }
        self.sizes = sizes;
        Some(sizes)
    }

    /// Some time passed. Tells the new sizes, if the connection rests and has something to give
    /// back. The window of streams stays: that of the connection bounds them all.
    pub(crate) fn rest(&mut self, used: u64) -> Option<Sizes> {
        let is_resting = used.saturating_sub(self.rested) < u64::from(self.first.stream);
        self.rested = used;
        if !is_resting || self.sizes.connection == self.first.connection {
            return None;
        }
        self.give_back();
        self.best = 0.0;
        Some(self.sizes)
    }

    fn give_back(&mut self) {
        let taken = u64::from(self.sizes.connection - self.first.connection);
        self.sizes.connection = self.first.connection;
        if let Some(budget) = &self.budget {
            budget.give_back(taken);
        }
    }
}

impl Drop for Windows {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Sizes = Sizes {
        stream: 100,
        connection: 400,
    };

    fn windows(budget: u64) -> (Windows, Arc<Budget>) {
        let budget = Arc::new(Budget::new(budget));
        (Windows::new(FIRST, Some(Arc::clone(&budget))), budget)
    }

    /// Round trips of 100 ms in which so many octets pass; the sizes after each.
    fn trips(windows: &mut Windows, used: &mut u64, passing: &[u64]) -> Vec<(u32, u32)> {
        let mut now = Instant::now();
        let trip = |passed: &u64| {
            *used = (*used).max(windows.next);
            assert!(windows.is_due(*used));
            windows.begin(*used, now);
            assert!(!windows.is_due(*used));
            *used += passed;
            now += Duration::from_millis(100);
            windows.end(*used, now);
            (windows.sizes.stream, windows.sizes.connection)
        };
        passing.iter().map(trip).collect()
    }

    #[test]
    fn a_window_that_is_used_up_in_a_round_trip_grows() {
        let (mut windows, budget) = windows(10_000);
        let sizes = trips(&mut windows, &mut 0, &[60, 70, 150, 200, 300]);
        // Of 60 octets in 100, and of 200 in 400, the window was not the bound.
        let expected = [(100, 400), (200, 400), (400, 800), (400, 800), (800, 1600)];
        assert_eq!(sizes, expected);
        assert_eq!(budget.left(), 10_000 - 1200);
        drop(windows);
        assert_eq!(budget.left(), 10_000);
    }

    #[test]
    fn a_window_that_makes_no_more_pass_does_not_grow() {
        let (mut windows, _budget) = windows(1000);
        let mut now = Instant::now();
        let mut used = 0;
        let mut sizes = Vec::new();
        // A full link: twice as much under way takes twice as long.
        for _ in 0..5 {
            used = windows.next.max(used);
            windows.begin(used, now);
            used += u64::from(windows.sizes.stream);
            now += Duration::from_millis(u64::from(windows.sizes.stream));
            windows.end(used, now);
            sizes.push(windows.sizes.stream);
        }
        assert_eq!(sizes, [200; 5]);
    }

    #[test]
    fn what_the_budget_lacks_is_not_taken() {
        let (mut windows, budget) = windows(500);
        let sizes = trips(&mut windows, &mut 0, &[100, 200, 400, 800]);
        assert_eq!(sizes, [(200, 400), (400, 800), (400, 800), (400, 800)]);
        assert_eq!(budget.left(), 100);
    }

    #[test]
    fn without_a_budget_nothing_is_measured() {
        let mut windows = Windows::new(FIRST, None);
        assert!(!windows.is_due(u64::MAX));
        assert_eq!(windows.end(u64::MAX, Instant::now()), None);
    }

    #[test]
    fn whoever_rests_gives_back_and_grows_again() {
        let (mut windows, budget) = windows(2000);
        let mut used = 0;
        let sizes = trips(&mut windows, &mut used, &[100, 200, 400]);
        assert_eq!((sizes[2], budget.left()), ((800, 1600), 800));
        // Much was used since it was last looked; then little.
        assert_eq!(windows.rest(used), None);
        let rested = Sizes {
            stream: 800,
            connection: 400,
        };
        assert_eq!(
            (windows.rest(used + 50), budget.left()),
            (Some(rested), 2000)
        );
        assert_eq!(windows.rest(used + 60), None);
        let sizes = trips(&mut windows, &mut used, &[300]);
        assert_eq!((sizes[0], budget.left()), ((800, 1600), 800));
    }

    #[test]
    fn windows_stay_below_what_the_protocol_allows() {
        let budget = Arc::new(Budget::new(u64::MAX));
        let first = Sizes {
            stream: 0x7fff_ffff,
            connection: 0x7fff_ffff,
        };
        let mut windows = Windows::new(first, Some(budget));
        let mut used = 0;
        trips(&mut windows, &mut used, &[u64::from(u32::MAX); 3]);
        assert!(windows.sizes.connection <= 0x7fff_ffff);
    }
}
