//! Pods that the input does not hold, that reach a tunnel or a waypoint by a rule for everybody, and
//! that no limit refuses: because those who may use more have no name, so that limits can only name
//! those who may not, or because pods with different limits share one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::finding::{Finding, codes};
use crate::migrate::AuthzMode;
use crate::migrate::analysis::Analysis;
use crate::migrate::analysis::naming::names_of;
use crate::migrate::limits::restore::Limits;
use crate::migrate::setting::selecting::Selecting;
use crate::model::{NetworkPolicy, ObjectRef, Workload};
use crate::netpol::{Node, PortSet};
use crate::plan::{Comparison, Relation, Verdict};

/// Pods that no rule and no limit of the input means by anything but everybody.
pub(crate) const ANYBODY: &str = "other namespaces/(any pod)";

/// What they can use of some workloads of a class afterwards, and not today.
#[derive(Debug, Clone)]
pub(crate) struct Gain {
    pub(crate) source: String,
    pub(crate) change: Change,
    pub(crate) class: Node,
    pub(crate) workloads: Vec<usize>,
    pub(crate) relation: Relation,
    pub(crate) before: PortSet,
    pub(crate) gained: PortSet,
}

/// What becomes of the ports that are not as they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Gained,
    /// By a pod of a namespace that the input knows.
    GainedByNewcomer,
    /// By a pod of a namespace that the input does not know, whose labels a rule asks for.
    GainedFromElsewhere,
    /// To a limit of an earlier run that stays where it is.
    Lost,
}

impl Gain {
    /// What strangers lose because a limit of an earlier run is left over, if anything.
    pub(crate) fn lost_by_left_over(
        class: Node,
        workloads: &[usize],
        before: &PortSet,
        lost: &PortSet,
    ) -> Option<Self> {
        let gain = || Self {
            source: ANYBODY.to_owned(),
            change: Change::Lost,
            class,
            workloads: workloads.to_vec(),
            relation: Relation::Tunnel,
            before: before.clone(),
            gained: lost.clone(),
        };
        (!lost.is_empty()).then(gain)
    }
}

/// Tells what they gain, which is as unknown as they are. Pairs are listed as long as there is room,
/// and one of each finding; returns how many others there are.
pub(crate) fn tell(
    analysis: &Analysis<'_, '_>,
    limits: &Limits,
    gains: &[Gain],
    room: usize,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) -> u64 {
    let people = analysis.setting.world.network_policies_of_people();
    let isolating = Selecting::of(people.filter(|p| p.isolates_ingress));
    let mut by_message: BTreeMap<(ObjectRef, String), Finding> = BTreeMap::new();
    let mut listed: BTreeSet<Comparison> = BTreeSet::new();
    let mut others: BTreeSet<(&str, String, Relation)> = BTreeSet::new();
    for gain in gains {
        let (why, fix) = why(analysis, limits, gain);
        let workload = first_of(analysis, gain);
        let message = format!("{} ({})", because(gain, why), gain.relation);
        let key = workload.map(|w| (w.reference(), message));
        let is_new = key
            .as_ref()
            .is_some_and(|key| !by_message.contains_key(key));
        if listed.len() >= room && !is_new {
            let names = names_of(analysis, gain.class, Some(&gain.workloads)).into_iter();
            others.extend(names.map(|name| (gain.source.as_str(), name, gain.relation)));
            continue;
        }
        let told = told(analysis, &isolating, gain, why);
        if let (Some(workload), Some(key)) = (workload, key) {
            let finding = by_message
                .entry(key)
                .or_insert_with_key(|(subject, message)| {
                    let origin = workload.meta.origin.clone();
                    let (subject, message) = (subject.clone(), message.clone());
                    let finding = Finding::new(&codes::UNKNOWN_PEER, subject, origin, message);
                    Finding {
                        fixes: fix.map(str::to_owned).into_iter().collect(),
                        ..finding
                    }
                });
            finding.flows.extend(told.iter().map(Comparison::flow));
        }
        listed.extend(told);
    }
    for told in &listed {
        let name = told.destination.clone();
        others.remove(&(told.source.as_str(), name, told.relation));
    }
    let others = others.len() as u64;
    findings.extend(by_message.into_values());
    differences.extend(listed);
    differences.sort();
    differences.dedup();
    others
}

