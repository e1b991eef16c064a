use std::fmt::Write as _;

use super::authorized::parties;
use super::view::{self, View};
use super::*;
use crate::model::{Protocol, TargetPort, World};
use crate::netpol::PortSet;
use crate::source::load_texts;

fn world(yaml: &str) -> World {
    let loaded = load_texts([("shop.yaml", yaml)], "shop");
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    loaded.world
}

/// Two replicas of `web` of which one has another label, `db` and what each may reach.
const SHOP: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata:
  name: web-1
  labels: {app: web}
  ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: web, uid: u, controller: true}]
spec: {serviceAccountName: web, containers: [{name: main, image: web}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: web-2
  labels: {app: web, role: leader}
  ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: web, uid: u, controller: true}]
spec: {serviceAccountName: leader, containers: [{name: main, image: web}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, labels: {app: db}}
spec:
  serviceAccountName: db
  containers: [{name: main, image: db, ports: [{name: sql, containerPort: 5432}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: sql}]
  - from: [{podSelector: {matchLabels: {role: leader}}}]
    ports: [{port: 5433}, {port: 15008}]
  - from: [{ipBlock: {cidr: 203.0.113.0/24}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {}}]}]}
";

const AUTHORIZATION: &str = "
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: db}
spec:
  selector: {matchLabels: {app: db}}
  action: DENY
  rules:
  - from: [{source: {principals: ['*/ns/shop/sa/leader']}}]
    to: [{operation: {notPorts: ['5433']}}]
";

fn enrolled(more: &str) -> World {
    let label = "metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}";
    world(&(SHOP.replacen("metadata: {name: shop}", label, 1) + more))
}

fn listed(world: &World, mode: Mode) -> String {
    let mut text = String::new();
    for line in connectivity(world, mode).connections {
        writeln!(
            text,
            "{} => {} : {}",
            line.source, line.destination, line.connections
        )
        .unwrap();
    }
    text
}

#[test]
fn an_endpoint_reaches_what_any_of_its_pods_reaches() {
    insta::assert_snapshot!(listed(&world(SHOP), Mode::Plaintext), @"
    203.0.113.0-203.0.113.255 => shop/db[Pod] : All Connections
    shop/db[Pod] => 0.0.0.0-255.255.255.255 : All Connections
    shop/db[Pod] => ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff : All Connections
    shop/db[Pod] => shop/web[StatefulSet] : All Connections
    shop/web[StatefulSet] => 0.0.0.0-255.255.255.255 : All Connections
    shop/web[StatefulSet] => ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff : All Connections
    shop/web[StatefulSet] => shop/db[Pod] : TCP 5432-5433,15008
    ");
}

#[test]
fn through_the_tunnel_authorization_policies_limit_each_identity() {
    insta::assert_snapshot!(listed(&enrolled(AUTHORIZATION), Mode::Tunnel), @"
    203.0.113.0-203.0.113.255 => shop/db[Pod] : All Connections
    shop/db[Pod] => 0.0.0.0-255.255.255.255 : All Connections
    shop/db[Pod] => ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff : All Connections
    shop/db[Pod] => shop/web[StatefulSet] : All Connections
    shop/web[StatefulSet] => 0.0.0.0-255.255.255.255 : All Connections
    shop/web[StatefulSet] => ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff : All Connections
    shop/web[StatefulSet] => shop/db[Pod] : TCP 5433
    ");
}

#[test]
fn the_tunnel_leads_to_no_port_of_ztunnel() {
    let all_but_one = AUTHORIZATION.replace("notPorts: ['5433']", "ports: ['5433']");
    let world = enrolled(&all_but_one);
    let to_db = connectivity(&world, Mode::Tunnel).connections;
    let to_db = to_db
        .iter()
        .find(|c| &*c.source == "shop/web[StatefulSet]" && &*c.destination == "shop/db[Pod]");
    insta::assert_snapshot!(to_db.unwrap().connections, @"TCP 1-52,54-5432,5434-15000,15002-15005,15007,15009-15079,15081-65535");
    let asked = (TargetPort::Number(15001), Protocol::Tcp);
    let explained = explain(&world, Mode::Tunnel, "web", "db", Some(&asked)).unwrap();
    assert_eq!(explained.allowed, "No Connections");
    let mut sides = explained.ingress.iter();
    let ztunnel = sides.find(|s| s.tier == "ztunnel").unwrap();
    insta::assert_snapshot!(ztunnel.because, @"ztunnel keeps the port for itself");
}

#[test]
fn lines_are_sorted_as_text() {
    let pod = |name: &str| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: ns}}\nspec: {{containers: [{{name: c, image: i}}]}}\n"
        )
    };
    let world = world(&["a", "a.b", "a-b", "zero"].map(pod).concat());
    let connections = connectivity(&world, Mode::Plaintext).connections;
    assert_eq!(connections.len(), 4 * 3 + 4 * 2 * 2);
    assert!(connections.is_sorted(), "{connections:?}");
}

