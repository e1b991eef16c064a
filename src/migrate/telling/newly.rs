//! Policies of people that nothing enforces today, and ztunnel does from enrolment on.
//!
//! What they refuse inside the tunnel is compared, and of the plaintext of those who stay out of the
//! mesh. Who is enrolled later than a server sends it plaintext until then, and what they refuse of
//! that depends on the order: the verdict about plaintext is unknown where there are some.

use std::collections::BTreeMap;

use crate::authz::{self, Allowance, Enforcer, Policies, Selected};
use crate::finding::{Finding, codes};
use crate::migrate::analysis::Analysis;
use crate::migrate::setting::Setting;
use crate::migrate::setting::peering::Peering;
use crate::migrate::setting::unread::unknown;
use crate::model::{Action, AuthorizationPolicy, Meta, ObjectRef, Workload};
use crate::plan::{Comparison, Relation};

/// Reports them, each at one of the workloads where it comes into force.
pub(crate) fn enforced(
    analysis: &Analysis<'_, '_>,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    let setting = analysis.setting;
    let world = &*setting.world;
    let root = world.mesh.root_namespace();
    let mut report = |meta: &Meta,
                      subject: ObjectRef,
                      (index, workload): (usize, &Workload),
                      in_the_clear: bool| {
        let unless = match (
            setting.has_proxy_today(index),
            setting.is_captured_today(index),
        ) {
            (None, _) => " unless its namespace asks for sidecars, which the input does not tell",
            (_, None) => " unless its namespace is in the mesh, which the input does not tell",
            _ => "",
        };
        let because = format!(
            "nothing enforces it at `{}` today{unless}; ztunnel does from enrolment on",
            workload.reference()
        );
        let because_in_the_clear = format!(
            "`{subject}` refuses plaintext at `{}` from its enrolment on, also of clients that are \
             enrolled later, and nothing enforces it today",
            workload.reference()
        );
        let everywhere = meta.namespace == root;
        let about = unknown(Relation::Plaintext, &subject, because_in_the_clear);
        let about = if everywhere {
            let destination = "(any pod)".to_owned();
            Comparison {
                destination,
                ..about
            }
        } else {
            about
        };
        differences.extend(in_the_clear.then_some(about));
        let origin = meta.origin.clone();
        let code = &codes::STARTS_TO_BE_ENFORCED;
        findings.push(Finding::new(code, subject, origin, because));
    };
    let crowd = analysis.crowd();
    let refusal = |applying: &[&AuthorizationPolicy]| {
        let decided = Selected::listed(applying.iter().copied(), Enforcer::Ztunnel).decide(&crowd);
        let all = Allowance::all();
        let refusing = decided.iter().filter(|(allowed, _)| allowed.low != all.low);
        Refusal {
            of_somebody: refusing.clone().next().is_some(),
            in_the_clear: refusing
                .clone()
                .any(|(_, who)| who.contains(crowd.plain_pod())),
        }
    };
    let policies = Policies::new(world.authorization_policies_of_people(), root);
    let mut known: BTreeMap<Vec<usize>, Refusal> = BTreeMap::new();
    let together = where_they_start(setting).map(|(index, workload)| {
        let applying = policies.selecting(&workload.meta.namespace, &workload.pod.labels);
        let all_of = |applying: &Vec<usize>| {
            let applying: Vec<_> = policies.listed(applying).collect();
            refusal(&applying)
        };
        let together = *known.entry(applying).or_insert_with_key(all_of);
        (index, workload, together)
    });
    let starting = together.filter(|(_, _, together)| together.of_somebody);
    let starting: Vec<(usize, &Workload, Refusal)> = starting.collect();
    let deciding = world.authorization_policies_of_people().filter(|p| {
        matches!(p.action, Action::Allow | Action::Deny) && !p.is_dry_run() && !p.selects_nothing
    });
    for policy in deciding {
        let selects = |w: &Workload| authz::selects(policy, root, &w.meta.namespace, &w.pod.labels);
        let mut selected = starting.iter().filter(|(_, w, _)| selects(w)).peekable();
        let Some((index, workload, _)) = selected.peek().copied().copied() else {
            continue;
        };
        let alone = refusal(&[policy]);
        let in_the_clear = alone.in_the_clear && selected.any(|(_, _, all)| all.in_the_clear);
        if alone.of_somebody {
            let subject = policy.reference();
            report(&policy.meta, subject, (index, workload), in_the_clear);
        }
    }
    let peering = Peering::of(world, root);
    for policy in &world.peer_authentications {
        let selected = where_they_start(setting).find(|(_, w)| {
            let mut strict = peering.strict(w);
            strict.any(|strict| std::ptr::eq(strict, policy))
        });
        if let Some(workload) = selected {
            let subject = policy.meta.reference("PeerAuthentication");
            report(&policy.meta, subject, workload, true);
        }
    }
    differences.sort();
}

/// What policies refuse, alone or together.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    /// Something of somebody, or perhaps.
    of_somebody: bool,
    /// Of the plaintext of pods.
    in_the_clear: bool,
}

/// Workloads of the input that ztunnel is to receive for and no sidecar surely does today.
fn where_they_start<'s>(setting: &'s Setting<'_>) -> impl Iterator<Item = (usize, &'s Workload)> {
    let workloads = setting.world.workloads.iter().enumerate();
    workloads.filter(|(index, _)| {
        let role = setting.role(*index);
        role.receives
            && !role.behind_sidecar
            && !setting.is_imagined(*index)
            && setting.has_proxy_today(*index) != Some(true)
            && setting.is_captured_today(*index) != Some(true)
    })
}
