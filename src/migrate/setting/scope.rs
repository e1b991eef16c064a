//! Who is enrolled: which namespaces the plan labels, and which pods will be in the mesh.
//!
//! Follows the selectors of the node agent (istio-cni `enablementSelectors` and `PodRedirectionEnabled`
//! in `cni/pkg/util/podutil.go`): a pod's own label wins over its namespace's, then pods that cannot
//! be captured drop out. The module does not judge the outcome; that is what `hazards` is for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ambient_facts::{annotations, labels, namespaces};

use crate::model::{EndpointId, Endpoints, PodTemplate, Workload, World};

/// What the user asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopeOptions {
    /// Namespaces to enrol; empty means every one that is not excluded or a system's.
    pub namespaces: Vec<String>,
    /// Namespaces to leave out.
    pub exclude: Vec<String>,
    /// Namespaces of which the input holds nothing: whether they are in the mesh already is not for
    /// options to say that are about what it holds.
    pub imagined: BTreeSet<String>,
}

/// Which namespaces, workloads and endpoints will be in the mesh.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    namespaces: BTreeMap<String, NamespaceState>,
    /// Those of them in which the input has something to enrol, or that were asked for.
    with_members: BTreeSet<String>,
    workloads: Vec<Membership>,
    endpoints: Vec<Membership>,
}

/// What happens to a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespaceState {
    /// It carries the enrolment label already.
    Labelled,
    /// The plan labels it.
    Enrolled,
    /// It stays as it is.
    LeftOut(LeftOut),
}

/// Why a namespace is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftOut {
    /// It was excluded by an option.
    Excluded,
    /// Others were asked for.
    NotSelected,
    /// It belongs to Kubernetes, the mesh or the network plugin.
    System,
    /// Parts of the mesh itself run in it.
    Mesh,
    /// Its label says `none`.
    OptedOut,
    /// Its label has a value that means nothing.
    UnknownMode(String),
}

/// Whether the pods of a workload will be in the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// From the moment of enrolment.
    Joins,
    /// Once they are restarted without the sidecar that they have or ask for.
    JoinsWithoutSidecar,
    /// Never, under this plan.
    StaysOut(StaysOut),
}

/// Why pods stay out of the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaysOut {
    /// Their namespace is not enrolled.
    Namespace,
    /// Their own label says `none`.
    OptedOut,
    /// They use the network of their node.
    HostNetwork,
    /// They run on Windows.
    Windows,
    /// They are a gateway or a waypoint.
    Gateway,
    /// They are a part of the mesh itself.
    Mesh,
    /// They have ended.
    Terminated,
}

impl Scope {
    /// Decides for every namespace, workload and endpoint of a world.
    pub fn of(world: &World, endpoints: &Endpoints, options: &ScopeOptions) -> Self {
        let mesh: BTreeSet<_> = world
            .workloads
            .iter()
            .filter(|w| is_mesh(&w.pod))
            .map(namespace_of)
            .collect();
        let states: BTreeMap<_, _> = world
            .namespaces
            .iter()
            .map(|(name, namespace)| {
                let mode = namespace.meta.label(labels::DATAPLANE_MODE);
                let mesh = mesh.contains(name.as_str());
                (name.clone(), namespace_state(name, mode, mesh, options))
            })
            .collect();
        let member = |workload| membership(workload, states.get(namespace_of(workload)));
        let workloads: Vec<_> = world.workloads.iter().map(member).collect();
        let endpoints = endpoints
            .iter()
            .map(|(_, endpoint)| {
                let members = endpoint.workloads.iter().filter_map(|&w| workloads.get(w));
                strongest(members.copied())
            })
            .collect();
        let asked = options.namespaces.iter().cloned();
        let members = world.workloads.iter().zip(&workloads);
        let members = members.filter(|(workload, membership)| {
            !workload.meta.origin.is_synthetic() && membership.joins()
        });
        let members = members.map(|(workload, _)| namespace_of(workload).to_owned());
        Self {
            with_members: asked.chain(members).collect(),
            namespaces: states,
            workloads,
            endpoints,
        }
    }

    /// All namespaces, sorted by name.
    pub fn namespaces(&self) -> impl Iterator<Item = (&str, &NamespaceState)> {
        self.namespaces.iter().map(|(n, s)| (n.as_str(), s))
    }

