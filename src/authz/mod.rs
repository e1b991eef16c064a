//! AuthorizationPolicy as the L4 dataplane enforces it, and how port limits are written as one.
//!
//! [`Selected`] decides like ztunnel or Envoy, for everybody and all ports at once; [`encode`]
//! writes the rules that keep tunnelled traffic to given ports. The module knows port sets, not
//! network policies.

mod crowd;
mod decide;
mod demand;
mod encode;
mod matching;
mod party;
mod places;
mod policies;
#[cfg(test)]
mod tests;

pub use crowd::Crowd;
pub use decide::{Allowance, Decision, Selected, selects};
pub use demand::{Demand, disjoint};
pub use encode::{Encoded, Mode, PORT_LIST_LIMIT, encode, is_listable};
pub use matching::{Enforcer, TrustDomain, principal};
pub use party::{Identity, Party};
pub use places::{Places, block};
pub use policies::Policies;
