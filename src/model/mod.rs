//! What a cluster, or a folder of manifests, holds: plain data without I/O.
//!
//! Everything here is ordered (`BTreeMap`, sorted `Vec`), because it reaches output. The module
//! must not know where objects come from beyond their [`Origin`], nor what is concluded from them.

mod build;
mod endpoint;
mod istio;
mod labels;
mod mesh;
mod object;
mod policy;
mod problem;
mod service;
mod shell;
mod workload;
mod world;

pub use build::{Rebuilt, Reworked, Unlisted};
pub use endpoint::{Endpoint, EndpointId, Endpoints};
pub use istio::{
    Action, AuthorizationPolicy, AuthorizationRule, Condition, Name, Operation, PeerAuthentication,
    PeerMode, RequestAuthentication, Source, TargetRef, is_true, truth,
};
pub use labels::{LabelSelector, Labels, Operator, Requirement, includes};
pub use mesh::{Mesh, MeshConfig};
pub use object::{GenericObject, Meta, ObjectRef, Origin, OwnerRef};
pub use policy::{NetworkPolicy, Peer, PortMatch, PortRule, Protocol, Rule};
pub use problem::{Excerpt, Note, Problem};
pub use service::{
    AllowedNamespaces, Gateway, Listener, Namespace, Service, ServicePort, TargetPort,
};
pub use shell::shell_word;
pub use workload::{ContainerPort, PodTemplate, Probe, Workload, WorkloadKind};
pub use world::{Coverage, Kind, Maker, World, namespace_name_label};
