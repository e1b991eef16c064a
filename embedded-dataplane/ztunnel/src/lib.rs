//! The relay: carries TCP connections of workloads through HBONE, and answers for them.
//!
//! ```text
//! accept ──► route(Snapshot, Arrival) ──► Decision ──► dial or CONNECT ──► copy
//! ```
//!
//! Where a connection goes is decided by a pure function of what is known at that moment. What is
//! known comes from outside of this crate: from a file here, by xDS later.
#![forbid(unsafe_code)]

mod address;
pub mod copy;
pub mod dump;
#[cfg(target_os = "linux")]
pub mod handover;
pub mod relay;
pub mod report;
pub mod route;
pub mod snapshot;
pub mod socket;
pub mod telemetry;
