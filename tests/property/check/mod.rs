//! Holds a plan against the reference: what it changes, what it claims, what it keeps silent.

mod claims;
mod edits;
mod in_the_clear;
mod mesh;
mod needless;
mod newcomers;
mod passage;
mod plaintext;
mod ports;
mod readings;
mod strangers;
mod subjects;
#[cfg(test)]
mod tests;
mod verdicts;
mod ways;

use std::collections::BTreeSet;
use std::ops::AddAssign;

use kubectl_ambient::model::{Meta, World};
use kubectl_ambient::plan::{Change, Plan, StepKind};

use self::claims::Claims;
use self::mesh::Fates;
use self::plaintext::Plaintext;
use crate::generate::{File, Request};
use crate::objects;

/// The program under test: from manifests to a plan and the manifests after it.
pub(crate) trait Migration {
    /// Plans and applies.
    fn migrate(&self, files: &[File], request: &Request) -> Result<Outcome, String>;
}

/// What a [`Migration`] makes of manifests.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) plan: Plan,
    /// The world as the program read it.
    pub(crate) world: World,
    /// All manifests after the plan, those that it does not touch included.
    pub(crate) after: Vec<File>,
}

/// A plan with the worlds before and after it, as the reference reads them.
pub(crate) struct Case<'c> {
    /// What people want: without the objects of an earlier run.
    pub(crate) before: &'c World,
    /// The same with the authorization policies of an earlier run.
    pub(crate) existing: &'c World,
    /// No earlier run left anything.
    pub(crate) is_new: bool,
    pub(crate) after: &'c World,
    pub(crate) plan: &'c Plan,
    pub(crate) request: &'c Request,
}

impl Case<'_> {
    /// Whether the plan enrols a namespace.
    fn enrols(&self, namespace: &str) -> bool {
        let mut plans = self.plan.namespaces.iter();
        plans.any(|p| p.name == namespace && p.enrolled)
    }

    /// Waypoints that there are or will be: namespace and name.
    fn gateways(&self) -> BTreeSet<(String, String)> {
        let existing = self.before.gateways.iter();
        let existing = existing.map(|g| (g.meta.namespace.clone(), g.meta.name.clone()));
        let planned = self.request.waypoints.iter();
        let planned = planned.map(|(name, namespace)| (namespace.clone(), name.clone()));
        existing.chain(planned).collect()
    }
}

/// How much was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) clusters: u64,
    /// Pairs of endpoints in a relation.
    pub(crate) pairs: u64,
    /// Connections, each in every reading of the manifests.
    pub(crate) flows: u64,
    /// Pairs in a relation with connections gained, all of them reported.
    pub(crate) gained: u64,
    /// Pairs in a relation with connections lost, all of them reported.
    pub(crate) lost: u64,
    /// Pairs in a relation reported as unknown that the reference finds equal.
    pub(crate) undecided: u64,
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.clusters += other.clusters;
        self.pairs += other.pairs;
        self.flows += other.flows;
        self.gained += other.gained;
        self.lost += other.lost;
        self.undecided += other.undecided;
    }
}

/// What a check found wrong, one sentence each.
pub(crate) type Violations = Vec<String>;

/// Runs everything on one cluster.
pub(crate) fn check(
    migration: &impl Migration,
    files: &[File],
    request: &Request,
) -> Result<Summary, Violations> {
    let one = |e: String| vec![e];
    let outcome = migration.migrate(files, request).map_err(one)?;
    let mut before = read(files).map_err(one)?;
    let mut violations = edits::check(files, &outcome.after);
    violations.extend(same_world(&before, &outcome.world));
    let policies = before.authorization_policies.iter().map(|p| &p.meta);
    let mut policies = policies.chain(before.network_policies.iter().map(|p| &p.meta));
    let is_new = !policies.any(is_own);
    // What the program restored before is no will of the user.
    before
        .network_policies
        .retain(|policy| !is_own(&policy.meta));
    let existing = before.clone();
    before
        .authorization_policies
        .retain(|policy| !is_own(&policy.meta));
    let after = read(&outcome.after).map_err(one)?;
    let case = Case {
        before: &before,
        existing: &existing,
        is_new,
        after: &after,
        plan: &outcome.plan,
        request,
    };
    let claims = Claims::of(case.plan).map_err(one)?;
    let (fates, found) = compare(&case, &claims);
    violations.extend(found);
    let (mut summary, found) = verdicts::judge(&fates, &claims, &case);
    violations.extend(found);
    violations.extend(nothing_left(migration, &outcome.after, request));
    if violations.is_empty() {
        summary.clusters = 1;
        Ok(summary)
    } else {
        Err(violations)
    }
}

/// Whether the program wrote an object.
fn is_own(meta: &Meta) -> bool {
    meta.label("app.kubernetes.io/managed-by") == Some("kubectl-ambient")
}

