//! What comes later: pods that no limit reaches, and clients that are admitted by their labels.

mod clients;

use std::collections::{BTreeMap, BTreeSet};

use ambient_facts::labels;

use crate::finding::{Finding, codes};
use crate::migrate::AuthzMode;
use crate::migrate::analysis::Analysis;
use crate::migrate::limits::restore::{Limit, Limits};
use crate::migrate::opening::Opening;
use crate::migrate::setting::Setting;
use crate::migrate::setting::selecting::Selecting;
use crate::migrate::tunnel_port;
use crate::model::{Action, AuthorizationPolicy, NetworkPolicy};
use crate::netpol::Direction;

/// Tells of pods and clients that come later.
pub(crate) fn later(
    analysis: &Analysis<'_, '_>,
    opening: &Opening,
    limits: &Limits,
    findings: &mut Vec<Finding>,
) {
    let later = Later::of(analysis, limits);
    later.clients(findings);
    let setting = analysis.setting;
    if !setting.cni.cni.keeps_ports_visible() && setting.options.authz != AuthzMode::None {
        later.pods(opening, findings);
    }
}

/// What is at the pods of the input that network policies select.
struct Later<'a, 's, 'w> {
    analysis: &'a Analysis<'s, 'w>,
    setting: &'s Setting<'w>,
    limits: Vec<&'a AuthorizationPolicy>,
    /// The limits at pods themselves.
    at_pods: Selecting<'a, AuthorizationPolicy>,
    /// By workload: its limits, be they at the waypoint of a Service in front of it.
    limits_of: Vec<BTreeSet<usize>>,
    /// By network policy: the workloads that it selects.
    selected: Vec<Vec<usize>>,
    /// The policies of people that isolate for ingress.
    isolating: Selecting<'s, NetworkPolicy>,
}

