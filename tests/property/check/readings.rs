//! Readings: what the manifests leave open about addresses.
//!
//! Manifests do not say which address a pod will have, nor whether the network plugin compares
//! address blocks with pods at all. A reading gives one pod one answer; what is claimed must hold
//! in all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use kubectl_ambient::model::{
    LabelSelector, Labels, NetworkPolicy, Operator, Peer, Requirement, Rule, Workload, World,
};

use super::Case;

use crate::reference::{Direction, Pod, isolating, namespace_labels};

/// Every peer of every network policy, with its policy.
pub(super) fn peers(world: &World) -> impl Iterator<Item = (&NetworkPolicy, &Peer)> {
    world.network_policies.iter().flat_map(|policy| {
        let rules = policy.ingress.iter().chain(&policy.egress);
        rules.flat_map(move |rule| rule.peers.iter().map(move |peer| (policy, peer)))
    })
}

/// Every block that a policy of these worlds names, exceptions too.
pub(super) fn blocks(worlds: &[&World]) -> Vec<IpNet> {
    let mut blocks = Vec::new();
    for world in worlds {
        for (_, peer) in peers(world) {
            if let Peer::Block { cidr, except } = peer {
                blocks.push(*cidr);
                blocks.extend(except);
            }
        }
        for policy in &world.authorization_policies {
            for source in policy.rules.iter().flat_map(|r| &r.from) {
                let written = source.ip_blocks.iter().chain(&source.not_ip_blocks);
                blocks.extend(written.filter_map(|b| b.parse::<IpNet>().ok()));
            }
        }
    }
    blocks.sort();
    blocks.dedup();
    blocks
}

/// The addresses that a pod of a workload may be compared by. `None` is always among them: no
/// block matches it. One on the host network has its node's, which may be any.
pub(super) fn addresses_of(workload: &Workload, blocks: &[IpNet]) -> Vec<Option<IpAddr>> {
    let known: Vec<_> = workload.addresses.iter().copied().map(Some).collect();
    let possible = if known.is_empty() {
        let possible = if workload.pod.host_network {
            |_| true
        } else {
            is_private
        };
        let inside = representatives(blocks, possible).into_iter();
        inside.map(Some).collect()
    } else {
        known
    };
    [None].into_iter().chain(possible).collect()
}

/// Whether the address of a peer can matter for a pod in a direction: a policy that isolates it
/// names a block, or any authorization policy does.
pub(super) fn asks_for_addresses(world: &World, direction: Direction, pod: &Pod) -> bool {
    let names_block = |rule: &Rule| rule.peers.iter().any(|p| matches!(p, Peer::Block { .. }));
    let mut policies = isolating(world, direction, pod);
    let by_network = policies.any(|policy| match direction {
        Direction::Ingress => policy.ingress.iter().any(names_block),
        Direction::Egress => policy.egress.iter().any(names_block),
    });
    let mut rules = world.authorization_policies.iter().flat_map(|p| &*p.rules);
    let asks = ["source.ip", "destination.ip"];
    let by_authorization = rules.any(|rule| {
        let mut sources = rule.from.iter();
        sources.any(|s| !s.ip_blocks.is_empty() || !s.not_ip_blocks.is_empty())
            || rule.when.iter().any(|c| asks.contains(&c.key.as_str()))
    });
    by_network || by_authorization
}

/// How the network plugin may see a pod: one on the host network as a pod or as its node.
pub(super) fn as_peers(pod: &Pod) -> Vec<Pod> {
    let as_pod = |matched_on_host| Pod {
        matched_on_host,
        ..pod.clone()
    };
    let seen: &[bool] = if pod.host_network {
        &[false, true]
    } else {
        &[false]
    };
    seen.iter().copied().map(as_pod).collect()
}

/// The labels that a namespace may have. Where the manifests do not hold its object only its name
/// is sure: any selector might select it.
pub(super) fn labels_of(case: &Case<'_>, namespace: &str) -> BTreeSet<Labels> {
    let world = case.before;
    let known = namespace_labels(world, namespace);
    let mut possible = BTreeSet::from([known.clone()]);
    let is_declared = world.namespaces.get(namespace).is_some_and(|n| n.declared);
    if is_declared {
        return possible;
    }
    for (_, peer) in peers(world) {
        if let Peer::Pods {
            namespaces: Some(selector),
            ..
        } = peer
        {
            for mut labels in [selected_labels(selector), other_labels(selector)] {
                labels.extend(known.clone());
                possible.insert(labels);
            }
        }
    }
    possible
}

