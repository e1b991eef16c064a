//! Which network plugin enforces the network policies, and what that means for ambient mesh.
//!
//! Detection reads objects only and never guesses: evidence for two plugins that exclude each other
//! gives [`Cni::Unknown`] with a note.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::model::{GenericObject, ObjectRef, Workload, World};

/// A network plugin, as far as its kind makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cni {
    /// Not known.
    Unknown,
    /// Calico with its iptables or nftables dataplane; Canal.
    Calico,
    /// Calico with its eBPF dataplane.
    CalicoEbpf,
    /// Calico that keeps the application's port visible for ambient mesh.
    CalicoAmbient,
    /// Cilium.
    Cilium,
    /// Antrea on the Linux kernel datapath.
    Antrea,
    /// Antrea on the userspace datapath of Open vSwitch.
    AntreaUserspace,
    /// OVN-Kubernetes.
    OvnKubernetes,
    /// Amazon VPC CNI with its network policy agent.
    AwsVpc,
    /// GKE Dataplane V2.
    GkeDataplaneV2,
    /// kube-router; also what k3s enforces policies with.
    KubeRouter,
    /// Weave Net.
    Weave,
    /// Flannel without another policy engine.
    Flannel,
    /// kindnet.
    Kindnet,
}

/// What was detected, and from what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection {
    /// The plugin.
    pub cni: Cni,
    /// The objects that say so, sorted; for [`Cni::Unknown`] the ones that contradict each other.
    pub evidence: Vec<Evidence>,
    /// Why it is unknown in spite of evidence.
    pub note: Option<String>,
}

/// One object that names a plugin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Evidence {
    /// The plugin that it names.
    pub cni: Cni,
    /// The object.
    pub object: ObjectRef,
    /// What in it says so, for example an image or a field.
    pub says: String,
}

/// A name that is no network plugin's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown network plugin `{0}`")]
pub struct UnknownCni(String);

impl Cni {
    /// All of them, in the order of help texts.
    pub const ALL: [Self; 14] = [
        Self::Unknown,
        Self::Calico,
        Self::CalicoEbpf,
        Self::CalicoAmbient,
        Self::Cilium,
        Self::Antrea,
        Self::AntreaUserspace,
        Self::OvnKubernetes,
        Self::AwsVpc,
        Self::GkeDataplaneV2,
        Self::KubeRouter,
        Self::Weave,
        Self::Flannel,
        Self::Kindnet,
    ];