#[test]
fn the_list_says_of_each_pair_what_the_pair_is_asked_for() {
    let worlds = [world(SHOP), enrolled(""), enrolled(AUTHORIZATION)];
    for (world, mode) in worlds
        .iter()
        .flat_map(|w| [(w, Mode::Plaintext), (w, Mode::Tunnel)])
    {
        let parties = parties(world);
        let mut view = View::of(world, &parties, &mode.into());
        let listed = connectivity(world, mode).connections;
        let endpoints: Vec<_> = view
            .endpoints
            .iter()
            .map(|(id, e)| (id, e.to_string()))
            .collect();
        for (from, source) in &endpoints {
            for (to, destination) in endpoints.iter().filter(|(to, _)| to != from) {
                let mut ports = PortSet::none();
                for source in view.classes_of(*from) {
                    for destination in view.classes_of(*to) {
                        let low = view.between(source, destination).low;
                        ports = ports.union(view.sets.get(low));
                    }
                }
                let line = listed
                    .iter()
                    .find(|l| *l.source == **source && *l.destination == **destination);
                let line = line.map(|l| l.connections.to_string());
                let ports = (!ports.is_empty()).then(|| view::shown(&ports, mode));
                assert_eq!(line, ports);
            }
        }
    }
}

#[test]
fn a_pair_that_is_not_certain_counts_once_whatever_its_pods() {
    let block = SHOP.replace("203.0.113.0/24", "10.0.0.0/16");
    assert_eq!(connectivity(&world(&block), Mode::Plaintext).uncertain, 1);
    assert_eq!(connectivity(&world(SHOP), Mode::Plaintext).uncertain, 0);
}

fn explained(world: &World, mode: Mode, source: &str, destination: &str) -> String {
    let Explanation {
        source,
        destination,
        asked,
        allowed,
        uncertain,
        egress,
        ingress,
    } = explain(world, mode, source, destination, None).unwrap();
    assert_eq!(asked, None);
    let perhaps = if uncertain { " and perhaps more" } else { "" };
    let mut text = format!("{source} => {destination} : {allowed}{perhaps}\n");
    for (word, side) in egress
        .iter()
        .map(|s| ("egress", s))
        .chain(ingress.iter().map(|s| ("ingress", s)))
    {
        writeln!(
            text,
            "{word} {} : {} ({})",
            side.tier, side.allowed, side.because
        )
        .unwrap();
        for rule in &side.rules {
            writeln!(
                text,
                "  {}[{}] {} {}",
                rule.policy, rule.rule, rule.origin, rule.allows
            )
            .unwrap();
        }
    }
    text
}

