//! Random clusters, small enough to look at.

use std::collections::BTreeSet;
use std::net::IpAddr;

use proptest::prelude::*;

use crate::model::{
    ContainerPort, LabelSelector, Labels, Meta, NetworkPolicy, Operator, Peer, PodTemplate,
    PortMatch, PortRule, Protocol, Requirement, Rule, Workload, WorkloadKind, World,
};

/// A world, and what it does not show.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) world: World,
    /// As in [`crate::netpol::Assumptions`].
    pub(super) blocks_match_pods: Option<bool>,
    /// The address of each workload, whether it is shown or not.
    pub(super) addresses: Vec<IpAddr>,
    /// The labels of each namespace, whether it is declared or not.
    pub(super) namespaces: Vec<(String, Labels)>,
}

impl Cluster {
    /// The same without anything that leaves the answer open.
    pub(super) fn without_unknowns(mut self) -> Self {
        let addresses = self.addresses.iter();
        for (workload, &address) in self.world.workloads.iter_mut().zip(addresses) {
            workload.addresses = vec![address];
            workload.pod.host_network = false;
        }
        for (name, labels) in &self.namespaces {
            let namespace = self.world.namespaces.get_mut(name).unwrap();
            namespace.declared = true;
            namespace.meta.labels.clone_from(labels);
        }
        self.blocks_match_pods = self.blocks_match_pods.or(Some(true));
        for rule in self
            .world
            .network_policies
            .iter_mut()
            .flat_map(|p| &mut p.egress)
        {
            let block = |p: &Peer| matches!(p, Peer::Block { .. });
            if rule.peers.iter().any(block) {
                rule.ports.retain(|p| !matches!(p.port, PortMatch::Name(_)));
            }
        }
        self
    }

    /// Pods of namespace `a`, and a policy with one ingress rule for what a selector selects there.
    pub(super) fn of_pods(labels: &[&[(&str, &str)]], selector: LabelSelector) -> Self {
        let pods = labels.iter().enumerate().map(|(index, labels)| {
            let mut pod = workload(index, "a");
            pod.pod.labels = owned(labels);
            pod
        });
        let peer = Peer::Pods {
            namespaces: None,
            pods: Some(selector),
        };
        let mut policy = policy(0, "a");
        policy.ingress.push(Rule {
            peers: vec![peer],
            ports: Vec::new(),
            line: 0,
        });
        Self::of(pods.collect(), vec![policy])
    }

    /// A client that may send to the addresses of pods, by port name and by number, and a server
    /// with such a port.
    pub(super) fn with_named_port_for_block() -> Self {
        let mut pods = vec![workload(0, "a"), workload(1, "a")];
        pods[0].pod.labels = owned(&[("app", "client")]);
        pods[1].pod.ports.push(port("http", 80, Protocol::Tcp));
        pods[1].addresses = vec!["10.0.0.1".parse().unwrap()];
        let mut policy = policy(0, "a");
        policy.pod_selector = LabelSelector::labels([("app", "client")]);
        policy.isolates_ingress = false;
        policy.isolates_egress = true;
        policy.egress.push(Rule {
            peers: vec![block("10.0.0.0/8", &[])],
            ports: vec![
                rule(Protocol::Tcp, PortMatch::Name("http".to_owned())),
                rule(Protocol::Tcp, PortMatch::Range(81, 81)),
            ],
            line: 0,
        });
        Self::of(pods, vec![policy])
    }

    fn of(workloads: Vec<Workload>, network_policies: Vec<NetworkPolicy>) -> Self {
        let mut world = World {
            workloads,
            network_policies,
            ..World::default()
        };
        world.add_namespace("a");
        Self {
            world,
            blocks_match_pods: Some(true),
            addresses: Vec::new(),
            namespaces: Vec::new(),
        }
    }
}

fn owned(labels: &[(&str, &str)]) -> Labels {
    let owned = |&(k, v): &(&str, &str)| (k.to_owned(), v.to_owned());
    labels.iter().map(owned).collect()
}

/// A selector with one requirement.
pub(super) fn asking(key: &str, operator: Operator) -> LabelSelector {
    LabelSelector {
        match_labels: Labels::new(),
        match_expressions: vec![Requirement {
            key: key.to_owned(),
            operator,
        }],
    }
}

fn workload(index: usize, namespace: &str) -> Workload {
    Workload {
        meta: Meta::synthetic(namespace, format!("pod-{index}")),
        kind: WorkloadKind::Pod,
        pod: PodTemplate {
            service_account: "default".to_owned(),
            ..PodTemplate::default()
        },
        selector: None,
        replicas: None,
        addresses: Vec::new(),
        terminated: false,
        imagined: false,
    }
}

fn policy(index: usize, namespace: &str) -> NetworkPolicy {
    NetworkPolicy {
        meta: Meta::synthetic(namespace, format!("policy-{index}")),
        pod_selector: LabelSelector::default(),
        isolates_ingress: true,
        isolates_egress: false,
        ingress: Vec::new(),
        egress: Vec::new(),
    }
}

fn port(name: &str, number: u16, protocol: Protocol) -> ContainerPort {
    ContainerPort {
        name: name.to_owned(),
        number,
        protocol,
        line: 0,
    }
}

fn rule(protocol: Protocol, port: PortMatch) -> PortRule {
    PortRule { protocol, port }
}

fn block(cidr: &str, except: &[&str]) -> Peer {
    Peer::Block {
        cidr: cidr.parse().unwrap(),
        except: except.iter().map(|e| e.parse().unwrap()).collect(),
    }
}

fn choice<T: Clone + std::fmt::Debug + 'static>(from: &[T]) -> impl Strategy<Value = T> + use<T> {
    prop::sample::select(from.to_vec())
}

