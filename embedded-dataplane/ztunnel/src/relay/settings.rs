//! How a relay works.

use std::time::Duration;

use ambient_hbone::limits::Limits;
use ambient_hbone::pool;

use crate::socket::SocketOptions;

/// How a relay works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How its sockets are made.
    pub sockets: SocketOptions,
    /// How long TLS may take, and at a server also the certificate that it needs.
    pub handshake: Duration,
    /// Of tunnels that it opens.
    pub client: Limits,
    /// Of tunnels that it takes.
    pub server: Limits,
    /// Of the pool of those that it opens. The time to dial is that of a connection and of a
    /// handshake.
    pub pool: pool::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sockets: SocketOptions::default(),
            handshake: Duration::from_secs(10),
            client: Limits::CLIENT,
            server: Limits::SERVER,
            pool: pool::Settings::default(),
        }
    }
}

impl Settings {
    pub(super) fn pool_settings(&self) -> pool::Settings {
        // A little more, so that whoever takes too long is told by name.
        let slack = Duration::from_secs(1);
        pool::Settings {
            dial: self.sockets.connect + 2 * self.handshake + slack,
            ..self.pool.clone()
        }
    }
}
