//! Pods that policies speak of and the input does not hold.
//!
//! A repository often keeps policies apart from workloads. A policy that selects nothing known
//! still has to be rewritten and proved, so for every selector that matches no pod one pod is
//! imagined that it matches. Its service account is not known. Where a rule asks for labels that no
//! namespace of the input has, a namespace is imagined too, and not even its name is known.
//!
//! Clients may come to every namespace that a rule admits as a whole. Where one is declared and holds
//! nothing of the input, a pod of it is imagined too: its name is all that limits have to let
//! through.

use std::collections::{BTreeMap, BTreeSet};

use ambient_facts::{annotations, labels, namespaces};

use super::fewest::{satisfying, shown};
use super::role::{self, Role};
use super::scope::{Scope, is_gateway, is_mesh};
use crate::migrate::object;
use crate::migrate::tunnel_port;
use crate::model::{
    Coverage, Kind, LabelSelector, Labels, Meta, Namespace, NetworkPolicy, Operator, Peer,
    PodTemplate, PortMatch, Protocol, Rule, Workload, WorkloadKind, World, namespace_name_label,
};
use crate::netpol::{Direction, Selection};

/// What is imagined beside a world.
#[derive(Default)]
pub(crate) struct Imagined {
    pub(crate) pods: Vec<Workload>,
    /// Namespaces whose names are not known, by what they are called instead.
    pub(crate) namespaces: BTreeMap<String, Namespace>,
}

/// The namespaces that are objects of the input, or hold some. One that holds nothing but what
/// earlier runs added is as unknown as it was to them.
pub(crate) fn known_namespaces(world: &World) -> BTreeSet<&str> {
    let network = world.network_policies.iter().map(|p| &p.meta);
    let authorization = world.authorization_policies.iter().map(|p| &p.meta);
    let policies = || network.clone().chain(authorization.clone());
    let workloads = world.workloads.iter().map(|w| &w.meta);
    let services = world.services.iter().map(|s| &s.meta);
    let others = policies()
        .filter(|meta| !meta.is_ours())
        .chain(workloads)
        .chain(services)
        .chain(&world.service_accounts)
        .chain(world.gateways.iter().map(|g| &g.meta))
        .chain(world.peer_authentications.iter().map(|p| &p.meta))
        .chain(world.request_authentications.iter().map(|r| &r.meta))
        .chain(world.networking.iter().map(|o| &o.meta))
        .chain(world.plugin_policies.iter().map(|o| &o.meta))
        .chain(world.configuration.iter().map(|o| &o.meta));
    let lived_in: BTreeSet<&str> = others.map(|meta| meta.namespace.as_str()).collect();
    let ours = policies().filter(|meta| meta.is_ours());
    let ours: BTreeSet<&str> = ours.map(|meta| meta.namespace.as_str()).collect();
    let known = world.namespaces.iter().filter(|(name, namespace)| {
        let name = name.as_str();
        namespace.declared || lived_in.contains(name) || !ours.contains(name)
    });
    known.map(|(name, _)| name.as_str()).collect()
}

