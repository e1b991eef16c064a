use crate::migrate::fixture::{
    Fixture, deployment, labelled, labels, meta, operation, policy, principals, rule, service,
    strings, target, targeted,
};
use crate::model::{Action, AuthorizationPolicy, Condition, Labels, Source};

fn condition(key: &str, values: &[&str]) -> Condition {
    Condition {
        key: key.to_owned(),
        values: strings(values),
        not_values: Vec::new(),
    }
}

fn found(policy: AuthorizationPolicy) -> String {
    Fixture::shop().authorization(policy).findings()
}

#[test]
fn a_deny_rule_of_http_alone_stops_denying() {
    let rules = vec![rule(vec![], vec![operation(&["methods", "paths"], &[])])];
    insta::assert_snapshot!(found(policy(Action::Deny, rules)), @r#"
    error AMB0130 shop/authorizationpolicy/rules at policies.yaml:8
      `shop/authorizationpolicy/rules` stops denying in `spec.rules[0]`: its `to` says nothing but `to[0].operation.methods`, `to[0].operation.paths`, which ztunnel drops, and what is left matches nothing; from that moment the requests to `shop/deployment/web` that the rule denies are ALLOWED
      fix: add a copy with `spec.targetRefs: [{group: "", kind: Service, name: web}]` in place of the selector, and a waypoint for `web` with `--waypoint`
    "#);
}

#[test]
fn one_empty_clause_takes_the_whole_deny_rule() {
    let source = principals(&["cluster.local/ns/bank/sa/teller"]);
    let rules = vec![rule(vec![source], vec![operation(&["paths"], &[])])];
    insta::assert_snapshot!(found(policy(Action::Deny, rules)), @r#"
    error AMB0130 shop/authorizationpolicy/rules at policies.yaml:8
      `shop/authorizationpolicy/rules` stops denying in `spec.rules[0]`: its `to` says nothing but `to[0].operation.paths`, which ztunnel drops, and what is left matches nothing; from that moment the requests to `shop/deployment/web` that the rule denies are ALLOWED
      fix: add a copy with `spec.targetRefs: [{group: "", kind: Service, name: web}]` in place of the selector, and a waypoint for `web` with `--waypoint`
    "#);
}

#[test]
fn a_condition_on_a_header_takes_the_whole_deny_rule() {
    let mut rule = rule(vec![], vec![operation(&[], &["8080"])]);
    rule.when = vec![
        condition("source.namespace", &["bank"]),
        condition("request.headers[x-token]", &["old"]),
    ];
    insta::assert_snapshot!(found(policy(Action::Deny, vec![rule])), @r#"
    error AMB0130 shop/authorizationpolicy/rules at policies.yaml:8
      `shop/authorizationpolicy/rules` stops denying in `spec.rules[0]`: its `when[1]` says nothing but `when[1].key: request.headers[x-token]`, which ztunnel drops, and what is left matches nothing; from that moment the requests to `shop/deployment/web` that the rule denies are ALLOWED
      fix: add a copy with `spec.targetRefs: [{group: "", kind: Service, name: web}]` in place of the selector, and a waypoint for `web` with `--waypoint`
    "#);
}

#[test]
fn an_empty_entry_beside_a_kept_one_stops_denying_alone() {
    let operations = vec![operation(&["paths"], &[]), operation(&[], &["9090"])];
    insta::assert_snapshot!(found(policy(Action::Deny, vec![rule(vec![], operations)])), @r#"
    error AMB0130 shop/authorizationpolicy/rules at policies.yaml:8
      `shop/authorizationpolicy/rules` stops denying in `spec.rules[0].to[0]`: it says nothing but `to[0].operation.paths`, which ztunnel drops, and what is left matches nothing; from that moment the requests to `shop/deployment/web` that it denies are ALLOWED
      fix: add a copy with `spec.targetRefs: [{group: "", kind: Service, name: web}]` in place of the selector, and a waypoint for `web` with `--waypoint`
    "#);
}

#[test]
fn a_deny_rule_that_keeps_something_denies_more() {
    let rules = vec![rule(vec![], vec![operation(&["paths"], &["8080"])])];
    insta::assert_snapshot!(found(policy(Action::Deny, rules)), @r#"
    error AMB0132 shop/authorizationpolicy/rules at policies.yaml:8
      `shop/authorizationpolicy/rules` denies more in `spec.rules[0]`: ztunnel drops `to[0].operation.paths` and refuses every connection to `shop/deployment/web` that the rest of the rule matches
      fix: add a copy with `spec.targetRefs: [{group: "", kind: Service, name: web}]` in place of the selector, and a waypoint for `web` with `--waypoint`
    "#);
}

#[test]
fn a_deny_rule_of_ports_and_identities_is_left_alone() {
    let mut rule = rule(vec![principals(&["*"])], vec![operation(&[], &["8080"])]);
    rule.when = vec![condition("source.ip", &["10.0.0.0/8"])];
    assert_eq!(found(policy(Action::Deny, vec![rule])), "");
}

#[test]
fn an_allow_rule_with_http_is_dropped_whole() {
    let rules = vec![rule(
        vec![principals(&["*"])],
        vec![operation(&["methods"], &["8080"])],
    )];
    insta::assert_snapshot!(found(policy(Action::Allow, rules)), @r#"
    error AMB0131 shop/authorizationpolicy/rules at policies.yaml:8
      `shop/authorizationpolicy/rules` stops allowing in `spec.rules[0]`: it uses `to[0].operation.methods`, so ztunnel drops the whole rule for `shop/deployment/web`; the policy has no other rule, so every connection to them is refused
      fix: add a copy with `spec.targetRefs: [{group: "", kind: Service, name: web}]` in place of the selector, and a waypoint for `web` with `--waypoint`
      fix: let the policy with the selector allow the waypoint's service account under `principals` instead
    "#);
}

#[test]
fn other_allow_rules_are_counted() {
    let mut rules = vec![rule(vec![], vec![operation(&["methods"], &[])])];
    rules.push(rule(vec![principals(&["*"])], vec![]));
    insta::assert_snapshot!(found(policy(Action::Allow, rules)), @r#"
    error AMB0131 shop/authorizationpolicy/rules at policies.yaml:8
      `shop/authorizationpolicy/rules` stops allowing in `spec.rules[0]`: it uses `to[0].operation.methods`, so ztunnel drops the whole rule for `shop/deployment/web`; 1 other rule of the policy still allows something
      fix: add a copy with `spec.targetRefs: [{group: "", kind: Service, name: web}]` in place of the selector, and a waypoint for `web` with `--waypoint`
      fix: let the policy with the selector allow the waypoint's service account under `principals` instead
    "#);
}

#[test]
fn an_allow_policy_without_http_is_left_alone() {
    let rules = vec![rule(
        vec![principals(&["*"])],
        vec![operation(&[], &["8080"])],
    )];
    assert_eq!(found(policy(Action::Allow, rules)), "");
    assert_eq!(found(policy(Action::Allow, vec![])), "");
}

#[test]
fn policies_that_select_nothing_in_the_mesh_are_left_alone() {
    let rules = || vec![rule(vec![], vec![operation(&["paths"], &[])])];
    let mut elsewhere = policy(Action::Deny, rules());
    elsewhere.selector = labels(&[("app", "other")]);
    assert_eq!(found(elsewhere), "");
    let out = labelled("shop", "web", &[("istio.io/dataplane-mode", "none")]);
    let fixture = Fixture::with_namespace("shop", &[])
        .workload(out)
        .authorization(policy(Action::Deny, rules()));
    assert_eq!(fixture.findings(), "");
}

#[test]
fn a_policy_in_the_root_namespace_applies_everywhere() {
    let rules = vec![rule(vec![], vec![operation(&["paths"], &[])])];
    let policy = AuthorizationPolicy {
        meta: meta("istio-system", "wide", "policies.yaml"),
        selector: Labels::new(),
        ..policy(Action::Deny, rules)
    };
    let fixture = Fixture::shop()
        .namespace("bank", &[])
        .workload(deployment("bank", "teller"))
        .authorization(policy);
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0130 istio-system/authorizationpolicy/wide at policies.yaml:8
      `istio-system/authorizationpolicy/wide` stops denying in `spec.rules[0]`: its `to` says nothing but `to[0].operation.paths`, which ztunnel drops, and what is left matches nothing; from that moment the requests to `bank/deployment/teller`, `shop/deployment/web` that the rule denies are ALLOWED
      fix: add a copy in namespace `istio-system` with `spec.targetRefs: [{group: gateway.networking.k8s.io, kind: GatewayClass, name: istio-waypoint}]` in place of the selector, so that all waypoints enforce it
    ");
}

#[test]
fn a_mesh_wide_policy_is_copied_for_the_class_of_waypoints() {
    let rules = || vec![rule(vec![], vec![operation(&["paths"], &[])])];
    let in_root = |mut policy: AuthorizationPolicy| {
        policy.meta.namespace = "istio-system".to_owned();
        policy.selector.clear();
        policy
    };
    let class = target("GatewayClass", "istio-waypoint");
    let fixture = Fixture::shop()
        .behind_waypoint()
        .authorization(in_root(policy(Action::Deny, rules())))
        .authorization(in_root(targeted(Action::Deny, class, rules())));
    assert_eq!(fixture.findings(), "");
}

#[test]
fn a_rule_that_a_waypoint_enforces_as_well_is_left_alone() {
    let rules = || vec![rule(vec![], vec![operation(&["paths"], &[])])];
    for target in [target("Service", "web"), target("Gateway", "waypoint")] {
        let mut selectorless = service("shop", "outside");
        selectorless.selector.clear();
        let fixture = Fixture::shop()
            .behind_waypoint()
            .service(selectorless)
            .authorization(policy(Action::Deny, rules()))
            .authorization(targeted(Action::Deny, target, rules()));
        assert_eq!(fixture.findings(), "");
    }
}

#[test]
fn a_copy_with_another_rule_or_for_one_service_of_two_does_not_count() {
    let rules = || vec![rule(vec![], vec![operation(&["paths"], &[])])];
    let other = vec![rule(vec![], vec![operation(&["hosts"], &[])])];
    let fixture = Fixture::shop()
        .behind_waypoint()
        .authorization(policy(Action::Deny, rules()))
        .authorization(targeted(Action::Deny, target("Service", "web"), other));
    insta::assert_snapshot!(fixture.findings(), @r#"
    error AMB0130 shop/authorizationpolicy/rules at policies.yaml:8
      `shop/authorizationpolicy/rules` stops denying in `spec.rules[0]`: its `to` says nothing but `to[0].operation.paths`, which ztunnel drops, and what is left matches nothing; from that moment the requests to `shop/deployment/web` that the rule denies are ALLOWED
      fix: add a copy with `spec.targetRefs: [{group: "", kind: Service, name: web}]` in place of the selector
    "#);
    let mut second = service("shop", "second");
    second.selector = labels(&[("app", "web")]);
    let fixture = Fixture::shop()
        .behind_waypoint()
        .service(second)
        .authorization(policy(Action::Deny, rules()))
        .authorization(targeted(Action::Deny, target("Service", "web"), rules()));
    insta::assert_snapshot!(fixture.findings(), @r#"
    error AMB0130 shop/authorizationpolicy/rules at policies.yaml:8
      `shop/authorizationpolicy/rules` stops denying in `spec.rules[0]`: its `to` says nothing but `to[0].operation.paths`, which ztunnel drops, and what is left matches nothing; from that moment the requests to `shop/deployment/web` that the rule denies are ALLOWED
      fix: add a copy with `spec.targetRefs: [{group: "", kind: Service, name: second}, {group: "", kind: Service, name: web}]` in place of the selector
    "#);
}

#[test]
fn trust_domains_are_ignored() {
    let limited = |principal: &[&str]| Source {
        ignored: strings(&["trustDomains"]),
        ..principals(principal)
    };
    let from = vec![limited(&["*"]), limited(&[])];
    insta::assert_snapshot!(found(policy(Action::Allow, vec![rule(from.clone(), vec![])])), @"
    error AMB0133 shop/authorizationpolicy/rules at policies.yaml:8
      `shop/authorizationpolicy/rules` limits trust domains with `spec.rules[0].from[0].source.trustDomains`, which ztunnel ignores: the rule also allows sources of every other trust domain
    error AMB0133 shop/authorizationpolicy/rules at policies.yaml:8
      `shop/authorizationpolicy/rules` limits trust domains with `spec.rules[0].from[1].source.trustDomains`, which ztunnel ignores: nothing is left that could match, so it allows nothing
    ");
    insta::assert_snapshot!(found(policy(Action::Deny, vec![rule(from, vec![])])), @"
    error AMB0133 shop/authorizationpolicy/rules at policies.yaml:8
      `shop/authorizationpolicy/rules` limits trust domains with `spec.rules[0].from[0].source.trustDomains`, which ztunnel ignores: the rule also denies sources of every other trust domain
    error AMB0133 shop/authorizationpolicy/rules at policies.yaml:8
      `shop/authorizationpolicy/rules` limits trust domains with `spec.rules[0].from[1].source.trustDomains`, which ztunnel ignores: nothing is left that could match, so it denies nothing
    ");
}

#[test]
fn actions_that_ztunnel_does_not_know() {
    insta::assert_snapshot!(found(policy(Action::Custom, vec![])), @r#"
    error AMB0134 shop/authorizationpolicy/rules at policies.yaml:1
      `shop/authorizationpolicy/rules` asks an external authorizer about requests to `shop/deployment/web`; from the moment of enrolment these requests are ALLOWED without asking
      fix: add a copy with `spec.targetRefs: [{group: "", kind: Service, name: web}]` in place of the selector, and a waypoint for `web` with `--waypoint`
    "#);
    insta::assert_snapshot!(found(policy(Action::Audit, vec![])), @"
    info AMB0135 shop/authorizationpolicy/rules at policies.yaml:1
      `shop/authorizationpolicy/rules` audits requests to `shop/deployment/web`
    ");
}

#[test]
fn an_authorizer_that_the_waypoint_asks_is_left_alone() {
    let fixture = Fixture::shop()
        .behind_waypoint()
        .authorization(policy(Action::Custom, vec![]))
        .authorization(targeted(Action::Custom, target("Service", "web"), vec![]));
    assert_eq!(fixture.findings(), "");
    let mut dry = targeted(Action::Custom, target("Service", "web"), vec![]);
    dry.meta.annotations = labels(&[("istio.io/dry-run", "1")]);
    let fixture = Fixture::shop()
        .behind_waypoint()
        .authorization(policy(Action::Custom, vec![]))
        .authorization(dry);
    assert!(
        fixture.findings().contains("AMB0134"),
        "{}",
        fixture.findings()
    );
}

#[test]
fn a_policy_in_dry_run_is_only_mentioned() {
    let rules = || vec![rule(vec![], vec![operation(&["paths"], &[])])];
    let mut dry = policy(Action::Deny, rules());
    dry.meta.annotations = labels(&[("istio.io/dry-run", "true")]);
    insta::assert_snapshot!(found(dry), @"
    info AMB0136 shop/authorizationpolicy/rules at policies.yaml:1
      `shop/authorizationpolicy/rules` is in dry run and applies to `shop/deployment/web`
    ");
}

#[test]
fn a_class_of_waypoints_counts_in_the_root_namespace_only() {
    let rules = || vec![rule(vec![], vec![operation(&["paths"], &[])])];
    let class = target("GatewayClass", "istio-waypoint");
    let fixture = Fixture::shop()
        .behind_waypoint()
        .authorization(policy(Action::Deny, rules()))
        .authorization(targeted(Action::Deny, class, rules()));
    let found = fixture.findings();
    assert!(found.contains("error AMB0130"), "{found}");
}

#[test]
fn a_copy_for_a_headless_service_does_not_count() {
    let rules = || vec![rule(vec![], vec![operation(&["paths"], &[])])];
    let mut fixture = Fixture::shop()
        .behind_waypoint()
        .authorization(policy(Action::Deny, rules()))
        .authorization(targeted(
            Action::Deny,
            target("Gateway", "waypoint"),
            rules(),
        ));
    fixture.world.services[0].headless = true;
    let found = fixture.findings();
    assert!(found.contains("error AMB0130"), "{found}");
}

#[test]
fn an_empty_selector_reaches_nothing_in_ambient_mode() {
    let mut empty = policy(Action::Deny, vec![rule(vec![], vec![])]);
    empty.selector.clear();
    empty.selects_nothing = true;
    insta::assert_snapshot!(found(empty), @"
    error AMB0144 shop/authorizationpolicy/rules at policies.yaml:1
      `shop/authorizationpolicy/rules` has an empty `spec.selector`, with which it holds for no pod in ambient mode; at `shop/deployment/web` nothing enforces it
    ");
}
