//! The whole engine against an evaluation pod by pod.

mod generate;
mod naive;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::model::{Endpoints, LabelSelector, NetworkPolicy, Peer, PortMatch, Workload};
use generate::{Cluster, clusters};
use naive::Facts;

/// What is compiled of a cluster.
struct Compiled<'c> {
    cluster: &'c Cluster,
    universe: Universe,
    sets: PortSets,
}

impl<'c> Compiled<'c> {
    fn of(cluster: &'c Cluster) -> (Self, Network) {
        let world = &cluster.world;
        let policies = &world.network_policies;
        let endpoints = Endpoints::of(world);
        let assumptions = Assumptions {
            blocks_match_pods: cluster.blocks_match_pods,
            ..Assumptions::default()
        };
        let others = Distinctions::default();
        let universe = Universe::of(world, &endpoints, policies, others, &[], assumptions);
        let mut sets = PortSets::default();
        let versions: Vec<Version<'_>> = policies.iter().map(Version::unchanged).collect();
        let network = Network::compile(Selection::new(world, &universe), &versions, &mut sets);
        let compiled = Self {
            cluster,
            universe,
            sets,
        };
        (compiled, network)
    }

    fn node(&self, party: naive::Party) -> Node {
        match party {
            naive::Party::Pod(index) => self.universe.class_of(index).unwrap(),
            naive::Party::Outside(address) => self.universe.node_of_address(address),
        }
    }

    /// What is surely allowed, and at the most.
    fn bounds(&mut self, network: &Network, from: Node, to: Node) -> (PortSet, PortSet) {
        let value = network.value(from, to, &mut self.sets);
        let Value { before, .. } = value;
        assert_eq!(before, value.after);
        assert_eq!(value.gained, PortSets::NONE);
        let of = |id| self.sets.get(id).clone();
        (of(before.low), of(before.high))
    }
}

proptest! {
    #[test]
    fn bounds_contain_the_truth_whatever_the_input_does_not_tell(
        cluster in clusters(),
        facts in any::<Facts>(),
    ) {
        let (mut compiled, network) = Compiled::of(&cluster);
        let facts = facts.under(&cluster);
        for (source, destination) in naive::pairs(&cluster) {
            let (from, to) = (compiled.node(source), compiled.node(destination));
            let (low, high) = compiled.bounds(&network, from, to);
            let truth = naive::connections(&cluster, facts, source, destination);
            prop_assert!(truth.includes(&low), "{source:?} {destination:?}: {low} <= {truth}");
            prop_assert!(high.includes(&truth), "{source:?} {destination:?}: {truth} <= {high}");
        }
    }

    #[test]
    fn where_the_input_tells_everything_the_answer_is_exact(
        cluster in clusters(),
        facts in any::<Facts>(),
    ) {
        let cluster = cluster.without_unknowns();
        let (mut compiled, network) = Compiled::of(&cluster);
        let facts = facts.under(&cluster);
        for (source, destination) in naive::pairs(&cluster) {
            let (from, to) = (compiled.node(source), compiled.node(destination));
            let truth = naive::connections(&cluster, facts, source, destination);
            let bounds = compiled.bounds(&network, from, to);
            prop_assert_eq!(bounds, (truth.clone(), truth));
        }
    }

    #[test]
    fn the_sources_of_a_class_are_those_that_may_send_it_something(cluster in clusters()) {
        let (mut compiled, network) = Compiled::of(&cluster);
        for to in 0..compiled.universe.classes().len() {
            let groups = network.sources_of(to, &mut compiled.sets);
            for from in 0..compiled.universe.nodes() {
                let mut holding = groups.iter().filter(|(_, nodes)| nodes.contains(from));
                let value = holding.next().map_or(Value::NONE, |(value, _)| *value);
                prop_assert!(holding.next().is_none());
                prop_assert_eq!(value, network.value(from, to, &mut compiled.sets));
            }
        }
    }

    #[test]
    fn no_policy_tells_the_pods_of_a_class_apart(cluster in clusters()) {
        let (compiled, _) = Compiled::of(&cluster);
        let workloads = &cluster.world.workloads;
        let mut seen = BTreeSet::new();
        for class in compiled.universe.classes() {
            let [first, others @ ..] = &class.workloads[..] else { panic!() };
            seen.extend(&class.workloads);
            let seen_by = |w: &usize| {
                let policies = &compiled.cluster.world.network_policies;
                policies.iter().map(|p| treatment(p, &workloads[*w])).collect::<Vec<_>>()
            };
            for other in others {
                prop_assert_eq!(seen_by(first), seen_by(other));
                prop_assert_eq!(&workloads[*first].meta.namespace, &workloads[*other].meta.namespace);
                prop_assert_eq!(workloads[*first].pod.host_network, workloads[*other].pod.host_network);
            }
        }
        prop_assert_eq!(seen, (0..workloads.len()).collect::<BTreeSet<_>>());
    }
}

