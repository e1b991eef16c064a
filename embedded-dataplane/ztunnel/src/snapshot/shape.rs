//! The file as it is written, and what becomes of it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ambient_facts::namespaces::TRUST_DOMAIN;
use ambient_facts::tunnel::SPIFFE_SCHEME;
use ambient_hbone::headers::WorkloadKind;
use ambient_identity::SpiffeId;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::index::{Contested, Snapshot};
use super::objects::{Endpoint, Locality, Protocol, Service, Workload, WorkloadName};
use super::values::{Absent, NetworkAddress, Object, Port};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mesh {
    #[serde(default)]
    workloads: Option<Vec<Object<WorkloadFields, Placed>>>,
    #[serde(default)]
    services: Option<Vec<Object<ServiceFields, Service>>>,
    #[serde(default, rename = "policies")]
    _policies: Absent,
}

/// Two objects that do not fit together.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Misfit {
    message: String,
    /// What stands in the line that is wrong, for the last time in the file.
    pub(super) mention: String,
}

impl From<Contested> for Misfit {
    fn from(contested: Contested) -> Self {
        let [first, second] = contested.workloads;
        let network = match &*contested.network {
            "" => String::new(),
            network => format!(" of network `{network}`"),
        };
        Self {
            message: format!(
                "workload `{}`: workloadIps: `{}`{network} is the address of workload `{}` too: take it \
                 from one of both, or write `networkMode: HostNetwork` where it is their node's",
                second.uid, contested.address, first.uid
            ),
            mention: second.uid.clone(),
        }
    }
}

/// A workload, and the services that it is behind, by `NAMESPACE/HOSTNAME`.
#[derive(Debug)]
struct Placed {
    workload: Workload,
    behind: BTreeMap<String, BTreeMap<u16, u16>>,
}

impl Mesh {
    /// Joins workloads with the services that they are behind.
    pub(super) fn join(self) -> Result<Snapshot, Misfit> {
        let twice = |kind: &str, name: &str| Misfit {
            message: format!("{kind} `{name}`: there is another of this name"),
            mention: name.to_owned(),
        };
        let mut services = BTreeMap::new();
        for Object { made: service, .. } in self.services.unwrap_or_default() {
            let key = format!("{}/{}", service.namespace, service.hostname);
            let hostname = service.hostname.clone();
            if services.insert(key, service).is_some() {
                return Err(twice("service", &hostname));
            }
        }
        let mut workloads = BTreeMap::new();
        for Object { made: placed, .. } in self.workloads.unwrap_or_default() {
            let workload = Arc::new(placed.workload);
            for (name, ports) in placed.behind {
                let Some(service) = services.get_mut(&canonical(&name)) else {
                    return Err(Misfit {
                        message: format!(
                            "workload `{}`: services: there is no service `{name}`",
                            workload.uid
                        ),
                        mention: name,
                    });
                };
                if workload.is_healthy {
                    service.endpoints.push(Endpoint {
                        workload: Arc::clone(&workload),
                        ports,
                    });
                }
            }
            let uid = workload.uid.clone();
            if workloads.insert(uid.clone(), workload).is_some() {
                return Err(twice("workload", &uid));
            }
        }
        let services = services.into_values().map(Arc::new);
        Ok(Snapshot::new(workloads.into_values(), services)?)
    }
}

/// A name in DNS as names are compared.
fn canonical(hostname: &str) -> String {
    let hostname = hostname.strip_suffix('.').unwrap_or(hostname);
    hostname.to_ascii_lowercase()
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WorkloadFields {
    uid: String,
    name: String,
    namespace: String,
    #[serde(default = "account")]
    service_account: String,
    #[serde(default = "trust_domain")]
    trust_domain: String,
    #[serde(default)]
    workload_ips: Vec<IpAddr>,
    #[serde(default)]
    protocol: Protocol,
    #[serde(default)]
    network_mode: NetworkMode,
    #[serde(default)]
    network: String,
    #[serde(default)]
    node: String,
    #[serde(default)]
    cluster_id: String,
    #[serde(default)]
    canonical_name: String,
    #[serde(default)]
    canonical_revision: String,
    #[serde(default)]
    workload_name: String,
    #[serde(default)]
    workload_type: Kind,
    #[serde(default)]
    status: Status,
    #[serde(default)]
    locality: Locality,
    services: BTreeMap<String, BTreeMap<Port, u16>>,
    // These change nothing here.
    #[serde(default, rename = "capacity")]
    _capacity: IgnoredAny,
    #[serde(default, rename = "hostname")]
    _hostname: IgnoredAny,
    #[serde(default, rename = "nativeTunnel")]
    _native_tunnel: IgnoredAny,
    // And these would.
    #[serde(default, rename = "waypoint")]
    _waypoint: Absent,
    #[serde(default, rename = "networkGateway")]
    _network_gateway: Absent,
    #[serde(default, rename = "applicationTunnel")]
    _application_tunnel: Absent,
    #[serde(default, rename = "authorizationPolicies")]
    _authorization_policies: Absent,
}

#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
enum NetworkMode {
    #[default]
    Standard,
    HostNetwork,
}

#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
enum Status {
    #[default]
    Healthy,
    Unhealthy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Deployment,
    CronJob,
    Pod,
    Job,
}

impl From<Kind> for WorkloadKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Deployment => Self::Deployment,
            Kind::CronJob => Self::CronJob,
            Kind::Pod => Self::Pod,
            Kind::Job => Self::Job,
        }
    }
}

