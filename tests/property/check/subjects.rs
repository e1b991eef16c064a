//! Who can be an end of a connection, in every reading of the manifests.

use std::collections::BTreeSet;

use ipnet::IpNet;
use kubectl_ambient::model::{Endpoints, Workload, WorkloadKind};

use super::{Case, Violations, readings};
use crate::reference::{Direction, Pod, in_mesh, isolated, waypoint_pod};

const STATUS: &str = "sidecar.istio.io/status";
const MODE: &str = "istio.io/dataplane-mode";

/// One workload in all its readings.
pub(super) struct Subject {
    /// The endpoint, as printed.
    pub(super) name: String,
    pub(super) namespace: String,
    /// A pod that nothing replicates.
    pub(super) is_bare_pod: bool,
    pub(super) in_mesh: bool,
    /// It speaks through the tunnel, or may: it is in the mesh, or has a sidecar.
    pub(super) sends: bool,
    /// Whether there is a sidecar in it today; `None` where its namespace decides and is not in the
    /// manifests.
    pub(super) sidecar_today: Option<bool>,
    /// Whether a sidecar presents its identity today; `None` where none may do so, or not always.
    pub(super) vouched: Option<bool>,
    /// Whether the sidecar in it, if there is one, takes the tunnel today.
    pub(super) sidecar_takes_tunnel_today: Option<bool>,
    /// Whether ztunnel carries its connections today; `None` where its namespace decides and is not in
    /// the manifests.
    pub(super) captured_today: Option<bool>,
    /// Whether what it sends goes through the tunnel today.
    pub(super) tunnels_today: Option<bool>,
    /// Whether what it sends goes through waypoints today: sidecars go past them, and what stays as it
    /// is does as it will.
    pub(super) takes_waypoints_today: Option<bool>,
    /// Whether it loses its sidecar when it restarts, if it has one and stays out of the mesh.
    pub(super) loses_sidecar: bool,
    /// A sidecar receives for it, or may, until it restarts at least.
    pub(super) behind_sidecar: bool,
    /// Whether what receives for it takes the tunnel; `None` where that is for the injector to say, or
    /// the sidecar that does may go.
    pub(super) takes_tunnel: Option<bool>,
    /// The pod with every address, and every set of labels of its namespace, that it may have.
    readings: Vec<Pod>,
    /// Whether addresses of pods can matter for what it receives.
    asks_for_sources: bool,
    /// Whether addresses of pods can matter for what it sends.
    asks_for_destinations: bool,
}

impl Subject {
    /// One of the readings, for what is the same in all.
    pub(super) fn any_reading(&self) -> &Pod {
        &self.readings[0]
    }

    /// The readings in which no address block matches the pod.
    pub(super) fn without_address(&self) -> impl Iterator<Item = &Pod> {
        self.readings.iter().filter(|pod| pod.address.is_none())
    }

    /// The readings of a pod of this workload and one of another together: those that do not
    /// contradict each other, without the addresses that nothing asks for.
    pub(super) fn with<'s>(&'s self, other: &'s Subject) -> Vec<(&'s Pod, &'s Pod)> {
        let mut pairs = Vec::new();
        for from in &self.readings {
            for to in &other.readings {
                let is_same_namespace = from.namespace == to.namespace;
                let contradict = is_same_namespace && from.namespace_labels != to.namespace_labels;
                let idle_source = from.address.is_some() && !other.asks_for_sources;
                let idle_destination = to.address.is_some() && !self.asks_for_destinations;
                if !contradict && !idle_source && !idle_destination {
                    pairs.push((from, to));
                }
            }
        }
        pairs
    }
}

