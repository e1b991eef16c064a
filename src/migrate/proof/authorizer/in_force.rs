//! What may decide about connections to pods today, by what manifests say is there.

use crate::authz::{Allowance, Enforcer};
use crate::netpol::PortSet;

/// What decides about connections to pods today. One of several where the input does not tell which.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InForce {
    /// Nothing does.
    pub(super) nothing: bool,
    pub(super) sidecar: Option<Sidecar>,
    pub(super) tunnel: Option<TunnelEnd>,
}

/// A sidecar that enforces policies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sidecar {
    /// What the mode of mutual TLS leaves clients without an identity.
    pub(super) plaintext: Allowance,
    /// Where nobody has an identity, because mutual TLS is switched off.
    pub(super) unidentified: Allowance,
    /// Where the sidecars of clients present none.
    pub(super) not_presented: Allowance,
    /// What clients reach past it.
    pub(super) past: PortSet,
    /// Whether it takes the tunnel.
    pub(super) takes_tunnel: Option<bool>,
    /// Whether it stays, where the pods stay out of the mesh.
    pub(super) stays: bool,
}

/// A ztunnel or waypoint that enforces policies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TunnelEnd {
    pub(super) enforcer: Enforcer,
    pub(super) plaintext: Plaintext,
}

/// What becomes of connections in the clear, from clients without an identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Plaintext {
    /// Policies decide, and the mode of mutual TLS leaves them this at the most.
    Judged(Allowance),
    /// They go past it.
    Past,
    /// There are none.
    Never,
}
