//! The proof: before against after, for every pair and in every relation.
//!
//! A pair is governed by the plaintext relation until both its ends are enrolled, and by the tunnel
//! relation from then on, whatever else is enrolled. So equality of these relations with what is
//! allowed today covers every order of enrolment.
//!
//! The waypoint relation is compared for the pods behind a waypoint as they are in the end. Those that
//! are not captured yet would be reached from the waypoint in the clear, on ports that no policy
//! opens to it. Therefore waypoints are used in a step of their own, the last; where one is used
//! already while pods behind it are enrolled, the comparison does not cover the time between.
//!
//! The plaintext relation is what network policies allow, and at pods behind a sidecar that stay out
//! of the mesh what this makes of it. At enrolled pods it is what ztunnel makes of it, by the policies
//! of people and by `PeerAuthentication`, for whoever does not speak through the tunnel in the end.

mod outsiders;
mod through;

use std::collections::{BTreeMap, BTreeSet};

use ambient_facts::ports;
use fixedbitset::FixedBitSet;
use rayon::prelude::*;

use super::authorizer::{Authorizer, Part, SelectionId};
use super::differences::{Differences, To};
use super::entering::{self, Outside};
use super::newcomers::Newcomers;
use super::outcome::Outcome;
use super::relations::{plaintext, tunnel};
use super::sidecars::{self, Clients};
use crate::authz::Policies;
use crate::migrate::analysis::Analysis;
use crate::migrate::limits::restore::Limits;
use crate::migrate::setting::peering::Peering;
use crate::model::{AuthorizationPolicy, Protocol};
use crate::netpol::{Node, PortSet};
use crate::plan::Relation;
use through::ways;

/// Compares everything.
pub(crate) fn compare(analysis: &Analysis<'_, '_>, limits: &Limits) -> Differences {
    let world = &*analysis.setting.world;
    let new: BTreeSet<(&str, &str)> = limits.policies.iter().map(|l| name(&l.policy)).collect();
    // Ours of earlier runs that are not written again stay where they are.
    let kept = world
        .authorization_policies
        .iter()
        .filter(|p| !p.meta.is_ours() || !new.contains(&name(p)));
    let root = world.mesh.root_namespace();
    let after = Policies::new(kept.chain(limits.policies.iter().map(|l| &l.policy)), root);
    let ours = world.authorization_policies.iter();
    let left_over = ours.filter(|p| p.meta.is_ours() && !new.contains(&name(p)));
    let left_over: Vec<&AuthorizationPolicy> = left_over.collect();
    let crowd = analysis.crowd();
    let peering = Peering::of(world, root);
    let existing = Policies::new(&world.authorization_policies, root);
    let plain = analysis.plain_clients(&crowd);
    let mut authorizer = Authorizer::new(&after, &existing, &peering, &crowd, plain);
    let tunnels = tunnels(analysis, &mut authorizer);
    let guarded = guarded(analysis, &mut authorizer);
    let ways = ways(analysis, &mut authorizer);
    let newcomers = Newcomers::of(analysis);
    let clients = Clients::of(analysis);
    let outside = Outside::of(analysis);
    let comparer = || Comparer {
        analysis,
        authorizer: &authorizer,
        left_over: &left_over,
        found: Differences::default(),
    };
    let classes = 0..analysis.universe.classes().len();
    let in_the_clear = classes.into_par_iter().map(|class| {
        let mut comparer = comparer();
        comparer.plaintext_to(class);
        comparer.found
    });
    let through_tunnels = tunnels.par_iter().map(|(selection, ends)| {
        let mut comparer = comparer();
        let (parts, decision) = authorizer.parts_once(analysis, *selection);
        let stranger = authorizer.of_stranger(&decision);
        let entering = authorizer.entering(*selection, &decision);
        let entering = entering.filter(|e| !e.is_none());
        let judged = newcomers.judge(&authorizer, &decision);
        let today = authorizer.stranger_today(*selection);
        for (class, workloads) in ends {
            comparer.tunnel_to(*class, workloads, &parts);
            comparer.tunnel_of_strangers(*class, workloads, &stranger, today);
            if let Some(entering) = &entering {
                let ends = (*class, workloads.as_slice());
                entering::compare(analysis, &outside, entering, ends, &mut comparer.found);
            }
            for gain in newcomers.gains(*class, workloads, &judged, &today.low) {
                comparer.found.add_gain(gain);
            }
        }
        comparer.found
    });
    let through_waypoints = ways.par_iter().map(|way| {
        let mut comparer = comparer();
        for &waypoint in analysis.nodes_of_waypoint(way.way.waypoint) {
            comparer.through(way, waypoint);
            comparer.strangers_through(way, waypoint);
            comparer.newcomers_through(&newcomers, way, waypoint);
        }
        comparer.found
    });
    let past_sidecars = guarded.par_iter().map(|(selection, ends)| {
        let mut found = Differences::default();
        let guard = authorizer.guard(analysis, *selection);
        for (class, workloads) in ends {
            if let Some(guard) = &guard {
                sidecars::compare(analysis, &clients, guard, (*class, workloads), &mut found);
            }
        }
        found
    });
    let found: Vec<Differences> = in_the_clear
        .chain(past_sidecars)
        .chain(through_tunnels)
        .chain(through_waypoints)
        .collect();
    let mut comparer = comparer();
    comparer.connections_outward();
    let mut differences = comparer.found;
    for found in found {
        differences.append(found);
    }
    differences
}

