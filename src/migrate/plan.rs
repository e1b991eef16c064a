//! Putting the plan together: open the tunnel, put limits back, enrol, and prove it.

use std::collections::BTreeSet;

use ambient_facts::labels;

use super::analysis::Analysis;
use super::compare::compare;
use super::hazards::{self, HazardOptions};
use super::opening::{self, Added, Opener, Opening, Speakers};
use super::remarks::{
    namespaces, newly_enforced, plugin_policies, policy_findings, probe_findings, ways_not_analysed,
};
use super::restore::Limits;
use super::setting::Setting;
use super::steps::{enrol_step, limit_step, open_step};
use super::{Options, Strategy, object, probes, via};
use crate::finding::Finding;
use crate::model::{AuthorizationPolicy, NetworkPolicy, World};
use crate::netpol::{Selection, Universe};
use crate::plan::Plan;

/// Plans the move of a world to ambient mesh.
pub(super) fn assemble(world: &World, options: &Options) -> Plan {
    let setting = Setting::of(world, options);
    // A plugin that keeps the ports visible needs neither opening nor limits.
    let visible = setting.cni.cni.keeps_ports_visible();
    let opening = if visible {
        unchanged(&setting)
    } else {
        open(&setting)
    };
    let universe = universe(&setting, &opening);
    let mut analysis = Analysis::of(&setting, &universe, &opening);
    let limits = if visible {
        Limits::default()
    } else {
        Limits::of(&analysis)
    };
    let (mut proof, mut findings) = if visible {
        Default::default()
    } else {
        compare(&mut analysis, &limits).report(&mut analysis, &limits)
    };
    let mut steps = vec![open_step(&setting, &opening, &mut findings)];
    steps.push(limit_step(&setting, &limits, &mut findings));
    steps.push(enrol_step(&setting));
    steps.retain(|s| !s.changes.is_empty() || !s.commands.is_empty());

    probe_findings(&setting, &opening, &mut findings);
    policy_findings(&setting, &mut findings);
    plugin_policies(&setting, &mut proof.differences, &mut findings);
    ways_not_analysed(&setting, &mut proof.differences, &mut findings);
    newly_enforced(&setting, &mut findings);
    findings.extend(hazards::find(
        &setting.world,
        &setting.endpoints,
        &setting.scope,
        &HazardOptions {
            waypoints: setting.planned.clone(),
            cni: setting.cni.cni,
            ..HazardOptions::default()
        },
    ));
    Finding::sort(&mut findings);
    findings.dedup();
    Plan {
        namespaces: namespaces(&setting),
        steps,
        findings,
        proof,
    }
}

fn unchanged(setting: &Setting<'_>) -> Opening {
    Opening {
        after: setting.world.network_policies.clone(),
        ..Opening::default()
    }
}

/// Decides about every policy.
fn open(setting: &Setting<'_>) -> Opening {
    let world = &*setting.world;
    let before = &world.network_policies;
    let keys = authorization_keys(&world.authorization_policies);
    let universe = Universe::of(
        world,
        &setting.endpoints,
        before,
        keys.into_iter().chain([labels::GATEWAY_NAME]),
        &setting.traits(),
        setting.assumptions.clone(),
    );
    let selection = Selection::new(world, &universe);
    let speakers = Speakers::of(setting, &selection);
    let mut opener = Opener {
        setting,
        policies: before,
        selection,
        speakers,
    };
    let mut changed = opener.rules();
    opener.waypoint_rules(&mut changed);

    let mut opening = Opening {
        after: before.clone(),
        changed,
        added: Vec::new(),
    };
    for change in &opening.changed {
        let Some(policy) = before.get(change.policy) else {
            continue;
        };
        match setting.options.strategy {
            Strategy::Edit => {
                if let Some(after) = opening.after.get_mut(change.policy) {
                    *after = opening::opened(policy, change);
                }
            }
            Strategy::Companion => opening.added.push(Added {
                policy: opening::companion(policy, change),
                beside: policy.meta.origin.clone(),
                reason: format!(
                    "open the tunnel port for the peers of `{}`",
                    policy.meta.name
                ),
                replaces: None,
            }),
        }
    }
    opening.added.extend(via::policies_of_waypoints(setting));
    if setting.cni.cni.needs_probe_rule() == Some(true) {
        opening
            .added
            .extend(probes::policies(setting, &probes::refused(setting, before)));
    }
    settle(before, &mut opening);
    opening
}

/// Leaves out what is there already, replaces what an earlier run left behind, and keeps clear of
/// the names of everything else.
fn settle(before: &[NetworkPolicy], opening: &mut Opening) {
    let Opening { after, added, .. } = opening;
    let mut taken: BTreeSet<(String, String)> = before
        .iter()
        .filter(|p| !p.meta.is_ours())
        .map(|p| (p.meta.namespace.clone(), p.meta.name.clone()))
        .collect();
    added.retain_mut(|new| {
        object::take_free_name(&mut new.policy.meta, &mut taken);
        let known = before.iter().position(|p| {
            p.meta.namespace == new.policy.meta.namespace && p.meta.name == new.policy.meta.name
        });
        let Some((index, policy)) = known.and_then(|i| Some((i, before.get(i)?))) else {
            return true;
        };
        if object::same_policy(policy, &new.policy) {
            return false;
        }
        new.replaces = Some(policy.meta.origin.clone());
        if let Some(after) = after.get_mut(index) {
            *after = new.policy.clone();
        }
        true
    });
}

fn universe(setting: &Setting<'_>, opening: &Opening) -> Universe {
    let world = &*setting.world;
    let policies = world
        .network_policies
        .iter()
        .chain(&opening.after)
        .chain(opening.added.iter().map(|a| &a.policy));
    let keys = authorization_keys(&world.authorization_policies);
    Universe::of(
        world,
        &setting.endpoints,
        policies,
        keys.into_iter().chain([labels::GATEWAY_NAME]),
        &setting.traits(),
        setting.assumptions.clone(),
    )
}

/// Label keys that authorization policies select by.
fn authorization_keys(policies: &[AuthorizationPolicy]) -> BTreeSet<&str> {
    policies
        .iter()
        .flat_map(|p| p.selector.keys())
        .map(String::as_str)
        .collect()
}