/// One imagined pod for each selector of an analysed policy that matches no pod of the input.
pub(crate) fn beside<'w>(
    world: &'w World,
    known_namespaces: &BTreeSet<&'w str>,
    scope: &Scope,
    selection: &mut Selection<'w>,
) -> Imagined {
    let unnamed = world.network_policies.iter().map(|p| &p.meta);
    let unnamed = unnamed.filter(|meta| !meta.namespace_given);
    let imagined = world.workloads.iter().filter(|w| w.imagined);
    let key = |w: &Workload| (w.meta.namespace.clone(), w.pod.labels.clone());
    let mut imagination = Imagination {
        world,
        known_namespaces: known_namespaces.clone(),
        scope,
        unnamed: unnamed.map(|meta| meta.namespace.as_str()).collect(),
        by_namespace: world.workloads_by_namespace(),
        known: imagined.map(key).collect(),
        sends: false,
        imagined: Imagined::default(),
    };
    for policy in world.network_policies_of_people() {
        let namespace = &policy.meta.namespace;
        if scope.is_enrolled(namespace) && !imagination.holds(namespace, &policy.pod_selector) {
            imagination.add(namespace, &policy.pod_selector);
        }
        for direction in Direction::BOTH {
            if !direction.isolated_by(policy) {
                continue;
            }
            let rules = direction.rules(policy);
            let mut leads = |rule: &'w Rule| {
                is_limited(rule)
                    && (!tunnel_port::is_dns_only(rule) || imagination.looks_up_itself(policy))
                    && leads_anywhere(policy, rule, selection)
            };
            if direction == Direction::Egress && rules.iter().any(&mut leads) {
                imagination.anywhere(namespace);
            }
            for peer in rules.iter().flat_map(|r| &r.peers) {
                let Peer::Pods { namespaces, pods } = peer else {
                    continue;
                };
                let set = selection.peers(namespace, std::slice::from_ref(peer));
                let set = selection.get(set);
                let matched = if !set.yes.is_clear() {
                    Some(true)
                } else if set.maybe.is_clear() {
                    Some(false)
                } else {
                    None
                };
                let everything = LabelSelector::default();
                let pods = pods.as_ref().unwrap_or(&everything);
                imagination.sends = direction == Direction::Ingress;
                imagination.peer(policy, namespaces.as_ref(), pods, matched);
            }
        }
    }
    imagination.imagined
}

struct Imagination<'w> {
    world: &'w World,
    known_namespaces: BTreeSet<&'w str>,
    scope: &'w Scope,
    /// Namespaces that policies are in without naming them.
    unnamed: BTreeSet<&'w str>,
    by_namespace: BTreeMap<&'w str, Vec<usize>>,
    known: BTreeSet<(String, Labels)>,
    /// Whether what is imagined next is to send; else it is to receive.
    sends: bool,
    imagined: Imagined,
}

