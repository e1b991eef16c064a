//! Pods, and the kinds that create pods.

use std::fmt;
use std::net::IpAddr;

use super::{LabelSelector, Labels, Meta, ObjectRef, Protocol, TargetPort};

/// Kinds that hold a pod or a pod template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
    /// `batch/v1` `CronJob`.
    CronJob,
    /// `apps/v1` `DaemonSet`.
    DaemonSet,
    /// `apps/v1` `Deployment`.
    Deployment,
    /// `batch/v1` `Job`.
    Job,
    /// `v1` `Pod`.
    Pod,
    /// `apps/v1` `ReplicaSet`.
    ReplicaSet,
    /// `v1` `ReplicationController`.
    ReplicationController,
    /// `apps/v1` `StatefulSet`.
    StatefulSet,
}

impl WorkloadKind {
    /// The kind as manifests spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CronJob => "CronJob",
            Self::DaemonSet => "DaemonSet",
            Self::Deployment => "Deployment",
            Self::Job => "Job",
            Self::Pod => "Pod",
            Self::ReplicaSet => "ReplicaSet",
            Self::ReplicationController => "ReplicationController",
            Self::StatefulSet => "StatefulSet",
        }
    }

    /// Where an object of the kind has the specification of its pods.
    pub const fn pod_spec(self) -> &'static str {
        match self {
            Self::Pod => "spec",
            Self::CronJob => "spec.jobTemplate.spec.template.spec",
            Self::DaemonSet
            | Self::Deployment
            | Self::Job
            | Self::ReplicaSet
            | Self::ReplicationController
            | Self::StatefulSet => "spec.template.spec",
        }
    }

    /// The kind from its spelling in manifests.
    pub fn parse(kind: &str) -> Option<Self> {
        const ALL: [WorkloadKind; 8] = [
            WorkloadKind::CronJob,
            WorkloadKind::DaemonSet,
            WorkloadKind::Deployment,
            WorkloadKind::Job,
            WorkloadKind::Pod,
            WorkloadKind::ReplicaSet,
            WorkloadKind::ReplicationController,
            WorkloadKind::StatefulSet,
        ];
        ALL.into_iter().find(|k| k.as_str() == kind)
    }
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A pod, or an object that creates pods from a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Metadata of the object itself, not of its pods.
    pub meta: Meta,
    /// Kind.
    pub kind: WorkloadKind,
    /// What its pods look like. For a [`WorkloadKind::Pod`] this is the pod itself.
    pub pod: PodTemplate,
    /// `spec.selector`, where the kind has one. A ReplicationController's map and the defaulted
    /// selector of a Job without one (`None`) are told apart.
    pub selector: Option<LabelSelector>,
    /// `spec.replicas`, where it is given. Else it is one at first, and whatever an autoscaler makes
    /// of it.
    pub replicas: Option<u32>,
    /// `status.podIPs`; empty for anything that is not a running pod.
    pub addresses: Vec<IpAddr>,
    /// `status.phase` of a pod is `Succeeded` or `Failed`.
    pub terminated: bool,
    /// No object describes it, neither one that was read nor one that leads to it: policies speak of
    /// such pods, and their service account is not known.
    pub imagined: bool,
}

impl Workload {
    /// The reference to the object.
    pub fn reference(&self) -> ObjectRef {
        self.meta.reference(self.kind.as_str())
    }
}

/// The part of a pod that analysis reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodTemplate {
    /// Labels of the pods.
    pub labels: Labels,
    /// Annotations of the pods.
    pub annotations: Labels,
    /// `serviceAccountName`, `default` when absent.
    pub service_account: String,
    /// `hostNetwork: true`.
    pub host_network: bool,
    /// Runs on Windows nodes: `os.name`, or the node selector `kubernetes.io/os`, is `windows`.
    pub windows: bool,
    /// `dnsConfig.nameservers`: servers that the pods ask beside those of the cluster, or with
    /// `dnsPolicy: None` in their place.
    pub name_servers: Vec<String>,
    /// `dnsPolicy: Default`: asks the servers of the node, not those of the cluster.
    pub asks_as_node: bool,
    /// Declared ports of containers, init containers with `restartPolicy: Always` included.
    pub ports: Vec<ContainerPort>,
    /// Probes, and hooks, that the kubelet sends over the network (HTTP, TCP, gRPC).
    pub probes: Vec<Probe>,
    /// Names of init containers and containers.
    pub containers: Vec<String>,
    /// Images of init containers and containers.
    pub images: Vec<String>,
    /// Commands, arguments, environment values and exec hooks of all containers.
    pub commands: Vec<String>,
    /// One-based line of the template; 0 when unknown.
    pub line: u32,
}

impl PodTemplate {
    /// The numbers of the declared ports with this name and protocol.
    pub fn named_port(&self, name: &str, protocol: Protocol) -> impl Iterator<Item = u16> {
        let matching = move |p: &&ContainerPort| p.protocol == protocol && p.name == name;
        self.ports.iter().filter(matching).map(|p| p.number)
    }
}

/// One entry of a container's `ports`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerPort {
    /// Name; empty when absent.
    pub name: String,
    /// `containerPort`.
    pub number: u16,
    /// Protocol.
    pub protocol: Protocol,
    /// One-based line; 0 when unknown.
    pub line: u32,
}

/// A probe, or a hook of a container's lifecycle, that the kubelet sends over the network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probe {
    /// Container that it is of.
    pub container: String,
    /// Port by number, or by name among the container's ports.
    pub port: TargetPort,
}
