use crate::migrate::fixture::{
    Fixture, labelled, labels, operation, policy, principals, rule, service, target, targeted,
    waypoint,
};
use crate::model::{
    Action, AllowedNamespaces, AuthorizationPolicy, Coverage, Kind, MeshConfig, ObjectRef, Origin,
    Source,
};

const WAYPOINT: &str = "cluster.local/ns/shop/sa/waypoint";
const CLIENT: &str = "cluster.local/ns/shop/sa/client";

fn allow(from: Vec<Source>) -> AuthorizationPolicy {
    policy(Action::Allow, vec![rule(from, vec![])])
}

/// A copy for the Service keeps quiet about what the waypoint hides, and shows admission alone.
fn admission(policy: AuthorizationPolicy) -> String {
    let copy = targeted(
        policy.action,
        target("Service", "web"),
        vec![rule(vec![], vec![])],
    );
    let fixture = Fixture::shop().behind_waypoint();
    fixture.authorization(policy).authorization(copy).findings()
}

#[test]
fn a_label_for_a_missing_waypoint_is_reported_at_its_object() {
    let fixture = Fixture::with_namespace("shop", &[("istio.io/use-waypoint", "gone")])
        .workload(labelled(
            "shop",
            "web",
            &[("istio.io/use-waypoint", "lost")],
        ))
        .service(service("shop", "web"));
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0601 namespace/shop at namespaces.yaml:1
      `namespace/shop` has the label `istio.io/use-waypoint: gone`, and the input has no Gateway `shop/gone`; traffic goes to its destination directly and skips every policy and route of the waypoint
      fix: istioctl waypoint apply --namespace shop --name gone
    error AMB0601 shop/deployment/web at workloads.yaml:10
      `shop/deployment/web` has the label `istio.io/use-waypoint: lost`, and the input has no Gateway `shop/lost`; traffic goes to its destination directly and skips every policy and route of the waypoint
      fix: istioctl waypoint apply --namespace shop --name lost
    ");
}

#[test]
fn nothing_is_said_about_waypoints_when_gateways_were_not_read() {
    let mut fixture = Fixture::with_namespace("shop", &[("istio.io/use-waypoint", "gone")]);
    fixture
        .world
        .coverage
        .insert(Kind::Gateway, Coverage::NotRequested);
    assert_eq!(fixture.findings(), "");
    fixture
        .world
        .coverage
        .insert(Kind::Gateway, Coverage::Complete);
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0601 namespace/shop at namespaces.yaml:1
      `namespace/shop` has the label `istio.io/use-waypoint: gone`, and there is no Gateway `shop/gone`; traffic goes to its destination directly and skips every policy and route of the waypoint
      fix: istioctl waypoint apply --namespace shop --name gone
    ");
}

#[test]
fn a_service_with_a_broken_label_is_reported_once() {
    let mut fixture = Fixture::shop();
    fixture.world.services[0].meta.labels = labels(&[
        ("istio.io/use-waypoint", "w"),
        ("istio.io/use-waypoint-namespace", "infra"),
    ]);
    let fixture = fixture.gateway(waypoint("infra", "w"));
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0603 shop/service/web at services.yaml:1
      `shop/service/web` has the label `istio.io/use-waypoint: w` for waypoint `infra/w`, whose `allowedRoutes` do not admit namespace `shop`; traffic goes to its destination directly and skips every policy and route of the waypoint
      fix: set `spec.listeners[].allowedRoutes.namespaces.from: All` in Gateway `infra/w`
    ");
}

#[test]
fn a_waypoint_of_the_wrong_kind_is_reported() {
    let mut for_pods = waypoint("shop", "w");
    for_pods.meta.labels = labels(&[("istio.io/waypoint-for", "workload")]);
    let mut web = service("shop", "web");
    web.meta.labels = labels(&[("istio.io/use-waypoint", "w")]);
    let fixture = Fixture::with_namespace("shop", &[])
        .workload(labelled("shop", "web", &[]))
        .service(web)
        .gateway(for_pods.clone());
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0604 shop/service/web at services.yaml:1
      `shop/service/web` has the label `istio.io/use-waypoint: w` for waypoint `shop/w`, which takes `workload` traffic only; traffic goes to its destination directly and skips every policy and route of the waypoint
      fix: kubectl label gateway w --namespace shop --overwrite istio.io/waypoint-for=all
    ");
    // The namespace asked for a waypoint of its pods, and has one.
    let inherited = Fixture::shop()
        .namespace("shop", &[("istio.io/use-waypoint", "w")])
        .gateway(for_pods);
    assert_eq!(inherited.findings(), "");
}

