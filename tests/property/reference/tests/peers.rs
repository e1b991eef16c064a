//! NetworkPolicy v1: peers.

use super::networkpolicy::check;

#[test]
fn a_pod_selector_alone_means_the_policys_own_namespace() {
    check(
        "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}",
        &[
            "shop/web > shop/api : TCP 80",
            "!bank/teller > shop/api : TCP 80",
        ],
    );
}

#[test]
fn an_empty_pod_selector_peer_is_the_whole_namespace_and_nobody_outside() {
    check(
        "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}",
        &[
            "shop/db > shop/api : TCP 80",
            "!bank/teller > shop/api : TCP 80",
            "!203.0.113.1 > shop/api : TCP 80",
        ],
    );
}

#[test]
fn both_selectors_in_one_peer_must_match_and_two_peers_are_alternatives() {
    let both =
        "{namespaceSelector: {matchLabels: {team: red}}, podSelector: {matchLabels: {app: web}}}";
    check(
        &format!("{{podSelector: {{}}, ingress: [{{from: [{both}]}}]}}"),
        &[
            "shop/web > shop/api : TCP 80",
            "!shop/db > shop/api : TCP 80",
            "!bank/teller > shop/api : TCP 80",
        ],
    );
    let either = "{namespaceSelector: {matchLabels: {team: blue}}}, {podSelector: {matchLabels: {app: web}}}";
    check(
        &format!("{{podSelector: {{}}, ingress: [{{from: [{either}]}}]}}"),
        &[
            "shop/web > shop/api : TCP 80",
            "!shop/db > shop/api : TCP 80",
            "bank/teller > shop/api : TCP 80",
        ],
    );
}

#[test]
fn every_namespace_has_its_name_as_a_label() {
    check(
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: bank}}}]}]}",
        &[
            "bank/teller > shop/api : TCP 80",
            "!shop/web > shop/api : TCP 80",
        ],
    );
}

#[test]
fn an_empty_namespace_selector_is_every_pod_but_no_address() {
    check(
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}",
        &[
            "bank/teller > shop/api : TCP 80",
            "!203.0.113.1 > shop/api : TCP 80",
        ],
    );
}

/// Whether a pod of `shop` may reach `shop/api` when this expression is the peer.
#[track_caller]
fn check_expression(expression: &str, lines: &[&str]) {
    let peer = format!("{{podSelector: {{matchExpressions: [{expression}]}}}}");
    check(
        &format!("{{podSelector: {{}}, ingress: [{{from: [{peer}]}}]}}"),
        lines,
    );
}

#[test]
fn expressions_hold_as_documented_for_present_and_absent_keys() {
    check_expression(
        "{key: tier, operator: In, values: [back, front]}",
        &[
            "!shop/web > shop/api : TCP 80",
            "shop/db > shop/api : TCP 80",
        ],
    );
    check_expression(
        "{key: tier, operator: NotIn, values: [back]}",
        &[
            "shop/web > shop/api : TCP 80",
            "!shop/db > shop/api : TCP 80",
        ],
    );
    check_expression(
        "{key: tier, operator: NotIn, values: [front]}",
        &[
            "shop/web > shop/api : TCP 80",
            "shop/db > shop/api : TCP 80",
        ],
    );
    check_expression(
        "{key: tier, operator: Exists}",
        &[
            "!shop/web > shop/api : TCP 80",
            "shop/db > shop/api : TCP 80",
        ],
    );
    check_expression(
        "{key: tier, operator: DoesNotExist}",
        &[
            "shop/web > shop/api : TCP 80",
            "!shop/db > shop/api : TCP 80",
        ],
    );
    check_expression(
        "{key: tier, operator: Exists}, {key: app, operator: NotIn, values: [db]}",
        &[
            "shop/api > shop/api : TCP 80",
            "!shop/db > shop/api : TCP 80",
        ],
    );
}

#[test]
fn blocks_match_addresses_but_not_their_exceptions_nor_the_other_family() {
    check(
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.128/25]}}]}]}",
        &[
            "203.0.113.0 > shop/api : TCP 80",
            "203.0.113.127 > shop/api : TCP 80",
            "!203.0.113.128 > shop/api : TCP 80",
            "!203.0.114.0 > shop/api : TCP 80",
            "!2001:db8::1 > shop/api : TCP 80",
        ],
    );
    check(
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: '2001:db8::/32', except: ['2001:db8:1::/48']}}]}]}",
        &[
            "2001:db8::1 > shop/api : TCP 80",
            "!2001:db8:1::1 > shop/api : TCP 80",
            "!203.0.113.1 > shop/api : TCP 80",
        ],
    );
    check(
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}",
        &[
            "1.1.1.1 > shop/api : TCP 80",
            "!2001:db8::1 > shop/api : TCP 80",
        ],
    );
}

#[test]
fn blocks_match_pods_by_the_address_that_the_reading_gives_them() {
    check(
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.1.0.0/16}}]}]}",
        &[
            "shop/db > shop/api : TCP 80",
            "!shop/web > shop/api : TCP 80",
        ],
    );
}
