//! Who is next.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::spiffe::SpiffeId;

/// How urgent a certificate is. What is more urgent comes first, however long the rest has waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Priority {
    /// A connection waits for it.
    RealTime,
    /// A connection may come any time.
    WarmUp,
    /// There is one that is still valid, or the last attempt has failed and nobody waits.
    Background,
}

/// Identities in the order of their turns.
#[derive(Debug, Default)]
pub(super) struct Queue {
    classes: BTreeMap<Priority, BTreeMap<(Instant, u64), SpiffeId>>,
    next: u64,
}

/// A place in the queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub(super) priority: Priority,
    pub(super) due: Instant,
    number: u64,
}

impl Queue {
    /// Takes a place, for a turn that comes no sooner than `due`.
    pub(super) fn push(&mut self, identity: SpiffeId, priority: Priority, due: Instant) -> Ticket {
        let number = self.next;
        self.next += 1;
        let class = self.classes.entry(priority).or_default();
        class.insert((due, number), identity);
        Ticket {
            priority,
            due,
            number,
        }
    }

    /// Gives a place up.
    pub(super) fn remove(&mut self, ticket: Ticket) {
        if let Some(class) = self.classes.get_mut(&ticket.priority) {
            class.remove(&(ticket.due, ticket.number));
        }
    }

    /// Whose turn it is.
    pub(super) fn pop(&mut self, now: Instant) -> Option<SpiffeId> {
        self.classes.values_mut().find_map(|class| {
            let first = class.first_entry()?;
            (first.key().0 <= now).then(|| first.remove())
        })
    }

    /// When it is somebody's turn next.
    pub(super) fn due(&self) -> Option<Instant> {
        let firsts = self.classes.values().filter_map(BTreeMap::first_key_value);
        firsts.map(|((due, _), _)| *due).min()
    }
}
