//! Namespaces that rules admit as a whole, so that pods of them are meant that the input does not hold.

use std::collections::BTreeSet;

use crate::authz::Party;
use crate::migrate::setting::Setting;
use crate::model::{LabelSelector, Peer};

/// Parties that stand for the pods of a namespace that are not in the input, for each that a rule
/// admits as a whole.
pub(crate) fn unlisted_parties(setting: &Setting<'_>) -> BTreeSet<Party> {
    let mut peers: BTreeSet<(&str, &Peer)> = BTreeSet::new();
    let policies = setting.world.network_policies.iter();
    for policy in policies.filter(|p| p.isolates_ingress) {
        let whole = policy.ingress.iter().flat_map(|r| &r.peers);
        let whole = whole.filter(|p| admits_namespaces(p));
        peers.extend(whole.map(|peer| (policy.meta.namespace.as_str(), peer)));
    }
    let admitted = peers
        .into_iter()
        .flat_map(|(own, peer)| admitted_namespaces(setting, own, peer));
    admitted.map(|name| Party::new(name, None)).collect()
}

/// Whether a peer admits all pods of some namespaces, but not of all.
pub(super) fn admits_namespaces(peer: &Peer) -> bool {
    match peer {
        Peer::Pods { namespaces, pods } => {
            pods.as_ref().is_none_or(LabelSelector::is_empty)
                && namespaces.as_ref().is_none_or(|n| !n.is_empty())
        }
        Peer::Block { .. } => false,
    }
}

/// The namespaces of the input that a peer of a policy selects.
pub(super) fn admitted_namespaces<'s>(
    setting: &'s Setting<'_>,
    own: &'s str,
    peer: &Peer,
) -> Vec<&'s str> {
    let selector = match peer {
        Peer::Pods {
            namespaces: Some(selector),
            ..
        } => selector,
        Peer::Pods { .. } => return vec![own],
        Peer::Block { .. } => return Vec::new(),
    };
    let known = setting.world.namespaces.iter();
    let known = known.filter(|(name, _)| !setting.nameless.contains(*name));
    let selected = known.filter(|(_, n)| selector.matches(&n.meta.labels));
    selected.map(|(name, _)| name.as_str()).collect()
}
