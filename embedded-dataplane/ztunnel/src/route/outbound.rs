//! Connections from the workload.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ambient_hbone::authority::Target;

use super::{Decision, Here, Refusal, Through, Way};
use crate::snapshot::{Protocol, Service, Snapshot, Workload};

pub(super) fn route(
    snapshot: &Snapshot,
    here: &Here,
    destination: SocketAddr,
    draw: u64,
) -> Decision {
    let own = here.own.addresses.contains(&destination.ip()) || destination.ip().is_loopback();
    if own && here.refused.contains(&destination.port()) {
        return Decision {
            way: Err(Refusal::Loop),
            other: None,
            service: None,
        };
    }
    let network = &here.own.network;
    if let Some(service) = snapshot.service_at(network, destination.ip()) {
        return to_service(here, service, destination, draw);
    }
    let workload = snapshot.workload_at(network, destination.ip());
    Decision {
        way: match workload {
            Some(workload) => to_workload(here, workload, None, destination),
            // Whatever is outside of the mesh.
            None => Ok(Way::Plain(destination)),
        },
        other: workload.cloned(),
        service: None,
    }
}

fn to_service(here: &Here, service: &Arc<Service>, destination: SocketAddr, draw: u64) -> Decision {
    let port = destination.port();
    let fit = (service.endpoints.iter())
        .filter_map(|endpoint| Some((endpoint, service.target_port(port, Some(endpoint))?)));
    let count = u64::try_from(fit.clone().count()).unwrap_or(u64::MAX);
    let drawn = draw
        .checked_rem(count)
        .and_then(|n| usize::try_from(n).ok());
    let Some((endpoint, target_port)) = drawn.and_then(|n| fit.clone().nth(n)) else {
        return Decision {
            way: Err(Refusal::NoUpstream(destination)),
            other: None,
            service: Some(Arc::clone(service)),
        };
    };
    let workload = &endpoint.workload;
    let way = match address(workload, destination.ip()) {
        Some(address) => {
            let address = SocketAddr::new(address, target_port);
            to_workload(here, workload, Some(service), address)
        }
        None => Err(Refusal::NoWay(workload.uid.clone())),
    };
    Decision {
        way,
        other: Some(Arc::clone(workload)),
        service: Some(Arc::clone(service)),
    }
}

/// The address of a workload that is of the same family as the one that was asked for, or else the
/// first.
fn address(workload: &Workload, asked: IpAddr) -> Option<IpAddr> {
    let mut addresses = workload.addresses.iter();
    let same = addresses.clone().find(|a| a.is_ipv4() == asked.is_ipv4());
    same.or_else(|| addresses.next()).copied()
}

fn to_workload(
    here: &Here,
    workload: &Workload,
    service: Option<&Service>,
    address: SocketAddr,
) -> Result<Way, Refusal> {
    if workload.network != here.own.network {
        return Err(Refusal::NoWay(workload.uid.clone()));
    }
    match workload.protocol {
        Protocol::Tcp => Ok(Way::Plain(address)),
        // A tunnel to where tunnels end would lead nowhere. It is what comes of a relay's own packets
        // that are led back to it.
        Protocol::Hbone if address.port() == here.tunnel_port => Err(Refusal::Loop),
        Protocol::Hbone => {
            let of_service = service.map_or(&[][..], |service| &service.identities);
            let identity = std::iter::once(&workload.identity);
            Ok(Way::Tunnel(Through {
                relay: SocketAddr::new(address.ip(), here.tunnel_port),
                target: Target::Address(address),
                expected: Arc::new(of_service.iter().chain(identity).cloned().collect()),
            }))
        }
    }
}