/// Labels that a selector selects, as far as it can select any: for each key a value that satisfies
/// all that is asked about it.
pub(super) fn selected_labels(selector: &LabelSelector) -> Labels {
    let mut labels = Labels::new();
    for key in selector.keys() {
        let asked = selector.match_expressions.iter().filter(|r| r.key == key);
        let asked: Vec<&Requirement> = asked.collect();
        let fixed = selector.match_labels.get(key);
        let named = asked.iter().flat_map(|r| match &r.operator {
            Operator::In(values) => values.iter().cloned().collect(),
            _ => vec![String::new()],
        });
        let mut values = fixed.cloned().into_iter().chain(named);
        let satisfies = |value: &String| {
            let labelled = Labels::from([(key.to_owned(), value.clone())]);
            fixed.is_none_or(|f| f == value) && asked.iter().all(|r| r.matches(&labelled))
        };
        let absent = fixed.is_none() && asked.iter().all(|r| r.matches(&Labels::new()));
        if let Some(value) = values.find(satisfies).filter(|_| !absent) {
            labels.insert(key.to_owned(), value);
        }
    }
    labels
}

/// Labels that a selector does not select: a value for each key that satisfies nothing that is asked
/// about it, as far as that can be.
fn other_labels(selector: &LabelSelector) -> Labels {
    let value = |key: &str| {
        let mut asked = selector.match_expressions.iter().filter(|r| r.key == key);
        let unwanted = asked.find_map(|r| match &r.operator {
            Operator::NotIn(values) => values.first().cloned(),
            _ => None,
        });
        unwanted.unwrap_or_else(|| "unheard-of".to_owned())
    };
    let keys = selector.keys();
    keys.map(|key| (key.to_owned(), value(key))).collect()
}

/// Addresses outside the cluster: one for every way in which the blocks can match.
pub(super) fn external(blocks: &[IpNet]) -> Vec<IpAddr> {
    let mut all = representatives(blocks, |_| true);
    // What no block matches is a case of its own, in both families.
    all.push(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77)));
    all.push(IpAddr::V6(Ipv6Addr::new(0x2001, 0x4860, 0, 0, 0, 0, 0, 1)));
    all.retain(|address| *address != NODE_V4 && *address != NODE_V6);
    all
}

/// The node agent's own addresses: connections from there are no pod's and no outsider's.
const NODE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 7, 127));
const NODE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(
    0xfd16, 0x9254, 0x7127, 0x1337, 0xffff, 0xffff, 0xffff, 0xffff,
));

/// The ranges of addresses that clusters give to pods.
const PRIVATE: [&str; 5] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "fc00::/7",
];

fn private() -> impl Iterator<Item = IpNet> {
    PRIVATE.iter().filter_map(|range| range.parse().ok())
}

fn is_private(address: IpAddr) -> bool {
    private().any(|range| range.contains(&address))
}

/// One address that pods may have for every way in which blocks can match it.
pub(super) fn private_addresses(blocks: &[IpNet]) -> Vec<IpAddr> {
    representatives(blocks, is_private)
}

/// One address of those that are wanted for every set of blocks that can match together.
fn representatives(blocks: &[IpNet], wanted: fn(IpAddr) -> bool) -> Vec<IpAddr> {
    let mut by_signature = BTreeMap::new();
    // Where membership can change: at the start of a block, and behind its end.
    let ends = blocks
        .iter()
        .copied()
        .chain(private())
        .flat_map(|block| [Some(block.network()), behind(block.broadcast())]);
    for address in ends.flatten().filter(|address| wanted(*address)) {
        let signature: Vec<bool> = blocks.iter().map(|b| b.contains(&address)).collect();
        if signature.contains(&true) {
            by_signature.entry(signature).or_insert(address);
        }
    }
    by_signature.into_values().collect()
}

fn behind(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(a) => u32::from(a).checked_add(1).map(|n| IpAddr::V4(n.into())),
        IpAddr::V6(a) => u128::from(a).checked_add(1).map(|n| IpAddr::V6(n.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_an_address_for_every_way_in_which_blocks_match() {
        let blocks = |text: &str| -> Vec<IpNet> {
            text.split_whitespace()
                .map(|b| b.parse().unwrap())
                .collect()
        };
        let shown = |addresses: Vec<IpAddr>| {
            let addresses: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
            addresses.join(" ")
        };
        let pods = |text| shown(representatives(&blocks(text), is_private));
        let all = |text| shown(representatives(&blocks(text), |_| true));
        assert_eq!(pods("0.0.0.0/0"), "10.0.0.0");
        assert_eq!(pods("203.0.113.0/24"), "");
        assert_eq!(pods("10.0.0.0/8 10.1.0.0/16"), "10.0.0.0 10.1.0.0");
        assert_eq!(pods("fd00::/8"), "fd00::");
        assert_eq!(all("203.0.113.0/24"), "203.0.113.0");
        assert_eq!(all("0.0.0.0/0 10.0.0.0/8"), "0.0.0.0 10.0.0.0");
    }
}
