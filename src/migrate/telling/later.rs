//! What comes later: pods that no limit reaches, and clients that are admitted by their labels and
//! told by their accounts, or not told apart by limits that need not.

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
use crate::model::{
    Action, AuthorizationPolicy, LabelSelector, NetworkPolicy, Operator, Peer, Protocol, Rule,
};
use crate::netpol::{Class, Direction, PortSet, rule_ports};

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

    /// Tells of every policy whose rules select clients by label where its limits name them.
    fn clients(&self, findings: &mut Vec<Finding>) {
        for (index, policy) in self.setting.world.indexed_network_policies_of_people() {
            if !policy.isolates_ingress || !policy.ingress.iter().any(admits_by_label) {
                continue;
            }
            let naming = self.limits_at(index).find(|limit| names_clients(limit));
            let message = if let Some(limit) = naming {
                let shared = shared_account(limit).map_or_else(String::new, |default| {
                    format!(", among them `{default}`, that of every pod that names none")
                });
                format!(
                    "it selects clients by label, and `{}` names the accounts of those of the \
                     input{shared}",
                    limit.reference()
                )
            } else if self.tells_apart(index, policy) {
                "it admits clients by label to ports of their own, and no limit of the plan keeps \
                 those apart that come later"
                    .to_owned()
            } else {
                continue;
            };
            findings.push(Finding::new(
                &codes::LATER_CLIENTS_TOLD_BY_ACCOUNT,
                policy.reference(),
                policy.meta.origin.clone(),
                message,
            ));
        }
    }

    /// Whether pods in the mesh that a policy selects grant clients that it admits by label less than
    /// others: inside the tunnel all are alike where no limit names them.
    fn tells_apart(&self, index: usize, policy: &NetworkPolicy) -> bool {
        let setting = self.setting;
        if setting.cni.cni.keeps_ports_visible() || setting.options.authz == AuthzMode::None {
            return false;
        }
        let own = policy.ingress.iter().filter(|r| admits_by_label(r));
        let own = own.filter(|r| tunnel_port::grants_some_tcp(r));
        let own: Vec<&Peer> = own
            .flat_map(|r| &r.peers)
            .filter(|p| is_by_label(p))
            .collect();
        if own.is_empty() {
            return false;
        }
        let mut known = BTreeSet::new();
        let here = self.selected(index).iter();
        let mut here = here.filter(|&&workload| setting.role(workload).receives);
        here.any(|&index| {
            let class = self.analysis.universe.class_of(index);
            let class = class.and_then(|c| self.analysis.universe.classes().get(c));
            let (Some(class), Some(workload)) = (class, setting.world.workloads.get(index)) else {
                return false;
            };
            let (namespace, labels) = (&workload.meta.namespace, &workload.pod.labels);
            let policies = self.isolating.places(namespace, labels);
            let is_new = known.insert((policies.clone(), &class.ports, class.imagined));
            is_new && self.grants_more(class, &policies, namespace, &own)
        })
    }

    /// Whether rules of some policies grant a class's ports of TCP to others than clients of these
    /// peers, and no rule grants them to all that these are.
    fn grants_more(&self, class: &Class, policies: &[usize], own: &str, peers: &[&Peer]) -> bool {
        let policies = policies.iter().filter_map(|&p| self.isolating.get(p));
        let rules = policies.flat_map(|p| &p.ingress);
        let rules: Vec<(&Rule, PortSet)> = rules
            .map(|rule| (rule, rule_ports(rule, class).only(Protocol::Tcp)))
            .collect();
        let mut peers = peers.iter();
        peers.any(|peer| {
            let admits = |rule: &Rule| {
                let mut others = rule.peers.iter();
                rule.peers.is_empty() || others.any(|other| self.includes(own, other, peer))
            };
            let (granting, others): (Vec<_>, Vec<_>) = rules.iter().partition(|(r, _)| admits(r));
            let granted: PortSet = granting
                .into_iter()
                .map(|(_, ports)| ports.clone())
                .collect();
            others.iter().any(|(_, ports)| !granted.includes(ports))
        })
    }

    /// Whether one peer of policies of a namespace is all that another is, as far as their selectors
    /// show.
    fn includes(&self, own: &str, all: &Peer, some: &Peer) -> bool {
        let Peer::Pods { namespaces, pods } = all else {
            return all == some;
        };
        let Peer::Pods {
            namespaces: some_namespaces,
            pods: some_pods,
        } = some
        else {
            return false;
        };
        let everything = LabelSelector::default();
        let some_pods = some_pods.as_ref().unwrap_or(&everything);
        let by_name = || LabelSelector::labels([(labels::NAMESPACE_NAME, own)]);
        let in_namespaces = match (namespaces, some_namespaces) {
            (None, None) => true,
            (Some(all), Some(some)) => all.includes(some),
            (Some(all), None) => {
                let known = self.setting.world.namespaces.get(own);
                let known = known.filter(|n| n.declared);
                all.includes(&by_name()) || known.is_some_and(|n| all.matches(&n.meta.labels))
            }
            (None, Some(some)) => by_name().includes(some),
        };
        in_namespaces && pods.as_ref().is_none_or(|pods| pods.includes(some_pods))
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

/// Whether a policy of ours refuses something to everybody but those that it names.
fn names_clients(policy: &AuthorizationPolicy) -> bool {
    let mut sources = policy.rules.iter().flat_map(|r| &r.from);
    sources.any(|source| match policy.action {
        Action::Allow => {
            let mut principals = source.principals.iter();
            principals.any(|p| &**p != "*") || !source.namespaces.is_empty()
        }
        _ => !source.not_principals.is_empty() || !source.not_namespaces.is_empty(),
    })
}

/// The account of pods that name none, where a policy of ours excepts or admits it.
fn shared_account(policy: &AuthorizationPolicy) -> Option<&str> {
    let sources = policy.rules.iter().flat_map(|r| &r.from);
    let mut named = sources.flat_map(|source| match policy.action {
        Action::Allow => &source.principals,
        _ => &source.not_principals,
    });
    named
        .find(|name| name.ends_with("/sa/default"))
        .map(|n| &**n)
}

/// Whether a rule admits clients that may come under any name: not whole namespaces that it names.
fn admits_by_label(rule: &Rule) -> bool {
    (rule.ports.is_empty() || tunnel_port::grants_some_tcp(rule))
        && rule.peers.iter().any(is_by_label)
}

fn is_by_label(peer: &Peer) -> bool {
    match peer {
        Peer::Block { .. } => false,
        Peer::Pods { namespaces, pods } => {
            pods.as_ref().is_some_and(|p| !p.is_empty())
                || namespaces
                    .as_ref()
                    .is_some_and(|n| !n.is_empty() && !is_by_name(n))
        }
    }
}

/// Whether a selector lists the names of the namespaces that it selects.
fn is_by_name(namespaces: &LabelSelector) -> bool {
    namespaces.match_labels.contains_key(labels::NAMESPACE_NAME)
        || namespaces
            .match_expressions
            .iter()
            .any(|r| r.key == labels::NAMESPACE_NAME && matches!(r.operator, Operator::In(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::fixture::{Fixture, deployment, meta};
    use crate::migrate::{Options, plan};
    use crate::model::{PortMatch, PortRule};

    /// What is said about a policy for `web` with these rules, of one peer and one port each.
    fn said(rules: &[(Peer, u16)]) -> String {
        let rule = |(peer, port): &(Peer, u16)| Rule {
            peers: vec![peer.clone()],
            ports: vec![PortRule {
                protocol: Protocol::Tcp,
                port: PortMatch::Range(*port, *port),
            }],
            line: 0,
        };
        let mut fixture = Fixture::with_namespace("shop", &[]).namespace("pay", &[("team", "x")]);
        for (namespace, name) in [("shop", "web"), ("shop", "api"), ("pay", "till")] {
            fixture = fixture.workload(deployment(namespace, name));
        }
        let fixture = fixture.network(NetworkPolicy {
            meta: meta("shop", "in", "policy.yaml"),
            pod_selector: LabelSelector::labels([("app", "web")]),
            isolates_ingress: true,
            isolates_egress: false,
            ingress: rules.iter().map(rule).collect(),
            egress: Vec::new(),
        });
        let findings = plan(&fixture.world, &Options::default()).findings;
        let findings = findings.into_iter().filter(|f| f.code.id == "AMB0119");
        let said: Vec<String> = findings
            .map(|f| format!("{}: {}", f.subject, f.message))
            .collect();
        said.join("\n")
    }

    fn pods(namespaces: Option<(&str, &str)>, pods: Option<(&str, &str)>) -> Peer {
        Peer::Pods {
            namespaces: namespaces.map(|label| LabelSelector::labels([label])),
            pods: pods.map(|label| LabelSelector::labels([label])),
        }
    }

    #[test]
    fn rules_that_admit_by_label_are_told_where_limits_name_clients() {
        let api = pods(None, Some(("app", "api")));
        let team = pods(Some(("team", "x")), None);
        let pay = pods(Some((labels::NAMESPACE_NAME, "pay")), None);
        let shop = Peer::Pods {
            namespaces: None,
            pods: Some(LabelSelector::default()),
        };
        insta::assert_snapshot!(said(&[(api, 80), (pay.clone(), 90)]), @"shop/networkpolicy/in: it selects clients by label, and `shop/authorizationpolicy/in-np-ports` names the accounts of those of the input");
        insta::assert_snapshot!(said(&[(team.clone(), 80), (shop.clone(), 90)]), @"shop/networkpolicy/in: it selects clients by label, and `shop/authorizationpolicy/in-np-ports` names the accounts of those of the input");
        assert_eq!(said(&[(team, 80)]), "", "all clients have the same ports");
        assert_eq!(said(&[(pay, 80), (shop, 90)]), "", "namespaces are named");
    }
}
