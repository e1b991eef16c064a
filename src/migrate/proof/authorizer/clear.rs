//! What is let in that comes in the clear.

use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;

use super::today::{Identified, Today};
use super::{Authorizer, Receiver, SelectionId, allowance};
use crate::authz::{Allowance, Decision};
use crate::migrate::analysis::Analysis;
use crate::migrate::proof::change::Change;
use crate::migrate::proof::entering::{self, Entering};
use crate::migrate::setting::role::ClientToday;
use crate::netpol::PortSet;

/// What the sidecars of pods decide about connections in the clear.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Today, for clients that present an identity: those that are treated alike.
    pub(crate) identified: Vec<(Allowance, FixedBitSet)>,
    /// For those that do not.
    pub(crate) anonymous: Vec<Anonymous>,
    /// Whether there surely are sidecars.
    pub(crate) surely: bool,
    /// Whether they stay, if there are some.
    pub(crate) stays: bool,
}

/// What clients that present no identity are let in to.
#[derive(Debug)]
pub(crate) struct Anonymous {
    /// Those that are treated alike.
    pub(crate) nodes: FixedBitSet,
    /// Today.
    pub(crate) today: Allowance,
    /// Once everything is in place.
    pub(crate) after: Allowance,
}

impl Authorizer<'_> {
    /// What pods that stay out of the mesh let clients without an identity use once everything is in
    /// place. Their sidecars enforce policies as they do today; those that their namespace asks for
    /// last until the pods restart, and the plan ends that in the namespaces that it enrols.
    pub(crate) fn in_the_clear(&self, selection: SelectionId) -> Allowance {
        let enforced = self.selections[selection.0].today.as_ref();
        let Some((enforced, (sidecar, policies))) = enforced.and_then(|e| Some((e, e.sidecar()?)))
        else {
            return Allowance::all();
        };
        let decision = policies.decide(self.crowd);
        let anonymous = sidecar.anonymous(&decision, self.crowd.plain_pod());
        Allowance {
            low: anonymous.low,
            high: if enforced.surely_sidecar() && sidecar.stays {
                anonymous.high
            } else {
                Allowance::all().high
            },
        }
    }

    /// What decides about connections in the clear to pods behind sidecars, as long as they have them.
    pub(crate) fn guard(
        &self,
        analysis: &Analysis<'_, '_>,
        selection: SelectionId,
    ) -> Option<Guard> {
        let selection = &self.selections[selection.0];
        let enforced = selection.today.as_ref()?;
        let (sidecar, _) = enforced.sidecar()?;
        let after = selection.after.decide(self.crowd);
        let today = enforced.today(self.crowd);
        let decisions: Vec<&Decision> = today.decisions().chain([&after]).collect();
        let anonymous = self.plain_alike(&decisions);
        let anonymous = anonymous.into_iter().filter_map(|(member, nodes)| {
            let about = today.about(enforced, member).sidecar?;
            Some(Anonymous {
                nodes,
                today: about.anonymous,
                after: sidecar.anonymous(&after, member),
            })
        });
        let anonymous = anonymous.collect();
        let today = today.sidecar?;
        let identified = today.by_identity.iter().map(|(allowance, members)| {
            let mut nodes = FixedBitSet::with_capacity(analysis.universe.nodes());
            nodes.extend(analysis.nodes_of(members));
            (today.where_identified(allowance), nodes)
        });
        Some(Guard {
            identified: identified.collect(),
            anonymous,
            surely: enforced.surely_sidecar(),
            stays: sidecar.stays,
        })
    }

    /// Everybody as one who presents no identity, in groups that these decisions treat alike: one of
    /// the crowd that stands for it, and its nodes.
    fn plain_alike(&self, decisions: &[&Decision]) -> Vec<(usize, FixedBitSet)> {
        let mut groups: BTreeMap<Vec<Option<usize>>, (usize, FixedBitSet)> = BTreeMap::new();
        for (member, nodes) in &self.plain {
            let part = |decision: &&Decision| {
                let mut parts = decision.iter();
                parts.position(|(_, members)| members.contains(*member))
            };
            let alike = groups.entry(decisions.iter().map(part).collect());
            let empty = || (*member, FixedBitSet::with_capacity(nodes.len()));
            alike.or_insert_with(empty).1.union_with(nodes);
        }
        groups.into_values().collect()
    }

    /// How ztunnel changes what becomes of plaintext at pods where it is what receives, by what
    /// policies decide there.
    pub(crate) fn entering(&self, selection: SelectionId, decision: &Decision) -> Option<Entering> {
        let selection = &self.selections[selection.0];
        if selection.receiver == Receiver::Other {
            return None;
        }
        let enforced = selection.today.as_ref();
        let today = enforced.map(|e| (e, e.today(self.crowd)));
        let decisions = today.iter().flat_map(|(_, today)| today.decisions());
        let decisions: Vec<&Decision> = decisions.chain([decision]).collect();
        let alike = self.plain_alike(&decisions);
        let parts = alike.into_iter().map(|(member, nodes)| {
            let after = match &selection.receiver {
                Receiver::Ztunnel(accepted) => {
                    let decided = allowance(decision, member);
                    decided.unwrap_or_else(Allowance::all).both(accepted)
                }
                Receiver::Application | Receiver::Other => Allowance::all(),
            };
            let today = today.as_ref().map(|(e, today)| today.about(e, member));
            entering_of(nodes, today.as_ref(), &after)
        });
        Some(Entering {
            parts: parts.collect(),
        })
    }
}

/// What changes for clients that policies treat alike, where they present no identity.
fn entering_of(nodes: FixedBitSet, today: Option<&Today>, after: &Allowance) -> entering::Part {
    let anybody = Allowance {
        low: PortSet::none(),
        high: Allowance::all().high,
    };
    let consider = |change: &mut Change, today: Option<&Today>, vouched, after| {
        let client = ClientToday {
            vouched,
            tunnels: Some(false),
        };
        let identified = Identified::everywhere(&anybody);
        let today = today.map_or_else(Allowance::all, |today| {
            today.compared(identified, client, after)
        });
        change.consider(&today, after);
    };
    let change = |vouched| {
        let mut change = Change::default();
        consider(&mut change, today, vouched, after);
        change
    };
    let mut on_host = change(Some(false));
    let past_ztunnel = today.map(Today::past_ztunnel);
    let everything = Allowance::all();
    consider(
        &mut on_host,
        past_ztunnel.as_ref(),
        Some(false),
        &everything,
    );
    entering::Part {
        alone: change(Some(false)),
        perhaps_vouched: change(None),
        on_host,
        nodes,
    }
}
