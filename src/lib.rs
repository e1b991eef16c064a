//! `kubectl ambient`: moves Kubernetes clusters to ambient mesh and proves what changes.
//!
//! One flow: a source loads manifests into a [`model::World`]; pure analysis turns it into
//! findings and a [`plan::Plan`]; `render` shows it, `sink` writes it. See `ARCHITECTURE.md`.
#![forbid(unsafe_code)]

pub mod authz;
pub mod cli;
pub mod commands;
pub mod demo;
pub mod error;
pub mod exit;
pub mod finding;
pub mod migrate;
pub mod model;
pub mod netpol;
pub mod plan;
pub mod probe;
pub mod reach;
pub mod render;
pub mod settings;
pub mod sink;
pub mod source;
pub mod yaml;
pub mod yamledit;
