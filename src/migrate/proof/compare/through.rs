//! Connections through waypoints.

use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;

use super::{Comparer, is_doubtful};
use crate::authz::Allowance;
use crate::migrate::analysis::Analysis;
use crate::migrate::analysis::ways::{Asked, Way};
use crate::migrate::proof::authorizer::{Authorized, Authorizer, Part, PassedOn, SelectionId};
use crate::migrate::proof::differences::To;
use crate::migrate::proof::outcome::Outcome;
use crate::migrate::proof::relations::{Hops, Today};
use crate::migrate::setting::Taken;
use crate::netpol::Node;
use crate::netpol::PortSet;
use crate::plan::Relation;

/// A way to a class, and where policies apply on it.
pub(super) struct Through<'a> {
    pub(super) class: Node,
    pub(super) way: &'a Way,
    /// Its place among the ways to the class.
    pub(super) place: usize,
    pub(super) at_waypoint: SelectionId,
    /// Whether those in the mesh come this way today.
    pub(super) is_used_today: bool,
    pub(super) at_server: Vec<(SelectionId, Vec<usize>)>,
}

pub(super) fn ways<'a>(
    analysis: &'a Analysis<'_, '_>,
    authorizer: &mut Authorizer<'_>,
) -> Vec<Through<'a>> {
    let setting = analysis.setting;
    let mut ways = Vec::new();
    for class in 0..analysis.universe.classes().len() {
        for (place, way) in analysis.ways_to(class).iter().enumerate() {
            let Some(serving) = setting.waypoints.all.get(way.waypoint) else {
                continue;
            };
            let first = analysis.universe.classes().get(class);
            let first = first.and_then(|c| c.workloads.first());
            let (service, taken) = match way.asked {
                Asked::Service { service, .. } => {
                    let object = setting.world.services.get(service);
                    (object, Some(Taken::Service(service)))
                }
                Asked::Pod => (None, first.map(|&w| Taken::Pods(w))),
            };
            let is_used_today = taken.is_some_and(|t| setting.is_used_today(way.waypoint, t));
            ways.push(Through {
                class,
                way,
                place,
                at_waypoint: authorizer.at_waypoint(serving, service, is_used_today),
                is_used_today,
                at_server: authorizer.selections(analysis, class),
            });
        }
    }
    ways
}

impl Comparer<'_, '_, '_, '_, '_> {
    /// Connections to a class on one way through pods of a waypoint, any of which may be the one
    /// that takes a connection.
    pub(super) fn through(&mut self, through: &Through<'_>, waypoint: Node) {
        let Through { class, way, .. } = *through;
        let analysis = self.analysis;
        let last = analysis.value_at(waypoint, class);
        let parts = self.authorizer.parts(analysis, through.at_waypoint);
        let today = analysis.all_sources_of(class);
        let first = analysis.all_sources_of(waypoint);
        for (selection, workloads) in &through.at_server {
            let at_the_end_of = |way: &Way| {
                if way.plain {
                    self.authorizer.in_the_clear(*selection)
                } else {
                    self.authorizer.party(analysis, *selection, waypoint)
                }
            };
            let at_server = at_the_end_of(way);
            let otherwise = is_doubtful(analysis, workloads).then(|| {
                let plain = !way.plain;
                let way = Way {
                    plain,
                    ..way.clone()
                };
                let at_server = at_the_end_of(&way);
                (way, at_server)
            });
            let direct = self.authorizer.parts(analysis, *selection);
            let passed_on = self
                .authorizer
                .passed_on_today(analysis, *selection, waypoint, &at_server);
            let to = To {
                way: Some(through.place),
                ..To::workloads(analysis, class, workloads, Relation::Waypoint)
            };
            for (today, nodes) in &today {
                let mut nodes = nodes.clone();
                nodes.intersect_with(&analysis.speakers.clients);
                for (first, entering) in &first {
                    for part in parts {
                        let mut nodes = nodes.clone();
                        nodes.intersect_with(entering);
                        nodes.intersect_with(&part.nodes);
                        if nodes.is_clear() {
                            continue;
                        }
                        let otherwise = otherwise.as_ref().map(|(way, end)| (way, end));
                        for like in self.alike(&nodes, direct, through) {
                            let outcome = part.outcome(|authorized| {
                                let hops = Hops {
                                    today: *today,
                                    first: *first,
                                    last,
                                    at_waypoint: &authorized.after,
                                    at_server: &at_server,
                                };
                                let today = like.today(way, authorized, &passed_on, analysis);
                                let alike = (&today, like.dns);
                                outcome_of(analysis, way, &hops, otherwise, alike)
                            });
                            self.add(&like.nodes, &to, outcome);
                        }
                    }
                }
            }
        }
    }

    /// Clients that use a way alike today.
    fn alike<'d>(
        &self,
        nodes: &FixedBitSet,
        direct: &'d [Part],
        through: &Through<'_>,
    ) -> Vec<Alike<'d>> {
        let mut alike = Vec::new();
        for part in direct {
            let mut nodes = nodes.clone();
            nodes.intersect_with(&part.nodes);
            for (nodes, takes_it) in self.by_way_today(&nodes, through) {
                for (nodes, dns) in self.by_dns(&nodes) {
                    if !nodes.is_clear() {
                        alike.push(Alike {
                            nodes,
                            dns,
                            direct: &part.authorized,
                            takes_it,
                        });
                    }
                }
            }
        }
        alike
    }

    /// Nodes that take a way today, those that do not, and those of which it is not known.
    fn by_way_today(
        &self,
        nodes: &FixedBitSet,
        through: &Through<'_>,
    ) -> Vec<(FixedBitSet, Option<bool>)> {
        if !through.is_used_today {
            return vec![(nodes.clone(), Some(false))];
        }
        let mut apart: BTreeMap<Option<bool>, FixedBitSet> = BTreeMap::new();
        for node in nodes.ones() {
            let takes_it = self.analysis.takes_waypoints_today(node);
            apart.entry(takes_it).or_default().grow_and_insert(node);
        }
        let apart = apart.into_iter();
        apart.map(|(takes_it, nodes)| (nodes, takes_it)).collect()
    }
}

