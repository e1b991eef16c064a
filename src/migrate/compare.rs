//! The proof: before against after, for every pair and in every relation.
//!
//! A pair is governed by the plaintext relation until both its ends are enrolled, and by the tunnel
//! (or waypoint) relation from then on, whatever else is enrolled. So equality of these relations
//! with what is allowed today covers every order of enrolment.

use std::collections::BTreeMap;

use ambient_facts::ports;

use super::analysis::{Analysis, written_by_people};
use super::causes::{Cause, Difference, Differences};
use super::restore::{Limits, targets};
use crate::authz::{Client, Identity, Party, Selected, allowed};
use crate::model::{AuthorizationPolicy, Protocol};
use crate::netpol::{Node, PortSet, Value};
use crate::plan::{Relation, Verdict};

/// Compares everything.
pub(super) fn compare(analysis: &mut Analysis<'_, '_>, limits: &Limits) -> Differences {
    let world = &*analysis.setting.world;
    let new: Vec<&AuthorizationPolicy> = limits.policies.iter().map(|l| &l.policy).collect();
    // Ours of earlier runs that are not written again stay where they are.
    let ours = world.authorization_policies.iter().filter(|p| {
        p.meta.is_ours()
            && !new
                .iter()
                .any(|n| n.meta.name == p.meta.name && n.meta.namespace == p.meta.namespace)
    });
    let after: Vec<&AuthorizationPolicy> = written_by_people(&world.authorization_policies)
        .chain(ours)
        .chain(new.clone())
        .collect();
    let mut comparer = Comparer {
        after,
        found: Differences::default(),
        clients: BTreeMap::new(),
    };
    for class in 0..analysis.universe.classes().len() {
        comparer.connections_to(analysis, class);
    }
    comparer.connections_outward(analysis);
    comparer.through_waypoints(analysis);
    comparer.found
}

struct Comparer<'p> {
    /// AuthorizationPolicies after.
    after: Vec<&'p AuthorizationPolicy>,
    found: Differences,
    /// Remembered decisions, by the policies' places in `after` and the client.
    clients: BTreeMap<(Vec<usize>, Party), Authorized>,
}

