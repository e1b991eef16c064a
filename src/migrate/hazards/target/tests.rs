use serde_json::json;

use crate::migrate::fixture::{
    Fixture, deployment, generic, labels, meta, planned, policy, rule, target, targeted, waypoint,
};
use crate::model::{
    Action, AuthorizationPolicy, Coverage, Kind, Labels, RequestAuthentication, TargetRef,
};

fn allow_all(target: TargetRef) -> AuthorizationPolicy {
    targeted(Action::Allow, target, vec![rule(vec![], vec![])])
}

fn tokens(selector: Labels, targets: Vec<TargetRef>) -> RequestAuthentication {
    RequestAuthentication {
        meta: meta("shop", "jwt", "policies.yaml"),
        selector,
        targets,
    }
}

#[test]
fn a_target_that_is_missing_is_reported() {
    let fixture = Fixture::shop()
        .authorization(allow_all(target("Service", "gone")))
        .authorization(allow_all(target("Gateway", "gone")))
        .authorization(allow_all(target("ServiceEntry", "gone")));
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0138 shop/authorizationpolicy/targeted at policies.yaml:1
      `shop/authorizationpolicy/targeted` is not enforced through `spec.targetRefs[0]`: the input has no Gateway `gone` in namespace `shop`
    error AMB0138 shop/authorizationpolicy/targeted at policies.yaml:1
      `shop/authorizationpolicy/targeted` is not enforced through `spec.targetRefs[0]`: the input has no Service `gone` in namespace `shop`
    error AMB0138 shop/authorizationpolicy/targeted at policies.yaml:1
      `shop/authorizationpolicy/targeted` is not enforced through `spec.targetRefs[0]`: the input has no ServiceEntry `gone` in namespace `shop`
    ");
}

