//! Opening the tunnel port in network policies.
//!
//! Rule by rule: a rule that grants some TCP ports, but not the tunnel's, to peers of which some
//! tunnel to pods of which some receive, gets the tunnel's port for the same peers. Nothing is
//! granted for a whole namespace, and nothing is taken away.

pub(super) mod isolated;
pub(super) mod outward;
pub(super) mod probes;
pub(super) mod via;

use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;
use serde_json::Value;

use super::object;
use super::setting::Setting;
use super::tunnel_port::{covers_tunnel, grants_some_tcp, is_dns_only, only_tunnel, tunnel_port};
use crate::model::{NetworkPolicy, Origin, Peer, PortRule, Rule};
use crate::netpol::{Direction, Node, Selection, Version};
use crate::plan::Edit;

/// The policies after, and how they come about.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    /// Every policy of the world as it will be, at its old index.
    pub(crate) after: Vec<NetworkPolicy>,
    /// Policies that change, in order of index.
    pub(crate) changed: Vec<Changed>,
    /// Policies that are added.
    pub(crate) added: Vec<Added>,
    /// Policies of earlier runs, by index, that the plan still wants, and what they are for.
    pub(crate) kept: BTreeMap<usize, Purpose>,
}

/// What a policy that is added is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To open the tunnel's port beside a policy of people.
    Tunnel,
    /// To let in what people's policies do not know of: probes of the kubelet, and what a waypoint
    /// itself needs. It is meant to allow more than today, and says so in its reason.
    Service,
}

impl Opening {
    /// All policies before and after. What earlier runs of this program added is not there before:
    /// it is planned anew.
    pub(crate) fn versions<'v>(&'v self, before: &'v [NetworkPolicy]) -> Vec<Version<'v>> {
        let replaced = |policy: &NetworkPolicy| {
            let mut added = self.added.iter();
            added.find(|a| a.replaces.is_some() && a.policy.meta.is_same(&policy.meta))
        };
        let mut versions = Vec::with_capacity(before.len() + self.added.len());
        for (index, (policy, after)) in before.iter().zip(&self.after).enumerate() {
            let purpose = replaced(policy)
                .map(|a| a.purpose)
                .or(self.kept.get(&index).copied());
            let is_new = policy.meta.is_ours() && purpose != Some(Purpose::Service);
            let before = if policy.meta.is_ours() { after } else { policy };
            versions.push(Version {
                before: (!is_new).then_some(before),
                after: Some(after),
            });
        }
        let new = self.added.iter().filter(|a| a.replaces.is_none());
        versions.extend(new.map(|a| Version {
            before: (a.purpose == Purpose::Service).then_some(&a.policy),
            after: Some(&a.policy),
        }));
        versions
    }
}

/// A policy whose rules get the tunnel's port.
#[derive(Debug)]
pub(crate) struct Changed {
    /// Index in the world.
    pub(crate) policy: usize,
    /// Rules that get the port, by direction and index.
    pub(crate) rules: Vec<(Direction, usize)>,
    /// Rules that are appended for the pods among the peers of others, which lead out of the cluster.
    pub(crate) inward: Vec<(Direction, Rule)>,
    /// Rules that are appended for waypoints.
    pub(crate) appended: Vec<(Direction, Rule)>,
    pub(crate) means: Means,
    /// The policy that stands in for the insertions where the file cannot be edited.
    pub(crate) fallback: Option<NetworkPolicy>,
}

impl Changed {
    /// The rules that are appended.
    pub(crate) fn new_rules(&self) -> impl Iterator<Item = &(Direction, Rule)> {
        self.inward.iter().chain(&self.appended)
    }
}

/// How a policy gets what it lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Means {
    /// By insertions into it.
    #[default]
    Edit,
    /// By a policy beside it.
    Companion,
    /// By a policy beside it that is there already.
    Standing,
}

/// A policy that is added.
#[derive(Debug)]
pub(crate) struct Added {
    pub(crate) policy: NetworkPolicy,
    /// The object whose file it goes beside.
    pub(crate) beside: Origin,
    /// Why, in one sentence.
    pub(crate) reason: String,
    pub(crate) purpose: Purpose,
    /// Index of the policy beside which it opens the tunnel's port.
    pub(crate) accompanies: Option<usize>,
    /// The object of this name that it replaces.
    pub(crate) replaces: Option<Origin>,
}

/// Classes by what they do with the tunnel.
pub(crate) struct Speakers {
    pub(crate) senders: FixedBitSet,
    /// Senders that speak for themselves: all but waypoints.
    pub(crate) clients: FixedBitSet,
    pub(crate) receivers: FixedBitSet,
    /// Senders whose DNS look-ups over TCP go through the tunnel.
    pub(crate) uncaptured_dns: FixedBitSet,
}

