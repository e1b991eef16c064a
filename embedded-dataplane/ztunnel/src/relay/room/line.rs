//! Those who may be asked to go, in the order in which they came.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

/// A line of them.
#[derive(Debug, Default)]
pub(super) struct Line(Mutex<Standing>);

#[derive(Debug, Default)]
struct Standing {
    all: BTreeMap<u64, (Instant, Arc<Notify>)>,
    next: u64,
}

/// A place in a line, until it is dropped or asked to go.
#[derive(Debug)]
pub(in crate::relay) struct Place {
    line: Arc<Line>,
    number: u64,
    asked: Arc<Notify>,
}

impl Line {
    /// One more, who is asked by this.
    pub(super) fn join(self: &Arc<Self>, asked: &Arc<Notify>) -> Place {
        let mut standing = self.standing();
        let number = standing.next;
        standing.next += 1;
        let asked = Arc::clone(asked);
        standing
            .all
            .insert(number, (Instant::now(), Arc::clone(&asked)));
        Place {
            line: Arc::clone(self),
            number,
            asked,
        }
    }

    /// Since when the first has been there.
    pub(super) fn first(&self) -> Option<Instant> {
        let standing = self.standing();
        let first = standing.all.first_key_value();
        first.map(|(_, (since, _))| *since)
    }

    /// Asks the first to go, if it came at this moment or before. It is in the line no more.
    pub(super) fn ask_first(&self, latest: Instant) -> bool {
        let mut standing = self.standing();
        let Some(first) = standing.all.first_entry() else {
            return false;
        };
        let (since, asked) = first.get();
        if *since > latest {
            return false;
        }
        asked.notify_one();
        first.remove();
        true
    }

    pub(super) fn len(&self) -> usize {
        self.standing().all.len()
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until it is asked to go.
    pub(in crate::relay) async fn asked(&self) {
        self.asked.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.line.standing().all.remove(&self.number);
    }
}
