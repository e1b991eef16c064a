//! Probes of the kubelet: from another source address once a pod is enrolled.
//!
//! The node agent gives connections of the node's processes a link-local source address, so that
//! they pass the capture. Plugins that allow "the node" by address then refuse the probes of
//! isolated pods, unless a policy allows that address on the probe ports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ambient_facts::addresses::{NODE_PROBE_V4, NODE_PROBE_V6};
use ipnet::IpNet;

use super::{Added, Purpose};
use crate::migrate::object;
use crate::migrate::setting::Setting;
use crate::migrate::setting::role::Role;
use crate::migrate::setting::selecting::Selecting;
use crate::model::{
    LabelSelector, NetworkPolicy, Peer, PortMatch, PortRule, Protocol, Rule, TargetPort, Workload,
};

/// A workload whose probes an isolating policy refuses from the new source address.
pub(crate) struct Refused<'s> {
    pub(crate) workload: &'s Workload,
    pub(crate) ports: BTreeSet<u16>,
    /// The policy with the narrowest selector that isolates it, the first by name.
    pub(crate) policy: &'s NetworkPolicy,
}

/// Whether the node agent captures pods: what a sidecar receives keeps its address.
pub(crate) fn is_captured(role: Role) -> bool {
    role.receives && !role.behind_sidecar
}

/// All workloads that will be enrolled and whose probes would be refused.
pub(crate) fn refused<'s>(
    setting: &'s Setting<'_>,
    policies: &'s [NetworkPolicy],
) -> Vec<Refused<'s>> {
    let by_labels = Selecting::of(policies.iter().filter(|p| p.isolates_ingress));
    let mut refused = Vec::new();
    for (index, workload) in setting.world.workloads.iter().enumerate() {
        if !is_captured(setting.role(index))
            || workload.pod.probes.is_empty()
            || workload.terminated
        {
            continue;
        }
        let isolating: Vec<&NetworkPolicy> = by_labels.at(workload).collect();
        // The one that asks for most: a policy for all pods says less about these.
        let narrowest = |p: &&&NetworkPolicy| std::cmp::Reverse(p.pod_selector.keys().count());
        let Some(&policy) = isolating.iter().min_by_key(narrowest) else {
            continue;
        };
        let sources = sources(setting, workload);
        let open = |port: u16| {
            sources.iter().all(|source| {
                let mut rules = isolating.iter().flat_map(|p| &p.ingress);
                rules.any(|rule| admits(rule, workload, port, *source))
            })
        };
        let ports: BTreeSet<u16> = probe_ports(workload).filter(|&p| !open(p)).collect();
        if !ports.is_empty() {
            refused.push(Refused {
                workload,
                ports,
                policy,
            });
        }
    }
    refused
}

