//! Identities of a namespace that no manifest names: what is written holds in no other.

use crate::finding::{Finding, codes};
use crate::migrate::limits::restore::{Limit, Limits};
use crate::migrate::setting::Setting;
use crate::model::{Name, World};

/// The namespace of objects that name none, where nobody says another.
const ASSUMED: &str = "default";

/// Tells of limits that name identities of the namespace that was assumed for objects of the input.
/// Where a kustomization sets it, or leaves it open, that has been told.
pub(crate) fn assumed_namespace(
    setting: &Setting<'_>,
    limits: &Limits,
    findings: &mut Vec<Finding>,
) {
    let world = &*setting.world;
    if !world.rebuilt.is_empty() || !is_assumed(world) {
        return;
    }
    let mut naming = limits.policies.iter().filter(|l| !l.is_spent);
    let naming = naming.find_map(|limit| Some((limit, named(limit)?)));
    if let Some((limit, name)) = naming {
        let message = format!(
            "`{}` names `{name}`, and the manifests name no namespace, so `{ASSUMED}` was assumed",
            limit.policy.reference()
        );
        findings.push(Finding::new(
            &codes::NAMESPACE_ASSUMED,
            limit.of.clone(),
            limit.beside.clone(),
            message,
        ));
    }
}

/// Whether something of the input is in the namespace because it names none.
fn is_assumed(world: &World) -> bool {
    let workloads = world.workloads.iter().map(|w| &w.meta);
    let policies = world.network_policies.iter().map(|p| &p.meta);
    let mut all = workloads.chain(policies);
    all.any(|meta| !meta.namespace_given && meta.namespace == ASSUMED)
}

/// The first name of the namespace, or of somebody in it, that a limit is written with.
fn named(limit: &Limit) -> Option<&Name> {
    let principals = format!("*/ns/{ASSUMED}/sa/");
    let mut sources = limit.policy.rules.iter().flat_map(|r| &r.from);
    sources.find_map(|source| {
        let namespaces = source.namespaces.iter().chain(&source.not_namespaces);
        let mut names = source.principals.iter().chain(&source.not_principals);
        names
            .find(|name| name.starts_with(&principals))
            .or_else(|| namespaces.into_iter().find(|name| &***name == ASSUMED))
    })
}
