//! Plaintext that enters pods of the mesh, from whoever does not speak through the tunnel.
//!
//! ztunnel applies the policies of people to it, and refuses it where mutual TLS is required, whoever
//! did so before. The limits of the plan leave it alone, because network policies go on to see it.
//!
//! Clients that are enrolled later than a server send plaintext until then. What becomes of it is not
//! compared for each of them: a finding names the policies that begin to be enforced.

use fixedbitset::FixedBitSet;

use super::change::Change;
use super::differences::{Differences, To};
use super::outcome::Outcome;
use crate::migrate::analysis::Analysis;
use crate::netpol::Node;
use crate::plan::Relation;

/// How those who decide about plaintext change their minds.
pub(crate) struct Entering {
    /// For clients that are treated alike.
    pub(crate) parts: Vec<Part>,
}

/// The same for some clients.
pub(crate) struct Part {
    /// Who they are.
    pub(crate) nodes: FixedBitSet,
    /// For clients without a proxy.
    pub(crate) alone: Change,
    /// For clients of whom it is not known if they have one today.
    pub(crate) perhaps_vouched: Change,
    /// For those on the network of a node, whose connections ztunnel does not see on their own: the
    /// node agent gives them the address of probes, which is let past it.
    pub(crate) on_host: Change,
}

impl Entering {
    /// Whether nothing changes for anybody.
    pub(crate) fn is_none(&self) -> bool {
        let changes = |p: &Part| {
            let changes = [&p.alone, &p.perhaps_vouched, &p.on_host];
            !changes.into_iter().all(Change::is_none)
        };
        !self.parts.iter().any(changes)
    }
}

/// Whoever does not speak through the tunnel when everything is in place.
pub(crate) struct Outside {
    alone: FixedBitSet,
    perhaps_vouched: FixedBitSet,
    on_host: FixedBitSet,
    /// Addresses that may be those of pods, which are compared as such.
    perhaps_pods: FixedBitSet,
}

impl Outside {
    pub(crate) fn of(analysis: &Analysis<'_, '_>) -> Self {
        let nodes = analysis.universe.nodes();
        let nobody = || FixedBitSet::with_capacity(nodes);
        let mut outside = Self {
            alone: nobody(),
            perhaps_vouched: nobody(),
            on_host: nobody(),
            perhaps_pods: nobody(),
        };
        for node in (0..nodes).filter(|&n| !analysis.speakers.senders.contains(n)) {
            let class = analysis.universe.classes().get(node);
            if class.is_some_and(|c| c.host_network) {
                outside.on_host.insert(node);
            } else if class.is_some() {
                if analysis.client_today(node).vouched == Some(false) {
                    outside.alone.insert(node);
                } else {
                    outside.perhaps_vouched.insert(node);
                }
            } else {
                match analysis.are_pods(node) {
                    // What comes from its own node ztunnel does not see.
                    _ if analysis.is_probe(node) => {}
                    Some(true) => {}
                    Some(false) => outside.alone.insert(node),
                    None => outside.perhaps_pods.insert(node),
                }
            }
        }
        outside
    }
}

/// Compares what they may send to workloads of a class, all of which are in the mesh.
pub(crate) fn compare(
    analysis: &Analysis<'_, '_>,
    outside: &Outside,
    entering: &Entering,
    (class, workloads): (Node, &[usize]),
    found: &mut Differences,
) {
    let to = To::workloads(analysis, class, workloads, Relation::Plaintext);
    let mut add = |members: &FixedBitSet,
                   (alike, change): (&FixedBitSet, &Change),
                   is_certain: bool,
                   is_peer: bool| {
        if change.is_none() {
            return;
        }
        for (value, sources) in analysis.sources_of(class) {
            let mut nodes = sources.clone();
            nodes.intersect_with(members);
            nodes.intersect_with(alike);
            let outcome = change.outcome(analysis, *value, is_certain);
            let outcome = if is_peer {
                outcome
            } else {
                outcome.map(Outcome::doubtful)
            };
            if let Some(outcome) = outcome.filter(|_| !nodes.is_clear()) {
                found.add(analysis, nodes, &to, &outcome);
            }
        }
    };
    let Outside {
        alone,
        perhaps_vouched,
        on_host,
        perhaps_pods,
    } = outside;
    for part in &entering.parts {
        let alike = &part.nodes;
        add(alone, (alike, &part.alone), true, true);
        add(perhaps_pods, (alike, &part.alone), true, false);
        add(perhaps_vouched, (alike, &part.perhaps_vouched), true, true);
        // Whether ztunnel sees them does not matter where both come to the same.
        let is_certain = part.on_host == part.alone;
        add(on_host, (alike, &part.on_host), is_certain, true);
    }
}
