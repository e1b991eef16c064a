//! Whom the rules that let the tunnel in admit of the pods that may come: worked out once for each
//! peer, however many servers a policy has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::migrate::analysis::Analysis;
use crate::migrate::setting::fewest::satisfying;
use crate::migrate::setting::imagine::{asked_names, elsewhere};
use crate::migrate::setting::role::may_be_injected;
use crate::migrate::tunnel_port::covers_tunnel;
use crate::model::{Coverage, Kind, LabelSelector, Labels, NetworkPolicy, Peer, Rule};
use crate::netpol::{Version, selects_namespace};

/// Where pods may come from.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) namespace: String,
    /// Whether the input knows it. Others are known by the labels that rules ask for.
    pub(super) is_known: bool,
}

/// A rule that lets the tunnel in, and whom it admits.
pub(super) struct Entrance<'a> {
    pub(super) rule: &'a Rule,
    pub(super) peers: Vec<Admitted<'a>>,
}

/// Pods that a peer admits.
#[derive(Clone)]
pub(super) struct Admitted<'a> {
    /// What it asks of their labels, if anything.
    pub(super) pods: Option<&'a LabelSelector>,
    /// The fewest labels of one; none for those of every kind.
    pub(super) labels: Arc<Labels>,
    /// The places that they are from; `None` for all there are.
    pub(super) places: Option<Arc<[usize]>>,
}

impl Admitted<'_> {
    /// All pods of every place.
    pub(super) fn anybody() -> Self {
        Self {
            pods: None,
            labels: Arc::default(),
            places: None,
        }
    }
}

/// The places that pods may come from, and the entrances of the policies of each namespace.
pub(super) struct Admission<'a> {
    pub(super) places: Vec<Place>,
    /// The labels of those that the input does not know.
    unknown: BTreeMap<String, Labels>,
    entrances: BTreeMap<&'a str, Vec<(&'a NetworkPolicy, Vec<Entrance<'a>>)>>,
}

impl<'a> Admission<'a> {
    /// `versions` are those of every namespace.
    pub(super) fn of(
        analysis: &Analysis<'_, '_>,
        versions: &BTreeMap<&'a str, Vec<Version<'a>>>,
    ) -> Self {
        let policies = || {
            let all = versions.values().flatten();
            all.filter_map(|v| v.after).filter(|p| p.isolates_ingress)
        };
        let peers = policies().flat_map(|p| &p.ingress).flat_map(|r| &r.peers);
        let unknown = unknown(analysis, peers);
        let places = places(analysis, &unknown);
        let mut search = Search {
            analysis,
            places: &places,
            selected: BTreeMap::new(),
        };
        let mut entrances: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for policy in policies() {
            let open = policy.ingress.iter().filter(|r| covers_tunnel(r));
            let open = open.map(|rule| search.entrance(policy, rule));
            let open: Vec<Entrance<'_>> = open.collect();
            let here = entrances.entry(&policy.meta.namespace).or_default();
            here.push((policy, open));
        }
        Self {
            places,
            unknown,
            entrances,
        }
    }

    /// Whether a selector selects a namespace, known or not.
    pub(super) fn selects(
        &self,
        analysis: &Analysis<'_, '_>,
        namespace: &str,
        selector: &LabelSelector,
    ) -> Option<bool> {
        match self.unknown.get(namespace) {
            Some(labels) => Some(selector.matches(labels)),
            None => selects_namespace(&analysis.setting.world, namespace, selector),
        }
    }

    /// The entrances to pods of a namespace with these labels.
    pub(super) fn to<'s>(
        &'s self,
        namespace: &str,
        labels: &'s Labels,
    ) -> impl Iterator<Item = &'s Entrance<'a>> {
        let here = self.entrances.get(namespace).into_iter().flatten();
        here.filter(|(policy, _)| policy.pod_selector.matches(labels))
            .flat_map(|(_, entrances)| entrances)
    }
}

