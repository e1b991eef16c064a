//! Putting the plan together: open the tunnel, put limits back, enrol, and prove it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use ambient_facts::{annotations, labels};
use ipnet::IpNet;

use super::Options;
use super::Strategy;
use super::analysis::Analysis;
use super::hazards::{self, HazardOptions};
use super::limits::restore::Limits;
use super::object;
use super::opening::isolated;
use super::opening::probes;
use super::opening::{self, Added, Means, Opener, Opening, Purpose};
use super::proof::compare::compare;
use super::setting::Setting;
use super::setting::unread::{rebuilt, reworked, templates, unlisted};
use super::steps::{enrol_step, limit_step, open_step, waypoint_step};
use super::telling::assumed::{assumed_namespace, other_waypoints};
use super::telling::given::by_given_labels;
use super::telling::later::later;
use super::telling::mesh::of_mesh;
use super::telling::newly;
use super::telling::overlaps::limits_that_overlap;
use super::telling::own_service::own_services;
use super::telling::remarks::{
    inert_policies, left_over, lets_probes_in, namespaces, plugin_policies, policy_findings,
    probe_findings, ways_not_analysed,
};
use super::telling::same_node::node_blocks;
use super::telling::told::report;
use super::tunnel_port;
use crate::authz;
use crate::finding::Finding;
use crate::model::{AuthorizationPolicy, Meta, NetworkPolicy, World};
use crate::netpol::{Distinctions, Selection, Universe};
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
    let analysis = Analysis::of(&setting, &universe, &opening);
    let limits = if visible {
        Limits::default()
    } else {
        Limits::of(&analysis)
    };
    let (mut proof, mut findings) = if visible {
        Default::default()
    } else {
        report(compare(&analysis, &limits), &analysis, &limits)
    };
    let mut steps = vec![open_step(&setting, &opening, &mut findings)];
    steps.push(limit_step(&setting, &limits, &mut findings));
    steps.push(enrol_step(&setting));
    steps.push(waypoint_step(&setting));
    steps.retain(|s| !s.changes.is_empty() || !s.commands.is_empty());

    probe_findings(&setting, &opening, &mut findings);
    policy_findings(&setting, &mut findings);
    inert_policies(world, &setting, &mut findings);
    later(&analysis, &opening, &limits, &mut findings);
    own_services(&analysis, &limits, &mut findings);
    assumed_namespace(&setting, &limits, &mut findings);
    other_waypoints(&setting, &mut findings);
    node_blocks(&analysis, &opening, &mut proof.differences, &mut findings);
    limits_that_overlap(&setting, &limits, &mut proof.differences, &mut findings);
    plugin_policies(&setting, &mut proof.differences, &mut findings);
    rebuilt(world, &mut proof.differences, &mut findings);
    reworked(world, &mut proof.differences, &mut findings);
    unlisted(world, &mut proof.differences, &mut findings);
    templates(world, &mut proof.differences, &mut findings);
    ways_not_analysed(&setting, &mut proof.differences, &mut findings);
    by_given_labels(&setting, &mut proof.differences, &mut findings);
    of_mesh(&setting, &mut proof.differences, &mut findings);
    newly::enforced(&analysis, &mut proof.differences, &mut findings);
    left_over(&setting, &opening, &limits, &mut findings);
    findings.extend(hazards::find(
        &with_limits(&setting.world, &limits),
        &setting.endpoints,
        &setting.scope,
        &HazardOptions {
            root_namespace: world.mesh.root_namespace().to_owned(),
            waypoints: setting.planned.clone(),
            cni: setting.cni.cni,
            limits: limits.policies.iter().map(|l| l.policy.clone()).collect(),
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

/// A world with the limits of an earlier run as the plan makes them: what is to be replaced stands in
/// nobody's way.
fn with_limits<'w>(world: &'w World, limits: &Limits) -> Cow<'w, World> {
    let name = |meta: &Meta| (meta.namespace.clone(), meta.name.clone());
    let ours = world.authorization_policies.iter().enumerate();
    let ours = ours.filter(|(_, p)| p.meta.is_ours());
    // Of those with one name the first, which comes last here.
    let ours: BTreeMap<(String, String), usize> = ours
        .rev()
        .map(|(index, p)| (name(&p.meta), index))
        .collect();
    let mut world = Cow::Borrowed(world);
    for new in limits.policies.iter().map(|l| &l.policy) {
        let Some(&index) = ours.get(&name(&new.meta)) else {
            continue;
        };
        if let Some(policy) = world.to_mut().authorization_policies.get_mut(index) {
            // Its place in the input is where people find it.
            let meta = policy.meta.clone();
            *policy = AuthorizationPolicy {
                meta,
                ..new.clone()
            };
        }
    }
    world
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
        Distinctions {
            keys,
            ..Distinctions::default()
        },
        &setting.traits(),
        setting.assumptions.clone(),
    );
    let selection = Selection::new(world, &universe);
    let mut opener = Opener::new(setting, selection);
    let mut changed = opener.rules();
    opener.waypoint_rules(&mut changed);

    let mut opening = Opening {
        after: before.clone(),
        changed,
        ..Opening::default()
    };
    // These first, so that what their names are does not depend on which files can be edited.
    opening.added.extend(isolated::policies(setting));
    if setting.cni.cni.needs_probe_rule() == Some(true) {
        let people: Vec<NetworkPolicy> = world.network_policies_of_people().cloned().collect();
        let refused = probes::refused(setting, &people);
        opening.added.extend(probes::policies(setting, &refused));
    } else {
        // Those of an earlier run let in nobody but the node, whether they are needed or not.
        let ours = (0..).zip(before).filter(|(_, p)| lets_probes_in(p));
        let ours = ours.map(|(index, _)| (index, Purpose::Service));
        opening.kept.extend(ours);
    }
    let companions = Companions::of(before);
    for change in &mut opening.changed {
        let Some(policy) = before.get(change.policy) else {
            continue;
        };
        // A policy that got a companion in an earlier run keeps it: its file could not be edited,
        // or should not be.
        let had = companions.has(policy);
        if had || setting.options.strategy == Strategy::Companion {
            change.means = Means::Companion;
            opening.added.push(Added {
                policy: opening::companion(policy, change),
                beside: policy.meta.origin.clone(),
                reason: format!(
                    "open the tunnel port for the peers of `{}`",
                    policy.meta.name
                ),
                purpose: Purpose::Tunnel,
                accompanies: Some(change.policy),
                replaces: None,
            });
        } else if let Some(after) = opening.after.get_mut(change.policy) {
            *after = opening::opened(policy, change);
            change.fallback = Some(opening::companion(policy, change));
        }
    }
    settle(world, &mut opening);
    opening
}

