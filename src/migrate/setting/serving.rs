//! The waypoints that serve some Service, those that are there and those that are planned, and
//! their pods.

use std::collections::BTreeMap;

use ambient_facts::{labels, ports};

use super::attachment::Place as Attachment;
use super::scope::{SIDECAR_CONTAINER, Scope};
use super::waypoints::{Binding, Waypoint, Waypoints, account_named_by};
use crate::migrate::Options;
use crate::model::{
    AuthorizationPolicy, ContainerPort, Gateway, Labels, Meta, PodTemplate, Protocol, Service,
    Workload, WorkloadKind, World,
};

/// A waypoint that serves some Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Serving {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) service_account: String,
    /// Whether the input does not hold its Gateway.
    pub(crate) planned: bool,
}

/// All waypoints that serve some Service.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServingWaypoints {
    pub(crate) all: Vec<Serving>,
    /// Index of the waypoint of each Service that has one, by index in [`World::services`].
    pub(crate) of_service: BTreeMap<usize, usize>,
    /// Index of the waypoint that takes connections to the addresses of a workload's pods, by index
    /// in [`World::workloads`].
    pub(crate) of_workload: BTreeMap<usize, usize>,
}

impl ServingWaypoints {
    pub(crate) fn of(world: &World, planned: &BTreeMap<String, String>) -> Self {
        let waypoints = Waypoints::new(world, planned);
        let mut serving = Self::default();
        for (index, service) in world.services.iter().enumerate() {
            // A headless Service has no address that could be redirected.
            if service.headless || service.selector.is_empty() {
                continue;
            }
            if let Binding::Bound(waypoint) = waypoints.of_service(service) {
                let place = serving.intern(waypoint);
                serving.of_service.insert(index, place);
            }
        }
        for (index, workload) in world.workloads.iter().enumerate() {
            if let Binding::Bound(waypoint) = waypoints.of_workload(workload) {
                let place = serving.intern(waypoint);
                serving.of_workload.insert(index, place);
            }
        }
        serving
    }

    fn intern(&mut self, waypoint: Waypoint<'_>) -> usize {
        let known = |s: &Serving| s.namespace == waypoint.namespace && s.name == waypoint.name;
        if let Some(place) = self.all.iter().position(known) {
            return place;
        }
        self.all.push(Serving {
            namespace: waypoint.namespace.to_owned(),
            name: waypoint.name.to_owned(),
            service_account: waypoint.service_account().to_owned(),
            planned: waypoint.gateway.is_none(),
        });
        self.all.len() - 1
    }

    /// The pods of each waypoint, as the control plane would make them.
    pub(crate) fn pods(&self) -> Vec<Workload> {
        self.all.iter().map(pod).collect()
    }

    /// The waypoint that serves a namespace's Services, if one serves any and no other does.
    pub(crate) fn of_namespace(&self, world: &World, namespace: &str) -> Option<&Serving> {
        let in_namespace = |(service, _): &(&usize, &usize)| {
            world
                .services
                .get(**service)
                .is_some_and(|s| s.meta.namespace == namespace)
        };
        let mut used: Vec<usize> = self
            .of_service
            .iter()
            .filter(in_namespace)
            .map(|(_, &w)| w)
            .collect();
        used.sort_unstable();
        used.dedup();
        if let [one] = used[..] {
            self.all.get(one)
        } else {
            None
        }
    }
}

/// The waypoints that the options ask for, by the namespace that they serve.
pub(crate) fn planned(world: &World, scope: &Scope, options: &Options) -> BTreeMap<String, String> {
    let mut planned = BTreeMap::new();
    for request in &options.waypoints {
        let served: Vec<String> = if let Some(namespace) = &request.namespace {
            vec![namespace.clone()]
        } else {
            let enrolled = world.namespaces.keys().filter(|n| scope.is_enrolled(n));
            let has_services = |n: &&String| world.services.iter().any(|s| s.meta.namespace == **n);
            enrolled.filter(has_services).cloned().collect()
        };
        let served = served.into_iter();
        let served = served.filter(|n| named_otherwise(world, n, &request.name).is_none());
        planned.extend(served.map(|n| (n, request.name.clone())));
    }
    planned
}

