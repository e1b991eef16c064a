//! Selectors by which an AuthorizationPolicy may reach the pods of a workload, and whom else they
//! reach.

use std::collections::BTreeMap;

use ambient_facts::labels;

use crate::authz::Selected;
use crate::migrate::analysis::Analysis;
use crate::migrate::setting::selecting::Selecting;
use crate::model::{
    AuthorizationPolicy, LabelSelector, Labels, Meta, NetworkPolicy, ObjectRef, World, includes,
};

/// A selector that might stand for a workload in an AuthorizationPolicy.
#[derive(Clone)]
pub(crate) struct Candidate<'w> {
    pub(crate) labels: Labels,
    pub(crate) of: ObjectRef,
    /// The object of the input that has the selector.
    pub(crate) beside: &'w Meta,
}

/// Objects of a world by namespace.
pub(crate) struct ByNamespace<'a> {
    workloads: BTreeMap<&'a str, Vec<usize>>,
    /// By namespace, key and value of a label.
    labelled: BTreeMap<(&'a str, &'a str, &'a str), Vec<usize>>,
    /// The network policies of people that isolate for ingress.
    isolating: Selecting<'a, NetworkPolicy>,
    authorization: BTreeMap<&'a str, Vec<&'a AuthorizationPolicy>>,
}

impl<'a> ByNamespace<'a> {
    pub(crate) fn of(world: &'a World) -> Self {
        let people = world.network_policies_of_people();
        let mut index = Self {
            workloads: BTreeMap::new(),
            labelled: BTreeMap::new(),
            isolating: Selecting::of(people.filter(|p| p.isolates_ingress)),
            authorization: BTreeMap::new(),
        };
        for (place, workload) in world.workloads.iter().enumerate() {
            let namespace = workload.meta.namespace.as_str();
            let here = index.workloads.entry(namespace);
            here.or_default().push(place);
            for (key, value) in &workload.pod.labels {
                let same = index.labelled.entry((namespace, key, value));
                same.or_default().push(place);
            }
        }
        for policy in world.authorization_policies_of_people() {
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

    /// The workloads that a policy with this selector reaches, as far as something enforces it there.
    pub(crate) fn selected_by(
        &self,
        analysis: &Analysis<'_, '_>,
        namespace: &str,
        selector: &Labels,
    ) -> Vec<usize> {
        let world = &analysis.setting.world;
        let selected = |&other: &usize| {
            let labels = world.workloads.get(other).map(|w| &w.pod.labels);
            labels.is_some_and(|l| includes(l, selector))
                && enforces(analysis, other)
                && analysis.setting.endpoints.of_workload(other).is_some()
        };
        // A policy of the root namespace applies in every other too.
        if world.mesh.root_namespaces().contains(namespace) {
            let all = (0..world.workloads.len()).filter(|w| selected(w));
            return all.collect();
        }
        let mut among = self.workloads(namespace);
        for (key, value) in selector {
            let labelled = self
                .labelled
                .get(&(namespace, key.as_str(), value.as_str()));
            let labelled = labelled.map_or(&[][..], Vec::as_slice);
            if labelled.len() < among.len() {
                among = labelled;
            }
        }
        among.iter().copied().filter(selected).collect()
    }

    /// The policies of people that a workload's ztunnel applies.
    pub(crate) fn selected_for(
        &self,
        analysis: &Analysis<'_, '_>,
        workload: usize,
    ) -> Selected<'a> {
        let Some(workload) = analysis.setting.world.workloads.get(workload) else {
            return Selected::of([], "", "", &Labels::new());
        };
        let namespace = workload.meta.namespace.as_str();
        let root = analysis.setting.world.mesh.root_namespace();
        let wide = (namespace != root).then_some(root);
        let here = [Some(namespace), wide].into_iter().flatten();
        let policies = here
            .filter_map(|n| self.authorization.get(n))
            .flatten()
            .copied();
        Selected::of(policies, root, namespace, &workload.pod.labels)
    }
}

/// Whether something at the workload enforces AuthorizationPolicies: ztunnel, or a sidecar.
fn enforces(analysis: &Analysis<'_, '_>, workload: usize) -> bool {
    let role = analysis.setting.role(workload);
    role.receives || role.sends
}

/// Selectors that might stand for a workload, the best first: what a policy selects it by, so that
/// pods which come later are limited with it; then what its own object selects it by.
pub(crate) fn candidates<'a>(
    analysis: &'a Analysis<'_, '_>,
    index: &ByNamespace<'a>,
    workload: usize,
) -> Vec<Candidate<'a>> {
    let world = &*analysis.setting.world;
    let Some(subject) = world.workloads.get(workload) else {
        return Vec::new();
    };
    let namespace = subject.meta.namespace.as_str();
    if analysis.setting.nameless.contains(namespace) {
        return Vec::new();
    }
    let by_policy = index.isolating.at(subject).filter_map(|p| {
        let labels = p.pod_selector.only_labels()?;
        Some(Candidate {
            labels,
            of: p.reference(),
            beside: &p.meta,
        })
    });
    let (mut narrow, wide): (Vec<_>, Vec<_>) = by_policy.partition(|c| !c.labels.is_empty());
    let gateway_here = index.workloads(namespace).iter().any(|&other| {
        let role = analysis.setting.role(other);
        role.sends && !role.receives
    });
    // A policy for the whole namespace reaches its gateways as well, and in the root namespace the
    // whole mesh.
    if !gateway_here && !world.mesh.root_namespaces().contains(namespace) {
        narrow.extend(wide);
    }
    let endpoint = analysis.setting.endpoints.of_workload(workload);
    let endpoint = endpoint.and_then(|e| analysis.setting.endpoints.get(e));
    let of = endpoint.map_or_else(
        || subject.reference(),
        |e| ObjectRef::namespaced(&e.namespace, &e.kind, &e.name),
    );
    let own = |mut labels: Labels| {
        labels.retain(|key, _| !labels::OF_ONE_REVISION.contains(&key.as_str()));
        (!labels.is_empty()).then(|| Candidate {
            labels,
            of: of.clone(),
            beside: &subject.meta,
        })
    };
    let by_object = subject.selector.as_ref();
    let by_object = by_object.and_then(LabelSelector::only_labels);
    narrow.extend(by_object.and_then(own));
    // Labels of a release only where nothing else tells the pods apart: the next one has others.
    let mut lasting = subject.pod.labels.clone();
    lasting.retain(|key, _| !labels::OF_ONE_RELEASE.contains(&key.as_str()));
    narrow.extend(own(lasting));
    narrow.extend(own(subject.pod.labels.clone()));
    narrow
}