fn some_labels() -> impl Strategy<Value = Labels> {
    let pairs = [("app", "a"), ("app", "b"), ("tier", "a"), ("other", "a")];
    prop::collection::vec(choice(&pairs), 0..3).prop_map(|pairs| owned(&pairs))
}

fn selectors() -> impl Strategy<Value = LabelSelector> {
    let values = || BTreeSet::from(["a".to_owned()]);
    let operators = [
        Operator::In(values()),
        Operator::NotIn(values()),
        Operator::Exists,
        Operator::DoesNotExist,
    ];
    let requirement = (choice(&["app", "tier"]), choice(&operators));
    prop_oneof![
        Just(LabelSelector::default()),
        choice(&[("app", "a"), ("app", "b"), ("tier", "a")])
            .prop_map(|pair| LabelSelector::labels([pair])),
        requirement.prop_map(|(key, operator)| asking(key, operator)),
    ]
}

fn namespace_selectors() -> impl Strategy<Value = LabelSelector> {
    choice(&[
        LabelSelector::default(),
        LabelSelector::labels([("kubernetes.io/metadata.name", "b")]),
        LabelSelector::labels([("team", "red")]),
        asking("team", Operator::DoesNotExist),
    ])
}

fn peers() -> impl Strategy<Value = Peer> {
    let pods = (
        prop::option::of(namespace_selectors()),
        prop::option::of(selectors()),
    );
    let blocks = [
        block("10.0.0.0/8", &[]),
        block("10.0.0.0/8", &["10.0.0.0/24"]),
        block("10.0.0.0/30", &["10.0.0.2/32"]),
        block("0.0.0.0/0", &["10.0.0.0/8"]),
        block("0.0.0.0/0", &[]),
        block("192.0.2.0/24", &[]),
    ];
    prop_oneof![
        3 => pods.prop_map(|(namespaces, pods)| match (namespaces, pods) {
            (None, None) => Peer::Pods { namespaces: None, pods: Some(LabelSelector::default()) },
            (namespaces, pods) => Peer::Pods { namespaces, pods },
        }),
        1 => choice(&blocks),
    ]
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let http = || PortMatch::Name("http".to_owned());
    let ports = [
        rule(Protocol::Tcp, PortMatch::All),
        rule(Protocol::Udp, PortMatch::Range(53, 53)),
        rule(Protocol::Tcp, PortMatch::Range(80, 90)),
        rule(Protocol::Tcp, http()),
        rule(Protocol::Udp, http()),
    ];
    let rule = (
        prop::collection::vec(peers(), 0..3),
        prop::collection::vec(choice(&ports), 0..3),
    );
    let rule = rule.prop_map(|(peers, ports)| Rule {
        peers,
        ports,
        line: 0,
    });
    prop::collection::vec(rule, 0..3)
}

/// Clusters of up to six pods in up to three namespaces.
pub(super) fn clusters() -> impl Strategy<Value = Cluster> {
    let namespace = || choice(&["a", "b", "c"]);
    let ports = [
        port("http", 80, Protocol::Tcp),
        port("http", 8080, Protocol::Tcp),
        port("http", 99, Protocol::Udp),
    ];
    let addresses: [IpAddr; 4] =
        ["10.0.0.1", "10.0.0.2", "10.0.1.1", "10.3.0.1"].map(|a| a.parse().unwrap());
    let pod = (
        namespace(),
        some_labels(),
        prop::collection::vec(choice(&ports), 0..2),
        choice(&addresses),
        any::<bool>(),
        prop::bool::weighted(0.15),
    );
    let policy = (
        namespace(),
        selectors(),
        choice(&[(true, false), (false, true), (true, true)]),
        rules(),
        rules(),
    );
    let team = || prop::option::of(Just("red"));
    let declared = any::<[bool; 3]>();
    (
        prop::collection::vec(pod, 1..6),
        prop::collection::vec(policy, 0..4),
        [team(), team(), team()],
        declared,
        choice(&[None, Some(true), Some(false)]),
    )
        .prop_map(|(pods, policies, teams, declared, blocks_match_pods)| {
            let mut world = World::default();
            let mut namespaces = Vec::new();
            for (name, (team, declared)) in ["a", "b", "c"]
                .into_iter()
                .zip(teams.into_iter().zip(declared))
            {
                let mut labels = crate::model::namespace_name_label(name);
                labels.extend(team.map(|team| ("team".to_owned(), team.to_owned())));
                world.add_namespace(name);
                let namespace = world.namespaces.get_mut(name).unwrap();
                if declared {
                    namespace.declared = true;
                    namespace.meta.labels.clone_from(&labels);
                }
                namespaces.push((name.to_owned(), labels));
            }
            let mut addresses = Vec::new();
            for (index, (namespace, labels, ports, address, shown, host_network)) in
                pods.into_iter().enumerate()
            {
                let mut pod = workload(index, namespace);
                pod.pod.labels = labels;
                pod.pod.ports = ports;
                pod.pod.host_network = host_network;
                pod.addresses.extend(shown.then_some(address));
                world.workloads.push(pod);
                addresses.push(address);
            }
            for (index, (namespace, selector, (ingress, egress), into, out)) in
                policies.into_iter().enumerate()
            {
                let mut policy = policy_of(index, namespace, selector);
                policy.isolates_ingress = ingress;
                policy.isolates_egress = egress;
                policy.ingress = into;
                policy.egress = out;
                world.network_policies.push(policy);
            }
            Cluster {
                world,
                blocks_match_pods,
                addresses,
                namespaces,
            }
        })
}

fn policy_of(index: usize, namespace: &str, selector: LabelSelector) -> NetworkPolicy {
    let mut policy = policy(index, namespace);
    policy.pod_selector = selector;
    policy
}
