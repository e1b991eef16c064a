//! `diagnose` against peers that misbehave as they are told: every cause, as the probe names it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests, which clippy does not see"
)]

mod bounds;
mod causes;
mod data;
mod envoy;
mod memory;
mod mesh;
mod names;
mod network;
mod program;
mod refusals;
mod repeated;
mod run;
