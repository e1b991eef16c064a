//! What is enforced today: by sidecars, and by ztunnel and waypoints where pods are in the mesh
//! already.

use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;

use super::in_force::{InForce, Plaintext, Sidecar, TunnelEnd};
use super::sidecar::{SidecarToday, one_if};
use super::{Authorized, Part, allowance, of_member};
use crate::authz::{Allowance, Crowd, Decision, Enforcer, Selected};
use crate::migrate::analysis::Analysis;
use crate::migrate::setting::interception::of_sidecar_itself;
use crate::migrate::setting::role::ClientToday;
use crate::model::{Action, AuthorizationPolicy};
use crate::netpol::PortSet;

/// What may decide, with the policies of people.
pub(super) struct EnforcedToday<'p> {
    nothing: bool,
    sidecar: Option<(Sidecar, Selected<'p>)>,
    tunnel: Option<(TunnelEnd, Selected<'p>)>,
    carries: Option<Carries<'p>>,
}

/// What decides about what tunnels carry today, with the limits of earlier runs.
struct Carries<'p> {
    existing: Selected<'p>,
    /// Limits alone: those of earlier runs, and those that there will be.
    limits: [Selected<'p>; 2],
    /// Whether there surely are some.
    surely: bool,
    /// Whether all clients come through the tunnel.
    knows_all: bool,
}

impl InForce {
    pub(super) const NOTHING: Self = Self {
        nothing: true,
        sidecar: None,
        tunnel: None,
    };

    /// With the policies that apply, those that there will be and all that exist. Nothing decides where
    /// there is nothing to decide by.
    pub(super) fn with<'p>(
        &self,
        after: &[&'p AuthorizationPolicy],
        existing: &[&'p AuthorizationPolicy],
    ) -> Option<EnforcedToday<'p>> {
        let people = after.iter().copied().filter(|p| !p.meta.is_ours());
        let people: Vec<&AuthorizationPolicy> = people.collect();
        let lets_all_in = |end: &TunnelEnd| {
            let is_judged = match &end.plaintext {
                Plaintext::Judged(accepted) => *accepted != Allowance::all(),
                Plaintext::Past | Plaintext::Never => false,
            };
            !is_judged && people.is_empty()
        };
        let (open, tunnel) = match &self.tunnel {
            Some(end) if lets_all_in(end) => (true, None),
            tunnel => (false, tunnel.as_ref()),
        };
        let listed = |enforcer| Selected::listed(people.iter().copied(), enforcer);
        let ours = |policies: &[&'p AuthorizationPolicy], enforcer| {
            let ours = policies.iter().copied().filter(|p| p.meta.is_ours());
            Selected::listed(ours, enforcer)
        };
        let carries = self.tunnel.as_ref().map(|end| Carries {
            existing: Selected::listed(existing.iter().copied(), end.enforcer),
            limits: [existing, after].map(|policies| ours(policies, end.enforcer)),
            surely: !self.nothing && self.sidecar.is_none(),
            knows_all: end.plaintext == Plaintext::Never,
        });
        let enforced = EnforcedToday {
            nothing: self.nothing || open,
            sidecar: self.sidecar.clone().map(|s| (s, listed(Enforcer::Envoy))),
            tunnel: tunnel.map(|end| (end.clone(), listed(end.enforcer))),
            carries,
        };
        let decides = enforced.sidecar.is_some() || enforced.carries.is_some();
        decides.then_some(enforced)
    }
}

impl EnforcedToday<'_> {
    /// What is decided; of clients without an identity, about pods.
    pub(super) fn today(&self, crowd: &Crowd<'_>) -> Today {
        Today {
            nothing: self.nothing,
            sidecar: self.sidecar.as_ref().map(|(sidecar, policies)| {
                let by_identity = policies.decide(crowd);
                SidecarToday {
                    anonymous: sidecar.anonymous(&by_identity, crowd.plain_pod()),
                    by_identity,
                    sidecar: sidecar.clone(),
                }
            }),
            tunnel: self.tunnel.as_ref().map(|(end, policies)| {
                let by_identity = policies.decide(crowd);
                TunnelToday {
                    anonymous: end.anonymous(&by_identity, crowd.plain_pod()),
                    by_identity,
                }
            }),
            carries: self.carries.as_ref().map(|carries| CarriedToday {
                by_identity: carries.existing.decide(crowd),
                limits: self.limits_in_doubt(carries, crowd),
                surely: carries.surely,
                knows_all: carries.knows_all,
            }),
        }
    }

    /// What limits alone decide, where policies of people that are enforced today leave a doubt and
    /// limits only add to what they refuse.
    fn limits_in_doubt(&self, carries: &Carries<'_>, crowd: &Crowd<'_>) -> Option<[Decision; 2]> {
        let (_, people) = self.tunnel.as_ref().filter(|_| self.goes_on())?;
        let [before, after] = &carries.limits;
        let is_refusing = !before.have(Action::Allow) && !after.have(Action::Allow);
        let doubts = |(allowance, _): &(Allowance, _)| allowance.low != allowance.high;
        let in_doubt = is_refusing && people.decide(crowd).iter().any(doubts);
        in_doubt.then(|| [before, after].map(|limits| limits.decide(crowd)))
    }

    /// Whether a ztunnel or waypoint surely enforces policies, which it goes on to.
    pub(super) fn goes_on(&self) -> bool {
        let carries = self.carries.as_ref();
        self.tunnel.is_some() && carries.is_some_and(|c| c.surely)
    }

    /// The sidecar, if there is one, with the policies that it enforces.
    pub(super) fn sidecar(&self) -> Option<&(Sidecar, Selected<'_>)> {
        self.sidecar.as_ref()
    }

    /// Whether there surely is a sidecar.
    pub(super) fn surely_sidecar(&self) -> bool {
        !self.nothing && self.tunnel.is_none()
    }
}

