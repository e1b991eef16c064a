//! The program as it runs: alone, and between network namespaces with rules that lead traffic to it.
#![cfg(test)]

mod alone;
#[cfg(target_os = "linux")]
mod application;
mod bounds;
#[cfg(target_os = "linux")]
mod conformance;
mod handover;
mod harness;
#[cfg(target_os = "linux")]
mod lab;
#[cfg(target_os = "linux")]
mod namespaces;
#[cfg(target_os = "linux")]
mod profile;
#[cfg(target_os = "linux")]
mod weaknesses;
