//! Which connections are open.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::report::Direction;

/// A connection that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenConnection {
    /// Which way it goes.
    pub direction: Direction,
    /// Its client.
    pub source: SocketAddr,
    /// Where the client wanted to go.
    pub asked: SocketAddr,
    /// Where it goes.
    pub destination: SocketAddr,
    /// Whether it goes, or came, through a tunnel.
    pub is_tunnelled: bool,
}

/// Connections in the order in which they were opened.
#[derive(Debug, Default)]
pub(super) struct Open(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    connections: BTreeMap<u64, OpenConnection>,
    next: u64,
}

impl Open {
    pub(super) fn add(&self, connection: OpenConnection) -> u64 {
        let mut state = self.state();
        state.next += 1;
        let number = state.next;
        state.connections.insert(number, connection);
        number
    }

    pub(super) fn remove(&self, number: u64) {
        self.state().connections.remove(&number);
    }

    pub(super) fn list(&self) -> Vec<OpenConnection> {
        self.state().connections.values().copied().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
