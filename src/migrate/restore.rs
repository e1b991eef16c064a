//! Putting port limits back: AuthorizationPolicies for what the network plugin can no longer see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ambient_facts::namespaces;
use rayon::prelude::*;

use super::AuthzMode;
use super::analysis::{Analysis, written_by_people};
use super::authorizer::{applies_at, identity};
use super::object::{companion_meta, derived_name, take_free_name};
use super::via;
use crate::authz::{Client, Demand, Encoded, Enforcer, Identity, Mode, Selected, allowed, encode};
use crate::model::{
    Action, AuthorizationPolicy, AuthorizationRule, Labels, NetworkPolicy, ObjectRef, Origin,
    TargetRef, World,
};
use crate::netpol::{Node, PortSet};

/// The policies to add, and where none could be.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub(super) policies: Vec<Limit>,
    /// Workloads, by index, for which there is no selector of their own.
    pub(super) unselectable: BTreeSet<usize>,
    /// Classes with ports that stay open because a client cannot be named, or that are too many to
    /// list.
    pub(super) unnamed: BTreeMap<Node, PortSet>,
    pub(super) unlisted: BTreeMap<Node, PortSet>,
}

/// One policy to add.
#[derive(Debug)]
pub(super) struct Limit {
    pub(super) policy: AuthorizationPolicy,
    pub(super) beside: Origin,
    pub(super) reason: String,
}

/// A selector that might stand for a workload in an AuthorizationPolicy.
#[derive(Clone)]
struct Candidate {
    labels: Labels,
    of: ObjectRef,
    origin: Origin,
}

impl Limits {
    /// Works out the policies for every receiving workload and every Service behind a waypoint.
    pub(super) fn of(analysis: &Analysis<'_, '_>) -> Self {
        let mut limits = Self::default();
        if analysis.setting.options.authz == AuthzMode::None {
            return limits;
        }
        let wanted = limits.wanted(analysis);
        limits.attach(analysis, &wanted);
        limits.at_waypoints(analysis);
        limits.number_names(&analysis.setting.world);
        limits
    }

    /// The rules that each receiving workload needs, by index; nothing for those that need none.
    fn wanted(&mut self, analysis: &Analysis<'_, '_>) -> BTreeMap<usize, Arc<Wanted>> {
        let here = ByNamespace::of(&analysis.setting.world);
        let receivers: Vec<Node> = analysis.speakers.receivers.ones().collect();
        let needs: Vec<Need> = receivers
            .into_par_iter()
            .filter_map(|class| Need::of(analysis, &here, class))
            .collect();
        let mut wanted = BTreeMap::new();
        let mut distinct: BTreeSet<Arc<Wanted>> = BTreeSet::new();
        for need in needs {
            note(&mut self.unnamed, need.class, &need.unnamed);
            note(&mut self.unlisted, need.class, &need.unlisted);
            for (workload, want) in need.wanted {
                // Equal rules become one value, so that comparing them is comparing addresses.
                let want = distinct.get(&want).cloned().unwrap_or_else(|| {
                    distinct.insert(Arc::clone(&want));
                    want
                });
                wanted.insert(workload, want);
            }
        }
        wanted
    }

    /// Finds a selector for every workload that needs rules.
    fn attach(&mut self, analysis: &Analysis<'_, '_>, wanted: &BTreeMap<usize, Arc<Wanted>>) {
        let world = &*analysis.setting.world;
        let index = ByNamespace::of(world);
        let mut attached: BTreeSet<(String, Labels)> = BTreeSet::new();
        for (&workload, want) in wanted {
            let Some(subject) = world.workloads.get(workload) else {
                continue;
            };
            let namespace = &subject.meta.namespace;
            let here = index.workloads(namespace);
            let is_apart = |candidate: &Candidate| {
                let selected = here.iter().filter(|&&other| {
                    let labels = world.workloads.get(other).map(|w| &w.pod.labels);
                    labels
                        .is_some_and(|l| candidate.labels.iter().all(|(k, v)| l.get(k) == Some(v)))
                });
                selected.into_iter().all(|other| {
                    wanted.get(other) == Some(want)
                        || !enforces(analysis, *other)
                        || analysis.setting.endpoints.of_workload(*other).is_none()
                })
            };
            let Some(candidate) = candidates(analysis, &index, workload)
                .into_iter()
                .find(is_apart)
            else {
                self.unselectable.insert(workload);
                continue;
            };
            if !attached.insert((namespace.clone(), candidate.labels.clone())) {
                continue;
            }
            let name = derived_name(&candidate.of.name, "np-ports");
            self.policies.push(Limit {
                policy: AuthorizationPolicy {
                    meta: companion_meta(namespace, name, &candidate.of),
                    selector: candidate.labels,
                    targets: Vec::new(),
                    action: want.action,
                    rules: want.rules.clone(),
                },
                beside: candidate.origin,
                reason: format!(
                    "keep tunnelled traffic to the ports that `{}` allows",
                    candidate.of
                ),
            });
        }
    }

