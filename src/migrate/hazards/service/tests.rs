use serde_json::json;

use crate::migrate::fixture::{Fixture, generic, service};
use crate::model::{Protocol, ServicePort, TargetPort};

#[test]
fn a_reserved_target_port_is_reported() {
    let mut fixture = Fixture::shop();
    fixture.world.services[0].ports[0].target = TargetPort::Number(15006);
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0209 shop/service/web at services.yaml:1
      `shop/service/web` leads to port 15006 of its pods by `spec.ports[0]`, and ztunnel opens that port in every captured pod
    ");
}

#[test]
fn a_service_without_pods_in_the_mesh_is_left_alone() {
    let mut fixture = Fixture::with_namespace("shop", &[]).service(service("shop", "web"));
    fixture.world.services[0].ports[0].target = TargetPort::Number(15006);
    assert_eq!(fixture.findings(), "");
}

#[test]
fn protocols_beside_tcp_are_mentioned() {
    let mut fixture = Fixture::shop();
    let dns = ServicePort {
        name: "dns".to_owned(),
        port: 53,
        target: TargetPort::Number(53),
        protocol: Protocol::Udp,
        app_protocol: None,
    };
    fixture.world.services[0].ports.push(dns);
    insta::assert_snapshot!(fixture.findings(), @"
    info AMB0214 shop/service/web at services.yaml:1
      `shop/service/web` has ports that stay outside of the tunnel: `UDP 53`
    ");
}

#[test]
fn an_external_name_is_mentioned() {
    let mut fixture = Fixture::shop();
    let mut alias = service("shop", "alias");
    alias.service_type = "ExternalName".to_owned();
    alias.selector.clear();
    fixture.world.services.push(alias);
    insta::assert_snapshot!(fixture.findings(), @"
    info AMB0215 shop/service/alias at services.yaml:1
      `shop/service/alias` is of type ExternalName, and what it names stays out of the mesh
    ");
}

#[test]
fn machines_are_reported() {
    let entry = json!({ "spec": { "address": "10.0.0.1" } });
    let entry = generic(
        "networking.istio.io",
        "WorkloadEntry",
        ("shop", "vm"),
        entry,
    );
    let mut fixture = Fixture::shop().networking(entry);
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0211 shop/workloadentry/vm at objects.yaml:1
      `shop/workloadentry/vm` stands for machines outside of Kubernetes, which ambient mesh cannot take in
    ");
    fixture.scope.exclude = vec!["shop".to_owned()];
    assert_eq!(fixture.findings(), "");
}
