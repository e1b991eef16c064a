//! Processes of a node: from another source address to the enrolled pods on it.
//!
//! What lets them in by the addresses of nodes goes on to do so from other nodes, and stops on their
//! own: the node agent gives every connection of the node's processes the address of probes.

use ipnet::IpNet;

use crate::finding::{Finding, codes};
use crate::migrate::analysis::Analysis;
use crate::migrate::opening::Opening;
use crate::migrate::opening::probes::{is_captured, sources};
use crate::migrate::setting::scope::is_mesh;
use crate::migrate::setting::selecting::Selecting;
use crate::migrate::setting::unread::unknown;
use crate::model::{Endpoint, NetworkPolicy, Peer, Protocol, Rule, Workload};
use crate::netpol::{Assumptions, PortSet, rule_ports};
use crate::plan::{Comparison, Relation};

/// Tells of policies that let workloads of the host network in by the addresses of nodes, to ports
/// that nothing opens to the address that they have on their own node.
pub(crate) fn node_blocks(
    analysis: &Analysis<'_, '_>,
    opening: &Opening,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    let setting = analysis.setting;
    if setting.cni.cni.needs_probe_rule() == Some(false) {
        return;
    }
    let mut workloads = setting.world.workloads.iter().enumerate();
    let on_host = |w: &Workload| w.pod.host_network && !w.terminated && !is_mesh(&w.pod);
    let Some((index, process)) = workloads.find(|(_, w)| on_host(w)) else {
        return;
    };
    let endpoint = setting.endpoints.of_workload(index);
    let endpoint = endpoint.and_then(|e| setting.endpoints.get(e));
    let added = opening.added.iter().filter(|a| a.replaces.is_none());
    let after = opening.after.iter().chain(added.map(|a| &a.policy));
    let after = Selecting::of(after.filter(|p| p.isolates_ingress));
    for policy in setting.world.network_policies_of_people() {
        let by_node = |rule: &&Rule| {
            let mut peers = rule.peers.iter();
            peers.any(|peer| holds_nodes(peer, process, &setting.options.pod_ranges))
        };
        let rules: Vec<&Rule> = policy.ingress.iter().filter(by_node).collect();
        let (Some(first), true) = (rules.first(), policy.isolates_ingress) else {
            continue;
        };
        let mut lost = PortSet::none();
        for &index in setting.workloads_of(&policy.meta.namespace) {
            lost = lost.union(&lost_at(analysis, &after, policy, &rules, index));
        }
        if !lost.is_empty() {
            let message = format!(
                "`{}` and other processes of a node that it lets in by `ipBlock` come from another \
                 address to pods on the same node after enrolment, which no policy lets in to {lost}",
                process.reference()
            );
            let ports = lost.to_string();
            differences.push(Comparison {
                source: endpoint.map_or_else(String::new, Endpoint::to_string),
                before: ports.clone(),
                after: PortSet::none().to_string(),
                difference: ports,
                ..unknown(Relation::Plaintext, &policy.reference(), message.clone())
            });
            findings.push(Finding::new(
                &codes::NODE_ADDRESS_CHANGES,
                policy.reference(),
                policy.meta.origin.at(first.line),
                message,
            ));
        }
    }
    differences.sort();
}

/// The ports of TCP that some rules of a policy open at a workload and that are closed to the address
/// of processes on the same node.
fn lost_at(
    analysis: &Analysis<'_, '_>,
    after: &Selecting<'_, NetworkPolicy>,
    policy: &NetworkPolicy,
    rules: &[&Rule],
    index: usize,
) -> PortSet {
    let setting = analysis.setting;
    let workload = setting.world.workloads.get(index);
    let class = analysis.universe.class_of(index);
    let class = class.and_then(|c| analysis.universe.classes().get(c));
    let (Some(workload), Some(class)) = (workload, class) else {
        return PortSet::none();
    };
    let selected = policy.pod_selector.matches(&workload.pod.labels);
    if !is_captured(setting.role(index)) || !selected {
        return PortSet::none();
    }
    let granted: PortSet = rules.iter().map(|rule| rule_ports(rule, class)).collect();
    let here: Vec<&Rule> = after.at(workload).flat_map(|p| &p.ingress).collect();
    let open = sources(setting, workload).into_iter().map(|source| {
        let lets_in = |peer: &Peer| match peer {
            Peer::Block { cidr, except } => {
                cidr.contains(&source) && !except.iter().any(|e| e.contains(&source))
            }
            Peer::Pods { .. } => false,
        };
        let rules = here.iter();
        let rules = rules.filter(|r| r.peers.is_empty() || r.peers.iter().any(lets_in));
        rules.map(|rule| rule_ports(rule, class)).collect()
    });
    let lost = open.map(|open: PortSet| granted.difference(&open));
    let lost: PortSet = lost.collect();
    lost.intersection(&PortSet::protocol(Protocol::Tcp))
}

/// Whether a block may hold the addresses of nodes: those of a process where they are known, else
/// private ones that are no pod's.
fn holds_nodes(peer: &Peer, process: &Workload, pods: &[IpNet]) -> bool {
    let Peer::Block { cidr, except } = peer else {
        return false;
    };
    if !process.addresses.is_empty() {
        let mut known = process.addresses.iter();
        return known.any(|a| cidr.contains(a) && !except.iter().any(|e| e.contains(a)));
    }
    let private = Assumptions::default().pod_addresses;
    let mut private = private.iter();
    let is_left = |range: &IpNet| !except.iter().any(|e| e.contains(range) || e.contains(cidr));
    let may_hold = private.any(|p| (cidr.contains(p) || p.contains(cidr)) && is_left(p));
    may_hold && !pods.iter().any(|pods| pods.contains(cidr))
}
