//! Whom a name means: a workload, a Service with the pods behind it, or an address.

use std::net::IpAddr;

use super::view::View;
use crate::model::{EndpointId, Protocol, Service, TargetPort, WorkloadKind};
use crate::netpol::{Node, PortSet};

/// A name that does not tell who or what is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// Nobody has this name.
    #[error("no endpoint `{name}`")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Who there is: as it would be written in the way that was chosen, and in full.
        known: Vec<(String, String)>,
    },
    /// More than one has it.
    #[error("more than one endpoint `{name}`")]
    Ambiguous {
        /// The name that was asked for.
        name: String,
        /// Those that may be meant.
        candidates: Vec<String>,
    },
    /// A Service without pods in the input.
    #[error("no pod behind `{name}`")]
    NoBackend {
        /// The name that was asked for.
        name: String,
    },
    /// A port that the destination does not have.
    #[error("no port `{port}` at `{name}`")]
    UnknownPort {
        /// The destination.
        name: String,
        /// The port that was asked for.
        port: String,
        /// The ports that it has by name, and by number if it is a Service.
        known: Vec<String>,
    },
}

/// One end of a connection.
pub(super) struct Party<'w> {
    /// As it is listed.
    pub(super) name: String,
    pub(super) nodes: Vec<Node>,
    endpoint: Option<EndpointId>,
    service: Option<&'w Service>,
}

/// Finds who is meant by `namespace/name[Kind]`, `namespace/name`, a `name` that only one endpoint
/// has, `svc/name`, `svc/name.namespace`, or an address outside of the cluster.
pub(super) fn find<'w>(view: &View<'w>, name: &str) -> Result<Party<'w>, Unclear> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(Party {
            name: address.to_string(),
            nodes: vec![view.universe.node_of_address(address)],
            endpoint: None,
            service: None,
        });
    }
    if let Some(service) = service_name(name) {
        return of_service(view, name, service);
    }
    let mut matching = Vec::new();
    for (id, endpoint) in view.endpoints.iter() {
        let full = endpoint.to_string();
        if name == full {
            matching = vec![(full, id)];
            break;
        }
        let qualified = format!("{}/{}", endpoint.namespace, endpoint.name);
        if name == qualified || name == endpoint.name {
            matching.push((full, id));
        }
    }
    let known = || {
        let spelled = view.endpoints.iter().map(|(_, e)| {
            let qualified = format!("{}/{}", e.namespace, e.name);
            let typed = if name.contains('/') {
                qualified.clone()
            } else {
                e.name.clone()
            };
            (typed, qualified)
        });
        spelled.collect()
    };
    one(view, name, matching, None)?.ok_or_else(|| Unclear::Unknown {
        name: name.to_owned(),
        known: known(),
    })
}

/// The party, if there is only one; nothing if there is none.
fn one<'w>(
    view: &View<'w>,
    name: &str,
    matching: Vec<(String, EndpointId)>,
    service: Option<&'w Service>,
) -> Result<Option<Party<'w>>, Unclear> {
    if let [(full, id)] = &matching[..] {
        return Ok(Some(Party {
            name: full.clone(),
            nodes: view.classes_of(*id),
            endpoint: Some(*id),
            service,
        }));
    }
    if matching.is_empty() {
        return Ok(None);
    }
    Err(Unclear::Ambiguous {
        name: name.to_owned(),
        candidates: matching.into_iter().map(|(full, _)| full).collect(),
    })
}

fn service_name(name: &str) -> Option<&str> {
    name.strip_prefix("svc/")
        .or_else(|| name.strip_prefix("service/"))
}

fn of_service<'w>(view: &View<'w>, asked: &str, wanted: &str) -> Result<Party<'w>, Unclear> {
    let (name, namespace) = match wanted.split_once('.') {
        // What follows is `svc.cluster.local`, or the start of it.
        Some((name, rest)) => (name, rest.split('.').next()),
        None => (wanted, None),
    };
    let spelled = |s: &Service| format!("svc/{}.{}", s.meta.name, s.meta.namespace);
    let matching: Vec<&'w Service> = view
        .world
        .services
        .iter()
        .filter(|s| s.meta.name == name && namespace.is_none_or(|n| s.meta.namespace == n))
        .collect();
    let service = match matching[..] {
        [service] => service,
        [] => {
            let known = view.world.services.iter().map(|s| {
                let typed = match namespace {
                    Some(_) => spelled(s),
                    None => format!("svc/{}", s.meta.name),
                };
                (typed, spelled(s))
            });
            return Err(Unclear::Unknown {
                name: asked.to_owned(),
                known: known.collect(),
            });
        }
        _ => {
            return Err(Unclear::Ambiguous {
                name: asked.to_owned(),
                candidates: matching.into_iter().map(spelled).collect(),
            });
        }
    };
    let selects = |workload: &usize| {
        let pod = view.world.workloads.get(*workload).map(|w| &w.pod);
        pod.is_some_and(|pod| service.selects(&pod.labels))
    };
    let backends = view
        .endpoints
        .iter()
        .filter(|(_, e)| e.namespace == service.meta.namespace && e.workloads.iter().any(selects))
        .map(|(id, e)| (e.to_string(), id));
    one(view, asked, backends.collect(), Some(service))?.ok_or_else(|| Unclear::NoBackend {
        name: asked.to_owned(),
    })
}

