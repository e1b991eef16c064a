//! Labels that controllers give to pods, beside those of their template. Pods of a StatefulSet differ
//! in them, so that policies may be for one of them.

use std::collections::BTreeSet;

use ambient_facts::labels;

use crate::model::{LabelSelector, Labels, Operator, Peer, Workload, WorkloadKind, World};

/// Takes StatefulSets apart whose pods policies tell apart by these labels.
pub(super) fn label(world: &mut World) {
    let [names, indices] = asked(world);
    if names.is_none() && indices.is_none() {
        return;
    }
    let workloads = std::mem::take(&mut world.workloads);
    for workload in workloads {
        if workload.kind == WorkloadKind::StatefulSet {
            let ordinals = ordinals(&workload, names.iter().flatten(), indices.iter().flatten());
            let pods = ordinals.into_iter().map(|ordinal| pod(&workload, ordinal));
            let pods: Vec<Workload> = pods.collect();
            if pods.is_empty() {
                world.workloads.push(workload);
            } else {
                world.workloads.extend(pods);
            }
        } else {
            world.workloads.push(workload);
        }
    }
}

/// The ordinals that stand for all pods of a StatefulSet: those that are asked for, and the first
/// other one.
fn ordinals<'v>(
    workload: &Workload,
    names: impl Iterator<Item = &'v String>,
    indices: impl Iterator<Item = &'v String>,
) -> BTreeSet<u32> {
    let prefix = format!("{}-", workload.meta.name);
    let numbers = names.filter_map(|name| name.strip_prefix(&prefix));
    let numbers = numbers.chain(indices.map(String::as_str));
    let ordinals = numbers.filter_map(|number| number.parse::<u32>().ok());
    let replicas = workload.replicas.unwrap_or(u32::MAX);
    let mut ordinals: BTreeSet<u32> = ordinals.filter(|o| *o < replicas).collect();
    let other = (0..replicas).find(|o| !ordinals.contains(o));
    ordinals.extend(other);
    ordinals
}

fn pod(workload: &Workload, ordinal: u32) -> Workload {
    let mut pod = workload.clone();
    let name = format!("{}-{ordinal}", workload.meta.name);
    pod.pod.labels.extend(Labels::from([
        (labels::STATEFUL_POD_NAME.to_owned(), name),
        (labels::POD_INDEX.to_owned(), ordinal.to_string()),
    ]));
    pod
}

/// The values of a label that selectors mention; `None` where they do not ask for it.
type Values = Option<BTreeSet<String>>;

/// Labels that are given to some pods by their controllers alone.
const GIVEN: [&str; 2] = [labels::STATEFUL_POD_NAME, labels::POD_INDEX];

/// What network policies ask for of each.
fn asked(world: &World) -> [Values; 2] {
    let mut values = GIVEN.map(|_| None);
    let mut selector = |selector: &LabelSelector| {
        for (key, asked) in GIVEN.into_iter().zip(&mut values) {
            mention(selector, key, asked);
        }
    };
    for policy in &world.network_policies {
        selector(&policy.pod_selector);
        for peer in policy.rules().flat_map(|r| &r.peers) {
            if let Peer::Pods {
                pods: Some(pods), ..
            } = peer
            {
                selector(pods);
            }
        }
    }
    values
}

fn mention(selector: &LabelSelector, key: &str, asked: &mut Values) {
    if let Some(value) = selector.match_labels.get(key) {
        let asked = asked.get_or_insert_default();
        asked.insert(value.clone());
    }
    for requirement in selector.match_expressions.iter().filter(|r| r.key == key) {
        let asked = asked.get_or_insert_default();
        if let Operator::In(values) | Operator::NotIn(values) = &requirement.operator {
            asked.extend(values.iter().cloned());
        }
    }
}