/// Policies that admit the probes, and nothing else, to the pods that need them.
pub(crate) fn policies(setting: &Setting<'_>, refused: &[Refused<'_>]) -> Vec<Added> {
    let mut merged: BTreeMap<(&str, LabelSelector), (String, BTreeSet<u16>, &Refused<'_>)> =
        BTreeMap::new();
    // One of an earlier run isolates what this one may not.
    let people = setting.world.network_policies_of_people();
    let isolating = Selecting::of(people.filter(|p| p.isolates_ingress));
    for one in refused {
        let (selector, name) = selector_for(setting, &isolating, one);
        let key = (one.workload.meta.namespace.as_str(), selector);
        let (_, ports, _) = merged
            .entry(key)
            .or_insert_with(|| (name, BTreeSet::new(), one));
        ports.extend(&one.ports);
    }
    let block = |address| Peer::Block {
        cidr: IpNet::from(address),
        except: Vec::new(),
    };
    let build = |((_, pod_selector), (name, ports, one)): (
        (&str, LabelSelector),
        (String, BTreeSet<u16>, &Refused<'_>),
    )| {
        let ports = ports.into_iter().map(|p| PortRule {
            protocol: Protocol::Tcp,
            port: PortMatch::Range(p, p),
        });
        let rule = Rule {
            peers: vec![block(NODE_PROBE_V4), block(NODE_PROBE_V6)],
            ports: ports.collect(),
            line: 0,
        };
        Added {
            policy: NetworkPolicy {
                meta: object::companion_meta(
                    &one.policy.meta,
                    object::derived_name(&name, "probes"),
                    &one.policy.reference(),
                ),
                pod_selector,
                isolates_ingress: true,
                isolates_egress: false,
                ingress: vec![rule],
                egress: Vec::new(),
            },
            beside: one.policy.meta.origin.clone(),
            reason: format!("probes of the kubelet arrive from {NODE_PROBE_V4} after enrolment"),
            purpose: Purpose::Service,
            accompanies: None,
            replaces: None,
        }
    };
    merged.into_iter().map(build).collect()
}

/// A selector that selects the workload and only pods that are isolated already, and a name.
fn selector_for(
    setting: &Setting<'_>,
    isolating: &Selecting<'_, NetworkPolicy>,
    refused: &Refused<'_>,
) -> (LabelSelector, String) {
    let workload = refused.workload;
    let own = workload.selector.as_ref().filter(|s| !s.is_empty());
    let narrow = own.filter(|selector| {
        let here = setting.workloads_of(&workload.meta.namespace).iter();
        let here = here.filter_map(|&index| setting.world.workloads.get(index));
        let mut selected = here.filter(|w| selector.matches(&w.pod.labels));
        selected.all(|w| isolating.at(w).next().is_some())
    });
    match narrow {
        Some(selector) => (selector.clone(), workload.meta.name.clone()),
        None => (
            refused.policy.pod_selector.clone(),
            refused.policy.meta.name.clone(),
        ),
    }
}

fn probe_ports(workload: &Workload) -> impl Iterator<Item = u16> {
    workload
        .pod
        .probes
        .iter()
        .flat_map(|probe| match &probe.port {
            TargetPort::Number(number) => vec![*number],
            TargetPort::Name(name) => workload.pod.named_port(name, Protocol::Tcp).collect(),
        })
}

/// Where probes of a workload come from: by the families of its addresses, or of all pods', where the
/// input tells.
pub(crate) fn sources(setting: &Setting<'_>, workload: &Workload) -> Vec<IpAddr> {
    let known = |v4: &dyn Fn(bool) -> bool| {
        let families = [(true, NODE_PROBE_V4), (false, NODE_PROBE_V6)];
        let there = families.into_iter().filter(|(family, _)| v4(*family));
        there.map(|(_, source)| source).collect::<Vec<_>>()
    };
    let own = known(&|v4| workload.addresses.iter().any(|a| a.is_ipv4() == v4));
    if !own.is_empty() {
        return own;
    }
    let ranges = &setting.options.pod_ranges;
    let all = known(&|v4| ranges.iter().any(|r| r.addr().is_ipv4() == v4));
    if all.is_empty() {
        vec![NODE_PROBE_V4, NODE_PROBE_V6]
    } else {
        all
    }
}

fn admits(rule: &Rule, workload: &Workload, port: u16, source: IpAddr) -> bool {
    let address = |peer: &Peer| match peer {
        Peer::Block { cidr, except } => {
            cidr.contains(&source) && !except.iter().any(|e| e.contains(&source))
        }
        Peer::Pods { .. } => false,
    };
    let number = |p: &PortRule| {
        p.protocol == Protocol::Tcp
            && match &p.port {
                PortMatch::All => true,
                PortMatch::Range(first, last) => (*first..=*last).contains(&port),
                PortMatch::Name(name) => {
                    workload.pod.named_port(name, p.protocol).any(|n| n == port)
                }
            }
    };
    (rule.peers.is_empty() || rule.peers.iter().any(address))
        && (rule.ports.is_empty() || rule.ports.iter().any(number))
}
