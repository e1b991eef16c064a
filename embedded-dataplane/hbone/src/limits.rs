//! How much of everything a connection may take, and for how long.

use std::sync::Arc;
use std::time::Duration;

pub use crate::windows::Budget;

/// What both ends of a tunnel promise in their settings, and what they put up with.
///
/// The sizes are those of ztunnel (`src/config.rs`, `src/proxy/h2/{client,server}.rs`), so that a peer
/// finds what it knows; the times are our own, because ztunnel waits for ever.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Octets that a peer may have under way on a stream, up to 2^31 - 1.
    pub stream_window: u32,
    /// Octets that a peer may have under way on a connection, up to 2^31 - 1. More than for a stream,
    /// so that one that is not read does not hold up all others.
    pub connection_window: u32,
    /// What windows may grow from, beyond these two; without it they stay as they are.
    pub budget: Option<Arc<Budget>>,
    /// The longest frame that a peer may send, from 2^14 to 2^24 - 1 octets. It is held until it is
    /// whole. ztunnel allows 1 MiB; what fills four records of TLS with its header is as fast, and is in
    /// buffers that are used again.
    pub frame: u32,
    /// Octets of all headers of a request or answer, counted as in RFC 9113, section 6.5.2.
    pub headers: u32,
    /// Streams at the same time. A client counts those that it opens, and keeps to what its peer
    /// allows if that is less.
    pub streams: u32,
    /// Octets of a stream that wait to be sent.
    pub send_buffer: usize,
    /// From the first octet to the end of the peer's SETTINGS.
    pub settle: Duration,
    /// From a CONNECT to its answer.
    pub answer: Duration,
    /// After such a time without a sign of life, twice of it at most, the peer is asked for one by
    /// PING.
    pub quiet: Duration,
    /// After such a further time without any, it is taken for dead.
    pub patience: Duration,
}

impl Limits {
    /// How long the library remembers streams that it reset, so that what still arrives on them is
    /// no error: of those it puts up with 1024 in the life of a connection, and then ends it.
    pub(crate) const REMEMBERED: Duration = Duration::from_secs(10);

    /// The server's.
    pub const SERVER: Self = Self {
        stream_window: 4 << 20,
        connection_window: 16 << 20,
        budget: None,
        frame: (64 << 10) - 9,
        headers: 64 << 10,
        streams: 200,
        send_buffer: 400 << 10,
        settle: Duration::from_secs(10),
        answer: Duration::from_secs(15),
        quiet: Duration::from_secs(10),
        patience: Duration::from_secs(20),
    };

    /// The client's. It waits for an answer for longer than the server takes to connect.
    pub const CLIENT: Self = Self {
        headers: 16 << 10,
        streams: 100,
        answer: Duration::from_secs(20),
        ..Self::SERVER
    };

    /// What frames of less than 256 octets that wait to be read may cost beyond their octets, at 256
    /// for each, before the library ends the connection. Its own half of a window is 40,000 messages
    /// of 50 octets, which one application that is stuck would reach, and take all streams with it.
    pub(crate) fn small_frames(&self) -> usize {
        usize::try_from(self.connection_window)
            .unwrap_or(usize::MAX)
            .saturating_mul(2)
    }
}
