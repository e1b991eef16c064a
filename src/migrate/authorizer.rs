//! What AuthorizationPolicies let each party use, asked many times and worked out once.

use std::collections::BTreeMap;

use ambient_facts::namespaces;

use super::analysis::Analysis;
use super::restore::targets;
use crate::authz::{Client, Identity, Party, Selected, allowed, selects};
use crate::model::{AuthorizationPolicy, Service};
use crate::netpol::{Node, PortSet};

/// A list of policies that apply somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SelectionId(usize);

/// Number of an [`Authorized`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AuthorizedId(usize);

/// What AuthorizationPolicies let a client use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Authorized {
    /// All policies after.
    pub(super) after: PortSet,
    /// Those of people alone, which are in force today.
    pub(super) people: PortSet,
}

/// Policies that apply together.
struct Selection<'p> {
    after: Selected<'p>,
    people: Selected<'p>,
    /// By party, once it was asked for.
    known: Vec<Option<AuthorizedId>>,
}

/// All AuthorizationPolicies there will be.
pub(super) struct Authorizer<'p> {
    policies: Vec<&'p AuthorizationPolicy>,
    by_namespace: BTreeMap<&'p str, Vec<usize>>,
    selections: Vec<Selection<'p>>,
    by_places: BTreeMap<Vec<usize>, SelectionId>,
    authorized: Vec<Authorized>,
    numbers: BTreeMap<Authorized, AuthorizedId>,
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
            by_places: BTreeMap::new(),
            authorized: Vec::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// The policies that apply to the pods of a class. More than one list when its pods differ in
    /// labels that only AuthorizationPolicies look at.
    pub(super) fn selections(
        &mut self,
        analysis: &Analysis<'_, '_>,
        class: Node,
    ) -> Vec<SelectionId> {
        let world = &*analysis.setting.world;
        let workloads = analysis.universe.classes().get(class).map(|c| &c.workloads);
        let mut selections = Vec::new();
        for workload in workloads
            .into_iter()
            .flatten()
            .filter_map(|&w| world.workloads.get(w))
        {
            let namespace = workload.meta.namespace.as_str();
            let root = (namespace != namespaces::ROOT).then_some(namespaces::ROOT);
            let places = [Some(namespace), root]
                .into_iter()
                .flatten()
                .filter_map(|n| self.by_namespace.get(n))
                .flatten()
                .copied()
                .filter(|&place| {
                    let policy = self.policies.get(place);
                    policy.is_some_and(|p| selects(p, namespace, &workload.pod.labels))
                });
            let places = places.collect();
            let selection = self.intern(places, analysis.parties.len());
            if !selections.contains(&selection) {
                selections.push(selection);
            }
        }
        selections
    }

    /// The policies that are attached to a Service, and apply at its waypoint.
    pub(super) fn attached_to(&mut self, service: &Service) -> SelectionId {
        let here = self.by_namespace.get(service.meta.namespace.as_str());
        let attached = here.into_iter().flatten().copied().filter(|&place| {
            let policy = self.policies.get(place);
            policy.is_some_and(|p| targets(p, &service.meta.name))
        });
        let attached = attached.collect();
        self.intern(attached, 0)
    }

    fn intern(&mut self, places: Vec<usize>, parties: usize) -> SelectionId {
        if let Some(&known) = self.by_places.get(&places) {
            return known;
        }
        let id = SelectionId(self.selections.len());
        let policies = || {
            places
                .iter()
                .filter_map(|&place| self.policies.get(place).copied())
        };
        self.selections.push(Selection {
            after: Selected::listed(policies()),
            people: Selected::listed(policies().filter(|p| !p.meta.is_ours())),
            known: vec![None; parties],
        });
        self.by_places.insert(places, id);
        id
    }

    /// Whether no policy asks who the client is.
    pub(super) fn is_empty(&self, selection: SelectionId) -> bool {
        self.selections
            .get(selection.0)
            .is_none_or(|s| s.after.is_empty())
    }

    /// What the policies of a selection let a party use.
    pub(super) fn authorized(
        &mut self,
        analysis: &Analysis<'_, '_>,
        selection: SelectionId,
        party: usize,
    ) -> AuthorizedId {
        let selection = &mut self.selections[selection.0];
        if let Some(Some(known)) = selection.known.get(party) {
            return *known;
        }
        let client = Client {
            identity: identity(&analysis.parties[party]),
            address: None,
        };
        let authorized = Authorized {
            after: allowed(&selection.after, &client),
            people: allowed(&selection.people, &client),
        };
        let next = AuthorizedId(self.authorized.len());
        let id = *self.numbers.entry(authorized.clone()).or_insert(next);
        if id == next {
            self.authorized.push(authorized);
        }
        if selection.known.len() <= party {
            selection.known.resize(party + 1, None);
        }
        selection.known[party] = Some(id);
        id
    }

    pub(super) fn get(&self, id: AuthorizedId) -> &Authorized {
        &self.authorized[id.0]
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
