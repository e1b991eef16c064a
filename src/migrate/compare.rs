//! The proof: before against after, for every pair and in every relation.
//!
//! A pair is governed by the plaintext relation until both its ends are enrolled, and by the tunnel
//! (or waypoint) relation from then on, whatever else is enrolled. So equality of these relations
//! with what is allowed today covers every order of enrolment.

use std::collections::{BTreeMap, BTreeSet};

use ambient_facts::ports;
use fixedbitset::FixedBitSet;
use rayon::prelude::*;

use super::analysis::Analysis;
use super::authorizer::{Authorized, AuthorizedId, Authorizer, SelectionId};
use super::causes::{Cause, Difference, Differences};
use super::restore::Limits;
use crate::model::{AuthorizationPolicy, Protocol};
use crate::netpol::{Node, PortSet, Value};
use crate::plan::{Relation, Verdict};

/// Compares everything.
pub(super) fn compare(analysis: &mut Analysis<'_, '_>, limits: &Limits) -> Differences {
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
    let classes = 0..analysis.universe.classes().len();
    let shared = &*analysis;
    let found: Vec<Differences> = classes
        .into_par_iter()
        .map_init(
            || Comparer::new(after.clone()),
            |comparer, class| {
                comparer.connections_to(shared, class);
                std::mem::take(&mut comparer.found)
            },
        )
        .collect();
    let mut comparer = Comparer::new(after);
    for differences in found {
        comparer.found.append(differences);
    }
    comparer.connections_outward(analysis);
    comparer.through_waypoints(analysis);
    comparer.found
}

fn name(policy: &AuthorizationPolicy) -> (&str, &str) {
    (&policy.meta.namespace, &policy.meta.name)
}

struct Comparer<'p> {
    authorizer: Authorizer<'p>,
    found: Differences,
}

/// How a relation differs from today, within the ports that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) before: PortSet,
    pub(super) after: PortSet,
    pub(super) lost: PortSet,
    pub(super) gained: PortSet,
    /// Whether it depends on something that the input does not tell.
    pub(super) uncertain: bool,
}

impl<'p> Comparer<'p> {
    fn new(after: Vec<&'p AuthorizationPolicy>) -> Self {
        Self {
            authorizer: Authorizer::new(after),
            found: Differences::default(),
        }
    }

    /// All connections to a class, in plaintext and through the tunnel.
    fn connections_to(&mut self, analysis: &Analysis<'_, '_>, class: Node) {
        let groups = analysis.sources_of(class);
        self.found.compared(analysis.universe.nodes() as u64);
        let listens = analysis
            .declared(class)
            .contains(Protocol::Tcp, ports::HBONE)
            && analysis.waypoint_at(class).is_none();
        for (value, sources) in groups {
            if let Some(outcome) = plaintext(analysis, *value, listens) {
                for source in sources.ones() {
                    self.record(analysis, source, class, Relation::Plaintext, &outcome);
                }
            }
        }
        if !analysis.speakers.receivers.contains(class) {
            return;
        }
        self.found
            .compared(analysis.speakers.senders.count_ones(..) as u64);
        for selection in self.authorizer.selections(analysis, class) {
            for (value, sources) in groups {
                self.tunnel_from(analysis, class, selection, *value, sources);
            }
        }
    }

    /// The tunnel relation of a class with sources of one value.
    fn tunnel_from(
        &mut self,
        analysis: &Analysis<'_, '_>,
        class: Node,
        selection: SelectionId,
        value: Value,
        sources: &FixedBitSet,
    ) {
        let same_for_all = self.authorizer.is_empty(selection);
        let mut outcomes: BTreeMap<AuthorizedId, Option<Outcome>> = BTreeMap::new();
        if same_for_all
            && let Some(&party) = analysis.party_of.first()
            && let authorized = self.authorizer.authorized(analysis, selection, party)
            && tunnel(analysis, value, self.authorizer.get(authorized)).is_none()
        {
            return;
        }
        let sources: Vec<Node> = sources.intersection(&analysis.speakers.senders).collect();
        for source in sources {
            let (None, Some(&party)) =
                (analysis.waypoint_at(source), analysis.party_of.get(source))
            else {
                continue;
            };
            let authorized = self.authorizer.authorized(analysis, selection, party);
            let outcome = outcomes
                .entry(authorized)
                .or_insert_with(|| tunnel(analysis, value, self.authorizer.get(authorized)));
            let Some(outcome) = outcome else { continue };
            let outcome = if analysis.speakers.uncaptured_dns.contains(source) {
                Some(outcome.clone())
            } else {
                outcome.without(&PortSet::port(Protocol::Tcp, ports::DNS))
            };
            if let Some(outcome) = outcome {
                self.record(analysis, source, class, Relation::Tunnel, &outcome);
            }
        }
    }