#[test]
fn a_waypoint_that_takes_nothing_says_why() {
    let takes = |value: &str| {
        let mut gateway = waypoint("shop", "w");
        gateway.meta.labels = labels(&[("istio.io/waypoint-for", value)]);
        let mut web = service("shop", "web");
        web.meta.labels = labels(&[("istio.io/use-waypoint", "w")]);
        let fixture = Fixture::with_namespace("shop", &[])
            .workload(labelled("shop", "web", &[]))
            .service(web)
            .gateway(gateway);
        let findings = fixture.findings();
        let found = findings.split_once("which takes ").unwrap().1;
        found.split_once(';').unwrap().0.to_owned()
    };
    insta::assert_snapshot!(["none", "", "servcie"].map(takes).join("\n"), @"
    no traffic, because its label `istio.io/waypoint-for` is `none`
    no traffic, because its label `istio.io/waypoint-for` is empty
    no traffic, because its label `istio.io/waypoint-for` has the unknown value `servcie`
    ");
}

#[test]
fn a_gateway_that_is_no_waypoint_is_reported() {
    let mut ingress = waypoint("shop", "w");
    ingress.class = "istio".to_owned();
    ingress.listeners.clear();
    let fixture = Fixture::shop()
        .namespace("shop", &[("istio.io/use-waypoint", "w")])
        .gateway(ingress);
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0602 namespace/shop at namespaces.yaml:1
      `namespace/shop` has the label `istio.io/use-waypoint: w` for Gateway `shop/w` of class `istio`, which has no HBONE listener; traffic goes to its destination directly and skips every policy and route of the waypoint
      fix: istioctl waypoint apply --namespace shop --name w --overwrite
    ");
}

#[test]
fn labels_outside_of_the_mesh_are_left_alone() {
    let mut fixture = Fixture::shop().namespace("shop", &[("istio.io/use-waypoint", "gone")]);
    fixture.scope.exclude = vec!["shop".to_owned()];
    assert_eq!(fixture.findings(), "");
}

#[test]
fn a_policy_that_does_not_allow_the_waypoint_is_reported() {
    insta::assert_snapshot!(admission(allow(vec![principals(&[CLIENT])])), @r#"
    error AMB0605 shop/service/web at services.yaml:1
      `shop/service/web` is behind waypoint `shop/waypoint`, which connects with service account `shop/waypoint`, and `shop/authorizationpolicy/rules` does not allow it on port `8080`; every request through the waypoint is refused
      fix: add an AuthorizationPolicy with `action: ALLOW` for the same pods and `from: [{source: {principals: ["cluster.local/ns/shop/sa/waypoint"]}}]`
    "#);
    // A rule of HTTP is dropped by ztunnel and admits nobody.
    let rules = vec![rule(
        vec![principals(&[WAYPOINT])],
        vec![operation(&[], &["9090"])],
    )];
    insta::assert_snapshot!(admission(policy(Action::Allow, rules)), @r#"
    error AMB0605 shop/service/web at services.yaml:1
      `shop/service/web` is behind waypoint `shop/waypoint`, which connects with service account `shop/waypoint`, and `shop/authorizationpolicy/rules` does not allow it on port `8080`; every request through the waypoint is refused
      fix: add an AuthorizationPolicy with `action: ALLOW` for the same pods and `from: [{source: {principals: ["cluster.local/ns/shop/sa/waypoint"]}}]`
    "#);
}

#[test]
fn a_policy_that_denies_the_waypoint_is_reported() {
    let others = Source {
        not_principals: vec![CLIENT.into()],
        ..Source::default()
    };
    insta::assert_snapshot!(admission(policy(Action::Deny, vec![rule(vec![others], vec![])])), @"
    error AMB0605 shop/service/web at services.yaml:1
      `shop/service/web` is behind waypoint `shop/waypoint`, which connects with service account `shop/waypoint`, and `shop/authorizationpolicy/rules` denies it on port `8080`; every request through the waypoint is refused
      fix: add `cluster.local/ns/shop/sa/waypoint` to `notPrincipals` of the rule that denies
    ");
}

#[test]
fn policies_that_admit_the_waypoint_are_left_alone() {
    let by_namespace = Source {
        namespaces: vec!["shop".into()],
        ..Source::default()
    };
    let by_account = Source {
        service_accounts: vec!["waypoint".into()],
        ..Source::default()
    };
    // The address of a waypoint is not known, so nothing is claimed.
    let by_address = Source {
        ip_blocks: vec!["10.0.0.0/8".into()],
        ..Source::default()
    };
    let sources = [
        principals(&["*"]),
        principals(&[CLIENT, WAYPOINT]),
        principals(&["*/ns/shop/sa/waypoint"]),
        principals(&["cluster.local/ns/shop/*"]),
        by_namespace,
        by_account,
        by_address,
    ];
    for source in sources {
        assert_eq!(admission(allow(vec![source.clone()])), "", "{source:?}");
    }
    assert_eq!(admission(allow(vec![])), "");
    let by_address = Source {
        not_ip_blocks: vec!["10.0.0.0/8".into()],
        ..Source::default()
    };
    let denying = policy(Action::Deny, vec![rule(vec![by_address], vec![])]);
    assert_eq!(admission(denying), "");
}

#[test]
fn a_source_rule_behind_a_waypoint_is_reported() {
    let with_waypoint = |p: AuthorizationPolicy| {
        let fixture = Fixture::shop().behind_waypoint();
        fixture.authorization(p).findings()
    };
    let denied = policy(
        Action::Deny,
        vec![rule(vec![principals(&[CLIENT])], vec![])],
    );
    insta::assert_snapshot!(with_waypoint(denied), @r#"
    error AMB0606 shop/authorizationpolicy/rules at policies.yaml:8
      `shop/authorizationpolicy/rules` decides by `from[0].source.principals` of `spec.rules[0]`, but Service `shop/web` is behind waypoint `shop/waypoint`, whose service account is all that its pods see: what the rule denies comes in through the waypoint
      fix: add a copy in namespace `shop` with `spec.targetRefs: [{group: "", kind: Service, name: web}]` in place of the selector
    "#);
    let allowed = allow(vec![principals(&[CLIENT]), principals(&[WAYPOINT])]);
    insta::assert_snapshot!(with_waypoint(allowed), @r#"
    error AMB0606 shop/authorizationpolicy/rules at policies.yaml:8
      `shop/authorizationpolicy/rules` decides by `from[0].source.principals` of `spec.rules[0]`, but Service `shop/web` is behind waypoint `shop/waypoint`, whose service account is all that its pods see: which clients the rule allows makes no difference to what comes through it
      fix: add a copy in namespace `shop` with `spec.targetRefs: [{group: "", kind: Service, name: web}]` in place of the selector
    "#);
}

#[test]
fn a_source_rule_about_the_waypoint_itself_is_left_alone() {
    let only_waypoint = Source {
        not_principals: vec![WAYPOINT.into()],
        ..Source::default()
    };
    let fixture = Fixture::shop()
        .behind_waypoint()
        .authorization(allow(vec![principals(&[WAYPOINT])]))
        .authorization(policy(
            Action::Deny,
            vec![rule(vec![only_waypoint], vec![])],
        ));
    assert_eq!(fixture.findings(), "");
}

#[test]
fn a_source_rule_without_a_waypoint_is_left_alone() {
    let fixture = Fixture::shop().authorization(allow(vec![principals(&[CLIENT])]));
    assert_eq!(fixture.findings(), "");
}

#[test]
fn policies_that_the_plan_made_are_left_alone() {
    let limits = Source {
        not_principals: vec![WAYPOINT.into(), CLIENT.into()],
        ..principals(&["*"])
    };
    let mut ours = policy(Action::Deny, vec![rule(vec![limits], vec![])]);
    ours.meta.labels = labels(&[("app.kubernetes.io/managed-by", "kubectl-ambient")]);
    let fixture = Fixture::shop().behind_waypoint().authorization(ours);
    assert_eq!(fixture.findings(), "");
}

#[test]
fn a_headless_service_is_not_served_by_a_waypoint_for_services() {
    let mut fixture = Fixture::shop().behind_waypoint();
    fixture.world.services[0].headless = true;
    insta::assert_snapshot!(fixture.findings(), @"
    warning AMB0607 shop/service/web at services.yaml:1
      `shop/service/web` is headless, so its clients connect to pods directly and not through waypoint `shop/waypoint`
    ");
    let mut unbound = Fixture::shop();
    unbound.world.services[0].headless = true;
    assert_eq!(unbound.findings(), "");
}

#[test]
fn a_service_that_is_reached_from_outside_goes_around_its_waypoint() {
    let mut fixture = Fixture::shop().behind_waypoint();
    fixture.world.services[0].service_type = "NodePort".to_owned();
    insta::assert_snapshot!(fixture.findings(), @"
    warning AMB0608 shop/service/web at services.yaml:1
      `shop/service/web` is of type NodePort, and connections from outside do not pass through waypoint `shop/waypoint`
    ");
}

#[test]
fn a_waypoint_that_admits_the_namespace_is_left_alone() {
    let mut shared = waypoint("infra", "w");
    shared.listeners[0].allowed = AllowedNamespaces::All;
    let fixture = Fixture::shop()
        .namespace(
            "shop",
            &[
                ("istio.io/use-waypoint", "w"),
                ("istio.io/use-waypoint-namespace", "infra"),
            ],
        )
        .gateway(shared);
    assert_eq!(fixture.findings(), "");
}

#[test]
fn what_a_headless_service_leads_to_is_not_hidden() {
    let mut fixture = Fixture::shop()
        .behind_waypoint()
        .authorization(allow(vec![principals(&[CLIENT])]));
    fixture.world.services[0].headless = true;
    let found = fixture.findings();
    assert!(
        !found.contains("AMB0606") && !found.contains("AMB0605"),
        "{found}"
    );
}

#[test]
fn a_rule_of_http_admits_no_waypoint() {
    let operations = || vec![operation(&["methods"], &["8080"])];
    let rules = vec![rule(vec![principals(&[WAYPOINT])], operations())];
    let found = admission(policy(Action::Allow, rules));
    assert!(found.contains("error AMB0605"), "{found}");
    // Nor does anything hide the sources of a rule that is dropped.
    let rules = vec![rule(vec![principals(&[CLIENT])], operations())];
    let fixture = Fixture::shop()
        .behind_waypoint()
        .authorization(policy(Action::Allow, rules));
    assert!(!fixture.findings().contains("AMB0606"));
}

#[test]
fn a_policy_in_the_root_namespace_refuses_the_waypoint_too() {
    let mut nothing = policy(Action::Allow, vec![]);
    nothing.meta.namespace = "istio-system".to_owned();
    nothing.selector.clear();
    insta::assert_snapshot!(admission(nothing), @r#"
    error AMB0605 shop/service/web at services.yaml:1
      `shop/service/web` is behind waypoint `shop/waypoint`, which connects with service account `shop/waypoint`, and `istio-system/authorizationpolicy/rules` does not allow it on port `8080`; every request through the waypoint is refused
      fix: add an AuthorizationPolicy with `action: ALLOW` for the same pods and `from: [{source: {principals: ["cluster.local/ns/shop/sa/waypoint"]}}]`
    "#);
}

#[test]
fn the_trust_domain_of_the_mesh_is_part_of_the_name_of_a_waypoint() {
    let said = |principal: &str| {
        let mut fixture = Fixture::shop().behind_waypoint();
        fixture.world.mesh.configs.push(MeshConfig {
            object: ObjectRef::namespaced("istio-system", "ConfigMap", "istio"),
            origin: Origin::synthetic(),
            trust_domain: Some("corp.example".to_owned()),
            root_namespace: None,
            registry_only: false,
        });
        let policy = allow(vec![principals(&[principal])]);
        let copy = targeted(
            policy.action,
            target("Service", "web"),
            vec![rule(vec![], vec![])],
        );
        fixture.authorization(policy).authorization(copy).findings()
    };
    assert_eq!(said("corp.example/ns/shop/sa/waypoint"), "");
    let refused = said(WAYPOINT);
    assert!(
        refused.contains(r#"["corp.example/ns/shop/sa/waypoint"]"#),
        "{refused}"
    );
}
