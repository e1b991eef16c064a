//! Who can reach whom: the connections of a world as people read them, in plaintext or through the
//! tunnel, and why.
//!
//! The module shows the world as it is. What is to change is the planner's business.

mod authorized;
mod explain;
mod list;
mod party;
mod silent;
#[cfg(test)]
mod tests;
mod view;

pub use explain::{Explanation, RuleUse, Side, explain};
pub use list::{Connection, Connectivity, Difference, Differences, connectivity, difference};
pub use party::Unclear;

use ipnet::IpNet;

/// How a world is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lens {
    /// How connections travel.
    pub mode: Mode,
    /// Ranges that pods get their addresses from; empty means that they are not known.
    pub pod_ranges: Vec<IpNet>,
}

impl From<Mode> for Lens {
    fn from(mode: Mode) -> Self {
        Self {
            mode,
            pod_ranges: Vec::new(),
        }
    }
}

/// How connections travel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Nobody is enrolled: the network policies see the real ports.
    #[default]
    Plaintext,
    /// Everybody who can be is enrolled: TCP between them goes through the tunnel, where
    /// AuthorizationPolicies decide.
    Tunnel,
}
