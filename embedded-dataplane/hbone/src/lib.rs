//! HBONE: TCP through HTTP/2 CONNECT.
//!
//! What a probe needs: [`dial`] a peer, open a [`ProbeConnection`] over a stream that is already
//! secured, and [`ProbeConnection::connect`] through it. Whatever fails is told by what was seen: the
//! error queue of the socket, the frames of the peer, the error of the stream below. What the
//! dataplane needs is in [`server`], [`tunnel`] and [`pool`].
#![forbid(unsafe_code)]

pub mod authority;
mod client;
mod descriptors;
mod dial;
pub mod error;
mod frames;
mod gather;
pub mod headers;
pub mod limits;
mod load;
mod notes;
mod payload;
pub mod pool;
pub mod proxy_protocol;
mod pulse;
pub mod server;
pub mod stream;
#[cfg(test)]
mod testing;
pub mod tunnel;
mod watch;
mod windows;

pub use client::{Answer, ProbeConnection, ProbeTunnel, Receiver, Sender};
pub use descriptors::{descriptors, granted};
pub use dial::{DialFault, Icmp, dial};
pub use frames::GoAway;
pub use notes::Fault;
pub use watch::{Seen, Watched};
