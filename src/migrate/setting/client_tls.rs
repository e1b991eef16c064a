//! Where sidecars of clients present no identity, because a DestinationRule has them use no mutual TLS
//! of the mesh (istiod `pilot/pkg/networking/core/cluster_tls.go`; which rule holds for a host:
//! `pilot/pkg/model/push_context.go`, `destinationRule`).

use std::collections::BTreeMap;

use ambient_facts::namespaces;
use serde_json::Value;

use crate::authz::Allowance;
use crate::model::{GenericObject, Protocol, Service, TargetPort, Workload, World};
use crate::netpol::PortSet;

/// The DestinationRules of a world that say something of TLS, by the Services that they are for.
#[derive(Debug, Default)]
pub(crate) struct ClientTls<'w> {
    /// By namespace.
    services: BTreeMap<&'w str, Vec<(&'w Service, Vec<Rule<'w>>)>>,
}

/// A rule for a Service.
#[derive(Debug)]
struct Rule<'w> {
    object: &'w GenericObject,
    /// Whether it holds for every client.
    for_all: bool,
}

/// What a rule makes of connections to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// They have an identity, if the server takes one.
    Mutual,
    /// They have none.
    Plain,
    /// Perhaps they have none.
    Unknown,
}

impl<'w> ClientTls<'w> {
    pub(crate) fn of(world: &'w World, root_namespace: &str) -> Self {
        let rules = world.networking.iter();
        let rules = rules.filter(|o| o.kind == "DestinationRule" && says_something(o));
        let rules: Vec<&GenericObject> = rules.collect();
        let mut services: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        if rules.is_empty() {
            return Self { services };
        }
        for service in &world.services {
            let own = rules.iter().filter(|rule| is_for(rule, service));
            let own: Vec<&GenericObject> = own.copied().collect();
            let of = |&object: &&'w GenericObject| {
                let spec = |key: &str| object.body.pointer(&format!("/spec/{key}"));
                let wide = [service.meta.namespace.as_str(), root_namespace];
                Rule {
                    object,
                    for_all: own.len() == 1
                        && wide.contains(&object.meta.namespace.as_str())
                        && spec("exportTo").is_none()
                        && spec("workloadSelector").is_none(),
                }
            };
            let here = services.entry(service.meta.namespace.as_str());
            here.or_default()
                .push((service, own.iter().map(of).collect()));
        }
        Self { services }
    }

    /// The ports of a workload on which no sidecar presents an identity to it.
    pub(crate) fn not_presented(&self, workload: &Workload) -> Allowance {
        let here = self.services.get(workload.meta.namespace.as_str());
        let here = here.into_iter().flatten();
        let mut modes: BTreeMap<u16, Vec<Mode>> = BTreeMap::new();
        for (service, rules) in here.filter(|(s, _)| s.selects(&workload.pod.labels)) {
            for (port, targets) in ports(service, workload) {
                let mode = mode_of(rules, port);
                for target in targets {
                    modes.entry(target).or_default().push(mode);
                }
            }
        }
        let those = |is: &dyn Fn(&[Mode]) -> bool| -> PortSet {
            let those = modes.iter().filter(|(_, modes)| is(modes));
            those
                .map(|(port, _)| PortSet::port(Protocol::Tcp, *port))
                .collect()
        };
        Allowance {
            low: those(&|modes| modes.iter().all(|m| *m == Mode::Plain)),
            high: those(&|modes| modes.iter().any(|m| *m != Mode::Mutual)),
        }
    }
}

/// The TCP ports of a Service, with those that they lead to on a workload.
fn ports(service: &Service, workload: &Workload) -> Vec<(u16, Vec<u16>)> {
    let tcp = service.ports.iter().filter(|p| p.protocol == Protocol::Tcp);
    tcp.map(|port| {
        let targets = match &port.target {
            TargetPort::Number(number) => vec![*number],
            TargetPort::Name(name) => workload.pod.named_port(name, Protocol::Tcp).collect(),
        };
        (port.port, targets)
    })
    .collect()
}

fn mode_of(rules: &[Rule<'_>], port: u16) -> Mode {
    let modes = rules.iter().map(|rule| {
        let own = mode_by(rule.object, port);
        if own == Mode::Plain && !rule.for_all {
            Mode::Unknown
        } else {
            own
        }
    });
    modes
        .reduce(|one, other| if one == other { one } else { Mode::Unknown })
        .unwrap_or(Mode::Mutual)
}

/// What an object says of a port of the Service. What it says of a port replaces all that it says of
/// the host; of subsets it is not known who is routed to them.
fn mode_by(object: &GenericObject, port: u16) -> Mode {
    let body = |pointer: &str| object.body.pointer(pointer);
    let by_port = |policy: &Value| {
        let ports = policy.get("portLevelSettings").and_then(Value::as_array);
        let is_this = |settings: &&Value| {
            let number = settings.pointer("/port/number").and_then(Value::as_u64);
            number == Some(port.into())
        };
        let settings = ports.into_iter().flatten().find(is_this);
        mode(settings.unwrap_or(policy).pointer("/tls/mode"))
    };
    let host = body("/spec/trafficPolicy").map_or(Mode::Mutual, by_port);
    let subsets = body("/spec/subsets").and_then(Value::as_array);
    let mut subsets = subsets
        .into_iter()
        .flatten()
        .filter_map(|s| s.get("trafficPolicy"))
        .filter(|policy| policy.get("tls").is_some() || policy.get("portLevelSettings").is_some());
    if subsets.all(|policy| by_port(policy) == host) {
        host
    } else {
        Mode::Unknown
    }
}

fn mode(value: Option<&Value>) -> Mode {
    match value.and_then(Value::as_str) {
        Some("DISABLE") => Mode::Plain,
        // TLS of its own, with certificates that may be those of the mesh.
        Some("SIMPLE" | "MUTUAL") => Mode::Unknown,
        _ => Mode::Mutual,
    }
}

/// Whether an object sets a mode of TLS anywhere.
fn says_something(object: &GenericObject) -> bool {
    let policies = |body: &Value| {
        let ports = body.get("portLevelSettings").and_then(Value::as_array);
        let mut ports = ports.into_iter().flatten();
        body.get("tls").is_some() || ports.any(|port| port.get("tls").is_some())
    };
    let subsets = object
        .body
        .pointer("/spec/subsets")
        .and_then(Value::as_array);
    let of_subsets = subsets
        .into_iter()
        .flatten()
        .filter_map(|s| s.get("trafficPolicy"));
    let own = object.body.pointer("/spec/trafficPolicy");
    own.into_iter().chain(of_subsets).any(policies)
}

/// Whether the host of an object stands for a Service: by its name, or a name with a `*` in front.
fn is_for(object: &GenericObject, service: &Service) -> bool {
    let Some(host) = object.body.pointer("/spec/host").and_then(Value::as_str) else {
        return false;
    };
    let (name, namespace) = (&service.meta.name, &service.meta.namespace);
    let full = format!("{name}.{namespace}.svc.");
    if let Some(suffix) = host.strip_prefix('*') {
        let domain = suffix.rsplit_once(".svc.").map(|(_, domain)| domain);
        let domain = domain.unwrap_or(namespaces::CLUSTER_DOMAIN);
        return format!("{full}{domain}").ends_with(suffix);
    }
    let own = object.meta.namespace == *namespace;
    host.starts_with(&full)
        || (host == name && own)
        || host == format!("{name}.{namespace}")
        || host == format!("{name}.{namespace}.svc")
}
