//! From a world to a plan: what has to change before its workloads may enter ambient mesh.
//!
//! Pure: the same analysis runs on a folder, on a cluster and on a recording. It knows nothing of
//! where objects come from, how a plan is shown, or how it is written.

mod analysis;
mod hazards;
mod limits;
mod object;
mod opening;
mod plan;
mod proof;
mod setting;
mod steps;
mod telling;
mod tunnel_port;

#[cfg(test)]
mod fixture;

use ipnet::IpNet;

use crate::model::World;
use crate::plan::Plan;

pub use setting::cni::{Cni, Detection, UnknownCni};
pub use setting::role::Role;
pub use setting::scope::{Membership, NamespaceState, Scope, ScopeOptions};

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