/// What keeps a limit from refusing them, and what can be done.
fn why(
    analysis: &Analysis<'_, '_>,
    limits: &Limits,
    gain: &Gain,
) -> (&'static str, Option<&'static str>) {
    let mut workloads = gain.workloads.iter();
    let unnamed = limits.unnamed.get(&gain.class);
    let is_guess = unnamed.is_some_and(|ports| !ports.intersection(&gain.gained).is_empty());
    let unlisted = limits.unlisted.get(&gain.class);
    if gain.change == Change::Lost {
        (
            "a limit of an earlier run that the plan does not make again refuses them",
            Some("delete the policies that `AMB0150` names"),
        )
    } else if analysis.setting.options.authz == AuthzMode::None {
        (
            "port limits are not put back inside the tunnel",
            Some("run the plan with `--authz deny`"),
        )
    } else if workloads.any(|w| limits.unselectable.contains(w)) {
        (
            "no labels select these pods and no others of their namespace",
            Some("give these pods a label that no others have"),
        )
    } else if unlisted.is_some_and(|ports| !ports.intersection(&gain.gained).is_empty()) {
        (
            "the ports are too many to be listed in an AuthorizationPolicy",
            Some("narrow the range of ports"),
        )
    } else if gain.relation == Relation::Waypoint && gain.change == Change::Gained {
        ("no limit at the waypoint is about these pods alone", None)
    } else if gain.change == Change::GainedByNewcomer && !is_guess && !analysis.has_nameless() {
        (
            "the limit names all clients of their namespace at once",
            Some("add the manifests of all peers of the policies with `-f`"),
        )
    } else if gain.change == Change::GainedFromElsewhere && !is_guess && !analysis.has_nameless() {
        (
            "of the namespaces that a rule admits by label, those of the input need no limit",
            Some("add the manifests of all peers of the policies with `-f`"),
        )
    } else {
        (
            "clients of it have no known name",
            Some("add the manifests of all peers of the policies with `-f`"),
        )
    }
}

fn first_of<'a>(analysis: &'a Analysis<'_, '_>, gain: &Gain) -> Option<&'a Workload> {
    let workloads = &analysis.setting.world.workloads;
    workloads.get(*gain.workloads.first()?)
}

/// The policies of people that let clients in.
fn admitting(
    analysis: &Analysis<'_, '_>,
    isolating: &Selecting<'_, NetworkPolicy>,
    gain: &Gain,
) -> Arc<[ObjectRef]> {
    let workload = first_of(analysis, gain).into_iter();
    let policies = workload.flat_map(|w| isolating.at(w));
    policies.map(NetworkPolicy::reference).collect()
}

fn because(gain: &Gain, why: &str) -> String {
    match gain.change {
        Change::Lost => why.to_owned(),
        Change::Gained | Change::GainedByNewcomer | Change::GainedFromElsewhere => {
            format!("{why}, so that others are not refused")
        }
    }
}

fn told(
    analysis: &Analysis<'_, '_>,
    isolating: &Selecting<'_, NetworkPolicy>,
    gain: &Gain,
    why: &str,
) -> Vec<Comparison> {
    let Gain { before, gained, .. } = gain;
    let example = gained.example();
    let policies = admitting(analysis, isolating, gain);
    let comparison = |destination: String| Comparison {
        source: gain.source.clone(),
        destination,
        relation: gain.relation,
        verdict: Verdict::Unknown,
        before: before.to_string(),
        after: match gain.change {
            Change::Lost => before.difference(gained).to_string(),
            _ => before.union(gained).to_string(),
        },
        difference: gained.to_string(),
        example: example.map_or_else(String::new, |(protocol, port)| format!("{protocol} {port}")),
        because: because(gain, why),
        policies: Arc::clone(&policies),
    };
    let names = names_of(analysis, gain.class, Some(&gain.workloads));
    names.into_iter().map(comparison).collect()
}
