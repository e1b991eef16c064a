//! Limits for pods that are in the mesh already. What they may use today is what the tunnel carries,
//! and not what network policies say of plaintext: where people opened the tunnel's port themselves,
//! a limit refuses connections that work.

use ambient_facts::ports;

use crate::finding::{Finding, codes};
use crate::migrate::limits::restore::{Limit, Limits};
use crate::migrate::setting::Setting;
use crate::migrate::setting::scope::NamespaceState;
use crate::migrate::setting::unread::unknown;
use crate::migrate::tunnel_port::covers_tunnel;
use crate::model::{AuthorizationPolicy, NetworkPolicy, Rule, includes};
use crate::plan::{Comparison, Relation};

/// Tells of each new limit of such pods.
pub(crate) fn limits_of_the_enrolled(
    setting: &Setting<'_>,
    limits: &Limits,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    let existing = &setting.world.authorization_policies;
    for limit in &limits.policies {
        let meta = &limit.policy.meta;
        let same = |p: &AuthorizationPolicy| {
            p.meta.namespace == meta.namespace && p.meta.name == meta.name
        };
        let is_new = !existing.iter().any(same);
        let is_labelled =
            setting.scope.namespace(&meta.namespace) == Some(&NamespaceState::Labelled);
        if !is_new || !is_labelled || limit.is_spent {
            continue;
        }
        let Some(opening) = opening(setting, limit) else {
            continue;
        };
        let subject = opening.reference();
        let because = format!(
            "namespace `{}` is in the mesh already, and `{subject}` opens port {}: `{}` \
             refuses what the tunnel carries today and the policies do not list",
            meta.namespace,
            ports::HBONE,
            limit.policy.reference()
        );
        differences.push(unknown(Relation::Tunnel, &subject, because.clone()));
        let origin = opening.meta.origin.clone();
        findings.push(Finding::new(
            &codes::LIMITS_PODS_IN_MESH,
            subject,
            origin,
            because,
        ));
    }
    differences.sort();
    differences.dedup();
}

/// A policy of people that opens the tunnel's port, and not every port, to pods of a limit.
fn opening<'s>(setting: &'s Setting<'_>, limit: &Limit) -> Option<&'s NetworkPolicy> {
    let policy = &limit.policy;
    let opens = |rule: &Rule| !rule.ports.is_empty() && covers_tunnel(rule);
    let world = &setting.world;
    let limited = setting.workloads_of(&policy.meta.namespace).iter();
    let limited = limited.filter_map(|&w| world.workloads.get(w));
    let limited = limited.filter(|w| includes(&w.pod.labels, &policy.selector));
    let limited: Vec<_> = limited.collect();
    let mut policies = world.network_policies_of_people();
    policies.find(|network| {
        network.meta.namespace == policy.meta.namespace
            && network.isolates_ingress
            && network.ingress.iter().any(opens)
            && limited
                .iter()
                .any(|w| network.pod_selector.matches(&w.pod.labels))
    })
}
