//! Who there is, and what each relay knows of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ambient_ztunnel::relay::Known;
use ambient_ztunnel::snapshot::Snapshot;

use super::DemoError;

/// The three workloads.
pub(super) const ROLES: [Role; 3] = [Role::Web, Role::Echo, Role::Stranger];

/// The trust domain of the mesh.
const DOMAIN: &str = ambient_facts::namespaces::TRUST_DOMAIN;

/// The trust domain of the stranger.
const ELSEWHERE: &str = "elsewhere.example";

/// The virtual address of the service, which nobody has.
pub(super) const SERVICE: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 100)), 80);

/// A workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The client's.
    Web,
    /// The server's.
    Echo,
    /// Of another trust domain.
    Stranger,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Echo => "echo",
            Self::Stranger => "stranger",
        }
    }

    /// Each has an address of its own, so that they are told apart as pods are.
    pub(super) fn address(self) -> IpAddr {
        let last = match self {
            Self::Web => 2,
            Self::Echo => 3,
            Self::Stranger => 4,
        };
        IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
    }

    fn domain(self) -> &'static str {
        match self {
            Self::Web | Self::Echo => DOMAIN,
            Self::Stranger => ELSEWHERE,
        }
    }
}

/// What all relays know.
#[derive(Debug)]
pub(super) struct Mesh {
    snapshot: Snapshot,
    tunnel_port: u16,
}

impl Mesh {
    pub(super) fn new(server: SocketAddr, tunnel: SocketAddr) -> Result<Self, DemoError> {
        let snapshot = Snapshot::from_yaml("demo.yaml".as_ref(), &yaml(server));
        Ok(Self {
            snapshot: snapshot.map_err(|error| DemoError::Broken {
                what: "the mesh of the demonstration is not understood",
                error: error.into(),
            })?,
            tunnel_port: tunnel.port(),
        })
    }

    /// What the relay of a workload knows.
    pub(super) fn known(&self, role: Role) -> Result<Known, DemoError> {
        let broken = |error: Box<dyn std::error::Error + Send + Sync>| DemoError::Broken {
            what: "the mesh of the demonstration is not whole",
            error,
        };
        let name = format!("demo/{0}/{0}", role.name());
        let name = name.parse().map_err(|error| broken(Box::new(error)))?;
        let known = Known::new(self.snapshot.clone(), &name);
        let mut known = known.map_err(|error| broken(Box::new(error)))?;
        // A real one has a port that is the same everywhere, which may be taken on this machine.
        known.here.tunnel_port = self.tunnel_port;
        known.here.refused.insert(self.tunnel_port);
        Ok(known)
    }
}

/// The mesh as a file of it would be written.
fn yaml(server: SocketAddr) -> String {
    let workloads = ROLES.map(|role| {
        let (name, address, domain) = (role.name(), role.address(), role.domain());
        let services = match role {
            Role::Echo => format!("demo/echo.demo.svc.{DOMAIN}: {{80: {}}}", server.port()),
            Role::Web | Role::Stranger => String::new(),
        };
        format!(
            "- {{uid: demo//Pod/demo/{name}, name: {name}, namespace: demo, serviceAccount: {name}, \
             trustDomain: {domain}, protocol: HBONE, workloadIps: [{address}], workloadName: {name}, \
             canonicalName: {name}, canonicalRevision: latest, clusterId: demo, \
             services: {{{services}}}}}\n"
        )
    });
    let (address, port) = (SERVICE.ip(), SERVICE.port());
    format!(
        "workloads:\n{}services:\n- {{name: echo, namespace: demo, hostname: echo.demo.svc.{DOMAIN}, \
         vips: [/{address}], ports: {{{port}: {}}}}}\n",
        workloads.concat(),
        server.port()
    )
}
