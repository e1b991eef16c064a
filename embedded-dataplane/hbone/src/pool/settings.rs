//! How much a pool holds, and how much it does at a moment.

use std::time::Duration;

/// How much a pool holds, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Locks that keys are spread over; 1 for a pool that one thread uses.
    pub shards: usize,
    /// Keys that are remembered. Beyond it the one that was used least lately is forgotten: its
    /// connections close with their streams.
    pub keys: usize,
    /// Connections for one key.
    pub connections: usize,
    /// Those who wait for a connection of one key.
    pub waiting: usize,
    /// How long one waits for a place.
    pub patience: Duration,
    /// How long [`Connector::connect`](super::Connector::connect) may take. Greetings come on top ([`Limits::settle`](crate::limits::Limits::settle)).
    pub dial: Duration,
    /// How long a connection without streams is kept, and up to a quarter more.
    pub idle: Duration,
    /// What the first failure in a row puts off the next attempt by; each further doubles it. Up to
    /// half of it is taken off by chance.
    pub backoff: Duration,
    /// The most that an attempt is put off by.
    pub longest_backoff: Duration,
}

impl Default for Settings {
    /// As ztunnel keeps its pool, where it does (`src/config.rs`; connections idle for 5 minutes,
    /// 10 seconds to connect).
    fn default() -> Self {
        Self {
            shards: 8,
            keys: 1024,
            connections: 64,
            waiting: 4096,
            patience: Duration::from_secs(30),
            dial: Duration::from_secs(10),
            idle: Duration::from_mins(5),
            backoff: Duration::from_millis(50),
            longest_backoff: Duration::from_secs(1),
        }
    }
}

/// What a pool holds at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys that are remembered.
    pub keys: usize,
    /// Connections that new streams can go to.
    pub connections: usize,
    /// Streams on these.
    pub streams: usize,
    /// Connections that are being made.
    pub dialing: usize,
}
