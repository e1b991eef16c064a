//! The record of a connection, which is closed whatever becomes of the task.

use std::time::Duration;

use tokio::time::Instant;

use crate::copy::{Meter, Side};
use crate::report::{About, End, Observer, Record};

/// The record of a connection that is open.
pub(super) struct Open {
    record: Option<Box<dyn Record>>,
    began: Instant,
}

impl Open {
    pub(super) fn new(observer: &dyn Observer, about: About) -> Self {
        Self {
            record: Some(observer.open(about)),
            began: Instant::now(),
        }
    }

    /// The way to the other end is there.
    pub(super) fn connected(&self) {
        if let Some(record) = &self.record {
            record.connected(self.age());
        }
    }

    pub(super) fn close(mut self, end: &End) {
        if let Some(record) = self.record.take() {
            record.close(end);
        }
    }

    fn age(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Meter for Open {
    fn passed(&self, from: Side, octets: u64) {
        if let Some(record) = &self.record {
            record.passed(from, octets);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            // Otherwise the task was aborted with the relay.
            let end = if std::thread::panicking() {
                End::Panicked
            } else {
                End::Drained
            };
            record.close(&end);
        }
    }
}
