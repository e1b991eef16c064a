//! Which policies decide about a pair, so that people know where to look.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use super::governing::Governing;
use crate::authz::{self, Crowd, Decision, Enforcer, Selected};
use crate::migrate::analysis::Analysis;
use crate::migrate::analysis::ways::Asked;
use crate::migrate::proof::differences::Difference;
use crate::migrate::proof::outcome::Doubt;
use crate::migrate::setting::peering::Peering;
use crate::migrate::setting::serving::applies_at;
use crate::model::{AuthorizationPolicy, ObjectRef, PeerAuthentication};
use crate::netpol::{Node, PortSet};
use crate::plan::{Relation, Verdict};

/// Finds policies.
pub(crate) struct Responsible<'t, 's, 'w> {
    analysis: &'t Analysis<'s, 'w>,
    peering: Peering<'t>,
    crowd: Crowd<'t>,
    /// What each policy decides alone, once it was asked for.
    by_ztunnel: Vec<OnceLock<Decision>>,
    /// The same.
    by_envoy: Vec<OnceLock<Decision>>,
    /// The network policies.
    pub(crate) governing: Governing<'t, 's, 'w>,
}

/// A policy of Istio, by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refusing {
    Authorization(usize),
    Peer(usize),
}

/// A connection as a policy sees it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct View {
    enforcer: Enforcer,
    /// Who opens it, among the crowd.
    member: usize,
    ports: PortSet,
}

impl<'t, 's, 'w> Responsible<'t, 's, 'w> {
    pub(crate) fn new(analysis: &'t Analysis<'s, 'w>) -> Self {
        let world = &*analysis.setting.world;
        Self {
            analysis,
            crowd: analysis.crowd(),
            by_ztunnel: world
                .authorization_policies
                .iter()
                .map(|_| OnceLock::new())
                .collect(),
            by_envoy: world
                .authorization_policies
                .iter()
                .map(|_| OnceLock::new())
                .collect(),
            peering: Peering::of(world, world.mesh.root_namespace()),
            governing: Governing::new(analysis),
        }
    }

    /// All policies that are responsible for a difference at one of its sources.
    pub(crate) fn policies(&mut self, source: Node, difference: &Difference) -> Arc<[ObjectRef]> {
        let ends = (
            self.governing.source(source),
            self.governing.destination(difference),
        );
        let network = self.governing.references(ends);
        let today = self.refuses_today(source, difference);
        let by_istio = matches!(difference.doubt, Some(Doubt::Authorization | Doubt::Tunnel));
        if !today && !difference.refused && !by_istio {
            return network;
        }
        let refusing = self.refusing(source, difference);
        if refusing.is_empty() {
            return network;
        }
        let all: BTreeSet<ObjectRef> = network.iter().cloned().chain(refusing).collect();
        all.into_iter().collect()
    }

