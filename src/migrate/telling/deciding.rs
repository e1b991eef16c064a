//! Which of the policies that govern a pair it is about: the one with the rule that decides.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::governing::{Ends, Governing};
use crate::migrate::analysis::Analysis;
use crate::migrate::proof::differences::Difference;
use crate::migrate::proof::outcome::Doubt;
use crate::migrate::tunnel_port;
use crate::model::{NetworkPolicy, PortMatch, PortRule, Protocol, Rule};
use crate::netpol::{Direction, Node, PeerSetId, PortSet, Selection, rule_ports};
use crate::plan::{Relation, Verdict};

/// Finds the policies that decide.
pub(crate) struct Deciding<'t, 's, 'w> {
    analysis: &'t Analysis<'s, 'w>,
    selection: Selection<'t>,
}

/// The rules of policies, with what they have to do with one difference.
#[derive(Default)]
pub(crate) struct Rules(BTreeMap<(usize, Direction), Vec<(PeerSetId, Bearing)>>);

/// What a rule has to do with the ports in question, from little to much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Bearing {
    /// It is about other protocols, or not about the tunnel.
    Beside,
    /// It is for the peer, and not what makes the difference.
    Peer,
    /// It grants what is lost or in doubt, or limits what is gained.
    Ports,
}

/// How much a policy decides about a peer: nothing where no rule is for it, and more where the doubt
/// is whether one is.
type Weight = Option<(bool, Bearing)>;

impl<'t, 's, 'w> Deciding<'t, 's, 'w> {
    pub(crate) fn new(analysis: &'t Analysis<'s, 'w>) -> Self {
        Self {
            analysis,
            selection: Selection::new(&analysis.setting.world, analysis.universe),
        }
    }

    /// The policy that a pair is most about. Of several with equal rules the destination's before the
    /// source's, or in one namespace the first by name.
    pub(crate) fn policy(
        &mut self,
        governing: &Governing<'t, 's, 'w>,
        (from, to): Ends,
        source: Node,
        difference: &Difference,
        rules: &mut Rules,
    ) -> Option<usize> {
        let mut most = |list, direction, peer| {
            let policies = governing.listed(list).iter();
            let weighed = policies.filter_map(|&index| {
                let policy = governing.policy(index)?;
                let weight = self.weight(index, policy, direction, peer, difference, rules);
                Some((
                    weight,
                    Reverse((&policy.meta.namespace, &policy.meta.name)),
                    index,
                ))
            });
            weighed.max()
        };
        let sends = most(from, Direction::Egress, difference.destination);
        let receives = most(to, Direction::Ingress, source);
        let chosen = match (sends, receives) {
            (Some(sends), Some(receives)) => {
                let (Reverse((one, _)), Reverse((other, _))) = (sends.1, receives.1);
                let by_name = one == other && sends.1 > receives.1;
                let sent = sends.0 > receives.0 || (sends.0 == receives.0 && by_name);
                if sent { sends } else { receives }
            }
            (sends, receives) => receives.or(sends)?,
        };
        governing.known_as(chosen.2)
    }

    fn weight(
        &mut self,
        index: usize,
        policy: &'t NetworkPolicy,
        direction: Direction,
        peer: Node,
        difference: &Difference,
        rules: &mut Rules,
    ) -> Weight {
        let (analysis, selection) = (self.analysis, &mut self.selection);
        let rules = rules.0.entry((index, direction)).or_insert_with(|| {
            let rules = direction.rules(policy).iter();
            let looked_at = rules.map(|rule| {
                let peers = selection.peers(&policy.meta.namespace, &rule.peers);
                (peers, bearing(rule, difference, analysis))
            });
            looked_at.collect()
        });
        let in_doubt = difference.doubt == Some(Doubt::Peer);
        let weights = rules.iter().filter_map(|(peers, bearing)| {
            let peers = self.selection.get(*peers);
            let perhaps = peers.maybe.contains(peer);
            let is_for_it = perhaps || peers.yes.contains(peer);
            is_for_it.then_some((perhaps && in_doubt, *bearing))
        });
        weights.max()
    }
}

fn bearing(rule: &Rule, difference: &Difference, analysis: &Analysis<'_, '_>) -> Bearing {
    let class = analysis.universe.classes().get(difference.destination);
    let granted = match class {
        Some(class) => rule_ports(rule, class),
        None if rule.ports.is_empty() => PortSet::all(),
        None => rule.ports.iter().map(at_the_most).collect(),
    };
    let changed = &difference.changed;
    let shared = |&protocol: &Protocol| {
        !granted.only(protocol).is_empty() && !changed.only(protocol).is_empty()
    };
    // Where DNS is all that a rule grants of TCP, it does not get the tunnel.
    let is_dns = difference.relation != Relation::Plaintext
        && !rule.ports.is_empty()
        && tunnel_port::is_dns_only(rule);
    let decides = match difference.verdict {
        Verdict::Gained => !granted.includes(changed),
        _ => granted.meets(changed),
    };
    if is_dns || !Protocol::ALL.iter().any(shared) {
        Bearing::Beside
    } else if decides {
        Bearing::Ports
    } else {
        Bearing::Peer
    }
}

/// The ports of an entry, where its name may mean any.
fn at_the_most(entry: &PortRule) -> PortSet {
    match entry.port {
        PortMatch::Range(first, last) => PortSet::range(entry.protocol, first, last),
        PortMatch::All | PortMatch::Name(_) => PortSet::protocol(entry.protocol),
    }
}
