use serde_json::{Value, json};

use crate::migrate::fixture::{
    Fixture, generic, labels, meta, operation, policy, principals, rule, strings,
};
use crate::model::{
    Action, AuthorizationPolicy, GenericObject, LabelSelector, NetworkPolicy, Operation, Peer,
    PortMatch, PortRule, Protocol, Rule,
};

fn tcp(first: u16, last: u16) -> PortRule {
    PortRule {
        protocol: Protocol::Tcp,
        port: PortMatch::Range(first, last),
    }
}

fn ingress(peers: Vec<Peer>, ports: Vec<PortRule>) -> NetworkPolicy {
    let rule = Rule {
        peers,
        ports,
        line: 9,
    };
    NetworkPolicy {
        meta: meta("shop", "web", "policies.yaml"),
        pod_selector: LabelSelector::labels([("app", "web")]),
        isolates_ingress: true,
        isolates_egress: false,
        ingress: vec![rule],
        egress: vec![],
    }
}

#[test]
fn a_tunnel_port_open_to_everyone_is_reported() {
    for ports in [
        vec![tcp(9090, 9090), tcp(15008, 15008)],
        vec![tcp(15000, 15100)],
    ] {
        let fixture = Fixture::shop().network(ingress(vec![], ports));
        insta::allow_duplicates! {
            insta::assert_snapshot!(fixture.findings(), @"
    warning AMB0111 shop/networkpolicy/web at policies.yaml:9
      `shop/networkpolicy/web` opens port 15008 without `from` in `spec.ingress[0]`, so every mesh workload reaches every TCP port of `shop/deployment/web` through the tunnel
      fix: take port 15008 out of `spec.ingress[0].ports`; the plan puts it back with a policy that limits it
    ");
        }
    }
}

#[test]
fn a_tunnel_port_that_the_plan_limits_is_left_alone() {
    let mut limited = Fixture::shop().network(ingress(vec![], vec![tcp(15008, 15008)]));
    let others = Operation {
        not_ports: strings(&["8080"]),
        ..Operation::default()
    };
    let all_but_one = rule(vec![principals(&["*"])], vec![others]);
    let limit = |name| AuthorizationPolicy {
        selector: labels(&[("app", name)]),
        ..policy(Action::Deny, vec![all_but_one.clone()])
    };
    limited.options.limits = vec![limit("web")];
    assert_eq!(limited.findings(), "");
    limited.options.limits = vec![limit("other")];
    assert!(limited.findings().contains("AMB0111"));
}

#[test]
fn a_tunnel_port_with_peers_or_with_every_port_is_left_alone() {
    let everyone = Peer::Pods {
        namespaces: Some(LabelSelector::default()),
        pods: None,
    };
    let all = PortRule {
        protocol: Protocol::Tcp,
        port: PortMatch::All,
    };
    let udp = PortRule {
        protocol: Protocol::Udp,
        ..tcp(15008, 15008)
    };
    let cases = [
        ingress(vec![everyone], vec![tcp(15008, 15008)]),
        ingress(vec![], vec![]),
        ingress(vec![], vec![all, tcp(15008, 15008)]),
        ingress(vec![], vec![tcp(1, 65535)]),
        ingress(vec![], vec![tcp(9090, 9090), udp]),
    ];
    for policy in cases {
        assert_eq!(
            Fixture::shop().network(policy.clone()).findings(),
            "",
            "{policy:?}"
        );
    }
}

#[test]
fn a_tunnel_port_whose_ports_are_limited_is_left_alone() {
    let open = || ingress(vec![], vec![tcp(9090, 9090), tcp(15008, 15008)]);
    let mut limit = operation(&[], &[]);
    limit.not_ports = vec!["9090".to_owned()];
    let deny = policy(
        Action::Deny,
        vec![rule(vec![principals(&["*"])], vec![limit])],
    );
    assert_eq!(
        Fixture::shop()
            .network(open())
            .authorization(deny)
            .findings(),
        ""
    );
}

#[test]
fn a_policy_that_limits_no_port_does_not_count() {
    let open = || ingress(vec![], vec![tcp(9090, 9090), tcp(15008, 15008)]);
    let one_port = rule(vec![], vec![operation(&[], &["22"])]);
    let all = rule(vec![], vec![]);
    for policy in [
        policy(Action::Deny, vec![one_port]),
        policy(Action::Allow, vec![all]),
    ] {
        let found = Fixture::shop()
            .network(open())
            .authorization(policy)
            .findings();
        assert!(found.starts_with("warning AMB0111"), "{found}");
    }
}

fn cilium(data: &Value) -> GenericObject {
    let name = ("kube-system", "cilium-config");
    generic("", "ConfigMap", name, json!({ "data": data }))
}

#[test]
fn settings_of_cilium_are_checked() {
    let bad = cilium(&json!({
        "cni-exclusive": "true",
        "enable-bpf-masquerade": "true",
        "bpf-lb-sock": "true",
        "encryption-type": "ztunnel",
    }));
    insta::assert_snapshot!(Fixture::shop().configuration(bad).findings(), @"
    error AMB0804 kube-system/configmap/cilium-config at objects.yaml:1
      `kube-system/configmap/cilium-config` has `bpf-lb-sock: true`: Cilium replaces Service addresses in the pod before ztunnel sees them
      fix: set the value `socketLB.hostNamespaceOnly: true` of Cilium's chart
    error AMB0804 kube-system/configmap/cilium-config at objects.yaml:1
      `kube-system/configmap/cilium-config` has `cni-exclusive: true`: Cilium removes the node agent's entry from the chain of plugins, and no pod is captured
      fix: set the value `cni.exclusive: false` of Cilium's chart
    error AMB0804 kube-system/configmap/cilium-config at objects.yaml:1
      `kube-system/configmap/cilium-config` has `enable-bpf-masquerade: true`: probes of the kubelet do not reach captured pods
      fix: set the value `bpf.masquerade: false` of Cilium's chart
    error AMB0805 kube-system/configmap/cilium-config at objects.yaml:1
      `kube-system/configmap/cilium-config` has `encryption-type: ztunnel`: Cilium runs a ztunnel of its own in the same pods
      fix: set the value `encryption.type` of Cilium's chart
    ");
    let good = cilium(&json!({
        "cni-exclusive": "false",
        "bpf-lb-sock": "true",
        "bpf-lb-sock-hostns-only": "true",
    }));
    assert_eq!(Fixture::shop().configuration(good).findings(), "");
}

#[test]
fn load_balancing_at_connect_time_is_reported() {
    let felix = |spec: Value| {
        let name = ("", "default");
        let spec = json!({ "spec": spec });
        let object = generic("projectcalico.org", "FelixConfiguration", name, spec);
        Fixture::shop().configuration(object).findings()
    };
    insta::assert_snapshot!(felix(json!({ "bpfEnabled": true })), @r#"
    error AMB0804 felixconfiguration/default at objects.yaml:1
      `felixconfiguration/default` does not set `spec.bpfConnectTimeLoadBalancing`: Calico replaces Service addresses when an application connects, before ztunnel sees them
      fix: kubectl patch felixconfiguration default --type merge --patch '{"spec":{"bpfConnectTimeLoadBalancing":"Disabled"}}'
    "#);
    let on = json!({ "bpfEnabled": true, "bpfConnectTimeLoadBalancing": "TCP" });
    insta::assert_snapshot!(felix(on), @r#"
    error AMB0804 felixconfiguration/default at objects.yaml:1
      `felixconfiguration/default` has `spec.bpfConnectTimeLoadBalancing: TCP`: Calico replaces Service addresses when an application connects, before ztunnel sees them
      fix: kubectl patch felixconfiguration default --type merge --patch '{"spec":{"bpfConnectTimeLoadBalancing":"Disabled"}}'
    "#);
    let off = json!({ "bpfEnabled": true, "bpfConnectTimeLoadBalancing": "Disabled" });
    assert_eq!(felix(off), "");
    assert_eq!(felix(json!({ "bpfEnabled": false })), "");
}

#[test]
fn a_policy_for_egress_alone_opens_no_tunnel_port() {
    let mut egress = ingress(vec![], vec![tcp(15008, 15008)]);
    egress.isolates_ingress = false;
    assert_eq!(Fixture::shop().network(egress).findings(), "");
}
