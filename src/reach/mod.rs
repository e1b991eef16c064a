//! Who can reach whom: the connections of a world as people read them, in plaintext or through the
//! tunnel, and why.
//!
//! The module shows the world as it is. What is to change is the planner's business.

mod explain;
mod list;
mod view;

pub use explain::{Explanation, RuleUse, Side, UnknownParty, explain};
pub use list::{Connection, Connectivity, Difference, Differences, connectivity, difference};

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