/// What AuthorizationPolicies let a client use.
#[derive(Clone)]
struct Authorized {
    /// All policies after.
    after: PortSet,
    /// Those of people alone, which are in force today.
    people: PortSet,
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

impl Comparer<'_> {
    /// All connections to a class, in plaintext and through the tunnel.
    fn connections_to(&mut self, analysis: &mut Analysis<'_, '_>, class: Node) {
        let groups = analysis.network.sources_of(class, &mut analysis.sets);
        let nodes = analysis.universe.nodes();
        self.found.compared(nodes as u64);
        let listens = analysis
            .declared(class)
            .contains(Protocol::Tcp, ports::HBONE)
            && analysis.waypoint_at(class).is_none();
        for (value, sources) in &groups {
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
        for places in self.selections(analysis, class) {
            for (value, sources) in &groups {
                let mut outcomes: BTreeMap<Party, Option<Outcome>> = BTreeMap::new();
                for source in sources.intersection(&analysis.speakers.senders) {
                    if analysis.waypoint_at(source).is_some() {
                        continue;
                    }
                    let party = if places.is_empty() {
                        nobody()
                    } else {
                        analysis.party(source)
                    };
                    let outcome = outcomes.entry(party.clone()).or_insert_with(|| {
                        let authorized = self.authorized(&places, &party);
                        tunnel(analysis, *value, &authorized)
                    });
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
            let at_waypoint: Vec<usize> = self
                .after
                .iter()
                .enumerate()
                .filter(|(_, p)| {
                    p.meta.namespace == service.meta.namespace && targets(p, &service.meta.name)
                })
                .map(|(i, _)| i)
                .collect();
            for workload in setting.backends(service) {
                let Some(class) = analysis.universe.class_of(workload) else {
                    continue;
                };
                if analysis.speakers.receivers.contains(class) {
                    let targets = setting.targets(service, workload);
                    self.through(analysis, waypoint, &at_waypoint, class, &targets);
                }
            }
        }
    }

    fn through(
        &mut self,
        analysis: &mut Analysis<'_, '_>,
        waypoint: Node,
        at_waypoint: &[usize],
        class: Node,
        service_ports: &[(u16, PortSet)],
    ) {
        let last = analysis.value(waypoint, class);
        let waypoint_party = analysis.party(waypoint);
        let senders = analysis.speakers.senders.ones();
        let senders: Vec<Node> = senders
            .filter(|&s| analysis.waypoint_at(s).is_none())
            .collect();
        for places in self.selections(analysis, class) {
            let at_server = self.authorized(&places, &waypoint_party);
            for &source in &senders {
                self.found.compared(1);
                let first = analysis.value(source, waypoint);
                let today = analysis.value(source, class);
                let at_waypoint = self.authorized(at_waypoint, &analysis.party(source));
                // A look-up of DNS over TCP is answered or passed on before it gets here.
                let asked = service_ports.iter().filter(|(port, _)| {
                    *port != ports::DNS || analysis.speakers.uncaptured_dns.contains(source)
                });
                let universe: PortSet = asked.clone().map(|(_, target)| target.clone()).collect();
                let universe = universe.intersection(&analysis.tunnelled);
                let through: PortSet = asked
                    .filter(|(port, _)| at_waypoint.after.contains(Protocol::Tcp, *port))
                    .map(|(_, target)| target.intersection(&at_server.after))
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
                let people = self.direct(analysis, class, source).people;
                if let Some(outcome) = outcome(&low, &high, &people) {
                    self.record(analysis, source, class, Relation::Waypoint, &outcome);
                }
            }
        }
    }

    /// What the policies of people let a client use at a class today.
    fn direct(&mut self, analysis: &Analysis<'_, '_>, class: Node, source: Node) -> Authorized {
        let places = self
            .selections(analysis, class)
            .into_iter()
            .next()
            .unwrap_or_default();
        self.authorized(&places, &analysis.party(source))
    }

    /// The places in `after` of the policies that apply to the pods of a class. More than one list
    /// when its pods differ in labels that only AuthorizationPolicies look at.
    fn selections(&self, analysis: &Analysis<'_, '_>, class: Node) -> Vec<Vec<usize>> {
        let world = &*analysis.setting.world;
        let mut selections: Vec<Vec<usize>> = Vec::new();
        for &workload in &analysis.universe.classes()[class].workloads {
            let Some(workload) = world.workloads.get(workload) else {
                continue;
            };
            let places: Vec<usize> = (0..self.after.len())
                .filter(|&i| {
                    let one = self.after.get(i).copied();
                    let selected =
                        Selected::of(one, &workload.meta.namespace, &workload.pod.labels);
                    !selected.is_empty()
                })
                .collect();
            if !selections.contains(&places) {
                selections.push(places);
            }
        }
        selections
    }

    fn authorized(&mut self, places: &[usize], party: &Party) -> Authorized {
        let key = (places.to_vec(), party.clone());
        if let Some(known) = self.clients.get(&key) {
            return known.clone();
        }
        let namespace = party.namespace.as_str();
        let identity = match &party.service_account {
            Some(service_account) => Identity::Workload {
                namespace,
                service_account,
            },
            None => Identity::SomeoneIn { namespace },
        };
        let client = Client {
            identity,
            address: None,
        };
        let policies = || places.iter().filter_map(|&i| self.after.get(i).copied());
        let people = policies().filter(|p| !p.meta.is_ours());
        let authorized = Authorized {
            after: allowed(&Selected::listed(policies()), &client),
            people: allowed(&Selected::listed(people), &client),
        };
        self.clients.insert(key, authorized.clone());
        authorized
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

/// A client that stands for all where no policy asks who it is.
fn nobody() -> Party {
    Party {
        namespace: String::new(),
        service_account: None,
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
