//! A tunnel to look at: two relays, a server and a client on the loopback addresses of one machine,
//! with an authority that lives as long as they do.
//!
//! ```text
//! client ──► relay `web` ══ HBONE ══► relay `echo` ──► server
//!            relay `stranger` ══════════╳ (another trust domain)
//! ```
//!
//! They are the relays that carry a cluster's connections; what leads connections to them there is a
//! rule of the kernel, and here the client connects to them itself. It must not know how things are
//! shown.

mod checks;
mod ends;
mod mesh;
mod stand;
mod witness;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ambient_identity::{Authority, AuthorityError, Clock};
use ambient_runtime::drain::{Drain, Left};
use ambient_runtime::log::Log;
use ambient_runtime::tasks::{Panics, Tasks};
use tokio::time::Instant;

use self::mesh::{Mesh, ROLES, Role};
use self::stand::{Stand, Surroundings};

pub use self::checks::Check;
pub use self::ends::Memory;

/// The longest that connections are waited for at the end.
const GRACE: Duration = Duration::from_secs(5);

/// The demonstration cannot be set up here.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// An address of the loopback network is not to be had.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// Which.
        address: IpAddr,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// Nothing gets there.
    #[error("cannot connect to `{address}`")]
    Reach {
        /// Which.
        address: IpAddr,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The authority cannot be made.
    #[error("the certificate authority cannot be made")]
    Authority(#[from] AuthorityError),
    /// A bug of ours, or a system that lets nothing be done.
    #[error("{what}")]
    Broken {
        /// What does not work.
        what: &'static str,
        /// Why.
        #[source]
        error: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A relay of the demonstration, and where it is to be found.
#[derive(Debug, Clone)]
pub struct Place {
    /// The workload that it works for, as `NAMESPACE/NAME`.
    pub workload: String,
    /// Who that is.
    pub identity: String,
    /// Where its clients connect, if it takes connections of its workload.
    pub outbound: Option<SocketAddr>,
    /// Where it takes tunnels, if it does.
    pub tunnel: Option<SocketAddr>,
    /// Its metrics, configuration, readiness and log level.
    pub admin: SocketAddr,
}

/// Everything at work. When it is dropped it ends at once; [`Demo::end`] lets connections finish.
#[derive(Debug)]
pub struct Demo {
    web: Stand,
    echo: Stand,
    stranger: Stand,
    memory: Memory,
    drain: Drain,
    panics: Panics,
    _server: Tasks,
}

impl Demo {
    /// Sets everything up. Lines of the log come to `memory` as well, where they are looked for.
    ///
    /// # Errors
    ///
    /// When an address of the loopback network is not to be had, or something does not work at all.
    pub async fn start(log: &Log, memory: Memory) -> Result<Self, DemoError> {
        let authority = Arc::new(Authority::generate(
            "kubectl-ambient demo",
            Clock::system(),
        )?);
        let panics = Panics::default();
        let (drain, draining) = Drain::new();
        let server = Tasks::new(&panics);
        let echo_at = ends::serve(&server, Role::Echo.address()).await?;
        let tunnel = stand::reserve(Role::Echo).await?;
        let mesh = Mesh::new(echo_at, tunnel.address()?)?;
        let surroundings = Surroundings {
            mesh: &mesh,
            authority: &authority,
            draining: &draining,
            panics: &panics,
            log,
        };
        let [web, echo, stranger] = ROLES;
        let echo = Stand::start(&surroundings, echo, Some(tunnel)).await?;
        Ok(Self {
            web: Stand::start(&surroundings, web, None).await?,
            echo,
            stranger: Stand::start(&surroundings, stranger, None).await?,
            memory,
            drain,
            panics,
            _server: server,
        })
    }

    /// The relays, in the order in which a connection passes them.
    pub fn places(&self) -> [Place; 3] {
        [&self.web, &self.echo, &self.stranger].map(Stand::place)
    }

    /// Where a connection goes into the tunnel: what is sent there comes back.
    pub fn entrance(&self) -> Option<SocketAddr> {
        self.web.outbound()
    }

    /// Sends a few octets through the tunnel.
    ///
    /// # Errors
    ///
    /// When they do not come back.
    pub async fn send_a_little(&self) -> Result<(), String> {
        let sent = ends::exchange(self.entrance(), b"still here\n").await;
        sent.map(|_| ())
    }

    /// Ends everything, connections that are open last. Tells who was left when that took too long.
    pub async fn end(self) -> Left {
        self.drain.start(Instant::now() + GRACE).await
    }
}
