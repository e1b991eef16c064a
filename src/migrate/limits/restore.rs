//! Putting port limits back: AuthorizationPolicies for what the network plugin can no longer see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;

use super::selectors::{ByNamespace, Candidate, candidates};
use crate::authz::{Crowd, Demand, Encoded, Enforcer, Mode, Selected, encode, is_listable};
use crate::migrate::AuthzMode;
use crate::migrate::analysis::Analysis;
use crate::migrate::object::{companion_meta, derived_name};
use crate::migrate::opening::isolated;
use crate::migrate::setting::serving::applies_at;
use crate::model::{
    Action, AuthorizationPolicy, AuthorizationRule, Labels, ObjectRef, Origin, TargetRef,
};
use crate::netpol::{Node, PortSet};

/// The policies to add, and where none could be.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    pub(crate) policies: Vec<Limit>,
    /// Workloads, by index, for which there is no selector of their own.
    pub(crate) unselectable: BTreeSet<usize>,
    /// Classes with ports that stay open because a client cannot be named, or that are too many to
    /// list.
    pub(crate) unnamed: BTreeMap<Node, PortSet>,
    pub(crate) unlisted: BTreeMap<Node, PortSet>,
}

/// One policy to add.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) policy: AuthorizationPolicy,
    /// The object that it accompanies.
    pub(crate) of: ObjectRef,
    pub(crate) beside: Origin,
    pub(crate) reason: String,
    /// It does nothing, and replaces one of an earlier run that is not needed any more.
    pub(crate) is_spent: bool,
}

impl Limits {
    /// Works out the policies for every receiving workload and every Service behind a waypoint.
    pub(crate) fn of(analysis: &Analysis<'_, '_>) -> Self {
        let mut limits = Self::default();
        if analysis.setting.options.authz == AuthzMode::None {
            return limits;
        }
        let here = ByNamespace::of(&analysis.setting.world);
        let crowd = analysis.crowd();
        let needs = limits.needs(analysis, &crowd, &here);
        limits.attach(analysis, &crowd, &here, &needs);
        limits.at_waypoints(analysis, &crowd);
        limits.adopt_names(&analysis.setting.world);
        limits.number_names(&analysis.setting.world);
        limits.spend(&analysis.setting.world);
        limits
    }

