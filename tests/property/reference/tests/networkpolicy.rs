//! NetworkPolicy v1: isolation, ports, and how policies add up.

use std::net::IpAddr;

use super::super::{Direction, Party, isolated, plaintext};
use super::{pod, port, with};

/// Asserts for a policy in `shop` with this `spec` what passes and what does not. A line is
/// `source > destination : PROTOCOL port`, with `!` in front when it must not pass.
#[track_caller]
pub(super) fn check(spec: &str, lines: &[&str]) {
    check_all(&[spec], lines);
}

#[track_caller]
fn check_all(specs: &[&str], lines: &[&str]) {
    let policies: Vec<String> = specs
        .iter()
        .enumerate()
        .map(|(i, spec)| {
            format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
                 metadata: {{name: p{i}, namespace: shop}}\nspec: {spec}\n"
            )
        })
        .collect();
    let world = with(&policies.join("---\n"));
    for line in lines {
        let (expected, flow) = match line.strip_prefix('!') {
            Some(flow) => (false, flow),
            None => (true, *line),
        };
        let (ends, wanted) = flow.rsplit_once(" : ").unwrap();
        let (source, destination) = ends.split_once(" > ").unwrap();
        let pods = [source, destination].map(|name| {
            let is_address = name.parse::<IpAddr>().is_ok();
            (!is_address).then(|| pod(&world, name))
        });
        let [source, destination] =
            [(&pods[0], source), (&pods[1], destination)].map(|(pod, name)| match pod {
                Some(pod) => Party::Pod(pod),
                None => Party::External(name.parse().unwrap()),
            });
        let passes = plaintext(&world, source, destination, port(wanted));
        assert_eq!(passes, expected, "{line}");
    }
}

#[test]
fn without_policies_everything_passes() {
    check_all(
        &[],
        &[
            "shop/web > shop/api : TCP 1",
            "bank/teller > shop/web : SCTP 65535",
            "203.0.113.1 > shop/web : UDP 53",
            "shop/web > 2001:db8::1 : TCP 443",
        ],
    );
}

#[test]
fn a_policy_isolates_only_the_pods_it_selects_and_only_for_ingress_by_default() {
    check(
        "{podSelector: {matchLabels: {app: api}}}",
        &[
            "!shop/web > shop/api : TCP 80",
            "!203.0.113.1 > shop/api : UDP 80",
            "shop/api > shop/web : TCP 80",
            "shop/api > 203.0.113.1 : TCP 80",
            "shop/web > shop/db : TCP 80",
        ],
    );
}

#[test]
fn an_empty_egress_list_without_policy_types_does_not_isolate_egress() {
    check(
        "{podSelector: {}, egress: []}",
        &[
            "!bank/teller > shop/api : TCP 80",
            "shop/api > bank/teller : TCP 80",
        ],
    );
}

#[test]
fn an_egress_rule_without_policy_types_isolates_both_directions() {
    check(
        "{podSelector: {matchLabels: {app: api}}, egress: [{ports: [{port: 80}]}]}",
        &[
            "shop/api > bank/teller : TCP 80",
            "!shop/api > bank/teller : TCP 81",
            "!bank/teller > shop/api : TCP 80",
        ],
    );
}

#[test]
fn an_empty_list_of_policy_types_is_defaulted_too() {
    check(
        "{podSelector: {matchLabels: {app: api}}, policyTypes: [], egress: [{}]}",
        &[
            "shop/api > shop/web : TCP 80",
            "!shop/web > shop/api : TCP 80",
        ],
    );
}

#[test]
fn egress_alone_leaves_ingress_open_and_its_ingress_rules_mean_nothing() {
    check(
        "{podSelector: {}, policyTypes: [Egress], ingress: [{ports: [{port: 80}]}]}",
        &[
            "bank/teller > shop/api : TCP 81",
            "!shop/api > bank/teller : TCP 80",
        ],
    );
}

#[test]
fn an_ingress_rule_grants_nothing_when_another_policy_isolates_egress_only() {
    check_all(
        &[
            "{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress]}",
            "{podSelector: {}, policyTypes: [Egress], ingress: [{}], egress: [{}]}",
        ],
        &[
            "!shop/web > shop/api : TCP 80",
            "shop/web > shop/db : TCP 80",
        ],
    );
}

#[test]
fn an_empty_rule_allows_everything() {
    check(
        "{podSelector: {}, ingress: [{}]}",
        &[
            "203.0.113.1 > shop/api : SCTP 7",
            "bank/teller > shop/web : TCP 15008",
        ],
    );
}

#[test]
fn empty_lists_of_peers_and_ports_are_no_limits() {
    check(
        "{podSelector: {}, ingress: [{from: [], ports: []}]}",
        &[
            "203.0.113.1 > shop/api : UDP 7",
            "bank/teller > shop/web : TCP 1",
        ],
    );
}

#[test]
fn an_empty_port_entry_is_every_tcp_port_and_nothing_else() {
    check(
        "{podSelector: {}, ingress: [{ports: [{}]}]}",
        &[
            "shop/web > shop/api : TCP 1",
            "shop/web > shop/api : TCP 65535",
            "!shop/web > shop/api : UDP 1",
            "!shop/web > shop/api : SCTP 1",
        ],
    );
}