/// All that a policy sees of a pod: which selectors and blocks match, what its port names mean.
fn treatment(policy: &NetworkPolicy, pod: &Workload) -> (Vec<bool>, Vec<u16>) {
    let mut matches = vec![policy.pod_selector.matches(&pod.pod.labels)];
    let mut numbers = Vec::new();
    for rule in policy.rules() {
        for peer in &rule.peers {
            matches.push(match peer {
                Peer::Pods { pods, .. } => pods.as_ref().is_none_or(|s| s.matches(&pod.pod.labels)),
                Peer::Block { cidr, except } => pod.addresses.iter().any(|address| {
                    cidr.contains(address) && !except.iter().any(|e| e.contains(address))
                }),
            });
        }
        for port in &rule.ports {
            if let PortMatch::Name(name) = &port.port {
                numbers.extend(pod.pod.named_port(name, port.protocol));
            }
        }
    }
    (matches, numbers)
}

/// Labels under one key, or none.
const LABELS: [&[(&str, &str)]; 3] = [&[], &[("app", "a")], &[("app", "b")]];

/// For each of [`LABELS`], whether a peer with the selector matches.
fn selected(selector: LabelSelector) -> [bool; 3] {
    let cluster = Cluster::of_pods(&LABELS, selector);
    let (compiled, _) = Compiled::of(&cluster);
    let mut selection = Selection::new(&cluster.world, &compiled.universe);
    let rule = &cluster.world.network_policies[0].ingress[0];
    let set = selection.peers("a", &rule.peers);
    let set = selection.get(set);
    assert!(set.maybe.is_clear());
    [0, 1, 2].map(|pod| set.yes.contains(compiled.universe.class_of(pod).unwrap()))
}

#[test]
fn operators_match_labels_that_are_there_and_labels_that_are_not() {
    use crate::model::Operator::{DoesNotExist, Exists, In, NotIn};
    let values = || BTreeSet::from(["a".to_owned()]);
    let cases = [
        (In(values()), [false, true, false]),
        (NotIn(values()), [true, false, true]),
        (Exists, [false, true, true]),
        (DoesNotExist, [true, false, false]),
        (In(BTreeSet::new()), [false, false, false]),
        (NotIn(BTreeSet::new()), [true, true, true]),
    ];
    for (operator, expected) in cases {
        let shown = format!("{operator:?}");
        assert_eq!(
            selected(generate::asking("app", operator)),
            expected,
            "{shown}"
        );
    }
    assert_eq!(selected(LabelSelector::default()), [true; 3]);
    assert_eq!(
        selected(LabelSelector::labels([("app", "b")])),
        [false, false, true]
    );
    assert_eq!(selected(LabelSelector::labels([("app", "")])), [false; 3]);
}

#[test]
fn what_a_port_name_means_behind_an_address_is_left_open() {
    let cluster = Cluster::with_named_port_for_block();
    let (mut compiled, network) = Compiled::of(&cluster);
    let [client, server] = [0, 1].map(|pod| compiled.universe.class_of(pod).unwrap());
    let (low, high) = compiled.bounds(&network, client, server);
    assert_eq!([low.to_string(), high.to_string()], ["TCP 81", "TCP 80-81"]);
    let outside = compiled
        .universe
        .node_of_address("10.9.9.9".parse().unwrap());
    let (low, high) = compiled.bounds(&network, client, outside);
    assert_eq!([low.to_string(), high.to_string()], ["TCP 81", "TCP 81"]);
}

#[test]
fn operations_on_numbered_sets_are_those_on_the_sets() {
    let mut sets = PortSets::default();
    let tcp = |first, last| PortSet::range(crate::model::Protocol::Tcp, first, last);
    let all = [
        PortSet::none(),
        PortSet::all(),
        tcp(1, 80),
        tcp(80, 90),
        tcp(443, 443),
    ];
    // Twice: the second time from memory.
    for (a, b) in all
        .iter()
        .flat_map(|a| all.iter().map(move |b| (a, b)))
        .cycle()
        .take(50)
    {
        let (x, y) = (sets.intern(a.clone()), sets.intern(b.clone()));
        assert_eq!(x == y, a == b);
        let (union, both, rest) = (
            sets.union(x, y),
            sets.intersection(x, y),
            sets.difference(x, y),
        );
        assert_eq!(*sets.get(union), a.union(b));
        assert_eq!(*sets.get(both), a.intersection(b));
        assert_eq!(*sets.get(rest), a.difference(b));
        assert_eq!(sets.intern(a.union(b)), union);
    }
    assert_eq!(
        (sets.intern(PortSet::none()), sets.intern(PortSet::all())),
        (PortSets::NONE, PortSets::ALL)
    );
}
