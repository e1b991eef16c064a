//! What stands in the way of a migration, as far as objects show it: one file per family.
//!
//! Only what will be in the mesh is judged. Network policies that need the tunnel port are the
//! rewriting's business, not this module's.

mod authorization;
mod dns;
mod enrolment;
mod identity;
mod in_use;
mod network;
mod peer;
mod plugin;
mod route;
mod routing;
mod service;
mod target;
mod waypoint;
mod workload;

use std::collections::BTreeMap;

use ambient_facts::namespaces;

use crate::authz::TrustDomain;
use crate::finding::{Code, Finding};
use crate::model::{
    AuthorizationPolicy, Coverage, Endpoint, Endpoints, Kind, Labels, Meta, NetworkPolicy,
    ObjectRef, Origin, Service, Workload, WorkloadKind, World, includes,
};

use super::setting::cni::Cni;
use super::setting::scope::Scope;
use super::setting::selecting::Selecting;
use super::setting::waypoints::Waypoints;

/// Settings that hazards depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HazardOptions {
    /// Where mesh-wide policies are read.
    pub root_namespace: String,
    /// Waypoints that the plan creates: namespace to name.
    pub waypoints: BTreeMap<String, String>,
    /// The network plugin.
    pub cni: Cni,
    /// Authorization policies that the plan adds.
    pub limits: Vec<AuthorizationPolicy>,
}

impl Default for HazardOptions {
    fn default() -> Self {
        Self {
            root_namespace: namespaces::ROOT.to_owned(),
            waypoints: BTreeMap::new(),
            cni: Cni::Unknown,
            limits: Vec::new(),
        }
    }
}

/// Everything that can be read from the objects of a world, sorted.
pub(super) fn find(
    world: &World,
    endpoints: &Endpoints,
    scope: &Scope,
    options: &HazardOptions,
) -> Vec<Finding> {
    let context = Context::new(world, endpoints, scope, options);
    let mut findings = Vec::new();
    let families: [fn(&Context<'_>, &mut Vec<Finding>); 13] = [
        authorization::find,
        dns::find,
        enrolment::find,
        in_use::find,
        network::find,
        peer::find,
        plugin::find,
        route::find,
        routing::find,
        service::find,
        target::find,
        waypoint::find,
        workload::find,
    ];
    for family in families {
        family(&context, &mut findings);
    }
    Finding::sort(&mut findings);
    findings
}

/// What every family reads.
struct Context<'w> {
    world: &'w World,
    endpoints: &'w Endpoints,
    scope: &'w Scope,
    options: &'w HazardOptions,
    waypoints: Waypoints<'w>,
    trust_domain: TrustDomain,
    /// Workloads by kind, namespace and name.
    named: BTreeMap<(WorkloadKind, &'w str, &'w str), usize>,
    /// Workloads that will be in the mesh, by namespace.
    members: BTreeMap<&'w str, Vec<&'w Workload>>,
    /// Authorization policies by namespace.
    authorization: BTreeMap<&'w str, Vec<&'w AuthorizationPolicy>>,
    /// The network policies of people that isolate for ingress.
    isolating: Selecting<'w, NetworkPolicy>,
    /// The network policies of people that isolate for egress.
    isolating_egress: Selecting<'w, NetworkPolicy>,
    /// Services by namespace.
    services: BTreeMap<&'w str, Vec<&'w Service>>,
}

impl<'w> Context<'w> {
    fn new(
        world: &'w World,
        endpoints: &'w Endpoints,
        scope: &'w Scope,
        options: &'w HazardOptions,
    ) -> Self {
        let key = |w: &'w Workload| (w.kind, w.meta.namespace.as_str(), w.meta.name.as_str());
        let indexed = || world.workloads.iter().enumerate();
        let of_people = || world.network_policies_of_people();
        let isolating = of_people().filter(|p| p.isolates_ingress);
        let isolating_egress = of_people().filter(|p| p.isolates_egress);
        let mut context = Self {
            world,
            endpoints,
            scope,
            options,
            waypoints: Waypoints::new(world, &options.waypoints),
            trust_domain: TrustDomain::of(&world.mesh.trust_domains()),
            named: indexed().map(|(i, w)| (key(w), i)).collect(),
            members: BTreeMap::new(),
            authorization: BTreeMap::new(),
            isolating: Selecting::of(isolating),
            isolating_egress: Selecting::of(isolating_egress),
            services: BTreeMap::new(),
        };
        let mut members: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (_, workload) in context.representatives() {
            let namespace = workload.meta.namespace.as_str();
            members.entry(namespace).or_default().push(workload);
        }
        context.members = members;
        for service in &world.services {
            let namespace = service.meta.namespace.as_str();
            context.services.entry(namespace).or_default().push(service);
        }
        for policy in &world.authorization_policies {
            let namespace = policy.meta.namespace.as_str();
            context
                .authorization
                .entry(namespace)
                .or_default()
                .push(policy);
        }
        context
    }

