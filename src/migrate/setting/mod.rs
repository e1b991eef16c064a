//! The world as the planner sees it: with the pods that are going to be there, and who among all
//! pods speaks through the tunnel.

pub(super) mod attachment;
pub(super) mod client_tls;
pub(super) mod cni;
pub(super) mod fewest;
pub(super) mod imagine;
pub(super) mod interception;
pub(super) mod peering;
pub(super) mod role;
pub(super) mod scope;
pub(super) mod selecting;
pub(super) mod serving;
pub(super) mod unread;
pub(super) mod waypoints;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use ambient_facts::{labels, ports};

use super::Options;
use crate::model::{Endpoints, Meta, Protocol, Service, TargetPort, Workload, World, includes};
use crate::netpol::{Assumptions, Distinctions, PortSet, Selection, Trait, Universe};
use cni::Detection;
use imagine::Imagined;
use role::{ClientToday, Role};
use scope::{Scope, ScopeOptions};
use serving::ServingWaypoints;

/// What the planner knows of a workload's pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) role: Role,
    /// They are the pods of this waypoint.
    pub(crate) waypoint: Option<usize>,
    /// This waypoint takes connections to their addresses.
    pub(crate) pod_waypoint: Option<usize>,
    /// No object of the input describes them.
    pub(crate) imagined: bool,
    /// Whether a proxy of Istio is in them today.
    pub(crate) proxy_today: Option<bool>,
    /// Whether ztunnel carries their connections today; as little may be known.
    pub(crate) captured_today: Option<bool>,
    /// What is learned of them as clients today.
    pub(crate) client_today: ClientToday,
    /// Whether it is after a restart too, if they stay out of the mesh.
    pub(crate) keeps_proxy: bool,
    /// They join the mesh.
    pub(crate) joins: bool,
}

/// Everything that planning starts from.
pub(crate) struct Setting<'w> {
    pub(crate) world: Cow<'w, World>,
    pub(crate) options: &'w Options,
    pub(crate) endpoints: Endpoints,
    pub(crate) scope: Scope,
    /// By workload.
    parts: Vec<Part>,
    /// Workloads by namespace.
    by_namespace: BTreeMap<String, Vec<usize>>,
    /// Namespaces that rules mention and that hold nothing of the input, so that they may not exist.
    pub(crate) imagined_namespaces: BTreeSet<String>,
    /// Those among them whose names are not known, by what they are called instead.
    pub(crate) nameless: BTreeSet<String>,
    /// Planned waypoints by the namespace that they serve.
    pub(crate) planned: BTreeMap<String, String>,
    pub(crate) waypoints: ServingWaypoints,
    /// Those among them that labels of the input name already.
    waypoints_today: ServingWaypoints,
    /// No earlier run left anything: what is open, people opened.
    pub(crate) is_new: bool,
    pub(crate) cni: Detection,
    pub(crate) assumptions: Assumptions,
}

impl<'w> Setting<'w> {
    pub(crate) fn of(world: &'w World, options: &'w Options) -> Self {
        let mut scope_options = ScopeOptions {
            namespaces: options.namespaces.clone(),
            exclude: options.exclude.clone(),
            imagined: BTreeSet::new(),
        };
        let cni = match options.cni {
            Some(cni) => Detection {
                cni,
                evidence: Vec::new(),
                note: None,
            },
            None => cni::detect(world),
        };
        let world = in_force(world, &cni);
        let assumptions = Assumptions {
            blocks_match_pods: cni.cni.block_matches_pods(),
            ..Assumptions::default().with_pod_ranges(&options.pod_ranges)
        };
        let endpoints = Endpoints::of(&world);
        let scope = Scope::of(&world, &endpoints, &scope_options);
        let planned = serving::planned(&world, &scope, options);
        let waypoints = ServingWaypoints::default();

        let ours = world.authorization_policies.iter().map(|p| &p.meta);
        let mut ours = ours.chain(world.network_policies.iter().map(|p| &p.meta));
        let is_new = !ours.any(Meta::is_ours);
        let mut setting = Self {
            is_new,
            world,
            options,
            endpoints,
            scope,
            parts: Vec::new(),
            by_namespace: BTreeMap::new(),
            imagined_namespaces: BTreeSet::new(),
            nameless: BTreeSet::new(),
            planned,
            waypoints_today: ServingWaypoints::default(),
            waypoints,
            cni,
            assumptions,
        };
        setting.add_waypoint_pods(&scope_options);
        let mut gateways = serving::pods_of_gateways(&setting.world);
        gateways.retain(|pod| !setting.world.workloads.iter().any(|w| is_pod_of(w, pod)));
        setting.extend(gateways, &scope_options);
        // What is imagined may have waypoints, whose pods policies speak of and apply to. Every turn
        // but the last adds the pods of one more.
        for _ in 0..=setting.world.gateways.len() + setting.planned.len() {
            while setting.imagine(&mut scope_options) {}
            setting.forget_pods_of_waypoints(&scope_options);
            if !setting.add_waypoint_pods(&scope_options) {
                break;
            }
        }
        setting.waypoints_today = ServingWaypoints::of(&setting.world, &BTreeMap::new());
        let by_namespace = setting.world.workloads_by_namespace().into_iter();
        setting.by_namespace = by_namespace
            .map(|(name, workloads)| (name.to_owned(), workloads))
            .collect();
        let workloads = setting.world.workloads.iter().enumerate();
        setting.parts = workloads
            .map(|(index, workload)| setting.part(index, workload))
            .collect();
        setting
    }

