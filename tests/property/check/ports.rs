//! Ports at which any decision can change: the ends of everything that names a port, and their
//! neighbours. Between two of these all ports are alike.

use std::collections::BTreeSet;

use kubectl_ambient::model::{PortMatch, Protocol, TargetPort, World};

use crate::reference::Port;

/// Every interesting port of a world, of all protocols.
pub(super) fn interesting(worlds: &[&World]) -> BTreeSet<Port> {
    Protocol::ALL
        .into_iter()
        .flat_map(|protocol| {
            let mut ends = BTreeSet::from([1, 65535]);
            for world in worlds {
                add_policies(world, protocol, &mut ends);
                add_endpoints(world, protocol, &mut ends);
            }
            if protocol == Protocol::Tcp {
                ends.extend([53, 15001, 15006, 15008, 15053, 15080]);
                for world in worlds {
                    add_authorization(world, &mut ends);
                    add_interception(world, &mut ends);
                    let peers = world.peer_authentications.iter();
                    ends.extend(peers.flat_map(|p| &p.ports).map(|(port, _)| *port));
                }
            }
            let around = |end: u16| [end.saturating_sub(1), end, end.saturating_add(1)];
            let numbers: BTreeSet<u16> = ends.into_iter().flat_map(around).collect();
            let ports = numbers.into_iter().filter(|&number| number > 0);
            ports.map(move |number| Port { protocol, number })
        })
        .collect()
}

fn add_policies(world: &World, protocol: Protocol, ends: &mut BTreeSet<u16>) {
    for policy in &world.network_policies {
        for rule in policy.ingress.iter().chain(&policy.egress) {
            for entry in rule.ports.iter().filter(|p| p.protocol == protocol) {
                if let PortMatch::Range(first, last) = entry.port {
                    ends.extend([first, last]);
                }
            }
        }
    }
}

fn add_endpoints(world: &World, protocol: Protocol, ends: &mut BTreeSet<u16>) {
    for workload in &world.workloads {
        let declared = workload.pod.ports.iter();
        ends.extend(
            declared
                .filter(|p| p.protocol == protocol)
                .map(|p| p.number),
        );
    }
    for service in &world.services {
        for port in service.ports.iter().filter(|p| p.protocol == protocol) {
            ends.insert(port.port);
            if let TargetPort::Number(number) = port.target {
                ends.insert(number);
            }
        }
    }
}

/// Ports that are excepted from what sidecars receive.
fn add_interception(world: &World, ends: &mut BTreeSet<u16>) {
    let annotations = world.workloads.iter().flat_map(|w| &w.pod.annotations);
    let lists = annotations.filter(|(key, _)| key.ends_with("InboundPorts"));
    let ports = lists.flat_map(|(_, list)| list.split(','));
    ends.extend(ports.filter_map(|port| port.trim().parse::<u16>().ok()));
}

fn add_authorization(world: &World, ends: &mut BTreeSet<u16>) {
    for policy in &world.authorization_policies {
        for rule in &*policy.rules {
            let operations = rule
                .to
                .iter()
                .flat_map(|o| o.ports.iter().chain(&o.not_ports));
            let conditions = rule
                .when
                .iter()
                .flat_map(|c| c.values.iter().chain(&c.not_values));
            ends.extend(
                operations
                    .chain(conditions)
                    .filter_map(|v| v.parse::<u16>().ok()),
            );
        }
    }
}