impl Sidecar {
    /// What one of the crowd may use that presents no identity.
    pub(super) fn anonymous(&self, decision: &Decision, member: usize) -> Allowance {
        let decided = allowance(decision, member);
        let decided = decided.unwrap_or_else(Allowance::all);
        decided.both(&self.plaintext).with(&self.past)
    }
}

impl TunnelEnd {
    /// The same, where some present none.
    fn anonymous(&self, decision: &Decision, member: usize) -> Option<Allowance> {
        match &self.plaintext {
            Plaintext::Judged(accepted) => {
                let decided = allowance(decision, member);
                Some(decided.unwrap_or_else(Allowance::all).both(accepted))
            }
            Plaintext::Past => Some(Allowance::all()),
            Plaintext::Never => None,
        }
    }
}

/// What is decided about connections to pods today.
#[derive(Clone)]
pub(super) struct Today {
    nothing: bool,
    pub(super) sidecar: Option<SidecarToday>,
    tunnel: Option<TunnelToday>,
    carries: Option<CarriedToday>,
}

/// What is decided about what tunnels carry.
#[derive(Clone)]
struct CarriedToday {
    by_identity: Decision,
    /// What limits alone decide today and afterwards, where the policies of people leave a doubt.
    limits: Option<[Decision; 2]>,
    surely: bool,
    knows_all: bool,
}

/// What a ztunnel or waypoint decides.
#[derive(Clone)]
struct TunnelToday {
    by_identity: Decision,
    /// What clients without an identity may use; `None` where all have one.
    anonymous: Option<Allowance>,
}

/// What a client may use that is known, by who decides.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Identified<'t> {
    sidecar: Option<&'t Allowance>,
    tunnel: Option<&'t Allowance>,
    /// In the tunnel, with the limits of earlier runs.
    carried: Option<&'t Allowance>,
    /// By these limits alone, and by those that there will be, where they are asked.
    limits: Option<[&'t Allowance; 2]>,
}

impl<'t> Identified<'t> {
    /// The same, whoever decides.
    pub(super) fn everywhere(allowance: &'t Allowance) -> Self {
        Self {
            sidecar: Some(allowance),
            tunnel: Some(allowance),
            carried: Some(allowance),
            limits: None,
        }
    }
}

impl Today {
    /// The same for those whom ztunnel does not see.
    pub(super) fn past_ztunnel(&self) -> Self {
        Self {
            nothing: self.nothing || self.tunnel.is_some(),
            sidecar: self.sidecar.clone(),
            tunnel: None,
            carries: None,
        }
    }