    /// Connections to addresses outside the cluster.
    fn connections_outward(&mut self, analysis: &mut Analysis<'_, '_>) {
        let classes = analysis.universe.classes().len();
        for source in 0..classes {
            self.found
                .compared((analysis.universe.nodes() - classes) as u64);
            for destination in classes..analysis.universe.nodes() {
                let value = analysis.network.egress_value(source, destination);
                if let Some(outcome) = plaintext(analysis, value, false) {
                    self.record(analysis, source, destination, Relation::Plaintext, &outcome);
                }
            }
        }
    }

    /// Connections to Services behind waypoints.
    fn through_waypoints(&mut self, analysis: &mut Analysis<'_, '_>) {
        let setting = analysis.setting;
        for (&index, &place) in &setting.waypoints.of_service {
            let Some(service) = setting.world.services.get(index) else {
                continue;
            };
            let pod = setting.pods_of_waypoint(place);
            let Some(waypoint) = pod.and_then(|w| analysis.universe.class_of(w)) else {
                continue;
            };
            let at_waypoint = self.authorizer.attached_to(service);
            for workload in setting.backends(service) {
                let Some(class) = analysis.universe.class_of(workload) else {
                    continue;
                };
                if analysis.speakers.receivers.contains(class) {
                    let targets = setting.targets(service, workload);
                    self.through(analysis, waypoint, at_waypoint, class, &targets);
                }
            }
        }
    }

    fn through(
        &mut self,
        analysis: &mut Analysis<'_, '_>,
        waypoint: Node,
        at_waypoint: SelectionId,
        class: Node,
        service_ports: &[(u16, PortSet)],
    ) {
        let last = analysis.value(waypoint, class);
        let Some(&waypoint_party) = analysis.party_of.get(waypoint) else {
            return;
        };
        let senders = analysis.speakers.senders.ones();
        let senders: Vec<Node> = senders
            .filter(|&s| analysis.waypoint_at(s).is_none())
            .collect();
        for selection in self.authorizer.selections(analysis, class) {
            let at_server = self
                .authorizer
                .authorized(analysis, selection, waypoint_party);
            for &source in &senders {
                self.found.compared(1);
                let first = analysis.value(source, waypoint);
                let today = analysis.value(source, class);
                let Some(&party) = analysis.party_of.get(source) else {
                    continue;
                };
                let first_stop = self.authorizer.authorized(analysis, at_waypoint, party);
                let direct = self.authorizer.authorized(analysis, selection, party);
                let at_server = &self.authorizer.get(at_server).after;
                let at_waypoint = &self.authorizer.get(first_stop).after;
                // A look-up of DNS over TCP is answered or passed on before it gets here.
                let asked = service_ports.iter().filter(|(port, _)| {
                    *port != ports::DNS || analysis.speakers.uncaptured_dns.contains(source)
                });
                let universe: PortSet = asked.clone().map(|(_, target)| target.clone()).collect();
                let universe = universe.intersection(&analysis.tunnelled);
                let through: PortSet = asked
                    .filter(|(port, _)| at_waypoint.contains(Protocol::Tcp, *port))
                    .map(|(_, target)| target.intersection(at_server))
                    .collect();
                let side = |before, first, last| {
                    let open = analysis.opens_tunnel(first) && analysis.opens_tunnel(last);
                    let after = if open {
                        through.intersection(&universe)
                    } else {
                        PortSet::none()
                    };
                    (analysis.sets.get(before).intersection(&universe), after)
                };
                let low = side(today.before.low, first.after.low, last.after.low);
                let high = side(today.before.high, first.after.high, last.after.high);
                let people = &self.authorizer.get(direct).people;
                if let Some(outcome) = outcome(&low, &high, people) {
                    self.record(analysis, source, class, Relation::Waypoint, &outcome);
                }
            }
        }
    }

