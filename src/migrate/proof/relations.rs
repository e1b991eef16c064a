//! The three relations: what one connection may be before and after, in the clear, through the
//! tunnel, and through a waypoint.

use ambient_facts::ports;

use super::authorizer::Authorized;
use super::outcome::{Outcome, Side, compare_sides};
use crate::authz::Allowance;
use crate::migrate::analysis::Analysis;
use crate::migrate::analysis::ways::Way;
use crate::model::Protocol;
use crate::netpol::{PortSet, PortSetId, PortSets, Value};

/// The plaintext relation: nothing may change but the tunnel's port, and that only where nothing
/// listens on it.
pub(crate) fn plaintext(
    analysis: &Analysis<'_, '_>,
    value: Value,
    listens: bool,
) -> Option<Outcome> {
    if !value.changes() {
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
    let lost = more(before.low, after.high);
    let gained = more(after.low, before.high);
    let perhaps = more(before.low, after.low)
        .union(&more(before.high, after.high))
        .union(&more(value.gained, PortSets::NONE));
    let of_tunnel = set(before.high).intersection(&tunnel);
    let outcome = Outcome {
        before: set(before.high).clone(),
        after: counted(set(after.high).clone()).union(&of_tunnel),
        by_peer: perhaps.difference(&lost).difference(&gained),
        lost,
        gained,
        ..Outcome::default()
    };
    outcome.or_none()
}

/// The tunnel relation.
pub(crate) fn tunnel(
    analysis: &Analysis<'_, '_>,
    value: Value,
    authorized: &Authorized,
) -> Option<Outcome> {
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
    let carried = |before, carried: &PortSet| {
        if analysis.opens_tunnel(before) {
            carried.intersection(&analysis.tunnelled)
        } else {
            PortSet::none()
        }
    };
    let carried = Allowance {
        low: carried(value.before.low, &authorized.carried.low),
        high: carried(value.before.high, &authorized.carried.high),
    };
    let mut outcome = compare_sides(
        &low,
        &high,
        &authorized.today,
        (&carried, analysis.setting.is_new),
    )?;
    outcome.refused = analysis.opens_tunnel(value.after.low);
    Some(outcome)
}

/// The waypoint relation: what decides about a connection through a waypoint.
pub(crate) struct Hops<'h> {
    /// Between the client and the server.
    pub(crate) today: Value,
    /// Between the client and the waypoint.
    pub(crate) first: Value,
    /// Between the waypoint and the server.
    pub(crate) last: Value,
    pub(crate) at_waypoint: &'h Allowance,
    pub(crate) at_server: &'h Allowance,
}

/// What is let through today of connections that may go through a waypoint.
pub(crate) struct Today {
    /// Of what network policies list, by policies of Istio.
    pub(crate) allowed: Allowance,
    /// By the tunnel straight to the server, where network policies let it be reached.
    pub(crate) direct: Allowance,
    /// By the waypoint, where they let that be reached, and it the server.
    pub(crate) led: Allowance,
}

impl Hops<'_> {
    pub(crate) fn outcome(
        &self,
        analysis: &Analysis<'_, '_>,
        way: &Way,
        today: &Today,
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
        let carried = |ports: [&PortSet; 2], by: [PortSetId; 3]| {
            let [direct, through] = ports;
            let [to_server, to_waypoint, from_waypoint] = by.map(|set| analysis.opens_tunnel(set));
            let direct = to_server.then_some(direct);
            let through = (to_waypoint && from_waypoint).then_some(through);
            let carried = direct.into_iter().chain(through);
            let carried = carried.fold(PortSet::none(), |all, ports| all.union(ports));
            carried.intersection(&universe)
        };
        let hops = [self.today.before, self.first.before, self.last.before];
        let carried = Allowance {
            low: carried([&today.direct.low, &today.led.low], hops.map(|v| v.low)),
            high: carried([&today.direct.high, &today.led.high], hops.map(|v| v.high)),
        };
        let mut outcome = compare_sides(
            &low,
            &high,
            &today.allowed,
            (&carried, analysis.setting.is_new),
        )?;
        let leaves = way.plain || analysis.opens_tunnel(last.low);
        outcome.refused = analysis.opens_tunnel(first.low) && leaves;
        Some(outcome)
    }
}
