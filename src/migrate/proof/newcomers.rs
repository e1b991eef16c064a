//! Pods that the input does not hold, of namespaces that it knows, or of others whose labels a rule
//! asks for: rules admit them with all pods of their namespace, or by labels that a pod to come may
//! have alone.
//!
//! Each has a service account of its own, which no limit names: one that shares the account of a
//! client gets what that client gets.

mod admission;
mod newcomer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ambient_facts::labels;

use super::authorizer::Authorizer;
use super::strangers::Gain;
use crate::authz::Decision;
use crate::migrate::AuthzMode;
use crate::migrate::analysis::Analysis;
use crate::migrate::analysis::ways::Way;
use crate::migrate::setting::fewest::satisfying_both;
use crate::migrate::tunnel_port::covers_tunnel;
use crate::model::{LabelSelector, Labels, NetworkPolicy, Peer, Rule};
use crate::netpol::{Class, Direction, Node, PortSet, Version, rule_ports};
use crate::plan::Relation;
use admission::{Admission, Admitted};
use newcomer::Newcomer;

/// The policies and namespaces that they are judged by.
pub(crate) struct Newcomers<'a, 's, 'w> {
    analysis: &'a Analysis<'s, 'w>,
    /// By namespace.
    versions: BTreeMap<&'a str, Vec<Version<'a>>>,
    admission: Admission<'a>,
    /// Pods that the plan imagines and compares like those of the input.
    imagined: BTreeSet<(&'a str, &'a Labels)>,
}

/// What policies let pods use that come from each place.
pub(crate) struct Judged {
    /// By place: the index of what its pods may use.
    by_place: Vec<usize>,
    allowed: Vec<PortSet>,
    /// Places whose pods may use more than anybody. The others are strangers like all.
    apart: Vec<usize>,
    /// Whether the policies name clients. Where they name nobody all labels are alike, which is said
    /// of the policy.
    names_clients: bool,
}

