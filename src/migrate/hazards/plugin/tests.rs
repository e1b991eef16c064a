use serde_json::{Value, json};

use crate::migrate::fixture::{Fixture, generic};

fn found(group: &str, kind: &str, body: Value) -> String {
    let mut fixture = Fixture::shop();
    fixture
        .world
        .plugin_policies
        .push(generic(group, kind, ("shop", "rules"), body));
    fixture.findings()
}

fn denying(group: &str, kind: &str, rule: &Value) -> bool {
    let body = json!({ "spec": { "ingress": [rule] } });
    found(group, kind, body).contains("AMB0806")
}

#[test]
fn a_port_that_cilium_denies_is_reported() {
    let ports = || json!([{ "ports": [{ "port": "5432", "protocol": "TCP" }] }]);
    let body = json!({ "specs": [
        { "ingress": [{ "toPorts": ports() }] },
        { "ingressDeny": [{}, { "toPorts": ports() }], "egressDeny": [{ "toPorts": ports() }] },
    ]});
    insta::assert_snapshot!(found("cilium.io", "CiliumNetworkPolicy", body), @"
    error AMB0806 shop/ciliumnetworkpolicy/rules at objects.yaml:1
      `shop/ciliumnetworkpolicy/rules` denies by port in `specs[1].ingressDeny[1]`, `specs[1].egressDeny[0]`, which matches nothing between mesh workloads: their traffic has port 15008, and what is denied is ALLOWED from the moment of enrolment
    ");
}

#[test]
fn denied_ports_are_found_in_every_dialect() {
    let antrea = json!({ "action": "Drop", "ports": [{ "protocol": "TCP", "port": 5432 }] });
    assert!(denying("crd.antrea.io", "NetworkPolicy", &antrea));
    let name = json!({ "action": "Deny", "destination": { "ports": ["http", "1:1024"] } });
    assert!(denying("projectcalico.org", "NetworkPolicy", &name));
    let calico = json!({ "action": "Deny", "protocol": "TCP", "destination": { "ports": [5432] } });
    assert!(denying("projectcalico.org", "NetworkPolicy", &calico));
    let admin =
        json!({ "action": "Deny", "ports": [{ "portNumber": { "protocol": "TCP", "port": 1 } }] });
    assert!(denying(
        "policy.networking.k8s.io",
        "AdminNetworkPolicy",
        &admin
    ));
    let cluster = json!({ "action": "Deny", "protocols": [{ "tcp": { "destinationPort": { "number": 1 } } }] });
    assert!(denying(
        "policy.networking.k8s.io",
        "ClusterNetworkPolicy",
        &cluster
    ));
}

#[test]
fn what_the_tunnel_does_not_hide_is_left_alone() {
    let everything = json!({ "action": "Deny", "source": { "selector": "all()" } });
    assert!(!denying("projectcalico.org", "NetworkPolicy", &everything));
    let udp = json!({ "action": "Deny", "protocol": "UDP", "destination": { "ports": [53] } });
    assert!(!denying("projectcalico.org", "NetworkPolicy", &udp));
    let allowing = json!({ "action": "Allow", "destination": { "ports": [5432] } });
    assert!(!denying("projectcalico.org", "NetworkPolicy", &allowing));
    let inverse = json!({ "action": "Deny", "destination": { "notPorts": [8080] } });
    assert!(!denying("projectcalico.org", "NetworkPolicy", &inverse));
    for port in [json!("1024:65535"), json!(15008)] {
        let tunnel = json!({ "action": "Deny", "destination": { "ports": [port] } });
        assert!(!denying("projectcalico.org", "NetworkPolicy", &tunnel));
    }
    let wide = json!({ "action": "Drop", "ports": [{ "port": 1024, "endPort": 65535 }] });
    assert!(!denying("crd.antrea.io", "NetworkPolicy", &wide));
    let range =
        json!({ "action": "Deny", "ports": [{ "portRange": { "start": 1, "end": 65535 } }] });
    assert!(!denying(
        "policy.networking.k8s.io",
        "AdminNetworkPolicy",
        &range
    ));
    let staged = json!({ "action": "Deny", "destination": { "ports": [5432] } });
    assert!(!denying(
        "projectcalico.org",
        "StagedNetworkPolicy",
        &staged
    ));
}

#[test]
fn rules_about_http_are_reported() {
    let to_ports = |rules: Value| {
        let ports = json!([{ "ports": [{ "port": "80" }], "rules": rules }]);
        json!({ "spec": { "ingress": [{ "toPorts": ports }] } })
    };
    let http = to_ports(json!({ "http": [{ "method": "GET" }] }));
    insta::assert_snapshot!(found("cilium.io", "CiliumNetworkPolicy", http), @"
    error AMB0807 shop/ciliumnetworkpolicy/rules at objects.yaml:1
      `shop/ciliumnetworkpolicy/rules` has rules about the application protocol in `spec.ingress[0]`, which nobody but a waypoint can read between mesh workloads
    ");
    let dns = to_ports(json!({ "dns": [{ "matchPattern": "*" }] }));
    assert_eq!(found("cilium.io", "CiliumNetworkPolicy", dns), "");
}

#[test]
fn policies_outside_of_the_mesh_are_left_alone() {
    let rule = json!({ "action": "Deny", "destination": { "ports": [5432] } });
    let body = json!({ "spec": { "ingress": [rule] } });
    let mut fixture = Fixture::shop();
    let object = generic(
        "projectcalico.org",
        "NetworkPolicy",
        ("shop", "rules"),
        body.clone(),
    );
    fixture.world.plugin_policies.push(object);
    fixture.scope.exclude = vec!["shop".to_owned()];
    assert_eq!(fixture.findings(), "");
    let wide = generic(
        "projectcalico.org",
        "GlobalNetworkPolicy",
        ("", "rules"),
        body,
    );
    fixture.world.plugin_policies = vec![wide];
    assert_eq!(fixture.findings(), "");
    fixture.scope.exclude.clear();
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0806 globalnetworkpolicy/rules at objects.yaml:1
      `globalnetworkpolicy/rules` denies by port in `spec.ingress[0]`, which matches nothing between mesh workloads: their traffic has port 15008, and what is denied is ALLOWED from the moment of enrolment
    ");
}
