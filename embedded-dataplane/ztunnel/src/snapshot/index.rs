//! Finding what is known.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::objects::{Protocol, Service, Workload, WorkloadName};

/// What is known of the mesh at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// By their names, of which several pods have one where services are of several clusters.
    names: BTreeMap<WorkloadName, Arc<Workload>>,
    /// By networks and addresses there.
    addresses: BTreeMap<String, BTreeMap<IpAddr, Holders>>,
    /// By hostnames, in the order of namespaces.
    hostnames: BTreeMap<String, Vec<Arc<Service>>>,
    /// By the workloads behind them.
    services: BTreeMap<String, Vec<Arc<Service>>>,
}

/// Whom an address stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Holders {
    workload: Option<Arc<Workload>>,
    service: Option<Arc<Service>>,
}

/// An address of several workloads that nothing tells apart.
#[derive(Debug)]
pub(super) struct Contested {
    pub(super) network: String,
    pub(super) address: IpAddr,
    pub(super) workloads: [Arc<Workload>; 2],
}

/// Who has an address too, as much as whom it stands for; by network and address.
type Rivals = BTreeMap<(String, IpAddr), Arc<Workload>>;

impl Snapshot {
    pub(super) fn new(
        workloads: impl IntoIterator<Item = Arc<Workload>>,
        services: impl IntoIterator<Item = Arc<Service>>,
    ) -> Result<Self, Contested> {
        let mut snapshot = Self::default();
        let mut rivals = Rivals::new();
        for workload in workloads {
            snapshot.add_workload(workload, &mut rivals);
        }
        if let Some(((network, address), rival)) = rivals.pop_first()
            && let Some(first) = snapshot.workload_at(&network, address)
        {
            return Err(Contested {
                workloads: [Arc::clone(first), rival],
                network,
                address,
            });
        }
        for service in services {
            snapshot.add_service(service);
        }
        Ok(snapshot)
    }

    fn add_workload(&mut self, workload: Arc<Workload>, rivals: &mut Rivals) {
        // Addresses of a node are those of many, and lead to none of them.
        let addresses = workload.addresses.iter().copied();
        for address in addresses.filter(|_| !workload.is_on_host_network) {
            let key = || (workload.network.clone(), address);
            let holder = &mut self.holders(&workload.network, address).workload;
            match holder {
                Some(other) if other.uid == workload.uid || rank(other) > rank(&workload) => {}
                Some(other) if rank(other) == rank(&workload) => {
                    rivals.entry(key()).or_insert_with(|| Arc::clone(&workload));
                }
                Some(_) => {
                    rivals.remove(&key());
                    *holder = Some(Arc::clone(&workload));
                }
                None => *holder = Some(Arc::clone(&workload)),
            }
        }
        self.names.entry(workload.name.clone()).or_insert(workload);
    }

    fn add_service(&mut self, service: Arc<Service>) {
        for (network, address) in &service.addresses {
            let holder = &mut self.holders(network, *address).service;
            holder.get_or_insert_with(|| Arc::clone(&service));
        }
        for endpoint in &service.endpoints {
            let services = self.services.entry(endpoint.workload.uid.clone());
            services.or_default().push(Arc::clone(&service));
        }
        let same_name = self.hostnames.entry(service.hostname.clone());
        same_name.or_default().push(service);
    }

    fn holders(&mut self, network: &str, address: IpAddr) -> &mut Holders {
        let network = self.addresses.entry(network.to_owned()).or_default();
        network.entry(address).or_default()
    }

    /// A workload by its name.
    pub fn workload(&self, name: &WorkloadName) -> Option<&Arc<Workload>> {
        self.names.get(name)
    }

    /// The workload that an address of a network stands for.
    pub fn workload_at(&self, network: &str, address: IpAddr) -> Option<&Arc<Workload>> {
        self.at(network, address)?.workload.as_ref()
    }

    /// The service that an address of a network stands for.
    pub fn service_at(&self, network: &str, address: IpAddr) -> Option<&Arc<Service>> {
        self.at(network, address)?.service.as_ref()
    }

    /// The service that a name in DNS stands for, as a namespace sees it: its own first.
    pub fn service_named(&self, hostname: &str, namespace: &str) -> Option<&Arc<Service>> {
        let services = self.hostnames.get(hostname)?;
        let own = services.iter().find(|s| s.namespace == namespace);
        own.or_else(|| services.first())
    }

    /// All workloads, in the order of their names.
    pub fn workloads(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.names.values()
    }

    /// All services, in the order of their hostnames.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.hostnames.values().flatten()
    }

    /// The services that a workload is behind, by its identifier.
    pub fn services_of(&self, uid: &str) -> &[Arc<Service>] {
        self.services.get(uid).map_or(&[], Vec::as_slice)
    }

    fn at(&self, network: &str, address: IpAddr) -> Option<&Holders> {
        self.addresses.get(network)?.get(&address.to_canonical())
    }
}

