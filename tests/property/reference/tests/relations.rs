//! The ways through the mesh.

use kubectl_ambient::model::{Labels, PeerMode};

use super::super::{
    Asked, Hop, Party, Port, in_mesh, plain_to_mesh, plaintext, tunnel, via_waypoint, waypoint_of,
    waypoint_pod,
};
use super::{pod, with};

const OPEN_80_AND_TUNNEL: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {matchLabels: {app: api}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}, {port: 15008}]}]
";

const ONLY_80: &str = "
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a, namespace: shop}
spec:
  selector: {matchLabels: {app: api}}
  action: DENY
  rules:
  - from: [{source: {principals: ['*']}}]
    to: [{operation: {notPorts: ['80']}}]
";

#[test]
fn a_tunnel_needs_the_tunnel_port_and_nothing_else_of_network_policies() {
    let world = with(OPEN_80_AND_TUNNEL);
    let (web, api, db) = (
        pod(&world, "shop/web"),
        pod(&world, "shop/api"),
        pod(&world, "shop/db"),
    );
    assert!(tunnel(&world, &web, &api, 80));
    assert!(tunnel(&world, &web, &api, 81));
    assert!(!tunnel(&world, &db, &api, 80));
    assert!(tunnel(&world, &api, &web, 1));
}

#[test]
fn an_authorization_policy_limits_the_tunnel_and_leaves_plaintext_alone() {
    let world = with(&format!("{OPEN_80_AND_TUNNEL}{ONLY_80}"));
    let (web, api) = (pod(&world, "shop/web"), pod(&world, "shop/api"));
    assert!(tunnel(&world, &web, &api, 80));
    assert!(!tunnel(&world, &web, &api, 81));
    let party = Party::Pod(&web);
    assert!(plain_to_mesh(&world, party, &api, 80, PeerMode::Permissive));
    assert!(plain_to_mesh(
        &world,
        party,
        &api,
        15008,
        PeerMode::Permissive
    ));
    assert!(!plain_to_mesh(
        &world,
        party,
        &api,
        81,
        PeerMode::Permissive
    ));
}

#[test]
fn ztunnel_refuses_its_own_ports() {
    let world = with("{apiVersion: v1, kind: Namespace, metadata: {name: other}}");
    let (web, api) = (pod(&world, "shop/web"), pod(&world, "shop/api"));
    let refused = [15001, 15006, 15008, 15053, 15080].map(|port| !tunnel(&world, &web, &api, port));
    assert_eq!(refused, [true, true, true, false, true]);
}

#[test]
fn look_ups_travel_in_the_clear_unless_their_pod_opts_out() {
    let policy = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec: {podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: 53}]}]}
";
    let world = with(policy);
    let (mut web, api) = (pod(&world, "shop/web"), pod(&world, "shop/api"));
    assert!(tunnel(&world, &web, &api, 53));
    assert!(!tunnel(&world, &web, &api, 54));
    let opt_out = (
        "ambient.istio.io/dns-capture".to_owned(),
        "false".to_owned(),
    );
    web.annotations.extend([opt_out]);
    assert!(!tunnel(&world, &web, &api, 53));
}

#[test]
fn enrolment_is_the_pods_word_before_its_namespaces() {
    let world = with("{apiVersion: v1, kind: Namespace, metadata: {name: other}}");
    let mut web = pod(&world, "shop/web");
    assert_eq!((in_mesh(&web, true), in_mesh(&web, false)), (true, false));
    let mode = "istio.io/dataplane-mode".to_owned();
    web.labels.insert(mode.clone(), "none".to_owned());
    assert_eq!((in_mesh(&web, true), in_mesh(&web, false)), (false, false));
    web.labels.insert(mode, "ambient".to_owned());
    assert_eq!((in_mesh(&web, true), in_mesh(&web, false)), (true, true));
    let status = "sidecar.istio.io/status".to_owned();
    web.annotations.insert(status, "{}".to_owned());
    assert!(!in_mesh(&web, true));
    assert!(!in_mesh(&pod(&world, "shop/agent"), true));
}

/// A connection from `bank/teller` to port 80 of Service `shop/s`, which is 8080 of `shop/api`.
fn through_waypoint(text: &str) -> bool {
    let world = with(text);
    let waypoint = waypoint_pod(&world, ("shop", "way"));
    let hop = Hop {
        gateway: ("shop", "way"),
        waypoint: &waypoint,
        service: Some(("shop", "s")),
        asked_port: 80,
        target_port: 8080,
        plain: false,
    };
    via_waypoint(
        &world,
        &pod(&world, "bank/teller"),
        &hop,
        &pod(&world, "shop/api"),
    )
}

const ANY: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: other}}";
const WAYPOINT_LABELS: &str = "{matchLabels: {gateway.networking.k8s.io/gateway-name: way}}";

