//! What sidecars enforce today.

use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;

use super::{Authorized, Part, allowance};
use crate::authz::{Allowance, Crowd, Decision, Selected};
use crate::migrate::analysis::Analysis;
use crate::migrate::setting::interception::of_sidecar_itself;
use crate::netpol::PortSet;

/// What sidecars enforce, where there may be some.
pub(super) struct EnforcedToday<'p> {
    /// The policies of people.
    pub(super) policies: Selected<'p>,
    /// What the mode of mutual TLS leaves clients without an identity.
    pub(super) plaintext: Allowance,
    /// Where nobody has an identity, because mutual TLS is switched off.
    pub(super) unidentified: Allowance,
    /// What clients reach past them.
    pub(super) past: PortSet,
    /// Whether there surely are sidecars.
    pub(super) surely: bool,
    /// Whether they stay, where the pods stay out of the mesh.
    pub(super) stays: bool,
}

impl EnforcedToday<'_> {
    pub(super) fn today(&self, crowd: &Crowd<'_>) -> Today {
        let by_identity = self.policies.decide(crowd);
        Today {
            anonymous: self.anonymous(&by_identity, crowd),
            by_identity,
            unidentified: self.unidentified.clone(),
            past: self.past.clone(),
            surely: self.surely,
        }
    }

    /// What clients without an identity may use.
    pub(super) fn anonymous(&self, decision: &Decision, crowd: &Crowd<'_>) -> Allowance {
        let decided = allowance(decision, crowd.anonymous());
        let decided = decided.unwrap_or_else(Allowance::all);
        Allowance {
            low: decided.low.intersection(&self.plaintext.low),
            high: decided.high.intersection(&self.plaintext.high),
        }
        .with(&self.past)
    }
}

/// What sidecars at a destination enforce today.
pub(super) struct Today {
    pub(super) by_identity: Decision,
    pub(super) anonymous: Allowance,
    pub(super) unidentified: Allowance,
    /// What clients reach past them.
    pub(super) past: PortSet,
    /// Whether there surely are some.
    pub(super) surely: bool,
}

impl Today {
    /// The classes that decide alike, today and afterwards.
    pub(super) fn with(&self, analysis: &Analysis<'_, '_>, decision: &Decision) -> Vec<Part> {
        let classes = analysis.universe.classes().len();
        let mut parts: BTreeMap<Authorized, FixedBitSet> = BTreeMap::new();
        for (after, members) in decision {
            for (today, same) in &self.by_identity {
                let mut members = members.clone();
                members.intersect_with(same);
                for node in analysis.nodes_of(&members) {
                    let authorized = Authorized {
                        after: after.clone(),
                        today: self.compared(today, analysis.is_vouched_for(node), after),
                    };
                    let nodes = parts.entry(authorized);
                    nodes
                        .or_insert_with(|| FixedBitSet::with_capacity(classes))
                        .insert(node);
                }
            }
        }
        let parts = parts.into_iter();
        parts
            .map(|(authorized, nodes)| Part { authorized, nodes })
            .collect()
    }

    /// What a client may use, to be compared with what it may use afterwards. What sidecars serve
    /// themselves goes with them, and is no connection of the pods.
    pub(super) fn compared(
        &self,
        identified: &Allowance,
        vouched: Option<bool>,
        after: &Allowance,
    ) -> Allowance {
        let today = self.of(identified, vouched);
        let of_sidecars = Allowance {
            low: after.low.clone(),
            high: if self.surely {
                after.high.clone()
            } else {
                today.high.clone()
            },
        };
        today.replaced(&of_sidecar_itself(), &of_sidecars)
    }

    /// `vouched`: whether the client has a proxy today, which presents its identity where it is
    /// asked for.
    pub(super) fn of(&self, identified: &Allowance, vouched: Option<bool>) -> Allowance {
        let anonymous = &self.anonymous;
        let identified = self.where_identified(identified);
        let enforced = match vouched {
            Some(true) => identified,
            Some(false) => anonymous.clone(),
            None => Allowance {
                low: identified.low.intersection(&anonymous.low),
                high: identified.high.union(&anonymous.high),
            },
        };
        Allowance {
            low: enforced.low,
            high: if self.surely {
                enforced.high
            } else {
                Allowance::all().high
            },
        }
    }

    /// What a client with an identity may use, given that it has none on some ports.
    pub(super) fn where_identified(&self, identified: &Allowance) -> Allowance {
        let (anonymous, hidden) = (&self.anonymous, &self.unidentified);
        let either_way = identified.low.intersection(&anonymous.low);
        let low = identified.low.difference(&hidden.high);
        let high = identified.high.difference(&hidden.low);
        Allowance {
            low: low
                .union(&anonymous.low.intersection(&hidden.low))
                .union(&either_way),
            high: high.union(&anonymous.high.intersection(&hidden.high)),
        }
        .with(&self.past)
    }
}
