//! Workloads and services.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use ambient_hbone::headers::WorkloadKind;
use ambient_identity::SpiffeId;

/// How a workload is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Protocol {
    /// As it listens, in the clear.
    #[default]
    Tcp,
    /// Through HBONE.
    Hbone,
}

/// Where a workload runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locality {
    /// The region; empty where nobody says.
    pub region: String,
    /// The zone.
    pub zone: String,
    /// The subzone.
    pub subzone: String,
}

/// A workload: mostly a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Its name in the whole mesh.
    pub uid: String,
    /// Name, namespace, service account.
    pub name: WorkloadName,
    /// Who it is.
    pub identity: SpiffeId,
    /// Where it is reached, what was written first coming first.
    pub addresses: Vec<IpAddr>,
    /// It has no address of its own: these are its node's.
    pub is_on_host_network: bool,
    /// The network that its addresses are of; empty in a mesh of one network.
    pub network: String,
    /// How it is reached.
    pub protocol: Protocol,
    /// Whether services send something to it.
    pub is_healthy: bool,
    /// The cluster.
    pub cluster: String,
    /// The node.
    pub node: String,
    /// The service that it is one of, by the name that metrics have it by.
    pub canonical_name: String,
    /// The version of that.
    pub canonical_revision: String,
    /// What controls it, by name: a Deployment mostly.
    pub controller: String,
    /// The kind of that.
    pub controller_kind: WorkloadKind,
    /// Where it runs.
    pub locality: Locality,
}

/// How a workload is found by whoever speaks for it: `NAMESPACE/NAME/SERVICE-ACCOUNT`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkloadName {
    /// The namespace.
    pub namespace: String,
    /// The name of the pod.
    pub name: String,
    /// The service account.
    pub service_account: String,
}

/// A text is no name of a workload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not of the form `NAMESPACE/NAME/SERVICE-ACCOUNT`")]
pub struct ParseWorkloadNameError(String);

impl FromStr for WorkloadName {
    type Err = ParseWorkloadNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(namespace), Some(name), Some(account), None)
                if ![namespace, name, account].contains(&"") =>
            {
                Ok(Self {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                    service_account: account.to_owned(),
                })
            }
            _ => Err(ParseWorkloadNameError(text.to_owned())),
        }
    }
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            namespace,
            name,
            service_account,
        } = self;
        write!(f, "{namespace}/{name}/{service_account}")
    }
}

/// A service: names and virtual addresses that stand for workloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name in DNS, in lower case.
    pub hostname: String,
    /// Its virtual addresses, each with its network.
    pub addresses: Vec<(String, IpAddr)>,
    /// Its ports, and where they lead unless a workload says otherwise; 0 where only that can say.
    pub ports: BTreeMap<u16, u16>,
    /// Whom its workloads may be besides who they are.
    pub identities: Vec<SpiffeId>,
    /// The workloads behind it that are healthy, by their identifiers.
    pub endpoints: Vec<Endpoint>,
}

/// A workload behind a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The workload.
    pub workload: Arc<Workload>,
    /// Where the service's ports lead here.
    pub ports: BTreeMap<u16, u16>,
}

impl Service {
    /// The port of a workload that one of the service's ports stands for; `None` where there is none.
    pub fn target_port(&self, port: u16, endpoint: Option<&Endpoint>) -> Option<u16> {
        let at_endpoint = endpoint.and_then(|endpoint| endpoint.ports.get(&port));
        let target = at_endpoint.or_else(|| self.ports.get(&port)).copied();
        target.filter(|target| *target != 0)
    }
}
