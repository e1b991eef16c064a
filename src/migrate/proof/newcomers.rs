//! Pods that the input does not hold, of namespaces that it knows, or of others whose labels a rule
//! asks for: rules admit them with all pods of their namespace, or by labels that a pod to come may
//! have alone.
//!
//! Each has a service account of its own, which no limit names: one that shares the account of a
//! client gets what that client gets.

use std::collections::{BTreeMap, BTreeSet};

use ambient_facts::labels;

use super::authorizer::Authorizer;
use super::strangers::{Change, Gain};
use crate::authz::Decision;
use crate::migrate::analysis::Analysis;
use crate::migrate::setting::imagine::{asked_names, elsewhere, satisfying, shown};
use crate::migrate::setting::role::may_be_injected;
use crate::migrate::tunnel_port::covers_tunnel;
use crate::model::{Coverage, Kind, LabelSelector, Labels, NetworkPolicy, Peer, Rule};
use crate::netpol::{Class, Direction, Node, PortSet, Version, rule_ports, selects_namespace};
use crate::plan::Relation;

/// The policies and namespaces that they are judged by.
pub(crate) struct Newcomers<'a, 's, 'w> {
    analysis: &'a Analysis<'s, 'w>,
    /// By namespace.
    versions: BTreeMap<&'a str, Vec<Version<'a>>>,
    /// Namespaces whose pods speak through the tunnel.
    speaking: Vec<&'a str>,
    /// Namespaces that the input does not know, by what they are called: the labels that a rule asks
    /// for.
    elsewhere: BTreeMap<String, Labels>,
    /// Pods of these that the plan imagines and compares like those of the input.
    imagined: BTreeSet<(&'a str, &'a Labels)>,
}

/// A pod that the input does not hold, with no labels but those that a rule asks for.
struct Newcomer<'a> {
    namespace: &'a str,
    /// Whether it is of a namespace that the input knows.
    is_known: bool,
    labels: &'a Labels,
}

/// Which policies are asked, and how.
#[derive(Clone, Copy)]
struct Side {
    version: VersionOf,
    /// Whether what they only may say does not count.
    surely: bool,
}

type VersionOf = for<'p> fn(&Version<'p>) -> Option<&'p NetworkPolicy>;

const BEFORE: Side = Side {
    version: |version| version.before,
    surely: true,
};
const AFTER: Side = Side {
    version: |version| version.after,
    surely: false,
};

impl<'a, 's, 'w> Newcomers<'a, 's, 'w> {
    pub(crate) fn of(analysis: &'a Analysis<'s, 'w>) -> Self {
        let setting = analysis.setting;
        let world = &*setting.world;
        let mut versions: BTreeMap<&str, Vec<Version<'_>>> = BTreeMap::new();
        for version in analysis.opening.versions(&world.network_policies) {
            if let Some(policy) = version.after.or(version.before) {
                let here = versions.entry(&policy.meta.namespace);
                here.or_default().push(version);
            }
        }
        let names = world.namespaces.keys().map(String::as_str);
        let speaking = names.filter(|name| {
            let speaks = setting.scope.is_enrolled(name) || may_be_injected(world, name);
            speaks && !setting.nameless.contains(*name)
        });
        let asked = versions.values().flatten().filter_map(AFTER.version);
        let peers = asked.flat_map(|p| &p.ingress).flat_map(|r| &r.peers);
        let selectors = peers.filter_map(|peer| match peer {
            Peer::Pods { namespaces, .. } => {
                let by_label = |s: &&LabelSelector| !s.is_empty() && asked_names(s).is_none();
                namespaces.as_ref().filter(by_label)
            }
            Peer::Block { .. } => None,
        });
        let is_all = world.coverage(Kind::Namespace) == Coverage::Complete;
        let elsewhere = selectors.filter(|_| !is_all).filter_map(elsewhere);
        let imagined = world.workloads.iter().filter(|w| w.imagined);
        Self {
            analysis,
            speaking: speaking.collect(),
            elsewhere: elsewhere.collect(),
            imagined: imagined
                .map(|w| (w.meta.namespace.as_str(), &w.pod.labels))
                .collect(),
            versions,
        }
    }

