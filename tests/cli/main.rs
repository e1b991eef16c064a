//! The binary as its users see it: exit code, standard output and standard error of whole runs.

mod harness;
mod manifests;

mod applications;
#[cfg(target_os = "linux")]
mod demo;
mod general;
mod help;
mod kustomize;
mod migrate;
mod policy;
mod readme;
mod trust;
mod usage;
mod write;
