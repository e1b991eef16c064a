//! AuthorizationPolicy at ztunnel.

use std::net::IpAddr;

use super::super::{Connection, Identity, authorized, authorized_at_waypoint};
use super::{pod, with};

/// A client: namespace and service account, or no identity.
type Client = Option<(&'static str, &'static str)>;

/// Who asks: no identity, or namespace and service account; with an address.
fn connection(who: Client, port: u16) -> Connection {
    Connection {
        identity: who.map(|(namespace, account)| Identity {
            namespace: namespace.to_owned(),
            service_account: account.to_owned(),
        }),
        source: Some(IpAddr::from([10, 1, 0, 5])),
        destination: Some(IpAddr::from([10, 2, 0, 9])),
        port,
    }
}

const WEB: Client = Some(("shop", "web"));
const TELLER: Client = Some(("bank", "teller"));
const NOBODY: Client = None;

/// A policy in a namespace as text.
fn policy(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

/// What `shop/api` lets in under policies of `shop` with these specs.
#[track_caller]
fn check(specs: &[&str], cases: &[(Client, u16, bool)]) {
    let named = specs.iter().enumerate();
    let policies: String = named
        .map(|(i, spec)| policy("shop", &format!("a{i}"), spec))
        .collect();
    let world = with(&policies);
    let api = pod(&world, "shop/api");
    for (who, port, expected) in cases {
        let decision = authorized(&world, &api, &connection(*who, *port));
        assert_eq!(decision, *expected, "{who:?} {port} under {specs:?}");
    }
}

/// Whether a DENY policy with this rule denies: the shortest way to ask whether a rule matches.
#[track_caller]
fn check_rule(rule: &str, cases: &[(Client, u16, bool)]) {
    let denied: Vec<_> = cases
        .iter()
        .map(|&(w, p, matches)| (w, p, !matches))
        .collect();
    check(&[&format!("{{action: DENY, rules: [{rule}]}}")], &denied);
    // The same rule in an ALLOW policy allows what it matches, as there is nothing of L7 in it.
    check(&[&format!("{{rules: [{rule}]}}")], cases);
}

#[test]
fn without_policies_everyone_may() {
    check(&[], &[(WEB, 80, true), (NOBODY, 80, true)]);
}

#[test]
fn an_allow_policy_without_rules_denies_everyone_and_a_deny_policy_without_rules_nobody() {
    check(&["{}"], &[(WEB, 80, false), (NOBODY, 80, false)]);
    check(&["{action: DENY}"], &[(WEB, 80, true), (NOBODY, 80, true)]);
}

#[test]
fn an_empty_rule_matches_everyone() {
    check_rule("{}", &[(WEB, 80, true), (NOBODY, 1, true)]);
}

#[test]
fn deny_wins_over_allow() {
    let allow = "{rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}]}";
    let deny = "{action: DENY, rules: [{to: [{operation: {ports: ['81']}}]}]}";
    check(
        &[allow, deny],
        &[(WEB, 80, true), (WEB, 81, false), (TELLER, 80, false)],
    );
}

#[test]
fn any_of_several_allow_policies_is_enough() {
    let first = "{rules: [{to: [{operation: {ports: ['80']}}]}]}";
    let second = "{rules: [{to: [{operation: {ports: ['81']}}]}]}";
    check(
        &[first, second],
        &[(WEB, 80, true), (WEB, 81, true), (WEB, 82, false)],
    );
}

#[test]
fn presence_is_an_identity() {
    let rule = "{from: [{source: {principals: ['*']}}]}";
    check_rule(rule, &[(WEB, 80, true), (NOBODY, 80, false)]);
    let rule = "{from: [{source: {notPrincipals: ['*']}}]}";
    check_rule(rule, &[(WEB, 80, false), (NOBODY, 80, true)]);
    let rule = "{from: [{source: {namespaces: ['*']}}]}";
    check_rule(rule, &[(WEB, 80, true), (NOBODY, 80, false)]);
}

#[test]
fn principals_match_whole_or_by_prefix_or_suffix() {
    let cases = [
        ("cluster.local/ns/shop/sa/web", true),
        ("cluster.local/ns/shop/sa/we", false),
        ("cluster.local/ns/shop/*", true),
        ("*/ns/shop/sa/web", true),
        ("*/sa/web", true),
        ("*b", true),
        ("*/sa/eb", false),
        ("spiffe://cluster.local/ns/shop/sa/web", false),
    ];
    for (pattern, matches) in cases {
        let rule = format!("{{from: [{{source: {{principals: ['{pattern}']}}}}]}}");
        check_rule(
            &rule,
            &[(WEB, 80, matches), (TELLER, 80, false), (NOBODY, 80, false)],
        );
    }
}

#[test]
fn negative_lists_hold_for_those_without_an_identity() {
    for field in [
        "notPrincipals: ['*/ns/shop/sa/web']",
        "notNamespaces: [shop]",
        "notServiceAccounts: [web]",
        "notServiceAccounts: [shop/web]",
    ] {
        let rule = format!("{{from: [{{source: {{{field}}}}}]}}");
        check_rule(
            &rule,
            &[(WEB, 80, false), (TELLER, 80, true), (NOBODY, 80, true)],
        );
    }
}

#[test]
fn service_accounts_are_of_the_policys_namespace_unless_they_say_otherwise() {
    let rule = "{from: [{source: {serviceAccounts: [web, bank/teller]}}]}";
    check_rule(
        rule,
        &[
            (WEB, 80, true),
            (TELLER, 80, true),
            (Some(("bank", "web")), 80, false),
            (NOBODY, 80, false),
        ],
    );
}

#[test]
fn kinds_of_one_source_add_up_and_sources_are_alternatives() {
    let rule = "{from: [{source: {principals: ['*'], notNamespaces: [bank]}}]}";
    check_rule(
        rule,
        &[(WEB, 80, true), (TELLER, 80, false), (NOBODY, 80, false)],
    );
    let rule = "{from: [{source: {namespaces: [bank]}}, {source: {notPrincipals: ['*']}}]}";
    check_rule(
        rule,
        &[(WEB, 80, false), (TELLER, 80, true), (NOBODY, 80, true)],
    );
}

#[test]
fn clauses_must_all_match() {
    let rule = "{from: [{source: {namespaces: [shop]}}], to: [{operation: {ports: ['80']}}], \
                when: [{key: source.principal, notValues: ['*/sa/api']}]}";
    check_rule(
        rule,
        &[
            (WEB, 80, true),
            (WEB, 81, false),
            (TELLER, 80, false),
            (Some(("shop", "api")), 80, false),
        ],
    );
}

#[test]
fn ports_and_not_ports() {
    check_rule(
        "{to: [{operation: {ports: ['80', '90']}}]}",
        &[(WEB, 80, true), (WEB, 90, true), (WEB, 85, false)],
    );
    check_rule(
        "{to: [{operation: {notPorts: ['80', '90']}}]}",
        &[(WEB, 80, false), (WEB, 90, false), (WEB, 85, true)],
    );
    check_rule(
        "{to: [{operation: {ports: ['80', '90'], notPorts: ['90']}}]}",
        &[(WEB, 80, true), (WEB, 90, false)],
    );
}

#[test]
fn a_guarded_deny_is_blind_to_plaintext() {
    check(
        &[
            "{action: DENY, rules: [{from: [{source: {principals: ['*']}}], to: [{operation: {notPorts: ['9090']}}]}]}",
        ],
        &[(WEB, 9090, true), (WEB, 80, false), (NOBODY, 80, true)],
    );
}

#[test]
fn addresses_by_block_and_alone() {
    for (field, matches) in [
        ("ipBlocks: [10.1.0.0/16]", true),
        ("ipBlocks: [10.1.0.5]", true),
        ("ipBlocks: [10.2.0.0/16]", false),
        ("notIpBlocks: [10.1.0.0/16]", false),
        ("notIpBlocks: [10.2.0.0/16]", true),
    ] {
        check_rule(
            &format!("{{from: [{{source: {{{field}}}}}]}}"),
            &[(WEB, 80, matches), (NOBODY, 80, matches)],
        );
    }
}

#[test]
fn conditions_by_key() {
    for (condition, matches) in [
        ("key: source.ip, values: [10.1.0.0/16]", true),
        ("key: source.namespace, values: [shop]", true),
        ("key: source.namespace, notValues: [shop]", false),
        ("key: source.principal, values: ['*/sa/web']", true),
        ("key: destination.ip, values: [10.2.0.9/32]", true),
        ("key: destination.port, values: ['80']", true),
        ("key: destination.port, notValues: ['80']", false),
        (
            "key: destination.port, values: ['80', '81'], notValues: ['80']",
            false,
        ),
    ] {
        check_rule(
            &format!("{{when: [{{{condition}}}]}}"),
            &[(WEB, 80, matches)],
        );
    }
}

#[test]
fn an_allow_rule_with_an_http_field_is_left_out() {
    let rule = "{from: [{source: {namespaces: [shop]}}], to: [{operation: {methods: [GET]}}]}";
    check(
        &[&format!("{{rules: [{rule}]}}")],
        &[(WEB, 80, false), (NOBODY, 80, false)],
    );
    check(
        &[&format!(
            "{{rules: [{rule}, {{to: [{{operation: {{ports: ['80']}}}}]}}]}}"
        )],
        &[(WEB, 80, true), (WEB, 81, false)],
    );
}

#[test]
fn a_deny_rule_with_a_clause_of_nothing_but_http_never_matches() {
    let rules = [
        "{to: [{operation: {methods: [GET]}}]}",
        "{from: [{source: {namespaces: [shop]}}], to: [{operation: {paths: [/admin]}}]}",
        "{when: [{key: 'request.headers[x]', values: [y]}]}",
        "{from: [{source: {requestPrincipals: ['*']}}]}",
    ];
    for rule in rules {
        check(
            &[&format!("{{action: DENY, rules: [{rule}]}}")],
            &[(WEB, 80, true)],
        );
    }
}

#[test]
fn a_deny_rule_keeps_what_is_left_without_http() {
    let rule = "{to: [{operation: {methods: [GET], ports: ['80']}}]}";
    check(
        &[&format!("{{action: DENY, rules: [{rule}]}}")],
        &[(WEB, 80, false), (WEB, 81, true)],
    );
    let rule = "{to: [{operation: {methods: [GET]}}, {operation: {ports: ['80']}}]}";
    check(
        &[&format!("{{action: DENY, rules: [{rule}]}}")],
        &[(WEB, 80, false), (WEB, 81, true)],
    );
}

#[test]
fn policies_that_are_not_for_ztunnel_do_nothing() {
    check(&["{action: CUSTOM, rules: [{}]}"], &[(WEB, 80, true)]);
    check(&["{action: AUDIT, rules: [{}]}"], &[(WEB, 80, true)]);
    check(
        &["{action: DENY, targetRefs: [{kind: Service, group: '', name: s}], rules: [{}]}"],
        &[(WEB, 80, true)],
    );
    let dry = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
               metadata: {name: a, namespace: shop, annotations: {istio.io/dry-run: 'true'}}\n\
               spec: {action: DENY, rules: [{}]}\n";
    let world = with(dry);
    assert!(authorized(
        &world,
        &pod(&world, "shop/api"),
        &connection(WEB, 80)
    ));
}

#[test]
fn scopes_are_workload_namespace_and_mesh() {
    let deny = "{action: DENY, rules: [{}]}";
    let selecting = "{selector: {matchLabels: {tier: back}}, action: DENY, rules: [{}]}";
    let decisions = |policies: String| {
        let world = with(&policies);
        ["shop/web", "shop/api", "bank/teller"]
            .map(|name| authorized(&world, &pod(&world, name), &connection(WEB, 80)))
    };
    assert_eq!(decisions(policy("shop", "a", deny)), [false, false, true]);
    assert_eq!(
        decisions(policy("shop", "a", selecting)),
        [true, false, true]
    );
    assert_eq!(
        decisions(policy("bank", "a", selecting)),
        [true, true, true]
    );
    assert_eq!(
        decisions(policy("istio-system", "a", deny)),
        [false, false, false]
    );
    assert_eq!(
        decisions(policy("istio-system", "a", selecting)),
        [true, false, true]
    );
}

#[test]
fn a_waypoint_reads_only_what_targets_the_service_the_gateway_or_the_class() {
    let rule = "rules: [{to: [{operation: {ports: ['80']}}]}]";
    let decide = |namespace: &str, scope: &str| {
        let world = with(&policy(
            namespace,
            "a",
            &format!("{{action: DENY, {scope} {rule}}}"),
        ));
        let port = |port| {
            let connection = connection(WEB, port);
            authorized_at_waypoint(&world, ("shop", "way"), Some(("shop", "s")), &connection)
        };
        assert!(port(81));
        port(80)
    };
    let of_group = |group: &str, kind: &str, name: &str| {
        format!("targetRefs: [{{group: '{group}', kind: {kind}, name: {name}}}],")
    };
    let target = |kind: &str, name: &str| {
        let group = if kind == "Service" {
            ""
        } else {
            "gateway.networking.k8s.io"
        };
        of_group(group, kind, name)
    };
    assert!(!decide("shop", &of_group("core", "Service", "s")));
    assert!(decide(
        "shop",
        &of_group("networking.istio.io", "Gateway", "way")
    ));
    assert!(!decide("shop", &target("Service", "s")));
    assert!(decide("shop", &target("Service", "other")));
    assert!(decide("bank", &target("Service", "s")));
    assert!(!decide("shop", &target("Gateway", "way")));
    assert!(decide("bank", &target("Gateway", "way")));
    assert!(!decide(
        "istio-system",
        &target("GatewayClass", "istio-waypoint")
    ));
    assert!(decide("shop", ""));
    assert!(decide("istio-system", ""));
}
