//! Limits that a pod may match two of: then each refuses what is allowed by the other's network
//! policy. Where a pod of the input does, its limit is one for both; this is about the pods that the
//! input does not hold, and about labels that a pod gets when it runs.

use std::collections::BTreeMap;

use crate::finding::{Finding, codes};
use crate::migrate::limits::restore::{Limit, Limits};
use crate::migrate::setting::Setting;
use crate::migrate::setting::fewest::shown;
use crate::migrate::setting::unread::unknown;
use crate::model::{Action, Labels, includes};
use crate::plan::{Comparison, Relation};

/// Tells of one such pair for each namespace; and of one that keeps the verdict from being known,
/// where a limit is for pods that have to be elsewhere, or to get labels that their manifest does
/// not have.
pub(crate) fn limits_that_overlap(
    setting: &Setting<'_>,
    limits: &Limits,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    let mut by_namespace: BTreeMap<&str, Vec<&Limit>> = BTreeMap::new();
    let denying = limits.policies.iter().filter(|limit| {
        let policy = &limit.policy;
        !limit.is_spent && policy.action == Action::Deny && policy.targets.is_empty()
    });
    for limit in denying {
        let here = by_namespace.entry(&limit.policy.meta.namespace);
        here.or_default().push(limit);
    }
    for (namespace, here) in by_namespace {
        for known in [false, true] {
            let Some((one, other)) = overlapping(setting, namespace, &here, known) else {
                continue;
            };
            let mut both = one.policy.selector.clone();
            both.extend(other.policy.selector.clone());
            let because = format!(
                "a pod with `{}` would match `{}` and `{}`, and each refuses what the other leaves \
                 open",
                shown(&both),
                one.policy.reference(),
                other.policy.reference()
            );
            if !known {
                let pods = format!("{namespace}/(any pod with {})", shown(&both));
                differences.push(Comparison {
                    destination: pods,
                    ..unknown(Relation::Tunnel, &one.of, because.clone())
                });
                differences.sort();
            }
            let code = if known || !is_known(setting, namespace, other) {
                &codes::LIMITS_OVERLAP
            } else {
                &codes::LIMITS_OVERLAP_AT_RUN_TIME
            };
            let (subject, origin) = (one.of.clone(), one.beside.clone());
            findings.push(Finding::new(code, subject, origin, because));
        }
    }
}

/// The first two limits of a namespace that some pod may match both, and no workload does; either
/// those of known workloads, or others.
fn overlapping<'l>(
    setting: &Setting<'_>,
    namespace: &str,
    limits: &[&'l Limit],
    known: bool,
) -> Option<(&'l Limit, &'l Limit)> {
    let (known_ones, others): (Vec<&Limit>, Vec<&Limit>) = limits
        .iter()
        .copied()
        .partition(|limit| is_known(setting, namespace, limit));
    // Most limits ask for other values of the same labels.
    let may_overlap = |one: &Limit, other: &Limit| {
        let (a, b) = (&one.policy.selector, &other.policy.selector);
        one.policy.rules != other.policy.rules && !contradict(a, b) && {
            let mut here = labels_of_workloads(setting, namespace);
            !here.any(|(_, labels)| includes(labels, a) && includes(labels, b))
        }
    };
    let find = |ones: &[&'l Limit], others: &[&'l Limit]| {
        let mut pairs = ones
            .iter()
            .flat_map(|one| others.iter().map(move |other| (*one, *other)));
        pairs.find(|(one, other)| !std::ptr::eq(*one, *other) && may_overlap(one, other))
    };
    if known {
        find(&known_ones, &known_ones)
    } else {
        find(&others, limits)
    }
}

/// The workloads of a namespace, with the labels of their pods.
fn labels_of_workloads<'s>(
    setting: &'s Setting<'_>,
    namespace: &str,
) -> impl Iterator<Item = (usize, &'s Labels)> {
    let here = setting.workloads_of(namespace).iter().copied();
    here.filter_map(|index| Some((index, &setting.world.workloads.get(index)?.pod.labels)))
}

/// Whether a limit is for pods of the input.
fn is_known(setting: &Setting<'_>, namespace: &str, limit: &Limit) -> bool {
    let mut here = labels_of_workloads(setting, namespace);
    here.any(|(w, labels)| includes(labels, &limit.policy.selector) && !setting.is_imagined(w))
}

/// Whether two selectors ask for different values of one label.
fn contradict(one: &Labels, other: &Labels) -> bool {
    let mut asked = one.iter();
    asked.any(|(key, value)| other.get(key).is_some_and(|v| v != value))
}
