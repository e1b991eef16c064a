//! What is the matter with a tunnel, asked from outside: the other end is connected to, step by
//! step, and what it answers has one cause.
//!
//! [`run`](run()) goes from step to step, `act` does what a step needs, and `judge` decides what an
//! answer means, and is pure.

mod act;
mod cause;
mod judge;
mod rounds;
mod run;

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use ambient_facts::ports;
use ambient_identity::{Certificate, Credentials, Roots, SpiffeId};

pub use cause::Cause;
pub use rounds::Rounds;
pub use run::run;

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
    /// The longest time of one step.
    pub timeout: Duration,
    /// Octets to send, one size after the other.
    pub sizes: Vec<usize>,
}

/// Whom to probe.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no address: {reason}")]
pub struct ParseAddressError {
    text: String,
    reason: &'static str,
}

impl ParseAddressError {
    /// What is wrong, without the text itself.
    pub fn reason(&self) -> &'static str {
        self.reason
    }
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

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// `HOST`, `HOST:PORT`, `[IPV6]:PORT` or an IPv6 address alone; the port is the tunnel's otherwise.
impl FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| ParseAddressError {
            text: text.to_owned(),
            reason,
        };
        if text.parse::<std::net::Ipv6Addr>().is_ok() {
            return Ok(Self {
                host: text.to_owned(),
                port: ports::HBONE,
            });
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest
                    .split_once(']')
                    .ok_or_else(|| wrong("the bracket is not closed"))?;
                host.parse::<std::net::Ipv6Addr>()
                    .map_err(|_| wrong("what is in brackets is no IPv6 address"))?;
                let port = match rest.strip_prefix(':') {
                    None if rest.is_empty() => None,
                    None => return Err(wrong("after the bracket comes `:` and a port")),
                    port => port,
                };
                (host, port)
            }
            None => match text.split_once(':') {
                Some((_, port)) if port.contains(':') => {
                    return Err(wrong(
                        "an IPv6 address with a port is written `[ADDRESS]:PORT`",
                    ));
                }
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let is_part = |c: char| c.is_alphanumeric() || ".-_:".contains(c);
        if host.is_empty() || !host.chars().all(is_part) {
            return Err(wrong("the host is neither a name nor an address"));
        }
        let port = match port.map(str::parse::<u16>) {
            None => ports::HBONE,
            Some(Ok(port)) if port > 0 => port,
            Some(_) => return Err(wrong("the port is not a number from 1 to 65535")),
        };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}
