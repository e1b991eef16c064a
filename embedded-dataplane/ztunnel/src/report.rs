//! What is told of connections, for whoever logs and counts them: facts, and no wording.
//!
//! ```text
//! Observer::open ──► Record ── connected ── passed… ── close(End)     one that has a way
//! Observer::refuse                                                    one that never got one
//! Observer::handshake                                                 TLS of a tunnel, either end
//! ```

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ambient_hbone::authority::Target;
use ambient_hbone::error::{ConnectionError, StreamError};
use ambient_hbone::headers::{Baggage, Traceparent};
use ambient_hbone::server::{BadRequest, Unwanted};
use ambient_hbone::tunnel::ConnectError;
use ambient_identity::{HandshakeError, PeerFault, SpiffeId, StoreError};

use crate::copy::{Ending, Meter};
use crate::route::Refusal;
use crate::snapshot::{Service, Workload};

/// Is told of connections. It is called where they are served, so it must not wait.
pub trait Observer: Send + Sync + 'static {
    /// A connection is going somewhere. The record is closed once, whatever becomes of it.
    fn open(&self, about: About) -> Box<dyn Record>;

    /// A connection was refused before it went anywhere.
    fn refuse(&self, early: &Early<'_>);

    /// TLS of a tunnel was made, or failed.
    fn handshake(&self, handshake: &Handshake<'_>) {
        let _ = handshake;
    }
}

/// Is told of one connection.
pub trait Record: Meter + Send + Sync {
    /// The way to the other end is open, after so long. Octets are passed from now on.
    fn connected(&self, after: Duration);

    /// It ended.
    fn close(self: Box<Self>, end: &End);
}

/// Which way a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// To the workload.
    Inbound,
    /// From the workload.
    Outbound,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        })
    }
}

/// What is known of a connection that is going somewhere.
#[derive(Debug, Clone)]
pub struct About {
    /// Which way it goes.
    pub direction: Direction,
    /// The address of the client.
    pub source: SocketAddr,
    /// The workload of the client, where it is known.
    pub client: Option<Arc<Workload>>,
    /// Who the client proved to be, in a tunnel.
    pub client_identity: Option<SpiffeId>,
    /// What the client's relay says of it, in a tunnel to here.
    pub client_baggage: Option<Baggage>,
    /// Where the client wanted to go, or has its tunnel lead to.
    pub original: SocketAddr,
    /// The address that there is a connection to on the wire: the server's, or the end of the tunnel.
    pub destination: SocketAddr,
    /// Where the tunnel leads, of those that go through one.
    pub target: Option<Target>,
    /// The workload of the server, where it is known.
    pub server: Option<Arc<Workload>>,
    /// Who the server has to prove to be, in a tunnel; of several, who its workload is.
    pub server_identity: Option<SpiffeId>,
    /// The service that was asked for, where it is known.
    pub service: Option<Arc<Service>>,
    /// The trace that it belongs to.
    pub trace: Option<Traceparent>,
}

/// A connection that goes nowhere.
#[derive(Debug)]
pub struct Early<'e> {
    /// Which way it wanted to go.
    pub direction: Direction,
    /// The address of the client.
    pub source: SocketAddr,
    /// Where it wanted to go, as far as that was known.
    pub destination: SocketAddr,
    /// Why.
    pub failure: &'e Failure,
}

/// TLS of a tunnel.
#[derive(Debug)]
pub struct Handshake<'h> {
    /// Inbound as the server.
    pub direction: Direction,
    /// The peer's address.
    pub peer: SocketAddr,
    /// How long it took from the first octet of the client on.
    pub took: Duration,
    /// The peer's identity, or why there is none.
    pub outcome: Result<&'h SpiffeId, &'h TlsFailure>,
}

/// What a relay has taken in at a moment, and what it did not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inbound {
    /// Clients of tunnels that have said nothing yet.
    pub silent: usize,
    /// Handshakes that are being made.
    pub handshakes: usize,
    /// Handshakes that wait for others to end.
    pub waiting: usize,
    /// Tunnels, those included that do not speak HTTP/2 yet.
    pub tunnels: usize,
    /// Descriptors that are left for connections from outside.
    pub descriptors: usize,
    /// Silent clients that were hung up on for others.
    pub hung_up: u64,
    /// Handshakes that were given up for others.
    pub given_up: u64,
    /// Idle tunnels that were asked to make room for others.
    pub asked: u64,
    /// Tunnels that were refused for want of room.
    pub refused: u64,
    /// Connections of tunnels that were refused for want of a descriptor.
    pub starved: u64,
}

/// How a connection ended.
#[derive(Debug)]
pub enum End {
    /// One of its ends, or both.
    Over(Ending),
    /// The way to the server did not come about.
    Failed(Failure),
    /// The relay was ending, and could not wait for it any longer.
    Drained,
    /// The certificate of the other end of its tunnel was revoked.
    Revoked(PeerFault),
    /// The task that served it panicked.
    Panicked,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsFailure {
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// It took too long.
    #[error("no handshake within {0:?}")]
    Late(Duration),
    /// It was given up to make room for others.
    #[error("too many clients at once, and this one was not done")]
    Crowded,
}

/// There is no room for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// All tunnels that there may be are in use.
    #[error("all {0} tunnels are in use")]
    Tunnels(usize),
    /// All descriptors for connections from outside are in use.
    #[error("all {0} descriptors for connections from outside are in use")]
    Descriptors(usize),
}

/// Why a connection has no way.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It must not go there, or nobody knows how.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What the client of a tunnel asks for is no CONNECT.
    #[error(transparent)]
    BadRequest(#[from] BadRequest),
    /// The client of a tunnel did not wait, or waited for too long.
    #[error(transparent)]
    Unwanted(#[from] Unwanted),
    /// The workload has no certificate.
    #[error("identity error: {0}")]
    Identity(#[from] StoreError),
    /// No TCP connection to the server.
    #[error("connection failed: {0}")]
    Connect(#[source] io::Error),
    /// No answer from the end of a tunnel, which is how policies of a network look.
    #[error(
        "connection timed out, maybe a NetworkPolicy is blocking HBONE port {}: {} did not answer within {:?}",
        relay.port(), relay.ip(), within
    )]
    Silence {
        /// The end of the tunnel.
        relay: SocketAddr,
        /// How long it was waited for.
        within: Duration,
    },
    /// TLS with the other end of a tunnel failed.
    #[error("tls error: {0}")]
    Tls(Arc<TlsFailure>),
    /// The other end of a tunnel does not speak HTTP/2.
    #[error("http2 handshake failed: {0}")]
    Http2(Arc<ConnectionError>),
    /// There is a tunnel, and no way through it.
    #[error(transparent)]
    NoWay(#[from] ConnectError),
    /// The stream of a tunnel was over before the tunnel was open.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// There is no room for what comes from outside.
    #[error(transparent)]
    Full(#[from] Full),
    /// No tunnel became free, or too many wait for one.
    #[error("{0}")]
    Crowded(String),
    /// No tunnel came about, for none of the reasons above.
    #[error("{0}")]
    NoTunnel(String),
}