/// Namespaces of the input whose pods speak through the tunnel, then those that it does not hold.
fn places(analysis: &Analysis<'_, '_>, unknown: &BTreeMap<String, Labels>) -> Vec<Place> {
    let setting = analysis.setting;
    let world = &*setting.world;
    let names = world.namespaces.keys();
    let speaking = names.filter(|name| {
        let speaks = setting.scope.is_enrolled(name) || may_be_injected(world, name);
        speaks && !setting.nameless.contains(*name)
    });
    let place = |namespace: &String, is_known| Place {
        namespace: namespace.clone(),
        is_known,
    };
    let unknown = unknown.keys().map(|name| place(name, false));
    speaking
        .map(|name| place(name, true))
        .chain(unknown)
        .collect()
}

/// Namespaces that peers ask for by labels and that the input does not hold, by what they are called.
fn unknown<'p>(
    analysis: &Analysis<'_, '_>,
    peers: impl Iterator<Item = &'p Peer>,
) -> BTreeMap<String, Labels> {
    let selectors = peers.filter_map(|peer| match peer {
        Peer::Pods { namespaces, .. } => {
            let by_label = |s: &&LabelSelector| !s.is_empty() && asked_names(s).is_none();
            namespaces.as_ref().filter(by_label)
        }
        Peer::Block { .. } => None,
    });
    let selectors: BTreeSet<&LabelSelector> = selectors.collect();
    let is_all = analysis.setting.world.coverage(Kind::Namespace) == Coverage::Complete;
    let selectors = selectors.into_iter().filter(|_| !is_all);
    selectors.filter_map(elsewhere).collect()
}

/// Finds the places that peers select, those of each selector once.
struct Search<'a, 'p, 's, 'w> {
    analysis: &'p Analysis<'s, 'w>,
    places: &'p [Place],
    selected: BTreeMap<&'a LabelSelector, Arc<[usize]>>,
}

impl<'a> Search<'a, '_, '_, '_> {
    fn entrance(&mut self, policy: &NetworkPolicy, rule: &'a Rule) -> Entrance<'a> {
        let own = policy.meta.namespace.as_str();
        let peers = if rule.peers.is_empty() {
            vec![Admitted::anybody()]
        } else {
            let peers = rule.peers.iter();
            peers.filter_map(|peer| self.admitted(own, peer)).collect()
        };
        Entrance { rule, peers }
    }

    fn admitted(&mut self, own: &str, peer: &'a Peer) -> Option<Admitted<'a>> {
        let Peer::Pods { namespaces, pods } = peer else {
            return None;
        };
        let labels = Arc::new(least_labels(peer)?);
        let places = match namespaces {
            None => {
                let mut here = self.places.iter();
                let here = here.position(|p| p.is_known && p.namespace == own);
                Some(here.into_iter().collect())
            }
            Some(all) if all.is_empty() => None,
            Some(selector) => Some(self.selected(selector)),
        };
        Some(Admitted {
            pods: pods.as_ref(),
            labels,
            places,
        })
    }

    fn selected(&mut self, selector: &'a LabelSelector) -> Arc<[usize]> {
        let (analysis, places) = (self.analysis, self.places);
        let known = self.selected.entry(selector);
        let found = known.or_insert_with(|| {
            let name = elsewhere(selector).map(|(name, _)| name);
            let world = &analysis.setting.world;
            let is_meant = |place: &Place| {
                if place.is_known {
                    selects_namespace(world, &place.namespace, selector) == Some(true)
                } else {
                    name.as_ref() == Some(&place.namespace)
                }
            };
            let numbered = places.iter().enumerate();
            let meant = numbered.filter(|(_, place)| is_meant(place));
            meant.map(|(number, _)| number).collect()
        });
        Arc::clone(found)
    }
}

/// The fewest labels of pods that a peer admits; none for those of every kind. `None` when it admits
/// no pods.
fn least_labels(peer: &Peer) -> Option<Labels> {
    let Peer::Pods { pods, .. } = peer else {
        return None;
    };
    let Some(pods) = pods else {
        return Some(Labels::new());
    };
    Some(satisfying(pods)).filter(|labels| pods.matches(labels))
}