impl Imagination<'_> {
    /// Imagines what a peer selects, unless pods of the input match it: surely, surely not, or
    /// perhaps.
    fn peer(
        &mut self,
        policy: &NetworkPolicy,
        namespaces: Option<&LabelSelector>,
        pods: &LabelSelector,
        matched: Option<bool>,
    ) {
        let Some(asked) = namespaces else {
            let own = &policy.meta.namespace;
            if matched == Some(false) && self.scope.is_enrolled(own) {
                self.add(own, pods);
            }
            return;
        };
        if let Some(names) = asked_names(asked) {
            for name in names {
                self.named(name, asked, pods);
            }
            return;
        }
        if asked.is_empty() {
            // Some namespace that the input does not hold may have such pods, and pods of any kind
            // are those that no limit is about.
            if !pods.is_empty() {
                self.somewhere(asked, pods);
            }
            return;
        }
        let world = self.world;
        let matching = |name: &&str| {
            let known = world.namespaces.get(*name);
            known.is_some_and(|n| asked.matches(&n.meta.labels))
        };
        let known = self.known_namespaces.iter().copied();
        let known: Vec<&str> = known.filter(matching).collect();
        let speaking = known.iter().copied().filter(|n| self.speaks(n));
        let speaking: Vec<&str> = speaking.collect();
        if let Some(first) = speaking.first() {
            if pods.is_empty() {
                let empty = speaking.iter().filter(|n| !self.holds(n, pods));
                for namespace in empty.copied().collect::<Vec<_>>() {
                    self.add(namespace, pods);
                }
            } else if matched != Some(true) {
                if known.len() > 1 {
                    self.somewhere(asked, pods);
                } else {
                    self.add(first, pods);
                }
            }
        } else if !known.is_empty() || matched != Some(true) {
            // None that is known uses the tunnel; another with such labels may.
            self.somewhere(asked, pods);
        }
        if known.contains(&namespaces::ROOT) {
            self.gateway(namespaces::ROOT, pods);
        }
    }

    /// Whether pods of a namespace that is not among those that were matched use the tunnel in the
    /// direction in question: they are in the mesh, or a sidecar may send for them.
    fn speaks(&self, namespace: &str) -> bool {
        self.scope.is_enrolled(namespace)
            || (self.sends && role::may_be_injected(self.world, namespace))
    }

    /// Imagines a gateway in the namespace where ingress gateways are installed by default, unless
    /// one of the input is selected.
    fn gateway(&mut self, namespace: &str, selector: &LabelSelector) {
        let here = self.by_namespace.get(namespace);
        let mut here = here.into_iter().flatten();
        let known = here.any(|&index| {
            let workload = self.world.workloads.get(index);
            workload.is_some_and(|w| is_gateway(&w.pod) && selector.matches(&w.pod.labels))
        });
        let pod = PodTemplate {
            labels: satisfying(selector),
            ..PodTemplate::default()
        };
        if self.sends && !known && !is_mesh(&pod) {
            let template = "gateway".to_owned();
            let annotations = Labels::from([(annotations::INJECT_TEMPLATES.to_owned(), template)]);
            self.add_annotated(namespace, selector, annotations);
        }
    }

    /// Imagines a pod of another namespace where a rule lets pods of a namespace send to all: what
    /// the input holds cannot limit what the tunnel carries there.
    fn anywhere(&mut self, from: &str) {
        let everything = LabelSelector::default();
        self.sends = true;
        let is_all = self.world.coverage(Kind::Workload) == Coverage::Complete;
        if !is_all && (self.speaks(from) || self.roles(from).any(|(_, role)| role.sends)) {
            self.somewhere(&everything, &everything);
        }
    }

    /// The workloads of a namespace, with what they do through the tunnel.
    fn roles<'n>(&'n self, namespace: &'n str) -> impl Iterator<Item = (&'n Workload, Role)> {
        let here = self.by_namespace.get(namespace).into_iter().flatten();
        let enrolled = self.scope.enrols(namespace);
        here.filter_map(move |&index| {
            let workload = self.world.workloads.get(index)?;
            let membership = self.scope.workload(index);
            let role = Role::of(self.world, workload, membership, enrolled);
            Some((workload, role))
        })
    }

    /// Whether look-ups of pods that a policy selects go through the tunnel.
    fn looks_up_itself(&self, policy: &NetworkPolicy) -> bool {
        self.roles(&policy.meta.namespace).any(|(workload, role)| {
            let selected = policy.pod_selector.matches(&workload.pod.labels);
            selected && role.sends && !role.dns_captured
        })
    }

    /// Imagines a pod in a namespace that a rule names.
    fn named(&mut self, name: &str, asked: &LabelSelector, pods: &LabelSelector) {
        let (by_name, _) = asked.split_at(labels::NAMESPACE_NAME);
        if !is_namespace_name(name) || !by_name.matches(&namespace_name_label(name)) {
            return;
        }
        let known = self.world.namespaces.get(name);
        let known = known.filter(|_| self.known_namespaces.contains(name));
        if known.is_some_and(|n| n.declared && !asked.matches(&n.meta.labels)) {
            return;
        }
        if name == namespaces::ROOT {
            self.gateway(name, pods);
        } else if (known.is_none() || self.speaks(name)) && !self.holds(name, pods) {
            self.add(name, pods);
        }
    }

    /// Imagines a pod in a namespace of which only labels are known: those that a rule asks for.
    fn somewhere(&mut self, namespaces: &LabelSelector, pods: &LabelSelector) {
        let Some((name, own)) = elsewhere(namespaces) else {
            return;
        };
        if !self.add(&name, pods) {
            return;
        }
        let mut meta = Meta::synthetic("", &name);
        meta.labels = own;
        let namespace = Namespace {
            meta,
            declared: true,
        };
        self.imagined.namespaces.insert(name, namespace);
    }

    /// Whether a selector selects some pod of a namespace, be it one on the node's network.
    fn holds(&self, namespace: &str, selector: &LabelSelector) -> bool {
        let here = self.by_namespace.get(namespace);
        let mut here = here.into_iter().flatten();
        here.any(|&index| {
            let workload = self.world.workloads.get(index);
            workload.is_some_and(|w| !w.terminated && selector.matches(&w.pod.labels))
        })
    }

    /// Adds a pod with labels that satisfy a selector, unless it contradicts itself.
    fn add(&mut self, namespace: &str, selector: &LabelSelector) -> bool {
        self.add_annotated(namespace, selector, Labels::new())
    }

    fn add_annotated(
        &mut self,
        namespace: &str,
        selector: &LabelSelector,
        annotations: Labels,
    ) -> bool {
        let labels = satisfying(selector);
        if !selector.matches(&labels) {
            return false;
        }
        if !self.known.insert((namespace.to_owned(), labels.clone())) {
            return true;
        }
        let name = match shown(&labels) {
            labels if labels.is_empty() => "any".to_owned(),
            labels => labels,
        };
        let pod = PodTemplate {
            labels,
            annotations,
            service_account: String::new(),
            ..PodTemplate::default()
        };
        let mut meta = Meta::synthetic(namespace, name);
        meta.namespace_given = !self.unnamed.contains(namespace);
        self.imagined.pods.push(Workload {
            meta,
            kind: WorkloadKind::Pod,
            pod,
            selector: None,
            replicas: None,
            addresses: Vec::new(),
            terminated: false,
            imagined: true,
        });
        true
    }
}

