//! What is written as rules is what the rules decide.

use std::collections::BTreeSet;

use fixedbitset::FixedBitSet;
use proptest::prelude::*;

use super::*;
use crate::model::{
    Action, AuthorizationPolicy, AuthorizationRule, Labels, Meta, Operation, Protocol,
};
use crate::netpol::PortSet;

const UNIVERSE: u16 = 6;

fn parties() -> Vec<Party> {
    let mut parties = Vec::new();
    for namespace in ["a", "b", "c"] {
        for account in [None, Some("x"), Some("y")] {
            parties.push(Party::new(namespace, account));
        }
    }
    parties
}

fn ports(bits: u8) -> PortSet {
    let numbers = (1..=UNIVERSE).filter(|n| bits & (1 << (n - 1)) != 0);
    numbers.map(|n| PortSet::port(Protocol::Tcp, n)).collect()
}

fn policy(action: Action, rules: Vec<AuthorizationRule>) -> AuthorizationPolicy {
    AuthorizationPolicy {
        meta: Meta::synthetic("shop", "limits"),
        selector: Labels::new(),
        selects_nothing: false,
        targets: Vec::new(),
        action,
        rules: rules.into(),
    }
}

/// What everybody of a crowd may use.
fn decide(
    policies: &[AuthorizationPolicy],
    enforcer: Enforcer,
    parties: &[Party],
) -> Vec<Allowance> {
    let crowd = Crowd::new(parties);
    let decision = Selected::listed(policies, enforcer).decide(&crowd);
    let of = |member| {
        let mut parts = decision
            .iter()
            .filter(|(_, members)| members.contains(member));
        let (allowance, _) = parts.next().unwrap();
        assert!(parts.next().is_none(), "{member} is in two parts");
        allowance.clone()
    };
    (0..crowd.size()).map(of).collect()
}

/// Limits by party, `None` for those that do not reach the port; and for all others.
type Limits = (Vec<Option<u8>>, Option<u8>);

fn limits() -> impl Strategy<Value = Limits> {
    let set = 0..1_u8 << UNIVERSE;
    // Few distinct limits, so that clients share some.
    let few = prop_oneof![Just(0b11_1111), Just(0b1), Just(0b110), set.clone()];
    let parties = prop::collection::vec(prop::option::weighted(0.7, few), 9);
    (parties, prop::option::weighted(0.4, set))
}

/// `any_name`: whether those without a known name may have that of another.
fn demand<'p>(parties: &'p [Party], (clients, others): &Limits, any_name: bool) -> Demand<'p> {
    let nameless = parties
        .iter()
        .map(|p| any_name && p.service_account().is_none());
    let nameless = nameless
        .zip(0..)
        .filter_map(|(is_it, party)| is_it.then_some(party));
    let groups = clients.iter().enumerate().filter_map(|(party, limit)| {
        let mut one = FixedBitSet::with_capacity(parties.len());
        one.insert(party);
        Some((ports((*limit)?), one))
    });
    Demand {
        parties,
        clients: disjoint(&groups.collect::<Vec<_>>()),
        others: others.map(ports),
        any_name: nameless.collect(),
        declared: ports(0b1),
        universe: ports(u8::MAX),
    }
}