impl Party<'_> {
    /// Whether it is the same endpoint as another.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.endpoint.is_some() && self.endpoint == other.endpoint
    }

    /// Whether there is only one pod in it.
    pub(super) fn is_one_pod(&self, view: &View<'_>) -> bool {
        let endpoint = self.endpoint.and_then(|id| view.endpoints.get(id));
        let [workload] = endpoint.map_or(&[][..], |e| &e.workloads) else {
            return false;
        };
        let workload = view.world.workloads.get(*workload);
        workload.is_some_and(|w| w.kind == WorkloadKind::Pod)
    }

    /// The ports of the pods that are meant by a port of this destination. Without one, all ports
    /// are, or all that the Service leads to.
    pub(super) fn ports(
        &self,
        view: &View<'_>,
        port: Option<&(TargetPort, Protocol)>,
    ) -> Result<Option<PortSet>, Unclear> {
        let Some(service) = self.service else {
            let Some((port, protocol)) = port else {
                return Ok(None);
            };
            return self.at_pods(view, port, *protocol).map(Some);
        };
        let leads = |candidate: &&crate::model::ServicePort| match port {
            None => true,
            Some((_, protocol)) if candidate.protocol != *protocol => false,
            Some((TargetPort::Number(number), _)) => candidate.port == *number,
            Some((TargetPort::Name(name), _)) => candidate.name == *name,
        };
        let mut set = PortSet::none();
        for candidate in service.ports.iter().filter(leads) {
            set = set.union(&self.at_pods(view, &candidate.target, candidate.protocol)?);
        }
        let Some((port, protocol)) = port.filter(|_| set.is_empty()) else {
            return Ok(Some(set));
        };
        let known = service.ports.iter().flat_map(|p| {
            let name = Some(p.name.clone()).filter(|name| !name.is_empty());
            name.into_iter().chain([shown(&p.port, p.protocol)])
        });
        Err(Unclear::UnknownPort {
            name: format!("svc/{}.{}", service.meta.name, service.meta.namespace),
            port: match port {
                TargetPort::Number(number) => shown(number, *protocol),
                TargetPort::Name(name) => shown(name, *protocol),
            },
            known: known.collect(),
        })
    }

    /// A port of the pods; a name means what each of them has under it.
    fn at_pods(
        &self,
        view: &View<'_>,
        port: &TargetPort,
        protocol: Protocol,
    ) -> Result<PortSet, Unclear> {
        let name = match port {
            TargetPort::Number(number) => return Ok(PortSet::port(protocol, *number)),
            TargetPort::Name(name) => name,
        };
        let endpoint = self.endpoint.and_then(|id| view.endpoints.get(id));
        let workloads = endpoint.map_or(&[][..], |e| &e.workloads);
        let pods = || {
            let workloads = workloads.iter();
            workloads.filter_map(|&w| Some(&view.world.workloads.get(w)?.pod))
        };
        let numbers = pods().flat_map(|pod| pod.named_port(name, protocol));
        let set = numbers.fold(PortSet::none(), |set, number| {
            set.union(&PortSet::port(protocol, number))
        });
        if !set.is_empty() {
            return Ok(set);
        }
        let named = pods().flat_map(|pod| &pod.ports);
        let named = named.filter(|p| !p.name.is_empty());
        let mut known: Vec<String> = named.map(|p| shown(&p.name, p.protocol)).collect();
        known.sort_unstable();
        known.dedup();
        Err(Unclear::UnknownPort {
            name: self.name.clone(),
            port: shown(name, protocol),
            known,
        })
    }
}

/// A port as people write it: TCP goes without saying.
fn shown(port: &impl std::fmt::Display, protocol: Protocol) -> String {
    match protocol {
        Protocol::Tcp => port.to_string(),
        other => format!("{port}/{other}"),
    }
}