#[test]
fn what_differs_between_the_pods_of_an_endpoint_is_explained_for_each() {
    insta::assert_snapshot!(explained(&world(SHOP), Mode::Plaintext, "web", "db"), @"
    shop/web[StatefulSet] => shop/db[Pod] : TCP 5432-5433,15008
    egress default : All Connections (no policy isolates it for egress)
    ingress NetworkPolicy : TCP 5432 (from `web-1`: isolated for ingress by `shop/networkpolicy/db`)
      shop/networkpolicy/db[0] shop.yaml:35 TCP 5432
    ingress NetworkPolicy : TCP 5432-5433,15008 (from `web-2`: isolated for ingress by `shop/networkpolicy/db`)
      shop/networkpolicy/db[0] shop.yaml:35 TCP 5432
      shop/networkpolicy/db[1] shop.yaml:37 TCP 5433,15008
    ");
}

#[test]
fn what_pods_have_in_common_is_explained_once() {
    insta::assert_snapshot!(explained(&world(SHOP), Mode::Plaintext, "db", "web"), @"
    shop/db[Pod] => shop/web[StatefulSet] : All Connections
    egress default : All Connections (no policy isolates it for egress)
    ingress NetworkPolicy : All Connections (isolated for ingress by `shop/networkpolicy/web`)
      shop/networkpolicy/web[0] shop.yaml:44 All Connections
    ");
}

#[test]
fn every_tier_that_the_tunnel_passes_is_explained() {
    let text = explained(&enrolled(AUTHORIZATION), Mode::Tunnel, "web", "db");
    insta::assert_snapshot!(text, @"
    shop/web[StatefulSet] => shop/db[Pod] : TCP 5433
    egress default : SCTP 1-65535,TCP 53,15008,UDP 1-65535 (no policy isolates it for egress)
    ingress NetworkPolicy : No Connections (from `web-1`: isolated for ingress by `shop/networkpolicy/db` and the tunnel's port is what they see)
    ingress AuthorizationPolicy : TCP 1-52,54-65535 (from `web-1`: what the tunnel carries is limited by `shop/authorizationpolicy/db`)
    ingress NetworkPolicy : TCP 15008 (from `web-2`: isolated for ingress by `shop/networkpolicy/db` and the tunnel's port is what they see)
      shop/networkpolicy/db[1] shop.yaml:37 TCP 15008
    ingress AuthorizationPolicy : TCP 5433 (from `web-2`: what the tunnel carries is limited by `shop/authorizationpolicy/db`)
    ");
}

#[test]
fn a_pod_reaches_itself_and_pods_of_one_owner_need_leave() {
    insta::assert_snapshot!(explained(&world(SHOP), Mode::Plaintext, "db", "db"), @"
    shop/db[Pod] => shop/db[Pod] : All Connections
    egress default : All Connections (no policy keeps a pod from itself)
    ingress default : All Connections (no policy keeps a pod from itself)
    ");
    let closed = SHOP.replace("ingress: [{from: [{podSelector: {}}]}]", "ingress: []");
    insta::assert_snapshot!(explained(&world(&closed), Mode::Plaintext, "web", "web"), @"
    shop/web[StatefulSet] => shop/web[StatefulSet] : No Connections
    egress default : All Connections (no policy isolates it for egress)
    ingress NetworkPolicy : No Connections (isolated for ingress by `shop/networkpolicy/web`)
    ");
}

#[test]
fn a_rule_that_may_apply_is_named_and_does_not_count() {
    let egress = "
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: out}
spec:
  podSelector: {matchLabels: {role: leader}}
  policyTypes: [Egress]
  egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 5433}]}]
";
    let world = world(&format!("{SHOP}{egress}"));
    insta::assert_snapshot!(explained(&world, Mode::Plaintext, "web", "db"), @"
    shop/web[StatefulSet] => shop/db[Pod] : TCP 5432 and perhaps more
    egress default : All Connections (for `web-1`: no policy isolates it for egress)
    egress NetworkPolicy : No Connections (for `web-2`: isolated for egress by `shop/networkpolicy/out`; the input does not tell whether these apply: `shop/networkpolicy/out` egress[0])
    ingress NetworkPolicy : TCP 5432 (from `web-1`: isolated for ingress by `shop/networkpolicy/db`)
      shop/networkpolicy/db[0] shop.yaml:35 TCP 5432
    ingress NetworkPolicy : TCP 5432-5433,15008 (from `web-2`: isolated for ingress by `shop/networkpolicy/db`)
      shop/networkpolicy/db[0] shop.yaml:35 TCP 5432
      shop/networkpolicy/db[1] shop.yaml:37 TCP 5433,15008
    ");
}

fn differing(before: &str, after: &str) -> String {
    let mut text = String::new();
    for d in difference(&world(before), &world(after), Mode::Plaintext).pairs {
        let shown = |side: &Option<_>| side.clone().unwrap_or_else(|| "-".into());
        writeln!(
            text,
            "{} => {} : {} -> {}",
            d.source,
            d.destination,
            shown(&d.before),
            shown(&d.after)
        )
        .unwrap();
    }
    text
}

#[test]
fn worlds_differ_in_pairs_and_in_the_ranges_where_answers_change() {
    assert_eq!(differing(SHOP, SHOP), "");
    let wider = SHOP
        .replace("203.0.113.0/24", "203.0.112.0/23")
        .replace("port: 5433", "port: 5434");
    insta::assert_snapshot!(differing(SHOP, &wider), @"
    203.0.112.0-203.0.112.255 => shop/db[Pod] : - -> All Connections
    shop/web[StatefulSet] => shop/db[Pod] : TCP 5432-5433,15008 -> TCP 5432,5434,15008
    ");
}

#[test]
fn an_endpoint_that_only_one_world_has_differs_everywhere() {
    let (start, end) = (
        SHOP.find("---\napiVersion: v1\nkind: Pod\nmetadata: {name: db")
            .unwrap(),
        SHOP.find("---\napiVersion: networking").unwrap(),
    );
    let without = format!("{}{}", &SHOP[..start], &SHOP[end..]);
    insta::assert_snapshot!(differing(&without, SHOP), @"
    203.0.113.0-203.0.113.255 => shop/db[Pod] : - -> All Connections
    shop/db[Pod] => 0.0.0.0-255.255.255.255 : - -> All Connections
    shop/db[Pod] => ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff : - -> All Connections
    shop/db[Pod] => shop/web[StatefulSet] : - -> All Connections
    shop/web[StatefulSet] => shop/db[Pod] : - -> TCP 5432-5433,15008
    ");
}

/// A policy alone, for the pods that a selector matches.
fn alone(name: &str, port: u16, pods: &str) -> String {
    format!(
        "---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}}}
spec:
  podSelector: {{matchLabels: {{app: {pods}}}}}
  ingress: [{{from: [{{podSelector: {{matchLabels: {{app: web}}}}}}], ports: [{{port: {port}}}, {{port: 1}}]}}]
"
    )
}

fn silent(before: &str, after: &str) -> String {
    let silent = difference(&world(before), &world(after), Mode::Plaintext).silent;
    let names: Vec<String> = silent.iter().map(ToString::to_string).collect();
    names.join(" ")
}

#[test]
fn policies_that_differ_for_nobody_in_the_input_are_named() {
    let gone = |port| alone("gone", port, "gone");
    assert_eq!(silent(&gone(80), &gone(80)), "");
    assert_eq!(silent(&gone(80), &gone(81)), "shop/networkpolicy/gone");
    assert_eq!(silent(&gone(80), ""), "shop/networkpolicy/gone");
    // Nobody may connect to these pods but the pods that are not there.
    let with = |port| SHOP.to_owned() + &alone("more", port, "db");
    assert_eq!(silent(&with(5432), &with(9999)), "");
    assert_eq!(silent(&with(5432), &with(15008)), "shop/networkpolicy/more");
}

#[test]
fn a_policy_is_named_beside_one_of_the_same_pods_that_makes_a_difference() {
    // Clients of `both` are there, and those of `gone` are not.
    let gone = |port| alone("gone", port, "db").replace("app: web", "app: gone");
    let both = |port| SHOP.to_owned() + &alone("both", port, "db") + &gone(port);
    assert_eq!(silent(&both(5432), &both(9999)), "shop/networkpolicy/gone");
    let egress = |port| {
        let gone = gone(port).replace("ingress: [{from", "egress: [{to");
        gone.replace("spec:", "spec:\n  policyTypes: [Egress]")
    };
    let ends = |port| SHOP.to_owned() + &alone("both", port, "db") + &egress(port);
    assert_eq!(silent(&ends(5432), &ends(9999)), "shop/networkpolicy/gone");
}

#[test]
fn the_same_said_in_other_rules_is_no_difference() {
    let parts = alone("a", 80, "gone") + &alone("b", 90, "gone");
    let whole = alone("c", 80, "gone").replace("{port: 1}", "{port: 90}, {port: 1, endPort: 1}");
    assert_eq!(silent(&parts, &whole), "");
}
