//! Rules of egress that lead out of the cluster: the tunnel's port is opened for the pods among
//! their peers, and for nothing beyond.

use ipnet::IpNet;

use crate::model::{LabelSelector, Peer, Rule};
use crate::netpol::{Assumptions, Universe};

/// The pods among the peers of a rule, as peers of their own; `None` when the rule leads to pods
/// alone.
pub(crate) fn pods_of(rule: &Rule, universe: &Universe) -> Option<Vec<Peer>> {
    if rule.peers.is_empty() {
        return Some(vec![Peer::Pods {
            namespaces: Some(LabelSelector::default()),
            pods: None,
        }]);
    }
    let is_block = |peer: &Peer| matches!(peer, Peer::Block { .. });
    if !rule.peers.iter().any(is_block) {
        return None;
    }
    let mut peers = Vec::new();
    for peer in &rule.peers {
        match peer {
            Peer::Pods { .. } => peers.push(peer.clone()),
            Peer::Block { cidr, except } => peers.extend(within_pods(cidr, except, universe)),
        }
    }
    peers.dedup();
    Some(peers)
}

/// The parts of a block in which pods may have addresses.
fn within_pods(cidr: &IpNet, except: &[IpNet], universe: &Universe) -> Vec<Peer> {
    let Assumptions {
        blocks_match_pods,
        pod_addresses,
        ..
    } = universe.assumptions();
    if *blocks_match_pods == Some(false) {
        return Vec::new();
    }
    let block = |cidr: IpNet| {
        let inside = except.iter().filter(|e| cidr.contains(*e) && **e != cidr);
        Peer::Block {
            cidr,
            except: inside.copied().collect(),
        }
    };
    if universe.has_pods_beyond(cidr, except, pod_addresses) {
        return vec![block(*cidr)];
    }
    let parts = pod_addresses.iter().filter_map(|range| {
        if range.contains(cidr) {
            Some(*cidr)
        } else {
            cidr.contains(range).then_some(*range)
        }
    });
    let open = parts.filter(|part| !except.iter().any(|e| e.contains(part)));
    open.map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::fixture::{Fixture, deployment};
    use crate::model::Endpoints;
    use crate::netpol::Distinctions;

    fn shown(peers: &[Peer]) -> String {
        let shown = peers.iter().map(|peer| match peer {
            Peer::Block { cidr, except } => {
                let except: Vec<String> = except.iter().map(ToString::to_string).collect();
                format!("{cidr} but [{}]", except.join(" "))
            }
            Peer::Pods { namespaces, pods } => format!("{namespaces:?} {pods:?}"),
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    /// The parts of a block for which the port is opened, with the addresses of one pod.
    fn opened(cidr: &str, except: &[&str], ranges: &[&str], pod: &[&str]) -> String {
        let parse = |text: &&str| text.parse::<IpNet>().unwrap();
        let mut web = deployment("shop", "web");
        web.addresses = pod.iter().map(|a| a.parse().unwrap()).collect();
        let fixture = Fixture::with_namespace("shop", &[]).workload(web);
        let ranges: Vec<IpNet> = ranges.iter().map(parse).collect();
        let assumptions = Assumptions::default().with_pod_ranges(&ranges);
        let universe = Universe::of(
            &fixture.world,
            &Endpoints::of(&fixture.world),
            [],
            Distinctions::default(),
            &[],
            assumptions,
        );
        let except: Vec<IpNet> = except.iter().map(parse).collect();
        shown(&within_pods(&parse(&cidr), &except, &universe))
    }

    #[test]
    fn blocks_are_cut_to_where_pods_may_be() {
        let everywhere = |except, ranges| opened("0.0.0.0/0", except, ranges, &[]);
        assert_eq!(
            everywhere(&["10.0.0.0/8", "172.16.5.0/24"], &[]),
            "172.16.0.0/12 but [172.16.5.0/24], 192.168.0.0/16 but [], 100.64.0.0/10 but []"
        );
        assert_eq!(everywhere(&[], &["10.4.0.0/16"]), "10.4.0.0/16 but []");
        assert_eq!(
            opened("10.4.2.0/24", &["10.4.2.8/32"], &["10.4.0.0/16"], &[]),
            "10.4.2.0/24 but [10.4.2.8/32]"
        );
        assert_eq!(opened("203.0.113.0/24", &[], &[], &[]), "");
    }

    #[test]
    fn pods_that_are_elsewhere_are_not_left_out() {
        let opened = |pod| opened("198.51.0.0/16", &["198.51.9.0/24"], &[], pod);
        assert_eq!(
            opened(&["198.51.100.7"]),
            "198.51.0.0/16 but [198.51.9.0/24]"
        );
        assert_eq!(opened(&["198.51.9.7"]), "");
        assert_eq!(opened(&["203.0.113.7"]), "");
    }
}
