//! What AuthorizationPolicies let clients use, asked many times and worked out once.

mod today;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use fixedbitset::FixedBitSet;

use crate::authz::{Allowance, Crowd, Decision, Enforcer, Policies, Selected};
use crate::migrate::analysis::Analysis;
use crate::migrate::setting::interception::{goes_past_ztunnel, past_sidecar};
use crate::migrate::setting::peering::Peering;
use crate::migrate::setting::role::keeps_proxy;
use crate::migrate::setting::serving::{Serving, applies_at};
use crate::model::{AuthorizationPolicy, Service};
use crate::netpol::{Node, PortSet};

use super::change::Change;
use super::entering::Entering;
use today::EnforcedToday;

/// What AuthorizationPolicies let a client use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Authorized {
    /// Once everything is in place.
    pub(crate) after: Allowance,
    /// Today, as far as sidecars enforce policies; nothing else in the cluster does.
    pub(crate) today: Allowance,
}

/// Clients that a list of policies treats alike.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) authorized: Authorized,
    /// The classes that they are.
    pub(crate) nodes: FixedBitSet,
}

/// A list of policies that apply somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SelectionId(usize);

/// Where policies apply: which ones, by what enforces them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    policies: Vec<usize>,
    enforcer: Enforcer,
    /// Whether a sidecar enforces those of people today; `None` when the input does not tell.
    today: Option<bool>,
    /// What a sidecar accepts without an identity.
    plaintext: Allowance,
    /// What receives plaintext afterwards.
    receiver: Receiver,
    /// Where no client has one.
    unidentified: Allowance,
    /// What clients reach past the sidecar.
    past: PortSet,
    /// Whether what enforces them today stays as it is, where the pods stay out of the mesh.
    stays: bool,
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

/// What the sidecars of pods decide about connections in the clear.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Today, for clients that present an identity: those that are treated alike.
    pub(crate) identified: Vec<(Allowance, FixedBitSet)>,
    /// Today, for those that do not.
    pub(crate) anonymous: Allowance,
    /// The same once everything is in place.
    pub(crate) after: Allowance,
    /// Whether there surely are sidecars.
    pub(crate) surely: bool,
    /// Whether they stay, if there are some.
    pub(crate) stays: bool,
}

/// All AuthorizationPolicies there will be.
pub(crate) struct Authorizer<'p> {
    crowd: &'p Crowd<'p>,
    policies: &'p Policies<'p>,
    peering: &'p Peering<'p>,
    selections: Vec<Selection<'p>>,
    by_place: BTreeMap<Place, SelectionId>,
}

impl<'p> Authorizer<'p> {
    pub(crate) fn new(
        policies: &'p Policies<'p>,
        peering: &'p Peering<'p>,
        crowd: &'p Crowd<'p>,
    ) -> Self {
        Self {
            crowd,
            policies,
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
            let today = setting.has_proxy_today(index);
            let (plaintext, unidentified) = if today == Some(false) {
                (Allowance::all(), Allowance::exactly(PortSet::none()))
            } else {
                let peering = self.peering;
                (peering.plaintext(workload), peering.unidentified(workload))
            };
            let place = Place {
                policies: policies.selecting(&workload.meta.namespace, &workload.pod.labels),
                enforcer: if role.behind_sidecar {
                    Enforcer::Envoy
                } else {
                    Enforcer::Ztunnel
                },
                today,
                plaintext,
                receiver: if !role.receives || role.behind_sidecar {
                    Receiver::Other
                } else if goes_past_ztunnel(&workload.pod) {
                    Receiver::Application
                } else {
                    Receiver::Ztunnel(self.peering.plaintext(workload))
                },
                unidentified,
                past: if today == Some(false) {
                    PortSet::none()
                } else {
                    past_sidecar(&workload.pod)
                },
                stays: keeps_proxy(workload, setting.scope.enrols(&workload.meta.namespace)),
            };
            let selection = self.intern(place);
            match selections.iter_mut().find(|(known, _)| *known == selection) {
                Some((_, workloads)) => workloads.push(index),
                None => selections.push((selection, vec![index])),
            }
        }
        selections
    }

    /// The policies that apply at a waypoint: to connections for a Service, where one is given.
    pub(crate) fn at_waypoint(
        &mut self,
        waypoint: &Serving,
        service: Option<&Service>,
    ) -> SelectionId {
        let own = |p: &AuthorizationPolicy| applies_at(p, waypoint, service);
        let mut policies = self.policies.matching(&waypoint.namespace, own);
        if let Some(service) = service
            && service.meta.namespace != waypoint.namespace
        {
            policies.extend(self.policies.matching(&service.meta.namespace, own));
            policies.sort_unstable();
            policies.dedup();
        }
        self.intern(Place {
            policies,
            enforcer: Enforcer::Envoy,
            today: Some(false),
            plaintext: Allowance::all(),
            receiver: Receiver::Other,
            unidentified: Allowance::exactly(PortSet::none()),
            past: PortSet::none(),
            stays: false,
        })
    }

