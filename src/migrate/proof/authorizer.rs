//! What AuthorizationPolicies let clients use, asked many times and worked out once.

mod clear;
mod in_force;
mod part;
mod sidecar;
mod today;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use fixedbitset::FixedBitSet;

use crate::authz::{Allowance, Crowd, Decision, Enforcer, Policies, Selected};
use crate::migrate::analysis::Analysis;
use crate::migrate::setting::Setting;
use crate::migrate::setting::interception::{goes_past_ztunnel, past_sidecar};
use crate::migrate::setting::peering::Peering;
use crate::migrate::setting::role::{ClientToday, keeps_proxy, sidecar_takes_tunnel};
use crate::migrate::setting::serving::{Serving, applies_at};
use crate::model::{AuthorizationPolicy, Service, Workload};
use crate::netpol::{Node, PortSet};

pub(crate) use clear::{Anonymous, Guard};
pub(crate) use part::{Authorized, Part};

use in_force::{InForce, Plaintext, Sidecar, TunnelEnd};
use part::only_after;
use today::EnforcedToday;

/// What is let through today of what a waypoint passes on.
#[derive(Debug)]
pub(crate) struct PassedOn {
    /// By policies of people.
    pub(crate) allowed: Allowance,
    /// By the tunnel, where network policies let it be reached.
    pub(crate) carried: Allowance,
}

/// A list of policies that apply somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SelectionId(usize);

/// Where policies apply: which ones, by what enforces them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    policies: Vec<usize>,
    /// Those that exist, where tunnels may end today.
    existing: Vec<usize>,
    enforcer: Enforcer,
    /// What enforces those of people today.
    today: InForce,
    /// What receives plaintext afterwards.
    receiver: Receiver,
}

/// What receives plaintext once everything is in place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Receiver {
    /// ztunnel, which accepts this without an identity.
    Ztunnel(Allowance),
    /// The application itself, though its pod is in the mesh.
    Application,
    /// Something out of the mesh.
    Other,
}

/// Policies that apply together.
struct Selection<'p> {
    after: Selected<'p>,
    /// What something may enforce today.
    today: Option<EnforcedToday<'p>>,
    receiver: Receiver,
    /// Once it was asked for.
    decision: OnceLock<Decision>,
    /// The same.
    parts: OnceLock<Vec<Part>>,
    /// The same.
    of_strangers_today: OnceLock<Allowance>,
}

/// All AuthorizationPolicies there will be.
pub(crate) struct Authorizer<'p> {
    crowd: &'p Crowd<'p>,
    policies: &'p Policies<'p>,
    /// Those that there are today.
    existing: &'p Policies<'p>,
    peering: &'p Peering<'p>,
    /// Everybody as one who presents no identity, by whom of the crowd that is.
    plain: Vec<(usize, FixedBitSet)>,
    selections: Vec<Selection<'p>>,
    by_place: BTreeMap<Place, SelectionId>,
}

impl<'p> Authorizer<'p> {
    pub(crate) fn new(
        policies: &'p Policies<'p>,
        existing: &'p Policies<'p>,
        peering: &'p Peering<'p>,
        crowd: &'p Crowd<'p>,
        plain: Vec<(usize, FixedBitSet)>,
    ) -> Self {
        Self {
            crowd,
            plain,
            policies,
            existing,
            peering,
            selections: Vec::new(),
            by_place: BTreeMap::new(),
        }
    }

    /// The policies that apply to the pods of a class, with the workloads to which they do. More
    /// than one list when its pods differ in labels that only AuthorizationPolicies look at.
    pub(crate) fn selections(
        &mut self,
        analysis: &Analysis<'_, '_>,
        class: Node,
    ) -> Vec<(SelectionId, Vec<usize>)> {
        let setting = analysis.setting;
        let workloads = analysis.universe.classes().get(class).map(|c| &c.workloads);
        let mut selections: Vec<(SelectionId, Vec<usize>)> = Vec::new();
        for &index in workloads.into_iter().flatten() {
            let Some(workload) = setting.world.workloads.get(index) else {
                continue;
            };
            let role = setting.role(index);
            let policies = self.policies;
            let receiver = if !role.receives || role.behind_sidecar {
                Receiver::Other
            } else if goes_past_ztunnel(&workload.pod) {
                Receiver::Application
            } else {
                Receiver::Ztunnel(self.peering.plaintext(workload))
            };
            let (namespace, labels) = (&workload.meta.namespace, &workload.pod.labels);
            let today = self.in_force(setting, index, workload, &receiver);
            let place = Place {
                policies: policies.selecting(namespace, labels),
                existing: match today.tunnel {
                    Some(_) => self.existing.selecting(namespace, labels),
                    None => Vec::new(),
                },
                enforcer: if role.behind_sidecar {
                    Enforcer::Envoy
                } else {
                    Enforcer::Ztunnel
                },
                today,
                receiver,
            };
            let selection = self.intern(place);
            match selections.iter_mut().find(|(known, _)| *known == selection) {
                Some((_, workloads)) => workloads.push(index),
                None => selections.push((selection, vec![index])),
            }
        }
        selections
    }

