//! Small worlds for tests, built by hand: no file is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::hazards::{self, HazardOptions};
use super::setting::scope::{Scope, ScopeOptions};
use crate::finding::Finding;
use crate::model::{
    Action, AllowedNamespaces, AuthorizationPolicy, AuthorizationRule, ContainerPort, Coverage,
    Endpoints, Gateway, GenericObject, Kind, Labels, Listener, Meta, Namespace, NetworkPolicy,
    Operation, Origin, PeerAuthentication, PeerMode, PodTemplate, Protocol, RequestAuthentication,
    Service, ServicePort, Source, TargetPort, TargetRef, Workload, WorkloadKind, World,
};

/// A world under construction, with what the analysis is told beside it.
#[derive(Debug, Default)]
pub(super) struct Fixture {
    pub(super) world: World,
    pub(super) scope: ScopeOptions,
    pub(super) options: HazardOptions,
}

impl Fixture {
    /// The namespace `shop`, and a Deployment and a Service `web` in it.
    pub(super) fn shop() -> Self {
        Self::with_namespace("shop", &[])
            .workload(deployment("shop", "web"))
            .service(service("shop", "web"))
    }

    pub(super) fn with_namespace(name: &str, labels: &[(&str, &str)]) -> Self {
        Self::default().given().namespace(name, labels)
    }

    fn given(mut self) -> Self {
        for kind in [
            Kind::Service,
            Kind::Gateway,
            Kind::Networking,
            Kind::Workload,
        ] {
            self.world.coverage.insert(kind, Coverage::Given);
        }
        self
    }

    pub(super) fn namespace(mut self, name: &str, own: &[(&str, &str)]) -> Self {
        let mut meta = meta("", name, "namespaces.yaml");
        meta.labels = crate::model::namespace_name_label(name);
        meta.labels.extend(labels(own));
        let declared = true;
        self.world
            .namespaces
            .insert(name.to_owned(), Namespace { meta, declared });
        self
    }

    pub(super) fn workload(mut self, workload: Workload) -> Self {
        self.world.workloads.push(workload);
        self
    }

    pub(super) fn service(mut self, service: Service) -> Self {
        self.world.services.push(service);
        self
    }

    pub(super) fn gateway(mut self, gateway: Gateway) -> Self {
        self.world.gateways.push(gateway);
        self
    }

    pub(super) fn authorization(mut self, policy: AuthorizationPolicy) -> Self {
        self.world.authorization_policies.push(policy);
        self
    }

    pub(super) fn peer(mut self, policy: PeerAuthentication) -> Self {
        self.world.peer_authentications.push(policy);
        self
    }

    pub(super) fn request(mut self, object: RequestAuthentication) -> Self {
        self.world.request_authentications.push(object);
        self
    }

    pub(super) fn network(mut self, policy: NetworkPolicy) -> Self {
        self.world.network_policies.push(policy);
        self
    }

    pub(super) fn networking(mut self, object: GenericObject) -> Self {
        self.world.networking.push(object);
        self
    }

    pub(super) fn configuration(mut self, object: GenericObject) -> Self {
        self.world.configuration.push(object);
        self
    }

    /// The world behind a waypoint of the namespace `shop`.
    pub(super) fn behind_waypoint(self) -> Self {
        self.namespace("shop", &[("istio.io/use-waypoint", "waypoint")])
            .gateway(waypoint("shop", "waypoint"))
    }

    pub(super) fn endpoints(&self) -> Endpoints {
        Endpoints::of(&self.world)
    }

    pub(super) fn scope(&self) -> Scope {
        Scope::of(&self.world, &self.endpoints(), &self.scope)
    }

    /// All findings, as text.
    pub(super) fn findings(&self) -> String {
        let found = hazards::find(&self.world, &self.endpoints(), &self.scope(), &self.options);
        found.iter().map(text).collect()
    }
}

fn text(finding: &Finding) -> String {
    let fixes: Vec<_> = finding
        .fixes
        .iter()
        .map(|f| format!("  fix: {f}\n"))
        .collect();
    format!(
        "{} {} {} at {}\n  {}\n{}",
        finding.code.severity,
        finding.code.id,
        finding.subject,
        finding.origin,
        finding.message,
        fixes.concat()
    )
}

pub(super) fn labels(pairs: &[(&str, &str)]) -> Labels {
    let owned = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
    pairs.iter().map(owned).collect()
}

pub(super) fn strings<T: for<'s> From<&'s str>>(values: &[&str]) -> Vec<T> {
    values.iter().map(|&v| v.into()).collect()
}

pub(super) fn meta(namespace: &str, name: &str, file: &str) -> Meta {
    let origin = Origin {
        file: Arc::from(file),
        line: 1,
        ..Origin::synthetic()
    };
    Meta {
        origin,
        ..Meta::synthetic(namespace, name)
    }
}