/// The waypoint that the label of a namespace names, if that is another than one that is asked for.
pub(crate) fn named_otherwise<'w>(
    world: &'w World,
    namespace: &str,
    name: &str,
) -> Option<&'w str> {
    let namespace = world.namespaces.get(namespace)?;
    let named = namespace.meta.label(labels::USE_WAYPOINT)?;
    (named != name).then_some(named)
}

/// Labels that the pods of a Gateway carry, and by which policies select them.
pub(crate) fn pod_labels(name: &str) -> Labels {
    Labels::from([(labels::GATEWAY_NAME.to_owned(), name.to_owned())])
}

/// The pods that the control plane makes for the Gateways of a world that are no waypoints. They
/// send through the tunnel (Istio `pilot/pkg/config/kube/gateway/deploymentcontroller.go`).
pub(crate) fn pods_of_gateways(world: &World) -> Vec<Workload> {
    let pod = |gateway: &Gateway| {
        let meta = &gateway.meta;
        let class = gateway.class.as_str();
        let (managed, name) = match class {
            labels::GATEWAY_CLASS => (labels::MANAGED_GATEWAY, format!("{}-{class}", meta.name)),
            labels::EAST_WEST_CLASS => (labels::MANAGED_EAST_WEST, meta.name.clone()),
            _ => return None,
        };
        let pod = PodTemplate {
            labels: labels_of(&meta.name, class, managed),
            service_account: account_named_by(meta).unwrap_or(&name).to_owned(),
            containers: vec!["istio-proxy".to_owned()],
            ..PodTemplate::default()
        };
        Some(deployment(&meta.namespace, &name, pod))
    };
    world.gateways.iter().filter_map(pod).collect()
}

fn labels_of(gateway: &str, class: &str, managed: &str) -> Labels {
    let mut own = pod_labels(gateway);
    for (key, value) in [
        (labels::GATEWAY_CLASS_NAME, class),
        (labels::GATEWAY_MANAGED, managed),
        (labels::DATAPLANE_MODE, labels::NONE),
    ] {
        own.insert(key.to_owned(), value.to_owned());
    }
    own
}

fn pod(waypoint: &Serving) -> Workload {
    let port = |number| ContainerPort {
        name: String::new(),
        number,
        protocol: Protocol::Tcp,
        line: 0,
    };
    let pod = PodTemplate {
        labels: labels_of(
            &waypoint.name,
            labels::WAYPOINT_CLASS,
            labels::MANAGED_WAYPOINT,
        ),
        service_account: waypoint.service_account.clone(),
        ports: [ports::HBONE, ports::METRICS, ports::STATUS]
            .map(port)
            .to_vec(),
        containers: vec![SIDECAR_CONTAINER.to_owned()],
        ..PodTemplate::default()
    };
    deployment(&waypoint.namespace, &waypoint.name, pod)
}

fn deployment(namespace: &str, name: &str, pod: PodTemplate) -> Workload {
    Workload {
        meta: Meta::synthetic(namespace, name),
        kind: WorkloadKind::Deployment,
        pod,
        selector: None,
        replicas: None,
        addresses: Vec::new(),
        terminated: false,
        imagined: false,
    }
}

/// Whether a policy with targets applies at a waypoint, to connections for a Service where one is
/// given.
pub(crate) fn applies_at(
    policy: &AuthorizationPolicy,
    root_namespace: &str,
    waypoint: &Serving,
    service: Option<&Service>,
) -> bool {
    let place = Attachment {
        root_namespace,
        namespace: &waypoint.namespace,
        name: &waypoint.name,
        service: service.map(|s| &s.meta),
    };
    let mut targets = policy.targets.iter();
    targets.any(|t| place.has(t, &policy.meta.namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_that_are_no_waypoints_have_pods_of_their_class() {
        let gateway = |class: &str| Gateway {
            meta: Meta::synthetic("infra", "gw"),
            class: class.to_owned(),
            listeners: Vec::new(),
        };
        let classes = [
            "istio",
            "istio-east-west",
            "istio-waypoint",
            "istio-remote",
            "nginx",
        ];
        let world = World {
            gateways: classes.map(gateway).to_vec(),
            ..World::default()
        };
        let pods = pods_of_gateways(&world);
        let accounts = pods.iter().map(|w| w.pod.service_account.as_str());
        assert_eq!(accounts.collect::<Vec<_>>(), ["gw-istio", "gw"]);
    }
}