    /// Adds the pods that policies speak of. Returns whether some of them are in namespaces that were
    /// not known: other selectors may ask for these too.
    fn imagine(&mut self, options: &mut ScopeOptions) -> bool {
        let world = &*self.world;
        let policies = &world.network_policies;
        let assumptions = self.assumptions.clone();
        let others = Distinctions::default();
        let universe = Universe::of(world, &self.endpoints, policies, others, &[], assumptions);
        let known = imagine::known_namespaces(world);
        let mut selection = Selection::new(world, &universe);
        let Imagined { pods, namespaces } =
            imagine::beside(world, &known, &self.scope, &mut selection);
        let lived_in = pods.iter().map(|pod| &pod.meta.namespace);
        let new: BTreeSet<String> = lived_in
            .filter(|name| !known.contains(name.as_str()))
            .cloned()
            .collect();
        let found_namespaces = !new.is_empty();
        options.imagined.extend(new.iter().cloned());
        self.imagined_namespaces.extend(new);
        self.nameless.extend(namespaces.keys().cloned());
        if !namespaces.is_empty() {
            self.world.to_mut().namespaces.extend(namespaces);
        }
        self.extend(pods, options);
        found_namespaces
    }

    /// Forgets what was imagined for selectors of a waypoint's pods, where it serves nothing but what
    /// is imagined too: then it has pods of its own.
    fn forget_pods_of_waypoints(&mut self, options: &ScopeOptions) {
        let is_named = |w: &Workload| w.imagined && w.pod.labels.contains_key(labels::GATEWAY_NAME);
        if !self.world.workloads.iter().any(is_named) {
            return;
        }
        let mut others = World::clone(&self.world);
        others.workloads.retain(|w| !is_named(w));
        let pods = ServingWaypoints::of(&others, &self.planned).pods();
        let is_pod = |w: &Workload| {
            let mut pods = pods.iter();
            is_named(w)
                && pods.any(|pod| is_pod_of(w, pod) && includes(&pod.pod.labels, &w.pod.labels))
        };
        self.world.to_mut().workloads.retain(|w| !is_pod(w));
        self.endpoints = Endpoints::of(&self.world);
        self.scope = Scope::of(&self.world, &self.endpoints, options);
    }

    /// Finds the waypoints of everything there is, and adds the pods that they are going to have.
    /// Returns whether there are any that were not there yet.
    fn add_waypoint_pods(&mut self, options: &ScopeOptions) -> bool {
        self.waypoints = ServingWaypoints::of(&self.world, &self.planned);
        let mut pods = self.waypoints.pods();
        pods.retain(|pod| !self.world.workloads.iter().any(|w| is_pod_of(w, pod)));
        let found = !pods.is_empty();
        self.extend(pods, options);
        found
    }

