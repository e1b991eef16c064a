//! Migration: what has to change before workloads may enter ambient mesh, and what stands in the
//! way. Pure: a world and options in, findings and a plan out.

pub mod cni;
pub mod hazards;
pub mod scope;
pub mod waypoints;

#[cfg(test)]
mod fixture;
