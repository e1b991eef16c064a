use crate::migrate::fixture::{
    Fixture, deployment, labelled, labels, meta, peer_authentication as policy,
};
use crate::model::{
    LabelSelector, NetworkPolicy, Peer, PeerMode, PortMatch, PortRule, Protocol, Rule,
};

fn with_host_agent() -> Fixture {
    let mut agent = deployment("shop", "agent");
    agent.pod.host_network = true;
    Fixture::shop().workload(agent)
}

fn strict_findings(fixture: &Fixture) -> String {
    let all = fixture.findings();
    let at = all.find("warning AMB0141").unwrap_or(all.len());
    let rest = &all[at..];
    rest.split_inclusive('\n').take(2).collect()
}

#[test]
fn disabled_mutual_tls_is_reported_with_its_fields() {
    let mut mixed = policy("shop", PeerMode::Disable);
    mixed.ports = vec![(8080, PeerMode::Strict), (9090, PeerMode::Disable)];
    insta::assert_snapshot!(Fixture::shop().peer(mixed).findings(), @"
    error AMB0140 shop/peerauthentication/default at policies.yaml:1
      `shop/peerauthentication/default` switches mutual TLS off for `shop/deployment/web` by `spec.mtls.mode`, `spec.portLevelMtls.9090.mode`, and ztunnel encrypts all the same
    ");
}

#[test]
fn permissive_mutual_tls_is_left_alone() {
    let fixture = Fixture::shop().peer(policy("shop", PeerMode::Permissive));
    assert_eq!(fixture.findings(), "");
}

#[test]
fn a_selector_in_the_root_namespace_selects_nothing() {
    let mut wide = policy("istio-system", PeerMode::Disable);
    wide.selector = labels(&[("app", "web")]);
    assert_eq!(Fixture::shop().peer(wide).findings(), "");
    let fixture = Fixture::shop().peer(policy("istio-system", PeerMode::Disable));
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0140 istio-system/peerauthentication/default at policies.yaml:1
      `istio-system/peerauthentication/default` switches mutual TLS off for `shop/deployment/web` by `spec.mtls.mode`, and ztunnel encrypts all the same
    ");
}

#[test]
fn strict_mode_names_the_callers_that_stay_out() {
    let out = labelled("shop", "out", &[("istio.io/dataplane-mode", "none")]);
    let fixture = with_host_agent()
        .workload(out)
        .peer(policy("istio-system", PeerMode::Strict));
    insta::assert_snapshot!(strict_findings(&fixture), @"
    warning AMB0141 istio-system/peerauthentication/default at policies.yaml:1
      `istio-system/peerauthentication/default` refuses callers of `shop/deployment/web` that have no mesh identity, and these stay without one: `shop/agent[Deployment]`, `shop/out[Deployment]`
    ");
}

#[test]
fn strict_mode_without_such_callers_is_left_alone() {
    let fixture = Fixture::shop().peer(policy("shop", PeerMode::Strict));
    assert_eq!(fixture.findings(), "");
}

#[test]
fn the_narrower_policy_decides() {
    let fixture = with_host_agent()
        .peer(policy("istio-system", PeerMode::Strict))
        .peer(policy("shop", PeerMode::Permissive));
    assert_eq!(strict_findings(&fixture), "");
    let mut own = policy("shop", PeerMode::Strict);
    own.selector = labels(&[("app", "web")]);
    let fixture = with_host_agent()
        .peer(policy("shop", PeerMode::Permissive))
        .peer(own);
    insta::assert_snapshot!(strict_findings(&fixture), @"
    warning AMB0141 shop/peerauthentication/default at policies.yaml:1
      `shop/peerauthentication/default` refuses callers of `shop/deployment/web` that have no mesh identity, and these stay without one: `shop/agent[Deployment]`
    ");
    let unset = with_host_agent()
        .peer(policy("shop", PeerMode::Unset))
        .peer(policy("istio-system", PeerMode::Strict));
    insta::assert_snapshot!(strict_findings(&unset), @"
    warning AMB0141 istio-system/peerauthentication/default at policies.yaml:1
      `istio-system/peerauthentication/default` refuses callers of `shop/deployment/web` that have no mesh identity, and these stay without one: `shop/agent[Deployment]`
    ");
}

#[test]
fn callers_that_network_policies_keep_out_are_not_refused_by_strict_mode() {
    let out = labelled("shop", "out", &[("istio.io/dataplane-mode", "none")]);
    let fixture = || {
        with_host_agent()
            .workload(out.clone())
            .peer(policy("istio-system", PeerMode::Strict))
    };
    let lets_in = |app: &str, ports: Vec<PortRule>| NetworkPolicy {
        meta: meta("shop", "in", "policies.yaml"),
        pod_selector: LabelSelector::labels([("app", "web")]),
        isolates_ingress: true,
        isolates_egress: false,
        ingress: vec![Rule {
            peers: vec![Peer::Pods {
                namespaces: None,
                pods: Some(LabelSelector::labels([("app", app)])),
            }],
            ports,
            line: 8,
        }],
        egress: Vec::new(),
    };
    let found = |policy| strict_findings(&fixture().network(policy));
    assert_eq!(found(lets_in("client", Vec::new())), "");
    let datagrams = PortRule {
        protocol: Protocol::Udp,
        port: PortMatch::All,
    };
    assert_eq!(found(lets_in("out", vec![datagrams])), "");
    insta::assert_snapshot!(found(lets_in("out", Vec::new())), @"
    warning AMB0141 istio-system/peerauthentication/default at policies.yaml:1
      `istio-system/peerauthentication/default` refuses callers of `shop/deployment/web` that have no mesh identity, and these stay without one: `shop/out[Deployment]`
    ");
}
