//! Policies of people that nothing enforces today, and ztunnel does from enrolment on.
//!
//! What they refuse inside the tunnel is compared, and of the plaintext of those who stay out of the
//! mesh. Who is enrolled later than a server sends it plaintext until then, and what they refuse of
//! that depends on the order: the verdict about plaintext is unknown where there are some.

use crate::authz;
use crate::finding::{Finding, codes};
use crate::migrate::setting::Setting;
use crate::migrate::setting::peering::Peering;
use crate::migrate::setting::unread::unknown;
use crate::model::{Action, Meta, ObjectRef, Workload};
use crate::plan::{Comparison, Relation};

/// Reports them, each at one of the workloads where it comes into force.
pub(crate) fn enforced(
    setting: &Setting<'_>,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    let world = &*setting.world;
    let root = world.mesh.root_namespace();
    let mut report = |meta: &Meta, subject: ObjectRef, (index, workload): (usize, &Workload)| {
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
        let in_the_clear = format!(
            "`{subject}` refuses plaintext at `{}` from its enrolment on, also of clients that are \
             enrolled later, and nothing enforces it today",
            workload.reference()
        );
        let everywhere = meta.namespace == root;
        let about = unknown(Relation::Plaintext, &subject, in_the_clear);
        differences.push(if everywhere {
            let destination = "(any pod)".to_owned();
            Comparison {
                destination,
                ..about
            }
        } else {
            about
        });
        let origin = meta.origin.clone();
        let code = &codes::STARTS_TO_BE_ENFORCED;
        findings.push(Finding::new(code, subject, origin, because));
    };
    let deciding = world.authorization_policies_of_people().filter(|p| {
        matches!(p.action, Action::Allow | Action::Deny) && !p.is_dry_run() && !p.selects_nothing
    });
    for policy in deciding {
        let selected = where_it_starts(setting, |w| {
            authz::selects(policy, root, &w.meta.namespace, &w.pod.labels)
        });
        if let Some(workload) = selected {
            report(&policy.meta, policy.reference(), workload);
        }
    }
    let peering = Peering::of(world, root);
    for policy in &world.peer_authentications {
        let selected = where_it_starts(setting, |w| {
            peering.strict(w).any(|strict| std::ptr::eq(strict, policy))
        });
        if let Some(workload) = selected {
            let subject = policy.meta.reference("PeerAuthentication");
            report(&policy.meta, subject, workload);
        }
    }
    differences.sort();
}

/// A workload of the input that ztunnel is to receive for and no sidecar surely does today.
fn where_it_starts<'s>(
    setting: &'s Setting<'_>,
    selects: impl Fn(&Workload) -> bool,
) -> Option<(usize, &'s Workload)> {
    let mut workloads = setting.world.workloads.iter().enumerate();
    workloads.find(|(index, workload)| {
        let role = setting.role(*index);
        role.receives
            && !role.behind_sidecar
            && !setting.is_imagined(*index)
            && setting.has_proxy_today(*index) != Some(true)
            && setting.is_captured_today(*index) != Some(true)
            && selects(workload)
    })
}
