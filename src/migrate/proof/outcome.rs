//! How what is allowed after differs from what is allowed before.

use crate::authz::Allowance;
use crate::netpol::PortSet;
use crate::plan::Verdict;

/// Both sides of a comparison, in one reading of the network policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Side {
    /// What the network policies allow today.
    pub(crate) before: PortSet,
    /// What gets through afterwards.
    pub(crate) after: Allowance,
}

/// What keeps a difference from being certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doubt {
    /// Whether a peer of a network policy matches.
    Peer,
    /// Whether an AuthorizationPolicy matches, or is in force today.
    Authorization,
    /// Whether a sidecar takes the tunnel.
    Tunnel,
}

/// A difference, within the ports that its relation is about. No port is in two of its sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Allowed today, at the most.
    pub(crate) before: PortSet,
    /// Allowed afterwards, at the most.
    pub(crate) after: PortSet,
    /// Lost, whatever is not known.
    pub(crate) lost: PortSet,
    /// Gained, whatever is not known.
    pub(crate) gained: PortSet,
    /// Whether there is a difference depends on whether a peer matches. Between the two extreme
    /// readings are others, in which some peers match and some do not, so these are all ports whose
    /// answer depends on a peer.
    pub(crate) by_peer: PortSet,
    /// Whether there is a difference depends on an AuthorizationPolicy.
    pub(crate) by_authorization: PortSet,
    /// There is a difference where a sidecar takes the tunnel.
    pub(crate) by_tunnel: PortSet,
    /// What is lost gets as far as the AuthorizationPolicies, which refuse it.
    pub(crate) refused: bool,
}

/// Compares the two extreme readings. `today` is what AuthorizationPolicies that are in force today
/// leave of what the network policies allow; `carried` is what tunnels carry today, which may be lost.
/// That it is there already excuses a gain only if it `is_wanted`.
pub(crate) fn compare_sides(
    low: &Side,
    high: &Side,
    today: &Allowance,
    (carried, is_wanted): (&Allowance, bool),
) -> Option<Outcome> {
    // What is allowed in every reading, and in some.
    let surely_listed = low.before.intersection(&today.low);
    let listed = high.before.intersection(&today.high);
    let surely_before = surely_listed.union(&carried.low);
    let before = listed.union(&carried.high);
    let surely_after = low.after.low.intersection(&high.after.low);
    let after = low.after.high.union(&high.after.high);
    let lost = surely_before.difference(&after);
    let (surely_wanted, wanted) = if is_wanted {
        (&surely_before, &before)
    } else {
        (&surely_listed, &listed)
    };
    let gained = surely_after.difference(wanted);
    let alike = surely_wanted.intersection(&surely_after);
    let open = before.union(&after).difference(&alike);
    let question = open.difference(&lost).difference(&gained);
    let depends = |low: &PortSet, high: &PortSet| high.difference(low).union(&low.difference(high));
    let on_peers = depends(&low.before, &high.before)
        .union(&depends(&low.after.low, &high.after.low))
        .union(&depends(&low.after.high, &high.after.high));
    let outcome = Outcome {
        by_peer: question.intersection(&on_peers),
        by_authorization: question.difference(&on_peers),
        before,
        after,
        lost,
        gained,
        ..Outcome::default()
    };
    outcome.or_none()
}

impl Outcome {
    /// The same, apart from some ports; `None` when nothing is left.
    pub(crate) fn without(&self, ports: &PortSet) -> Option<Self> {
        let rest = |set: &PortSet| set.difference(ports);
        let outcome = Self {
            before: rest(&self.before),
            after: rest(&self.after),
            lost: rest(&self.lost),
            ..self.without_gains_of(ports)
        };
        outcome.or_none()
    }

    /// The same without gains of some ports; `None` when nothing is left.
    pub(crate) fn without_gains(&self, ports: &PortSet) -> Option<Self> {
        let outcome = self.without_gains_of(ports);
        outcome.or_none()
    }