    fn intern(&mut self, place: Place) -> SelectionId {
        if let Some(&known) = self.by_place.get(&place) {
            return known;
        }
        let id = SelectionId(self.selections.len());
        let policies = self.policies.listed(&place.policies);
        let people = policies.clone().filter(|p| !p.meta.is_ours());
        self.selections.push(Selection {
            after: Selected::listed(policies, place.enforcer),
            today: (place.today != Some(false)).then(|| EnforcedToday {
                policies: Selected::listed(people, Enforcer::Envoy),
                plaintext: place.plaintext.clone(),
                unidentified: place.unidentified.clone(),
                past: place.past.clone(),
                surely: place.today == Some(true),
                stays: place.stays,
            }),
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

    /// What pods that stay out of the mesh let clients without an identity use once everything is in
    /// place. Their sidecars enforce policies as they do today; those that their namespace asks for
    /// last until the pods restart, and the plan ends that in the namespaces that it enrols.
    pub(crate) fn in_the_clear(&self, selection: SelectionId) -> Allowance {
        let Some(enforced) = &self.selections[selection.0].today else {
            return Allowance::all();
        };
        let decision = enforced.policies.decide(self.crowd);
        let anonymous = enforced.anonymous(&decision, self.crowd);
        Allowance {
            low: anonymous.low,
            high: if enforced.surely && enforced.stays {
                anonymous.high
            } else {
                Allowance::all().high
            },
        }
    }

    /// What decides about connections in the clear to pods behind sidecars, as long as they have them.
    pub(crate) fn guard(
        &self,
        analysis: &Analysis<'_, '_>,
        selection: SelectionId,
    ) -> Option<Guard> {
        let selection = &self.selections[selection.0];
        let enforced = selection.today.as_ref()?;
        let after = selection.after.decide(self.crowd);
        let today = enforced.today(self.crowd);
        let identified = today.by_identity.iter().map(|(allowance, members)| {
            let mut nodes = FixedBitSet::with_capacity(analysis.universe.nodes());
            nodes.extend(analysis.nodes_of(members));
            (today.where_identified(allowance), nodes)
        });
        Some(Guard {
            identified: identified.collect(),
            after: enforced.anonymous(&after, self.crowd),
            anonymous: today.anonymous.clone(),
            surely: enforced.surely,
            stays: enforced.stays,
        })
    }

    /// How ztunnel changes what becomes of plaintext at pods where it is what receives, by what
    /// policies decide there.
    pub(crate) fn entering(&self, selection: SelectionId, decision: &Decision) -> Option<Entering> {
        let selection = &self.selections[selection.0];
        let after = match &selection.receiver {
            Receiver::Other => return None,
            Receiver::Application => Allowance::all(),
            Receiver::Ztunnel(accepted) => {
                let decided = allowance(decision, self.crowd.anonymous());
                let decided = decided.unwrap_or_else(Allowance::all);
                Allowance {
                    low: decided.low.intersection(&accepted.low),
                    high: decided.high.intersection(&accepted.high),
                }
            }
        };
        let anybody = Allowance {
            low: PortSet::none(),
            high: Allowance::all().high,
        };
        let enforced = selection.today.as_ref();
        let enforced = enforced.map(|enforced| enforced.today(self.crowd));
        let change = |vouched, all_of: &[&Allowance]| {
            let mut change = Change::default();
            for after in all_of {
                let today = enforced.as_ref().map_or_else(Allowance::all, |enforced| {
                    enforced.compared(&anybody, vouched, after)
                });
                change.consider(&today, after);
            }
            change
        };
        Some(Entering {
            alone: change(Some(false), &[&after]),
            perhaps_vouched: change(None, &[&after]),
            on_host: change(Some(false), &[&after, &Allowance::all()]),
        })
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

    /// What sidecars let strangers use today, who may have one of their own or not.
    pub(crate) fn stranger_today(&self, selection: SelectionId) -> &Allowance {
        let selection = &self.selections[selection.0];
        selection.of_strangers_today.get_or_init(|| {
            let Some(enforced) = &selection.today else {
                return Allowance::all();
            };
            let today = enforced.today(self.crowd);
            let identified = allowance(&today.by_identity, self.crowd.stranger());
            today.of(&identified.unwrap_or_else(Allowance::all), None)
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
        let (anyone, anonymous) = (self.crowd.anyone(), self.crowd.anonymous());
        let has_name = |member: usize| member != anyone && member != anonymous;
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
fn allowance(decision: &Decision, member: usize) -> Option<Allowance> {
    let mut parts = decision.iter();
    parts
        .find(|(_, members)| members.contains(member))
        .map(|(allowance, _)| allowance.clone())
}

/// The classes that decide alike, where nothing enforces policies today.
fn only_after(analysis: &Analysis<'_, '_>, decision: &Decision) -> Vec<Part> {
    let classes = analysis.universe.classes().len();
    let mut rest = FixedBitSet::with_capacity(classes);
    rest.insert_range(..);
    let part = |after: &Allowance, nodes| Part {
        authorized: Authorized {
            after: after.clone(),
            today: Allowance::all(),
        },
        nodes,
    };
    // The largest part is what the others leave.
    let largest = decision
        .iter()
        .max_by_key(|(_, members)| members.count_ones(..));
    let mut parts = Vec::with_capacity(decision.len());
    for (after, members) in decision {
        if largest.is_some_and(|(l, _)| l == after) {
            continue;
        }
        let mut nodes = FixedBitSet::with_capacity(classes);
        nodes.extend(analysis.nodes_of(members));
        rest.difference_with(&nodes);
        parts.push(part(after, nodes));
    }
    parts.extend(largest.map(|(after, _)| part(after, rest)));
    parts
}
