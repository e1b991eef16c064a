use crate::migrate::fixture::{Fixture, deployment, labels, meta, service, waypoint};
use crate::model::{LabelSelector, NetworkPolicy};

const IN_USE: (&str, &str) = ("istio.io/use-waypoint", "waypoint");
const ENROLLED: (&str, &str) = ("istio.io/dataplane-mode", "ambient");

/// A policy that isolates pods by their label.
fn isolating(app: &str) -> NetworkPolicy {
    NetworkPolicy {
        meta: meta("shop", app, "policies.yaml"),
        pod_selector: LabelSelector::labels([("app", app)]),
        isolates_ingress: true,
        isolates_egress: false,
        ingress: Vec::new(),
        egress: Vec::new(),
    }
}

/// Two servers, of which a policy isolates one, behind a waypoint.
fn servers(namespace: &[(&str, &str)]) -> Fixture {
    Fixture::with_namespace("shop", namespace)
        .workload(deployment("shop", "web"))
        .workload(deployment("shop", "api"))
        .service(service("shop", "web"))
        .service(service("shop", "api"))
        .gateway(waypoint("shop", "waypoint"))
        .network(isolating("web"))
}

/// The lines of findings about waypoints in use.
fn told(fixture: &Fixture) -> String {
    let findings = fixture.findings();
    let mut lines = Vec::new();
    let mut is_ours = false;
    for line in findings.lines() {
        if !line.starts_with(' ') {
            is_ours = line.contains("AMB0613");
        }
        if is_ours {
            lines.push(line);
        }
    }
    lines.join("\n")
}

#[test]
fn pods_that_are_not_captured_yet_are_named() {
    insta::assert_snapshot!(told(&servers(&[IN_USE])), @"
    warning AMB0613 namespace/shop at namespaces.yaml:1
      `namespace/shop` has the label `istio.io/use-waypoint: waypoint` already, and until these isolated pods are captured waypoint `shop/waypoint` reaches them in the clear, from its own address: `shop/deployment/web`
      fix: kubectl label namespace shop istio.io/use-waypoint-
    ");
    insta::assert_snapshot!(told(&servers(&[IN_USE, ENROLLED, ("istio-injection", "enabled")])), @"
    warning AMB0613 namespace/shop at namespaces.yaml:1
      `namespace/shop` has the label `istio.io/use-waypoint: waypoint` already, and until these isolated pods are captured waypoint `shop/waypoint` reaches them in the clear, from its own address: `shop/deployment/web`
      fix: kubectl label namespace shop istio.io/use-waypoint-
    ");
}

#[test]
fn nothing_is_said_of_captured_pods_and_of_waypoints_that_come_later() {
    assert_eq!(told(&servers(&[IN_USE, ENROLLED])), "");
    assert_eq!(told(&servers(&[])), "");
    let mut planned = servers(&[]);
    planned.options.waypoints = crate::migrate::fixture::planned(&[("shop", "waypoint")]);
    assert_eq!(told(&planned), "");
    let mut missing = servers(&[IN_USE]);
    missing.world.gateways.clear();
    assert_eq!(told(&missing), "");
    let mut open = servers(&[IN_USE]);
    open.world.network_policies.clear();
    assert_eq!(told(&open), "");
}

#[test]
fn the_label_of_a_service_is_its_own() {
    let mut fixture = servers(&[]);
    for service in &mut fixture.world.services {
        service.meta.labels = labels(&[IN_USE]);
    }
    insta::assert_snapshot!(told(&fixture), @"
    warning AMB0613 shop/service/web at services.yaml:1
      `shop/service/web` has the label `istio.io/use-waypoint: waypoint` already, and until these isolated pods are captured waypoint `shop/waypoint` reaches them in the clear, from its own address: `shop/deployment/web`
      fix: take the label `istio.io/use-waypoint` off `shop/service/web` until its pods are captured, or restart them before clients are enrolled
    ");
}
