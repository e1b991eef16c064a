//! HBONE: TCP through HTTP/2 CONNECT.
//!
//! The client's half: [`dial`] a peer, open a [`Connection`] over a stream that is already secured,
//! and [`Connection::connect`] through it. Whatever fails is told by what was seen: the error queue
//! of the socket, the frames of the peer, the error of the stream below.
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

pub use client::{Answer, Connection, Receiver, Sender, Tunnel};
pub use descriptors::descriptors;
pub use dial::{DialFault, Icmp, dial};
pub use frames::GoAway;
pub use notes::Fault;
pub use watch::{Seen, Watched};