/// Workloads of a class.
type Ends = Vec<(Node, Vec<usize>)>;

/// Everybody who receives through the tunnel, by the policies that apply there: those are worked out
/// once for all of them, and forgotten when they are done.
fn tunnels(
    analysis: &Analysis<'_, '_>,
    authorizer: &mut Authorizer<'_>,
) -> Vec<(SelectionId, Ends)> {
    let receivers = analysis.speakers.receivers.ones();
    by_selection(receivers, analysis, authorizer)
}

/// The same of everybody behind a sidecar.
fn guarded(
    analysis: &Analysis<'_, '_>,
    authorizer: &mut Authorizer<'_>,
) -> Vec<(SelectionId, Ends)> {
    let classes = analysis.universe.classes().iter().enumerate();
    let guarded = classes.filter(|(_, class)| {
        let workload = class.workloads.first();
        workload.is_some_and(|&w| analysis.setting.role(w).behind_sidecar)
    });
    by_selection(guarded.map(|(node, _)| node), analysis, authorizer)
}

fn by_selection(
    classes: impl Iterator<Item = Node>,
    analysis: &Analysis<'_, '_>,
    authorizer: &mut Authorizer<'_>,
) -> Vec<(SelectionId, Ends)> {
    let mut ends_at: BTreeMap<SelectionId, Ends> = BTreeMap::new();
    for class in classes {
        for (selection, workloads) in authorizer.selections(analysis, class) {
            let ends = ends_at.entry(selection).or_default();
            ends.push((class, workloads));
        }
    }
    ends_at.into_iter().collect()
}

fn name(policy: &AuthorizationPolicy) -> (&str, &str) {
    (&policy.meta.namespace, &policy.meta.name)
}

struct Comparer<'c, 'p, 'a, 's, 'w> {
    analysis: &'a Analysis<'s, 'w>,
    authorizer: &'c Authorizer<'p>,
    /// Limits of earlier runs that stay where they are.
    left_over: &'c [&'p AuthorizationPolicy],
    found: Differences,
}

