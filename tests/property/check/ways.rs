//! The ways to pods that lead through waypoints.

use kubectl_ambient::model::{Labels, Protocol, Service, TargetPort};

use super::Case;
use crate::reference::{Asked, Pod, namespace_labels, waypoint_of};

/// A way to a pod through a waypoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    pub(super) gateway: (String, String),
    pub(super) service: Option<(String, String)>,
    pub(super) asked_port: u16,
    pub(super) target_port: u16,
    /// The pod is outside of the mesh.
    pub(super) plain: bool,
    /// The waypoint is there, and named by a label.
    pub(super) is_used_today: bool,
}

/// All ways to a pod through waypoints: by each port of each Service that selects it and has a
/// waypoint, and by its own address if its waypoint takes that.
pub(super) fn ways(case: &Case<'_>, to: &Pod, ports: &[u16], plain: bool) -> Vec<Way> {
    let mut ways = Vec::new();
    // The name of a headless Service is the pods' own addresses.
    let addressed = case.before.services.iter().filter(|s| !s.headless);
    for service in addressed.filter(|s| selected(s, to)) {
        let Some((gateway, is_used_today)) = waypoint_of_service(case, service) else {
            continue;
        };
        for (asked_port, target_port) in tcp_ports(service, to) {
            let meta = &service.meta;
            ways.push(Way {
                gateway: gateway.clone(),
                service: Some((meta.namespace.clone(), meta.name.clone())),
                asked_port,
                target_port,
                plain,
                is_used_today,
            });
        }
    }
    if let Some(gateway) = waypoint_of(case.before, &to.namespace, Asked::Pod(&to.labels)) {
        ways.extend(ports.iter().map(|&port| Way {
            gateway: gateway.clone(),
            service: None,
            asked_port: port,
            target_port: port,
            plain,
            is_used_today: true,
        }));
    }
    ways
}

/// The waypoint that serves a Service, and whether it does so already: the one that a label names, there already or planned; where
/// no label has a say, the one that is planned for the namespace.
fn waypoint_of_service(case: &Case<'_>, service: &Service) -> Option<((String, String), bool)> {
    let meta = &service.meta;
    if let Some(existing) = waypoint_of(case.before, &meta.namespace, Asked::Service(&meta.labels))
    {
        return Some((existing, true));
    }
    let namespace = namespace_labels(case.before, &meta.namespace);
    let named = |labels: &Labels| labels.get("istio.io/use-waypoint").cloned();
    let wanted = named(&meta.labels).or_else(|| named(&namespace));
    let mut planned = case.request.waypoints.iter();
    let planned = planned.find(|(name, namespace)| {
        *namespace == meta.namespace && wanted.as_ref().is_none_or(|wanted| wanted == name)
    });
    planned.map(|(name, namespace)| ((namespace.clone(), name.clone()), false))
}

fn selected(service: &Service, pod: &Pod) -> bool {
    let mut labels = service.selector.iter();
    !service.selector.is_empty()
        && service.meta.namespace == pod.namespace
        && labels.all(|(key, value)| pod.labels.get(key) == Some(value))
}

/// The TCP ports of a Service, each with what it is on a pod.
fn tcp_ports(service: &Service, pod: &Pod) -> Vec<(u16, u16)> {
    let mut ports = Vec::new();
    for port in service.ports.iter().filter(|p| p.protocol == Protocol::Tcp) {
        match &port.target {
            TargetPort::Number(number) => ports.push((port.port, *number)),
            TargetPort::Name(name) => {
                for declared in &pod.ports {
                    if declared.name == *name && declared.protocol == Protocol::Tcp {
                        ports.push((port.port, declared.number));
                    }
                }
            }
        }
    }
    ports
}
