//! Manifests of a made-up cluster: what large clusters have, in the proportions they have it.
//!
//! Each namespace has applications of five pods, described by Pod objects with owners and
//! addresses, as a live cluster gives them. One policy in ten denies everything; a third limit
//! egress; ports are numbers, names, ranges or absent; peers are selected by labels, expressions,
//! namespaces or address ranges.

mod policy;

use std::fmt::Write as _;

use super::random::Random;
use super::shape::Shape;

/// Pods of one application.
const REPLICAS: usize = 5;
/// Values of the namespace label `team`.
const TEAMS: usize = 12;
/// Values of the pod label `tier`.
const TIERS: [&str; 3] = ["web", "logic", "store"];

/// A file of a generated cluster.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    /// File name.
    pub(super) name: String,
    /// YAML, several documents.
    pub(super) text: String,
}

/// One file for each namespace.
pub(super) fn manifests(shape: &Shape) -> Vec<Manifest> {
    let mut random = Random::new(shape.seed);
    let namespaces = 0..shape.namespaces;
    namespaces
        .map(|namespace| Manifest {
            name: format!("{}.yaml", namespace_name(namespace)),
            text: Namespace::new(shape, namespace).manifest(&mut random),
        })
        .collect()
}

fn namespace_name(namespace: usize) -> String {
    format!("ns-{namespace:04}")
}

fn application_name(application: usize) -> String {
    format!("app-{application:03}")
}

/// One namespace of a cluster.
#[derive(Debug)]
struct Namespace<'s> {
    shape: &'s Shape,
    number: usize,
    pods: usize,
    applications: usize,
}

impl<'s> Namespace<'s> {
    fn new(shape: &'s Shape, number: usize) -> Self {
        let pods = shape.share(shape.pods, number);
        Self {
            shape,
            number,
            pods,
            applications: pods.div_ceil(REPLICAS),
        }
    }

    fn manifest(&self, random: &mut Random) -> String {
        let mut text = String::new();
        // Writing to a `String` cannot fail, here and below.
        let _ = write!(
            text,
            "apiVersion: v1
kind: Namespace
metadata:
  name: {name}
  labels:
    kubernetes.io/metadata.name: {name}
    team: team-{team}
",
            name = namespace_name(self.number),
            team = self.number % TEAMS,
        );
        for pod in 0..self.pods {
            self.pod(&mut text, pod);
        }
        for number in 0..self.shape.share(self.shape.policies, self.number) {
            policy::write(&mut text, self, number, random);
        }
        text
    }

    /// The value of the label that only this pod has.
    fn identity(&self, pod: usize) -> String {
        format!("id-{}-{pod}", self.number)
    }

    fn pod(&self, text: &mut String, pod: usize) {
        let application = pod / REPLICAS;
        let mut labels = format!(
            "    app: {name}
    tier: {tier}
    pod-template-hash: {hash}
",
            name = application_name(application),
            tier = TIERS[application % TIERS.len()],
            hash = template_hash(application),
        );
        if self.shape.distinct {
            let _ = writeln!(labels, "    id: {}", self.identity(pod));
        }
        let _ = write!(
            text,
            "---
apiVersion: v1
kind: Pod
metadata:
  name: {name}-{hash}-{replica}
  namespace: {namespace}
  labels:
{labels}  ownerReferences:
  - apiVersion: apps/v1
    kind: ReplicaSet
    name: {name}-{hash}
    uid: 00000000-0000-0000-0000-{uid:012}
    controller: true
spec:
  serviceAccountName: {name}
  containers:
  - name: main
    image: registry.example/{name}:1.{application}
    ports:
    - name: http
      containerPort: {http}
    - name: metrics
      containerPort: 9090
    - name: dns
      containerPort: 5353
      protocol: UDP
    readinessProbe:
      httpGet:
        path: /ready
        port: http
status:
  phase: Running
  podIPs:
  - ip: {address}
",
            name = application_name(application),
            hash = template_hash(application),
            replica = pod % REPLICAS,
            namespace = namespace_name(self.number),
            uid = self.number * self.shape.pods + application,
            // Half of the applications serve on a port that others do not.
            http = 8080 + (application % 2) * (1 + application),
            address = self.address(pod),
        );
    }

    /// An address in 10.0.0.0/8 that no other pod has, up to 16 million pods.
    fn address(&self, pod: usize) -> String {
        let before = self.shape.pods / self.shape.namespaces + 1;
        let number = self.number * before + pod;
        format!(
            "10.{}.{}.{}",
            number >> 16 & 255,
            number >> 8 & 255,
            number & 255
        )
    }
}

/// As long as Kubernetes makes it, and with letters: a label of digits would need quotes.
fn template_hash(application: usize) -> String {
    format!("7c9f{application:05}d")
}

#[cfg(test)]
mod tests;
