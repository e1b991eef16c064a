//! Relays on the loopback interface, with applications at both ends: what these see of each other,
//! and what the relays say of it.
#![cfg(test)]

mod bounds;
mod crowds;
mod ends;
mod envoy;
mod harness;
mod lanes;
mod life;
mod seen;
mod slow;