    fn without_gains_of(&self, ports: &PortSet) -> Self {
        let rest = |set: &PortSet| set.difference(ports);
        Self {
            gained: rest(&self.gained),
            by_peer: rest(&self.by_peer),
            by_authorization: rest(&self.by_authorization),
            by_tunnel: rest(&self.by_tunnel),
            ..self.clone()
        }
    }

    /// The same where it is not known whether it is about anybody.
    pub(crate) fn doubtful(self) -> Self {
        Self {
            by_peer: self.by_peer.union(&self.lost).union(&self.gained),
            lost: PortSet::none(),
            gained: PortSet::none(),
            ..self
        }
    }

    /// The same where it is not known whether a sidecar takes the tunnel: what becomes of connections
    /// otherwise is in another outcome, and `None` means no difference.
    pub(crate) fn if_taken(self, otherwise: Option<&Self>) -> Self {
        let (mut lost, mut gained) = (PortSet::none(), PortSet::none());
        if let Some(otherwise) = otherwise {
            lost = self.lost.intersection(&otherwise.lost);
            gained = self.gained.intersection(&otherwise.gained);
        }
        let depends = self.lost.difference(&lost);
        let depends = depends.union(&self.gained.difference(&gained));
        Self {
            by_tunnel: self.by_tunnel.union(&depends),
            lost,
            gained,
            ..self
        }
    }

    /// What is known of two readings, of which one is right: what policies of authorization decide is
    /// in doubt, and whatever they do is the same before and after.
    pub(crate) fn in_either(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let [one, other] = [one, other].map(Option::unwrap_or_default);
        let lost = one.lost.intersection(&other.lost);
        let gained = one.gained.intersection(&other.gained);
        let by_peer = one.by_peer.union(&other.by_peer);
        let by_peer = by_peer.difference(&lost).difference(&gained);
        let differing = |o: &Self| o.lost.union(&o.gained).union(&o.by_authorization);
        let by_authorization = differing(&one).union(&differing(&other));
        let known = lost.union(&gained).union(&by_peer);
        let outcome = Self {
            before: one.before.union(&other.before),
            after: one.after.union(&other.after),
            by_authorization: by_authorization.difference(&known),
            by_tunnel: one.by_tunnel.union(&other.by_tunnel).difference(&known),
            refused: one.refused || other.refused,
            lost,
            gained,
            by_peer,
        };
        outcome.or_none()
    }

    /// The same without what is certain; `None` when nothing is left.
    pub(crate) fn without_what_is_certain(self) -> Option<Self> {
        let uncertain = Self {
            lost: PortSet::none(),
            gained: PortSet::none(),
            ..self
        };
        uncertain.or_none()
    }

    /// `None` when there is no difference.
    pub(crate) fn or_none(self) -> Option<Self> {
        let differs = self.verdicts().next().is_some();
        differs.then_some(self)
    }