    /// Adds workloads that are going to be there, or are imagined.
    fn extend(&mut self, workloads: Vec<Workload>, options: &ScopeOptions) {
        if workloads.is_empty() {
            return;
        }
        let names: BTreeSet<String> = workloads.iter().map(|w| w.meta.namespace.clone()).collect();
        let world = self.world.to_mut();
        world.workloads.extend(workloads);
        for name in names {
            world.add_namespace(&name);
        }
        self.endpoints = Endpoints::of(&self.world);
        self.scope = Scope::of(&self.world, &self.endpoints, options);
    }

    fn part(&self, index: usize, workload: &Workload) -> Part {
        let waypoint = self.waypoints.all.iter().position(|w| {
            let gateway = workload.pod.labels.get(labels::GATEWAY_NAME);
            w.namespace == workload.meta.namespace && gateway.is_some_and(|name| *name == w.name)
        });
        let namespace = &workload.meta.namespace;
        let enrolled = self.scope.enrols(namespace);
        let membership = self.scope.workload(index);
        let role = Role::of(&self.world, workload, membership, enrolled);
        let taken = self.waypoints.of_workload.get(&index).copied();
        let proxy_today = role::has_proxy_today(&self.world, workload);
        let captured = role::is_captured_today(&self.world, workload, membership, proxy_today);
        let vouched = proxy_today.filter(|&has| !has || interception::sends_all(&workload.pod));
        Part {
            role,
            waypoint,
            pod_waypoint: taken.filter(|_| role.surely_receives() && waypoint.is_none()),
            imagined: workload.imagined,
            proxy_today,
            captured_today: captured,
            client_today: ClientToday {
                vouched,
                tunnels: role::sends_today(role, vouched, captured),
            },
            keeps_proxy: role::keeps_proxy(workload, enrolled),
            joins: membership.joins(),
        }
    }

    /// What there is to know of a workload's pods.
    pub(crate) fn part_of(&self, workload: usize) -> Option<&Part> {
        self.parts.get(workload)
    }

    /// Whether a proxy of Istio is in a workload's pods today; `None` when the input does not tell.
    pub(crate) fn has_proxy_today(&self, workload: usize) -> Option<bool> {
        self.parts.get(workload)?.proxy_today
    }

    /// Whether ztunnel carries the connections of a workload's pods today; `None` when the input does
    /// not tell.
    pub(crate) fn is_captured_today(&self, workload: usize) -> Option<bool> {
        self.parts.get(workload)?.captured_today
    }

    /// What a workload's pods do with the tunnel.
    pub(crate) fn role(&self, workload: usize) -> Role {
        self.parts.get(workload).map(|p| p.role).unwrap_or_default()
    }

    /// The waypoint that a workload is the pods of.
    pub(crate) fn waypoint_at(&self, workload: usize) -> Option<usize> {
        self.parts.get(workload)?.waypoint
    }

    /// The waypoint that takes connections to the addresses of a workload's pods.
    pub(crate) fn pod_waypoint(&self, workload: usize) -> Option<usize> {
        self.parts.get(workload)?.pod_waypoint
    }

    /// Whether a waypoint takes connections to a Service today, or to the addresses of a workload's
    /// pods, of clients that are in the mesh.
    pub(crate) fn is_used_today(&self, waypoint: usize, way: Taken) -> bool {
        let today = match way {
            Taken::Service(service) => self.waypoints_today.of_service.get(&service),
            Taken::Pods(workload) => self.waypoints_today.of_workload.get(&workload),
        };
        let today = today.and_then(|&place| self.waypoints_today.all.get(place));
        let waypoint = self.waypoints.all.get(waypoint);
        today
            .zip(waypoint)
            .is_some_and(|(today, w)| (&today.namespace, &today.name) == (&w.namespace, &w.name))
    }

    /// Whether no object of the input describes a workload.
    pub(crate) fn is_imagined(&self, workload: usize) -> bool {
        self.parts.get(workload).is_some_and(|p| p.imagined)
    }

    /// The workloads that a Service sends to, by index.
    pub(crate) fn backends(&self, service: &Service) -> impl Iterator<Item = usize> {
        let here = self.workloads_of(&service.meta.namespace).iter().copied();
        here.filter(|&w| self.is_backend(service, w))
    }

