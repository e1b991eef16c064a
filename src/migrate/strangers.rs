//! Pods that the input does not hold, that reach a tunnel by a rule for everybody, and that no limit
//! refuses: where those who may use more have no name, limits can only name those who may not.

use std::sync::Arc;

use super::analysis::Analysis;
use super::naming::names;
use crate::finding::{Finding, codes};
use crate::model::{NetworkPolicy, ObjectRef, Workload};
use crate::netpol::{Node, PortSet};
use crate::plan::{Comparison, Relation, Verdict};

/// Tells what they gain, which is as unknown as they are.
pub(super) fn gains(
    analysis: &Analysis<'_, '_>,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    for class in analysis.speakers.receivers.ones() {
        let Some((before, gained)) = analysis.gained_by_strangers(class) else {
            continue;
        };
        let told = told(analysis, class, &before, &gained);
        if let Some(workload) = first_of(analysis, class) {
            let message = "clients of it have no known name, so that others are not refused";
            let mut finding = Finding::new(
                &codes::UNKNOWN_PEER,
                workload.reference(),
                workload.meta.origin.clone(),
                format!("{message} ({})", Relation::Tunnel),
            );
            finding.flows = told.iter().map(Comparison::flow).collect();
            finding.fixes = vec!["add the manifests of all peers of the policies with `-f`".into()];
            findings.push(finding);
        }
        differences.extend(told);
    }
    differences.sort();
}

fn first_of<'a>(analysis: &'a Analysis<'_, '_>, class: Node) -> Option<&'a Workload> {
    let class = analysis.universe.classes().get(class)?;
    analysis
        .setting
        .world
        .workloads
        .get(*class.workloads.first()?)
}

/// The policies of people that let clients in.
fn admitting(analysis: &Analysis<'_, '_>, class: Node) -> Arc<[ObjectRef]> {
    let policies = analysis.setting.world.network_policies_of_people();
    let admits = |p: &&NetworkPolicy| {
        first_of(analysis, class).is_some_and(|w| {
            p.isolates_ingress
                && p.meta.namespace == w.meta.namespace
                && p.pod_selector.matches(&w.pod.labels)
        })
    };
    policies
        .filter(admits)
        .map(NetworkPolicy::reference)
        .collect()
}

fn told(
    analysis: &Analysis<'_, '_>,
    class: Node,
    before: &PortSet,
    gained: &PortSet,
) -> Vec<Comparison> {
    let example = gained.example();
    let policies = admitting(analysis, class);
    let comparison = |destination: String| Comparison {
        source: "other namespaces/(any pod)".to_owned(),
        destination,
        relation: Relation::Tunnel,
        verdict: Verdict::Unknown,
        before: before.to_string(),
        after: before.union(gained).to_string(),
        difference: gained.to_string(),
        example: example.map_or_else(String::new, |(protocol, port)| format!("{protocol} {port}")),
        because: "clients without a known name may use these ports, so that others are not refused"
            .to_owned(),
        policies: Arc::clone(&policies),
    };
    names(analysis, class).into_iter().map(comparison).collect()
}
