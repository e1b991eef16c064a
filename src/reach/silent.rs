//! Policies that differ between two worlds, and make no difference between the workloads of these:
//! perhaps because the pods that they are about are not there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{
    Endpoints, LabelSelector, Labels, NetworkPolicy, ObjectRef, Peer, PortMatch, PortRule,
    Protocol, Workload, World,
};
use crate::netpol::{Direction, PortSet};

/// The policies that say something else in one world than in the other, and have no part in any of
/// the differences. `pairs` are the sources and destinations that differences are between.
pub(super) fn policies<'d>(
    before: &World,
    after: &World,
    pairs: impl Iterator<Item = (&'d Arc<str>, &'d Arc<str>)>,
) -> Vec<ObjectRef> {
    let (old, new) = (said(before), said(after));
    let subjects: BTreeSet<Subject<'_>> = old.keys().chain(new.keys()).copied().collect();
    let changed = subjects.into_iter().filter_map(|subject| {
        let parts = differing(old.get(&subject), new.get(&subject));
        (!parts.is_empty()).then_some((subject, parts))
    });
    let changed: BTreeMap<Subject<'_>, BTreeSet<Part<'_>>> = changed.collect();
    if changed.is_empty() {
        return Vec::new();
    }
    let ends = Ends::of([before, after], pairs);
    let told = changed.iter().map(|(&subject, parts)| {
        let told = parts
            .iter()
            .copied()
            .filter(|part| ends.tell_of(subject, *part));
        (subject, told.collect())
    });
    let told: BTreeMap<Subject<'_>, BTreeSet<Part<'_>>> = told.collect();
    let mut silent: BTreeSet<ObjectRef> = BTreeSet::new();
    for (world, other) in [(before, after), (after, before)] {
        let is_silent = |policy: &&NetworkPolicy| {
            let subject = subject(policy);
            let said = Said::of(policy);
            let has = |parts: &BTreeMap<Subject<'_>, BTreeSet<Part<'_>>>| {
                let parts = parts.get(&subject);
                parts.is_some_and(|parts| said.0.keys().any(|part| parts.contains(part)))
            };
            has(&changed) && !has(&told) && !stands(policy, other)
        };
        let policies = world.network_policies.iter().filter(is_silent);
        silent.extend(policies.map(NetworkPolicy::reference));
    }
    silent.into_iter().collect()
}

/// What differences are between.
struct Ends<'w> {
    /// Workloads by endpoint, of both worlds, with the labels of their namespaces.
    workloads: BTreeMap<Arc<str>, Vec<(&'w Workload, Labels)>>,
    /// By direction and by the end whose policies govern it: the other ends.
    others: BTreeMap<(Direction, Arc<str>), BTreeSet<Arc<str>>>,
}

impl<'w> Ends<'w> {
    fn of<'d>(
        worlds: [&'w World; 2],
        pairs: impl Iterator<Item = (&'d Arc<str>, &'d Arc<str>)>,
    ) -> Self {
        let mut ends = Self {
            workloads: BTreeMap::new(),
            others: BTreeMap::new(),
        };
        for (source, destination) in pairs {
            let sides = [
                (Direction::Ingress, destination, source),
                (Direction::Egress, source, destination),
            ];
            for (direction, own, other) in sides {
                let others = ends.others.entry((direction, Arc::clone(own)));
                others.or_default().insert(Arc::clone(other));
            }
        }
        for world in worlds {
            for (_, endpoint) in Endpoints::of(world).iter() {
                let name: Arc<str> = Arc::from(endpoint.to_string());
                let workloads = endpoint.workloads.iter();
                let workloads = workloads.filter_map(|&w| world.workloads.get(w));
                let labels = world.namespace_labels(&endpoint.namespace);
                let known = ends.workloads.entry(name).or_default();
                known.extend(workloads.map(|w| (w, labels.clone())));
            }
        }
        ends
    }

    /// Whether one of the differences is at pods of a subject, and with whom a part of what is said of
    /// these is about.
    fn tell_of(&self, subject: Subject<'_>, (direction, whom): Part<'_>) -> bool {
        let (namespace, selector) = subject;
        let mut others = self.others.iter().filter(|((d, _), _)| *d == direction);
        others.any(|((_, own), others)| {
            let mut own = self.workloads.get(own).into_iter().flatten();
            own.any(|(w, _)| w.meta.namespace == namespace && selector.matches(&w.pod.labels))
                && others
                    .iter()
                    .any(|other| self.is_among(other, namespace, whom))
        })
    }

    /// Whether an end is, or may be, among whom policies of a namespace speak of.
    fn is_among(&self, end: &Arc<str>, own: &str, whom: Whom<'_>) -> bool {
        let workloads = self.workloads.get(end);
        match whom {
            Whom::Nobody | Whom::Anybody | Whom::Peer(Peer::Block { .. }) => true,
            Whom::Peer(Peer::Pods { namespaces, pods }) => {
                workloads.into_iter().flatten().any(|(workload, labels)| {
                    let in_namespace = namespaces
                        .as_ref()
                        .map_or(workload.meta.namespace == own, |n| n.matches(labels));
                    in_namespace
                        && pods
                            .as_ref()
                            .is_none_or(|p| p.matches(&workload.pod.labels))
                })
            }
        }
    }
}

/// Whether a world has a policy as well, and it says the same there.
fn stands(policy: &NetworkPolicy, world: &World) -> bool {
    let mut policies = world.network_policies.iter();
    let twin = policies.find(|p| p.meta.is_same(&policy.meta));
    twin.is_some_and(|twin| subject(twin) == subject(policy) && Said::of(twin) == Said::of(policy))
}

/// The pods that a policy is about: its namespace and selector.
type Subject<'w> = (&'w str, &'w LabelSelector);

fn subject(policy: &NetworkPolicy) -> Subject<'_> {
    (&policy.meta.namespace, &policy.pod_selector)
}

/// Something that is said of pods, by the direction of connections and the other end of them.
type Part<'w> = (Direction, Whom<'w>);

/// Whom a part is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whom<'w> {
    /// That nobody is let through whom nothing grants it.
    Nobody,
    Anybody,
    Peer(&'w Peer),
}

/// What all policies with one subject say together, whatever rules they say it in.
#[derive(Default, PartialEq, Eq)]
struct Said<'w>(BTreeMap<Part<'w>, Granted<'w>>);

/// Ports of a peer.
#[derive(Default, Clone, PartialEq, Eq)]
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

/// The parts that are said otherwise.
fn differing<'w>(old: Option<&Said<'w>>, new: Option<&Said<'w>>) -> BTreeSet<Part<'w>> {
    let granted = |said: Option<&Said<'w>>, part: &Part<'w>| said?.0.get(part).cloned();
    let parts = [old, new]
        .into_iter()
        .flatten()
        .flat_map(|said| said.0.keys());
    let parts = parts.filter(|part| granted(old, part) != granted(new, part));
    parts.copied().collect()
}

impl<'w> Said<'w> {
    fn of(policy: &'w NetworkPolicy) -> Self {
        let mut said = Self::default();
        said.add(policy);
        said
    }

    fn add(&mut self, policy: &'w NetworkPolicy) {
        for direction in Direction::BOTH {
            if !direction.isolated_by(policy) {
                continue;
            }
            self.0.entry((direction, Whom::Nobody)).or_default();
            for rule in direction.rules(policy) {
                let peers = rule.peers.iter().map(Whom::Peer);
                let anybody = rule.peers.is_empty().then_some(Whom::Anybody);
                for whom in peers.chain(anybody) {
                    let granted = self.0.entry((direction, whom)).or_default();
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