    /// The workloads of a namespace.
    pub(crate) fn workloads_of(&self, namespace: &str) -> &[usize] {
        let here = self.by_namespace.get(namespace);
        here.map_or(&[], Vec::as_slice)
    }

    /// Whether a Service sends to a workload.
    pub(crate) fn is_backend(&self, service: &Service, workload: usize) -> bool {
        let selected = |w: &Workload| {
            w.meta.namespace == service.meta.namespace && service.selects(&w.pod.labels)
        };
        self.world.workloads.get(workload).is_some_and(selected)
    }

    /// The TCP ports of a Service with the ports that they lead to on a workload.
    pub(crate) fn targets(&self, service: &Service, workload: usize) -> Vec<(u16, PortSet)> {
        let Some(pod) = self.world.workloads.get(workload).map(|w| &w.pod) else {
            return Vec::new();
        };
        let tcp = service.ports.iter().filter(|p| p.protocol == Protocol::Tcp);
        tcp.map(|port| {
            let targets = match &port.target {
                TargetPort::Number(number) => PortSet::port(Protocol::Tcp, *number),
                TargetPort::Name(name) => {
                    let numbers = pod.named_port(name, Protocol::Tcp);
                    numbers.map(|n| PortSet::port(Protocol::Tcp, n)).collect()
                }
            };
            (port.port, targets)
        })
        .collect()
    }

    /// The distinctions that classes of pods must keep, by workload.
    pub(crate) fn traits(&self) -> Vec<Trait> {
        let mut behind: Vec<Vec<Reached>> = vec![Vec::new(); self.parts.len()];
        for &service in self.waypoints.of_service.keys() {
            let Some(object) = self.world.services.get(service) else {
                continue;
            };
            for workload in self.backends(object) {
                if let Some(reached) = behind.get_mut(workload) {
                    reached.push((service, self.targets(object, workload)));
                }
            }
        }
        let mut tags: BTreeMap<Distinction, u32> = BTreeMap::new();
        let parts = self.parts.iter().zip(behind).zip(&self.world.workloads);
        let of = |((part, behind), workload): ((&Part, Vec<Reached>), &Workload)| {
            let mut declared = workload.pod.ports.iter();
            let distinction = Distinction {
                role: part.role,
                today: (part.proxy_today, part.captured_today, part.client_today),
                becomes: (part.keeps_proxy, part.joins),
                waypoint: part.waypoint,
                pod_waypoint: part.pod_waypoint,
                listens: declared.any(|p| p.number == ports::HBONE && p.protocol == Protocol::Tcp),
                behind,
            };
            let next = u32::try_from(tags.len()).unwrap_or(u32::MAX);
            let tag = *tags.entry(distinction).or_insert(next);
            Trait {
                tag,
                identity_known: !part.imagined,
                imagined: part.imagined,
            }
        };
        parts.map(of).collect()
    }
}

/// A world without the network policies that nothing enforces: every pod reaches every other today.
fn in_force<'w>(world: &'w World, cni: &Detection) -> Cow<'w, World> {
    let mut world = Cow::Borrowed(world);
    if cni.cni.enforces_policies() == Some(false) && !world.network_policies.is_empty() {
        world.to_mut().network_policies.clear();
    }
    world
}

/// What connections are to that a waypoint takes: a Service, or the pods of a workload, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Service(usize),
    Pods(usize),
}

/// A Service that reaches a workload through a waypoint, by its index, and its ports with those
/// that they lead to.
type Reached = (usize, Vec<(u16, PortSet)>);

/// What the planner tells pods apart by, beside what policies do.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Distinction {
    role: Role,
    /// Whether a proxy is in them or captures them, and what is learned of them.
    today: (Option<bool>, Option<bool>, ClientToday),
    /// Whether a proxy in them stays, and they join.
    becomes: (bool, bool),
    waypoint: Option<usize>,
    pod_waypoint: Option<usize>,
    /// An application listens on the tunnel's port.
    listens: bool,
    behind: Vec<Reached>,
}

/// Whether a workload of the input is the pod that a waypoint would have.
fn is_pod_of(workload: &Workload, pod: &Workload) -> bool {
    let name = |w: &Workload| w.pod.labels.get(labels::GATEWAY_NAME).cloned();
    workload.meta.namespace == pod.meta.namespace && name(workload) == name(pod)
}
