//! What AuthorizationPolicies let clients use, asked many times and worked out once.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ambient_facts::{labels, namespaces};
use fixedbitset::FixedBitSet;

use super::analysis::Analysis;
use super::serving::Serving;
use crate::authz::{Allowance, Client, Enforcer, Identity, Party, Selected, allowed, selects};
use crate::model::{AuthorizationPolicy, Service, TargetRef};
use crate::netpol::Node;

/// What AuthorizationPolicies let a client use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Authorized {
    /// Once everything is in place.
    pub(super) after: Allowance,
    /// Today, as far as sidecars enforce policies; nothing else in the cluster does.
    pub(super) today: Allowance,
}

/// Clients that a list of policies treats alike.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) authorized: Authorized,
    /// The classes that they are.
    pub(super) nodes: FixedBitSet,
}

/// A list of policies that apply somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SelectionId(usize);

/// Where policies apply: which ones, by what enforces them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    policies: Vec<usize>,
    enforcer: Enforcer,
    /// Whether a sidecar enforces those of people today; `None` when the input does not tell.
    today: Option<bool>,
}

/// Policies that apply together.
struct Selection<'p> {
    after: Selected<'p>,
    /// Those of people, where something may enforce them today, and whether it surely does.
    today: Option<(Selected<'p>, bool)>,
    /// Once they were asked for.
    parts: Option<Arc<Vec<Part>>>,
}

/// All AuthorizationPolicies there will be.
pub(super) struct Authorizer<'p> {
    policies: Vec<&'p AuthorizationPolicy>,
    by_namespace: BTreeMap<&'p str, Vec<usize>>,
    selections: Vec<Selection<'p>>,
    by_place: BTreeMap<Place, SelectionId>,
}

impl<'p> Authorizer<'p> {
    pub(super) fn new(policies: Vec<&'p AuthorizationPolicy>) -> Self {
        let mut by_namespace: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (place, policy) in policies.iter().enumerate() {
            by_namespace
                .entry(&policy.meta.namespace)
                .or_default()
                .push(place);
        }
        Self {
            policies,
            by_namespace,
            selections: Vec::new(),
            by_place: BTreeMap::new(),
        }
    }

    /// The policies that apply to the pods of a class, with the workloads to which they do. More
    /// than one list when its pods differ in labels that only AuthorizationPolicies look at.
    pub(super) fn selections(
        &mut self,
        analysis: &Analysis<'_, '_>,
        class: Node,
    ) -> Vec<(SelectionId, Vec<usize>)> {
        let setting = analysis.setting;
        let workloads = analysis.universe.classes().get(class).map(|c| &c.workloads);
        let mut selections: Vec<(SelectionId, Vec<usize>)> = Vec::new();
        for &index in workloads.into_iter().flatten() {
            let Some(workload) = setting.world.workloads.get(index) else {
                continue;
            };
            let namespace = workload.meta.namespace.as_str();
            let role = setting.role(index);
            let place = Place {
                policies: self
                    .selecting(namespace, |p| selects(p, namespace, &workload.pod.labels)),
                enforcer: if role.keeps_sidecar {
                    Enforcer::Envoy
                } else {
                    Enforcer::Ztunnel
                },
                today: setting.has_proxy_today(index),
            };
            let selection = self.intern(place);
            match selections.iter_mut().find(|(known, _)| *known == selection) {
                Some((_, workloads)) => workloads.push(index),
                None => selections.push((selection, vec![index])),
            }
        }
        selections
    }