    /// Policies at waypoints, one for each Service that needs one.
    fn at_waypoints(&mut self, analysis: &Analysis<'_, '_>) {
        let setting = analysis.setting;
        for (&index, &place) in &setting.waypoints.of_service {
            let (Some(service), Some(waypoint)) = (
                setting.world.services.get(index),
                setting.waypoints.all.get(place),
            ) else {
                continue;
            };
            let pods = setting.pods_of_waypoint(place);
            let Some(node) = pods.and_then(|w| analysis.universe.class_of(w)) else {
                continue;
            };
            let Some(demand) = analysis.service_demand(service, node) else {
                continue;
            };
            let people = written_by_people(&setting.world.authorization_policies);
            let applying = people.filter(|p| {
                let mut targets = p.targets.iter();
                targets.any(|t| applies_at(t, &p.meta.namespace, waypoint, Some(service)))
            });
            let people = Selected::listed(applying, Enforcer::Envoy);
            if is_met(&demand, &people) {
                continue;
            }
            let encoded = encode(&demand, Mode::Deny);
            if encoded.rules.is_empty() {
                continue;
            }
            let of = service.meta.reference("Service");
            let name = derived_name(&service.meta.name, "np-clients");
            let mut meta = companion_meta(&service.meta.namespace, name, &of);
            meta.origin = Origin::synthetic();
            let target = TargetRef {
                group: String::new(),
                kind: "Service".to_owned(),
                name: service.meta.name.clone(),
                namespace: None,
            };
            let beside = service.meta.origin.clone();
            let beside = if beside.is_synthetic() {
                via::origin_of(setting, waypoint)
            } else {
                beside
            };
            self.policies.push(Limit {
                policy: AuthorizationPolicy {
                    meta,
                    selector: Labels::new(),
                    targets: vec![target],
                    action: Action::Deny,
                    rules: encoded.rules,
                },
                beside,
                reason: format!(
                    "keep the waypoint `{}` to the clients that the network policies allow",
                    waypoint.name
                ),
            });
        }
    }

    /// Gives policies names that are free: not those of each other, nor those of people's policies.
    fn number_names(&mut self, world: &World) {
        let people = written_by_people(&world.authorization_policies);
        let mut taken: BTreeSet<(String, String)> = people
            .map(|p| (p.meta.namespace.clone(), p.meta.name.clone()))
            .collect();
        for limit in &mut self.policies {
            take_free_name(&mut limit.policy.meta, &mut taken);
        }
    }
}

/// Rules that a workload needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    action: Action,
    rules: Vec<AuthorizationRule>,
}

/// What the workloads of one class need.
struct Need {
    class: Node,
    wanted: Vec<(usize, Arc<Wanted>)>,
    unnamed: PortSet,
    unlisted: PortSet,
}

impl Need {
    fn of(analysis: &Analysis<'_, '_>, here: &ByNamespace<'_>, class: Node) -> Option<Self> {
        let demand = analysis.demand(class)?;
        let mut need = Self {
            class,
            wanted: Vec::new(),
            unnamed: PortSet::none(),
            unlisted: PortSet::none(),
        };
        let mut encoded: BTreeMap<bool, Arc<Wanted>> = BTreeMap::new();
        for &workload in &analysis.universe.classes().get(class)?.workloads {
            let people = here.selected_for(analysis, workload);
            if is_met(&demand, &people) {
                continue;
            }
            let may_allow =
                analysis.setting.options.authz == AuthzMode::Allow && !people.have(Action::Allow);
            let want = encoded.entry(may_allow).or_insert_with(|| {
                let (mode, action) = if may_allow {
                    (Mode::Allow, Action::Allow)
                } else {
                    (Mode::Deny, Action::Deny)
                };
                let Encoded {
                    rules,
                    unnamed,
                    unlisted,
                } = encode(&demand, mode);
                need.unnamed = need.unnamed.union(&unnamed);
                need.unlisted = need.unlisted.union(&unlisted);
                Arc::new(Wanted { action, rules })
            });
            if !want.rules.is_empty() {
                need.wanted.push((workload, Arc::clone(want)));
            }
        }
        Some(need)
    }
}

fn note(noted: &mut BTreeMap<Node, PortSet>, class: Node, ports: &PortSet) {
    if !ports.is_empty() {
        noted.insert(class, ports.clone());
    }
}

