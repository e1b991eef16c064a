//! What tests of the mesh need: an authority that signs anything, and peers that misbehave as they
//! are told. Never part of a program.
#![forbid(unsafe_code)]
#![allow(
    missing_debug_implementations,
    reason = "keys are in most of it, and nobody prints it"
)]
#![allow(
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what goes wrong here is a broken test, and has to stop it"
)]

mod authority;
pub mod envoy;
mod istiod;
mod peer;
pub mod protobuf;

pub use authority::{Authority, Details, Issued, Leaf, Purpose, Validity};
pub use istiod::{certify, certify_with};
pub use peer::{ClientPolicy, Peer, Player, Script, Secured, Tunnel};