/// As the API of Kubernetes has it where a pod names none.
fn account() -> String {
    "default".to_owned()
}

fn trust_domain() -> String {
    TRUST_DOMAIN.to_owned()
}

impl TryFrom<WorkloadFields> for Placed {
    type Error = String;

    fn try_from(fields: WorkloadFields) -> Result<Self, String> {
        let WorkloadFields {
            trust_domain,
            namespace,
            service_account,
            ..
        } = &fields;
        let identity = format!("{SPIFFE_SCHEME}{trust_domain}/ns/{namespace}/sa/{service_account}");
        let identity: SpiffeId = identity.parse().map_err(|error| format!("{error}"))?;
        let addresses = fields.workload_ips.iter().map(IpAddr::to_canonical);
        let ports = |ports: BTreeMap<Port, u16>| ports.into_iter().map(|(Port(p), to)| (p, to));
        let behind = fields.services.into_iter();
        Ok(Self {
            workload: Workload {
                uid: fields.uid,
                name: WorkloadName {
                    namespace: fields.namespace,
                    name: fields.name,
                    service_account: fields.service_account,
                },
                identity,
                addresses: addresses.collect(),
                is_on_host_network: fields.network_mode == NetworkMode::HostNetwork,
                network: fields.network,
                protocol: fields.protocol,
                is_healthy: fields.status == Status::Healthy,
                cluster: fields.cluster_id,
                node: fields.node,
                canonical_name: fields.canonical_name,
                canonical_revision: fields.canonical_revision,
                controller: fields.workload_name,
                controller_kind: fields.workload_type.into(),
                locality: fields.locality,
            },
            behind: behind
                .map(|(name, to)| (name, ports(to).collect()))
                .collect(),
        })
    }
}

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        enum Text {
            #[serde(rename = "HBONE")]
            Hbone,
            #[serde(rename = "TCP")]
            Tcp,
        }
        Ok(match Text::deserialize(deserializer)? {
            Text::Hbone => Self::Hbone,
            Text::Tcp => Self::Tcp,
        })
    }
}

impl<'de> Deserialize<'de> for Locality {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[derive(Default)]
        struct Text {
            region: String,
            zone: String,
            subzone: String,
        }
        let Text {
            region,
            zone,
            subzone,
        } = Text::deserialize(deserializer)?;
        Ok(Self {
            region,
            zone,
            subzone,
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ServiceFields {
    name: String,
    namespace: String,
    hostname: String,
    #[serde(default)]
    vips: Vec<NetworkAddress>,
    #[serde(default)]
    ports: BTreeMap<Port, u16>,
    #[serde(default)]
    subject_alt_names: Vec<Identity>,
    #[serde(default, rename = "visibility")]
    _visibility: Visibility,
    // These change nothing here; workloads say themselves what they are behind.
    #[serde(default, rename = "endpoints")]
    _endpoints: IgnoredAny,
    #[serde(default, rename = "ipFamilies")]
    _ip_families: IgnoredAny,
    #[serde(default, rename = "canonical")]
    _canonical: IgnoredAny,
    // And these would.
    #[serde(default, rename = "cidrVips")]
    _cidr_vips: Absent,
    #[serde(default, rename = "waypoint")]
    _waypoint: Absent,
    #[serde(default, rename = "weightedWaypoints")]
    _weighted_waypoints: Absent,
    #[serde(default, rename = "loadBalancer")]
    _load_balancer: Absent,
}

/// Who sees a service: everybody, or its namespace alone, which is not here yet.
#[derive(Debug, Default, Deserialize)]
enum Visibility {
    #[default]
    Public,
}

#[derive(Debug)]
struct Identity(SpiffeId);

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::values::parsed(deserializer, "a SPIFFE ID").map(Self)
    }
}

impl TryFrom<ServiceFields> for Service {
    type Error = fmt::Error;

    fn try_from(fields: ServiceFields) -> Result<Self, fmt::Error> {
        let ports = fields.ports.into_iter().map(|(Port(port), to)| (port, to));
        let addresses = fields
            .vips
            .into_iter()
            .map(|vip| (vip.network, vip.address));
        Ok(Self {
            name: fields.name,
            namespace: fields.namespace,
            hostname: canonical(&fields.hostname),
            addresses: addresses.collect(),
            ports: ports.collect(),
            identities: fields
                .subject_alt_names
                .into_iter()
                .map(|id| id.0)
                .collect(),
            endpoints: Vec::new(),
        })
    }
}
