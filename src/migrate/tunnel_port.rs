//! The tunnel's port in rules of network policies.

use ambient_facts::{labels, ports};

use crate::model::{LabelSelector, Peer, PortMatch, PortRule, Protocol, Rule};

/// A rule that opens the tunnel for some peers.
pub(super) fn only_tunnel(peers: Vec<Peer>) -> Rule {
    Rule {
        peers,
        ports: vec![tunnel_port()],
        line: 0,
    }
}

/// The entry that opens the tunnel: always the number, because the name of a port is the
/// destination's to give.
pub(super) fn tunnel_port() -> PortRule {
    PortRule {
        protocol: Protocol::Tcp,
        port: PortMatch::Range(ports::HBONE, ports::HBONE),
    }
}

/// Whether the rule names ports, and some of them are TCP's.
pub(super) fn grants_some_tcp(rule: &Rule) -> bool {
    rule.ports.iter().any(|p| p.protocol == Protocol::Tcp)
}

/// Whether the tunnel's port is among those that the rule grants.
pub(super) fn covers_tunnel(rule: &Rule) -> bool {
    let covers = |p: &PortRule| {
        p.protocol == Protocol::Tcp
            && match p.port {
                PortMatch::All => true,
                PortMatch::Range(first, last) => (first..=last).contains(&ports::HBONE),
                PortMatch::Name(_) => false,
            }
    };
    rule.ports.is_empty() || rule.ports.iter().any(covers)
}

/// Whether DNS is all that the rule grants of TCP.
pub(super) fn is_dns_only(rule: &Rule) -> bool {
    let tcp = rule.ports.iter().filter(|p| p.protocol == Protocol::Tcp);
    tcp.map(|p| &p.port)
        .all(|p| *p == PortMatch::Range(ports::DNS, ports::DNS))
}

/// The peer that is the pods of a Gateway, as a policy of this namespace says it.
pub(super) fn gateway_peer(own: &str, namespace: &str, name: &str) -> Peer {
    let elsewhere = own != namespace;
    Peer::Pods {
        namespaces: elsewhere.then(|| LabelSelector::labels([(labels::NAMESPACE_NAME, namespace)])),
        pods: Some(LabelSelector::labels([(labels::GATEWAY_NAME, name)])),
    }
}
