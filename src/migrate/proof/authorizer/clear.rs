//! What is let in that comes in the clear.

use fixedbitset::FixedBitSet;

use super::today::{Identified, Today};
use super::{Authorizer, Receiver, SelectionId, allowance};
use crate::authz::{Allowance, Decision};
use crate::migrate::analysis::Analysis;
use crate::migrate::proof::change::Change;
use crate::migrate::proof::entering::Entering;
use crate::migrate::setting::role::ClientToday;
use crate::netpol::PortSet;

/// What the sidecars of pods decide about connections in the clear.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Today, for clients that present an identity: those that are treated alike.
    pub(crate) identified: Vec<(Allowance, FixedBitSet)>,
    /// Today, for those that do not.
    pub(crate) anonymous: Allowance,
    /// The same once everything is in place.
    pub(crate) after: Allowance,
    /// Whether there surely are sidecars.
    pub(crate) surely: bool,
    /// Whether they stay, if there are some.
    pub(crate) stays: bool,
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
        let anonymous = sidecar.anonymous(&decision, self.crowd);
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
        let today = enforced.today(self.crowd).sidecar?;
        let identified = today.by_identity.iter().map(|(allowance, members)| {
            let mut nodes = FixedBitSet::with_capacity(analysis.universe.nodes());
            nodes.extend(analysis.nodes_of(members));
            (today.where_identified(allowance), nodes)
        });
        Some(Guard {
            identified: identified.collect(),
            after: sidecar.anonymous(&after, self.crowd),
            anonymous: today.anonymous.clone(),
            surely: enforced.surely_sidecar(),
            stays: sidecar.stays,
        })
    }

    /// How ztunnel changes what becomes of plaintext at pods where it is what receives, by what
    /// policies decide there.
    pub(crate) fn entering(&self, selection: SelectionId, decision: &Decision) -> Option<Entering> {
        let selection = &self.selections[selection.0];
        let after = match &selection.receiver {
            Receiver::Other => return None,
            Receiver::Application => Allowance::all(),
            Receiver::Ztunnel(accepted) => {
                let decided = allowance(decision, self.crowd.anonymous());
                decided.unwrap_or_else(Allowance::all).both(accepted)
            }
        };
        let anybody = Allowance {
            low: PortSet::none(),
            high: Allowance::all().high,
        };
        let enforced = selection.today.as_ref();
        let enforced = enforced.map(|enforced| enforced.today(self.crowd));
        let past_ztunnel = enforced.as_ref().map(Today::past_ztunnel);
        let consider = |change: &mut Change, enforced: &Option<Today>, vouched, after| {
            let client = ClientToday {
                vouched,
                tunnels: Some(false),
            };
            let identified = Identified::everywhere(&anybody);
            let today = enforced.as_ref().map_or_else(Allowance::all, |enforced| {
                enforced.compared(identified, client, after)
            });
            change.consider(&today, after);
        };
        let change = |vouched| {
            let mut change = Change::default();
            consider(&mut change, &enforced, vouched, &after);
            change
        };
        let mut on_host = change(Some(false));
        let everything = Allowance::all();
        consider(&mut on_host, &past_ztunnel, Some(false), &everything);
        Some(Entering {
            alone: change(Some(false)),
            perhaps_vouched: change(None),
            on_host,
        })
    }
}
