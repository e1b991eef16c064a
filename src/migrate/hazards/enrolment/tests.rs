use crate::migrate::fixture::{Fixture, deployment, labelled, waypoint};

#[test]
fn injection_in_an_enrolled_namespace_is_reported() {
    let fixture = Fixture::with_namespace("shop", &[("istio-injection", "enabled")])
        .workload(deployment("shop", "web"));
    insta::assert_snapshot!(fixture.findings(), @"
    warning AMB0301 namespace/shop at namespaces.yaml:1
      `namespace/shop` has the label `istio-injection: enabled` beside that of ambient mesh, so pods that restart get sidecars and are not captured
      fix: kubectl label namespace shop istio-injection-
      fix: take the label out of `namespaces.yaml:1` as well: the plan only inserts
      fix: then restart its workloads: kubectl rollout restart deployment,statefulset,daemonset --namespace shop
    ");
    let labelled = [
        ("istio.io/rev", "1-30"),
        ("istio.io/dataplane-mode", "ambient"),
    ];
    let fixture = Fixture::with_namespace("shop", &labelled).gateway(waypoint("shop", "w"));
    insta::assert_snapshot!(fixture.findings(), @"
    warning AMB0301 namespace/shop at namespaces.yaml:1
      `namespace/shop` has the label `istio.io/rev: 1-30` beside that of ambient mesh, so pods that restart get sidecars and are not captured
      fix: kubectl label gateway w --namespace shop istio.io/rev=1-30
      fix: kubectl label namespace shop istio.io/rev-
      fix: take the label out of `namespaces.yaml:1` as well: the plan only inserts
      fix: then restart its workloads: kubectl rollout restart deployment,statefulset,daemonset --namespace shop
    ");
}

#[test]
fn injection_that_is_switched_off_is_left_alone() {
    let off = [("istio-injection", "disabled"), ("istio.io/rev", "1-30")];
    assert_eq!(
        Fixture::with_namespace("shop", &off)
            .workload(deployment("shop", "web"))
            .findings(),
        ""
    );
}

#[test]
fn injection_outside_of_the_mesh_is_left_alone() {
    let mut fixture = Fixture::with_namespace("shop", &[("istio-injection", "enabled")])
        .workload(deployment("shop", "web"));
    fixture.scope.exclude = vec!["shop".to_owned()];
    assert_eq!(fixture.findings(), "");
}

#[test]
fn an_unknown_mode_is_reported() {
    let mode = [("istio.io/dataplane-mode", "enabled")];
    let fixture = Fixture::with_namespace("shop", &mode)
        .workload(deployment("shop", "web"))
        .namespace("bank", &[])
        .workload(labelled("bank", "teller", &mode));
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0302 namespace/shop at namespaces.yaml:1
      `namespace/shop` has the label `istio.io/dataplane-mode: enabled`, which means nothing, so it is not enrolled
      fix: kubectl label namespace shop --overwrite istio.io/dataplane-mode=ambient
    error AMB0302 bank/deployment/teller at workloads.yaml:10
      `bank/deployment/teller` has the pod label `istio.io/dataplane-mode: enabled`, which means nothing, so its namespace decides
    ");
}

#[test]
fn an_unknown_mode_outside_of_what_was_asked_for_is_left_alone() {
    let mode = [("istio.io/dataplane-mode", "enabled")];
    let mut fixture = Fixture::with_namespace("shop", &mode);
    fixture.scope.exclude = vec!["shop".to_owned()];
    assert_eq!(fixture.findings(), "");
}
