//! Which network policies govern the ends of a pair. Pairs in the millions are governed by the same
//! ones in the thousands, so each list of them is made once, and shared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::migrate::analysis::Analysis;
use crate::migrate::proof::differences::Difference;
use crate::migrate::setting::selecting::Selecting;
use crate::model::{NetworkPolicy, ObjectRef, Rule};
use crate::netpol::{Direction, Node};

/// The lists of policies that govern pairs.
pub(crate) struct Governing<'t, 's, 'w> {
    analysis: &'t Analysis<'s, 'w>,
    selecting: Selecting<'t, NetworkPolicy>,
    /// Indices by namespace and name: the first of the input that is known by it.
    named: BTreeMap<(&'t str, &'t str), usize>,
    /// By workload and direction.
    of_workload: BTreeMap<(usize, Direction), ListId>,
    /// By class, as a source.
    of_source: Vec<Option<ListId>>,
    ids: BTreeMap<Vec<usize>, ListId>,
    lists: Vec<List>,
    /// As references, by list of the source and of the destination.
    references: BTreeMap<Ends, Arc<[ObjectRef]>>,
}

/// Policies of one namespace.
#[derive(Default)]
struct List {
    policies: Vec<usize>,
    /// One of them selects namespaces by labels other than their name.
    asks_for_labels: bool,
}

/// Which of the lists.
pub(crate) type ListId = usize;

/// The lists of a source and of a destination.
pub(crate) type Ends = (ListId, ListId);

impl<'t, 's, 'w> Governing<'t, 's, 'w> {
    /// Nothing governs whoever is not in the cluster.
    const NONE: ListId = 0;

    pub(crate) fn new(analysis: &'t Analysis<'s, 'w>) -> Self {
        let policies = &analysis.setting.world.network_policies;
        let mut named = BTreeMap::new();
        for (index, policy) in policies.iter().enumerate() {
            let name = (policy.meta.namespace.as_str(), policy.meta.name.as_str());
            named.entry(name).or_insert(index);
        }
        Self {
            analysis,
            selecting: Selecting::of(policies),
            named,
            of_workload: BTreeMap::new(),
            of_source: vec![None; analysis.universe.classes().len()],
            ids: BTreeMap::from([(Vec::new(), Self::NONE)]),
            lists: vec![List::default()],
            references: BTreeMap::new(),
        }
    }

    /// The policies that govern what a node sends.
    pub(crate) fn source(&mut self, node: Node) -> ListId {
        let Some(known) = self.of_source.get(node) else {
            return Self::NONE;
        };
        if let Some(known) = *known {
            return known;
        }
        let class = self.analysis.universe.classes().get(node);
        let workload = class.and_then(|c| c.workloads.first().copied());
        let list = self.list(workload, Direction::Egress);
        if let Some(known) = self.of_source.get_mut(node) {
            *known = Some(list);
        }
        list
    }

    /// The policies that govern what the destination of a difference receives.
    pub(crate) fn destination(&mut self, difference: &Difference) -> ListId {
        let workload = difference.to_workloads(self.analysis).next();
        self.list(workload, Direction::Ingress)
    }

    /// The policies that govern a pair.
    pub(crate) fn references(&mut self, ends: Ends) -> Arc<[ObjectRef]> {
        if let Some(known) = self.references.get(&ends) {
            return Arc::clone(known);
        }
        let (from, to) = ends;
        let indices = [from, to].into_iter().filter_map(|id| self.lists.get(id));
        let indices = indices.flat_map(|list| &list.policies);
        let references: BTreeSet<ObjectRef> = indices
            .filter_map(|&index| self.policy(index))
            .map(NetworkPolicy::reference)
            .collect();
        let references: Arc<[ObjectRef]> = references.into_iter().collect();
        self.references.insert(ends, Arc::clone(&references));
        references
    }

    /// The policies of a list, as indices.
    pub(crate) fn listed(&self, list: ListId) -> &[usize] {
        self.lists.get(list).map_or(&[], |list| &list.policies)
    }

    /// The first policy of the input that is known by the name of one.
    pub(crate) fn known_as(&self, index: usize) -> Option<usize> {
        let meta = &self.policy(index)?.meta;
        let name = (meta.namespace.as_str(), meta.name.as_str());
        self.named.get(&name).copied()
    }

    /// Whether policies that govern a pair select namespaces by labels other than their name.
    pub(crate) fn ask_for_labels(&self, (from, to): Ends) -> bool {
        let asks = |id: ListId| self.lists.get(id).is_some_and(|l| l.asks_for_labels);
        asks(from) || asks(to)
    }

    /// One of the policies.
    pub(crate) fn policy(&self, index: usize) -> Option<&'t NetworkPolicy> {
        self.analysis.setting.world.network_policies.get(index)
    }

    fn list(&mut self, workload: Option<usize>, direction: Direction) -> ListId {
        let Some(workload) = workload else {
            return Self::NONE;
        };
        if let Some(&known) = self.of_workload.get(&(workload, direction)) {
            return known;
        }
        let policies = self.isolating(workload, direction);
        let id = match self.ids.get(&policies) {
            Some(&known) => known,
            None => self.new_list(policies),
        };
        self.of_workload.insert((workload, direction), id);
        id
    }

    fn new_list(&mut self, policies: Vec<usize>) -> ListId {
        let id = self.lists.len();
        self.ids.insert(policies.clone(), id);
        let all = || policies.iter().filter_map(|&index| self.policy(index));
        let asks_for_labels = all().any(|p| p.rules().any(Rule::asks_for_namespace_labels));
        self.lists.push(List {
            policies,
            asks_for_labels,
        });
        id
    }

    /// The policies that isolate a workload in a direction, as indices.
    fn isolating(&self, workload: usize, direction: Direction) -> Vec<usize> {
        let Some(pod) = self.analysis.setting.world.workloads.get(workload) else {
            return Vec::new();
        };
        if pod.pod.host_network {
            return Vec::new();
        }
        let isolates = |index: &usize| {
            self.policy(*index)
                .is_some_and(|p| direction.isolated_by(p))
        };
        let mut here = self.selecting.places(&pod.meta.namespace, &pod.pod.labels);
        here.retain(isolates);
        here
    }
}