    /// The policies that apply at a waypoint: to connections for a Service, where one is given.
    pub(super) fn at_waypoint(
        &mut self,
        waypoint: &Serving,
        service: Option<&Service>,
    ) -> SelectionId {
        let own = |p: &AuthorizationPolicy| {
            p.targets
                .iter()
                .any(|t| applies_at(t, &p.meta.namespace, waypoint, service))
        };
        let mut policies = self.selecting(&waypoint.namespace, own);
        if let Some(service) = service
            && service.meta.namespace != waypoint.namespace
        {
            policies.extend(self.selecting(&service.meta.namespace, own));
            policies.sort_unstable();
            policies.dedup();
        }
        self.intern(Place {
            policies,
            enforcer: Enforcer::Envoy,
            today: Some(false),
        })
    }

    /// The policies of a namespace, and of the root namespace, that fit.
    fn selecting(
        &self,
        namespace: &str,
        fits: impl Fn(&AuthorizationPolicy) -> bool,
    ) -> Vec<usize> {
        let root = (namespace != namespaces::ROOT).then_some(namespaces::ROOT);
        let places = [Some(namespace), root]
            .into_iter()
            .flatten()
            .filter_map(|n| self.by_namespace.get(n))
            .flatten()
            .copied();
        places
            .filter(|&place| self.policies.get(place).is_some_and(|p| fits(p)))
            .collect()
    }

    fn intern(&mut self, place: Place) -> SelectionId {
        if let Some(&known) = self.by_place.get(&place) {
            return known;
        }
        let id = SelectionId(self.selections.len());
        let policies = place
            .policies
            .iter()
            .filter_map(|&p| self.policies.get(p).copied());
        let people = policies.clone().filter(|p| !p.meta.is_ours());
        self.selections.push(Selection {
            after: Selected::listed(policies, place.enforcer),
            today: (place.today != Some(false)).then(|| {
                let surely = place.today == Some(true);
                (Selected::listed(people, Enforcer::Envoy), surely)
            }),
            parts: None,
        });
        self.by_place.insert(place, id);
        id
    }

    /// What the pods of a class may use.
    pub(super) fn party(
        &self,
        analysis: &Analysis<'_, '_>,
        selection: SelectionId,
        class: Node,
    ) -> Authorized {
        let vouched = analysis.has_proxy_today(class);
        self.authorized(selection, identity(analysis.party(class)), vouched)
    }

    /// `vouched`: whether the client has a proxy today, which presents its identity.
    fn authorized(
        &self,
        selection: SelectionId,
        identity: Identity<'_>,
        vouched: Option<bool>,
    ) -> Authorized {
        let selection = &self.selections[selection.0];
        let client = |identity| Client {
            identity,
            address: None,
        };
        let mut today = Allowance::all();
        if let Some((policies, surely)) = &selection.today {
            let with = |identity| allowed(policies, &client(identity));
            let enforced = match vouched {
                Some(true) => with(identity),
                Some(false) => with(Identity::Anonymous),
                None => {
                    let (known, unknown) = (with(identity), with(Identity::Anonymous));
                    Allowance {
                        low: known.low.intersection(&unknown.low),
                        high: known.high.union(&unknown.high),
                    }
                }
            };
            today.low = enforced.low;
            if *surely {
                today.high = enforced.high;
            }
        }
        Authorized {
            after: allowed(&selection.after, &client(identity)),
            today,
        }
    }

    /// All classes, by what policies let them use through the tunnel.
    pub(super) fn parts(
        &mut self,
        analysis: &Analysis<'_, '_>,
        selection: SelectionId,
    ) -> Arc<Vec<Part>> {
        if let Some(known) = &self.selections[selection.0].parts {
            return Arc::clone(known);
        }
        let classes = analysis.universe.classes().len();
        let mut rest = FixedBitSet::with_capacity(classes);
        rest.insert_range(..);
        let mut parts: BTreeMap<Authorized, FixedBitSet> = BTreeMap::new();
        for party in self.told_apart(analysis, selection) {
            let Some(nodes) = analysis.nodes_of_party.get(party) else {
                continue;
            };
            for &node in nodes {
                rest.set(node, false);
            }
            let client = identity(&analysis.parties[party]);
            let nodes = nodes.iter().copied();
            self.add_parts(analysis, selection, client, nodes, &mut parts);
        }
        // Nobody has this name, so it stands for all that no policy names.
        let unnamed = Identity::Workload {
            namespace: "",
            service_account: "",
        };
        self.add_parts(analysis, selection, unnamed, rest.ones(), &mut parts);
        let parts = parts.into_iter();
        let parts = Arc::new(
            parts
                .map(|(authorized, nodes)| Part { authorized, nodes })
                .collect(),
        );
        self.selections[selection.0].parts = Some(Arc::clone(&parts));
        parts
    }