    /// The same, with what is decided about one of the crowd that presents no identity.
    pub(super) fn about(&self, enforced: &EnforcedToday<'_>, member: usize) -> Self {
        let mut today = self.clone();
        if let Some(by) = &mut today.sidecar {
            by.anonymous = by.sidecar.anonymous(&by.by_identity, member);
        }
        if let (Some(by), Some((end, _))) = (&mut today.tunnel, &enforced.tunnel) {
            by.anonymous = end.anonymous(&by.by_identity, member);
        }
        today
    }

    /// What is decided about everybody, by all who may decide.
    pub(super) fn decisions(&self) -> impl Iterator<Item = &Decision> {
        let sidecar = self.sidecar.as_ref().map(|s| &s.by_identity);
        let tunnel = self.tunnel.as_ref().map(|t| &t.by_identity);
        sidecar.into_iter().chain(tunnel)
    }

    /// The classes that decide alike, today and afterwards.
    pub(super) fn with(&self, analysis: &Analysis<'_, '_>, decision: &Decision) -> Vec<Part> {
        let classes = analysis.universe.classes().len();
        let mut parts: BTreeMap<(Authorized, Option<[Authorized; 2]>), FixedBitSet> =
            BTreeMap::new();
        for (after, members) in decision {
            for (identified, members) in self.apart(members) {
                let mut nodes = FixedBitSet::with_capacity(classes);
                nodes.extend(analysis.nodes_of(&members));
                for (client, alike) in &analysis.clients_today {
                    let mut nodes = nodes.clone();
                    nodes.intersect_with(alike);
                    if nodes.is_clear() {
                        continue;
                    }
                    let authorized = Authorized {
                        after: after.clone(),
                        today: self.compared(identified, *client, after),
                        carried: self.carried(identified, *client),
                    };
                    let readings = self.readings(&authorized, identified, *client);
                    let part = parts.entry((authorized, readings));
                    part.or_insert_with(|| FixedBitSet::with_capacity(classes))
                        .union_with(&nodes);
                }
            }
        }
        let parts = parts.into_iter();
        parts
            .map(|((authorized, readings), nodes)| Part {
                authorized,
                readings: readings.map(Box::new),
                nodes,
            })
            .collect()
    }

    /// The same where policies of people leave a doubt that is the same today and afterwards, because
    /// whoever enforces them goes on: what they let through in the doubt, and what they refuse.
    fn readings(
        &self,
        authorized: &Authorized,
        identified: Identified<'_>,
        client: ClientToday,
    ) -> Option<[Authorized; 2]> {
        let [before, after] = identified.limits?;
        let people = identified.tunnel?;
        let is_known = self.carries.as_ref().is_some_and(|c| c.knows_all);
        if client.tunnels != Some(true) && !is_known {
            return None;
        }
        let doubt = people.high.difference(&people.low);
        let everything = Allowance::all();
        let nothing = Allowance::exactly(PortSet::none());
        let reading = |[today, before, after]: [&Allowance; 3]| Authorized {
            after: authorized.after.replaced(&doubt, after),
            today: authorized.today.replaced(&doubt, today),
            carried: authorized.carried.replaced(&doubt, before),
        };
        let differs = !doubt.is_empty();
        let granted = [&everything, before, after];
        differs.then(|| [granted, [&nothing; 3]].map(reading))
    }

