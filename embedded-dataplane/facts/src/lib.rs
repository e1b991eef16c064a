//! Protocol facts of ambient mesh: port numbers, label and annotation keys, well-known addresses,
//! namespaces, tunnels.
//!
//! Every other crate takes these from here, so that a fact is written once, with its source. The
//! crate knows nothing of Kubernetes clients, files or sockets, and depends on nothing of ours.
#![forbid(unsafe_code)]

pub mod addresses;
pub mod annotations;
pub mod authority;
pub mod files;
pub mod groups;
pub mod headers;
pub mod labels;
pub mod marks;
pub mod namespaces;
pub mod ports;
pub mod tunnel;
