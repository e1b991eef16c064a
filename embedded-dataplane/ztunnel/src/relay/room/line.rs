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
    all: BTreeMap<Turn, Arc<Notify>>,
    next: u64,
}

/// Since when somebody has been there, and a number where that is the same.
type Turn = (Instant, u64);

/// A place in a line, until it is dropped or asked to go.
#[derive(Debug)]
pub(in crate::relay) struct Place {
    line: Arc<Line>,
    turn: Turn,
    asked: Arc<Notify>,
}

impl Line {
    /// One more, who is asked by this.
    pub(super) fn join(self: &Arc<Self>, asked: &Arc<Notify>) -> Place {
        self.join_as_of(Instant::now(), asked)
    }

    /// One more, as if it had come at some moment.
    pub(super) fn join_as_of(self: &Arc<Self>, since: Instant, asked: &Arc<Notify>) -> Place {
        let mut standing = self.standing();
        let turn = (since, standing.next);
        standing.next += 1;
        standing.all.insert(turn, Arc::clone(asked));
        Place {
            line: Arc::clone(self),
            turn,
            asked: Arc::clone(asked),
        }
    }

    /// Since when the first has been there.
    pub(super) fn first(&self) -> Option<Instant> {
        let standing = self.standing();
        let first = standing.all.first_key_value();
        first.map(|((since, _), _)| *since)
    }

    /// Asks the first to go, if it came at this moment or before. It is in the line no more.
    pub(super) fn ask_first(&self, latest: Instant) -> bool {
        let mut standing = self.standing();
        let first = standing.all.first_entry();
        let Some(first) = first.filter(|first| first.key().0 <= latest) else {
            return false;
        };
        first.remove().notify_one();
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

    /// Whether it was asked to go.
    pub(super) fn was_asked(&self) -> bool {
        !self.line.standing().all.contains_key(&self.turn)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.line.standing().all.remove(&self.turn);
    }
}
