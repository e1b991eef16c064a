//! The proof: before against after, for every pair and in every relation.
//!
//! A pair is governed by the plaintext relation until both its ends are enrolled, and by the tunnel
//! (or waypoint) relation from then on, whatever else is enrolled. So equality of these relations
//! with what is allowed today covers every order of enrolment.
//!
//! The plaintext relation is what network policies allow. What ztunnel does beyond it with
//! plaintext that enters an enrolled pod, by the policies of people and by `PeerAuthentication`, is
//! said in findings of its own: nothing of the plan changes it.

use std::collections::BTreeSet;

use ambient_facts::ports;
use fixedbitset::FixedBitSet;
use rayon::prelude::*;

use super::analysis::Analysis;
use super::authorizer::{Authorized, Authorizer};
use super::differences::{Difference, Differences};
use super::outcome::{Doubt, Outcome, Side, compare_sides};
use super::restore::Limits;
use super::ways::{Asked, Way};
use crate::authz::{Allowance, Crowd};
use crate::model::{AuthorizationPolicy, Protocol};
use crate::netpol::{Node, PortSet, PortSets, Value};
use crate::plan::Relation;

/// Compares everything.
pub(super) fn compare(analysis: &Analysis<'_, '_>, limits: &Limits) -> Differences {
    let world = &*analysis.setting.world;
    let new: BTreeSet<(&str, &str)> = limits.policies.iter().map(|l| name(&l.policy)).collect();
    // Ours of earlier runs that are not written again stay where they are.
    let kept = world
        .authorization_policies
        .iter()
        .filter(|p| !p.meta.is_ours() || !new.contains(&name(p)));
    let after: Vec<_> = kept
        .chain(limits.policies.iter().map(|l| &l.policy))
        .collect();
    let crowd = Crowd::new(&analysis.parties);
    let classes = 0..analysis.universe.classes().len();
    let shared = analysis;
    let found: Vec<Differences> = classes
        .into_par_iter()
        .map_init(
            || Comparer::new(shared, after.clone(), &crowd),
            |comparer, class| {
                comparer.plaintext_to(class);
                comparer.tunnel_to(class);
                for way in shared.ways_to(class) {
                    comparer.through(class, way);
                }
                std::mem::take(&mut comparer.found)
            },
        )
        .collect();
    let mut comparer = Comparer::new(shared, after, &crowd);
    comparer.connections_outward();
    let mut differences = comparer.found;
    for found in found {
        differences.append(found);
    }
    differences
}

fn name(policy: &AuthorizationPolicy) -> (&str, &str) {
    (&policy.meta.namespace, &policy.meta.name)
}

struct Comparer<'p, 'a, 's, 'w> {
    analysis: &'a Analysis<'s, 'w>,
    authorizer: Authorizer<'p>,
    found: Differences,
}

impl<'p, 'a, 's, 'w> Comparer<'p, 'a, 's, 'w> {
    fn new(
        analysis: &'a Analysis<'s, 'w>,
        after: Vec<&'p AuthorizationPolicy>,
        crowd: &'p Crowd<'p>,
    ) -> Self {
        Self {
            analysis,
            authorizer: Authorizer::new(after, crowd),
            found: Differences::default(),
        }
    }

