//! What was taken to be so: identities of a namespace that no manifest names, which hold in no other,
//! and waypoints that are not those which were asked for.

use ambient_facts::labels;

use crate::finding::{Finding, codes};
use crate::migrate::limits::restore::{Limit, Limits};
use crate::migrate::setting::Setting;
use crate::migrate::setting::serving::named_otherwise;
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

/// Tells of waypoints that are asked for, of namespaces whose label names another.
pub(crate) fn other_waypoints(setting: &Setting<'_>, findings: &mut Vec<Finding>) {
    let world = &*setting.world;
    for request in &setting.options.waypoints {
        let namespace = request
            .namespace
            .as_deref()
            .and_then(|n| world.namespaces.get(n));
        let Some(meta) = namespace.map(|n| &n.meta) else {
            continue;
        };
        if let Some(named) = named_otherwise(world, &meta.name, &request.name) {
            let message = format!(
                "its label `{}` names `{named}`, and `--waypoint` asks for `{}`",
                labels::USE_WAYPOINT,
                request.name
            );
            let (subject, origin) = (meta.reference("Namespace"), meta.origin.clone());
            findings.push(Finding::new(
                &codes::OTHER_WAYPOINT,
                subject,
                origin,
                message,
            ));
        }
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
