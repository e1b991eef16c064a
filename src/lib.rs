//! `kubectl ambient`: moves Kubernetes clusters to ambient mesh and proves what changes.
//!
//! One flow: a source loads manifests into a [`model::World`]; pure analysis turns it into
//! findings and a [`plan::Plan`]; `render` shows it, `sink` writes it. See `ARCHITECTURE.md`.
#![forbid(unsafe_code)]

pub mod finding;
pub mod model;
pub mod plan;
pub mod sink;
pub mod source;
pub mod yaml;
pub mod yamledit;