/// Clients that are treated alike today on a way.
struct Alike<'d> {
    nodes: FixedBitSet,
    /// Whether their look-ups of DNS go this way too.
    dns: bool,
    /// What they may use of the server without the waypoint.
    direct: &'d Authorized,
    /// Whether they come this way today.
    takes_it: Option<bool>,
}

impl Alike<'_> {
    /// What is let through of them today, given what policies decide about them at the waypoint, and
    /// about the waypoint at the server.
    fn today(
        &self,
        way: &Way,
        at_waypoint: &Authorized,
        passed_on: &PassedOn,
        analysis: &Analysis<'_, '_>,
    ) -> Today {
        let nothing = Allowance::exactly(PortSet::none());
        let led = || {
            let by_people = way.led_to(&at_waypoint.today, self.dns, analysis);
            let carried = way.led_to(&at_waypoint.carried, self.dns, analysis);
            PassedOn {
                allowed: by_people.both(&passed_on.allowed),
                carried: carried.both(&passed_on.carried),
            }
        };
        let direct = self.direct;
        match self.takes_it {
            Some(false) => Today {
                allowed: direct.today.clone(),
                direct: direct.carried.clone(),
                led: nothing,
            },
            Some(true) => {
                let led = led();
                Today {
                    allowed: led.allowed,
                    direct: nothing,
                    led: led.carried,
                }
            }
            None => {
                let led = led();
                Today {
                    allowed: direct.today.either(&led.allowed),
                    direct: direct.carried.either(&nothing),
                    led: led.carried.either(&nothing),
                }
            }
        }
    }
}

/// What changes for them. `otherwise`: how the way ends if the server takes the tunnel and was not
/// known to, or does not.
fn outcome_of(
    analysis: &Analysis<'_, '_>,
    way: &Way,
    hops: &Hops<'_>,
    otherwise: Option<(&Way, &Allowance)>,
    (today, dns): (&Today, bool),
) -> Option<Outcome> {
    let outcome = hops.outcome(analysis, way, today, dns);
    let Some((other_way, at_server)) = otherwise else {
        return outcome;
    };
    let hops = Hops { at_server, ..*hops };
    let other = hops.outcome(analysis, other_way, today, dns);
    let told = outcome.map(|o| o.if_taken(other.as_ref()));
    // What both come to is told of the one in the clear.
    if way.plain {
        told
    } else {
        told.and_then(Outcome::without_what_is_certain)
    }
}