impl Speakers {
    pub(crate) fn of(setting: &Setting<'_>, selection: &Selection<'_>) -> Self {
        let universe = selection.universe();
        let nodes = universe.nodes();
        let mut speakers = Self {
            senders: FixedBitSet::with_capacity(nodes),
            clients: FixedBitSet::with_capacity(nodes),
            receivers: FixedBitSet::with_capacity(nodes),
            uncaptured_dns: FixedBitSet::with_capacity(nodes),
        };
        for (node, class) in universe.classes().iter().enumerate() {
            let first = class.workloads.first();
            let role = first.map(|&w| setting.role(w)).unwrap_or_default();
            let is_waypoint = first.is_some_and(|&w| setting.waypoint_at(w).is_some());
            speakers.senders.set(node, role.sends);
            speakers.clients.set(node, role.sends && !is_waypoint);
            speakers.receivers.set(node, role.receives);
            speakers
                .uncaptured_dns
                .set(node, role.sends && !role.dns_captured);
        }
        speakers
    }
}

/// Decides which rules of which policies get the tunnel's port.
pub(crate) struct Opener<'s, 'w> {
    pub(crate) setting: &'s Setting<'w>,
    /// The policies of people.
    by_namespace: BTreeMap<&'s str, Vec<&'s NetworkPolicy>>,
    pub(crate) selection: Selection<'s>,
    pub(crate) speakers: Speakers,
}

impl<'s, 'w> Opener<'s, 'w> {
    pub(crate) fn new(setting: &'s Setting<'w>, selection: Selection<'s>) -> Self {
        let mut by_namespace: BTreeMap<&str, Vec<&NetworkPolicy>> = BTreeMap::new();
        for policy in setting.world.network_policies_of_people() {
            let here = by_namespace.entry(&policy.meta.namespace);
            here.or_default().push(policy);
        }
        Self {
            speakers: Speakers::of(setting, &selection),
            setting,
            by_namespace,
            selection,
        }
    }

    /// The rules that need the port.
    pub(crate) fn rules(&mut self) -> Vec<Changed> {
        let mut changed = Vec::new();
        let setting = self.setting;
        for (index, policy) in setting.world.indexed_network_policies_of_people() {
            let mut rules = Vec::new();
            let mut inward: Vec<(Direction, Rule)> = Vec::new();
            let subjects = self
                .selection
                .subjects(&policy.meta.namespace, &policy.pod_selector);
            for direction in Direction::BOTH {
                if !direction.isolated_by(policy) {
                    continue;
                }
                for (place, rule) in direction.rules(policy).iter().enumerate() {
                    if !self.needs_port(policy, direction, rule, &subjects) {
                        continue;
                    }
                    match self.pods_only(direction, rule) {
                        None => rules.push((direction, place)),
                        Some(peers) => {
                            let known = inward.iter().any(|(_, r)| r.peers == peers);
                            if !known && !self.is_covered(policy, direction, &peers) {
                                inward.push((direction, only_tunnel(peers)));
                            }
                        }
                    }
                }
            }
            if !rules.is_empty() || !inward.is_empty() {
                changed.push(Changed {
                    policy: index,
                    rules,
                    inward,
                    appended: Vec::new(),
                    means: Means::default(),
                    fallback: None,
                });
            }
        }
        changed
    }

    /// The peers that get the port in a rule of their own, where the rule itself leads further: no
    /// tunnel comes from outside, but somebody there may listen on the port.
    fn pods_only(&self, direction: Direction, rule: &Rule) -> Option<Vec<Peer>> {
        match direction {
            Direction::Ingress => None,
            Direction::Egress => outward::pods_of(rule, self.selection.universe()),
        }
    }

    fn needs_port(
        &mut self,
        policy: &'s NetworkPolicy,
        direction: Direction,
        rule: &'s Rule,
        subjects: &[Node],
    ) -> bool {
        if !grants_some_tcp(rule) || covers_tunnel(rule) {
            return false;
        }
        let (own, other) = match direction {
            // What waypoints need is decided by what is behind them.
            Direction::Ingress => (&self.speakers.receivers, &self.speakers.clients),
            Direction::Egress => (&self.speakers.senders, &self.speakers.receivers),
        };
        let speaking: Vec<Node> = subjects
            .iter()
            .copied()
            .filter(|&n| own.contains(n))
            .collect();
        let set = self.selection.peers(&policy.meta.namespace, &rule.peers);
        let set = self.selection.get(set);
        let mut peers = set.yes.clone();
        peers.union_with(&set.maybe);
        peers.intersect_with(other);
        if speaking.is_empty()
            || peers.is_clear()
            || self.is_covered(policy, direction, &rule.peers)
        {
            return false;
        }
        let uncaptured = &self.speakers.uncaptured_dns;
        let dns_through_tunnel = match direction {
            Direction::Ingress => !peers.is_disjoint(uncaptured),
            Direction::Egress => speaking.iter().any(|&n| uncaptured.contains(n)),
        };
        dns_through_tunnel || !is_dns_only(rule)
    }

