//! What the tunnel may carry, kept by authorization policies.

pub(super) mod restore;
pub(super) mod selectors;
