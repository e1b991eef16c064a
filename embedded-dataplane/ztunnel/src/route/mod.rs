//! Where a connection goes: one pure function of what is known.
//!
//! What ztunnel decides is decided alike (its `src/proxy/{outbound,inbound,inbound_passthrough}.rs`),
//! as far as it is about workloads and services; what it decides about waypoints, other networks and
//! policies joins here.

mod inbound;
mod outbound;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ambient_facts::ports::REFUSED;
use ambient_hbone::authority::Target;
use ambient_hbone::server;
use ambient_identity::SpiffeId;

use crate::address::canonical;
use crate::snapshot::{Service, Snapshot, Workload};

/// For whom a relay works, and what it listens on itself.
#[derive(Debug, Clone)]
pub struct Here {
    /// The workload.
    pub own: Arc<Workload>,
    /// The port that other relays take tunnels on.
    pub tunnel_port: u16,
    /// Ports that lead to the relay itself, and so are no destinations.
    pub refused: BTreeSet<u16>,
}

impl Here {
    /// A relay for a workload, with the ports of ambient mesh.
    pub fn of(own: Arc<Workload>) -> Self {
        Self {
            own,
            tunnel_port: ambient_facts::ports::HBONE,
            refused: REFUSED.into(),
        }
    }
}

/// A connection that came, and waits to be told where it goes.
#[derive(Debug, Clone)]
pub enum Arrival<'c> {
    /// From the workload itself.
    Outbound {
        /// Where it wanted to go.
        destination: SocketAddr,
        /// Any number: which of several endpoints is taken.
        draw: u64,
    },
    /// From somewhere to the workload, in the clear.
    Plaintext {
        /// Who connects.
        source: SocketAddr,
        /// Where it wanted to go.
        destination: SocketAddr,
    },
    /// From somewhere to the workload, through a tunnel.
    Tunnel {
        /// Who connects.
        source: SocketAddr,
        /// The relay's own end of the connection below the tunnel.
        local: SocketAddr,
        /// Where the tunnel is to lead.
        target: &'c Target,
        /// The service that the client says it connected to.
        host: Option<&'c str>,
    },
}

/// Where a connection goes, and what is known of its ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Where it goes.
    pub way: Result<Way, Refusal>,
    /// The workload at the other end, where one is known: of an outbound connection the server, of
    /// the others the client.
    pub other: Option<Arc<Workload>>,
    /// The service that was asked for, where it is known.
    pub service: Option<Arc<Service>>,
}

/// How a connection gets where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// In the clear, to this address.
    Plain(SocketAddr),
    /// Through HBONE.
    Tunnel(Through),
}

/// A way through a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Through {
    /// Where the tunnel ends.
    pub relay: SocketAddr,
    /// Where it is to lead from there.
    pub target: Target,
    /// Who may be at its end: any of these.
    pub expected: Arc<BTreeSet<SpiffeId>>,
}

/// Why a connection goes nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is for the relay itself.
    #[error("attempted recursive call to ourselves")]
    Loop,
    /// No workload behind the service is there for it.
    #[error("no healthy upstream: {0}")]
    NoUpstream(SocketAddr),
    /// The workload is known, and not how to get there.
    #[error("no valid routing destination for workload: {0}")]
    NoWay(String),
    /// It came in the clear for an address that is not this workload's.
    #[error("not for this workload: {0}")]
    Elsewhere(SocketAddr),
    /// The tunnel is to lead to an address that is not this workload's.
    #[error("ip mismatch: {here} != {asked}")]
    Mismatch {
        /// The relay's own.
        here: IpAddr,
        /// The one that the client asked for.
        asked: IpAddr,
    },
    /// Nothing is known by that name.
    #[error("no service or workload for hostname: {0}")]
    UnknownHost(String),
    /// The service is known, and none of its ports is that one.
    #[error("requested service {host}:{port} found, but cannot resolve port")]
    UnknownPort {
        /// The name of the service.
        host: String,
        /// The port that was asked for.
        port: u16,
    },
}

impl Refusal {
    /// What the client of a tunnel is told.
    pub fn answer(&self) -> server::Refusal {
        match self {
            Self::Mismatch { .. } => server::Refusal::BadRequest,
            _ => server::Refusal::Unavailable,
        }
    }
}

/// Decides where a connection goes.
pub fn route(snapshot: &Snapshot, here: &Here, arrival: &Arrival<'_>) -> Decision {
    match arrival {
        Arrival::Outbound { destination, draw } => {
            outbound::route(snapshot, here, canonical(*destination), *draw)
        }
        Arrival::Plaintext {
            source,
            destination,
        } => inbound::plaintext(snapshot, here, *source, canonical(*destination)),
        Arrival::Tunnel {
            source,
            local,
            target,
            host,
        } => inbound::Asked {
            local: canonical(*local),
            target,
            host: *host,
        }
        .route(snapshot, here, *source),
    }
}

#[cfg(test)]
mod tests;