proptest! {
    #[test]
    fn rules_refuse_nothing_that_is_allowed_and_allow_what_they_say(
        limits in limits(),
        any_name in any::<bool>(),
    ) {
        let parties = parties();
        let demand = demand(&parties, &limits, any_name);
        for (mode, action) in [(Mode::Deny, Action::Deny), (Mode::Allow, Action::Allow)] {
            let encoded = encode(&demand, &Crowd::new(&parties), mode);
            if encoded.rules.is_empty() {
                continue;
            }
            let said = encoded.unnamed.union(&encoded.unlisted);
            prop_assert!(
                any_name || demand.others.is_some() || encoded.unnamed.is_empty(),
                "{encoded:#?}"
            );
            let policies = [policy(action, encoded.rules.clone())];
            let decided = decide(&policies, Enforcer::Ztunnel, &parties);
            for ((party, limit), found) in parties.iter().zip(&limits.0).zip(&decided) {
                let Some(limit) = limit.map(ports) else { continue };
                // Of someone whose name is not known the bounds are wide.
                let surely = if party.service_account().is_some() { &found.low } else { &found.high };
                prop_assert!(surely.includes(&limit), "{party:?} {encoded:#?}");
                let more = found.high.intersection(&demand.universe).difference(&limit);
                let unknown = party.service_account().is_none();
                prop_assert!(unknown || said.includes(&more), "{party:?} {more} {encoded:#?}");
            }
            let crowd = Crowd::new(&parties);
            for (party, limit) in parties.iter().zip(&limits.0) {
                let Some(limit) = limit.map(ports).filter(|_| party.service_account().is_none())
                else {
                    continue;
                };
                let newcomer = &decided[crowd.newcomer(party.namespace())];
                prop_assert!(newcomer.low.includes(&limit), "{party:?} {encoded:#?}");
            }
            let stranger = [Party::new("z", Some("z"))];
            let found = decide(&policies, Enforcer::Ztunnel, &stranger);
            let [stranger, anyone, plaintext, ..] = &found[..] else {
                unreachable!()
            };
            if let Some(others) = &demand.others {
                prop_assert!(stranger.low.includes(others), "{encoded:#?}");
            }
            // What anyone may use at the most holds what each may.
            let accounts = parties.len();
            for found in decided[..accounts].iter().chain([stranger]) {
                prop_assert!(anyone.high.includes(&found.high), "{encoded:#?}");
            }
            prop_assert_eq!(plaintext, &Allowance::all());
        }
    }

    #[test]
    fn what_either_allows_is_what_one_or_the_other_allows(one in limits(), other in limits()) {
        let parties = parties();
        let both = demand(&parties, &one, true).or(&demand(&parties, &other, true));
        for party in 0..parties.len() {
            let of = |(clients, others): &Limits| clients[party].or(*others).map(ports);
            let (one, other) = (of(&one), of(&other));
            let listed = both.clients.iter().find(|(_, members)| members.contains(party));
            let found = listed.map(|(ports, _)| ports.clone()).or(both.others.clone());
            let expected = match (one, other) {
                (None, None) => None,
                (one, other) => Some(one.unwrap_or_default().union(&other.unwrap_or_default())),
            };
            prop_assert_eq!(found, expected);
        }
        let mut seen = BTreeSet::new();
        let members = both.clients.iter().flat_map(|(_, members)| members.ones());
        for party in members {
            prop_assert!(seen.insert(party), "{party} is listed twice");
        }
    }
}

#[test]
fn what_depends_on_requests_is_dropped_by_ztunnel_and_uncertain_at_envoy() {
    let methods = Operation {
        ports: vec!["80".to_owned()],
        layer7: vec!["methods".to_owned()],
        ..Operation::default()
    };
    let rule = AuthorizationRule {
        to: vec![methods],
        ..AuthorizationRule::default()
    };
    let caller = [Party::new("shop", Some("web"))];
    let port = PortSet::port(Protocol::Tcp, 80);
    let (all, none) = (PortSet::protocol(Protocol::Tcp), PortSet::none());
    let rest = all.difference(&port);
    // Action, enforcer, then surely and perhaps allowed.
    let cases = [
        (Action::Allow, Enforcer::Ztunnel, &none, &none),
        (Action::Deny, Enforcer::Ztunnel, &rest, &rest),
        (Action::Allow, Enforcer::Envoy, &none, &port),
        (Action::Deny, Enforcer::Envoy, &rest, &all),
        (Action::Custom, Enforcer::Ztunnel, &all, &all),
        (Action::Custom, Enforcer::Envoy, &rest, &all),
        (Action::Audit, Enforcer::Envoy, &all, &all),
    ];
    for (action, enforcer, low, high) in cases {
        let policies = [policy(action, vec![rule.clone()])];
        let found = &decide(&policies, enforcer, &caller)[0];
        let expected = Allowance {
            low: low.clone(),
            high: high.clone(),
        };
        assert_eq!(*found, expected, "{action:?} {enforcer:?}");
    }
}