/// What is behind a way through a waypoint.
pub(crate) struct Behind<'b> {
    pub(crate) way: &'b Way,
    /// A class of the waypoint's pods.
    pub(crate) waypoint: Node,
    /// What the waypoint may pass on.
    pub(crate) passed_on: PortSet,
    /// What is surely let through of strangers today.
    pub(crate) today: PortSet,
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
        let world = &*analysis.setting.world;
        let mut versions: BTreeMap<&str, Vec<Version<'_>>> = BTreeMap::new();
        for version in analysis.opening.versions(&world.network_policies) {
            if let Some(policy) = version.after.or(version.before) {
                let here = versions.entry(&policy.meta.namespace);
                here.or_default().push(version);
            }
        }
        let imagined = world.workloads.iter().filter(|w| w.imagined);
        Self {
            analysis,
            admission: Admission::of(analysis, &versions),
            imagined: imagined
                .map(|w| (w.meta.namespace.as_str(), &w.pod.labels))
                .collect(),
            versions,
        }
    }

    /// Reads a decision for all that may come.
    pub(crate) fn judge(&self, authorizer: &Authorizer<'_>, decision: &Decision) -> Judged {
        let anybody = authorizer.of_stranger(decision).high;
        let mut allowed: Vec<PortSet> = Vec::new();
        let by_place = self.admission.places.iter().map(|place| {
            let ports = authorizer.of_newcomer(decision, &place.namespace).high;
            let known = allowed.iter().position(|known| *known == ports);
            known.unwrap_or_else(|| {
                allowed.push(ports);
                allowed.len() - 1
            })
        });
        let by_place: Vec<usize> = by_place.collect();
        let is_more: Vec<bool> = allowed.iter().map(|a| !anybody.includes(a)).collect();
        let numbered = by_place.iter().zip(&self.admission.places).enumerate();
        let apart = numbered.filter(|(_, (index, place))| {
            place.is_known && is_more.get(**index).copied().unwrap_or_default()
        });
        Judged {
            apart: apart.map(|(place, _)| place).collect(),
            by_place,
            allowed,
            names_clients: authorizer.names_clients(decision),
        }
    }

    /// What they can use of some workloads of a class afterwards, and not today, through the tunnel.
    /// `today` is what is let through of strangers today: the plan enrols the namespaces that the input
    /// knows, and what that does for their pods is told of those that there are.
    pub(crate) fn gains(
        &self,
        class: Node,
        workloads: &[usize],
        judged: &Judged,
        today: &PortSet,
    ) -> Vec<Gain> {
        let analysis = self.analysis;
        let mut gains = Vec::new();
        let Some(to) = analysis.universe.classes().get(class) else {
            return gains;
        };
        if !analysis.network.is_isolated(class, Direction::Ingress) {
            return gains;
        }
        // Where a limit was wanted and is not there, nothing is said of the policy.
        let is_limited = |allowed: &PortSet| !allowed.includes(&analysis.tunnelled);
        let is_missing = analysis.setting.options.authz != AuthzMode::None
            && !judged.allowed.iter().all(is_limited)
            && analysis.demand(class).is_some();
        for (newcomer, allowed) in self.entering(to, judged, (Some(today), !is_missing)) {
            let allowed = allowed.intersection(&analysis.tunnelled);
            let before = self.ports_today(&newcomer, to, today);
            let before = before.intersection(&analysis.tunnelled);
            gains.push(newcomer.gain(class, workloads, Relation::Tunnel, before, &allowed));
        }
        gains
    }

    /// The same through a waypoint, by what policies decide there.
    pub(crate) fn gains_behind(
        &self,
        class: Node,
        workloads: &[usize],
        behind: &Behind<'_>,
        judged: &Judged,
    ) -> Vec<Gain> {
        let analysis = self.analysis;
        let Behind {
            way,
            waypoint,
            passed_on,
            today,
        } = behind;
        let classes = analysis.universe.classes();
        let (Some(to), Some(at)) = (classes.get(class), classes.get(*waypoint)) else {
            return Vec::new();
        };
        let universe = analysis.targets_of(way);
        let entering = if analysis.network.is_isolated(*waypoint, Direction::Ingress) {
            self.entering(at, judged, (None, true))
        } else {
            self.anywhere(at, judged)
        };
        let entering = entering.into_iter();
        let gains = entering.map(|(newcomer, allowed)| {
            let led = way.leading_to(allowed, true, analysis);
            let before = self.ports_today(&newcomer, to, today);
            let before = before.intersection(&universe);
            let after = led.intersection(passed_on);
            newcomer.gain(class, workloads, Relation::Waypoint, before, &after)
        });
        gains.collect()
    }

    /// Who may enter pods of a class by a rule, with what policies let them use there. Where the rule
    /// is for the ports of these pods, and not for those of a waypoint, who gets no more than it lists
    /// is no newcomer, as far as strangers are let through `today`. Whether it is said of the policy that
    /// labels tell nobody apart, where they do not.
    fn entering<'n>(
        &'n self,
        to: &'n Class,
        judged: &'n Judged,
        (today, is_said): (Option<&PortSet>, bool),
    ) -> Vec<(Newcomer<'n>, &'n PortSet)> {
        let mut found = Vec::new();
        let mut asked: BTreeSet<(usize, Option<&LabelSelector>)> = BTreeSet::new();
        let mut known: BTreeSet<(usize, Arc<Labels>)> = BTreeSet::new();
        for entrance in self.admission.to(&to.namespace, &to.labels) {
            let granted = today.map(|today| {
                let granted = rule_ports(entrance.rule, to);
                (granted.intersection(today), granted)
            });
            let tunnelled = &self.analysis.tunnelled;
            let is_within = |ports: &PortSet| {
                let ports = ports.intersection(tunnelled);
                let within = granted
                    .as_ref()
                    .map(|(today, granted)| (granted.includes(&ports), today.includes(&ports)));
                within.unwrap_or_default()
            };
            let is_within: Vec<(bool, bool)> = judged.allowed.iter().map(is_within).collect();
            for admitted in &entrance.peers {
                let places = admitted.places.as_deref().unwrap_or(&judged.apart);
                for &place in places {
                    let index = judged.by_place.get(place).copied().unwrap_or_default();
                    let is_within = is_within.get(index).is_some_and(|(known, elsewhere)| {
                        let place = self.admission.places.get(place);
                        let is_known = place.is_some_and(|place| place.is_known);
                        if is_known { *known } else { *elsewhere }
                    });
                    if is_within || !asked.insert((place, admitted.pods)) {
                        continue;
                    }
                    let mut sending = self.sending_to(to, place, admitted, (judged, is_said));
                    sending.retain(|(n, _)| known.insert((place, Arc::clone(&n.labels))));
                    found.append(&mut sending);
                }
            }
        }
        found
    }

    /// Who may enter pods of a class that nothing isolates: anybody, so that those count of whom
    /// policies let more through.
    fn anywhere<'n>(&'n self, to: &Class, judged: &'n Judged) -> Vec<(Newcomer<'n>, &'n PortSet)> {
        let anybody = Admitted::anybody();
        let apart = judged.apart.iter();
        apart
            .flat_map(|&place| self.sending_to(to, place, &anybody, (judged, true)))
            .collect()
    }

    /// Those of a place whom a peer admits that send through the tunnel to pods of a class. Where
    /// policies keep whoever has no others from it, those who have the labels of a policy that lets
    /// them as well: one that isolates them too only adds to what they may send.
    fn sending_to<'n>(
        &'n self,
        to: &Class,
        place: usize,
        admitted: &Admitted<'_>,
        judged: (&'n Judged, bool),
    ) -> Vec<(Newcomer<'n>, &'n PortSet)> {
        let Some(from) = self.admission.places.get(place) else {
            return Vec::new();
        };
        let sends = |labels: &Labels| {
            let sending = self.sending((&from.namespace, labels), to, AFTER);
            sending.is_none_or(|rules| rules.iter().any(|r| covers_tunnel(r)))
        };
        if sends(&admitted.labels) {
            let alone = self.newcomer(place, &admitted.labels, judged);
            return alone.into_iter().collect();
        }
        let ends = (from.namespace.as_str(), to.namespace.as_str());
        let leads = |rule: &&Rule| {
            covers_tunnel(rule) && self.is_peer(rule, ends, &to.labels, AFTER.surely)
        };
        let here = self.versions.get(ends.0).into_iter().flatten();
        let leading = here.filter_map(AFTER.version).filter(|policy| {
            Direction::Egress.isolated_by(policy) && policy.egress.iter().any(|r| leads(&r))
        });
        let everything = LabelSelector::default();
        let asked = admitted.pods.unwrap_or(&everything);
        let all: BTreeSet<Labels> = leading
            .filter_map(|policy| satisfying_both(asked, &policy.pod_selector))
            .collect();
        let all = all.into_iter().map(Arc::new);
        all.filter_map(|labels| self.newcomer(place, &labels, judged))
            .collect()
    }

    /// One from a place, with what it may use, unless it is compared elsewhere.
    fn newcomer<'n>(
        &'n self,
        place: usize,
        labels: &Arc<Labels>,
        (judged, is_said): (&'n Judged, bool),
    ) -> Option<(Newcomer<'n>, &'n PortSet)> {
        let allowed = judged.allowed.get(*judged.by_place.get(place)?)?;
        let place = self.admission.places.get(place)?;
        let is_alike = is_said && !labels.is_empty() && !judged.names_clients;
        let is_alike = is_alike && place.is_known;
        let is_compared = is_alike
            || self.imagined.contains(&(place.namespace.as_str(), labels))
            || self.is_waypoint(&place.namespace, labels);
        let labels = Arc::clone(labels);
        (!is_compared).then_some((Newcomer { place, labels }, allowed))
    }

    /// Whether these are labels of a waypoint's pods: the control plane alone makes such, and those
    /// are compared.
    fn is_waypoint(&self, namespace: &str, labels: &Labels) -> bool {
        let name = labels.get(labels::GATEWAY_NAME);
        let mut waypoints = self.analysis.setting.waypoints.all.iter();
        name.is_some_and(|name| waypoints.any(|w| w.namespace == namespace && w.name == *name))
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
    fn sending(
        &self,
        (own, labels): (&str, &Labels),
        to: &Class,
        side: Side,
    ) -> Option<Vec<&'a Rule>> {
        let isolating = self.policies(own, Direction::Egress, labels, side.version);
        let isolating: Vec<&NetworkPolicy> = isolating.collect();
        let rules = isolating.iter().flat_map(|p| &p.egress);
        let ends = (own, to.namespace.as_str());
        let rules = rules.filter(|r| self.is_peer(r, ends, &to.labels, side.surely));
        let rules = rules.collect();
        (!isolating.is_empty()).then_some(rules)
    }

    /// The rules by which one may come in.
    fn receiving(&self, from: &Newcomer<'_>, to: &Class, side: Side) -> Vec<&'a Rule> {
        let isolating = self.policies(&to.namespace, Direction::Ingress, &to.labels, side.version);
        let rules = isolating.flat_map(|p| &p.ingress);
        let ends = (to.namespace.as_str(), from.place.namespace.as_str());
        let rules = rules.filter(|r| self.is_peer(r, ends, &from.labels, side.surely));
        rules.collect()
    }

    /// What one may surely use today, where this is let through of strangers.
    fn ports_today(&self, from: &Newcomer<'_>, to: &Class, strangers: &PortSet) -> PortSet {
        let of = |rules: Vec<&Rule>| -> PortSet {
            rules.into_iter().map(|r| rule_ports(r, to)).collect()
        };
        let mut isolating = self.policies(
            &to.namespace,
            Direction::Ingress,
            &to.labels,
            BEFORE.version,
        );
        let received = if isolating.next().is_some() {
            of(self.receiving(from, to, BEFORE))
        } else {
            PortSet::all()
        };
        let listed = match self.sending((&from.place.namespace, &from.labels), to, BEFORE) {
            Some(rules) => received.intersection(&of(rules)),
            None => received,
        };
        if from.place.is_known {
            listed
        } else {
            listed.intersection(strangers)
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
        let analysis = self.analysis;
        let is_it = |peer: &Peer| match peer {
            Peer::Block { cidr, except } => {
                let matches = analysis.universe.block_matches_pods(cidr, except);
                matches.unwrap_or(!surely)
            }
            Peer::Pods { namespaces, pods } => {
                let there = match namespaces {
                    None => own == namespace,
                    Some(selector) => {
                        let selected = self.admission.selects(analysis, namespace, selector);
                        selected.unwrap_or(!surely)
                    }
                };
                there && pods.as_ref().is_none_or(|p| p.matches(labels))
            }
        };
        rule.peers.is_empty() || rule.peers.iter().any(is_it)
    }
}