    /// What happens to a namespace; `None` for one that the world does not have.
    pub fn namespace(&self, name: &str) -> Option<&NamespaceState> {
        self.namespaces.get(name)
    }

    /// Whether pods of the namespace are in the mesh unless they say otherwise.
    pub fn is_enrolled(&self, namespace: &str) -> bool {
        self.namespace(namespace)
            .is_some_and(NamespaceState::is_enrolled)
    }

    /// Whether the namespace carries the label for enrolment in the end: it does already, or the
    /// plan adds it, which it does only where there is something to enrol.
    pub fn enrols(&self, namespace: &str) -> bool {
        match self.namespace(namespace) {
            Some(NamespaceState::Labelled) => true,
            Some(NamespaceState::Enrolled) => self.with_members.contains(namespace),
            Some(NamespaceState::LeftOut(_)) | None => false,
        }
    }

    /// Whether the pods of a workload will be in the mesh, by its index in [`World::workloads`].
    pub fn workload(&self, index: usize) -> Membership {
        let known = self.workloads.get(index).copied();
        known.unwrap_or(Membership::StaysOut(StaysOut::Namespace))
    }

    /// The same for an endpoint: in the mesh if any of its pods is.
    pub fn endpoint(&self, id: EndpointId) -> Membership {
        let known = self.endpoints.get(id).copied();
        known.unwrap_or(Membership::StaysOut(StaysOut::Namespace))
    }
}

impl NamespaceState {
    /// Whether pods of the namespace are in the mesh unless they say otherwise.
    pub fn is_enrolled(&self) -> bool {
        !matches!(self, Self::LeftOut(_))
    }
}

impl Membership {
    /// Whether the pods will speak through the tunnel, at once or after a restart.
    pub fn joins(self) -> bool {
        !matches!(self, Self::StaysOut(_))
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Excluded => write!(f, "excluded by `--exclude`"),
            Self::NotSelected => write!(f, "not among the namespaces asked for"),
            Self::System => write!(f, "system namespace"),
            Self::Mesh => write!(f, "parts of the mesh itself run in it"),
            Self::OptedOut => write!(f, "its label `{}` is `none`", labels::DATAPLANE_MODE),
            Self::UnknownMode(mode) => write!(
                f,
                "its label `{}` has the unknown value `{mode}`",
                labels::DATAPLANE_MODE
            ),
        }
    }
}

impl fmt::Display for StaysOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace => write!(f, "its namespace is not enrolled"),
            Self::OptedOut => write!(f, "its label `{}` is `none`", labels::DATAPLANE_MODE),
            Self::HostNetwork => write!(f, "it uses the host network"),
            Self::Windows => write!(f, "it runs on Windows nodes"),
            Self::Gateway => write!(f, "it is a gateway"),
            Self::Mesh => write!(f, "it is a part of the mesh itself"),
            Self::Terminated => write!(f, "it has ended"),
        }
    }
}

fn namespace_of(workload: &Workload) -> &str {
    &workload.meta.namespace
}

fn namespace_state(
    name: &str,
    mode: Option<&str>,
    mesh: bool,
    options: &ScopeOptions,
) -> NamespaceState {
    let listed = |names: &[String]| names.iter().any(|n| n == name);
    // The agent skips this namespace whatever its label says.
    if name == namespaces::NEVER_CAPTURED {
        return NamespaceState::LeftOut(LeftOut::System);
    }
    // A label that is there is in force, whatever this run is about.
    if mode == Some(labels::AMBIENT) {
        return NamespaceState::Labelled;
    }
    let left_out = if listed(&options.exclude) {
        LeftOut::Excluded
    } else if !options.namespaces.is_empty()
        && !listed(&options.namespaces)
        && !options.imagined.contains(name)
    {
        LeftOut::NotSelected
    } else if is_system(name) {
        LeftOut::System
    } else if mesh {
        LeftOut::Mesh
    } else {
        match mode {
            None => return NamespaceState::Enrolled,
            Some(labels::NONE) => LeftOut::OptedOut,
            Some(other) => LeftOut::UnknownMode(other.to_owned()),
        }
    };
    NamespaceState::LeftOut(left_out)
}

