//! The direct way in the clear to pods behind a sidecar.
//!
//! A sidecar presents the identity of its pod to the sidecar that receives. ztunnel does so in the
//! tunnel alone, and sends in the clear to whoever does not take it: then the client has no identity.
//! And a sidecar that is gone after a restart enforces nothing any more. What decides in the tunnel is
//! compared where that is.

use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;

use super::authorizer::{Anonymous, Guard};
use super::change::Change;
use super::differences::{Differences, To};
use crate::authz::Allowance;
use crate::migrate::analysis::Analysis;
use crate::migrate::setting::role::Role;
use crate::netpol::Node;
use crate::plan::Relation;

/// What a sidecar learns of clients, today and afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Client {
    /// Whether a proxy presents an identity for them; `None` when the input does not tell.
    vouched: Option<bool>,
    joins: bool,
    /// Their proxy is there after a restart too.
    keeps_proxy: bool,
}

/// Clients that sidecars learn the same of.
pub(crate) struct Clients(BTreeMap<Client, FixedBitSet>);

/// Whether a client presents its identity, today and afterwards.
type Presented = (bool, bool);

impl Clients {
    /// Everybody but waypoints: what these send is compared with what is sent through them.
    pub(crate) fn of(analysis: &Analysis<'_, '_>) -> Self {
        let mut clients: BTreeMap<Client, FixedBitSet> = BTreeMap::new();
        let nodes = analysis.universe.nodes();
        for node in (0..nodes).filter(|&n| analysis.waypoint_at(n).is_none()) {
            let class = analysis.universe.classes().get(node);
            let workload = class.and_then(|c| c.workloads.first());
            let part = workload.and_then(|&w| analysis.setting.part_of(w));
            let client = part.map_or(Client::OUTSIDE, |part| Client {
                vouched: part.client_today.vouched,
                joins: part.joins,
                keeps_proxy: part.keeps_proxy,
            });
            let alike = clients.entry(client);
            alike
                .or_insert_with(|| FixedBitSet::with_capacity(nodes))
                .insert(node);
        }
        Self(clients)
    }
}

impl Client {
    const OUTSIDE: Self = Self {
        vouched: Some(false),
        joins: false,
        keeps_proxy: true,
    };

    /// All that may come to pass at a server in the clear, and whether it is known which.
    fn presented(self, server: Role) -> (Vec<Presented>, bool) {
        let today: &[bool] = match self.vouched {
            Some(true) => &[true],
            Some(false) => &[false],
            None => &[true, false],
        };
        let afterwards = |vouched: bool| {
            let in_the_clear = !self.joins || !server.surely_receives();
            let loses = self.joins || !self.keeps_proxy;
            let keeps = !self.joins || server.perhaps_receives;
            let loses = (loses && in_the_clear).then_some(false);
            loses.into_iter().chain(keeps.then_some(vouched))
        };
        let all = today
            .iter()
            .flat_map(|&t| afterwards(t).map(move |a| (t, a)));
        let mut all: Vec<Presented> = all.collect();
        all.dedup();
        let is_known = all.len() == 1;
        (all, is_known)
    }
}

/// Compares what everybody may send in the clear to workloads of a class, all of which are behind a
/// sidecar or may be.
pub(crate) fn compare(
    analysis: &Analysis<'_, '_>,
    clients: &Clients,
    guard: &Guard,
    (class, workloads): (Node, &[usize]),
    found: &mut Differences,
) {
    let first = workloads.first();
    let role = first.map(|&w| analysis.setting.role(w)).unwrap_or_default();
    let to = To::workloads(analysis, class, workloads, Relation::Plaintext);
    for (client, alike) in &clients.0 {
        let (presented, is_known) = client.presented(role);
        let is_certain = is_known && guard.surely && guard.stays;
        let mut add = |identified: &Allowance, members: Option<&FixedBitSet>, plain: &Anonymous| {
            let change = change_of(guard, plain, identified, &presented);
            if change.is_none() {
                return;
            }
            for (value, sources) in analysis.sources_of(class) {
                let mut nodes = sources.clone();
                nodes.intersect_with(alike);
                nodes.intersect_with(&plain.nodes);
                if let Some(members) = members {
                    nodes.intersect_with(members);
                }
                if nodes.contains(class) && analysis.is_one_pod(class) {
                    nodes.set(class, false);
                }
                let outcome = change.outcome(analysis, *value, is_certain);
                if let Some(outcome) = outcome.filter(|_| !nodes.is_clear()) {
                    found.add(analysis, nodes, &to, &outcome);
                }
            }
        };
        if presented.iter().any(|(today, _)| *today) {
            for (identified, members) in &guard.identified {
                for plain in &guard.anonymous {
                    add(identified, Some(members), plain);
                }
            }
        } else {
            for plain in &guard.anonymous {
                add(&plain.today, None, plain);
            }
        }
    }
}

/// All that may come to pass together.
fn change_of(
    guard: &Guard,
    plain: &Anonymous,
    identified: &Allowance,
    presented: &[Presented],
) -> Change {
    let everything = Allowance::all();
    let mut all = Change::default();
    for &(today, afterwards) in presented {
        let is_same = today == afterwards;
        let today = if today { identified } else { &plain.today };
        // What the policies of people leave open they leave open alike where nothing changes.
        if !afterwards && (!is_same || plain.after != plain.today) {
            all.consider(today, &plain.after);
        }
        if !guard.stays {
            all.consider(today, &everything);
        }
    }
    all
}