    /// What each receiving workload needs.
    fn needs<'a>(
        &mut self,
        analysis: &'a Analysis<'_, '_>,
        crowd: &Crowd<'_>,
        here: &ByNamespace<'_>,
    ) -> Needs<'a> {
        let receivers: Vec<Node> = analysis.speakers.receivers.ones().collect();
        let demands: Vec<(Node, Demand<'_>)> = receivers
            .into_par_iter()
            .filter_map(|class| Some((class, analysis.demand(class)?)))
            .collect();
        // Equal limits become one value and are written once, so that comparing them is comparing
        // addresses.
        let mut classes: BTreeMap<Demand<'_>, Vec<Node>> = BTreeMap::new();
        for (class, demand) in demands {
            classes.entry(demand).or_default().push(class);
        }
        let classes: Vec<(Demand<'_>, Vec<Node>)> = classes.into_iter().collect();
        let found: Vec<Need<'_>> = classes
            .into_par_iter()
            .flat_map_iter(|(demand, classes)| by_declared(analysis, demand, classes))
            .map(|(demand, classes)| Need::of(analysis, crowd, here, demand, classes))
            .collect();
        let mut needs = Needs::default();
        for need in found {
            for &class in &need.classes {
                note(&mut self.unnamed, class, &need.unnamed);
                note(&mut self.unlisted, class, &need.unlisted);
                let class = analysis.universe.classes().get(class);
                for &workload in class.into_iter().flat_map(|c| &c.workloads) {
                    needs.demands.insert(workload, Arc::clone(&need.demand));
                }
            }
            needs.wanted.extend(need.wanted);
        }
        needs
    }

    /// Finds a selector for every workload that needs rules.
    fn attach(
        &mut self,
        analysis: &Analysis<'_, '_>,
        crowd: &Crowd<'_>,
        index: &ByNamespace<'_>,
        needs: &Needs<'_>,
    ) {
        let world = &*analysis.setting.world;
        let mut attached: BTreeSet<(String, Labels)> = BTreeSet::new();
        let mut found: Vec<(Candidate<'_>, Arc<Wanted>)> = Vec::new();
        for (&workload, want) in &needs.wanted {
            let Some(subject) = world.workloads.get(workload) else {
                continue;
            };
            let namespace = &subject.meta.namespace;
            let is_apart = |candidate: &Candidate<'_>| {
                let selected = index.selected_by(analysis, namespace, &candidate.labels);
                selected.into_iter().all(|other| {
                    let wanted = needs.wanted.get(&other);
                    wanted.is_some_and(|w| Arc::ptr_eq(w, want))
                })
            };
            let mut candidates = candidates(analysis, index, workload);
            let apart = candidates.iter().position(is_apart);
            let (candidate, want) = if let Some(place) = apart {
                (candidates.swap_remove(place), Arc::clone(want))
            } else {
                self.unselectable.insert(workload);
                // The narrowest of them comes last.
                let Some(narrowest) = candidates.pop() else {
                    continue;
                };
                let selected = index.selected_by(analysis, namespace, &narrowest.labels);
                let Some(want) = needs.for_all(analysis, &selected, crowd) else {
                    continue;
                };
                (narrowest, Arc::new(want))
            };
            if attached.insert((namespace.clone(), candidate.labels.clone())) {
                found.push((candidate, want));
            }
        }
        for (candidate, want) in found {
            self.add(&candidate, &want);
        }
    }

    /// Adds the policies that carry some rules to the workloads that a candidate selects.
    fn add(&mut self, candidate: &Candidate<'_>, want: &Wanted) {
        let name = derived_name(&candidate.of.name, "np-ports");
        for rules in &want.rules {
            self.policies.push(Limit {
                policy: AuthorizationPolicy {
                    meta: companion_meta(candidate.beside, name.clone(), &candidate.of),
                    selector: candidate.labels.clone(),
                    selects_nothing: false,
                    targets: Vec::new(),
                    action: want.action,
                    rules: Arc::clone(rules),
                },
                of: candidate.of.clone(),
                beside: candidate.beside.origin.clone(),
                reason: format!(
                    "keep the tunnel to the ports allowed at the pods of `{}`",
                    candidate.of
                ),
                is_spent: false,
            });
        }
    }

    /// Policies at waypoints, one for each Service that needs one.
    fn at_waypoints(&mut self, analysis: &Analysis<'_, '_>, crowd: &Crowd<'_>) {
        let setting = analysis.setting;
        for (&index, &place) in &setting.waypoints.of_service {
            let (Some(service), Some(waypoint)) = (
                setting.world.services.get(index),
                setting.waypoints.all.get(place),
            ) else {
                continue;
            };
            let nodes = analysis.nodes_of_waypoint(place);
            if nodes.is_empty() {
                continue;
            }
            let Some(demand) = analysis.service_demand(service, nodes) else {
                continue;
            };
            let people = setting.world.authorization_policies_of_people();
            let root = setting.world.mesh.root_namespace();
            let applying = people.filter(|p| applies_at(p, root, waypoint, Some(service)));
            let people = Selected::listed(applying, Enforcer::Envoy);
            if is_met(&demand, &people, crowd) {
                continue;
            }
            let encoded = encode(&demand, crowd, Mode::Deny);
            if encoded.rules.is_empty() {
                continue;
            }
            let of = service.meta.reference("Service");
            let name = derived_name(&service.meta.name, "np-clients");
            let mut meta = companion_meta(&service.meta, name, &of);
            meta.origin = Origin::synthetic();
            let target = TargetRef {
                group: String::new(),
                kind: "Service".to_owned(),
                name: service.meta.name.clone(),
                namespace: None,
            };
            let beside = service.meta.origin.clone();
            let beside = if beside.is_synthetic() {
                isolated::origin_of(setting, waypoint)
            } else {
                beside
            };
            self.policies.push(Limit {
                policy: AuthorizationPolicy {
                    meta,
                    selector: Labels::new(),
                    selects_nothing: false,
                    targets: vec![target],
                    action: Action::Deny,
                    rules: encoded.rules.into(),
                },
                of,
                beside,
                reason: format!(
                    "keep the waypoint `{}` to the clients that the network policies allow",
                    waypoint.name
                ),
                is_spent: false,
            });
        }
    }
}

/// Rules that a workload needs.
#[derive(Debug, Clone)]
struct Wanted {
    action: Action,
    /// As many as one policy may have at a time.
    rules: Vec<Arc<[AuthorizationRule]>>,
}

impl Wanted {
    fn new(action: Action, rules: Vec<AuthorizationRule>) -> Self {
        let mut rest = rules;
        let mut rules = Vec::new();
        while !rest.is_empty() {
            let next = rest.split_off(rest.len().min(RULE_LIMIT));
            rules.push(std::mem::replace(&mut rest, next).into());
        }
        Self { action, rules }
    }
}