/// Objects of a world by namespace.
struct ByNamespace<'a> {
    workloads: BTreeMap<&'a str, Vec<usize>>,
    isolating: BTreeMap<&'a str, Vec<&'a NetworkPolicy>>,
    authorization: BTreeMap<&'a str, Vec<&'a AuthorizationPolicy>>,
}

impl<'a> ByNamespace<'a> {
    fn of(world: &'a World) -> Self {
        let mut index = Self {
            workloads: BTreeMap::new(),
            isolating: BTreeMap::new(),
            authorization: BTreeMap::new(),
        };
        for (place, workload) in world.workloads.iter().enumerate() {
            index
                .workloads
                .entry(&workload.meta.namespace)
                .or_default()
                .push(place);
        }
        for policy in &world.network_policies {
            if policy.isolates_ingress && !policy.meta.is_ours() {
                index
                    .isolating
                    .entry(&policy.meta.namespace)
                    .or_default()
                    .push(policy);
            }
        }
        for policy in written_by_people(&world.authorization_policies) {
            index
                .authorization
                .entry(&policy.meta.namespace)
                .or_default()
                .push(policy);
        }
        index
    }

    fn workloads(&self, namespace: &str) -> &[usize] {
        self.workloads.get(namespace).map_or(&[], Vec::as_slice)
    }

    /// The policies of people that a workload's ztunnel applies.
    fn selected_for(&self, analysis: &Analysis<'_, '_>, workload: usize) -> Selected<'a> {
        let Some(workload) = analysis.setting.world.workloads.get(workload) else {
            return Selected::default();
        };
        let namespace = workload.meta.namespace.as_str();
        let root = (namespace != namespaces::ROOT).then_some(namespaces::ROOT);
        let here = [Some(namespace), root].into_iter().flatten();
        let policies = here
            .filter_map(|n| self.authorization.get(n))
            .flatten()
            .copied();
        Selected::of(policies, namespace, &workload.pod.labels)
    }
}

/// Whether policies that are there keep a demand already.
fn is_met(demand: &Demand, policies: &Selected<'_>) -> bool {
    if policies.is_empty() {
        return false;
    }
    let within = |identity: Identity<'_>, limit: &PortSet| {
        let client = Client {
            identity,
            address: None,
        };
        let open = allowed(policies, &client).high;
        limit.includes(&open.intersection(&demand.universe))
    };
    let mut clients = demand.clients.iter();
    clients.all(|(party, limit)| within(identity(party), limit))
        && demand
            .others
            .as_ref()
            .is_none_or(|limit| within(Identity::Anyone, limit))
}

/// Whether something at the workload enforces AuthorizationPolicies: ztunnel, or a sidecar.
fn enforces(analysis: &Analysis<'_, '_>, workload: usize) -> bool {
    let role = analysis.setting.role(workload);
    role.receives || role.sends
}

/// Selectors that might stand for a workload, the best first: what a policy selects it by, so that
/// pods which come later are limited with it; then what its own object selects it by.
fn candidates(
    analysis: &Analysis<'_, '_>,
    index: &ByNamespace<'_>,
    workload: usize,
) -> Vec<Candidate> {
    let world = &*analysis.setting.world;
    let Some(subject) = world.workloads.get(workload) else {
        return Vec::new();
    };
    let namespace = subject.meta.namespace.as_str();
    let isolating = index.isolating.get(namespace).into_iter().flatten();
    let selecting = isolating.filter(|p| p.pod_selector.matches(&subject.pod.labels));
    let by_policy = selecting.filter_map(|p| {
        let labels = p.pod_selector.only_labels()?.clone();
        Some(Candidate {
            labels,
            of: p.reference(),
            origin: p.meta.origin.clone(),
        })
    });
    let (mut narrow, wide): (Vec<_>, Vec<_>) = by_policy.partition(|c| !c.labels.is_empty());
    let gateway_here = index.workloads(namespace).iter().any(|&other| {
        let role = analysis.setting.role(other);
        role.sends && !role.receives
    });
    if !gateway_here {
        // A policy for the whole namespace reaches its gateways as well.
        narrow.extend(wide);
    }
    let own = |labels: Labels| Candidate {
        labels,
        of: subject.reference(),
        origin: subject.meta.origin.clone(),
    };
    let by_object = subject.selector.as_ref().and_then(|s| s.only_labels());
    narrow.extend(by_object.filter(|l| !l.is_empty()).cloned().map(own));
    if !subject.pod.labels.is_empty() {
        narrow.push(own(subject.pod.labels.clone()));
    }
    narrow
}