    /// What they can use of some workloads of a class afterwards, and not today, by what policies
    /// decide there.
    pub(crate) fn gains(
        &self,
        class: Node,
        workloads: &[usize],
        authorizer: &Authorizer<'_>,
        decision: &Decision,
    ) -> Vec<Gain> {
        let analysis = self.analysis;
        let mut gains = Vec::new();
        let Some(to) = analysis.universe.classes().get(class) else {
            return gains;
        };
        if !analysis.network.is_isolated(class, Direction::Ingress) {
            return gains;
        }
        let allowed = |namespace: &str| {
            let allowance = authorizer.of_newcomer(decision, namespace);
            allowance.high.intersection(&analysis.tunnelled)
        };
        let anybody = authorizer.of_stranger(decision).high;
        // Those who may use no more than anybody are strangers like all others.
        let apart = self.speaking.iter().copied();
        let apart: Vec<&str> = apart.filter(|n| !anybody.includes(&allowed(n))).collect();
        // Where nobody is named all labels are alike, which is said of the policy.
        let names_clients = authorizer.names_clients(decision);
        let mut known: BTreeSet<(&str, Labels)> = BTreeSet::new();
        let anywhere = [Peer::Pods {
            namespaces: Some(LabelSelector::default()),
            pods: None,
        }];
        let entering = self.policies(&to.namespace, Direction::Ingress, &to.labels, AFTER.version);
        for rule in entering
            .flat_map(|p| &p.ingress)
            .filter(|r| covers_tunnel(r))
        {
            let granted = rule_ports(rule, to);
            let peers = if rule.peers.is_empty() {
                &anywhere[..]
            } else {
                &rule.peers
            };
            for peer in peers {
                let Some(labels) = least_labels(peer) else {
                    continue;
                };
                for namespace in self.admitted(&to.namespace, peer, &apart) {
                    let is_known = !self.elsewhere.contains_key(namespace);
                    let is_alike = is_known && !labels.is_empty() && !names_clients;
                    if is_alike
                        || self.imagined.contains(&(namespace, &labels))
                        || self.is_waypoint(namespace, &labels)
                    {
                        continue;
                    }
                    let allowed = allowed(namespace);
                    if granted.includes(&allowed) || !known.insert((namespace, labels.clone())) {
                        continue;
                    }
                    let newcomer = Newcomer {
                        namespace,
                        is_known,
                        labels: &labels,
                    };
                    if !self.reaches(&newcomer, to) {
                        continue;
                    }
                    let before = self.ports_today(&newcomer, to);
                    let before = before.intersection(&analysis.tunnelled);
                    gains.push(Gain {
                        class,
                        workloads: workloads.to_vec(),
                        relation: Relation::Tunnel,
                        gained: allowed.difference(&before),
                        before,
                        source: newcomer.to_string(),
                        change: if is_known {
                            Change::GainedByNewcomer
                        } else {
                            Change::GainedFromElsewhere
                        },
                    });
                }
            }
        }
        gains
    }

    /// Whether these are labels of a waypoint's pods: the control plane alone makes such, and those
    /// are compared.
    fn is_waypoint(&self, namespace: &str, labels: &Labels) -> bool {
        let name = labels.get(labels::GATEWAY_NAME);
        let mut waypoints = self.analysis.setting.waypoints.all.iter();
        name.is_some_and(|name| waypoints.any(|w| w.namespace == namespace && w.name == *name))
    }

    /// The namespaces whose pods a peer of a policy admits: of those of everybody, the ones of which
    /// more is allowed than of anybody.
    fn admitted<'n>(&'n self, own: &str, peer: &Peer, apart: &[&'n str]) -> Vec<&'n str> {
        let Peer::Pods { namespaces, .. } = peer else {
            return Vec::new();
        };
        let speaking = self.speaking.iter().copied();
        match namespaces {
            None => speaking.filter(|n| *n == own).collect(),
            Some(all) if all.is_empty() => apart.to_vec(),
            Some(selector) => {
                let elsewhere = elsewhere(selector).into_iter();
                let elsewhere = elsewhere.filter_map(|(name, _)| {
                    let known = self.elsewhere.get_key_value(&name);
                    known.map(|(name, _)| name.as_str())
                });
                speaking
                    .filter(|n| self.selects(n, selector) == Some(true))
                    .chain(elsewhere)
                    .collect()
            }
        }
    }

    /// Whether a selector selects a namespace, known or not.
    fn selects(&self, namespace: &str, selector: &LabelSelector) -> Option<bool> {
        match self.elsewhere.get(namespace) {
            Some(labels) => Some(selector.matches(labels)),
            None => selects_namespace(&self.analysis.setting.world, namespace, selector),
        }
    }

    /// Policies of a namespace that isolate pods with these labels.
    fn policies<'p>(
        &'p self,
        namespace: &str,
        direction: Direction,
        labels: &'p Labels,
        version: VersionOf,
    ) -> impl Iterator<Item = &'a NetworkPolicy> + 'p {
        let here = self.versions.get(namespace).into_iter().flatten();
        here.filter_map(version)
            .filter(move |p| direction.isolated_by(p) && p.pod_selector.matches(labels))
    }