    fn record(
        &mut self,
        analysis: &Analysis<'_, '_>,
        source: Node,
        destination: Node,
        relation: Relation,
        outcome: &Outcome,
    ) {
        if source == destination && analysis.is_one_pod(source) {
            return;
        }
        let verdict = if outcome.uncertain {
            Verdict::Unknown
        } else if outcome.lost.is_empty() {
            Verdict::Gained
        } else {
            Verdict::Lost
        };
        let cause = if outcome.uncertain {
            Cause::AddressBlock
        } else {
            Cause::Policies
        };
        self.found.add(
            analysis,
            Difference {
                source,
                destination,
                relation,
                verdict,
                cause,
                outcome: outcome.clone(),
            },
        );
    }
}

impl Outcome {
    /// The same, apart from some ports; `None` when nothing is left.
    fn without(&self, ports: &PortSet) -> Option<Self> {
        let rest = |set: &PortSet| set.difference(ports);
        let (lost, gained) = (rest(&self.lost), rest(&self.gained));
        let differs = !lost.is_empty() || !gained.is_empty() || self.uncertain;
        differs.then(|| Self {
            before: rest(&self.before),
            after: rest(&self.after),
            lost,
            gained,
            uncertain: self.uncertain,
        })
    }
}

/// The plaintext relation: nothing may change but the tunnel's port, and that only where nothing
/// listens on it.
fn plaintext(analysis: &Analysis<'_, '_>, value: Value, listens: bool) -> Option<Outcome> {
    if value.before == value.after {
        return None;
    }
    let tunnel = PortSet::port(Protocol::Tcp, ports::HBONE);
    let side = |before, after| {
        let (before, after) = (analysis.sets.get(before), analysis.sets.get(after));
        let after = if listens {
            after.clone()
        } else {
            after
                .difference(&tunnel)
                .union(&before.intersection(&tunnel))
        };
        (before.clone(), after)
    };
    // The policies grant the same before and after but for the tunnel's port, so whether a peer
    // matches decides both sides alike: the bounds are compared one by one.
    let low = side(value.before.low, value.after.low);
    let high = side(value.before.high, value.after.high);
    let everything = PortSet::all();
    let mut found =
        outcome(&low, &low, &everything).or_else(|| outcome(&high, &high, &everything))?;
    found.uncertain = false;
    Some(found)
}

/// The tunnel relation.
fn tunnel(analysis: &Analysis<'_, '_>, value: Value, authorized: &Authorized) -> Option<Outcome> {
    let side = |before, after| {
        let before = analysis.sets.get(before).intersection(&analysis.tunnelled);
        let open = analysis.opens_tunnel(after);
        let carried = authorized.after.intersection(&analysis.tunnelled);
        (before, if open { carried } else { PortSet::none() })
    };
    let low = side(value.before.low, value.after.low);
    let high = side(value.before.high, value.after.high);
    outcome(&low, &high, &authorized.people)
}

/// What is allowed before and after.
type Sides = (PortSet, PortSet);

/// Compares both bounds. `people` is what policies that are in force today leave of what the
/// network policies allow.
fn outcome(low: &Sides, high: &Sides, people: &PortSet) -> Option<Outcome> {
    let uncertain = low.0 != high.0 || low.1 != high.1;
    let delta = |(before, after): &Sides| {
        let lost = before.intersection(people).difference(after);
        (lost, after.difference(before))
    };
    let ((lost_low, gained_low), (lost_high, gained_high)) = (delta(low), delta(high));
    let lost = lost_low.union(&lost_high);
    let gained = gained_low.union(&gained_high);
    let (before, after) = high.clone();
    if lost.is_empty() && gained.is_empty() && !(uncertain && low.0 != before) {
        return None;
    }
    Some(Outcome {
        before,
        after,
        lost,
        gained,
        uncertain,
    })
}
