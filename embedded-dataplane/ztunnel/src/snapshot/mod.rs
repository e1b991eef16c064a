//! What the relay knows of the mesh at a moment: workloads by their addresses, services by theirs.
//!
//! A snapshot does not change: who learns something new makes another one.

mod index;
mod objects;
mod read;
mod shape;
mod values;

pub use index::Snapshot;
pub use objects::{
    Endpoint, Locality, ParseWorkloadNameError, Protocol, Service, Workload, WorkloadName,
};
pub use read::SnapshotError;
