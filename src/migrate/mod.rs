//! From a world to a plan: what has to change before its workloads may enter ambient mesh.
//!
//! Pure: the same analysis runs on a folder, on a cluster and on a recording. It knows nothing of
//! where objects come from, how a plan is shown, or how it is written.

mod analysis;
mod assumed;
mod attachment;
mod authorizer;
mod causes;
mod cni;
mod compare;
mod demands;
mod differences;
mod governing;
mod hazards;
mod imagine;
mod isolated;
mod later;
mod naming;
mod newcomers;
mod newly;
mod object;
mod opening;
mod outcome;
mod outward;
mod overlaps;
mod pairs;
mod peering;
mod plan;
mod probes;
mod reasons;
mod relations;
mod remarks;
mod responsible;
mod restore;
mod role;
mod same_node;
mod scope;
mod selecting;
mod selectors;
mod serving;
mod setting;
mod sidecars;
mod steps;
mod strangers;
mod told;
mod tunnel_port;
mod unplaced;
mod unread;
mod via;
mod waypoints;
mod ways;

#[cfg(test)]
mod fixture;

use ipnet::IpNet;

use crate::model::World;
use crate::plan::Plan;

pub use cni::{Cni, Detection, UnknownCni};
pub use role::Role;
pub use scope::{Membership, NamespaceState, Scope, ScopeOptions};

/// What the user asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Namespaces to enrol; empty means all but system namespaces.
    pub namespaces: Vec<String>,
    /// Namespaces to leave out.
    pub exclude: Vec<String>,
    /// Waypoints that are going to be there.
    pub waypoints: Vec<WaypointRequest>,
    /// Ranges that pods get their addresses from; empty means that they are not known.
    pub pod_ranges: Vec<IpNet>,
    /// The network plugin; `None` means to look for it in the world.
    pub cni: Option<Cni>,
    /// How port limits are put back.
    pub authz: AuthzMode,
    /// How policies are changed.
    pub strategy: Strategy,
    /// Whether namespace labels are among the changes.
    pub enroll: bool,
}

/// A planned waypoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WaypointRequest {
    /// Name of the Gateway.
    pub name: String,
    /// Namespace it serves and lives in; `None` means one in every enrolled namespace.
    pub namespace: Option<String>,
}

/// How port limits are put back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuthzMode {
    /// DENY policies: they add to whatever else is there.
    #[default]
    Deny,
    /// ALLOW policies where no other ALLOW policy selects the workload, else DENY.
    Allow,
    /// Not at all.
    None,
}

/// How network policies are changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
    /// Insert into the policies.
    #[default]
    Edit,
    /// Leave them as they are and add others beside them.
    Companion,
}

/// Plans the move of a world to ambient mesh.
pub fn plan(world: &World, options: &Options) -> Plan {
    plan::assemble(world, options)
}
