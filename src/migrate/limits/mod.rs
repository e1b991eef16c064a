//! What the tunnel may carry, kept by authorization policies.

mod earlier;
pub(super) mod restore;
pub(super) mod selectors;
