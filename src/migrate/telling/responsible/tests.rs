use crate::migrate::fixture::{Fixture, deployment, meta};
use crate::migrate::{AuthzMode, Options, plan};
use crate::model::{LabelSelector, NetworkPolicy, Peer, PortMatch, PortRule, Protocol, Rule};

/// Lets the pods with a label use port 80 of everybody.
fn policy(name: &str) -> NetworkPolicy {
    NetworkPolicy {
        meta: meta("shop", name, "policies.yaml"),
        pod_selector: LabelSelector::default(),
        isolates_ingress: true,
        isolates_egress: false,
        ingress: vec![Rule {
            peers: vec![Peer::Pods {
                namespaces: None,
                pods: Some(LabelSelector::labels([("app", name)])),
            }],
            ports: vec![PortRule {
                protocol: Protocol::Tcp,
                port: PortMatch::Range(80, 80),
            }],
            line: 8,
        }],
        egress: Vec::new(),
    }
}

#[test]
fn pairs_under_the_same_policies_share_their_list() {
    let names = ["web", "db", "cart", "mail"];
    let fixture = names
        .iter()
        .fold(Fixture::with_namespace("shop", &[]), |fixture, name| {
            fixture
                .workload(deployment("shop", name))
                .network(policy(name))
        });
    let options = Options {
        authz: AuthzMode::None,
        ..Options::default()
    };
    let plan = plan(&fixture.world, &options);
    let differences = &plan.proof.differences;
    let flows = plan.findings.iter().flat_map(|f| &f.flows);
    let lists: Vec<_> = differences
        .iter()
        .map(|d| &d.policies)
        .chain(flows.map(|f| &f.policies))
        .collect();
    // Every pair, as a difference and as the flow of a finding; a Deployment is a pair with itself.
    assert_eq!(lists.len(), 2 * names.len() * names.len());
    let first = lists[0];
    assert!(
        lists
            .iter()
            .all(|list| std::ptr::eq(&raw const ***list, &raw const **first))
    );
    let listed: Vec<String> = first.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(listed.join("\n"), @"
    shop/networkpolicy/cart
    shop/networkpolicy/db
    shop/networkpolicy/mail
    shop/networkpolicy/web
    ");
}
