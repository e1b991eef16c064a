//! What the headers of a CONNECT and of its answer tell.
//!
//! All of it is hearsay: peers write what they like, so nothing here decides who may do what. Readers
//! take what they understand, and leave the rest.

mod baggage;
mod forwarded;
mod network;
mod traceparent;

pub use baggage::{Baggage, WorkloadKind};
pub use forwarded::Forwarded;
pub use network::Network;
pub use traceparent::{Traceparent, TraceparentError};