    /// The AuthorizationPolicies of people that keep a source from the destination, today or in the
    /// mesh. Where none of those that apply does so alone, all that apply, unless a PeerAuthentication
    /// does.
    pub(crate) fn authorization(
        &self,
        source: Node,
        difference: &Difference,
    ) -> Vec<&'t AuthorizationPolicy> {
        let policies = self.analysis.setting.world.authorization_policies.iter();
        let mut applying = Vec::new();
        let mut refusing = Vec::new();
        for (index, policy) in policies.enumerate().filter(|(_, p)| !p.meta.is_ours()) {
            let views = self.views(policy, source, difference);
            let refuses = |view: &View| self.may_refuse(index, policy, view);
            if views.iter().any(refuses) {
                refusing.push(policy);
            } else if !views.is_empty() {
                applying.push(policy);
            }
        }
        if refusing.is_empty() && self.peers(source, difference).is_empty() {
            applying
        } else {
            refusing
        }
    }

    /// Who sees connections of a source, at each place on their way where a policy applies.
    fn views(
        &self,
        policy: &AuthorizationPolicy,
        source: Node,
        difference: &Difference,
    ) -> Vec<View> {
        let analysis = self.analysis;
        let setting = analysis.setting;
        let root = setting.world.mesh.root_namespace();
        let member = |node: Node| analysis.party_of.get(node).copied();
        let mut views = Vec::new();
        let mut see = |enforcer, member: Option<usize>, ports: &PortSet| {
            views.extend(member.map(|member| View {
                enforcer,
                member,
                ports: ports.clone(),
            }));
        };
        let ways = analysis.ways_to(difference.destination);
        let way = difference.way.and_then(|place| ways.get(place));
        // What comes on a way comes from the pods of its waypoint.
        let anonymous = Some(match way {
            Some(_) => self.crowd.plain_pod(),
            None => analysis.without_identity(&self.crowd, source),
        });
        let is_plain = difference.relation == Relation::Plaintext || way.is_some_and(|w| w.plain);
        let afterwards = difference.verdict != Verdict::Gained;
        if let Some(way) = way.filter(|_| afterwards) {
            let service = match way.asked {
                Asked::Service { service, .. } => setting.world.services.get(service),
                Asked::Pod => None,
            };
            let waypoint = setting.waypoints.all.get(way.waypoint);
            if waypoint.is_some_and(|w| applies_at(policy, root, w, service)) {
                let asked = way.asked_for(&difference.changed);
                see(Enforcer::Envoy, member(source), &asked);
            }
        }
        let at_pods = |index: &usize| {
            let workload = setting.world.workloads.get(*index);
            workload.is_some_and(|w| authz::selects(policy, root, &w.meta.namespace, &w.pod.labels))
        };
        let workloads = difference.to_workloads(analysis);
        for index in workloads.filter(at_pods) {
            let last = match way {
                Some(way) => {
                    let nodes = analysis.nodes_of_waypoint(way.waypoint);
                    nodes.first().copied()
                }
                None => Some(source),
            };
            if afterwards && is_plain && self.is_entered(index, difference) {
                see(Enforcer::Ztunnel, anonymous, &difference.changed);
            } else if afterwards && is_plain {
                if setting.has_proxy_today(index) != Some(false) {
                    see(Enforcer::Envoy, anonymous, &difference.changed);
                }
            } else if afterwards {
                let enforcer = if setting.role(index).behind_sidecar {
                    Enforcer::Envoy
                } else {
                    Enforcer::Ztunnel
                };
                see(enforcer, last.and_then(member), &difference.changed);
            }
            if difference.verdict == Verdict::Lost {
                continue;
            }
            let client = analysis.client_today(source);
            let changed = &difference.changed;
            if setting.is_captured_today(index) != Some(false) {
                if client.tunnels != Some(false) {
                    see(Enforcer::Ztunnel, member(source), changed);
                }
                if client.tunnels != Some(true) {
                    see(Enforcer::Ztunnel, anonymous, changed);
                }
            }
            if setting.has_proxy_today(index) == Some(false) {
                continue;
            }
            let vouched = client.vouched;
            let workload = setting.world.workloads.get(index);
            let unidentified = workload.map(|w| self.peering.hidden(w));
            let (never_known, unknown) = unidentified.as_ref().map_or((false, false), |ports| {
                let some = ports.high.intersection(changed);
                (ports.low.includes(changed), !some.is_empty())
            });
            if vouched != Some(false) && !never_known {
                see(Enforcer::Envoy, member(source), changed);
            }
            if vouched != Some(true) || unknown {
                see(Enforcer::Envoy, anonymous, changed);
            }
        }
        views.sort_unstable();
        views.dedup();
        views
    }

    /// Whether a policy alone might refuse some of the ports.
    fn may_refuse(&self, index: usize, policy: &AuthorizationPolicy, view: &View) -> bool {
        let decided = match view.enforcer {
            Enforcer::Ztunnel => &self.by_ztunnel,
            Enforcer::Envoy => &self.by_envoy,
        };
        let decide = || Selected::listed([policy], view.enforcer).decide(&self.crowd);
        let decision = decided.get(index).map(|d| d.get_or_init(decide));
        let mut parts = decision.into_iter().flatten();
        parts.any(|(allowance, members)| {
            members.contains(view.member) && !allowance.low.includes(&view.ports)
        })
    }

    /// Whether something other than network policies keeps a source from what it gains.
    pub(crate) fn refuses_today(&self, source: Node, difference: &Difference) -> bool {
        let analysis = self.analysis;
        let today = analysis.value_at(source, difference.destination).before;
        let today = analysis.sets.get(today.high);
        difference.verdict == Verdict::Gained && !today.intersection(&difference.changed).is_empty()
    }

    /// Why what gets as far as the policies of Istio is lost to them, if any refuses it.
    pub(crate) fn refusal(&self, source: Node, difference: &Difference) -> Option<String> {
        let authorization = self.authorization(source, difference);
        let refusing = self.refusing(source, difference);
        let policy = refusing.first()?;
        // What is attached to the waypoint sees who the client is.
        let at_server = authorization.first().is_none_or(|p| p.targets.is_empty());
        Some(if at_server && self.loses_identity(difference) {
            let how = match difference.relation {
                Relation::Plaintext => "ztunnel sends them",
                Relation::Tunnel | Relation::Waypoint => "the waypoint passes them on",
            };
            format!(
                "`{policy}` refuses these connections without an identity, and {how} in the clear"
            )
        } else {
            let has_proxy = |w| self.analysis.setting.has_proxy_today(w) == Some(true);
            let mut workloads = difference.to_workloads(self.analysis);
            let today = if workloads.any(has_proxy) {
                "sidecars do not today"
            } else if self.is_captured_today(difference) {
                let tunnels = self.analysis.client_today(source).tunnels;
                match (difference.relation, tunnels) {
                    (Relation::Waypoint, _) if !at_server => "they go past the waypoint today",
                    (Relation::Waypoint, Some(true)) => "they come from the client itself today",
                    _ => "ztunnel does not today, because they come without an identity",
                }
            } else {
                "nothing enforces it today"
            };
            format!("`{policy}` refuses these connections, and {today}")
        })
    }

    /// The policies of Istio that may refuse connections of a source, today or in the mesh.
    pub(crate) fn refusing(&self, source: Node, difference: &Difference) -> Vec<ObjectRef> {
        let authorization = self.authorization(source, difference).into_iter();
        let authorization = authorization.map(AuthorizationPolicy::reference);
        let peers = self.peers(source, difference).into_iter();
        let peers = peers.map(|p| p.meta.reference("PeerAuthentication"));
        let mut refusing: Vec<ObjectRef> = authorization.chain(peers).collect();
        refusing.dedup();
        refusing
    }

    /// The first of them.
    pub(crate) fn first_refusing(&self, source: Node, difference: &Difference) -> Option<Refusing> {
        let world = &self.analysis.setting.world;
        if let Some(first) = self.authorization(source, difference).first() {
            let mut policies = world.authorization_policies.iter();
            let index = policies.position(|policy| std::ptr::eq(policy, *first));
            return index.map(Refusing::Authorization);
        }
        let first = *self.peers(source, difference).first()?;
        let mut peers = world.peer_authentications.iter();
        let index = peers.position(|policy| std::ptr::eq(policy, first));
        index.map(Refusing::Peer)
    }

    /// Whether the last part of the way of connections is in the clear, to a server that may have a
    /// sidecar: whoever comes that way has no identity there.
    fn loses_identity(&self, difference: &Difference) -> bool {
        let ways = self.analysis.ways_to(difference.destination);
        let way = difference.way.and_then(|place| ways.get(place));
        let is_plain = difference.relation == Relation::Plaintext || way.is_some_and(|w| w.plain);
        is_plain && !self.enters_mesh(difference) && difference.verdict != Verdict::Gained
    }

    /// Whether it is about plaintext to workloads that ztunnel receives for.
    pub(crate) fn enters_mesh(&self, difference: &Difference) -> bool {
        let mut workloads = difference.to_workloads(self.analysis);
        workloads.any(|index| self.is_entered(index, difference))
    }

    fn is_entered(&self, index: usize, difference: &Difference) -> bool {
        let role = self.analysis.setting.role(index);
        let is_received = role.receives && !role.behind_sidecar;
        difference.relation == Relation::Plaintext && is_received
    }

    /// The policies by which sidecars of the destination refuse a source that has no identity, today
    /// or on its way, or do not learn the one that it has today.
    fn peers(&self, source: Node, difference: &Difference) -> Vec<&'t PeerAuthentication> {
        let setting = self.analysis.setting;
        let is_lost = difference.verdict == Verdict::Lost;
        let is_hidden = self.loses_identity(difference);
        if is_lost && !is_hidden && !self.enters_mesh(difference) {
            return Vec::new();
        }
        let client = self.analysis.client_today(source);
        let mut peers: Vec<&PeerAuthentication> = Vec::new();
        for index in difference.to_workloads(self.analysis) {
            let workload = setting.world.workloads.get(index);
            let has_proxy = setting.has_proxy_today(index) != Some(false);
            let is_captured = setting.is_captured_today(index) != Some(false);
            let decides = has_proxy || is_captured || self.is_entered(index, difference);
            let Some(workload) = workload.filter(|_| decides) else {
                continue;
            };
            let known = if has_proxy {
                client.vouched
            } else {
                client.tunnels
            };
            let strict = self.peering.strict(workload);
            let in_plain = self
                .peering
                .hidden(workload)
                .high
                .intersection(&difference.changed);
            let is_learnt = known == Some(true) && in_plain.is_empty();
            let strict = strict.filter(|_| is_hidden || !is_learnt);
            let disabling = self.peering.disabling(workload);
            let disabling = disabling.filter(|_| has_proxy && !is_lost && known != Some(false));
            for policy in strict.chain(disabling) {
                if !peers.iter().any(|known| std::ptr::eq(*known, policy)) {
                    peers.push(policy);
                }
            }
        }
        peers
    }

    /// Whether those who decide at the destination learn who a source is today.
    pub(crate) fn knows_today(&self, source: Node, difference: &Difference) -> bool {
        let setting = self.analysis.setting;
        let client = self.analysis.client_today(source);
        if self.is_captured_today(difference) {
            return client.tunnels == Some(true);
        }
        let mut workloads = difference.to_workloads(self.analysis);
        client.vouched == Some(true)
            && workloads.all(|index| {
                let workload = setting.world.workloads.get(index);
                let hidden = workload.map(|w| self.peering.hidden(w).high);
                hidden.is_none_or(|h| h.intersection(&difference.changed).is_empty())
            })
    }

    /// Whether ztunnel surely decides at the destination today.
    pub(crate) fn is_captured_today(&self, difference: &Difference) -> bool {
        let setting = self.analysis.setting;
        let workloads = difference.to_workloads(self.analysis);
        let captured = workloads.map(|index| setting.is_captured_today(index) == Some(true));
        captured.reduce(|all, one| all && one).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests;