    /// What decides about connections to a workload's pods today.
    fn in_force(
        &self,
        setting: &Setting<'_>,
        index: usize,
        workload: &Workload,
        receiver: &Receiver,
    ) -> InForce {
        let proxy = setting.has_proxy_today(index);
        let captured = setting.is_captured_today(index);
        let sidecar = || Sidecar {
            plaintext: self.peering.plaintext(workload),
            unidentified: self.peering.unidentified(workload),
            not_presented: self.peering.not_presented(workload),
            past: past_sidecar(&workload.pod),
            takes_tunnel: sidecar_takes_tunnel(&workload.pod),
            stays: keeps_proxy(workload, setting.scope.enrols(&workload.meta.namespace)),
        };
        let end = || TunnelEnd {
            enforcer: Enforcer::Ztunnel,
            plaintext: match receiver {
                Receiver::Ztunnel(accepted) => Plaintext::Judged(accepted.clone()),
                Receiver::Application | Receiver::Other => Plaintext::Past,
            },
        };
        InForce {
            nothing: proxy != Some(true) && captured != Some(true),
            sidecar: (proxy != Some(false)).then(sidecar),
            tunnel: (captured != Some(false)).then(end),
        }
    }

    /// The policies that apply at a waypoint: to connections for a Service, where one is given.
    pub(crate) fn at_waypoint(
        &mut self,
        waypoint: &Serving,
        service: Option<&Service>,
        is_used_today: bool,
    ) -> SelectionId {
        let root = self.policies.root_namespace();
        let own = |p: &AuthorizationPolicy| applies_at(p, root, waypoint, service);
        let fitting = |among: &Policies<'_>| {
            let mut policies = among.matching(&waypoint.namespace, own);
            if let Some(service) = service
                && service.meta.namespace != waypoint.namespace
            {
                policies.extend(among.matching(&service.meta.namespace, own));
                policies.sort_unstable();
                policies.dedup();
            }
            policies
        };
        let existing = is_used_today.then(|| fitting(self.existing));
        self.intern(Place {
            policies: fitting(self.policies),
            existing: existing.unwrap_or_default(),
            enforcer: Enforcer::Envoy,
            today: if is_used_today {
                InForce {
                    nothing: false,
                    sidecar: None,
                    tunnel: Some(TunnelEnd {
                        enforcer: Enforcer::Envoy,
                        plaintext: Plaintext::Never,
                    }),
                }
            } else {
                InForce::NOTHING
            },
            receiver: Receiver::Other,
        })
    }

    fn intern(&mut self, place: Place) -> SelectionId {
        if let Some(&known) = self.by_place.get(&place) {
            return known;
        }
        let id = SelectionId(self.selections.len());
        let policies: Vec<_> = self.policies.listed(&place.policies).collect();
        let existing: Vec<_> = self.existing.listed(&place.existing).collect();
        self.selections.push(Selection {
            today: place.today.with(&policies, &existing),
            after: Selected::listed(policies, place.enforcer),
            receiver: place.receiver.clone(),
            decision: OnceLock::new(),
            parts: OnceLock::new(),
            of_strangers_today: OnceLock::new(),
        });
        self.by_place.insert(place, id);
        id
    }

    /// What the pods of a class may use once everything is in place.
    pub(crate) fn party(
        &self,
        analysis: &Analysis<'_, '_>,
        selection: SelectionId,
        class: Node,
    ) -> Allowance {
        let decision = self.decision(selection);
        let party = analysis.party_of.get(class);
        party
            .and_then(|&party| allowance(decision, party))
            .unwrap_or_else(Allowance::all)
    }

    /// What is let through today of what a waypoint passes on to pods, to be compared with what is
    /// afterwards.
    pub(crate) fn passed_on_today(
        &self,
        analysis: &Analysis<'_, '_>,
        selection: SelectionId,
        waypoint: Node,
        after: &Allowance,
    ) -> PassedOn {
        let enforced = self.selections[selection.0].today.as_ref();
        let Some(today) = enforced.map(|e| e.today(self.crowd)) else {
            return PassedOn {
                allowed: Allowance::all(),
                carried: Allowance::exactly(PortSet::none()),
            };
        };
        let party = analysis.party_of.get(waypoint);
        let identified = party.map(|&party| today.identified(party));
        let client = ClientToday {
            vouched: Some(false),
            tunnels: Some(true),
        };
        let identified = identified.unwrap_or_default();
        PassedOn {
            allowed: today.compared(identified, client, after),
            carried: today.carried(identified, client),
        }
    }

    /// All classes, by what policies let them use through the tunnel. Kept for the next time.
    pub(crate) fn parts(&self, analysis: &Analysis<'_, '_>, selection: SelectionId) -> &[Part] {
        let parts = &self.selections[selection.0].parts;
        parts.get_or_init(|| self.parts_once(analysis, selection).0)
    }

    /// The same, for whoever asks only once; and what everybody may use.
    pub(crate) fn parts_once(
        &self,
        analysis: &Analysis<'_, '_>,
        selection: SelectionId,
    ) -> (Vec<Part>, Decision) {
        let decision = self.selections[selection.0].after.decide(self.crowd);
        (self.parts_of(analysis, selection, &decision), decision)
    }

    /// What strangers may use once everything is in place.
    pub(crate) fn stranger(&self, selection: SelectionId) -> Allowance {
        self.of_stranger(self.decision(selection))
    }

    /// What everybody may use once everything is in place. Kept for the next time.
    pub(crate) fn decision(&self, selection: SelectionId) -> &Decision {
        let selection = &self.selections[selection.0];
        let decide = || selection.after.decide(self.crowd);
        selection.decision.get_or_init(decide)
    }

    /// What is let through of strangers today, who may have a sidecar or not. The plan enrols none of
    /// them: those that come through the tunnel do so today, and where whoever decides about that goes
    /// on to, what is in doubt about them is the same afterwards.
    pub(crate) fn stranger_today(&self, selection: SelectionId) -> &Allowance {
        let selection = &self.selections[selection.0];
        selection.of_strangers_today.get_or_init(|| {
            let Some(enforced) = &selection.today else {
                return Allowance::all();
            };
            let today = enforced.today(self.crowd);
            let identified = today.identified(self.crowd.stranger());
            let client = ClientToday {
                vouched: None,
                tunnels: Some(true),
            };
            let allowed = today.of(identified, client);
            if enforced.goes_on() {
                return Allowance::exactly(allowed.high);
            }
            allowed
        })
    }

    pub(crate) fn of_stranger(&self, decision: &Decision) -> Allowance {
        allowance(decision, self.crowd.stranger()).unwrap_or_else(Allowance::all)
    }

    /// What pods of a namespace may use that are none of the parties.
    pub(crate) fn of_newcomer(&self, decision: &Decision, namespace: &str) -> Allowance {
        let newcomer = self.crowd.newcomer(namespace);
        allowance(decision, newcomer).unwrap_or_else(Allowance::all)
    }

    /// Whether a decision depends on who the client is, among those that have a name.
    pub(crate) fn names_clients(&self, decision: &Decision) -> bool {
        let has_name = |member: usize| self.crowd.has_name(member);
        let parts = decision.iter();
        parts.filter(|(_, who)| who.ones().any(has_name)).count() > 1
    }

    fn parts_of(
        &self,
        analysis: &Analysis<'_, '_>,
        selection: SelectionId,
        decision: &Decision,
    ) -> Vec<Part> {
        let selection = &self.selections[selection.0];
        let Some(enforced) = &selection.today else {
            return only_after(analysis, decision);
        };
        enforced.today(self.crowd).with(analysis, decision)
    }
}

/// What one of the crowd may use.
fn of_member(decision: &Decision, member: usize) -> Option<&Allowance> {
    let mut parts = decision.iter();
    let part = parts.find(|(_, members)| members.contains(member));
    part.map(|(allowance, _)| allowance)
}

fn allowance(decision: &Decision, member: usize) -> Option<Allowance> {
    of_member(decision, member).cloned()
}