fn network_policy(selector: &str, ingress: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
         metadata: {{name: p{}, namespace: shop}}\n\
         spec: {{podSelector: {selector}, ingress: {ingress}}}\n---\n",
        selector.len()
    )
}

fn deny(scope: &str, rule: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata: {{name: a, namespace: shop}}\n\
         spec: {{action: DENY, {scope}, rules: [{rule}]}}\n"
    )
}

#[test]
fn through_a_waypoint_both_legs_must_be_open() {
    assert!(through_waypoint(ANY));
    let closed_waypoint = network_policy(WAYPOINT_LABELS, "[]");
    assert!(!through_waypoint(&closed_waypoint));
    let open_waypoint = network_policy(
        WAYPOINT_LABELS,
        "[{from: [{namespaceSelector: {}}], ports: [{port: 15008}]}]",
    );
    assert!(through_waypoint(&open_waypoint));
    let api = "{matchLabels: {app: api}}";
    let from_client = network_policy(
        api,
        "[{from: [{namespaceSelector: {matchLabels: {team: blue}}}], ports: [{port: 15008}]}]",
    );
    assert!(!through_waypoint(&from_client));
    let from_waypoint = network_policy(
        api,
        &format!("[{{from: [{{podSelector: {WAYPOINT_LABELS}}}], ports: [{{port: 15008}}]}}]"),
    );
    assert!(through_waypoint(&from_waypoint));
}

#[test]
fn at_the_waypoint_the_client_and_the_service_port_count() {
    let target = "targetRefs: [{kind: Service, group: '', name: s}]";
    let client = "{from: [{source: {namespaces: [bank]}}]}";
    assert!(!through_waypoint(&deny(target, client)));
    assert!(!through_waypoint(&deny(
        target,
        "{to: [{operation: {ports: ['80']}}]}"
    )));
    assert!(through_waypoint(&deny(
        target,
        "{to: [{operation: {ports: ['8080']}}]}"
    )));
}

#[test]
fn behind_the_waypoint_its_own_identity_and_the_target_port_count() {
    let selector = "selector: {matchLabels: {app: api}}";
    assert!(through_waypoint(&deny(
        selector,
        "{from: [{source: {namespaces: [bank]}}]}"
    )));
    assert!(!through_waypoint(&deny(
        selector,
        "{from: [{source: {serviceAccounts: [way]}}]}"
    )));
    assert!(through_waypoint(&deny(
        selector,
        "{to: [{operation: {ports: ['80']}}]}"
    )));
    assert!(!through_waypoint(&deny(
        selector,
        "{to: [{operation: {ports: ['8080']}}]}"
    )));
}

#[test]
fn plaintext_is_what_the_network_policies_say() {
    let world = with(OPEN_80_AND_TUNNEL);
    let (web, api) = (pod(&world, "shop/web"), pod(&world, "shop/api"));
    let passes = |p| plaintext(&world, Party::Pod(&web), Party::Pod(&api), Port::tcp(p));
    assert_eq!([80, 81, 15008].map(passes), [true, false, true]);
}

#[test]
fn a_waypoint_is_named_by_the_thing_itself_before_its_namespace() {
    let text = |kind: &str| {
        format!(
            "apiVersion: v1
kind: Namespace
metadata: {{name: far, labels: {{istio.io/use-waypoint: way}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: way, namespace: far, labels: {{istio.io/waypoint-for: {kind}}}}}
spec: {{gatewayClassName: istio-waypoint}}
"
        )
    };
    let none = labels(&[]);
    let opted_out = labels(&[("istio.io/use-waypoint", "none")]);
    let other = labels(&[("istio.io/use-waypoint", "other")]);
    let from_afar = labels(&[
        ("istio.io/use-waypoint", "way"),
        ("istio.io/use-waypoint-namespace", "far"),
    ]);
    let found = Some(("far".to_owned(), "way".to_owned()));
    for (kind, services, pods) in [
        ("service", true, false),
        ("workload", false, true),
        ("all", true, true),
        ("none", false, false),
    ] {
        let world = with(&text(kind));
        let expected = |takes: bool| found.clone().filter(|_| takes);
        let of = |namespace, asked| waypoint_of(&world, namespace, asked);
        assert_eq!(of("far", Asked::Service(&none)), expected(services));
        assert_eq!(of("far", Asked::Pod(&none)), expected(pods));
        assert_eq!(of("far", Asked::Service(&opted_out)), None);
        assert_eq!(of("far", Asked::Service(&other)), None);
        assert_eq!(of("shop", Asked::Service(&none)), None);
        assert_eq!(of("shop", Asked::Pod(&from_afar)), expected(pods));
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs.iter();
    pairs
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}
