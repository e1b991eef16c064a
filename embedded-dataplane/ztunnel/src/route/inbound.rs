//! Connections to the workload.

use std::net::SocketAddr;
use std::sync::Arc;

use ambient_hbone::authority::{Host, Target};

use super::{Decision, Here, Refusal, Way};
use crate::snapshot::{Service, Snapshot};

/// In the clear: where it wanted to go, if that is here. Whatever else rules or routes lead here was
/// never meant for this workload, and would go on in its name.
pub(super) fn plaintext(
    snapshot: &Snapshot,
    here: &Here,
    source: SocketAddr,
    destination: SocketAddr,
) -> Decision {
    let service = guess(here, snapshot, None, destination.port());
    Decision {
        way: allowed(here, destination).and_then(|way| {
            let is_own = here.own.addresses.contains(&destination.ip());
            is_own.then_some(way).ok_or(Refusal::Elsewhere(destination))
        }),
        other: client(snapshot, here, source),
        service,
    }
}

/// What the client of a tunnel asks for.
pub(super) struct Asked<'c> {
    pub(super) local: SocketAddr,
    pub(super) target: &'c Target,
    pub(super) host: Option<&'c str>,
}

impl Asked<'_> {
    /// Always to this workload: only the port is the client's to choose.
    pub(super) fn route(&self, snapshot: &Snapshot, here: &Here, source: SocketAddr) -> Decision {
        let (port, asked) = match self.target {
            Target::Address(address) => (self.port(*address), None),
            Target::Host(host) => {
                let service = snapshot.service_named(host.name(), &here.own.name.namespace);
                (port(here, service, host), service.cloned())
            }
        };
        let address = port.map(|port| SocketAddr::new(self.local.ip(), port));
        let way = address.and_then(|address| allowed(here, address));
        let told = || match &way {
            Ok(Way::Plain(address)) => guess(here, snapshot, self.host, address.port()),
            _ => None,
        };
        let service = asked.or_else(told);
        Decision {
            way,
            other: client(snapshot, here, source),
            service,
        }
    }

    fn port(&self, address: SocketAddr) -> Result<u16, Refusal> {
        let asked = address.ip().to_canonical();
        if asked == self.local.ip() {
            return Ok(address.port());
        }
        Err(Refusal::Mismatch {
            here: self.local.ip(),
            asked,
        })
    }
}

/// The port of this workload that a service's port stands for.
fn port(here: &Here, service: Option<&Arc<Service>>, host: &Host) -> Result<u16, Refusal> {
    let Some(service) = service else {
        return Err(Refusal::UnknownHost(host.name().to_owned()));
    };
    let own = (service.endpoints.iter()).find(|e| e.workload.uid == here.own.uid);
    let port = service.target_port(host.port(), own);
    port.ok_or_else(|| Refusal::UnknownPort {
        host: host.name().to_owned(),
        port: host.port(),
    })
}

/// Anything but the relay's own ports: it would end up here again.
fn allowed(here: &Here, address: SocketAddr) -> Result<Way, Refusal> {
    if here.refused.contains(&address.port()) {
        return Err(Refusal::Loop);
    }
    Ok(Way::Plain(address))
}

fn client(
    snapshot: &Snapshot,
    here: &Here,
    source: SocketAddr,
) -> Option<Arc<crate::snapshot::Workload>> {
    let found = snapshot.workload_at(&here.own.network, source.ip());
    found.cloned()
}

/// The service of this workload that a client meant: the one that it names, or else the one that
/// leads to the port.
fn guess(here: &Here, snapshot: &Snapshot, host: Option<&str>, port: u16) -> Option<Arc<Service>> {
    let own = snapshot.services_of(&here.own.uid);
    let named = own
        .iter()
        .find(|service| Some(service.hostname.as_str()) == host);
    let leads = |service: &&Arc<Service>| {
        let mut endpoints = service.endpoints.iter();
        let own = endpoints.find(|e| e.workload.uid == here.own.uid);
        let mut ports = service.ports.keys();
        ports.any(|from| service.target_port(*from, own) == Some(port))
    };
    named.or_else(|| own.iter().find(leads)).cloned()
}
