//! NetworkPolicy semantics: who may send what to whom.
//!
//! Pods become classes ([`Universe`]), policies become rows of nodes by port set ([`Network`]).
//! Everything is exact: where manifests do not say (whether an `ipBlock` matches pods, whether a
//! selector matches pods on the node's network) a value has two bounds. The module knows nothing of
//! the mesh, of files, or of how a change comes about; it only takes policies in two versions.

mod address;
mod class;
mod index;
mod intern;
mod mentioned;
mod network;
mod nodes;
mod outgoing;
mod ports;
mod row;
mod select;
#[cfg(test)]
mod tests;

pub use address::AddressRange;
pub use class::{Assumptions, Class, Distinctions, Node, Universe};
pub use intern::{PortSetId, PortSets};
pub use mentioned::Trait;
pub use network::{Direction, Network, Version, rule_ports};
pub use nodes::Nodes;
pub use ports::PortSet;
pub use row::{Bounds, OrderedAction, Value};
pub use select::{PeerSet, PeerSetId, Selection, selects_namespace};