    /// The name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Calico => "calico",
            Self::CalicoEbpf => "calico-ebpf",
            Self::CalicoAmbient => "calico-ambient",
            Self::Cilium => "cilium",
            Self::Antrea => "antrea",
            Self::AntreaUserspace => "antrea-userspace",
            Self::OvnKubernetes => "ovn-kubernetes",
            Self::AwsVpc => "aws-vpc",
            Self::GkeDataplaneV2 => "gke-dataplane-v2",
            Self::KubeRouter => "kube-router",
            Self::Weave => "weave",
            Self::Flannel => "flannel",
            Self::Kindnet => "kindnet",
        }
    }

    /// Whether isolated pods need a rule for the node agent's probe address. `None` when it is not
    /// known.
    pub const fn needs_probe_rule(self) -> Option<bool> {
        match self {
            // These decide by source address at the pod's interface or in the logical switch, where
            // the probe carries the node agent's address already; only the node's own is let in.
            Self::Cilium
            | Self::GkeDataplaneV2
            | Self::AwsVpc
            | Self::OvnKubernetes
            | Self::AntreaUserspace => Some(true),
            // These accept traffic of the node in `filter/OUTPUT`, or by a mark set there, before
            // its source is rewritten. CalicoAmbient is the same engine with a patched dataplane.
            // Flannel refuses nothing.
            Self::Calico
            | Self::CalicoAmbient
            | Self::Antrea
            | Self::KubeRouter
            | Self::Weave
            | Self::Flannel => Some(false),
            // Needed before Calico 3.29 (projectcalico/calico#9157), not since; kindnet is not
            // verified.
            Self::CalicoEbpf | Self::Kindnet | Self::Unknown => None,
        }
    }

    /// Whether an `ipBlock` matches addresses of pods. `None` when it is not known.
    pub const fn block_matches_pods(self) -> Option<bool> {
        match self {
            // Managed pods have an identity, and CIDR rules are about what has none.
            Self::Cilium | Self::GkeDataplaneV2 => Some(false),
            // These match packets by address, whoever has it.
            Self::Calico
            | Self::CalicoEbpf
            | Self::CalicoAmbient
            | Self::Antrea
            | Self::AntreaUserspace
            | Self::OvnKubernetes
            | Self::AwsVpc
            | Self::KubeRouter
            | Self::Weave => Some(true),
            // Without a policy engine the question has no answer; kindnet is not verified.
            Self::Flannel | Self::Kindnet | Self::Unknown => None,
        }
    }

    /// Whether network policies are enforced at all. `None` when it is not known.
    pub const fn enforces_policies(self) -> Option<bool> {
        match self {
            Self::Calico
            | Self::CalicoEbpf
            | Self::CalicoAmbient
            | Self::Cilium
            | Self::Antrea
            | Self::AntreaUserspace
            | Self::OvnKubernetes
            | Self::GkeDataplaneV2
            | Self::KubeRouter
            | Self::Weave => Some(true),
            // It only connects pods.
            Self::Flannel => Some(false),
            // The Amazon agent has to be switched on; kindnet enforces since kind 0.24.
            Self::AwsVpc | Self::Kindnet | Self::Unknown => None,
        }
    }

    /// Whether policies see the application's port between mesh workloads, so that nothing has to
    /// be rewritten.
    pub const fn keeps_ports_visible(self) -> bool {
        matches!(self, Self::CalicoAmbient)
    }

    /// Whether this plugin is a more exact statement about the same installation as the other, or
    /// enforces policies on top of it.
    const fn refines(self, other: Self) -> bool {
        match (self, other) {
            // The same installation, told more exactly.
            (Self::CalicoEbpf, Self::Calico)
            | (Self::CalicoAmbient, Self::Calico | Self::CalicoEbpf)
            | (Self::AntreaUserspace, Self::Antrea)
            | (Self::GkeDataplaneV2, Self::Cilium)
            // On EKS Calico often enforces policies, and Cilium can be chained.
            | (
                Self::Calico | Self::CalicoEbpf | Self::CalicoAmbient | Self::Cilium,
                Self::AwsVpc,
            ) => true,
            // Canal and its kin: another engine enforces what these connect.
            (engine, Self::Flannel | Self::Kindnet) => {
                !matches!(engine, Self::Flannel | Self::Kindnet | Self::Unknown)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Cni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Cni {
    type Err = UnknownCni;

    fn from_str(name: &str) -> Result<Self, UnknownCni> {
        let found = Self::ALL.into_iter().find(|c| c.as_str() == name);
        found.ok_or_else(|| UnknownCni(name.to_owned()))
    }
}

/// Detects the network plugin of a world.
pub(crate) fn detect(world: &World) -> Detection {
    let mut evidence: Vec<_> = world.workloads.iter().filter_map(of_workload).collect();
    let objects = world.configuration.iter().chain(&world.plugin_policies);
    evidence.extend(objects.filter_map(of_object));
    evidence.sort();
    evidence.dedup();
    conclude(evidence)
}

fn conclude(mut evidence: Vec<Evidence>) -> Detection {
    let mut named: BTreeMap<Cni, usize> = BTreeMap::new();
    for item in &evidence {
        *named.entry(item.cni).or_default() += 1;
    }
    let refined = |cni: &Cni| named.keys().any(|other| other.refines(*cni));
    let left: Vec<Cni> = named.keys().copied().filter(|c| !refined(c)).collect();
    match left.as_slice() {
        [] => Detection {
            cni: Cni::Unknown,
            evidence,
            note: None,
        },
        [cni] => {
            evidence.retain(|e| e.cni == *cni);
            Detection {
                cni: *cni,
                evidence,
                note: None,
            }
        }
        several => {
            let plugins: Vec<_> = several.iter().map(|c| format!("`{c}`")).collect();
            let note = format!("the objects name {}", plugins.join(" and "));
            evidence.retain(|e| several.contains(&e.cni));
            Detection {
                cni: Cni::Unknown,
                evidence,
                note: Some(note),
            }
        }
    }
}

/// Parts of image names, longest registry path first, and whose agent they are.
const IMAGES: [(&str, Cni); 13] = [
    ("cilium/cilium", Cni::Cilium),
    ("calico/node", Cni::Calico),
    ("antrea/antrea-agent", Cni::Antrea),
    ("antrea/antrea-ubuntu", Cni::Antrea),
    ("ovn-kubernetes/ovn-kube", Cni::OvnKubernetes),
    ("ovn-kube", Cni::OvnKubernetes),
    ("amazon-k8s-cni", Cni::AwsVpc),
    ("gke.gcr.io/cilium", Cni::GkeDataplaneV2),
    ("cloudnativelabs/kube-router", Cni::KubeRouter),
    ("weaveworks/weave-kube", Cni::Weave),
    ("weaveworks/weave-npc", Cni::Weave),
    ("flannel/flannel", Cni::Flannel),
    ("kindnetd", Cni::Kindnet),
];

/// Agents by the name of their DaemonSet, for images from a private registry.
const DAEMON_SETS: [(&str, Cni); 11] = [
    ("anetd", Cni::GkeDataplaneV2),
    ("antrea-agent", Cni::Antrea),
    ("aws-node", Cni::AwsVpc),
    ("calico-node", Cni::Calico),
    ("canal", Cni::Calico),
    ("cilium", Cni::Cilium),
    ("kindnet", Cni::Kindnet),
    ("kube-flannel-ds", Cni::Flannel),
    ("kube-router", Cni::KubeRouter),
    ("ovnkube-node", Cni::OvnKubernetes),
    ("weave-net", Cni::Weave),
];

fn of_workload(workload: &Workload) -> Option<Evidence> {
    let daemon = workload.kind == crate::model::WorkloadKind::DaemonSet;
    let by_name = DAEMON_SETS
        .iter()
        .find(|(name, _)| daemon && workload.meta.name == *name);
    if let Some((name, cni)) = by_name {
        let says = format!("DaemonSet `{name}`");
        return Some(evidence(*cni, workload.reference(), says));
    }
    // Only agents run on the network of their node; their operators and clients do not.
    let images = workload
        .pod
        .images
        .iter()
        .filter(|_| workload.pod.host_network);
    let (image, cni) = images
        .flat_map(|image| IMAGES.iter().map(move |(part, cni)| (image, part, *cni)))
        .find(|(image, part, _)| names_image(image, part))
        .map(|(image, _, cni)| (image, cni))?;
    Some(evidence(
        cni,
        workload.reference(),
        format!("image `{image}`"),
    ))
}

/// Whether an image's path ends in this name, tag and digest aside.
fn names_image(image: &str, name: &str) -> bool {
    let path = image.split('@').next().unwrap_or(image);
    let path = match path.rsplit_once(':') {
        // A colon before the last slash is a registry's port.
        Some((path, tag)) if !tag.contains('/') => path,
        _ => path,
    };
    let rest = path.strip_suffix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

/// ConfigMaps of plugins.
const CONFIG_MAPS: [(&str, Cni); 9] = [
    ("amazon-vpc-cni", Cni::AwsVpc),
    ("antrea-config", Cni::Antrea),
    ("calico-config", Cni::Calico),
    ("canal-config", Cni::Calico),
    ("cilium-config", Cni::Cilium),
    ("kube-flannel-cfg", Cni::Flannel),
    ("kube-router-cfg", Cni::KubeRouter),
    ("ovnkube-config", Cni::OvnKubernetes),
    ("weave-net", Cni::Weave),
];

fn of_object(object: &GenericObject) -> Option<Evidence> {
    let spec = |pointer: &str| object.body.pointer(pointer);
    let says_yes =
        |pointer: &str, wanted: &str| spec(pointer).is_some_and(|v| v.as_str() == Some(wanted));
    let (cni, says) = match (object.group.as_str(), object.kind.as_str()) {
        ("", "ConfigMap") => {
            let (name, cni) = CONFIG_MAPS.iter().find(|(n, _)| object.meta.name == *n)?;
            (*cni, format!("ConfigMap `{name}`"))
        }
        (_, "FelixConfiguration") if says_yes("/spec/istioAmbientMode", "Enabled") => (
            Cni::CalicoAmbient,
            "`spec.istioAmbientMode: Enabled`".to_owned(),
        ),
        (_, "FelixConfiguration")
            if spec("/spec/bpfEnabled").and_then(serde_json::Value::as_bool) == Some(true) =>
        {
            (Cni::CalicoEbpf, "`spec.bpfEnabled: true`".to_owned())
        }
        (_, "Installation") if says_yes("/spec/calicoNetwork/linuxDataplane", "BPF") => (
            Cni::CalicoEbpf,
            "`spec.calicoNetwork.linuxDataplane: BPF`".to_owned(),
        ),
        ("operator.tigera.io" | "crd.projectcalico.org" | "projectcalico.org", _) => {
            (Cni::Calico, format!("kind `{}`", object.kind))
        }
        ("cilium.io", _) => (Cni::Cilium, format!("kind `{}`", object.kind)),
        ("crd.antrea.io", _) => (Cni::Antrea, format!("kind `{}`", object.kind)),
        ("k8s.ovn.org", _) => (Cni::OvnKubernetes, format!("kind `{}`", object.kind)),
        ("networking.k8s.aws", _) => (Cni::AwsVpc, format!("kind `{}`", object.kind)),
        _ => return None,
    };
    Some(evidence(cni, object.reference(), says))
}

fn evidence(cni: Cni, object: ObjectRef, says: String) -> Evidence {
    Evidence { cni, object, says }
}

#[cfg(test)]
mod tests;
