//! Policies that differ between two worlds, and make no difference between the workloads of these:
//! perhaps because the pods that they are about are not there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{
    Endpoints, LabelSelector, NetworkPolicy, ObjectRef, Peer, PortMatch, PortRule, Protocol, World,
};
use crate::netpol::{Direction, PortSet};

/// The policies that say something else in one world than in the other, without any of the
/// differences at a pod that they select. `ends` are the endpoints that differences are between.
pub(super) fn policies<'d>(
    before: &World,
    after: &World,
    ends: impl Iterator<Item = &'d Arc<str>>,
) -> Vec<ObjectRef> {
    let (old, new) = (said(before), said(after));
    let subjects: BTreeSet<&Subject<'_>> = old.keys().chain(new.keys()).collect();
    let changed: Vec<_> = subjects
        .into_iter()
        .filter(|subject| old.get(*subject) != new.get(*subject))
        .collect();
    if changed.is_empty() {
        return Vec::new();
    }
    let differing: BTreeSet<&Arc<str>> = ends.collect();
    let mut seen: BTreeSet<&Subject<'_>> = BTreeSet::new();
    for world in [before, after] {
        let endpoints = Endpoints::of(world);
        for (_, endpoint) in endpoints.iter() {
            if !differing.contains(&Arc::from(endpoint.to_string())) {
                continue;
            }
            let workloads = endpoint.workloads.iter();
            for workload in workloads.filter_map(|&w| world.workloads.get(w)) {
                let selects = |subject: &&&Subject<'_>| {
                    subject.0 == workload.meta.namespace && subject.1.matches(&workload.pod.labels)
                };
                seen.extend(changed.iter().filter(selects));
            }
        }
    }
    let mut silent: BTreeSet<ObjectRef> = BTreeSet::new();
    for (world, other) in [(before, after), (after, before)] {
        let is_silent = |policy: &&NetworkPolicy| {
            let subject = subject(policy);
            changed.contains(&&subject) && !seen.contains(&subject) && !stands(policy, other)
        };
        let policies = world.network_policies.iter().filter(is_silent);
        silent.extend(policies.map(NetworkPolicy::reference));
    }
    silent.into_iter().collect()
}

/// Whether a world has a policy as well, and it says the same there.
fn stands(policy: &NetworkPolicy, world: &World) -> bool {
    let alone = |policy| {
        let mut said = Said::default();
        said.add(policy);
        said
    };
    let mut policies = world.network_policies.iter();
    let twin = policies.find(|p| p.meta.is_same(&policy.meta));
    twin.is_some_and(|twin| subject(twin) == subject(policy) && alone(twin) == alone(policy))
}

/// The pods that a policy is about: its namespace and selector.
type Subject<'w> = (&'w str, &'w LabelSelector);

fn subject(policy: &NetworkPolicy) -> Subject<'_> {
    (&policy.meta.namespace, &policy.pod_selector)
}

/// What all policies with one subject say together, whatever rules they say it in.
#[derive(Default, PartialEq, Eq)]
struct Said<'w> {
    isolates: BTreeSet<Direction>,
    /// By direction and peer, `None` for everybody.
    granted: BTreeMap<(Direction, Option<&'w Peer>), Granted<'w>>,
}

/// Ports of a peer.
#[derive(Default, PartialEq, Eq)]
struct Granted<'w> {
    numbers: PortSet,
    names: BTreeSet<(Protocol, &'w str)>,
}

fn said(world: &World) -> BTreeMap<Subject<'_>, Said<'_>> {
    let mut all: BTreeMap<Subject<'_>, Said<'_>> = BTreeMap::new();
    for policy in &world.network_policies {
        all.entry(subject(policy)).or_default().add(policy);
    }
    all
}

impl<'w> Said<'w> {
    fn add(&mut self, policy: &'w NetworkPolicy) {
        for direction in Direction::BOTH {
            if !direction.isolated_by(policy) {
                continue;
            }
            self.isolates.insert(direction);
            for rule in direction.rules(policy) {
                let peers = rule.peers.iter().map(Some);
                let anybody = rule.peers.is_empty().then_some(None);
                for peer in peers.chain(anybody) {
                    let granted = self.granted.entry((direction, peer)).or_default();
                    granted.add(&rule.ports);
                }
            }
        }
    }
}

impl<'w> Granted<'w> {
    /// Adds the ports of a rule.
    fn add(&mut self, ports: &'w [PortRule]) {
        if ports.is_empty() {
            self.numbers = PortSet::all();
        }
        for PortRule { protocol, port } in ports {
            let numbers = match port {
                PortMatch::All => PortSet::protocol(*protocol),
                PortMatch::Range(first, last) => PortSet::range(*protocol, *first, *last),
                PortMatch::Name(name) => {
                    self.names.insert((*protocol, name));
                    continue;
                }
            };
            self.numbers = self.numbers.union(&numbers);
        }
    }
}
