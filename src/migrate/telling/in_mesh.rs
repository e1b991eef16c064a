//! Limits for pods that are in the mesh already. What they may use today is what the tunnel carries,
//! and not what network policies say of plaintext: where people opened the tunnel's port themselves,
//! a limit refuses connections that work.

use std::collections::BTreeSet;

use ambient_facts::ports;

use crate::finding::{Finding, codes};
use crate::migrate::limits::restore::{Limit, Limits};
use crate::migrate::setting::Setting;
use crate::migrate::setting::scope::NamespaceState;
use crate::migrate::setting::unread::unknown;
use crate::migrate::tunnel_port::covers_tunnel;
use crate::model::{Meta, NetworkPolicy, Rule, includes};
use crate::plan::{Comparison, Relation};

/// Tells of each new limit of such pods.
pub(crate) fn limits_of_the_enrolled(
    setting: &Setting<'_>,
    limits: &Limits,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    let world = &setting.world;
    let is_labelled =
        |namespace: &str| setting.scope.namespace(namespace) == Some(&NamespaceState::Labelled);
    let opens = |rule: &Rule| !rule.ports.is_empty() && covers_tunnel(rule);
    let opening = world.network_policies_of_people().filter(|policy| {
        is_labelled(&policy.meta.namespace)
            && policy.isolates_ingress
            && policy.ingress.iter().any(opens)
    });
    let opening: Vec<&NetworkPolicy> = opening.collect();
    if opening.is_empty() {
        return;
    }
    let existing = world.authorization_policies.iter().map(|p| name(&p.meta));
    let existing: BTreeSet<(&str, &str)> = existing.collect();
    for limit in &limits.policies {
        let meta = &limit.policy.meta;
        if limit.is_spent || existing.contains(&name(meta)) {
            continue;
        }
        let Some(opening) = opening.iter().find(|policy| meets(setting, policy, limit)) else {
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

fn name(meta: &Meta) -> (&str, &str) {
    (&meta.namespace, &meta.name)
}

/// Whether a network policy and a limit select one workload both.
fn meets(setting: &Setting<'_>, network: &NetworkPolicy, limit: &Limit) -> bool {
    let policy = &limit.policy;
    let here = setting.workloads_of(&network.meta.namespace).iter();
    let mut here = here.filter_map(|&w| setting.world.workloads.get(w));
    network.meta.namespace == policy.meta.namespace
        && here.any(|w| {
            includes(&w.pod.labels, &policy.selector) && network.pod_selector.matches(&w.pod.labels)
        })
}