#[test]
fn ports_name_one_protocol_each() {
    check(
        "{podSelector: {}, ingress: [{ports: [{protocol: UDP}, {port: 80}, {protocol: SCTP, port: 9}]}]}",
        &[
            "shop/web > shop/api : UDP 15008",
            "shop/web > shop/api : TCP 80",
            "!shop/web > shop/api : TCP 81",
            "shop/web > shop/api : SCTP 9",
            "!shop/web > shop/api : SCTP 80",
        ],
    );
}

#[test]
fn a_range_holds_both_its_ends() {
    check(
        "{podSelector: {}, ingress: [{ports: [{port: 80, endPort: 90}]}]}",
        &[
            "!shop/web > shop/api : TCP 79",
            "shop/web > shop/api : TCP 80",
            "shop/web > shop/api : TCP 90",
            "!shop/web > shop/api : TCP 91",
            "!shop/web > shop/api : UDP 85",
        ],
    );
}

#[test]
fn a_named_port_is_what_each_destination_calls_by_it() {
    check(
        "{podSelector: {}, ingress: [{ports: [{port: http}]}]}",
        &[
            "shop/db > shop/web : TCP 8080",
            "!shop/db > shop/web : TCP 9090",
            "shop/db > shop/api : TCP 9090",
            "!shop/db > shop/api : TCP 8080",
            "!shop/web > shop/db : TCP 8080",
            "!shop/db > shop/web : UDP 8080",
        ],
    );
}

#[test]
fn a_named_port_of_an_egress_rule_is_the_destinations_too() {
    check(
        "{podSelector: {matchLabels: {app: db}}, policyTypes: [Egress], egress: [{ports: [{port: http}]}]}",
        &[
            "shop/db > shop/api : TCP 9090",
            "!shop/db > shop/api : TCP 8080",
            "!shop/db > bank/teller : TCP 8080",
            "!shop/db > 203.0.113.1 : TCP 8080",
        ],
    );
}

#[test]
fn a_named_port_belongs_to_its_protocol() {
    check(
        "{podSelector: {}, ingress: [{ports: [{port: dns}, {port: http, protocol: UDP}]}]}",
        &[
            "!shop/db > shop/web : UDP 53",
            "!shop/db > shop/web : UDP 8080",
        ],
    );
    check(
        "{podSelector: {}, ingress: [{ports: [{port: dns, protocol: UDP}]}]}",
        &[
            "shop/db > shop/web : UDP 53",
            "!shop/db > shop/web : TCP 53",
        ],
    );
}

#[test]
fn what_the_source_may_not_send_the_destination_does_not_get() {
    check_all(
        &[
            "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{ports: [{port: 80}]}]}",
            "{podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: 80}, {port: 81}]}]}",
        ],
        &[
            "shop/web > shop/api : TCP 80",
            "!shop/web > shop/api : TCP 81",
            "shop/db > shop/api : TCP 81",
            "!shop/db > shop/api : TCP 82",
        ],
    );
}

#[test]
fn policies_and_rules_add_up() {
    check_all(
        &[
            "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}]}",
            "{podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: 1}]}, {from: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 81}]}]}",
        ],
        &[
            "shop/web > shop/api : TCP 80",
            "!shop/web > shop/api : TCP 81",
            "shop/db > shop/api : TCP 81",
            "!shop/db > shop/api : TCP 80",
            "shop/web > shop/api : TCP 1",
            "!shop/db > shop/web : TCP 81",
        ],
    );
}

#[test]
fn pods_on_the_host_network_are_neither_selected_nor_matched() {
    check(
        "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {}}]}]}",
        &[
            "shop/api > shop/agent : TCP 80",
            "203.0.113.1 > shop/agent : TCP 80",
            "!shop/agent > shop/web : TCP 80",
            "shop/api > shop/web : TCP 80",
        ],
    );
}

#[test]
fn pods_on_the_host_network_may_be_taken_for_pods_as_peers() {
    let world = with(
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: shop}, \
         spec: {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}}",
    );
    let mut agent = pod(&world, "shop/agent");
    agent.matched_on_host = true;
    let (agent, api) = (Party::Pod(&agent), &pod(&world, "shop/api"));
    let passes = |from, to| plaintext(&world, from, to, port("TCP 80"));
    assert!(passes(agent, Party::Pod(api)));
    assert!(passes(Party::Pod(api), agent));
}

#[test]
fn isolation_is_per_direction() {
    let world = with(
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: shop}, \
         spec: {podSelector: {matchLabels: {tier: back}}, policyTypes: [Egress]}}",
    );
    let bits = |name| {
        let pod = pod(&world, name);
        (
            isolated(&world, Direction::Ingress, &pod),
            isolated(&world, Direction::Egress, &pod),
        )
    };
    assert_eq!(bits("shop/db"), (false, true));
    assert_eq!(bits("shop/web"), (false, false));
    assert_eq!(bits("bank/teller"), (false, false));
}
