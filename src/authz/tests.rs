//! What is written as rules is what the rules decide.

use std::collections::BTreeSet;

use fixedbitset::FixedBitSet;
use proptest::prelude::*;

use super::*;
use crate::model::{
    Action, AuthorizationPolicy, AuthorizationRule, Condition, Labels, Meta, Operation, Protocol,
    Source,
};
use crate::netpol::PortSet;

const UNIVERSE: u16 = 6;

fn parties() -> Vec<Party> {
    let mut parties = Vec::new();
    for namespace in ["a", "b", "c"] {
        for account in [None, Some("x"), Some("y")] {
            parties.push(Party {
                namespace: namespace.to_owned(),
                service_account: account.map(str::to_owned),
            });
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
        targets: Vec::new(),
        action,
        rules,
    }
}

fn decide(
    policies: &[AuthorizationPolicy],
    enforcer: Enforcer,
    identity: Identity<'_>,
) -> Allowance {
    let client = Client {
        identity,
        address: None,
    };
    allowed(&Selected::listed(policies, enforcer), &client)
}

fn identity(party: &Party) -> Identity<'_> {
    let namespace = party.namespace.as_str();
    match &party.service_account {
        Some(service_account) => Identity::Workload {
            namespace,
            service_account,
        },
        None => Identity::SomeoneIn { namespace },
    }
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

fn demand<'p>(parties: &'p [Party], (clients, others): &Limits) -> Demand<'p> {
    let groups = clients.iter().enumerate().filter_map(|(party, limit)| {
        let mut one = FixedBitSet::with_capacity(parties.len());
        one.insert(party);
        Some((ports((*limit)?), one))
    });
    Demand {
        parties,
        clients: disjoint(&groups.collect::<Vec<_>>()),
        others: others.map(ports),
        declared: ports(0b1),
        universe: ports(u8::MAX),
    }
}

proptest! {
    #[test]
    fn rules_refuse_nothing_that_is_allowed_and_allow_what_they_say(limits in limits()) {
        let parties = parties();
        let demand = demand(&parties, &limits);
        for (mode, action) in [(Mode::Deny, Action::Deny), (Mode::Allow, Action::Allow)] {
            let encoded = encode(&demand, mode);
            if encoded.rules.is_empty() {
                continue;
            }
            let said = encoded.unnamed.union(&encoded.unlisted);
            let policies = [policy(action, encoded.rules.clone())];
            for (party, limit) in parties.iter().zip(&limits.0) {
                let Some(limit) = limit.map(ports) else { continue };
                let found = decide(&policies, Enforcer::Ztunnel, identity(party));
                // Of someone whose name is not known the bounds are wide.
                let surely = if party.service_account.is_some() { &found.low } else { &found.high };
                prop_assert!(surely.includes(&limit), "{party:?} {encoded:#?}");
                let more = found.high.intersection(&demand.universe).difference(&limit);
                let unknown = party.service_account.is_none();
                prop_assert!(unknown || said.includes(&more), "{party:?} {more} {encoded:#?}");
            }
            if let Some(others) = &demand.others {
                let stranger = Identity::Workload { namespace: "z", service_account: "z" };
                let found = decide(&policies, Enforcer::Ztunnel, stranger);
                prop_assert!(found.low.includes(others), "{encoded:#?}");
            }
            let plaintext = decide(&policies, Enforcer::Ztunnel, Identity::Anonymous);
            prop_assert_eq!(plaintext, Allowance::all());
        }
    }

    #[test]
    fn what_either_allows_is_what_one_or_the_other_allows(one in limits(), other in limits()) {
        let parties = parties();
        let both = demand(&parties, &one).or(&demand(&parties, &other));
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
    let caller = Identity::Workload {
        namespace: "shop",
        service_account: "web",
    };
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
        let found = decide(&policies, enforcer, caller);
        let expected = Allowance {
            low: low.clone(),
            high: high.clone(),
        };
        assert_eq!(found, expected, "{action:?} {enforcer:?}");
    }
}

#[test]
fn policies_that_only_list_names_say_whom_they_tell_apart() {
    let named = |source: Source, when: Vec<Condition>| {
        let rule = AuthorizationRule {
            from: vec![source],
            when,
            ..AuthorizationRule::default()
        };
        let policies = [policy(Action::Deny, vec![rule])];
        let selected = Selected::listed(&policies, Enforcer::Ztunnel);
        selected.named().map(|named| {
            let accounts = named.accounts.iter().map(|(n, a)| format!("{n}/{a}"));
            let namespaces = named.namespaces.iter().map(|&n| n.to_owned());
            accounts.chain(namespaces).collect::<Vec<_>>().join(" ")
        })
    };
    let list = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
    let exempt = Source {
        principals: list(&["*"]),
        not_principals: list(&["*/ns/a/sa/x"]),
        not_namespaces: list(&["b"]),
        ..Source::default()
    };
    assert_eq!(named(exempt.clone(), Vec::new()).as_deref(), Some("a/x b"));
    let on_port = Condition {
        key: "destination.port".to_owned(),
        values: list(&["80"]),
        not_values: Vec::new(),
    };
    assert_eq!(
        named(exempt.clone(), vec![on_port]).as_deref(),
        Some("a/x b")
    );
    let on_source = Condition {
        key: "source.namespace".to_owned(),
        values: list(&["a"]),
        not_values: Vec::new(),
    };
    assert_eq!(named(exempt, vec![on_source]), None);
    for pattern in ["cluster.local/ns/a/*", "*x", "cluster.local/ns/a/sa/x"] {
        let source = Source {
            principals: list(&[pattern]),
            ..Source::default()
        };
        assert_eq!(named(source, Vec::new()), None, "{pattern}");
    }
}