impl<'a, 's, 'w> Later<'a, 's, 'w> {
    fn of(analysis: &'a Analysis<'s, 'w>, limits: &'a Limits) -> Self {
        let setting = analysis.setting;
        let world = &*setting.world;
        let limits = limits.policies.iter().filter(|l| !l.is_spent);
        let limits: Vec<&AuthorizationPolicy> = limits.map(|Limit { policy, .. }| policy).collect();
        let at_pods = Selecting::of(limits.iter().copied());
        let all = Selecting::of(&world.network_policies);
        let mut limits_of: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); world.workloads.len()];
        let mut selected: Vec<Vec<usize>> = vec![Vec::new(); world.network_policies.len()];
        let workloads = world.workloads.iter().enumerate().zip(&mut limits_of);
        for ((index, workload), limits) in workloads {
            let (namespace, labels) = (&workload.meta.namespace, &workload.pod.labels);
            limits.extend(at_pods.places(namespace, labels));
            for policy in all.places(namespace, labels) {
                if let Some(selected) = selected.get_mut(policy) {
                    selected.push(index);
                }
            }
        }
        let services = world.services.iter();
        let services: BTreeMap<_, _> = services
            .map(|s| ((s.meta.namespace.as_str(), s.meta.name.as_str()), s))
            .collect();
        for (place, limit) in limits.iter().enumerate() {
            let targets = limit.targets.iter().filter(|t| t.kind == "Service");
            let targets = targets.map(|t| (limit.meta.namespace.as_str(), t.name.as_str()));
            for service in targets.filter_map(|name| services.get(&name)) {
                for workload in setting.backends(service) {
                    if let Some(limits) = limits_of.get_mut(workload) {
                        limits.insert(place);
                    }
                }
            }
        }
        let people = world.network_policies_of_people();
        Self {
            analysis,
            setting,
            limits,
            at_pods,
            limits_of,
            selected,
            isolating: Selecting::of(people.filter(|p| p.isolates_ingress)),
        }
    }

    /// The workloads that a network policy selects.
    fn selected(&self, policy: usize) -> &[usize] {
        self.selected.get(policy).map_or(&[], Vec::as_slice)
    }

    /// The limits of workloads that a network policy selects.
    fn limits_at(&self, policy: usize) -> impl Iterator<Item = &'a AuthorizationPolicy> {
        let selected = self.selected(policy).iter();
        let limits = selected.filter_map(|&w| self.limits_of.get(w)).flatten();
        let limits: BTreeSet<usize> = limits.copied().collect();
        let limits = limits.into_iter();
        limits.filter_map(|place| self.limits.get(place).copied())
    }

    /// Tells of every policy that limits ports and opens the tunnel, where no limit reaches all the
    /// pods that it selects: those that come later are open to its peers on every port.
    fn pods(&self, opening: &Opening, findings: &mut Vec<Finding>) {
        let world = &self.setting.world;
        let opened = opened_inwards(opening);
        // That these are enough shows where the plan adds nothing.
        let people = world.authorization_policies_of_people();
        let people = Selecting::of(people.filter(|limit| {
            matches!(limit.action, Action::Allow | Action::Deny) && !limit.is_dry_run()
        }));
        for (index, policy) in world.indexed_network_policies_of_people() {
            let opens_tunnel = opened.contains(&index)
                || (self.setting.scope.enrols(&policy.meta.namespace)
                    && policy.ingress.iter().any(tunnel_port::covers_tunnel));
            let limits_ports = policy.ingress.iter().any(tunnel_port::grants_some_tcp);
            let at_stake = policy.isolates_ingress && limits_ports && opens_tunnel;
            if !at_stake || admits_all(policy) {
                continue;
            }
            let asked = policy.pod_selector.only_labels();
            let asked = asked.unwrap_or_else(|| policy.pod_selector.match_labels.clone());
            let reached = |by: &Selecting<'_, AuthorizationPolicy>| {
                !by.places(&policy.meta.namespace, &asked).is_empty()
            };
            let here: Vec<&AuthorizationPolicy> = self.limits_at(index).collect();
            if reached(&self.at_pods)
                || (here.is_empty() && (reached(&people) || self.need_no_limit(index, policy)))
            {
                continue;
            }
            findings.push(Finding::new(
                &codes::LATER_PODS_NOT_LIMITED,
                policy.reference(),
                policy.meta.origin.clone(),
                unreached(policy, &here),
            ));
        }
    }

    /// Whether pods that a policy selects need no limit, whenever they come: those of the input whose
    /// policies select all of them need none, although clients reach them through the tunnel.
    fn need_no_limit(&self, index: usize, policy: &NetworkPolicy) -> bool {
        let receiving = self.selected(index).iter();
        let receiving = receiving.filter(|&&w| self.setting.role(w).receives);
        let alike = receiving.filter(|&&w| {
            let workload = self.setting.world.workloads.get(w);
            let mut policies = workload.into_iter().flat_map(|w| self.isolating.at(w));
            policies.all(|p| p.pod_selector.includes(&policy.pod_selector))
        });
        let classes: BTreeSet<usize> = alike
            .filter_map(|&w| self.analysis.universe.class_of(w))
            .collect();
        let is_unlimited = |&class: &usize| {
            let senders = &self.analysis.speakers.senders;
            let mut sources = self.analysis.sources_of(class).iter();
            let is_reached = sources.any(|(value, nodes)| {
                self.analysis.opens_tunnel(value.after.high) && !nodes.is_disjoint(senders)
            });
            is_reached && self.analysis.demand(class).is_none()
        };
        !classes.is_empty() && classes.iter().all(is_unlimited)
    }
}

/// The policies whose pods the plan opens the tunnel to.
fn opened_inwards(opening: &Opening) -> BTreeSet<usize> {
    let inward = |direction: &Direction| *direction == Direction::Ingress;
    let changed = opening.changed.iter().filter(|change| {
        change.rules.iter().any(|(d, _)| inward(d)) || change.inward.iter().any(|(d, _)| inward(d))
    });
    changed.map(|change| change.policy).collect()
}

/// How some limits leave out pods that a policy selects.
fn unreached(policy: &NetworkPolicy, limits: &[&AuthorizationPolicy]) -> String {
    if policy.pod_selector.only_labels().is_none() {
        return "it selects by `matchExpressions`, so its limits are restored for the workloads of the input alone".to_owned();
    }
    let Some(first) = limits.first() else {
        return "no policy keeps its limits at pods that come later".to_owned();
    };
    let more = match limits.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let first = first.reference();
    let message = format!(
        "its limits are kept by other labels than its own, those of `{first}`{more}, which pods that \
         come later need not have"
    );
    let mut of_release = labels::OF_ONE_RELEASE.iter();
    let in_use = |key: &&&str| limits.iter().any(|l| l.selector.contains_key(**key));
    if let Some(key) = of_release.find(in_use) {
        return format!("{message}; `{key}` is another with the next release");
    }
    message
}

/// Whether a policy admits everybody to every port, so that it limits nothing.
fn admits_all(policy: &NetworkPolicy) -> bool {
    let mut rules = policy.ingress.iter();
    rules.any(|r| r.peers.is_empty() && r.ports.is_empty())
}
