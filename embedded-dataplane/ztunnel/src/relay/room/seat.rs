//! The place of a tunnel, and whether it is idle.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::line::{Line, Place};

/// The place of one tunnel, until this is dropped.
#[derive(Debug)]
pub(in crate::relay) struct Seat {
    line: Arc<Line>,
    asked: Arc<Notify>,
    use_: Mutex<Use>,
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug, Default)]
struct Use {
    streams: usize,
    /// Its place among those that are idle.
    idle: Option<Place>,
    is_leaving: bool,
}

/// One stream of a tunnel, or whatever else keeps it from being idle, until this is dropped.
#[derive(Debug)]
pub(in crate::relay) struct Busy(Arc<Seat>);

impl Seat {
    /// That of a tunnel which is busy opening.
    pub(super) fn of(line: &Arc<Line>, permit: OwnedSemaphorePermit) -> (Arc<Self>, Busy) {
        let seat = Arc::new(Self {
            line: Arc::clone(line),
            asked: Arc::default(),
            use_: Mutex::default(),
            _permit: permit,
        });
        let busy = seat.busy();
        (seat, busy)
    }

    /// One stream more.
    pub(in crate::relay) fn busy(self: &Arc<Self>) -> Busy {
        let mut of = self.in_use();
        of.streams += 1;
        of.idle = None;
        Busy(Arc::clone(self))
    }

    pub(in crate::relay) fn is_idle(&self) -> bool {
        self.in_use().streams == 0
    }

    /// Waits until the tunnel is asked to make room for another.
    pub(in crate::relay) async fn asked(&self) {
        self.asked.notified().await;
        let mut of = self.in_use();
        of.is_leaving = true;
        of.idle = None;
    }

    fn in_use(&self) -> MutexGuard<'_, Use> {
        self.use_.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut of = self.0.in_use();
        of.streams -= 1;
        if of.streams == 0 && !of.is_leaving {
            of.idle = Some(self.0.line.join(&self.0.asked));
        }
    }
}
