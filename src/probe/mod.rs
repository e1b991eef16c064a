//! What is the matter with a tunnel, asked from outside: the other end is connected to, step by
//! step, and what it answers has one cause.
//!
//! [`run`](run()) goes from step to step, each within its `limit`; `act` and `carry` do what a step
//! needs, and `judge` decides what an answer means, and is pure. How a peer is reached is behind
//! [`Dial`].

mod act;
mod address;
mod carry;
mod cause;
mod dial;
mod judge;
mod limit;
mod rounds;
mod run;

use std::net::SocketAddr;
use std::time::Duration;

use ambient_identity::{Certificate, Credentials, Roots, SpiffeId};

pub use address::{Address, ParseAddressError};
pub use cause::Cause;
pub use dial::{Dial, Network};
pub use rounds::Rounds;
pub use run::{run, run_through};

/// How to probe.
#[derive(Debug, Clone)]
pub struct Options {
    /// A certificate to show.
    pub credentials: Option<Credentials>,
    /// Whom to believe; `None` believes everybody.
    pub roots: Option<Roots>,
    /// Who is expected to answer.
    pub expected: Option<SpiffeId>,
    /// Where to be connected to.
    pub target: Option<SocketAddr>,
    /// The longest time of one step; all that a step waits for counts.
    pub timeout: Duration,
    /// Octets to send, one size after the other.
    pub sizes: Vec<usize>,
}

/// What a probe does, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepKind {
    /// The name gets an address.
    Resolve,
    /// TCP.
    Tcp,
    /// TLS, without a certificate.
    Tls,
    /// Who the peer is, and whether it takes our certificate.
    Identity,
    /// Greetings in HTTP/2.
    Http2,
    /// A tunnel to the target.
    Connect,
    /// Octets through the tunnel.
    Data,
}

/// How a step went.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Which.
    pub kind: StepKind,
    /// How it ended.
    pub result: StepResult,
    /// How long it took.
    pub time: Duration,
    /// What was seen.
    pub detail: String,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepResult {
    /// As in a tunnel that works.
    Ok,
    /// Otherwise.
    Failed,
    /// It was not tried.
    Skipped,
}

/// What the peer showed of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its certificate; `None` when that cannot be read.
    pub certificate: Option<Certificate>,
    /// The version of TLS.
    pub version: String,
    /// The cipher suite.
    pub suite: String,
    /// The group of the key exchange.
    pub group: String,
    /// The application protocol that it chose.
    pub protocol: Option<String>,
    /// Whether it asks for a certificate.
    pub asks_for_certificate: bool,
}

/// The outcome of a probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Who was probed.
    pub address: Address,
    /// What is the matter.
    pub cause: Cause,
    /// What to do, where it is not what the cause itself says.
    pub advice: Option<&'static str>,
    /// All steps, in order.
    pub steps: Vec<Step>,
    /// The peer, when it came to that.
    pub peer: Option<Peer>,
    /// What works and should not be as it is.
    pub warnings: Vec<String>,
}

impl StepKind {
    /// All of them, in order.
    pub const ALL: [Self; 7] = [
        Self::Resolve,
        Self::Tcp,
        Self::Tls,
        Self::Identity,
        Self::Http2,
        Self::Connect,
        Self::Data,
    ];

    /// The name, as output has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Identity => "identity",
            Self::Http2 => "http2",
            Self::Connect => "connect",
            Self::Data => "data",
        }
    }
}

impl StepResult {
    /// The name, as output has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl Report {
    /// What to do.
    pub fn remedy(&self) -> &'static str {
        self.advice.unwrap_or_else(|| self.cause.remedy())
    }
}
