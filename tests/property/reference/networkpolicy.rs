//! NetworkPolicy v1, as the Kubernetes API reference describes it.

use std::net::IpAddr;

use kubectl_ambient::model::{NetworkPolicy, Peer, PortMatch, PortRule, Rule, World};

use super::{Party, Pod, Port, selects};

/// Direction of a rule, as seen from the pod that a policy selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Ingress,
    Egress,
}

/// Whether the network policies let a connection pass: the source must be allowed to send it, and
/// the destination to receive it.
pub(crate) fn plaintext(
    world: &World,
    source: Party<'_>,
    destination: Party<'_>,
    port: Port,
) -> bool {
    let sent = match source {
        Party::External(_) => true,
        Party::Pod(pod) => allowed(
            world,
            Direction::Egress,
            pod,
            destination,
            destination,
            port,
        ),
    };
    sent && received(world, source, destination, port)
}

/// Whether the network policies let the destination receive a connection, whatever they let the source
/// send.
pub(crate) fn received(
    world: &World,
    source: Party<'_>,
    destination: Party<'_>,
    port: Port,
) -> bool {
    match destination {
        Party::External(_) => true,
        Party::Pod(pod) => allowed(world, Direction::Ingress, pod, source, destination, port),
    }
}

/// Whether any policy isolates a pod in a direction.
pub(crate) fn isolated(world: &World, direction: Direction, pod: &Pod) -> bool {
    isolating(world, direction, pod).next().is_some()
}

/// Whether the policies of one direction allow: not isolated, or any rule of any policy allows.
fn allowed(
    world: &World,
    direction: Direction,
    subject: &Pod,
    peer: Party<'_>,
    destination: Party<'_>,
    port: Port,
) -> bool {
    let mut is_isolated = false;
    for policy in isolating(world, direction, subject) {
        is_isolated = true;
        let rules = match direction {
            Direction::Ingress => &policy.ingress,
            Direction::Egress => &policy.egress,
        };
        let namespace = &policy.meta.namespace;
        // Ports are looked at first because that is quick: millions of flows are asked for.
        let mut rules = rules.iter();
        if rules.any(|rule| {
            rule_has_port(rule, destination, port) && rule_has_peer(namespace, rule, peer)
        }) {
            return true;
        }
    }
    !is_isolated
}

/// The policies that select a pod and isolate it in a direction. Pods on the host network are not
/// selectable.
pub(crate) fn isolating<'w>(
    world: &'w World,
    direction: Direction,
    pod: &Pod,
) -> impl Iterator<Item = &'w NetworkPolicy> {
    world.network_policies.iter().filter(move |policy| {
        let isolates = match direction {
            Direction::Ingress => policy.isolates_ingress,
            Direction::Egress => policy.isolates_egress,
        };
        isolates
            && !pod.host_network
            && policy.meta.namespace == pod.namespace
            && selects(&policy.pod_selector, &pod.labels)
    })
}

/// No peers: any peer. Else any of them.
fn rule_has_peer(policy_namespace: &str, rule: &Rule, party: Party<'_>) -> bool {
    if rule.peers.is_empty() {
        return true;
    }
    rule.peers.iter().any(|peer| match party {
        Party::Pod(pod) => is_peer(policy_namespace, peer, pod),
        Party::External(address) => in_block(peer, Some(address)),
    })
}

/// Whether a peer of a rule matches a pod.
pub(crate) fn is_peer(policy_namespace: &str, peer: &Peer, pod: &Pod) -> bool {
    let Peer::Pods { namespaces, pods } = peer else {
        return in_block(peer, pod.address);
    };
    let right_namespace = match namespaces {
        None => pod.namespace == policy_namespace,
        Some(selector) => selects(selector, &pod.namespace_labels),
    };
    let right_pod = match pods {
        None => true,
        Some(selector) => selects(selector, &pod.labels),
    };
    let matched = !pod.host_network || pod.matched_on_host;
    matched && right_namespace && right_pod
}

fn in_block(peer: &Peer, address: Option<IpAddr>) -> bool {
    match (peer, address) {
        (Peer::Block { cidr, except }, Some(address)) => {
            contains(*cidr, address) && !except.iter().any(|e| contains(*e, address))
        }
        _ => false,
    }
}

/// No ports: every port of every protocol. Else any of them.
fn rule_has_port(rule: &Rule, destination: Party<'_>, port: Port) -> bool {
    if rule.ports.is_empty() {
        return true;
    }
    rule.ports.iter().any(|entry| {
        let PortRule {
            protocol,
            port: which,
        } = entry;
        let right_number = match which {
            PortMatch::All => true,
            PortMatch::Range(first, last) => *first <= port.number && port.number <= *last,
            // A name means what the destination's containers call by it; other destinations have
            // no such port.
            PortMatch::Name(name) => match destination {
                Party::External(_) => false,
                Party::Pod(pod) => pod.ports.iter().any(|declared| {
                    declared.name == *name
                        && declared.protocol == port.protocol
                        && declared.number == port.number
                }),
            },
        };
        *protocol == port.protocol && right_number
    })
}

/// Whether a block holds an address: the leading bits are equal.
fn contains(block: ipnet::IpNet, address: IpAddr) -> bool {
    match (block.addr(), address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            let differing = u32::from(base) ^ u32::from(address);
            differing.leading_zeros() >= u32::from(block.prefix_len())
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            let differing = u128::from(base) ^ u128::from(address);
            differing.leading_zeros() >= u32::from(block.prefix_len())
        }
        _ => false,
    }
}
