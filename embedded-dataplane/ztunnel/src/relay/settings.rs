//! How a relay works.

use std::sync::Arc;
use std::time::Duration;

use ambient_hbone::limits::{Budget, Limits};
use ambient_hbone::pool;

use crate::socket::SocketOptions;

/// Handshakes at once. A core makes some thousand a second, so that these are its work of a tenth of
/// one: more would only be later, all of them.
const HANDSHAKES: usize = 256;

/// Tunnels at once: each pair of pods has one for each thread of the client's relay, and few services
/// have more clients. An idle one takes about 32 KiB, measured, so that all are as much memory as
/// Istio's chart asks for ztunnel (512Mi).
const TUNNELS: usize = 16_384;

/// What windows may grow by in all, in octets: a quarter of the memory that Istio's chart asks for
/// ztunnel (512Mi).
const WINDOWS: u64 = 128 << 20;

/// Descriptors that are kept back where a quarter of all is less: three sites of administration may
/// take 64 each, and the process has some itself.
const KEPT: usize = 256;

/// How a relay works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How its sockets are made.
    pub sockets: SocketOptions,
    /// How long TLS may take, and at a server also the certificate that it needs.
    pub handshake: Duration,
    /// Of tunnels that it opens. By default its windows grow from one budget with the server's.
    pub client: Limits,
    /// Of tunnels that it takes.
    pub server: Limits,
    /// What comes from outside.
    pub inbound: Bounds,
    /// Of the pool of those that it opens, which each of its threads has. The time to dial is that of a
    /// connection and of a handshake.
    pub pool: pool::Settings,
}

/// How much of a relay is for what comes from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Handshakes of tunnels at once. Others wait with what they have said in their sockets.
    pub handshakes: usize,
    /// Tunnels at once.
    pub tunnels: usize,
    /// Files that the process may have open; the system is asked without it.
    pub descriptors: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        let budget = Arc::new(Budget::new(WINDOWS));
        Self {
            sockets: SocketOptions::default(),
            handshake: Duration::from_secs(10),
            client: Limits {
                budget: Some(Arc::clone(&budget)),
                ..Limits::CLIENT
            },
            server: Limits {
                budget: Some(budget),
                ..Limits::SERVER
            },
            inbound: Bounds::default(),
            pool: pool::Settings::default(),
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            handshakes: HANDSHAKES,
            tunnels: TUNNELS,
            descriptors: None,
        }
    }
}

impl Bounds {
    /// Descriptors that connections from outside may take together. The rest is for those of the
    /// workload, which nobody outside can keep from working then, and for the process itself.
    pub(super) fn inbound_descriptors(&self) -> usize {
        let all = self.descriptors.unwrap_or_else(ambient_hbone::granted);
        let kept = (all / 4).max(KEPT).min(all / 2);
        all - kept
    }
}

impl Settings {
    pub(super) fn pool_settings(&self) -> pool::Settings {
        // A little more, so that whoever takes too long is told by name.
        let slack = Duration::from_secs(1);
        let dial = self.sockets.connect + 2 * self.handshake + slack;
        pool::Settings {
            // Its own thread uses it.
            shards: 1,
            dial,
            // Whoever waits for a tunnel hears from its dial why there is none.
            patience: self.pool.patience.max(dial + self.client.settle + slack),
            ..self.pool.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_a_tunnel_waits_longer_than_its_dial_takes() {
        let settings = Settings::default();
        let seconds = |time: Duration| time.as_secs();
        let (settle, pool) = (settings.client.settle, settings.pool_settings());
        assert_eq!(
            [pool.dial, settle, pool.patience].map(seconds),
            [31, 10, 42]
        );
    }

    #[test]
    fn windows_of_both_ends_grow_from_one_budget() {
        let Settings { client, server, .. } = Settings::default();
        let (client, server) = (client.budget.unwrap(), server.budget.unwrap());
        assert!(Arc::ptr_eq(&client, &server));
        assert_eq!(client.left(), WINDOWS);
    }
}
