//! The world as the planner sees it: with the pods that are going to be there, and who among all
//! pods speaks through the tunnel.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use ambient_facts::labels;

use super::cni::{self, Detection};
use super::role::Role;
use super::scope::{Scope, ScopeOptions};
use super::serving::{self, ServingWaypoints};
use super::{Options, imagine};
use crate::model::{Endpoints, Service, Workload, World};
use crate::netpol::{Assumptions, Selection, Trait, Universe};

/// What the planner knows of a workload's pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) role: Role,
    /// They are the pods of this waypoint.
    pub(super) waypoint: Option<usize>,
    /// No object of the input describes them.
    pub(super) imagined: bool,
}

/// Everything that planning starts from.
pub(super) struct Setting<'w> {
    pub(super) world: Cow<'w, World>,
    pub(super) options: &'w Options,
    pub(super) endpoints: Endpoints,
    pub(super) scope: Scope,
    /// By workload.
    parts: Vec<Part>,
    /// Planned waypoints by the namespace that they serve.
    pub(super) planned: BTreeMap<String, String>,
    pub(super) waypoints: ServingWaypoints,
    pub(super) cni: Detection,
    pub(super) assumptions: Assumptions,
}

impl<'w> Setting<'w> {
    pub(super) fn of(world: &'w World, options: &'w Options) -> Self {
        let scope_options = ScopeOptions {
            namespaces: options.namespaces.clone(),
            exclude: options.exclude.clone(),
        };
        let cni = match options.cni {
            Some(cni) => Detection {
                cni,
                evidence: Vec::new(),
                note: None,
            },
            None => cni::detect(world),
        };
        let assumptions = Assumptions {
            blocks_match_pods: cni.cni.block_matches_pods(),
            ..Assumptions::default()
        };
        let endpoints = Endpoints::of(world);
        let scope = Scope::of(world, &endpoints, &scope_options);
        let planned = serving::planned(world, &scope, options);
        let waypoints = ServingWaypoints::of(world, &planned);

        let imagined = {
            let policies = &world.network_policies;
            let universe = Universe::of(world, &endpoints, policies, [], &[], assumptions.clone());
            imagine::pods(world, &scope, &mut Selection::new(world, &universe))
        };
        let mut waypoint_pods = waypoints.pods();
        waypoint_pods.retain(|pod| !world.workloads.iter().any(|w| is_pod_of(w, pod)));
        let mut setting = Self {
            world: Cow::Borrowed(world),
            options,
            endpoints,
            scope,
            parts: Vec::new(),
            planned,
            waypoints,
            cni,
            assumptions,
        };
        let known = world.workloads.len();
        let first_imagined = known + waypoint_pods.len();
        if !imagined.is_empty() || !waypoint_pods.is_empty() {
            let extended = setting.world.to_mut();
            extended.workloads.extend(waypoint_pods);
            extended.workloads.extend(imagined);
            let names: BTreeSet<String> = extended
                .workloads
                .iter()
                .skip(known)
                .map(|w| w.meta.namespace.clone())
                .collect();
            for name in names {
                extended.add_namespace(&name);
            }
            setting.endpoints = Endpoints::of(&setting.world);
            setting.scope = Scope::of(&setting.world, &setting.endpoints, &scope_options);
        }
        setting.parts = (0..setting.world.workloads.len())
            .map(|index| setting.part(index, index >= first_imagined))
            .collect();
        setting
    }

    fn part(&self, index: usize, imagined: bool) -> Part {
        let Some(workload) = self.world.workloads.get(index) else {
            return Part::default();
        };
        let waypoint = self.waypoints.all.iter().position(|w| {
            let gateway = workload.pod.labels.get(labels::GATEWAY_NAME);
            w.namespace == workload.meta.namespace && gateway.is_some_and(|name| *name == w.name)
        });
        let role = Role::of(&workload.pod, self.scope.workload(index));
        Part {
            role,
            waypoint,
            imagined,
        }
    }

    /// What a workload's pods do with the tunnel.
    pub(super) fn role(&self, workload: usize) -> Role {
        self.parts.get(workload).map(|p| p.role).unwrap_or_default()
    }

    /// The waypoint that a workload is the pods of.
    pub(super) fn waypoint_at(&self, workload: usize) -> Option<usize> {
        self.parts.get(workload)?.waypoint
    }

    /// Whether no object of the input describes a workload.
    pub(super) fn is_imagined(&self, workload: usize) -> bool {
        self.parts.get(workload).is_some_and(|p| p.imagined)
    }

    /// The workload that is the pods of a waypoint.
    pub(super) fn pods_of_waypoint(&self, waypoint: usize) -> Option<usize> {
        self.parts.iter().position(|p| p.waypoint == Some(waypoint))
    }

    /// The workloads that a Service sends to, by index.
    pub(super) fn backends(&self, service: &Service) -> impl Iterator<Item = usize> {
        let selected = |w: &Workload| {
            w.meta.namespace == service.meta.namespace
                && service
                    .selector
                    .iter()
                    .all(|(k, v)| w.pod.labels.get(k) == Some(v))
        };
        let workloads = self.world.workloads.iter().enumerate();
        workloads
            .filter(move |(_, w)| selected(w))
            .map(|(index, _)| index)
    }

    /// The distinctions that classes of pods must keep, by workload.
    pub(super) fn traits(&self) -> Vec<Trait> {
        let tag = |part: &Part| {
            let waypoint = part
                .waypoint
                .and_then(|w| u32::try_from(w + 1).ok())
                .unwrap_or(0);
            u32::from(part.role.sends)
                | u32::from(part.role.receives) << 1
                | u32::from(part.role.dns_captured) << 2
                | waypoint << 3
        };
        let of = |part: &Part| Trait {
            tag: tag(part),
            identity_known: !part.imagined,
        };
        self.parts.iter().map(of).collect()
    }
}

/// Whether a workload of the input is the pod that a waypoint would have.
fn is_pod_of(workload: &Workload, pod: &Workload) -> bool {
    let name = |w: &Workload| w.pod.labels.get(labels::GATEWAY_NAME).cloned();
    workload.meta.namespace == pod.meta.namespace && name(workload) == name(pod)
}
