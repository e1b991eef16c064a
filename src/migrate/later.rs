//! What comes later: pods that no limit reaches, and clients that are admitted by their labels and
//! told by their accounts, or not told apart by limits that need not.

use ambient_facts::labels;

use super::AuthzMode;
use super::opening::Opening;
use super::restore::Limits;
use super::setting::Setting;
use super::tunnel_port;
use crate::finding::{Finding, codes};
use crate::model::{
    Action, AuthorizationPolicy, LabelSelector, NetworkPolicy, Operator, Peer, PortRule, Protocol,
    Rule, Workload, includes,
};
use crate::netpol::Direction;

/// Tells of every policy that limits ports and opens the tunnel, where no limit reaches all the pods
/// that it selects: those that come later are open to its peers on every port.
pub(super) fn later_pods(
    setting: &Setting<'_>,
    opening: &Opening,
    limits: &Limits,
    findings: &mut Vec<Finding>,
) {
    let ours: Vec<&AuthorizationPolicy> = limits
        .policies
        .iter()
        .filter(|l| !l.is_spent)
        .map(|l| &l.policy)
        .collect();
    for (index, policy) in setting.world.network_policies.iter().enumerate() {
        let limits_ports = policy.ingress.iter().any(tunnel_port::grants_some_tcp);
        let at_stake = policy.isolates_ingress && limits_ports && !policy.meta.is_ours();
        if !at_stake || !opens_tunnel(setting, opening, index, policy) || admits_all(policy) {
            continue;
        }
        let here = ours.iter().filter(|l| limits_pods_of(setting, l, policy));
        let here: Vec<&AuthorizationPolicy> = here.copied().collect();
        let is_reached = ours.iter().any(|limit| reaches_all(limit, policy))
            || (here.is_empty() && people_limit(setting, policy));
        if is_reached {
            continue;
        }
        let message = unreached(policy, &here);
        findings.push(Finding::new(
            &codes::LATER_PODS_NOT_LIMITED,
            policy.reference(),
            policy.meta.origin.clone(),
            message,
        ));
    }
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

/// Whether the tunnel to pods that a policy selects is open because of it.
fn opens_tunnel(
    setting: &Setting<'_>,
    opening: &Opening,
    index: usize,
    policy: &NetworkPolicy,
) -> bool {
    let mut changed = opening.changed.iter().filter(|c| c.policy == index);
    let inward = |direction: &Direction| *direction == Direction::Ingress;
    changed.any(|change| {
        change.rules.iter().any(|(d, _)| inward(d)) || change.inward.iter().any(|(d, _)| inward(d))
    }) || (setting.scope.enrols(&policy.meta.namespace)
        && policy.ingress.iter().any(tunnel_port::covers_tunnel))
}

/// Whether a policy admits everybody to every port, so that it limits nothing.
fn admits_all(policy: &NetworkPolicy) -> bool {
    let mut rules = policy.ingress.iter();
    rules.any(|r| r.peers.is_empty() && r.ports.is_empty())
}

/// Whether a policy at pods limits all that a network policy selects, whenever they come.
fn reaches_all(limit: &AuthorizationPolicy, policy: &NetworkPolicy) -> bool {
    let asked = policy.pod_selector.only_labels();
    let asked = asked.unwrap_or_else(|| policy.pod_selector.match_labels.clone());
    limit.meta.namespace == policy.meta.namespace
        && limit.targets.is_empty()
        && !limit.selects_nothing
        && includes(&asked, &limit.selector)
}

/// Whether people have written something that reaches all pods of a network policy; that it is enough
/// shows where the plan adds nothing.
fn people_limit(setting: &Setting<'_>, policy: &NetworkPolicy) -> bool {
    let mut people = setting.world.authorization_policies_of_people();
    people.any(|limit| {
        matches!(limit.action, Action::Allow | Action::Deny)
            && !limit.is_dry_run()
            && reaches_all(limit, policy)
    })
}

/// Tells of every policy whose rules select clients by label where its limits name them.
pub(super) fn later_clients(setting: &Setting<'_>, limits: &Limits, findings: &mut Vec<Finding>) {
    let naming: Vec<&AuthorizationPolicy> = limits
        .policies
        .iter()
        .map(|l| &l.policy)
        .filter(|p| names_clients(p))
        .collect();
    let people = setting.world.network_policies_of_people();
    for policy in people.filter(|p| p.isolates_ingress) {
        if !policy.ingress.iter().any(admits_by_label) {
            continue;
        }
        let limit = naming
            .iter()
            .find(|limit| limits_pods_of(setting, limit, policy));
        if let Some(limit) = limit {
            let shared = shared_account(limit).map_or_else(String::new, |default| {
                format!(", among them `{default}`, that of every pod that names none")
            });
            let message = format!(
                "it selects clients by label, and `{}` names the accounts of those of the input{shared}",
                limit.reference()
            );
            findings.push(Finding::new(
                &codes::LATER_CLIENTS_REFUSED,
                policy.reference(),
                policy.meta.origin.clone(),
                message,
            ));
        } else if tells_apart(setting, policy) {
            findings.push(Finding::new(
                &codes::LATER_CLIENTS_REFUSED,
                policy.reference(),
                policy.meta.origin.clone(),
                "it admits clients by label to ports of their own, and no limit of the plan keeps \
                 those apart that come later"
                    .to_owned(),
            ));
        }
    }
}

/// Whether pods in the mesh that a policy selects grant clients that it admits by label less than
/// others: inside the tunnel all are alike where no limit names them.
fn tells_apart(setting: &Setting<'_>, policy: &NetworkPolicy) -> bool {
    if setting.cni.cni.keeps_ports_visible() || setting.options.authz == AuthzMode::None {
        return false;
    }
    let here = setting.workloads_of(&policy.meta.namespace).iter();
    let here = here.filter(|&&index| setting.role(index).receives);
    let mut here = here.filter_map(|&index| setting.world.workloads.get(index));
    here.any(|workload| {
        let labels = &workload.pod.labels;
        if !policy.pod_selector.matches(labels) {
            return false;
        }
        let beside = setting.world.network_policies_of_people().filter(|p| {
            p.isolates_ingress
                && p.meta.namespace == policy.meta.namespace
                && p.pod_selector.matches(labels)
        });
        let others: Vec<&Rule> = beside.flat_map(|p| &p.ingress).collect();
        let own = policy.ingress.iter().filter(|r| admits_by_label(r));
        let mut own = own.filter(|r| tunnel_port::grants_some_tcp(r));
        own.any(|rule| others.iter().any(|other| grants_more(other, rule)))
    })
}

/// Whether a rule grants some ports of TCP that another does not, and not to the same peers, nor to
/// everybody.
fn grants_more(rule: &Rule, than: &Rule) -> bool {
    let is_more = |port: &PortRule| port.protocol == Protocol::Tcp && !than.ports.contains(port);
    !rule.peers.is_empty()
        && !than.peers.iter().all(|p| rule.peers.contains(p))
        && (rule.ports.is_empty() || rule.ports.iter().any(is_more))
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

/// Whether pods that a network policy selects are limited by one of ours: themselves, or at the
/// waypoint of a Service in front of them.
fn limits_pods_of(
    setting: &Setting<'_>,
    limit: &AuthorizationPolicy,
    policy: &NetworkPolicy,
) -> bool {
    if limit.meta.namespace != policy.meta.namespace {
        return false;
    }
    let selector = LabelSelector {
        match_labels: limit.selector.clone(),
        ..LabelSelector::default()
    };
    let services = setting.world.services.iter().filter(|service| {
        let mut targets = limit.targets.iter();
        service.meta.namespace == limit.meta.namespace
            && targets.any(|t| t.kind == "Service" && t.name == service.meta.name)
    });
    let services: Vec<_> = services.collect();
    let is_limited = |&index: &usize| {
        let selects = |w: &Workload| policy.pod_selector.matches(&w.pod.labels);
        let workload = setting.world.workloads.get(index).filter(|w| selects(w));
        workload.is_some_and(|workload| {
            if limit.targets.is_empty() {
                selector.matches(&workload.pod.labels)
            } else {
                services.iter().any(|s| setting.is_backend(s, index))
            }
        })
    };
    setting
        .workloads_of(&policy.meta.namespace)
        .iter()
        .any(is_limited)
}

/// Whether a rule admits clients that may come under any name: not whole namespaces that it names.
fn admits_by_label(rule: &Rule) -> bool {
    let by_label = |peer: &Peer| match peer {
        Peer::Block { .. } => false,
        Peer::Pods { namespaces, pods } => {
            pods.as_ref().is_some_and(|p| !p.is_empty())
                || namespaces
                    .as_ref()
                    .is_some_and(|n| !n.is_empty() && !is_by_name(n))
        }
    };
    (rule.ports.is_empty() || tunnel_port::grants_some_tcp(rule)) && rule.peers.iter().any(by_label)
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
    use crate::model::PortMatch;

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