impl Comparer<'_, '_, '_, '_, '_> {
    /// All connections to a class, in plaintext.
    fn plaintext_to(&mut self, class: Node) {
        let analysis = self.analysis;
        let listens = analysis
            .declared(class)
            .contains(Protocol::Tcp, ports::HBONE)
            && analysis.waypoint_at(class).is_none();
        for (value, sources) in analysis.sources_of(class) {
            let Some(outcome) = plaintext(analysis, *value, listens) else {
                continue;
            };
            let mut rest = sources.clone();
            for (waypoint, targets) in &analysis.in_the_clear {
                // A waypoint sends in the clear only to pods behind it that are not in the mesh, and
                // that is judged by who sends it through the waypoint.
                let nodes = analysis.nodes_of_waypoint(*waypoint);
                for &node in nodes.iter().filter(|&&n| sources.contains(n)) {
                    rest.set(node, false);
                    let outcome = outcome.without_gains(targets);
                    self.add(&single(node), &To::plaintext(class), outcome);
                }
            }
            self.add(&rest, &To::plaintext(class), Some(outcome));
        }
    }

    /// All connections to workloads of a class through the tunnel, where policies let the parts use
    /// what they say.
    fn tunnel_to(&mut self, class: Node, workloads: &[usize], parts: &[Part]) {
        let analysis = self.analysis;
        let to = To::workloads(analysis, class, workloads, Relation::Tunnel);
        let perhaps = is_doubtful(analysis, workloads);
        for (value, sources) in analysis.sources_of(class) {
            let mut sources = sources.clone();
            sources.intersect_with(&analysis.speakers.clients);
            for part in parts.iter().filter(|p| !p.nodes.is_disjoint(&sources)) {
                let outcome = part.outcome(|authorized| tunnel(analysis, *value, authorized));
                let Some(outcome) = outcome else {
                    continue;
                };
                let outcome = if perhaps {
                    outcome.if_taken(None)
                } else {
                    outcome
                };
                let mut nodes = sources.clone();
                nodes.intersect_with(&part.nodes);
                let dns = PortSet::port(Protocol::Tcp, ports::DNS);
                let [(direct, _), (captured, _)] = self.by_dns(&nodes);
                let without_dns = outcome.without(&dns);
                self.add(&captured, &to, without_dns);
                self.add(&direct, &to, Some(outcome));
            }
        }
    }

    /// Nodes whose DNS look-ups over TCP go through the tunnel, and the others.
    fn by_dns(&self, nodes: &FixedBitSet) -> [(FixedBitSet, bool); 2] {
        let (mut direct, mut captured) = (nodes.clone(), nodes.clone());
        direct.intersect_with(&self.analysis.speakers.uncaptured_dns);
        captured.difference_with(&self.analysis.speakers.uncaptured_dns);
        [(direct, true), (captured, false)]
    }

    /// Connections to addresses outside the cluster.
    fn connections_outward(&mut self) {
        let analysis = self.analysis;
        let classes = analysis.universe.classes().len();
        for source in 0..classes {
            let ranges = classes..analysis.universe.nodes();
            for (value, destination) in analysis.network.egress_changes(source, ranges) {
                // Whoever is out there may listen on the tunnel's port.
                let outcome = plaintext(analysis, value, true);
                let outcome = match analysis.are_pods(destination) {
                    Some(true) => continue,
                    Some(false) => outcome,
                    None => outcome.map(Outcome::doubtful),
                };
                self.add(&single(source), &To::plaintext(destination), outcome);
            }
        }
    }

    /// Writes down how the connections of some sources to a destination differ.
    fn add(&mut self, sources: &FixedBitSet, to: &To, outcome: Option<Outcome>) {
        let Some(outcome) = outcome else { return };
        let mut sources = sources.clone();
        if sources.contains(to.destination) && self.analysis.is_one_pod(to.destination) {
            sources.set(to.destination, false);
        }
        if !sources.is_clear() {
            self.found.add(self.analysis, sources, to, &outcome);
        }
    }
}

/// Whether it is not known if workloads take the tunnel, so that nothing that depends on it is certain.
fn is_doubtful(analysis: &Analysis<'_, '_>, workloads: &[usize]) -> bool {
    let mut roles = workloads.iter().map(|&w| analysis.setting.role(w));
    roles.any(|role| role.perhaps_receives)
}

fn single(node: Node) -> FixedBitSet {
    let mut bits = FixedBitSet::with_capacity(node + 1);
    bits.insert(node);
    bits
}