/// Who is meant by an address that several have: a pod before other things, and what is in the mesh
/// before what is not (ztunnel `src/state/workload.rs`, `WorkloadByAddr`). Of those that are equal there
/// ztunnel takes the one that it heard of last, which is nobody's intention.
fn rank(workload: &Workload) -> (bool, bool) {
    let is_pod = workload.uid.contains("//Pod/");
    (is_pod, workload.protocol == Protocol::Hbone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Snapshot {
        Snapshot::from_yaml("mesh.yaml".as_ref(), text).unwrap()
    }

    fn workload(uid: &str, address: &str, more: &str) -> String {
        format!(
            "- {{uid: '{uid}', name: {uid:?}, namespace: shop, serviceAccount: a, workloadIps: \
             ['{address}'], services: {{}}{more}}}\n"
        )
    }

    fn uid_at(snapshot: &Snapshot, network: &str, address: &str) -> Option<String> {
        let found = snapshot.workload_at(network, address.parse().unwrap());
        found.map(|workload| workload.uid.clone())
    }

    #[test]
    fn an_address_stands_for_the_pod_in_the_mesh_that_has_it() {
        let hbone = ", protocol: HBONE";
        let contenders = [
            workload("entry", "10.0.0.1", ""),
            workload("entry-hbone", "10.0.0.1", hbone),
            workload("c//Pod/shop/plain", "10.0.0.1", ""),
            workload("c//Pod/shop/hbone", "10.0.0.1", hbone),
        ];
        for several in 1..=contenders.len() {
            let first = &contenders[..several];
            let reversed: String = first.iter().rev().cloned().collect();
            for text in [first.concat(), reversed] {
                let snapshot = read(&format!("workloads:\n{text}"));
                let best = [
                    "entry",
                    "entry-hbone",
                    "c//Pod/shop/plain",
                    "c//Pod/shop/hbone",
                ];
                let best = best[several - 1].to_owned();
                assert_eq!(uid_at(&snapshot, "", "10.0.0.1"), Some(best), "{text}");
            }
        }
    }

    #[test]
    fn an_address_that_stands_for_one_as_much_as_for_another_is_refused() {
        let refused = |first: &str, second: &str, more: &str| {
            let text = [
                workload(first, "10.0.0.1", more),
                workload("z//Pod/shop/z", "10.0.0.2", more),
                workload(second, "10.0.0.1", more),
                workload(&format!("{second}-2"), "10.0.0.11", more),
            ];
            let text = format!("workloads:\n{}", text.concat());
            let read = Snapshot::from_yaml("mesh.yaml".as_ref(), &text);
            read.map_or_else(|error| error.to_string(), |_| "none".to_owned())
        };
        let told = [
            refused("c//Pod/shop/web", "c//Pod/shop/web-2", ""),
            refused("entry-x", "entry-y", ", protocol: HBONE, network: west"),
            // Whom it stands for is clear.
            refused("c//Pod/shop/web", "entry", ""),
            refused("a", "b", ", networkMode: HostNetwork"),
        ];
        insta::assert_snapshot!(told.join("\n"), @"
        mesh.yaml:4: workload `c//Pod/shop/web-2`: workloadIps: `10.0.0.1` is the address of workload `c//Pod/shop/web` too: take it from one of both, or write `networkMode: HostNetwork` where it is their node's
        mesh.yaml:4: workload `entry-y`: workloadIps: `10.0.0.1` of network `west` is the address of workload `entry-x` too: take it from one of both, or write `networkMode: HostNetwork` where it is their node's
        none
        none
        ");
        // Nobody is asked about two that a third goes before, nor about one that says it twice.
        let text = [
            workload("a", "10.0.0.1", ""),
            workload("b", "10.0.0.1', '10.0.0.1", ""),
            workload("c//Pod/shop/c", "10.0.0.1', '::ffff:10.0.0.1", ""),
        ];
        let snapshot = read(&format!("workloads:\n{}", text.concat()));
        let first = uid_at(&snapshot, "", "10.0.0.1");
        assert_eq!(first.as_deref(), Some("c//Pod/shop/c"));
    }

    #[test]
    fn addresses_are_of_a_network_and_those_of_a_node_stand_for_nobody() {
        let text = [
            workload("here", "10.0.0.1", ""),
            workload("there", "10.0.0.1", ", network: west"),
            workload("host", "10.0.0.9", ", networkMode: HostNetwork"),
            workload("six", "fd00::1", ""),
        ];
        let snapshot = read(&format!("workloads:\n{}", text.concat()));
        let found = [
            uid_at(&snapshot, "", "10.0.0.1"),
            uid_at(&snapshot, "west", "10.0.0.1"),
            uid_at(&snapshot, "", "10.0.0.9"),
            uid_at(&snapshot, "", "fd00::1"),
            uid_at(&snapshot, "", "::ffff:10.0.0.1"),
        ];
        let found = found.each_ref().map(|uid| uid.as_deref().unwrap_or("-"));
        assert_eq!(found, ["here", "there", "-", "six", "here"]);
    }

    #[test]
    fn a_name_stands_for_the_service_of_the_own_namespace_first() {
        let service = |namespace: &str| {
            format!("- {{name: db, namespace: {namespace}, hostname: DB.example, ports: {{}}}}\n")
        };
        let text = format!("services:\n{}{}", service("a"), service("b"));
        let snapshot = read(&text);
        let seen_from = |namespace: &str| {
            let found = snapshot.service_named("db.example", namespace).unwrap();
            found.namespace.clone()
        };
        assert_eq!(["a", "b", "c"].map(seen_from), ["a", "b", "a"]);
        assert!(snapshot.service_named("db", "a").is_none());
    }
}
