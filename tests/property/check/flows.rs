//! Every pair of parties, every interesting port, in every relation.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use kubectl_ambient::model::{Endpoints, Protocol, Service, TargetPort, WorkloadKind, World};
use kubectl_ambient::plan::Relation;

use super::claims::Pair;
use super::{Case, Violations, ports, readings};
use crate::reference::{
    Connection, Direction, Hop, Party, Pod, Port, authorized, authorized_at_waypoint, captures_dns,
    in_mesh, isolated, plain_to_mesh, plaintext, refused_by_ztunnel, tunnel, via_waypoint,
    waypoint_of_service, waypoint_pod,
};

/// One workload in all its readings.
struct Subject {
    /// The endpoint, as printed.
    name: String,
    namespace: String,
    is_bare_pod: bool,
    in_mesh: bool,
    /// The pod with every address it may have.
    readings: Vec<Pod>,
}

/// What became of one port of a pair, over all pods and readings.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fate {
    pub(super) gained: bool,
    pub(super) lost: bool,
    /// Gained or lost, depending on whether the user's own authorization policies counted before.
    pub(super) disputed: bool,
}

/// What became of every pair in every relation that governs it.
pub(super) struct Fates {
    pub(super) by_pair: BTreeMap<Pair, BTreeMap<Port, Fate>>,
    pub(super) flows: u64,
}

/// Compares before with after, and reports what no plan may do, whatever it claims.
pub(super) fn compare(case: &Case<'_>) -> (Fates, Violations) {
    let worlds = [case.before, case.after];
    let mut run = Run {
        case,
        blocks: readings::blocks(&worlds),
        ports: ports::interesting(&worlds),
        subjects: Vec::new(),
        fates: BTreeMap::new(),
        violations: Vec::new(),
        flows: 0,
    };
    run.subjects = run.find_subjects();
    run.check_enrolment();
    run.check_isolation();
    run.check_external();
    for source in 0..run.subjects.len() {
        for destination in 0..run.subjects.len() {
            if source == destination && run.subjects[source].is_bare_pod {
                // A pod reaches itself without the network.
                continue;
            }
            run.check_plaintext(source, destination);
            run.compare_tunnel(source, destination);
            run.compare_waypoints(source, destination);
        }
    }
    let fates = Fates {
        by_pair: run.fates,
        flows: run.flows,
    };
    (fates, run.violations)
}

struct Run<'c> {
    case: &'c Case<'c>,
    blocks: Vec<IpNet>,
    ports: BTreeSet<Port>,
    subjects: Vec<Subject>,
    fates: BTreeMap<Pair, BTreeMap<Port, Fate>>,
    violations: Violations,
    flows: u64,
}

