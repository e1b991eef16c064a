//! What a long-running part of the mesh needs around its work: how it ends ([`drain`]), who owns
//! its tasks ([`tasks`]) and which thread does them ([`lanes`]), when it is ready ([`readiness`]), what
//! it counts ([`metrics`]), what it reads ([`files`]) and says ([`log`]), and how it is asked
//! ([`admin`]).
//!
//! It knows nothing of tunnels, identities or Kubernetes. What outsiders can reach is bounded: by
//! time, by size and by number.
#![forbid(unsafe_code)]

pub mod accept;
pub mod admin;
pub mod drain;
pub mod files;
pub mod lanes;
pub mod log;
pub mod metrics;
pub mod readiness;
pub mod tasks;