    fn add_parts(
        &self,
        analysis: &Analysis<'_, '_>,
        selection: SelectionId,
        identity: Identity<'_>,
        nodes: impl Iterator<Item = Node>,
        parts: &mut BTreeMap<Authorized, FixedBitSet>,
    ) {
        let classes = analysis.universe.classes().len();
        let mut by_proxy: BTreeMap<Option<bool>, FixedBitSet> = BTreeMap::new();
        for node in nodes {
            let vouched = analysis.has_proxy_today(node);
            let bits = by_proxy.entry(vouched);
            bits.or_insert_with(|| FixedBitSet::with_capacity(classes))
                .insert(node);
        }
        for (vouched, bits) in by_proxy {
            let authorized = self.authorized(selection, identity, vouched);
            match parts.entry(authorized) {
                Entry::Occupied(mut known) => known.get_mut().union_with(&bits),
                Entry::Vacant(new) => {
                    new.insert(bits);
                }
            }
        }
    }

    /// The parties that policies may tell from the others.
    fn told_apart(&self, analysis: &Analysis<'_, '_>, selection: SelectionId) -> BTreeSet<usize> {
        let parties = &analysis.parties;
        let selection = &self.selections[selection.0];
        let mut apart: BTreeSet<usize> = (0..parties.len())
            .filter(|&p| parties[p].service_account.is_none())
            .collect();
        let today = selection.today.as_ref().map(|(policies, _)| policies);
        for selected in [Some(&selection.after), today] {
            let Some(selected) = selected else { continue };
            let Some(named) = selected.named() else {
                return (0..parties.len()).collect();
            };
            for (namespace, account) in named.accounts {
                let found = parties.binary_search_by(|p| {
                    let name = p.service_account.as_deref();
                    (p.namespace.as_str(), name).cmp(&(namespace, Some(account)))
                });
                apart.extend(found.ok());
            }
            for namespace in named.namespaces {
                let first = parties.partition_point(|p| p.namespace.as_str() < namespace);
                let here = parties[first..].iter();
                let here = here.take_while(|p| p.namespace == namespace).count();
                apart.extend(first..first + here);
            }
        }
        apart
    }
}

/// Whether a policy of a namespace that is attached to `target` applies at a waypoint, to
/// connections for a Service where one is given: to the Service, the Gateway, or, in the root
/// namespace, to the class of all waypoints.
pub(super) fn applies_at(
    target: &TargetRef,
    policy_namespace: &str,
    waypoint: &Serving,
    service: Option<&Service>,
) -> bool {
    match target.kind.as_str() {
        "Service" => {
            target.group.is_empty()
                && service.is_some_and(|s| {
                    s.meta.namespace == policy_namespace && s.meta.name == target.name
                })
        }
        "Gateway" => waypoint.namespace == policy_namespace && waypoint.name == target.name,
        "GatewayClass" => {
            policy_namespace == namespaces::ROOT && target.name == labels::WAYPOINT_CLASS
        }
        _ => false,
    }
}

/// A party as a destination sees it.
pub(super) fn identity(party: &Party) -> Identity<'_> {
    let namespace = party.namespace.as_str();
    match &party.service_account {
        Some(service_account) => Identity::Workload {
            namespace,
            service_account,
        },
        None => Identity::SomeoneIn { namespace },
    }
}
