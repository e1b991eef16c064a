//! Selectors that ask for labels which controllers add to pods, and manifests of templates do not have.

use std::collections::BTreeMap;

use ambient_facts::labels;

use crate::finding::{Finding, codes};
use crate::migrate::setting::Setting;
use crate::migrate::setting::unread::unknown;
use crate::model::{LabelSelector, Meta, ObjectRef, Peer};
use crate::plan::{Comparison, Relation};

/// What such a selector selects of the pods of a template is not known.
pub(crate) fn by_given_labels(
    setting: &Setting<'_>,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    let world = &*setting.world;
    let mut asking: BTreeMap<ObjectRef, (&Meta, String)> = BTreeMap::new();
    for policy in world.network_policies_of_people() {
        let peers = policy.rules().flat_map(|rule| &rule.peers);
        let of_peers = peers.filter_map(|peer| match peer {
            Peer::Pods { pods, .. } => pods.as_ref(),
            Peer::Block { .. } => None,
        });
        let selectors = [&policy.pod_selector].into_iter().chain(of_peers);
        let mut keys = selectors.flat_map(LabelSelector::keys);
        if let Some(key) = keys.find(|key| is_unknown(setting, key)) {
            asking.insert(policy.reference(), (&policy.meta, key.to_owned()));
        }
    }
    let authorization = world.authorization_policies_of_people();
    let authorization = authorization.map(|p| (&p.meta, p.reference(), &p.selector));
    let peers = world.peer_authentications.iter();
    let peers = peers.map(|p| (&p.meta, p.meta.reference("PeerAuthentication"), &p.selector));
    for (meta, reference, selector) in authorization.chain(peers) {
        if let Some(key) = selector.keys().find(|key| is_unknown(setting, key)) {
            asking.insert(reference, (meta, key.clone()));
        }
    }
    for (subject, (meta, key)) in asking {
        let because = format!(
            "selects by label `{key}`, which controllers give to pods: which pods of the templates \
             of the input have it is not known"
        );
        let message = format!("`{subject}` {because}");
        differences.push(unknown(Relation::Tunnel, &subject, message.clone()));
        let (code, origin) = (&codes::SELECTS_BY_GIVEN_LABEL, meta.origin.clone());
        findings.push(Finding::new(code, subject, origin, because));
    }
    differences.sort();
}

/// Whether a controller gives the label to pods of a template, with a value that nobody knows before.
fn is_unknown(setting: &Setting<'_>, key: &str) -> bool {
    let mut workloads = setting.world.workloads.iter();
    labels::OF_UNKNOWN_VALUE.contains(&key)
        && workloads
            .any(|w| !w.imagined && w.addresses.is_empty() && !w.pod.labels.contains_key(key))
}