    /// Whether policies of people open the tunnel's port of the same pods for the same peers
    /// already: the policy itself by another rule, or one beside it.
    pub(crate) fn is_covered(
        &self,
        policy: &NetworkPolicy,
        direction: Direction,
        peers: &[Peer],
    ) -> bool {
        let own = &policy.meta;
        let here = self.by_namespace.get(own.namespace.as_str());
        here.into_iter().flatten().any(|other| {
            direction.isolated_by(other)
                && (other.pod_selector.is_empty() || other.pod_selector == policy.pod_selector)
                && direction
                    .rules(other)
                    .iter()
                    .any(|r| covers_tunnel(r) && (r.peers.is_empty() || r.peers == peers))
        })
    }
}

/// Applies a change to a policy.
pub(crate) fn opened(policy: &NetworkPolicy, change: &Changed) -> NetworkPolicy {
    let mut after = policy.clone();
    for (direction, place) in &change.rules {
        let rules = match direction {
            Direction::Ingress => &mut after.ingress,
            Direction::Egress => &mut after.egress,
        };
        if let Some(rule) = rules.get_mut(*place) {
            rule.ports.push(tunnel_port());
        }
    }
    for (direction, rule) in change.new_rules() {
        match direction {
            Direction::Ingress => after.ingress.push(rule.clone()),
            Direction::Egress => after.egress.push(rule.clone()),
        }
    }
    after
}

/// The insertions that make a policy into what [`opened`] says.
pub(crate) fn edits(policy: &NetworkPolicy, change: &Changed) -> Vec<Edit> {
    let mut edits = Vec::new();
    for (direction, place) in &change.rules {
        let path = vec![
            "spec".into(),
            rules_key(*direction).into(),
            (*place).into(),
            "ports".into(),
        ];
        edits.push(Edit::Append {
            path,
            item: object::port(&tunnel_port()),
        });
    }
    for direction in Direction::BOTH {
        let rules: Vec<Value> = change
            .new_rules()
            .filter(|(d, _)| *d == direction)
            .map(|(_, rule)| object::rule(rule, peers_key(direction)))
            .collect();
        if direction.rules(policy).is_empty() && !rules.is_empty() {
            edits.push(Edit::Add {
                path: vec!["spec".into()],
                key: rules_key(direction).to_owned(),
                value: Value::Array(rules),
            });
        } else {
            edits.extend(rules.into_iter().map(|item| Edit::Append {
                path: vec!["spec".into(), rules_key(direction).into()],
                item,
            }));
        }
    }
    edits
}

/// A policy of its own that has the effect of a change beside the unchanged policy.
pub(crate) fn companion(policy: &NetworkPolicy, change: &Changed) -> NetworkPolicy {
    let name = object::derived_name(&policy.meta.name, "hbone");
    let mut companion = NetworkPolicy {
        meta: object::companion_meta(&policy.meta, name, &policy.reference()),
        pod_selector: policy.pod_selector.clone(),
        isolates_ingress: false,
        isolates_egress: false,
        ingress: Vec::new(),
        egress: Vec::new(),
    };
    let opened = |direction: Direction, place: usize| {
        let rule = direction.rules(policy).get(place)?;
        Some((direction, only_tunnel(rule.peers.clone())))
    };
    let opened = change
        .rules
        .iter()
        .filter_map(|&(d, place)| opened(d, place));
    for (direction, rule) in opened.chain(change.new_rules().cloned()) {
        let (isolates, rules) = match direction {
            Direction::Ingress => (&mut companion.isolates_ingress, &mut companion.ingress),
            Direction::Egress => (&mut companion.isolates_egress, &mut companion.egress),
        };
        *isolates = true;
        match rules.iter_mut().find(|r| r.peers == rule.peers) {
            Some(known) => {
                let missing = rule.ports.into_iter().filter(|p| !known.ports.contains(p));
                let missing: Vec<PortRule> = missing.collect();
                known.ports.extend(missing);
            }
            None => rules.push(rule),
        }
    }
    companion
}

fn rules_key(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}

fn peers_key(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    }
}
