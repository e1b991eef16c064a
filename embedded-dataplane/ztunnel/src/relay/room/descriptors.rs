//! Descriptors of connections from outside.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, Notify};

/// All of them, of which some are kept for connections of tunnels.
#[derive(Debug)]
pub(super) struct Descriptors {
    most: usize,
    kept: usize,
    free: Mutex<usize>,
    given_back: Notify,
    turn: AsyncMutex<()>,
}

/// Descriptors of connections from outside, until this is dropped.
#[derive(Debug)]
pub(in crate::relay) struct Held {
    of: Arc<Descriptors>,
    many: usize,
}

impl Descriptors {
    /// So many. A quarter is left by whoever has just come, so that those who have proved who they are
    /// can work in a crowd.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            kept: most / 4,
            free: Mutex::new(most),
            given_back: Notify::new(),
            turn: AsyncMutex::default(),
        }
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    pub(super) fn free(&self) -> usize {
        *self.in_use()
    }

    /// Whether connections of tunnels have taken some of what is kept for them.
    pub(super) fn are_short(&self) -> bool {
        self.free() < self.kept
    }

    /// The turn of one listener among others, until this is dropped. Without it whoever needs more for
    /// a connection would wait for ever.
    pub(super) async fn turn(&self) -> AsyncMutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// So many for a connection that is about to be accepted, as soon as that leaves what is kept.
    /// For one at a time.
    pub(super) async fn beyond_kept(self: &Arc<Self>, many: usize) -> Held {
        loop {
            // Whoever waits here has no claim on what comes back: connections of tunnels go first.
            if let Some(held) = self.take(many, self.kept) {
                return held;
            }
            self.given_back.notified().await;
        }
    }

    /// One for a connection of a tunnel, if there is one.
    pub(super) fn any(self: &Arc<Self>) -> Option<Held> {
        self.take(1, 0)
    }

    fn take(self: &Arc<Self>, many: usize, leaving: usize) -> Option<Held> {
        let mut free = self.in_use();
        let left = free.checked_sub(many).filter(|left| *left >= leaving)?;
        *free = left;
        Some(Held {
            of: Arc::clone(self),
            many,
        })
    }

    fn in_use(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        *self.of.in_use() += self.many;
        self.of.given_back.notify_one();
    }
}