    /// All connections to a class, in plaintext.
    fn plaintext_to(&mut self, class: Node) {
        let analysis = self.analysis;
        self.found
            .compared(analysis.weights.all * analysis.weight(class));
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
                let nodes = analysis.nodes_of_waypoint(*waypoint).unwrap_or_default();
                for &node in nodes.iter().filter(|&&n| sources.contains(n)) {
                    rest.set(node, false);
                    let outcome = outcome.without_gains(targets);
                    self.add(&single(node), class, None, Relation::Plaintext, outcome);
                }
            }
            self.add(&rest, class, None, Relation::Plaintext, Some(outcome));
        }
    }

    /// All connections to a class through the tunnel.
    fn tunnel_to(&mut self, class: Node) {
        let analysis = self.analysis;
        if !analysis.speakers.receivers.contains(class) {
            return;
        }
        self.found
            .compared(analysis.weights.clients * analysis.weight(class));
        for (selection, workloads) in self.authorizer.selections(analysis, class) {
            let parts = self.authorizer.parts(analysis, selection);
            for (value, sources) in analysis.sources_of(class) {
                let mut sources = sources.clone();
                sources.intersect_with(&analysis.speakers.clients);
                for part in parts.iter() {
                    let mut nodes = sources.clone();
                    nodes.intersect_with(&part.nodes);
                    if nodes.is_clear() {
                        continue;
                    }
                    let Some(outcome) = tunnel(analysis, *value, &part.authorized) else {
                        continue;
                    };
                    let (direct, captured) = self.by_dns(&nodes);
                    let dns = PortSet::port(Protocol::Tcp, ports::DNS);
                    let without_dns = outcome.without(&dns);
                    let workloads = Some(workloads.as_slice());
                    self.add(&captured, class, workloads, Relation::Tunnel, without_dns);
                    self.add(&direct, class, workloads, Relation::Tunnel, Some(outcome));
                }
            }
        }
    }

    /// Nodes whose DNS look-ups over TCP go through the tunnel, and the others.
    fn by_dns(&self, nodes: &FixedBitSet) -> (FixedBitSet, FixedBitSet) {
        let (mut direct, mut captured) = (nodes.clone(), nodes.clone());
        direct.intersect_with(&self.analysis.speakers.uncaptured_dns);
        captured.difference_with(&self.analysis.speakers.uncaptured_dns);
        (direct, captured)
    }

    /// Connections to addresses outside the cluster.
    fn connections_outward(&mut self) {
        let analysis = self.analysis;
        let classes = analysis.universe.classes().len();
        for source in 0..classes {
            let ranges = classes..analysis.universe.nodes();
            self.found
                .compared(ranges.len() as u64 * analysis.weight(source));
            for destination in ranges {
                let value = analysis.network.egress_value(source, destination);
                let outcome = plaintext(analysis, value, false);
                self.add(
                    &single(source),
                    destination,
                    None,
                    Relation::Plaintext,
                    outcome,
                );
            }
        }
    }

    /// Connections to a class on one way through a waypoint.
    fn through(&mut self, class: Node, way: &Way) {
        let analysis = self.analysis;
        let setting = analysis.setting;
        let (Some(serving), Some(&[waypoint, ..])) = (
            setting.waypoints.all.get(way.waypoint),
            analysis.nodes_of_waypoint(way.waypoint),
        ) else {
            return;
        };
        self.found
            .compared(analysis.weights.clients * analysis.weight(class));
        let service = match way.asked {
            Asked::Service { service, .. } => setting.world.services.get(service),
            Asked::Pod => None,
        };
        let last = analysis.value_at(waypoint, class);
        let at_waypoint = self.authorizer.at_waypoint(serving, service);
        let parts = self.authorizer.parts(analysis, at_waypoint);
        let today = analysis.all_sources_of(class);
        let first = analysis.all_sources_of(waypoint);
        let selections = self.authorizer.selections(analysis, class);
        for (selection, workloads) in selections {
            let at_server = if way.plain {
                Allowance::all()
            } else {
                self.authorizer.party(analysis, selection, waypoint)
            };
            let direct = self.authorizer.parts(analysis, selection);
            for (today, nodes) in &today {
                let mut nodes = nodes.clone();
                nodes.intersect_with(&analysis.speakers.clients);
                for (first, entering) in &first {
                    for part in parts.iter() {
                        let mut nodes = nodes.clone();
                        nodes.intersect_with(entering);
                        nodes.intersect_with(&part.nodes);
                        if nodes.is_clear() {
                            continue;
                        }
                        let hops = Hops {
                            today: *today,
                            first: *first,
                            last,
                            at_waypoint: &part.authorized.after,
                            at_server: &at_server,
                        };
                        for part in direct.iter() {
                            let mut nodes = nodes.clone();
                            nodes.intersect_with(&part.nodes);
                            let (direct, captured) = self.by_dns(&nodes);
                            for (nodes, dns) in [(direct, true), (captured, false)] {
                                if nodes.is_clear() {
                                    continue;
                                }
                                let today = &part.authorized.today;
                                let outcome = hops.outcome(analysis, way, today, dns);
                                let workloads = Some(workloads.as_slice());
                                self.add(&nodes, class, workloads, Relation::Waypoint, outcome);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Writes down how the connections of some sources to a destination differ.
    fn add(
        &mut self,
        sources: &FixedBitSet,
        destination: Node,
        workloads: Option<&[usize]>,
        relation: Relation,
        outcome: Option<Outcome>,
    ) {
        let Some(outcome) = outcome else { return };
        let itself = |n: &Node| *n == destination && self.analysis.is_one_pod(*n);
        let sources: Vec<Node> = sources.ones().filter(|n| !itself(n)).collect();
        if sources.is_empty() {
            return;
        }
        for (verdict, changed) in outcome.verdicts() {
            self.found.add(
                self.analysis,
                &Difference {
                    sources: sources.clone(),
                    destination,
                    workloads: workloads.map(<[usize]>::to_vec),
                    relation,
                    verdict,
                    doubt: outcome.doubt,
                    refused: outcome.refused,
                    before: outcome.before.clone(),
                    after: outcome.after.clone(),
                    changed,
                },
            );
        }
    }
}

fn single(node: Node) -> FixedBitSet {
    let mut bits = FixedBitSet::with_capacity(node + 1);
    bits.insert(node);
    bits
}

/// The plaintext relation: nothing may change but the tunnel's port, and that only where nothing
/// listens on it.
fn plaintext(analysis: &Analysis<'_, '_>, value: Value, listens: bool) -> Option<Outcome> {
    if value.before == value.after && value.gained == PortSets::NONE {
        return None;
    }
    let tunnel = PortSet::port(Protocol::Tcp, ports::HBONE);
    let set = |id| analysis.sets.get(id);
    let counted = |ports: PortSet| {
        if listens {
            ports
        } else {
            ports.difference(&tunnel)
        }
    };
    let more = |a, b| counted(set(a).difference(set(b)));
    let (before, after) = (value.before, value.after);
    let gained = more(value.gained, PortSets::NONE);
    let lost = [more(before.low, after.low), more(before.high, after.high)];
    let certain = lost[0] == lost[1] && gained == more(after.low, before.high);
    let lost = lost[0].union(&lost[1]);
    let question = lost.union(&gained);
    if question.is_empty() {
        return None;
    }
    let of_tunnel = set(before.high).intersection(&tunnel);
    Some(Outcome {
        before: set(before.high).clone(),
        after: counted(set(after.high).clone()).union(&of_tunnel),
        lost,
        gained,
        doubt: (!certain).then_some(Doubt::Peer),
        question,
        refused: false,
    })
}

/// The tunnel relation.
fn tunnel(analysis: &Analysis<'_, '_>, value: Value, authorized: &Authorized) -> Option<Outcome> {
    let side = |before, after| {
        let carried = |set: &PortSet| {
            if analysis.opens_tunnel(after) {
                set.intersection(&analysis.tunnelled)
            } else {
                PortSet::none()
            }
        };
        Side {
            before: analysis.sets.get(before).intersection(&analysis.tunnelled),
            after: Allowance {
                low: carried(&authorized.after.low),
                high: carried(&authorized.after.high),
            },
        }
    };
    let low = side(value.before.low, value.after.low);
    let high = side(value.before.high, value.after.high);
    let mut outcome = compare_sides(&low, &high, &authorized.today)?;
    outcome.refused = analysis.opens_tunnel(value.after.low);
    Some(outcome)
}

/// What decides about a connection through a waypoint.
struct Hops<'h> {
    /// Between the client and the server.
    today: Value,
    /// Between the client and the waypoint.
    first: Value,
    /// Between the waypoint and the server.
    last: Value,
    at_waypoint: &'h Allowance,
    at_server: &'h Allowance,
}

impl Hops<'_> {
    fn outcome(
        &self,
        analysis: &Analysis<'_, '_>,
        way: &Way,
        today: &Allowance,
        dns: bool,
    ) -> Option<Outcome> {
        let universe = way.leading_to(&PortSet::all(), dns, analysis);
        let side = |before, first, last| {
            let carried = |at_waypoint: &PortSet, at_server: &PortSet| {
                let enters = analysis.opens_tunnel(first);
                let leaves = way.plain || analysis.opens_tunnel(last);
                if !enters || !leaves {
                    return PortSet::none();
                }
                let mut through = way.leading_to(at_waypoint, dns, analysis);
                if way.plain {
                    through = through.intersection(analysis.sets.get(last));
                }
                through.intersection(at_server)
            };
            Side {
                before: analysis.sets.get(before).intersection(&universe),
                after: Allowance {
                    low: carried(&self.at_waypoint.low, &self.at_server.low),
                    high: carried(&self.at_waypoint.high, &self.at_server.high),
                },
            }
        };
        let (before, first, last) = (self.today.before, self.first.after, self.last.after);
        let low = side(before.low, first.low, last.low);
        let high = side(before.high, first.high, last.high);
        let mut outcome = compare_sides(&low, &high, today)?;
        let leaves = way.plain || analysis.opens_tunnel(last.low);
        outcome.refused = analysis.opens_tunnel(first.low) && leaves;
        Some(outcome)
    }
}