    /// Some of the crowd, in groups that are treated alike where they are known.
    fn apart<'t>(&'t self, members: &FixedBitSet) -> Vec<(Identified<'t>, FixedBitSet)> {
        let mut groups = vec![(Identified::default(), members.clone())];
        if let Some(sidecar) = &self.sidecar {
            let by = |known, sidecar| Identified {
                sidecar: Some(sidecar),
                ..known
            };
            groups = split(&groups, &sidecar.by_identity, by);
        }
        if let Some(end) = &self.tunnel {
            let by = |known, tunnel| Identified {
                tunnel: Some(tunnel),
                ..known
            };
            groups = split(&groups, &end.by_identity, by);
        }
        if let Some(carries) = &self.carries {
            let by = |known, carried| Identified {
                carried: Some(carried),
                ..known
            };
            groups = split(&groups, &carries.by_identity, by);
            if let Some([before, after]) = &carries.limits {
                let by = |known, limit| Identified {
                    limits: Some([limit, limit]),
                    ..known
                };
                groups = split(&groups, before, by);
                let by = |known: Identified<'t>, limit| Identified {
                    limits: known.limits.map(|[before, _]| [before, limit]),
                    ..known
                };
                groups = split(&groups, after, by);
            }
        }
        groups
    }

    /// What one of the crowd may use where it is known.
    pub(super) fn identified(&self, member: usize) -> Identified<'_> {
        let sidecar = self.sidecar.as_ref().map(|s| &s.by_identity);
        let tunnel = self.tunnel.as_ref().map(|t| &t.by_identity);
        let carries = self.carries.as_ref().map(|c| &c.by_identity);
        Identified {
            sidecar: sidecar.and_then(|s| of_member(s, member)),
            tunnel: tunnel.and_then(|t| of_member(t, member)),
            carried: carries.and_then(|c| of_member(c, member)),
            limits: None,
        }
    }

    /// What the tunnel carries today for a client, if network policies let it reach the tunnel.
    pub(super) fn carried(&self, identified: Identified<'_>, client: ClientToday) -> Allowance {
        let nothing = || Allowance::exactly(PortSet::none());
        let Some((end, carried)) = self.carries.as_ref().zip(identified.carried) else {
            return nothing();
        };
        let tunnels = if end.knows_all {
            Some(true)
        } else {
            client.tunnels
        };
        match tunnels {
            Some(false) => nothing(),
            Some(true) if end.surely => carried.clone(),
            _ => carried.either(&nothing()),
        }
    }

    /// What a client may use.
    pub(super) fn of(&self, identified: Identified<'_>, client: ClientToday) -> Allowance {
        let sidecar = self
            .sidecar
            .as_ref()
            .map(|s| s.of(identified.sidecar, client));
        self.one_of(sidecar, identified, client)
    }

    /// The same, to be compared with what it may use afterwards. What sidecars serve themselves goes
    /// with them, and is no connection of the pods.
    pub(super) fn compared(
        &self,
        identified: Identified<'_>,
        client: ClientToday,
        after: &Allowance,
    ) -> Allowance {
        let sidecar = self.sidecar.as_ref();
        let sidecar = sidecar.map(|s| s.of(identified.sidecar, client));
        let sidecar = sidecar.map(|s| s.replaced(&of_sidecar_itself(), after));
        self.one_of(sidecar, identified, client)
    }

    fn one_of(
        &self,
        sidecar: Option<Allowance>,
        identified: Identified<'_>,
        client: ClientToday,
    ) -> Allowance {
        let nothing = self.nothing.then(Allowance::all);
        let tunnel = self.tunnel.as_ref().map(|t| t.of(identified, client));
        let possible = nothing.into_iter().chain(sidecar).chain(tunnel);
        possible
            .reduce(|one, other| one.either(&other))
            .unwrap_or_else(Allowance::all)
    }
}

/// Groups of the crowd, cut into those that a decision treats alike.
fn split<'t>(
    groups: &[(Identified<'t>, FixedBitSet)],
    decision: &'t Decision,
    by: impl Fn(Identified<'t>, &'t Allowance) -> Identified<'t>,
) -> Vec<(Identified<'t>, FixedBitSet)> {
    let cut = groups.iter().flat_map(|(known, members)| {
        decision.iter().map(|(allowance, same)| {
            let mut members = members.clone();
            members.intersect_with(same);
            (by(*known, allowance), members)
        })
    });
    cut.filter(|(_, members)| !members.is_clear()).collect()
}

impl TunnelToday {
    fn of(&self, identified: Identified<'_>, client: ClientToday) -> Allowance {
        let everything = Allowance::all();
        let identified = identified.tunnel.unwrap_or(&everything);
        match &self.anonymous {
            Some(anonymous) => one_if(client.tunnels, identified, anonymous),
            None => identified.clone(),
        }
    }
}
