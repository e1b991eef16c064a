//! Clients that come later, are admitted by their labels and told by their accounts, or not told
//! apart by limits that need not.

use std::collections::BTreeSet;

use ambient_facts::labels;

use super::Later;
use crate::finding::{Finding, codes};
use crate::migrate::AuthzMode;
use crate::migrate::tunnel_port;
use crate::model::{
    Action, AuthorizationPolicy, LabelSelector, NetworkPolicy, Operator, Peer, Protocol, Rule,
};
use crate::netpol::{Class, PortSet, rule_ports};

impl Later<'_, '_, '_> {
    /// Tells of every policy whose rules select clients by label where its limits name them.
    pub(super) fn clients(&self, findings: &mut Vec<Finding>) {
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
            } else if self.refuses_more(index, policy) {
                "it admits clients by label to ports that none of the input may use, and the limits \
                 of the plan refuse these to all"
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

    /// Whether limits that name nobody who may use more, because nobody of the input may, refuse ports
    /// that a policy grants to clients that it admits by label.
    fn refuses_more(&self, index: usize, policy: &NetworkPolicy) -> bool {
        let analysis = self.analysis;
        if self.limits_at(index).next().is_none() {
            return false;
        }
        let own: Vec<&Rule> = policy
            .ingress
            .iter()
            .filter(|r| admits_by_label(r))
            .collect();
        let receiving = self.selected(index).iter();
        let receiving = receiving.filter(|&&w| self.setting.role(w).receives);
        let classes = receiving.filter_map(|&w| analysis.universe.class_of(w));
        let classes: BTreeSet<usize> = classes.collect();
        classes.into_iter().any(|node| {
            let Some(class) = analysis.universe.classes().get(node) else {
                return false;
            };
            let granted: PortSet = own.iter().map(|rule| rule_ports(rule, class)).collect();
            let granted = granted.intersection(&analysis.tunnelled);
            let demand = (!granted.is_empty())
                .then(|| analysis.demand(node))
                .flatten();
            demand.is_some_and(|demand| !demand.others.unwrap_or_default().includes(&granted))
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
