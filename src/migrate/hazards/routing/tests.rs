use serde_json::{Value, json};

use crate::migrate::fixture::{Fixture, generic};
use crate::model::GenericObject;

fn object(kind: &str, spec: &Value) -> GenericObject {
    generic(
        "networking.istio.io",
        kind,
        ("shop", "web"),
        json!({ "spec": spec }),
    )
}

fn found(kind: &str, spec: &Value) -> String {
    Fixture::shop().networking(object(kind, spec)).findings()
}

#[test]
fn routes_without_a_waypoint_are_reported() {
    let split = || {
        json!({
            "hosts": ["web"],
            "http": [{ "route": [
                { "destination": { "host": "web", "subset": "a" }, "weight": 90 },
                { "destination": { "host": "web", "subset": "b" }, "weight": 10 },
            ]}],
        })
    };
    insta::assert_snapshot!(found("VirtualService", &split()), @"
    error AMB0216 shop/virtualservice/web at objects.yaml:1
      `shop/virtualservice/web` routes requests to `shop/service/web`, which no waypoint serves; its rules have no effect for callers in ambient mode
    ");
    let served = Fixture::shop()
        .behind_waypoint()
        .networking(object("VirtualService", &split()));
    assert_eq!(served.findings(), "");
}

#[test]
fn hosts_are_understood_short_and_long() {
    let faults = |host: &str| {
        found(
            "VirtualService",
            &json!({ "hosts": [host], "http": [{ "fault": {} }] }),
        )
    };
    for host in [
        "web",
        "web.shop",
        "web.shop.svc",
        "web.shop.svc.cluster.local",
    ] {
        assert!(faults(host).starts_with("error AMB0216"), "{host}");
    }
    for host in ["web.bank", "other", "web.example.com", "*"] {
        assert_eq!(faults(host), "", "{host}");
    }
}

#[test]
fn routes_that_change_nothing_or_are_for_gateways_are_left_alone() {
    let plain = json!({
        "hosts": ["web"],
        "http": [{ "route": [{ "destination": { "host": "web" } }] }],
    });
    assert_eq!(found("VirtualService", &plain), "");
    let ingress = json!({ "hosts": ["web"], "gateways": ["edge"], "http": [{ "fault": {} }] });
    assert_eq!(found("VirtualService", &ingress), "");
}

#[test]
fn routes_that_the_waypoint_does_not_see_are_reported() {
    let fault = json!({ "hosts": ["web.shop"], "http": [{ "fault": {} }] });
    let mut elsewhere = object("VirtualService", &fault);
    elsewhere.meta.namespace = "bank".to_owned();
    let fixture = Fixture::shop().behind_waypoint().networking(elsewhere);
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0611 bank/virtualservice/web at objects.yaml:1
      `bank/virtualservice/web` routes requests to `shop/service/web` from namespace `bank`, where waypoint `shop/waypoint` does not read
    ");
    let by_labels = json!({
        "hosts": ["web"],
        "http": [{ "match": [{ "sourceLabels": { "app": "client" } }], "fault": {} }],
    });
    let by_labels = object("VirtualService", &by_labels);
    let fixture = Fixture::shop().behind_waypoint().networking(by_labels);
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0611 shop/virtualservice/web at objects.yaml:1
      `shop/virtualservice/web` chooses by the labels of the client in `spec.http[0]`, which waypoint `shop/waypoint` of `shop/service/web` does not know
    ");
}

#[test]
fn traffic_policies_without_a_waypoint_are_reported() {
    let breaker = json!({
        "host": "web.shop.svc.cluster.local",
        "trafficPolicy": { "outlierDetection": {}, "tls": { "mode": "ISTIO_MUTUAL" } },
        "subsets": [{ "name": "a" }, { "name": "b", "trafficPolicy": { "tls": {} } }],
    });
    insta::assert_snapshot!(found("DestinationRule", &breaker.clone()), @"
    warning AMB0217 shop/destinationrule/web at objects.yaml:1
      `shop/destinationrule/web` has no effect for callers of `shop/service/web` in ambient mode, because no waypoint serves it: `spec.trafficPolicy.outlierDetection`, `spec.subsets[1].trafficPolicy`
    ");
    let served = Fixture::shop()
        .behind_waypoint()
        .networking(object("DestinationRule", &breaker));
    assert_eq!(served.findings(), "");
    let mutual = json!({ "host": "web", "trafficPolicy": { "tls": { "mode": "ISTIO_MUTUAL" } } });
    assert_eq!(found("DestinationRule", &mutual), "");
    let subsets = json!({ "host": "web", "subsets": [{ "name": "a" }] });
    assert_eq!(found("DestinationRule", &subsets), "");
}

#[test]
fn filters_of_sidecars_are_reported() {
    let patch = |context: &str| {
        json!({
            "workloadSelector": { "labels": { "app": "web" } },
            "configPatches": [{ "applyTo": "HTTP_FILTER", "match": { "context": context } }],
        })
    };
    insta::assert_snapshot!(found("EnvoyFilter", &patch("SIDECAR_INBOUND")), @"
    warning AMB0218 shop/envoyfilter/web at objects.yaml:1
      `shop/envoyfilter/web` has no effect on `shop/deployment/web` in ambient mode
    ");
    assert_eq!(found("EnvoyFilter", &patch("GATEWAY")), "");
    let mut elsewhere = patch("SIDECAR_INBOUND");
    elsewhere["workloadSelector"]["labels"]["app"] = json!("other");
    assert_eq!(found("EnvoyFilter", &elsewhere), "");
}

#[test]
fn sidecar_objects_are_reported() {
    let closed = json!({ "outboundTrafficPolicy": { "mode": "REGISTRY_ONLY" } });
    insta::assert_snapshot!(found("Sidecar", &closed), @"
    warning AMB0219 shop/sidecar/web at objects.yaml:1
      `shop/sidecar/web` applies to all of namespace `shop` without a selector, and has no effect on `shop/deployment/web` in ambient mode, and `spec.outboundTrafficPolicy.mode: REGISTRY_ONLY` goes with it: connections to unknown hosts are let out
    ");
    insta::assert_snapshot!(found("Sidecar", &json!({ "egress": [] })), @"
    warning AMB0219 shop/sidecar/web at objects.yaml:1
      `shop/sidecar/web` applies to all of namespace `shop` without a selector, and has no effect on `shop/deployment/web` in ambient mode
    ");
}

#[test]
fn extensions_with_a_selector_are_reported() {
    let selecting = json!({ "selector": { "matchLabels": { "app": "web" } } });
    insta::assert_snapshot!(found("WasmPlugin", &selecting), @"
    warning AMB0220 shop/wasmplugin/web at objects.yaml:1
      `shop/wasmplugin/web` selects `shop/deployment/web`, whose pods have no HTTP proxy in ambient mode
    ");
    assert_eq!(found("Telemetry", &json!({ "tracing": [] })), "");
    let selecting = found("Telemetry", &selecting);
    assert!(selecting.starts_with("warning AMB0220"), "{selecting}");
    let targeting = json!({ "targetRefs": [{ "kind": "Service", "name": "web" }] });
    assert_eq!(found("WasmPlugin", &targeting), "");
}

#[test]
fn what_has_no_selector_is_said_to_mean_everything() {
    let spec = json!({ "configPatches": [{ "applyTo": "LISTENER" }], "egress": [] });
    for kind in ["EnvoyFilter", "Sidecar", "WasmPlugin"] {
        let found = found(kind, &spec);
        assert!(
            found.contains("applies to all of namespace `shop` without a selector"),
            "{found}"
        );
    }
    let mut everywhere = object("WasmPlugin", &spec);
    everywhere.meta.namespace = "istio-system".to_owned();
    insta::assert_snapshot!(Fixture::shop().networking(everywhere).findings(), @"
    warning AMB0220 istio-system/wasmplugin/web at objects.yaml:1
      `istio-system/wasmplugin/web` applies to the whole mesh without a selector, and meets `shop/deployment/web`, whose pods have no HTTP proxy in ambient mode
    ");
}

#[test]
fn plain_http_rules_do_not_excuse_others() {
    let tcp = json!({
        "hosts": ["web"],
        "http": [{ "route": [{ "destination": { "host": "web" } }] }],
        "tcp": [{ "route": [{ "destination": { "host": "other" } }] }],
    });
    let found = found("VirtualService", &tcp);
    assert!(found.starts_with("error AMB0216"), "{found}");
}
