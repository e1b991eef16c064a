//! How those who decide about connections in the clear change their minds: what lets in a client today,
//! and what does so afterwards.

use ambient_facts::ports;

use super::outcome::Outcome;
use crate::authz::Allowance;
use crate::migrate::analysis::Analysis;
use crate::model::Protocol;
use crate::netpol::{PortSet, Value};

/// All that may come to pass together.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Change {
    before: PortSet,
    after: PortSet,
    lost: PortSet,
    gained: PortSet,
    /// Whether it does is not known.
    perhaps: PortSet,
}

impl Change {
    /// Adds one thing that may come to pass: this is let in today, and that afterwards.
    pub(crate) fn consider(&mut self, today: &Allowance, after: &Allowance) {
        let lost = today.low.difference(&after.high);
        let gained = after.low.difference(&today.high);
        let either = today.high.union(&after.high);
        let perhaps = either.difference(&today.low.intersection(&after.low));
        let perhaps = perhaps.difference(&lost).difference(&gained);
        self.before = self.before.union(&today.high);
        self.after = self.after.union(&after.high);
        self.lost = self.lost.union(&lost);
        self.gained = self.gained.union(&gained);
        self.perhaps = self.perhaps.union(&perhaps);
    }

    /// Whether nothing changes in any case.
    pub(crate) fn is_none(&self) -> bool {
        let differs = [&self.lost, &self.gained, &self.perhaps];
        differs.iter().all(|ports| ports.is_empty())
    }

    /// The same of what network policies let through.
    pub(crate) fn outcome(
        &self,
        analysis: &Analysis<'_, '_>,
        value: Value,
        is_certain: bool,
    ) -> Option<Outcome> {
        let tunnel = PortSet::port(Protocol::Tcp, ports::HBONE);
        let tcp = PortSet::protocol(Protocol::Tcp).difference(&tunnel);
        let low = analysis.sets.get(value.before.low);
        let high = analysis.sets.get(value.before.high).intersection(&tcp);
        let changed = self.lost.union(&self.gained).intersection(&high);
        let mut outcome = Outcome {
            before: high.intersection(&self.before),
            after: high.intersection(&self.after),
            by_authorization: self.perhaps.intersection(&high),
            refused: true,
            ..Outcome::default()
        };
        if is_certain {
            outcome.lost = self.lost.intersection(low).intersection(&high);
            outcome.gained = self.gained.intersection(low).intersection(&high);
            outcome.by_peer = changed.difference(low);
        } else {
            outcome.by_authorization = outcome.by_authorization.union(&changed);
        }
        outcome.or_none()
    }
}