    /// One object per endpoint that joins the mesh: the one that people edit, where the input has
    /// it, else the first of its pods.
    fn representatives(&self) -> Vec<(&'w Endpoint, &'w Workload)> {
        let joining = self
            .endpoints
            .iter()
            .filter(|(id, _)| self.scope.endpoint(*id).joins());
        joining
            .filter_map(|(_, endpoint)| Some((endpoint, self.representative(endpoint)?)))
            .collect()
    }

    /// The object that stands for an endpoint.
    fn representative(&self, endpoint: &'w Endpoint) -> Option<&'w Workload> {
        let top = WorkloadKind::parse(&endpoint.kind).and_then(|kind| {
            let key = (kind, endpoint.namespace.as_str(), endpoint.name.as_str());
            self.named.get(&key).copied()
        });
        let index = top.or_else(|| endpoint.workloads.first().copied())?;
        self.world.workloads.get(index)
    }

    /// The workloads that join and that a policy with this selector, in this namespace, applies
    /// to. One in the root namespace applies everywhere.
    fn selected(&self, meta: &Meta, selector: &Labels) -> Vec<&'w Workload> {
        let matches = |w: &&Workload| includes(&w.pod.labels, selector);
        if meta.namespace == self.options.root_namespace {
            self.members
                .values()
                .flatten()
                .copied()
                .filter(matches)
                .collect()
        } else {
            self.members_of(&meta.namespace).filter(matches).collect()
        }
    }

    /// The workloads of a namespace that join.
    fn members_of(&self, namespace: &str) -> impl Iterator<Item = &'w Workload> {
        let members = self.members.get(namespace).map(Vec::as_slice);
        members.unwrap_or_default().iter().copied()
    }

    /// The authorization policies of a namespace.
    fn authorization_in(&self, namespace: &str) -> impl Iterator<Item = &'w AuthorizationPolicy> {
        let policies = self.authorization.get(namespace).map(Vec::as_slice);
        policies.unwrap_or_default().iter().copied()
    }

    /// The authorization policies with a selector that select pods of a workload.
    fn authorization_of(
        &self,
        workload: &Workload,
    ) -> impl Iterator<Item = &'w AuthorizationPolicy> {
        let own = workload.meta.namespace.as_str();
        let root = self.options.root_namespace.as_str();
        let wide = self.authorization_in(root).filter(move |_| root != own);
        self.authorization_in(own)
            .chain(wide)
            .filter(|p| p.targets.is_empty() && !p.selects_nothing)
            .filter(|p| includes(&workload.pod.labels, &p.selector))
    }

    /// The Services of a namespace.
    fn services_in(&self, namespace: &str) -> impl Iterator<Item = &'w Service> {
        let services = self.services.get(namespace).map(Vec::as_slice);
        services.unwrap_or_default().iter().copied()
    }

    /// The Services that select pods of a workload.
    fn services_of(&self, workload: &Workload) -> impl Iterator<Item = &'w Service> {
        self.services_in(&workload.meta.namespace)
            .filter(move |s| s.selects(&workload.pod.labels))
    }

    /// The workloads that join and that a Service selects.
    fn backends(&self, service: &Service) -> Vec<&'w Workload> {
        let members = self.members_of(&service.meta.namespace);
        members.filter(|w| service.selects(&w.pod.labels)).collect()
    }

    /// How to say that something is not there, given how completely its kind was read; `None` when
    /// nothing can be said.
    fn absence(&self, kind: Kind) -> Option<&'static str> {
        match self.world.coverage(kind) {
            Coverage::Complete | Coverage::KindAbsent => Some("there is no"),
            Coverage::Given => Some("the input has no"),
            Coverage::Partial => Some("what could be read has no"),
            Coverage::NotRequested => None,
        }
    }
}

/// A finding whose message starts with its subject.
fn about(
    code: &'static Code,
    subject: ObjectRef,
    origin: Origin,
    predicate: impl std::fmt::Display,
) -> Finding {
    let message = format!("`{subject}` {predicate}");
    Finding::new(code, subject, origin, message)
}

/// The given line of an object, or the object where the line is unknown.
fn at_line(origin: &Origin, line: u32) -> Origin {
    if line == 0 {
        origin.clone()
    } else {
        origin.at(line)
    }
}

/// Names in backticks, at most three and how many more.
fn list<T: std::fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 3;
    let names: Vec<_> = names.into_iter().map(|n| format!("`{n}`")).collect();
    match names.split_at_checked(SHOWN) {
        Some((shown, more)) if !more.is_empty() => {
            format!("{} and {} more", shown.join(", "), more.len())
        }
        _ => names.join(", "),
    }
}

/// The workloads' names, in backticks.
fn workloads(list_of: &[&Workload]) -> String {
    list(list_of.iter().map(|w| w.reference()))
}
