//! How what is allowed after differs from what is allowed before.

use crate::authz::Allowance;
use crate::netpol::PortSet;
use crate::plan::Verdict;

/// Both sides of a comparison, in one reading of the network policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Side {
    /// What the network policies allow today.
    pub(super) before: PortSet,
    /// What gets through afterwards.
    pub(super) after: Allowance,
}

/// What keeps a difference from being certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doubt {
    /// Whether a peer of a network policy matches.
    Peer,
    /// Whether an AuthorizationPolicy matches, or is in force today.
    Authorization,
}

/// A difference, within the ports that its relation is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Allowed today, at the most.
    pub(super) before: PortSet,
    /// Allowed afterwards, at the most.
    pub(super) after: PortSet,
    /// Perhaps lost.
    pub(super) lost: PortSet,
    /// Perhaps gained.
    pub(super) gained: PortSet,
    /// `None` when what is perhaps so is so.
    pub(super) doubt: Option<Doubt>,
    /// The ports that are in question, when there is doubt. Between the two extreme readings are
    /// others, in which some peers match and some do not, so these are all whose answer depends on
    /// a peer.
    pub(super) question: PortSet,
    /// What is lost gets as far as the AuthorizationPolicies, which refuse it.
    pub(super) refused: bool,
}

/// Compares the two extreme readings. `today` is what AuthorizationPolicies that are in force today
/// leave of what the network policies allow.
pub(super) fn compare_sides(low: &Side, high: &Side, today: &Allowance) -> Option<Outcome> {
    let peers_in_doubt = low.before != high.before || low.after != high.after;
    let (mut lost, mut gained) = (PortSet::none(), PortSet::none());
    let mut certain = true;
    for side in [low, high] {
        let limited = |set: &PortSet| {
            // Policies of authorization know TCP only.
            side.before.intersection(set)
        };
        let (surely, perhaps) = (limited(&today.low), limited(&today.high));
        let perhaps_lost = perhaps.difference(&side.after.low);
        let perhaps_gained = side.after.high.difference(&surely);
        certain &= perhaps_lost == surely.difference(&side.after.high);
        certain &= perhaps_gained == side.after.low.difference(&perhaps);
        lost = lost.union(&perhaps_lost);
        gained = gained.union(&perhaps_gained);
    }
    let open = peers_in_doubt && low.before != high.before;
    if lost.is_empty() && gained.is_empty() && !open {
        return None;
    }
    let doubt = if peers_in_doubt {
        Some(Doubt::Peer)
    } else if certain {
        None
    } else {
        Some(Doubt::Authorization)
    };
    let before = high.before.intersection(&today.high);
    let question = if peers_in_doubt {
        let surely = low.before.intersection(&today.low);
        let alike = surely.intersection(&low.after.low);
        before.union(&high.after.high).difference(&alike)
    } else {
        lost.union(&gained)
    };
    Some(Outcome {
        before,
        after: high.after.high.clone(),
        question,
        lost,
        gained,
        doubt,
        refused: false,
    })
}

impl Outcome {
    /// The same, apart from some ports; `None` when nothing is left.
    pub(super) fn without(&self, ports: &PortSet) -> Option<Self> {
        let rest = |set: &PortSet| set.difference(ports);
        let outcome = Self {
            before: rest(&self.before),
            after: rest(&self.after),
            lost: rest(&self.lost),
            gained: rest(&self.gained),
            question: rest(&self.question),
            ..*self
        };
        outcome.is_something().then_some(outcome)
    }

    /// The same without gains of some ports; `None` when nothing is left.
    pub(super) fn without_gains(&self, ports: &PortSet) -> Option<Self> {
        let outcome = Self {
            gained: self.gained.difference(ports),
            question: self.question.difference(ports),
            ..self.clone()
        };
        outcome.is_something().then_some(outcome)
    }

    fn is_something(&self) -> bool {
        !self.lost.is_empty() || !self.gained.is_empty() || !self.question.is_empty()
    }

    /// The verdicts, each with the ports that it is about.
    pub(super) fn verdicts(&self) -> Vec<(Verdict, PortSet)> {
        if self.doubt.is_some() {
            return vec![(Verdict::Unknown, self.question.clone())];
        }
        let sides = [(Verdict::Lost, &self.lost), (Verdict::Gained, &self.gained)];
        let there = sides.into_iter().filter(|(_, ports)| !ports.is_empty());
        there.map(|(v, ports)| (v, ports.clone())).collect()
    }
}