/// Whether a rule grants some ports of TCP that go through the tunnel, and not all.
fn is_limited(rule: &Rule) -> bool {
    let all = PortMatch::Range(1, u16::MAX);
    let mut tcp = rule.ports.iter().filter(|p| p.protocol == Protocol::Tcp);
    tunnel_port::grants_some_tcp(rule) && tcp.all(|p| p.port != PortMatch::All && p.port != all)
}

/// Whether a rule has pods of every namespace among its peers, those that the input does not hold
/// too.
fn leads_anywhere<'w>(
    policy: &'w NetworkPolicy,
    rule: &'w Rule,
    selection: &mut Selection<'w>,
) -> bool {
    let mut is_any = |peer: &'w Peer| match peer {
        Peer::Pods { namespaces, pods } => {
            let other = namespace_name_label("other namespaces");
            namespaces.as_ref().is_some_and(|s| s.matches(&other))
                && pods.as_ref().is_none_or(|s| s.matches(&Labels::new()))
        }
        Peer::Block { .. } => {
            let set = selection.peers(&policy.meta.namespace, std::slice::from_ref(peer));
            let mut surely = selection.get(set).yes.ones();
            surely.any(|node| node < selection.universe().classes().len())
        }
    };
    rule.peers.is_empty() || rule.peers.iter().any(&mut is_any)
}

/// The names that a selector asks for one by one; `None` when it does not.
pub(crate) fn asked_names(namespaces: &LabelSelector) -> Option<Vec<&str>> {
    if let Some(name) = namespaces.match_labels.get(labels::NAMESPACE_NAME) {
        return Some(vec![name]);
    }
    namespaces
        .match_expressions
        .iter()
        .filter(|r| r.key == labels::NAMESPACE_NAME)
        .find_map(|r| match &r.operator {
            Operator::In(names) => Some(names.iter().map(String::as_str).collect()),
            _ => None,
        })
}

/// What a namespace is called of which nothing is known but that a selector selects it, and the labels
/// that it has for it; `None` when the selector contradicts itself.
pub(crate) fn elsewhere(selector: &LabelSelector) -> Option<(String, Labels)> {
    let mut own = satisfying(selector);
    let name = match shown(&own) {
        labels if labels.is_empty() => "other namespaces".to_owned(),
        labels => format!("namespaces with {labels}"),
    };
    own.entry(labels::NAMESPACE_NAME.to_owned())
        .or_insert_with(|| name.clone());
    selector.matches(&own).then_some((name, own))
}

/// Whether a namespace can have this name (RFC 1123 label). Labels that satisfy a selector need not
/// be names: where any name will do they are empty.
fn is_namespace_name(name: &str) -> bool {
    name.len() <= 63 && !name.contains('.') && object::is_subdomain(name)
}
