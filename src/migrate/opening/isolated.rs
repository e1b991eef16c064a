//! Network policies for waypoints that people's policies isolate: they are let out and in.

use std::collections::{BTreeMap, BTreeSet};

use ambient_facts::{labels, namespaces, ports};

use super::via::{servers, tcp_ports};
use super::{Added, Purpose};
use crate::migrate::object;
use crate::migrate::setting::Setting;
use crate::migrate::setting::serving::{Serving, pod_labels};
use crate::migrate::tunnel_port::tunnel_port;
use crate::model::{
    LabelSelector, Labels, NetworkPolicy, ObjectRef, Operator, Origin, Peer, PortMatch, PortRule,
    Protocol, Requirement, Rule,
};
use crate::netpol::{Direction, PortSet};

/// Policies for waypoints that are isolated themselves.
pub(crate) fn policies(setting: &Setting<'_>) -> Vec<Added> {
    let mut added = Vec::new();
    for (place, waypoint) in setting.waypoints.all.iter().enumerate() {
        added.extend(isolated(setting, place, waypoint).iter().map(|isolated| {
            let by = &isolated.by.meta;
            Added {
                policy: policy_of(setting, place, waypoint, isolated),
                beside: by.origin.clone(),
                reason: format!(
                    "the waypoint is isolated by `{}`: let its clients in and let it reach its servers",
                    by.name
                ),
                purpose: Purpose::Service,
                accompanies: None,
                replaces: None,
            }
        }));
    }
    added
}

/// Pods of a waypoint that policies of people isolate.
struct Isolated<'s> {
    by: &'s NetworkPolicy,
    /// These are only those of its pods that the policy selects.
    some: bool,
    directions: Vec<Direction>,
}

/// The pods of a waypoint that are isolated: all of them at once where all are. A policy of ours for
/// pods that are not would isolate them.
fn isolated<'s>(setting: &'s Setting<'_>, place: usize, waypoint: &Serving) -> Vec<Isolated<'s>> {
    let pods =
        (0..setting.world.workloads.len()).filter(|&w| setting.waypoint_at(w) == Some(place));
    let pods = pods.filter_map(|w| setting.world.workloads.get(w));
    let pods: Vec<&Labels> = pods.map(|w| &w.pod.labels).collect();
    let mut found: Vec<Isolated<'s>> = Vec::new();
    for direction in Direction::BOTH {
        let policies = setting.world.network_policies_of_people().filter(|p| {
            p.meta.namespace == waypoint.namespace
                && direction.isolated_by(p)
                && pods.iter().any(|labels| p.pod_selector.matches(labels))
        });
        let mut policies: Vec<&NetworkPolicy> = policies.collect();
        let is_isolated =
            |labels: &&Labels| policies.iter().any(|p| p.pod_selector.matches(labels));
        let some = !pods.iter().all(is_isolated);
        if !some {
            policies.truncate(1);
        }
        for by in policies {
            let known = found
                .iter_mut()
                .find(|i| i.some == some && (!some || std::ptr::eq(i.by, by)));
            match known {
                Some(known) => known.directions.push(direction),
                None => found.push(Isolated {
                    by,
                    some,
                    directions: vec![direction],
                }),
            }
        }
    }
    found
}