/// Compares every pair of parties at every interesting port in every relation. What no plan may do,
/// whatever it claims, comes back as violations.
fn compare(case: &Case<'_>, claims: &Claims) -> (Fates, Violations) {
    let worlds = [case.before, case.after];
    let blocks = readings::blocks(&worlds);
    let ports = ports::interesting(&worlds);
    let subjects = subjects::find(case, &blocks);
    let mut violations = subjects::check_enrolment(case, &subjects);
    violations.extend(subjects::check_isolation(case, &subjects));
    let mut plaintext = Plaintext {
        case,
        claims,
        ports: &ports,
        flows: 0,
        violations,
    };
    let mut fates = Fates::default();
    for (index, source) in subjects.iter().enumerate() {
        plaintext.with_outside(source, &blocks);
        for (other, destination) in subjects.iter().enumerate() {
            // A pod reaches itself without the network; a replica does not reach its like so.
            if index != other || !source.is_bare_pod {
                plaintext.between(source, destination);
                fates.compare(case, &ports, source, destination);
            }
        }
    }
    plaintext.check_claims(&subjects, &fates);
    plaintext
        .violations
        .extend(strangers::check(case, claims, &ports, &subjects));
    plaintext
        .violations
        .extend(needless::check(case, claims, &ports, &subjects));
    plaintext
        .violations
        .extend(newcomers::check(case, claims, &ports, &subjects));
    fates.flows += plaintext.flows;
    (fates, plaintext.violations)
}

/// The manifests as the reference reads them.
fn read(files: &[File]) -> Result<World, String> {
    let mut all = Vec::new();
    for file in files {
        all.extend(file.objects()?);
    }
    Ok(objects::world(&all))
}

/// A second run has nothing left to do, but to use waypoints: their labels are not written together
/// with those for enrolment. A third has nothing at all.
fn nothing_left(migration: &impl Migration, after: &[File], request: &Request) -> Violations {
    let again = match migration.migrate(after, request) {
        Ok(again) => again,
        Err(error) => return vec![format!("the second run fails: {error}")],
    };
    let (waypoints, others): (Vec<_>, Vec<_>) =
        (again.plan.steps.iter()).partition(|step| step.kind == StepKind::UseWaypoints);
    let wants = |run: &str, change: &Change| {
        let (object, action) = (&change.object, &change.action);
        format!("the {run} run still wants {object}: {action:?}")
    };
    let others = others.iter().flat_map(|step| &step.changes);
    let mut violations: Violations = others.map(|change| wants("second", change)).collect();
    if waypoints.iter().any(|step| !step.changes.is_empty()) {
        match migration.migrate(&again.after, request) {
            Ok(third) => violations.extend(third.plan.changes().map(|c| wants("third", c))),
            Err(error) => violations.push(format!("the third run fails: {error}")),
        }
    }
    violations
}

/// The program reads what the reference reads, places aside.
fn same_world(expected: &World, read: &World) -> Violations {
    let (expected, read) = (plain(expected), plain(read));
    let lines = expected.lines().zip(read.lines());
    let difference = lines.enumerate().find(|(_, (e, r))| e != r);
    match difference {
        Some((number, (expected, read))) => vec![format!(
            "the loader reads something else, line {number}: `{}` instead of `{}`",
            read.trim(),
            expected.trim()
        )],
        None if expected.lines().count() != read.lines().count() => {
            vec!["the loader reads more or fewer objects".to_owned()]
        }
        None => Vec::new(),
    }
}

/// What flows depend on, as text without places.
fn plain(world: &World) -> String {
    let namespaces: Vec<_> = world
        .namespaces
        .iter()
        .map(|(name, n)| (name, n.declared, &n.meta.labels))
        .collect();
    let workloads: Vec<_> = world
        .workloads
        .iter()
        .map(|w| {
            let ports: Vec<_> = w
                .pod
                .ports
                .iter()
                .map(|p| (&p.name, p.number, p.protocol))
                .collect();
            (
                (
                    &w.meta.namespace,
                    &w.meta.name,
                    w.kind,
                    &w.meta.owners,
                    w.terminated,
                ),
                (&w.pod.labels, &w.pod.annotations, &w.pod.service_account),
                (ports, w.pod.host_network, &w.addresses, &w.selector),
            )
        })
        .collect();
    let services: Vec<_> = world
        .services
        .iter()
        .map(|s| {
            (
                &s.meta.namespace,
                &s.meta.name,
                &s.meta.labels,
                &s.selector,
                s.headless,
                &s.ports,
            )
        })
        .collect();
    let policies: Vec<_> = world
        .network_policies
        .iter()
        .map(|p| {
            let rules = |rules: &[kubectl_ambient::model::Rule]| -> Vec<_> {
                rules
                    .iter()
                    .map(|r| (r.peers.clone(), r.ports.clone()))
                    .collect()
            };
            (
                (&p.meta.namespace, &p.meta.name, &p.pod_selector),
                (p.isolates_ingress, rules(&p.ingress)),
                (p.isolates_egress, rules(&p.egress)),
            )
        })
        .collect();
    let authorization: Vec<_> = world
        .authorization_policies
        .iter()
        .map(|p| {
            let rules: Vec<_> = p.rules.iter().map(|r| (&r.from, &r.to, &r.when)).collect();
            (
                (&p.meta.namespace, &p.meta.name),
                (&p.selector, p.selects_nothing, &p.targets),
                p.action,
                rules,
            )
        })
        .collect();
    let gateways: Vec<_> = world
        .gateways
        .iter()
        .map(|g| {
            (
                &g.meta.namespace,
                &g.meta.name,
                &g.meta.labels,
                &g.class,
                &g.listeners,
            )
        })
        .collect();
    let peers: Vec<_> = world
        .peer_authentications
        .iter()
        .map(|p| {
            (
                (&p.meta.namespace, &p.meta.name, &p.selector),
                (p.mode, &p.ports),
            )
        })
        .collect();
    format!(
        "{namespaces:#?}\n{workloads:#?}\n{services:#?}\n{policies:#?}\n{authorization:#?}\n{gateways:#?}\n{peers:#?}"
    )
}
