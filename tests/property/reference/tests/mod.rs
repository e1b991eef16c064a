//! The corners of the specifications, decided by hand.

mod authorization;
mod mutual_tls;
mod networkpolicy;
mod peers;
mod relations;

use kubectl_ambient::model::{Protocol, World};
use kubectl_ambient::yaml::Format;

use super::{Pod, Port};
use crate::generate::File;
use crate::objects;

/// The world that a manifest describes.
fn world(text: &str) -> World {
    let file = File {
        name: "test".to_owned(),
        text: text.to_owned(),
        format: Format::Yaml,
    };
    objects::world(&file.objects().unwrap())
}

/// The pod of the workload `namespace/name`.
fn pod(world: &World, name: &str) -> Pod {
    let (namespace, name) = name.split_once('/').unwrap();
    let workload = world
        .workloads
        .iter()
        .find(|w| w.meta.namespace == namespace && w.meta.name == name);
    let workload = workload.unwrap_or_else(|| panic!("no workload {namespace}/{name}"));
    Pod::of(world, workload, workload.addresses.first().copied())
}

/// A port written as in `TCP 80`.
fn port(text: &str) -> Port {
    let (protocol, number) = text.split_once(' ').unwrap();
    let protocol = Protocol::ALL
        .into_iter()
        .find(|p| p.to_string() == protocol);
    Port {
        protocol: protocol.unwrap(),
        number: number.parse().unwrap(),
    }
}

/// Pods for every test: three in `shop`, one in `bank`, one on the host network.
const PODS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: red}}
---
apiVersion: v1
kind: Namespace
metadata: {name: bank, labels: {team: blue}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  serviceAccountName: web
  containers:
  - name: main
    ports:
    - {name: http, containerPort: 8080}
    - {name: dns, containerPort: 53, protocol: UDP}
---
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: shop, labels: {app: api, tier: back}}
spec:
  serviceAccountName: api
  containers:
  - name: main
    ports: [{name: http, containerPort: 9090}]
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db, tier: back}}
spec: {serviceAccountName: db, containers: [{name: main}]}
status: {podIPs: [{ip: 10.1.0.5}]}
---
apiVersion: v1
kind: Pod
metadata: {name: teller, namespace: bank, labels: {app: web}}
spec: {containers: [{name: main}]}
---
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: shop, labels: {app: web}}
spec: {hostNetwork: true, containers: [{name: main}]}
";

/// [`PODS`] and more.
fn with(text: &str) -> World {
    world(&format!("{PODS}\n---\n{text}"))
}
