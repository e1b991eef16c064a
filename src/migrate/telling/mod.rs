//! What people are told: differences with those responsible, and what nobody could look at.

pub(super) mod assumed;
pub(super) mod causes;
pub(super) mod deciding;
pub(super) mod given;
pub(super) mod governing;
pub(super) mod later;
pub(super) mod mesh;
pub(super) mod newly;
pub(super) mod overlaps;
pub(super) mod own_service;
pub(super) mod reasons;
pub(super) mod remarks;
pub(super) mod responsible;
pub(super) mod same_node;
pub(super) mod told;