impl Run<'_> {
    fn find_subjects(&self) -> Vec<Subject> {
        let world = self.case.before;
        let mut subjects = Vec::new();
        for (_, endpoint) in Endpoints::of(world).iter() {
            for &index in &endpoint.workloads {
                let workload = &world.workloads[index];
                let addresses = readings::addresses_of(workload, &self.blocks);
                let readings: Vec<_> = addresses
                    .into_iter()
                    .map(|address| Pod::of(workload, address))
                    .collect();
                let enrolled = self.enrolled(&workload.meta.namespace);
                subjects.push(Subject {
                    name: endpoint.to_string(),
                    namespace: workload.meta.namespace.clone(),
                    is_bare_pod: workload.kind == WorkloadKind::Pod,
                    in_mesh: in_mesh(&readings[0], enrolled),
                    readings,
                });
            }
        }
        subjects
    }

    /// Whether the plan enrols a namespace.
    fn enrolled(&self, namespace: &str) -> bool {
        let mut plans = self.case.plan.namespaces.iter();
        plans.any(|p| p.name == namespace && p.enrolled)
    }

    /// What is said about who takes part is what the labels after the plan come to.
    fn check_enrolment(&mut self) {
        let mut violations = Vec::new();
        for plan in &self.case.plan.namespaces {
            if plan.enrolled && self.case.request.exclude.contains(&plan.name) {
                violations.push(format!("`{}` is enrolled though excluded", plan.name));
            }
            if !plan.enrolled && plan.reason.is_empty() {
                violations.push(format!("`{}` stays out without a reason", plan.name));
            }
            for subject in self.subjects.iter().filter(|s| s.namespace == plan.name) {
                let said_out = plan
                    .staying_out
                    .iter()
                    .any(|(name, _)| *name == subject.name);
                if plan.enrolled && said_out == subject.in_mesh && !self.is_mixed(&subject.name) {
                    let name = &subject.name;
                    violations.push(format!("{name} staying out is said to be {said_out}"));
                }
            }
        }
        for subject in &self.subjects {
            let mut plans = self.case.plan.namespaces.iter();
            if !plans.any(|p| p.name == subject.namespace) {
                violations.push(format!("nothing is said of `{}`", subject.namespace));
            }
        }
        self.violations.extend(violations);
    }

    /// Whether some pods of an endpoint take part and others do not.
    fn is_mixed(&self, endpoint: &str) -> bool {
        let of_endpoint = || self.subjects.iter().filter(|s| s.name == endpoint);
        of_endpoint().any(|s| s.in_mesh) && of_endpoint().any(|s| !s.in_mesh)
    }

    /// No pod becomes isolated that was not, nor the other way round; waypoints' pods included.
    fn check_isolation(&mut self) {
        let waypoints: Vec<_> = self
            .gateways()
            .into_iter()
            .map(|(namespace, name)| {
                let described = format!("the waypoint {namespace}/{name}");
                (described, waypoint_pod((&namespace, &name)))
            })
            .collect();
        let workloads = self
            .subjects
            .iter()
            .map(|s| (s.name.clone(), s.readings[0].clone()));
        let mut violations = Vec::new();
        for (name, pod) in workloads.chain(waypoints) {
            for direction in [Direction::Ingress, Direction::Egress] {
                let [before, after] = [self.case.before, self.case.after]
                    .map(|world| isolated(world, direction, &pod));
                if before != after {
                    violations.push(format!(
                        "{direction:?} isolation of {name}: {before} to {after}"
                    ));
                }
            }
        }
        self.violations.extend(violations);
    }

    /// Waypoints that there are or will be: namespace and name.
    fn gateways(&self) -> BTreeSet<(String, String)> {
        let existing = self.case.before.gateways.iter();
        let existing = existing.map(|g| (g.meta.namespace.clone(), g.meta.name.clone()));
        let planned = self.case.request.waypoints.iter();
        let planned = planned.map(|(name, namespace)| (namespace.clone(), name.clone()));
        existing.chain(planned).collect()
    }

    /// In the clear nothing changes but the tunnel's own port: between pods.
    fn check_plaintext(&mut self, source: usize, destination: usize) {
        let (source, destination) = (&self.subjects[source], &self.subjects[destination]);
        let mut violations = Vec::new();
        for from in &source.readings {
            for to in &destination.readings {
                let ends = (Party::Pod(from), Party::Pod(to));
                violations.extend(self.changed_plaintext(ends, destination.in_mesh));
            }
        }
        self.flows +=
            (source.readings.len() * destination.readings.len() * self.ports.len()) as u64;
        let (source, destination) = (source.name.clone(), destination.name.clone());
        let named = violations
            .into_iter()
            .map(|v| format!("{source} => {destination}: {v}"));
        self.violations.extend(named);
        self.fates
            .entry((source, destination, Relation::Plaintext))
            .or_default();
    }

    /// The same with addresses outside.
    fn check_external(&mut self) {
        let mut violations = Vec::new();
        let mut flows = 0;
        for subject in &self.subjects {
            for address in readings::external(&self.blocks) {
                let outside = Party::External(address);
                for pod in &subject.readings {
                    let pod = Party::Pod(pod);
                    let inbound = self.changed_plaintext((outside, pod), subject.in_mesh);
                    let outbound = self.changed_plaintext((pod, outside), false);
                    let name = &subject.name;
                    violations.extend(inbound.map(|v| format!("{address} => {name}: {v}")));
                    violations.extend(outbound.map(|v| format!("{name} => {address}: {v}")));
                    flows += 2 * self.ports.len() as u64;
                }
            }
        }
        self.flows += flows;
        self.violations.extend(violations);
    }

    /// The first port whose answer in the clear changes.
    fn changed_plaintext(&self, ends: (Party<'_>, Party<'_>), into_mesh: bool) -> Option<String> {
        let (source, destination) = ends;
        let answer = |world: &World, port: Port| {
            let passes = plaintext(world, source, destination, port);
            match destination {
                // ztunnel has its say too, without an identity.
                Party::Pod(pod) if into_mesh && port.protocol == Protocol::Tcp => {
                    (passes, plain_to_mesh(world, source, pod, port.number))
                }
                _ => (passes, passes),
            }
        };
        let tunnel_port = Port::tcp(15008);
        let ports = self.ports.iter().filter(|&&port| port != tunnel_port);
        for &port in ports {
            let before = answer(self.case.before, port);
            let after = answer(self.case.after, port);
            if before != after {
                let [before, after] = [before, after].map(|(network, with_authorization)| {
                    match (network, with_authorization) {
                        (true, true) => "passes",
                        (true, false) => "is denied by authorization policies",
                        _ => "is denied by network policies",
                    }
                });
                let Port { protocol, number } = port;
                return Some(format!(
                    "{protocol} {number} in the clear {before} before, {after} after"
                ));
            }
        }
        // The tunnel's port is opened, never closed.
        let closed = plaintext(self.case.before, source, destination, tunnel_port)
            && !plaintext(self.case.after, source, destination, tunnel_port);
        closed.then(|| "the tunnel's port is closed".to_owned())
    }

    /// Both in the mesh: the tunnel carries what passed before.
    fn compare_tunnel(&mut self, source: usize, destination: usize) {
        let (source, destination) = (&self.subjects[source], &self.subjects[destination]);
        if !source.in_mesh || !destination.in_mesh {
            return;
        }
        let (before, after) = (self.case.before, self.case.after);
        let mut fates = BTreeMap::new();
        for from in &source.readings {
            for to in &destination.readings {
                for &port in self.ports.iter().filter(|p| p.protocol == Protocol::Tcp) {
                    // Look-ups travel in the clear, which is compared by itself.
                    let is_look_up = port.number == 53 && captures_dns(from);
                    if is_look_up || refused_by_ztunnel(port.number) {
                        continue;
                    }
                    let network = plaintext(before, Party::Pod(from), Party::Pod(to), port);
                    let user = authorized(before, to, &connection(from, to, port.number));
                    let now = tunnel(after, from, to, port.number);
                    record(&mut fates, port, network, user, now);
                    self.flows += 1;
                }
            }
        }
        let pair = (
            source.name.clone(),
            destination.name.clone(),
            Relation::Tunnel,
        );
        self.add(pair, fates);
    }

    /// By Service through a waypoint.
    fn compare_waypoints(&mut self, source: usize, destination: usize) {
        let (source, destination) = (&self.subjects[source], &self.subjects[destination]);
        if !source.in_mesh || !destination.in_mesh {
            return;
        }
        let (before, after) = (self.case.before, self.case.after);
        let mut fates = BTreeMap::new();
        for service in &before.services {
            let Some((namespace, name)) = self.waypoint(service) else {
                continue;
            };
            let waypoint = waypoint_pod((&namespace, &name));
            for from in &source.readings {
                for to in &destination.readings {
                    if !selected(service, to) {
                        continue;
                    }
                    for (service_port, target_port) in tcp_ports(service, to) {
                        let is_look_up = service_port == 53 && captures_dns(from);
                        if is_look_up || refused_by_ztunnel(target_port) {
                            continue;
                        }
                        let hop = Hop {
                            gateway: (&namespace, &name),
                            waypoint: &waypoint,
                            service: (&service.meta.namespace, &service.meta.name),
                            service_port,
                            target_port,
                        };
                        let port = Port::tcp(target_port);
                        let network = plaintext(before, Party::Pod(from), Party::Pod(to), port);
                        let at_waypoint = connection(from, &waypoint, service_port);
                        let user = authorized(before, to, &connection(from, to, target_port))
                            && authorized_at_waypoint(
                                before,
                                hop.gateway,
                                hop.service,
                                &at_waypoint,
                            );
                        let now = via_waypoint(after, from, &hop, to);
                        record(&mut fates, port, network, user, now);
                        self.flows += 1;
                    }
                }
            }
        }
        if !fates.is_empty() {
            let pair = (
                source.name.clone(),
                destination.name.clone(),
                Relation::Waypoint,
            );
            self.add(pair, fates);
        }
    }

    /// The waypoint that will serve a Service: planned for its namespace, or there already.
    fn waypoint(&self, service: &Service) -> Option<(String, String)> {
        if let Some(existing) = waypoint_of_service(self.case.before, service) {
            return Some(existing);
        }
        let opted_out = service.meta.labels.contains_key("istio.io/use-waypoint");
        let mut planned = self.case.request.waypoints.iter();
        let planned = planned.find(|(_, namespace)| *namespace == service.meta.namespace);
        planned
            .filter(|_| !opted_out)
            .map(|(name, namespace)| (namespace.clone(), name.clone()))
    }

    fn add(&mut self, pair: Pair, fates: BTreeMap<Port, Fate>) {
        let all = self.fates.entry(pair).or_default();
        for (port, fate) in fates {
            let known = all.entry(port).or_default();
            known.gained |= fate.gained;
            known.lost |= fate.lost;
            known.disputed |= fate.disputed;
        }
    }
}