/// The policies that got a companion in an earlier run, which opens the tunnel for their peers.
struct Companions<'p>(BTreeSet<(&'p str, &'p str)>);

impl<'p> Companions<'p> {
    fn of(policies: &'p [NetworkPolicy]) -> Self {
        let ours = policies.iter().filter(|p| p.meta.is_ours());
        let accompanied = |policy: &'p NetworkPolicy| {
            let of = policy.meta.annotation(annotations::COMPANION_OF)?;
            let name = of.strip_prefix("networkpolicy/")?;
            let opens = policy.rules().any(tunnel_port::covers_tunnel);
            opens.then_some((policy.meta.namespace.as_str(), name))
        };
        Self(ours.filter_map(accompanied).collect())
    }

    fn has(&self, policy: &NetworkPolicy) -> bool {
        let key = (policy.meta.namespace.as_str(), policy.meta.name.as_str());
        self.0.contains(&key)
    }
}

/// Leaves out what is there already, replaces what an earlier run left behind, and keeps clear of
/// the names of everything else.
fn settle(world: &World, opening: &mut Opening) {
    let before = &world.network_policies;
    let Opening {
        after,
        changed,
        added,
        kept,
    } = opening;
    let mut names = object::Names::of(world.network_policies_of_people().map(|p| &p.meta));
    let ours: BTreeMap<(&str, &str), usize> = before
        .iter()
        .enumerate()
        .filter(|(_, p)| p.meta.is_ours())
        .map(|(i, p)| ((p.meta.namespace.as_str(), p.meta.name.as_str()), i))
        .collect();
    added.retain_mut(|new| {
        names.take(&mut new.policy.meta);
        let key = (
            new.policy.meta.namespace.as_str(),
            new.policy.meta.name.as_str(),
        );
        let known = ours.get(&key).copied();
        let Some((index, policy)) = known.and_then(|i| Some((i, before.get(i)?))) else {
            return true;
        };
        if object::same_policy(policy, &new.policy) {
            kept.insert(index, new.purpose);
            let accompanied = changed
                .iter_mut()
                .find(|c| Some(c.policy) == new.accompanies);
            if let Some(change) = accompanied {
                change.means = Means::Standing;
            }
            return false;
        }
        new.replaces = Some(policy.meta.origin.clone());
        if let Some(after) = after.get_mut(index) {
            *after = new.policy.clone();
        }
        true
    });
    // One that is not a companion yet may not take the place of what an earlier run made.
    names.reserve(ours.keys());
    for fallback in changed.iter_mut().filter_map(|c| c.fallback.as_mut()) {
        names.take(&mut fallback.meta);
    }
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
        Distinctions {
            keys,
            blocks: authorization_blocks(setting),
        },
        &setting.traits(),
        setting.assumptions.clone(),
    )
}

/// Label keys that authorization policies select by, and waypoints are known by.
fn authorization_keys(policies: &[AuthorizationPolicy]) -> BTreeSet<&str> {
    let selected = policies.iter().flat_map(|p| p.selector.keys());
    let keys = selected.map(String::as_str);
    keys.chain([labels::GATEWAY_NAME]).collect()
}

/// Blocks of addresses that authorization policies name which decide about plaintext of pods. Those
/// for gateways alone are of no concern.
fn authorization_blocks(setting: &Setting<'_>) -> Vec<IpNet> {
    let world = &*setting.world;
    let root = world.mesh.root_namespace();
    let decides = |policy: &&AuthorizationPolicy| {
        let mut workloads = world.workloads.iter().enumerate();
        workloads.any(|(index, w)| {
            let role = setting.role(index);
            (role.receives || role.behind_sidecar)
                && authz::selects(policy, root, &w.meta.namespace, &w.pod.labels)
        })
    };
    let named = |policy: &'_ AuthorizationPolicy| {
        let sources = policy.rules.iter().flat_map(|r| &r.from);
        let sources = sources.flat_map(|s| s.ip_blocks.iter().chain(&s.not_ip_blocks));
        let conditions = policy.rules.iter().flat_map(|r| &r.when);
        let conditions = conditions.filter(|c| c.key == "source.ip");
        let conditions = conditions.flat_map(|c| c.values.iter().chain(&c.not_values));
        let all = sources.map(|b| &**b).chain(conditions.map(String::as_str));
        all.filter_map(authz::block).collect::<Vec<IpNet>>()
    };
    let policies = world.authorization_policies.iter();
    let asking = policies.filter(|p| !named(p).is_empty());
    asking.filter(decides).flat_map(named).collect()
}