/// A Deployment whose pods have the label `app` and listen on port 8080, named `http`.
pub(super) fn deployment(namespace: &str, name: &str) -> Workload {
    workload(WorkloadKind::Deployment, namespace, name)
}

/// The same as an object of another kind.
pub(super) fn workload(kind: WorkloadKind, namespace: &str, name: &str) -> Workload {
    let port = ContainerPort {
        name: "http".to_owned(),
        number: 8080,
        protocol: Protocol::Tcp,
        line: 20,
    };
    Workload {
        meta: meta(namespace, name, "workloads.yaml"),
        kind,
        pod: PodTemplate {
            labels: labels(&[("app", name)]),
            service_account: name.to_owned(),
            ports: vec![port],
            containers: strings(&["app"]),
            line: 10,
            ..PodTemplate::default()
        },
        selector: None,
        replicas: None,
        addresses: Vec::new(),
        terminated: false,
        imagined: false,
    }
}

/// A Deployment with further labels on its pods.
pub(super) fn labelled(namespace: &str, name: &str, own: &[(&str, &str)]) -> Workload {
    let mut workload = deployment(namespace, name);
    workload.pod.labels.extend(labels(own));
    workload
}

/// A Deployment with annotations on its pods.
pub(super) fn annotated(namespace: &str, name: &str, own: &[(&str, &str)]) -> Workload {
    let mut workload = deployment(namespace, name);
    workload.pod.annotations.extend(labels(own));
    workload
}

/// A Service in front of the Deployment of the same name: port 80, named target port `http`.
pub(super) fn service(namespace: &str, name: &str) -> Service {
    let port = ServicePort {
        name: "http".to_owned(),
        port: 80,
        target: TargetPort::Name("http".to_owned()),
        protocol: Protocol::Tcp,
        app_protocol: None,
    };
    Service {
        meta: meta(namespace, name, "services.yaml"),
        selector: labels(&[("app", name)]),
        headless: false,
        service_type: "ClusterIP".to_owned(),
        ports: vec![port],
    }
}

pub(super) fn waypoint(namespace: &str, name: &str) -> Gateway {
    Gateway {
        meta: meta(namespace, name, "gateways.yaml"),
        class: "istio-waypoint".to_owned(),
        listeners: vec![Listener {
            name: "mesh".to_owned(),
            port: 15008,
            protocol: "HBONE".to_owned(),
            allowed: AllowedNamespaces::Same,
        }],
    }
}

/// A policy for the pods with label `app: web` in `shop`; its first rule stands in line 8.
pub(super) fn policy(action: Action, rules: Vec<AuthorizationRule>) -> AuthorizationPolicy {
    AuthorizationPolicy {
        meta: meta("shop", "rules", "policies.yaml"),
        selector: labels(&[("app", "web")]),
        selects_nothing: false,
        targets: Vec::new(),
        action,
        rules: rules.into(),
    }
}

/// The same policy for a target instead of pods.
pub(super) fn targeted(
    action: Action,
    target: TargetRef,
    rules: Vec<AuthorizationRule>,
) -> AuthorizationPolicy {
    AuthorizationPolicy {
        meta: meta("shop", "targeted", "policies.yaml"),
        selector: Labels::new(),
        targets: vec![target],
        ..policy(action, rules)
    }
}

pub(super) fn target(kind: &str, name: &str) -> TargetRef {
    let group = match kind {
        "Service" => "",
        "ServiceEntry" => "networking.istio.io",
        _ => "gateway.networking.k8s.io",
    };
    TargetRef {
        group: group.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        namespace: None,
    }
}

pub(super) fn rule(from: Vec<Source>, to: Vec<Operation>) -> AuthorizationRule {
    AuthorizationRule {
        from,
        to,
        when: Vec::new(),
        line: 8,
    }
}

pub(super) fn principals(values: &[&str]) -> Source {
    Source {
        principals: strings(values),
        ..Source::default()
    }
}

/// An operation with fields of HTTP and ports.
pub(super) fn operation(layer7: &[&str], ports: &[&str]) -> Operation {
    Operation {
        ports: strings(ports),
        layer7: strings(layer7),
        ..Operation::default()
    }
}

pub(super) fn peer_authentication(namespace: &str, mode: PeerMode) -> PeerAuthentication {
    PeerAuthentication {
        meta: meta(namespace, "default", "policies.yaml"),
        selector: Labels::new(),
        mode,
        ports: Vec::new(),
    }
}

/// An object that is kept as it is.
pub(super) fn generic(
    group: &str,
    kind: &str,
    (namespace, name): (&str, &str),
    body: Value,
) -> GenericObject {
    GenericObject {
        group: group.to_owned(),
        version: "v1".to_owned(),
        kind: kind.to_owned(),
        meta: meta(namespace, name, "objects.yaml"),
        body,
    }
}

/// Waypoints that the plan creates.
pub(super) fn planned(waypoints: &[(&str, &str)]) -> BTreeMap<String, String> {
    labels(waypoints)
}