/// Remembers what became of a port. `network`: the network policies let it pass before; `user`: so
/// do the authorization policies that the user had; `now`: it passes after.
///
/// Whether the user's authorization policies were in force before is not in the manifests. What is
/// lost must be lost in the stricter reading, what is gained must be gained even where they were
/// not; between the two a plan may say either.
fn record(fates: &mut BTreeMap<Port, Fate>, port: Port, network: bool, user: bool, now: bool) {
    let fate = fates.entry(port).or_default();
    fate.gained |= now && !network;
    fate.lost |= !now && network && user;
    fate.disputed |= network && !user;
}

fn connection(from: &Pod, to: &Pod, port: u16) -> Connection {
    Connection {
        identity: Some(from.identity()),
        source: from.address,
        destination: to.address,
        port,
    }
}

fn selected(service: &Service, pod: &Pod) -> bool {
    let mut labels = service.selector.iter();
    !service.selector.is_empty()
        && service.meta.namespace == pod.namespace
        && labels.all(|(key, value)| pod.labels.get(key) == Some(value))
}

/// The TCP ports of a Service with what they are on a pod.
fn tcp_ports(service: &Service, pod: &Pod) -> Vec<(u16, u16)> {
    let tcp = service.ports.iter().filter(|p| p.protocol == Protocol::Tcp);
    tcp.flat_map(|port| {
        let targets: Vec<u16> = match &port.target {
            TargetPort::Number(number) => vec![*number],
            TargetPort::Name(name) => {
                let declared = pod.ports.iter();
                let named = declared.filter(|p| p.name == *name && p.protocol == Protocol::Tcp);
                named.map(|p| p.number).collect()
            }
        };
        targets.into_iter().map(|target| (port.port, target))
    })
    .collect()
}
