//! Between pods in the mesh: what passed before passes the tunnel, or the waypoint, and no more.

use std::collections::{BTreeMap, BTreeSet};

use kubectl_ambient::model::Protocol;
use kubectl_ambient::plan::Relation;

use super::Case;
use super::claims::Pair;
use super::in_the_clear::{entering, past_sidecar};
use super::passage::{is_look_up, pass_tunnel, pass_way, travels};
use super::subjects::Subject;
use super::ways::{Way, ways};
use crate::reference::{Party, Port, refused_by_ztunnel};

/// The tunnel's own port, which a sidecar leaves to whoever listens there.
const TUNNEL: u16 = 15008;

/// What became of every port of every pair in every relation that governs it.
#[derive(Default)]
pub(super) struct Fates {
    pub(super) by_pair: BTreeMap<Pair, BTreeMap<Port, Fate>>,
    pub(super) flows: u64,
}

/// What became of one port of a pair, over all its pods.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fate {
    pub(super) gained: Certainty,
    pub(super) lost: Certainty,
}

/// In how many readings of the manifests something is so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Certainty {
    #[default]
    Never,
    Sometimes,
    Always,
}

/// Answers about one port of one pair of pods, over the readings.
#[derive(Default)]
struct Tally {
    readings: u32,
    gained: u32,
    lost: u32,
}

impl Tally {
    /// Counts one reading. `was`: it passed before, which may excuse that it passes; `now`: it passes
    /// after.
    fn count(&mut self, was: bool, excuses: bool, now: bool) {
        self.readings += 1;
        self.gained += u32::from(!excuses && now);
        self.lost += u32::from(was && !now);
    }

    fn fate(&self) -> Fate {
        let certainty = |count| match count {
            0 => Certainty::Never,
            n if n == self.readings => Certainty::Always,
            _ => Certainty::Sometimes,
        };
        Fate {
            gained: certainty(self.gained),
            lost: certainty(self.lost),
        }
    }
}

impl Fates {
    /// Compares a pair of workloads in the relations of the mesh.
    pub(super) fn compare(
        &mut self,
        case: &Case<'_>,
        ports: &BTreeSet<Port>,
        source: &Subject,
        destination: &Subject,
    ) {
        let pair = |relation| (source.name.clone(), destination.name.clone(), relation);
        let tcp: Vec<u16> = ports
            .iter()
            .filter(|p| p.protocol == Protocol::Tcp)
            .map(|p| p.number)
            .collect();
        if destination.behind_sidecar {
            for &port in tcp.iter().filter(|&&port| port != TUNNEL) {
                let mut tally = Tally::default();
                for (from, to) in source.with(destination) {
                    for (was, now) in past_sidecar(case, (source, from), (destination, to), port) {
                        tally.count(was, was, now);
                        self.flows += 1;
                    }
                }
                self.add(pair(Relation::Plaintext), port, &tally);
            }
        }
        if !source.sends {
            for &port in tcp
                .iter()
                .filter(|&&port| destination.in_mesh && port != TUNNEL)
            {
                let mut tally = Tally::default();
                for (from, to) in source.with(destination) {
                    let client = (Party::Pod(from), Some((from, source.vouched)));
                    for (was, now) in entering(case, client, (destination, to), port) {
                        tally.count(was, was, now);
                        self.flows += 1;
                    }
                }
                self.add(pair(Relation::Plaintext), port, &tally);
            }
            return;
        }
        let plain = !destination.in_mesh;
        let ends = (source, destination);
        let mut through_tunnel: BTreeMap<u16, Tally> = BTreeMap::new();
        // A port can be reached by several ways, each of which is compared.
        let mut through_waypoint: BTreeMap<(u16, Way), Tally> = BTreeMap::new();
        for pods in source.with(destination) {
            let (from, to) = pods;
            let direct = tcp
                .iter()
                .filter(|_| destination.takes_tunnel != Some(false));
            for &port in direct.filter(|&&port| travels(from, port, port)) {
                let tally = through_tunnel.entry(port).or_default();
                for (was, excuses, now) in pass_tunnel(case, ends, pods, port) {
                    tally.count(was, excuses, now);
                    self.flows += 1;
                }
            }
            for way in ways(case, to, &tcp, plain) {
                // By its address a pod is asked for through a waypoint only if it takes the tunnel.
                let by_address = way.service.is_none();
                let is_refused = match destination.takes_tunnel {
                    Some(true) => refused_by_ztunnel(way.target_port),
                    _ => by_address,
                };
                if !is_look_up(from, way.asked_port) && !is_refused {
                    let tally = through_waypoint.entry((way.target_port, way.clone()));
                    let tally = tally.or_default();
                    for (was, excuses, now) in pass_way(case, ends, pods, &way) {
                        tally.count(was, excuses, now);
                        self.flows += 1;
                    }
                }
            }
        }
        for (port, tally) in &through_tunnel {
            self.add(pair(Relation::Tunnel), *port, tally);
        }
        for ((port, _), tally) in &through_waypoint {
            self.add(pair(Relation::Waypoint), *port, tally);
        }
    }

    fn add(&mut self, pair: Pair, port: u16, tally: &Tally) {
        let ports = self.by_pair.entry(pair).or_default();
        let known = ports.entry(Port::tcp(port)).or_default();
        let fate = tally.fate();
        known.gained = known.gained.max(fate.gained);
        known.lost = known.lost.max(fate.lost);
    }
}
