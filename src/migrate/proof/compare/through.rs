//! Connections through waypoints.

use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;

use super::{Comparer, is_doubtful};
use crate::authz::Allowance;
use crate::migrate::analysis::Analysis;
use crate::migrate::analysis::ways::{Asked, Way};
use crate::migrate::proof::authorizer::{Authorizer, Part, SelectionId};
use crate::migrate::proof::differences::To;
use crate::migrate::proof::outcome::Outcome;
use crate::migrate::proof::relations::Hops;
use crate::migrate::setting::Taken;
use crate::netpol::Node;
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
                        let hops = Hops {
                            today: *today,
                            first: *first,
                            last,
                            at_waypoint: &part.authorized.after,
                            at_server: &at_server,
                        };
                        let led = |dns| {
                            let at_waypoint = &part.authorized.today;
                            way.led_to(at_waypoint, dns, analysis).both(&passed_on)
                        };
                        let otherwise = otherwise.as_ref().map(|(way, end)| (way, end));
                        for like in self.alike(&nodes, direct, through, led) {
                            let outcome = outcome_of(analysis, way, &hops, otherwise, &like);
                            self.add(&like.nodes, &to, outcome);
                        }
                    }
                }
            }
        }
    }

    /// Clients that use a way alike today, given what leads through the waypoint with and without
    /// look-ups of DNS.
    fn alike(
        &self,
        nodes: &FixedBitSet,
        direct: &[Part],
        through: &Through<'_>,
        led: impl Fn(bool) -> Allowance,
    ) -> Vec<Alike> {
        let mut alike = Vec::new();
        for part in direct {
            let mut nodes = nodes.clone();
            nodes.intersect_with(&part.nodes);
            let direct = &part.authorized.today;
            for (nodes, takes_it) in self.by_way_today(&nodes, through) {
                for (nodes, dns) in self.by_dns(&nodes) {
                    if nodes.is_clear() {
                        continue;
                    }
                    let today = match takes_it {
                        Some(false) => direct.clone(),
                        Some(true) => led(dns),
                        None => direct.either(&led(dns)),
                    };
                    alike.push(Alike { nodes, dns, today });
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
struct Alike {
    nodes: FixedBitSet,
    /// Whether their look-ups of DNS go this way too.
    dns: bool,
    /// What policies of Istio let them use.
    today: Allowance,
}

/// What changes for them. `otherwise`: how the way ends if the server takes the tunnel and was not
/// known to, or does not.
fn outcome_of(
    analysis: &Analysis<'_, '_>,
    way: &Way,
    hops: &Hops<'_>,
    otherwise: Option<(&Way, &Allowance)>,
    alike: &Alike,
) -> Option<Outcome> {
    let outcome = hops.outcome(analysis, way, &alike.today, alike.dns);
    let Some((other_way, at_server)) = otherwise else {
        return outcome;
    };
    let hops = Hops { at_server, ..*hops };
    let other = hops.outcome(analysis, other_way, &alike.today, alike.dns);
    let told = outcome.map(|o| o.if_taken(other.as_ref()));
    // What both come to is told of the one in the clear.
    if way.plain {
        told
    } else {
        told.and_then(Outcome::without_what_is_certain)
    }
}
