//! The world as the planner sees it: with the pods that are going to be there, and who among all
//! pods speaks through the tunnel.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use ambient_facts::{annotations, labels};

use super::cni::{self, Detection};
use super::scope::{Membership, Scope, ScopeOptions, StaysOut};
use super::serving::{self, ServingWaypoints};
use super::{Options, imagine};
use crate::model::{Endpoints, Service, Workload, World};
use crate::netpol::{Assumptions, Selection, Trait, Universe};

/// What a pod does with the tunnel, once everything is in place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Role {
    /// Its connections to receivers go through the tunnel.
    pub(super) sends: bool,
    /// Connections from senders come through the tunnel.
    pub(super) receives: bool,
    /// Its DNS look-ups over TCP stay outside of the tunnel.
    pub(super) dns_captured: bool,
    /// It is a pod of this waypoint.
    pub(super) waypoint: Option<usize>,
    /// No object of the input describes it.
    pub(super) imagined: bool,
}

/// Everything that planning starts from.
pub(super) struct Setting<'w> {
    pub(super) world: Cow<'w, World>,
    pub(super) options: &'w Options,
    pub(super) endpoints: Endpoints,
    pub(super) scope: Scope,
    /// By workload.
    pub(super) roles: Vec<Role>,
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
            roles: Vec::new(),
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
        setting.roles = (0..setting.world.workloads.len())
            .map(|index| setting.role(index, index >= first_imagined))
            .collect();
        setting
    }

    fn role(&self, index: usize, imagined: bool) -> Role {
        let Some(workload) = self.world.workloads.get(index) else {
            return Role::default();
        };
        let pod = &workload.pod;
        let waypoint = self.waypoints.all.iter().position(|w| {
            w.namespace == workload.meta.namespace
                && pod
                    .labels
                    .get(labels::GATEWAY_NAME)
                    .is_some_and(|name| *name == w.name)
        });
        let membership = self.scope.workload(index);
        let joins = membership.joins();
        let injected = pod.annotations.contains_key(annotations::SIDECAR_STATUS)
            || pod.containers.iter().any(|c| c == "istio-proxy");
        let is_gateway = matches!(membership, Membership::StaysOut(StaysOut::Gateway));
        let tunnels = pod.labels.get(labels::TUNNEL).is_some_and(|v| v == "http");
        Role {
            sends: !pod.host_network && (joins || injected || is_gateway),
            receives: !pod.host_network && (joins || (injected && tunnels)),
            dns_captured: joins
                && pod
                    .annotations
                    .get(annotations::DNS_CAPTURE)
                    .is_none_or(|v| v != "false"),
            waypoint,
            imagined,
        }
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
        let tag = |role: &Role| {
            let waypoint = role
                .waypoint
                .and_then(|w| u32::try_from(w + 1).ok())
                .unwrap_or(0);
            u32::from(role.sends)
                | u32::from(role.receives) << 1
                | u32::from(role.dns_captured) << 2
                | waypoint << 3
        };
        let of = |role: &Role| Trait {
            tag: tag(role),
            identity_known: !role.imagined,
        };
        self.roles.iter().map(of).collect()
    }
}

/// Whether a workload of the input is the pod that a waypoint would have.
fn is_pod_of(workload: &Workload, pod: &Workload) -> bool {
    let name = |w: &Workload| w.pod.labels.get(labels::GATEWAY_NAME).cloned();
    workload.meta.namespace == pod.meta.namespace && name(workload) == name(pod)
}