/// What all workloads need, by index.
#[derive(Default)]
struct Needs<'a> {
    /// The limits of those that have some.
    demands: BTreeMap<usize, Arc<Demand<'a>>>,
    /// The rules that are missing.
    wanted: BTreeMap<usize, Arc<Wanted>>,
}

impl Needs<'_> {
    /// Rules that leave each of some workloads what it is allowed, for want of a selector that tells
    /// them apart; `None` when one of them has no limit.
    fn for_all(
        &self,
        analysis: &Analysis<'_, '_>,
        workloads: &[usize],
        crowd: &Crowd<'_>,
    ) -> Option<Wanted> {
        let mut demands = workloads.iter().map(|w| self.demands.get(w));
        let first = Demand::clone(demands.next()??);
        let mut all = demands.try_fold(first, |all, next| Some(all.or(next?)))?;
        let classes = workloads.iter();
        let classes = classes.filter_map(|&w| analysis.universe.class_of(w));
        all.declared = classes.map(|class| analysis.declared(class)).collect();
        let rules = encode(&all, crowd, Mode::Deny).rules;
        (!rules.is_empty()).then(|| Wanted::new(Action::Deny, rules))
    }
}

/// What the workloads of classes with equal limits need.
struct Need<'a> {
    classes: Vec<Node>,
    demand: Arc<Demand<'a>>,
    wanted: Vec<(usize, Arc<Wanted>)>,
    unnamed: PortSet,
    unlisted: PortSet,
}

impl<'a> Need<'a> {
    fn of(
        analysis: &'a Analysis<'_, '_>,
        crowd: &Crowd<'_>,
        here: &ByNamespace<'_>,
        demand: Demand<'a>,
        classes: Vec<Node>,
    ) -> Self {
        let all = classes
            .iter()
            .filter_map(|&c| analysis.universe.classes().get(c));
        let workloads: Vec<usize> = all.flat_map(|c| c.workloads.iter().copied()).collect();
        let mut need = Self {
            classes,
            demand: Arc::new(demand),
            wanted: Vec::new(),
            unnamed: PortSet::none(),
            unlisted: PortSet::none(),
        };
        let mut encoded: BTreeMap<bool, Arc<Wanted>> = BTreeMap::new();
        for workload in workloads {
            let people = here.selected_for(analysis, workload);
            if is_met(&need.demand, &people, crowd) {
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
                } = encode(&need.demand, crowd, mode);
                need.unnamed = need.unnamed.union(&unnamed);
                need.unlisted = need.unlisted.union(&unlisted);
                Arc::new(Wanted::new(action, rules))
            });
            if !want.rules.is_empty() {
                need.wanted.push((workload, Arc::clone(want)));
            }
        }
        need
    }
}

/// Classes with one limit by the ports that their pods declare, where these count: in limits too long
/// to list. Any other is one limit for all of them, and for the pods that come later.
fn by_declared<'a>(
    analysis: &Analysis<'_, '_>,
    demand: Demand<'a>,
    classes: Vec<Node>,
) -> Vec<(Demand<'a>, Vec<Node>)> {
    if is_listable(&demand) {
        return vec![(demand, classes)];
    }
    let mut declaring: BTreeMap<PortSet, Vec<Node>> = BTreeMap::new();
    for class in classes {
        let declared = analysis.declared(class);
        declaring.entry(declared).or_default().push(class);
    }
    let declaring = declaring.into_iter();
    let of = |declared| Demand {
        declared,
        ..demand.clone()
    };
    declaring.map(|(d, classes)| (of(d), classes)).collect()
}

fn note(noted: &mut BTreeMap<Node, PortSet>, class: Node, ports: &PortSet) {
    if !ports.is_empty() {
        noted.insert(class, ports.clone());
    }
}

/// Whether policies that are there keep a demand already.
fn is_met(demand: &Demand<'_>, policies: &Selected<'_>, crowd: &Crowd<'_>) -> bool {
    if policies.is_empty() {
        return false;
    }
    policies.decide(crowd).iter().all(|(allowance, members)| {
        let open = allowance.high.intersection(&demand.universe);
        let mut limits = demand
            .clients
            .iter()
            .filter(|(_, parties)| !parties.is_disjoint(members));
        let others = demand
            .others
            .iter()
            .filter(|_| members.contains(crowd.anyone()));
        limits.all(|(limit, _)| limit.includes(&open))
            && others.into_iter().all(|limit| limit.includes(&open))
    })
}

/// The most rules that a policy may have (`MaxItems` of `spec.rules` in the API).
const RULE_LIMIT: usize = 512;