/// Whether a namespace belongs to Kubernetes, the mesh or the network plugin.
pub(crate) fn is_system(name: &str) -> bool {
    name.starts_with(namespaces::KUBERNETES_PREFIX) || namespaces::SYSTEM.contains(&name)
}

/// The labels that Istio's charts give to the control plane, ztunnel and the node agent.
pub(crate) fn is_mesh(pod: &PodTemplate) -> bool {
    let label = |key: &str| pod.labels.get(key).map(String::as_str);
    matches!(label(labels::APP), Some("istiod" | "ztunnel"))
        || label(labels::K8S_APP) == Some("istio-cni-node")
}

fn membership(workload: &Workload, namespace: Option<&NamespaceState>) -> Membership {
    let pod = &workload.pod;
    let own = pod.labels.get(labels::DATAPLANE_MODE).map(String::as_str);
    let enrolled = namespace.is_some_and(NamespaceState::is_enrolled);
    let never = workload.meta.namespace == namespaces::NEVER_CAPTURED;
    let reason = if workload.terminated {
        StaysOut::Terminated
    } else if is_mesh(pod) {
        StaysOut::Mesh
    } else if is_gateway(pod) {
        StaysOut::Gateway
    } else if never || (own != Some(labels::AMBIENT) && !enrolled) {
        StaysOut::Namespace
    } else if own == Some(labels::NONE) {
        StaysOut::OptedOut
    } else if pod.host_network {
        StaysOut::HostNetwork
    } else if pod.windows {
        StaysOut::Windows
    } else if has_sidecar(pod) || asks_for_sidecar(pod) {
        return Membership::JoinsWithoutSidecar;
    } else {
        return Membership::Joins;
    };
    Membership::StaysOut(reason)
}

/// Whether these are pods that Istio's control plane generates for a Gateway, an installed gateway
/// that gets its proxy by injection, or one that is nothing but a proxy. That a pod names its Gateway
/// says nothing: other implementations do it too, and the node agent captures theirs.
pub(crate) fn is_gateway(pod: &PodTemplate) -> bool {
    let injected = pod
        .annotations
        .get(annotations::INJECT_TEMPLATES)
        .is_some_and(|t| t.split(',').any(|t| t.trim() == "gateway"));
    let class = pod.labels.get(labels::GATEWAY_CLASS_NAME);
    pod.labels.contains_key(labels::GATEWAY_MANAGED)
        || class.is_some_and(|class| class.starts_with(labels::ISTIO_CLASSES))
        || injected
        || pod.containers == [SIDECAR_CONTAINER]
}

/// Whether a sidecar was injected: the injector's annotation, or its container in the pod.
pub(crate) fn has_sidecar(pod: &PodTemplate) -> bool {
    pod.annotations.contains_key(annotations::SIDECAR_STATUS)
        || (pod.containers.iter().any(|c| c == SIDECAR_CONTAINER) && !is_gateway(pod))
}

/// Whether the template itself asks for a sidecar.
pub(crate) fn asks_for_sidecar(pod: &PodTemplate) -> bool {
    injection_of(pod) == Some(true)
}

/// What the pod says about injection; its label wins over its annotation, as in the injector.
pub(crate) fn injection_of(pod: &PodTemplate) -> Option<bool> {
    let label = pod.labels.get(labels::SIDECAR_INJECT);
    let value = label.or_else(|| pod.annotations.get(labels::SIDECAR_INJECT))?;
    match value.as_str() {
        "true" | "enabled" | "yes" | "y" | "on" => Some(true),
        "false" | "disabled" | "no" | "n" | "off" => Some(false),
        _ => None,
    }
}

/// Name of the container that the injector adds, among the init containers when native sidecars
/// are in use.
pub(crate) const SIDECAR_CONTAINER: &str = "istio-proxy";

/// The membership of pods taken together: in, later in, or why not.
fn strongest(members: impl Iterator<Item = Membership>) -> Membership {
    let rank = |m: &Membership| match m {
        Membership::Joins => 0,
        Membership::JoinsWithoutSidecar => 1,
        Membership::StaysOut(_) => 2,
    };
    members
        .min_by_key(rank)
        .unwrap_or(Membership::StaysOut(StaysOut::Namespace))
}

#[cfg(test)]
mod tests;