fn policy_of(
    setting: &Setting<'_>,
    place: usize,
    waypoint: &Serving,
    isolated: &Isolated<'_>,
) -> NetworkPolicy {
    let of = ObjectRef::namespaced(&waypoint.namespace, "Gateway", &waypoint.name);
    let by = isolated.by;
    let mut pod_selector = LabelSelector::default();
    let mut name = waypoint.name.clone();
    if isolated.some {
        pod_selector = by.pod_selector.clone();
        name = format!("{name}-{}", by.meta.name);
    }
    // It selects pods of the waypoint, so it asks for no other value of these.
    pod_selector.match_labels.extend(pod_labels(&waypoint.name));
    let ingress = isolated.directions.contains(&Direction::Ingress);
    let egress = isolated.directions.contains(&Direction::Egress);
    let mut mesh: BTreeSet<String> = BTreeSet::new();
    let mut plain: BTreeMap<String, PortSet> = BTreeMap::new();
    for server in servers(setting, place) {
        let Some(workload) = setting.world.workloads.get(server.workload) else {
            continue;
        };
        let namespace = workload.meta.namespace.clone();
        if server.plain {
            let ports = plain.entry(namespace).or_default();
            *ports = ports.union(&server.ports);
        } else {
            mesh.insert(namespace);
        }
    }
    let clients: BTreeSet<String> = (0..setting.world.workloads.len())
        .filter(|&w| setting.role(w).sends && setting.waypoint_at(w).is_none())
        .filter_map(|w| setting.world.workloads.get(w))
        .map(|w| w.meta.namespace.clone())
        .collect();
    let (nameless, clients): (BTreeSet<String>, BTreeSet<String>) = clients
        .into_iter()
        .partition(|name| setting.nameless.contains(name));
    let mut peers: Vec<Peer> = Vec::new();
    if !clients.is_empty() {
        peers.push(in_namespaces(clients));
    }
    peers.extend(nameless.iter().map(|name| by_labels(setting, name)));
    let tcp = |port| PortRule {
        protocol: Protocol::Tcp,
        port: PortMatch::Range(port, port),
    };
    let udp = |port| PortRule {
        protocol: Protocol::Udp,
        port: PortMatch::Range(port, port),
    };
    let system = |name: &str| BTreeSet::from([name.to_owned()]);
    let rule = |peers: Peer, ports: Vec<PortRule>| Rule {
        peers: vec![peers],
        ports,
        line: 0,
    };
    let mut policy = NetworkPolicy {
        meta: object::companion_meta(&by.meta, object::derived_name(&name, "hbone"), &of),
        pod_selector,
        isolates_ingress: ingress,
        isolates_egress: egress,
        ingress: Vec::new(),
        egress: Vec::new(),
    };
    if ingress && !peers.is_empty() {
        policy.ingress.push(Rule {
            peers,
            ports: vec![tunnel_port()],
            line: 0,
        });
    }
    if egress {
        if !mesh.is_empty() {
            let servers = rule(in_namespaces(mesh), vec![tunnel_port()]);
            policy.egress.push(servers);
        }
        for (namespace, ports) in plain.into_iter().filter(|(_, p)| !p.is_empty()) {
            let servers = in_namespaces(BTreeSet::from([namespace]));
            policy.egress.push(rule(servers, tcp_ports(&ports)));
        }
        policy.egress.extend([
            rule(
                in_namespaces(setting.world.mesh.homes()),
                vec![tcp(ports::CONTROL_PLANE)],
            ),
            rule(
                in_namespaces(system(namespaces::NEVER_CAPTURED)),
                vec![udp(ports::DNS), tcp(ports::DNS)],
            ),
        ]);
    }
    policy
}

/// Every pod of some namespaces.
fn in_namespaces(names: BTreeSet<String>) -> Peer {
    let selector = if names.len() == 1 {
        LabelSelector::labels(names.into_iter().map(|n| (labels::NAMESPACE_NAME, n)))
    } else {
        let requirement = Requirement {
            key: labels::NAMESPACE_NAME.to_owned(),
            operator: Operator::In(names),
        };
        LabelSelector {
            match_expressions: vec![requirement],
            ..Default::default()
        }
    };
    Peer::Pods {
        namespaces: Some(selector),
        pods: None,
    }
}

/// Every pod of the namespaces that one without a known name stands for.
fn by_labels(setting: &Setting<'_>, name: &str) -> Peer {
    let mut selector = LabelSelector::default();
    if let Some(namespace) = setting.world.namespaces.get(name) {
        let labels = namespace.meta.labels.iter();
        let labels = labels.filter(|(key, value)| {
            // A name that was made up is none.
            key.as_str() != labels::NAMESPACE_NAME || value.as_str() != name
        });
        selector.match_labels = labels.map(|(k, v)| (k.clone(), v.clone())).collect();
    }
    Peer::Pods {
        namespaces: Some(selector),
        pods: None,
    }
}

/// The origin that objects for a waypoint go beside when no policy is at hand.
pub(crate) fn origin_of(setting: &Setting<'_>, waypoint: &Serving) -> Origin {
    let gateway = setting
        .world
        .gateways
        .iter()
        .find(|g| g.meta.namespace == waypoint.namespace && g.meta.name == waypoint.name);
    let service = || {
        let mut services = setting.world.services.iter();
        services
            .find(|s| s.meta.namespace == waypoint.namespace)
            .map(|s| s.meta.origin.clone())
    };
    gateway
        .map(|g| g.meta.origin.clone())
        .or_else(service)
        .unwrap_or_else(Origin::synthetic)
}
