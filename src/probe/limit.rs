//! The time of a step. Whatever a step waits for, it waits for within its one limit.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// When a step began, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    started: Instant,
    time: Duration,
}

/// The time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Late {
    /// How long it was.
    pub(super) time: Duration,
}

impl Limit {
    /// A limit from now on.
    pub(super) fn start(time: Duration) -> Self {
        let started = Instant::now();
        Self { started, time }
    }

    /// One of several equal parts of what is left.
    pub(super) fn part(self, of: usize) -> Self {
        let left = self.time.saturating_sub(self.elapsed());
        Self::start(left / u32::try_from(of).unwrap_or(u32::MAX).max(1))
    }

    /// What is left, or less.
    pub(super) fn at_most(self, time: Duration) -> Self {
        Self::start(time.min(self.time.saturating_sub(self.elapsed())))
    }

    /// Waits for something, as long as there is time.
    pub(super) async fn bound<F: Future>(self, future: F) -> Result<F::Output, Late> {
        let Some(end) = self.started.checked_add(self.time) else {
            // Later than the clock can tell is as good as never.
            return Ok(future.await);
        };
        let late = |_| Late { time: self.time };
        timeout_at(end, future).await.map_err(late)
    }

    pub(super) fn elapsed(self) -> Duration {
        self.started.elapsed()
    }
}
