//! Hears what a relay tells of its connections, and passes it on to what counts and logs them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ambient_ztunnel::copy::{Meter, Side};
use ambient_ztunnel::report::{About, Early, End, Handshake, Observer, Record};
use ambient_ztunnel::telemetry::Telemetry;
use tokio::sync::Notify;

/// How much is remembered.
const MOST: usize = 64;

/// What is told of a relay's connections. Clones are one and the same.
#[derive(Debug, Clone)]
pub(super) struct Witness {
    telemetry: Telemetry,
    heard: Arc<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    all: Mutex<VecDeque<Word>>,
    more: Notify,
}

/// Something that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// A peer has proved who it is.
    Peer(String),
    /// A peer has not, and why.
    Refused(String),
    /// A connection was closed.
    Closed,
    /// A connection has failed, and why.
    Failed(String),
}

impl Witness {
    pub(super) fn new(telemetry: Telemetry) -> Self {
        Self {
            telemetry,
            heard: Arc::default(),
        }
    }

    /// The last word of which something is known, once there is one.
    pub(super) async fn last<T>(&self, of: impl Fn(&Word) -> Option<T>) -> T {
        loop {
            let more = self.heard.more.notified();
            let found = self.heard.all().iter().rev().find_map(&of);
            match found {
                Some(found) => return found,
                None => more.await,
            }
        }
    }
}

impl Heard {
    fn all(&self) -> MutexGuard<'_, VecDeque<Word>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, word: Word) {
        let mut all = self.all();
        if all.len() >= MOST {
            all.pop_front();
        }
        all.push_back(word);
        self.more.notify_waiters();
    }
}

impl Observer for Witness {
    fn open(&self, about: About) -> Box<dyn Record> {
        Box::new(Heeded {
            record: self.telemetry.open(about),
            heard: Arc::clone(&self.heard),
        })
    }

    fn refuse(&self, early: &Early<'_>) {
        self.telemetry.refuse(early);
    }

    fn handshake(&self, handshake: &Handshake<'_>) {
        self.telemetry.handshake(handshake);
        self.heard.add(match handshake.outcome {
            Ok(peer) => Word::Peer(peer.to_string()),
            Err(failure) => Word::Refused(failure.to_string()),
        });
    }
}

/// The record of a connection whose end is heard.
struct Heeded {
    record: Box<dyn Record>,
    heard: Arc<Heard>,
}

impl Meter for Heeded {
    fn passed(&self, from: Side, octets: u64) {
        self.record.passed(from, octets);
    }
}

impl Record for Heeded {
    fn connected(&self, after: Duration) {
        self.record.connected(after);
    }

    fn close(self: Box<Self>, end: &End) {
        let word = match end {
            End::Failed(failure) => Word::Failed(failure.to_string()),
            End::Over(_) | End::Drained | End::Revoked(_) | End::Panicked => Word::Closed,
        };
        // First counted and logged, then told: whoever waits for it looks at these.
        self.record.close(end);
        self.heard.add(word);
    }
}