    /// The rules by which one may send to pods of a class; `None` when nothing limits it.
    fn sending(&self, from: &Newcomer<'_>, to: &Class, side: Side) -> Option<Vec<&'a Rule>> {
        let isolating = self.policies(from.namespace, Direction::Egress, from.labels, side.version);
        let isolating: Vec<&NetworkPolicy> = isolating.collect();
        let rules = isolating.iter().flat_map(|p| &p.egress);
        let leads = |r: &&Rule| {
            let ends = (from.namespace, to.namespace.as_str());
            self.is_peer(r, ends, &to.labels, side.surely)
        };
        let rules = rules.filter(leads).collect();
        (!isolating.is_empty()).then_some(rules)
    }

    /// The rules by which one may come in.
    fn entering(&self, from: &Newcomer<'_>, to: &Class, side: Side) -> Vec<&'a Rule> {
        let isolating = self.policies(&to.namespace, Direction::Ingress, &to.labels, side.version);
        let rules = isolating.flat_map(|p| &p.ingress);
        let admits = |r: &&Rule| {
            let ends = (to.namespace.as_str(), from.namespace);
            self.is_peer(r, ends, from.labels, side.surely)
        };
        rules.filter(admits).collect()
    }

    /// Whether one may reach the tunnel's port afterwards.
    fn reaches(&self, from: &Newcomer<'_>, to: &Class) -> bool {
        let sending = self.sending(from, to, AFTER);
        let entering = self.entering(from, to, AFTER);
        sending.is_none_or(|rules| rules.iter().any(|r| covers_tunnel(r)))
            && entering.iter().any(|r| covers_tunnel(r))
    }

    /// What the policies surely let one use today.
    fn ports_today(&self, from: &Newcomer<'_>, to: &Class) -> PortSet {
        let of = |rules: Vec<&Rule>| -> PortSet {
            rules.into_iter().map(|r| rule_ports(r, to)).collect()
        };
        let entering = of(self.entering(from, to, BEFORE));
        match self.sending(from, to, BEFORE) {
            Some(rules) => entering.intersection(&of(rules)),
            None => entering,
        }
    }

    /// Whether a pod is among the peers of a rule of a policy in the first of two namespaces, itself
    /// in the second: surely, or perhaps.
    fn is_peer(
        &self,
        rule: &Rule,
        (own, namespace): (&str, &str),
        labels: &Labels,
        surely: bool,
    ) -> bool {
        let universe = self.analysis.universe;
        let is_it = |peer: &Peer| match peer {
            Peer::Block { cidr, except } => {
                let matches = universe.block_matches_pods(cidr, except);
                matches.unwrap_or(!surely)
            }
            Peer::Pods { namespaces, pods } => {
                let there = match namespaces {
                    None => own == namespace,
                    Some(selector) => self.selects(namespace, selector).unwrap_or(!surely),
                };
                there && pods.as_ref().is_none_or(|p| p.matches(labels))
            }
        };
        rule.peers.is_empty() || rule.peers.iter().any(is_it)
    }
}

impl std::fmt::Display for Newcomer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            namespace,
            is_known,
            labels,
        } = self;
        let other = if *is_known { "other " } else { "" };
        write!(f, "{namespace}/(any {other}pod")?;
        if !labels.is_empty() {
            write!(f, " with {}", shown(labels))?;
        }
        write!(f, ")")
    }
}

/// The fewest labels of pods that a peer admits; none for those of every kind. `None` when it admits
/// no pods.
fn least_labels(peer: &Peer) -> Option<Labels> {
    let Peer::Pods { pods, .. } = peer else {
        return None;
    };
    let Some(pods) = pods else {
        return Some(Labels::new());
    };
    Some(satisfying(pods)).filter(|labels| pods.matches(labels))
}
