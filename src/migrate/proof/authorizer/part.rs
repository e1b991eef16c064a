//! Clients that policies treat alike, with what they may use.

use fixedbitset::FixedBitSet;

use crate::authz::{Allowance, Decision};
use crate::migrate::analysis::Analysis;
use crate::migrate::proof::outcome::Outcome;
use crate::netpol::PortSet;

/// What AuthorizationPolicies let a client use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Authorized {
    /// Once everything is in place.
    pub(crate) after: Allowance,
    /// Today, as far as something enforces policies.
    pub(crate) today: Allowance,
    /// What tunnels carry today, where network policies let the client reach them: more than these
    /// list, where people opened the tunnel's port themselves.
    pub(crate) carried: Allowance,
}

/// Clients that a list of policies treats alike.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) authorized: Authorized,
    /// The same in each reading of what policies leave in doubt that are enforced today and go on to
    /// be: whatever they say is said today and afterwards.
    pub(super) readings: Option<Box<[Authorized; 2]>>,
    /// The classes that they are.
    pub(crate) nodes: FixedBitSet,
}

impl Part {
    /// How something differs that depends on what policies let the clients use.
    pub(crate) fn outcome(&self, of: impl Fn(&Authorized) -> Option<Outcome>) -> Option<Outcome> {
        match &self.readings {
            Some(readings) => {
                let [one, other] = &**readings;
                Outcome::in_either(of(one), of(other))
            }
            None => of(&self.authorized),
        }
    }
}

/// The classes that decide alike, where nothing enforces policies today.
pub(super) fn only_after(analysis: &Analysis<'_, '_>, decision: &Decision) -> Vec<Part> {
    let classes = analysis.universe.classes().len();
    let mut rest = FixedBitSet::with_capacity(classes);
    rest.insert_range(..);
    let part = |after: &Allowance, nodes| Part {
        authorized: Authorized {
            after: after.clone(),
            today: Allowance::all(),
            carried: Allowance::exactly(PortSet::none()),
        },
        readings: None,
        nodes,
    };
    // The largest part is what the others leave.
    let largest = decision
        .iter()
        .max_by_key(|(_, members)| members.count_ones(..));
    let mut parts = Vec::with_capacity(decision.len());
    for (after, members) in decision {
        if largest.is_some_and(|(l, _)| l == after) {
            continue;
        }
        let mut nodes = FixedBitSet::with_capacity(classes);
        nodes.extend(analysis.nodes_of(members));
        rest.difference_with(&nodes);
        parts.push(part(after, nodes));
    }
    parts.extend(largest.map(|(after, _)| part(after, rest)));
    parts
}