#[test]
fn a_waypoint_that_only_an_earlier_run_planned_is_asked_for_again() {
    let found = |kind, name| {
        let mut ours = allow_all(target(kind, name));
        let label = ("app.kubernetes.io/managed-by", "kubectl-ambient");
        ours.meta.labels = labels(&[label]);
        Fixture::shop().authorization(ours).findings()
    };
    assert!(!found("Service", "gone").contains("--waypoint"));
    insta::assert_snapshot!(found("Service", "web"), @"
    error AMB0138 shop/authorizationpolicy/targeted at policies.yaml:1
      `shop/authorizationpolicy/targeted` is not enforced through `spec.targetRefs[0]`: no waypoint serves Service `web`
      fix: pass `--waypoint NAME=shop` again, as in the run that made it
    ");
    insta::assert_snapshot!(found("Gateway", "gone"), @"
    error AMB0138 shop/authorizationpolicy/targeted at policies.yaml:1
      `shop/authorizationpolicy/targeted` is not enforced through `spec.targetRefs[0]`: the input has no Gateway `gone` in namespace `shop`
      fix: pass `--waypoint gone=shop` again, as in the run that made it
    ");
}

#[test]
fn a_kind_that_was_not_read_is_not_called_missing() {
    let mut fixture = Fixture::shop().authorization(allow_all(target("Service", "gone")));
    fixture
        .world
        .coverage
        .insert(Kind::Service, Coverage::NotRequested);
    assert_eq!(fixture.findings(), "");
    fixture
        .world
        .coverage
        .insert(Kind::Service, Coverage::Partial);
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0138 shop/authorizationpolicy/targeted at policies.yaml:1
      `shop/authorizationpolicy/targeted` is not enforced through `spec.targetRefs[0]`: what could be read has no Service `gone` in namespace `shop`
    ");
}

#[test]
fn a_target_without_a_waypoint_is_reported() {
    let fixture = Fixture::shop().authorization(allow_all(target("Service", "web")));
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0138 shop/authorizationpolicy/targeted at policies.yaml:1
      `shop/authorizationpolicy/targeted` is not enforced through `spec.targetRefs[0]`: no waypoint serves Service `web`
    ");
    let unused = Fixture::shop()
        .gateway(waypoint("shop", "waypoint"))
        .authorization(allow_all(target("Gateway", "waypoint")));
    insta::assert_snapshot!(unused.findings(), @"
    error AMB0138 shop/authorizationpolicy/targeted at policies.yaml:1
      `shop/authorizationpolicy/targeted` is not enforced through `spec.targetRefs[0]`: nothing in the input uses the waypoint `waypoint`
    ");
}

#[test]
fn a_target_behind_a_waypoint_is_left_alone() {
    for target in [target("Service", "web"), target("Gateway", "waypoint")] {
        let fixture = Fixture::shop()
            .behind_waypoint()
            .authorization(allow_all(target.clone()));
        assert_eq!(fixture.findings(), "");
        let mut plan = Fixture::shop().authorization(allow_all(target));
        plan.options.waypoints = planned(&[("shop", "waypoint")]);
        assert_eq!(plan.findings(), "");
    }
}

#[test]
fn a_gateway_that_is_no_waypoint_enforces_its_own_policies() {
    let mut ingress = waypoint("shop", "ingress");
    ingress.class = "istio".to_owned();
    ingress.listeners[0].protocol = "HTTP".to_owned();
    let fixture = Fixture::shop()
        .gateway(ingress)
        .authorization(allow_all(target("Gateway", "ingress")));
    assert_eq!(fixture.findings(), "");
}

#[test]
fn a_target_has_to_be_in_the_namespace_of_the_policy() {
    let elsewhere = TargetRef {
        namespace: Some("bank".to_owned()),
        ..target("Service", "web")
    };
    let fixture = Fixture::shop()
        .behind_waypoint()
        .authorization(allow_all(elsewhere))
        .authorization(allow_all(target("GatewayClass", "istio-waypoint")));
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0138 shop/authorizationpolicy/targeted at policies.yaml:1
      `shop/authorizationpolicy/targeted` is not enforced through `spec.targetRefs[0]`: Service `bank/web` is in another namespace than the policy, which is not allowed
    error AMB0138 shop/authorizationpolicy/targeted at policies.yaml:1
      `shop/authorizationpolicy/targeted` is not enforced through `spec.targetRefs[0]`: a GatewayClass counts in the root namespace only, which is `istio-system`
    ");
}

#[test]
fn a_gateway_class_counts_in_the_root_namespace() {
    let mut wide = allow_all(target("GatewayClass", "istio-waypoint"));
    wide.meta.namespace = "istio-system".to_owned();
    assert_eq!(Fixture::shop().authorization(wide).findings(), "");
}

#[test]
fn a_headless_target_is_never_behind_its_waypoint() {
    let mut fixture = Fixture::shop()
        .behind_waypoint()
        .authorization(allow_all(target("Service", "web")));
    fixture.world.services[0].headless = true;
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0138 shop/authorizationpolicy/targeted at policies.yaml:1
      `shop/authorizationpolicy/targeted` is not enforced through `spec.targetRefs[0]`: Service `web` is headless, and its clients never pass through a waypoint
    warning AMB0607 shop/service/web at services.yaml:1
      `shop/service/web` is headless, so its clients connect to pods directly and not through waypoint `shop/waypoint`
    ");
}

#[test]
fn a_service_entry_needs_a_waypoint_too() {
    let entry = |own: &[(&str, &str)]| {
        let hosts = json!({ "spec": { "hosts": ["example.com"] } });
        let mut entry = generic(
            "networking.istio.io",
            "ServiceEntry",
            ("shop", "out"),
            hosts,
        );
        entry.meta.labels = labels(own);
        Fixture::shop()
            .gateway(waypoint("shop", "egress"))
            .networking(entry)
            .authorization(allow_all(target("ServiceEntry", "out")))
    };
    insta::assert_snapshot!(entry(&[]).findings(), @"
    error AMB0138 shop/authorizationpolicy/targeted at policies.yaml:1
      `shop/authorizationpolicy/targeted` is not enforced through `spec.targetRefs[0]`: no waypoint serves ServiceEntry `out`
    ");
    assert_eq!(entry(&[("istio.io/use-waypoint", "egress")]).findings(), "");
}

#[test]
fn policies_outside_of_the_mesh_are_left_alone() {
    let mut fixture = Fixture::shop().authorization(allow_all(target("Service", "gone")));
    fixture.scope.exclude = vec!["shop".to_owned()];
    assert_eq!(fixture.findings(), "");
}

#[test]
fn tokens_are_checked_by_a_waypoint_only() {
    let fixture = Fixture::shop().request(tokens(labels(&[("app", "web")]), vec![]));
    insta::assert_snapshot!(fixture.findings(), @r#"
    error AMB0137 shop/requestauthentication/jwt at policies.yaml:1
      `shop/requestauthentication/jwt` checks the tokens of requests to `shop/deployment/web` by selector, which nothing does in ambient mode; from the moment of enrolment requests with any token are let through
      fix: add a copy with `spec.targetRefs: [{group: "", kind: Service, name: web}]` in place of the selector, and a waypoint for `web` with `--waypoint`
    "#);
    let other = Fixture::shop().request(tokens(labels(&[("app", "other")]), vec![]));
    assert_eq!(other.findings(), "");
    let copied = Fixture::shop()
        .behind_waypoint()
        .request(tokens(labels(&[("app", "web")]), vec![]))
        .request(tokens(Labels::new(), vec![target("Service", "web")]));
    assert_eq!(copied.findings(), "");
    let unserved = Fixture::shop().request(tokens(Labels::new(), vec![target("Service", "web")]));
    insta::assert_snapshot!(unserved.findings(), @"
    error AMB0138 shop/requestauthentication/jwt at policies.yaml:1
      `shop/requestauthentication/jwt` is not enforced through `spec.targetRefs[0]`: no waypoint serves Service `web`
    ");
}

#[test]
fn a_selector_for_a_waypoint_is_reported() {
    let mut for_waypoint = policy(Action::Allow, vec![rule(vec![], vec![])]);
    for_waypoint.selector = labels(&[("gateway.networking.k8s.io/gateway-name", "waypoint")]);
    let fixture = Fixture::shop()
        .behind_waypoint()
        .authorization(for_waypoint.clone());
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0139 shop/authorizationpolicy/rules at policies.yaml:1
      `shop/authorizationpolicy/rules` selects the pods of waypoint `shop/waypoint` by `spec.selector`, and a waypoint ignores policies with a selector
      fix: in namespace `shop`, replace `spec.selector` by `spec.targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}]`
    ");
    let elsewhere = Fixture::shop()
        .namespace("bank", &[])
        .workload(deployment("bank", "teller"))
        .gateway(waypoint("bank", "waypoint"))
        .authorization(for_waypoint.clone());
    assert_eq!(elsewhere.findings(), "");
    let mut out = Fixture::shop()
        .behind_waypoint()
        .authorization(for_waypoint);
    out.scope.exclude = vec!["shop".to_owned()];
    assert_eq!(out.findings(), "");
}

#[test]
fn the_group_of_a_target_counts() {
    let of_group = |group: &str, kind| TargetRef {
        group: group.to_owned(),
        ..target(kind, "web")
    };
    let fixture = |target| {
        Fixture::shop()
            .behind_waypoint()
            .authorization(allow_all(target))
    };
    assert_eq!(fixture(of_group("core", "Service")).findings(), "");
    assert_eq!(
        fixture(of_group("networking.istio.io", "Gateway")).findings(),
        ""
    );
    let wrong = fixture(of_group("apps", "Service"));
    insta::assert_snapshot!(wrong.findings(), @"
    error AMB0138 shop/authorizationpolicy/targeted at policies.yaml:1
      `shop/authorizationpolicy/targeted` is not enforced through `spec.targetRefs[0]`: Service of group `apps` is not a kind that a policy can target
    ");
}