    /// The verdicts, each with the ports that it is about and with what keeps it from being certain.
    pub(crate) fn verdicts(&self) -> impl Iterator<Item = (Verdict, Option<Doubt>, &PortSet)> {
        let all = [
            (Verdict::Lost, None, &self.lost),
            (Verdict::Gained, None, &self.gained),
            (Verdict::Unknown, Some(Doubt::Peer), &self.by_peer),
            (
                Verdict::Unknown,
                Some(Doubt::Authorization),
                &self.by_authorization,
            ),
            (Verdict::Unknown, Some(Doubt::Tunnel), &self.by_tunnel),
        ];
        all.into_iter().filter(|(_, _, ports)| !ports.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Protocol;

    fn ports(numbers: &[u16]) -> PortSet {
        let ports = numbers.iter().map(|&n| PortSet::port(Protocol::Tcp, n));
        ports.collect()
    }

    fn side(before: &[u16], after: [&[u16]; 2]) -> Side {
        let [low, high] = after.map(ports);
        Side {
            before: ports(before),
            after: Allowance { low, high },
        }
    }

    fn compared(low: &Side, high: &Side, today: [&[u16]; 2]) -> String {
        let [surely, perhaps] = today.map(ports);
        let today = Allowance {
            low: surely,
            high: perhaps,
        };
        let none = Allowance::exactly(PortSet::none());
        let Some(outcome) = compare_sides(low, high, &today, (&none, true)) else {
            return "equal".to_owned();
        };
        let verdicts = outcome.verdicts();
        let shown = verdicts.map(|(verdict, doubt, ports)| match doubt {
            Some(doubt) => format!("{verdict} {ports} by {doubt:?}"),
            None => format!("{verdict} {ports}"),
        });
        shown.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn what_two_readings_agree_in_is_known() {
        let outcome = |lost: &[u16], gained: &[u16], by_peer: &[u16]| Outcome {
            lost: ports(lost),
            gained: ports(gained),
            by_peer: ports(by_peer),
            ..Outcome::default()
        };
        let one = outcome(&[1, 2], &[3], &[6]);
        let other = outcome(&[1, 6], &[3, 4], &[2]);
        let either = Outcome::in_either(Some(one.clone()), Some(other)).unwrap();
        let expected = Outcome {
            by_authorization: ports(&[4]),
            ..outcome(&[1], &[3], &[2, 6])
        };
        assert_eq!(either, expected);
        assert_eq!(Outcome::in_either(None, None), None);
        let either = Outcome::in_either(Some(one), None).unwrap();
        let expected = Outcome {
            by_authorization: ports(&[1, 2, 3]),
            ..outcome(&[], &[], &[6])
        };
        assert_eq!(either, expected);
    }

    const ALL: [&[u16]; 2] = [&[1, 2, 3, 4], &[1, 2, 3, 4]];

    #[test]
    fn what_is_known_is_compared() {
        let compared = |before: &[u16], after: &[u16]| {
            let side = side(before, [after, after]);
            compared(&side, &side, ALL)
        };
        assert_eq!(compared(&[1, 2], &[1, 2]), "equal");
        assert_eq!(compared(&[1, 2], &[2, 3]), "lost TCP 1; gained TCP 3");
    }

    #[test]
    fn doubt_about_one_port_leaves_the_others_certain() {
        // Port 3 depends on a peer, before and after; 1 is lost and 2 gained in any case.
        let low = side(&[1], [&[2], &[2]]);
        let high = side(&[1, 3], [&[2, 3], &[2, 3]]);
        assert_eq!(
            compared(&low, &high, ALL),
            "lost TCP 1; gained TCP 2; unknown TCP 3 by Peer"
        );
        // Port 2 depends on what policies of authorization do afterwards, 3 on what they do today.
        let side = side(&[1, 2, 3], [&[3, 4], &[2, 3, 4]]);
        assert_eq!(
            compared(&side, &side, [&[1, 2], &[1, 2, 3]]),
            "lost TCP 1; gained TCP 4; unknown TCP 2-3 by Authorization"
        );
    }

    #[test]
    fn parts_are_left_out_on_request() {
        let low = side(&[1, 2], [&[3], &[3]]);
        let high = side(&[1, 2, 4], [&[3, 4], &[3, 4]]);
        let none = Allowance::exactly(PortSet::none());
        let outcome = compare_sides(&low, &high, &Allowance::all(), (&none, true)).unwrap();
        let without = outcome.without(&ports(&[1, 3])).unwrap();
        assert_eq!((without.lost, without.gained), (ports(&[2]), ports(&[])));
        let without = outcome.without_gains(&ports(&[1, 3, 4])).unwrap();
        assert_eq!((without.lost, without.gained), (ports(&[1, 2]), ports(&[])));
        assert_eq!(without.by_peer, ports(&[]));
        assert_eq!(outcome.without(&ports(&[1, 2, 3, 4])), None);
    }
}