/// All workloads that describe endpoints.
pub(super) fn find(case: &Case<'_>, blocks: &[IpNet]) -> Vec<Subject> {
    let world = case.before;
    let mut subjects = Vec::new();
    for (_, endpoint) in Endpoints::of(world).iter() {
        for &index in &endpoint.workloads {
            let workload = &world.workloads[index];
            let namespace = workload.meta.namespace.clone();
            let mut pods = Vec::new();
            for address in readings::addresses_of(workload, blocks) {
                for labels in readings::labels_of(case, &namespace) {
                    let mut pod = Pod::of(world, workload, address);
                    pod.namespace_labels = labels;
                    pods.extend(readings::as_peers(&pod));
                }
            }
            let enrolled = case.enrols(&namespace);
            let mut restarted = pods[0].clone();
            restarted.annotations.remove(STATUS);
            let in_mesh = in_mesh(&restarted, enrolled);
            let sidecar_today = sidecar_today(case, &pods[0], workload);
            // Where nothing but the namespace asks for it, nothing does once that is enrolled.
            let loses_sidecar = enrolled && asks_for_sidecar(&pods[0]) != Some(true);
            let captured_today = captured_today(case, &pods[0], workload, in_mesh, sidecar_today);
            let vouched = sidecar_today.filter(|&has| !has || !excepts_some(workload));
            let sends = in_mesh || sidecar_today.unwrap_or(!enrolled);
            let behind_sidecar = !in_mesh && sidecar_today != Some(false);
            if sends && !in_mesh {
                // Only ztunnel keeps look-ups to itself.
                let direct = (
                    "ambient.istio.io/dns-capture".to_owned(),
                    "false".to_owned(),
                );
                for pod in &mut pods {
                    pod.annotations.extend([direct.clone()]);
                }
            }
            let asks = |direction| {
                let mut worlds = [case.before, case.after].into_iter();
                worlds.any(|world| readings::asks_for_addresses(world, direction, &pods[0]))
            };
            subjects.push(Subject {
                asks_for_sources: asks(Direction::Ingress),
                asks_for_destinations: asks(Direction::Egress),
                name: endpoint.to_string(),
                is_bare_pod: workload.kind == WorkloadKind::Pod,
                in_mesh,
                sends,
                sidecar_today,
                vouched,
                sidecar_takes_tunnel_today: takes_tunnel(&pods[0], true),
                captured_today,
                tunnels_today: match (captured_today, vouched) {
                    _ if !sends => Some(false),
                    (Some(true), _) | (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                },
                takes_waypoints_today: if in_mesh { captured_today } else { Some(true) },
                takes_tunnel: if in_mesh || !behind_sidecar {
                    Some(in_mesh)
                } else {
                    takes_tunnel(&pods[0], sidecar_today == Some(true) && !loses_sidecar)
                },
                loses_sidecar,
                behind_sidecar,
                readings: pods,
                namespace,
            });
        }
    }
    subjects
}

/// Whether a sidecar is injected into a pod, as far as the manifests tell: the injector leaves a mark,
/// one that runs without it has none, and of others their own label decides, else their namespace's.
fn sidecar_today(case: &Case<'_>, pod: &Pod, workload: &Workload) -> Option<bool> {
    if pod.annotations.contains_key(STATUS) {
        return Some(true);
    }
    if pod.host_network || !workload.addresses.is_empty() {
        return Some(false);
    }
    if let Some(asked) = asks_for_sidecar(pod) {
        return Some(asked);
    }
    let namespace = case.before.namespaces.get(&pod.namespace);
    let declared = namespace.filter(|n| n.declared)?;
    Some(declared.meta.label("istio-injection") == Some("enabled"))
}

/// Whether a pod that is to be in the mesh is there already, as far as the manifests tell: the node agent
/// leaves a mark on pods that run, and of others their own label decides, else their namespace's.
fn captured_today(
    case: &Case<'_>,
    pod: &Pod,
    workload: &Workload,
    in_mesh: bool,
    sidecar_today: Option<bool>,
) -> Option<bool> {
    if !in_mesh || sidecar_today == Some(true) {
        return Some(false);
    }
    if !workload.addresses.is_empty() {
        let mark = pod.annotations.get("ambient.istio.io/redirection");
        return Some(mark.is_some_and(|mark| mark == "enabled"));
    }
    let is_asked = if let Some(mode) = pod.labels.get(MODE) {
        mode == "ambient"
    } else {
        let namespace = case.before.namespaces.get(&pod.namespace);
        let declared = namespace.filter(|n| n.declared)?;
        declared.meta.label(MODE) == Some("ambient")
    };
    if is_asked && sidecar_today.is_none() {
        return None;
    }
    Some(is_asked)
}

fn asks_for_sidecar(pod: &Pod) -> Option<bool> {
    let asked = pod.labels.get("sidecar.istio.io/inject");
    asked.and_then(|asked| asked.parse().ok())
}

/// Whether the sidecar of a pod takes the tunnel: where the injector has written that it does, if it
/// `stays`, and never where it was there and has not.
fn takes_tunnel(pod: &Pod, stays: bool) -> Option<bool> {
    let label = pod.labels.get("networking.istio.io/tunnel");
    if label.is_some_and(|v| v == "http") {
        stays.then_some(true)
    } else {
        let is_injected = pod.annotations.contains_key(STATUS);
        is_injected.then_some(false)
    }
}

/// Whether annotations except connections from what a sidecar sends.
fn excepts_some(workload: &Workload) -> bool {
    let mut keys = workload.pod.annotations.keys();
    keys.any(|key| key.starts_with("traffic.sidecar.istio.io/") && key.contains("Outbound"))
}

/// What is said about who takes part is what the labels come to.
pub(super) fn check_enrolment(case: &Case<'_>, subjects: &[Subject]) -> Violations {
    let mut violations = Vec::new();
    for plan in &case.plan.namespaces {
        // A label that is there stays there.
        let namespace = case.before.namespaces.get(&plan.name);
        let is_labelled = namespace.is_some_and(|n| n.meta.label(MODE) == Some("ambient"));
        if plan.enrolled && !is_labelled && case.request.exclude.contains(&plan.name) {
            violations.push(format!("`{}` is enrolled though excluded", plan.name));
        }
        if !plan.enrolled && plan.reason.is_empty() {
            violations.push(format!("`{}` stays out without a reason", plan.name));
        }
        for subject in subjects.iter().filter(|s| s.namespace == plan.name) {
            let name = &subject.name;
            let said_out = plan.staying_out.iter().any(|(out, _)| out == name);
            if plan.enrolled && said_out == subject.in_mesh && !is_mixed(subjects, name) {
                violations.push(format!("{name} staying out is said to be {said_out}"));
            }
        }
    }
    let mut unsaid: BTreeSet<&str> = subjects.iter().map(|s| s.namespace.as_str()).collect();
    unsaid.retain(|name| !case.plan.namespaces.iter().any(|p| p.name == *name));
    violations.extend(
        unsaid
            .iter()
            .map(|name| format!("nothing is said of `{name}`")),
    );
    violations
}

/// Whether some pods of an endpoint take part and others do not.
fn is_mixed(subjects: &[Subject], endpoint: &str) -> bool {
    let of_endpoint = || subjects.iter().filter(|s| s.name == endpoint);
    of_endpoint().any(|s| s.in_mesh) && of_endpoint().any(|s| !s.in_mesh)
}

/// No pod becomes isolated that was not, nor the other way round; waypoints' pods included.
pub(super) fn check_isolation(case: &Case<'_>, subjects: &[Subject]) -> Violations {
    let workloads = subjects
        .iter()
        .flat_map(|s| s.without_address().map(|pod| (s.name.clone(), pod.clone())));
    let waypoints = case.gateways().into_iter().map(|(namespace, name)| {
        let pod = waypoint_pod(case.before, (&namespace, &name));
        (format!("the waypoint {namespace}/{name}"), pod)
    });
    let mut violations = Vec::new();
    for (name, pod) in workloads.chain(waypoints) {
        for direction in [Direction::Ingress, Direction::Egress] {
            let [before, after] =
                [case.before, case.after].map(|world| isolated(world, direction, &pod));
            if before != after {
                violations.push(format!(
                    "{direction:?} isolation of {name} changes from {before} to {after}"
                ));
            }
        }
    }
    violations
}
