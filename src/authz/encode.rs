//! Port limits as rules of an AuthorizationPolicy.
//!
//! The network plugin still decides *who* reaches the tunnel port of a workload; what it can no
//! longer see is *which port* they mean. So the port space is cut where any client's limit begins
//! or ends, and each piece names the clients that must not, or may, use it. DENY is the default
//! encoding: it adds to whatever other policies there are, and `principals: ["*"]` leaves plaintext
//! alone, which the plugin still judges on the real port.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{AuthorizationRule, Operation, Protocol, Source};
use crate::netpol::PortSet;

/// A list of ports in a rule is not made longer than this: the API knows no ranges.
pub const PORT_LIST_LIMIT: u32 = 2_000;

/// A client as rules can name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party {
    /// Namespace.
    pub namespace: String,
    /// Service account; `None` when it is not known, and so cannot be named.
    pub service_account: Option<String>,
}

impl Party {
    /// A principal in any trust domain.
    fn principal(&self) -> Option<String> {
        let account = self.service_account.as_ref()?;
        Some(format!("*/ns/{}/sa/{account}", self.namespace))
    }
}

/// What the tunnel to one workload may carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// TCP ports by client, for every client that reaches the tunnel port.
    pub clients: BTreeMap<Party, PortSet>,
    /// TCP ports for clients not listed; `None` when no other reaches the tunnel port.
    pub others: Option<PortSet>,
    /// Ports that the workload declares: what is enforced when a list would be too long.
    pub declared: PortSet,
    /// Ports that can be meant at all.
    pub universe: PortSet,
}

/// Which action carries the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// A DENY policy.
    Deny,
    /// An ALLOW policy. Only right where no other ALLOW policy selects the workload.
    Allow,
}

/// Rules, and what they could not express. Nothing that a client may use is ever denied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    /// The rules; empty when there is nothing to limit.
    pub rules: Vec<AuthorizationRule>,
    /// Ports that stay open to all because a client that may use them cannot be named.
    pub unnamed: PortSet,
    /// Ports that stay as they are because they are too many to list and the workload does not
    /// declare them.
    pub unlisted: PortSet,
}

/// A piece of the port space and the clients that may use it.
struct Piece {
    ports: PortSet,
    clients: BTreeSet<usize>,
    others: bool,
}

/// Writes a demand as rules.
pub fn encode(demand: &Demand, mode: Mode) -> Encoded {
    let pieces = pieces(demand);
    let unlimited = |p: &Piece| {
        p.clients.len() == demand.clients.len() && (p.others || demand.others.is_none())
    };
    if pieces.iter().all(unlimited) {
        return Encoded::default();
    }
    let mut encoded = Encoded::default();
    match mode {
        Mode::Deny => {
            for piece in pieces.iter().filter(|p| !unlimited(p)) {
                deny(demand, piece, &mut encoded);
            }
        }
        Mode::Allow => {
            let plaintext = Source {
                not_principals: vec!["*".to_owned()],
                ..Source::default()
            };
            encoded.rules.push(AuthorizationRule {
                from: vec![plaintext],
                ..Default::default()
            });
            for piece in &pieces {
                allow(demand, piece, unlimited(piece), &mut encoded);
            }
        }
    }
    encoded
}

/// Cuts the universe wherever a client's ports begin or end, and joins what belongs together.
fn pieces(demand: &Demand) -> Vec<Piece> {
    let mut pieces = vec![Piece {
        ports: demand.universe.clone(),
        clients: BTreeSet::new(),
        others: false,
    }];
    let limits = demand
        .clients
        .values()
        .map(Some)
        .chain([demand.others.as_ref()]);
    // Clients with equal limits cut alike, so each distinct limit cuts once.
    let mut distinct: BTreeMap<&PortSet, Vec<Option<usize>>> = BTreeMap::new();
    for (index, limit) in limits.enumerate() {
        if let Some(limit) = limit {
            let client = (index < demand.clients.len()).then_some(index);
            distinct.entry(limit).or_default().push(client);
        }
    }
    for (limit, members) in distinct {
        let mut cut = Vec::with_capacity(pieces.len() + 1);
        for piece in pieces {
            let inside = piece.ports.intersection(limit);
            let outside = piece.ports.difference(limit);
            if !inside.is_empty() {
                let mut clients = piece.clients.clone();
                clients.extend(members.iter().flatten());
                let others = piece.others || members.contains(&None);
                cut.push(Piece {
                    ports: inside,
                    clients,
                    others,
                });
            }
            if !outside.is_empty() {
                cut.push(Piece {
                    ports: outside,
                    ..piece
                });
            }
        }
        pieces = cut;
    }
    let mut joined: BTreeMap<(BTreeSet<usize>, bool), PortSet> = BTreeMap::new();
    for piece in pieces {
        let ports = joined.entry((piece.clients, piece.others)).or_default();
        *ports = ports.union(&piece.ports);
    }
    let pieces = joined.into_iter();
    pieces
        .map(|((clients, others), ports)| Piece {
            ports,
            clients,
            others,
        })
        .collect()
}

fn deny(demand: &Demand, piece: &Piece, encoded: &mut Encoded) {
    let source = if piece.others {
        // Everybody but a few may: name the few.
        let refused = demand
            .clients
            .keys()
            .enumerate()
            .filter(|(i, _)| !piece.clients.contains(i));
        let principals: Vec<String> = refused.clone().filter_map(|(_, c)| c.principal()).collect();
        if refused.count() > principals.len() {
            encoded.unnamed = encoded.unnamed.union(&piece.ports);
        }
        if principals.is_empty() {
            return;
        }
        Source {
            principals,
            ..Source::default()
        }
    } else {
        let Some(exempt) = name(demand, &piece.clients) else {
            encoded.unnamed = encoded.unnamed.union(&piece.ports);
            return;
        };
        Source {
            principals: vec!["*".to_owned()],
            not_principals: exempt.principals,
            not_namespaces: exempt.namespaces,
            ..Source::default()
        }
    };
    push(demand, source, &piece.ports, encoded);
}

fn allow(demand: &Demand, piece: &Piece, unlimited: bool, encoded: &mut Encoded) {
    if piece.clients.is_empty() && !piece.others {
        return;
    }
    let everybody = || {
        vec![Source {
            principals: vec!["*".to_owned()],
            ..Source::default()
        }]
    };
    let from = if unlimited {
        everybody()
    } else if piece.others {
        encoded.unnamed = encoded.unnamed.union(&piece.ports);
        everybody()
    } else if let Some(named) = name(demand, &piece.clients) {
        let principals = Source {
            principals: named.principals,
            ..Source::default()
        };
        let namespaces = Source {
            namespaces: named.namespaces,
            ..Source::default()
        };
        [principals, namespaces]
            .into_iter()
            .filter(|s| *s != Source::default())
            .collect()
    } else {
        encoded.unnamed = encoded.unnamed.union(&piece.ports);
        everybody()
    };
    let to = operation(demand, &piece.ports).unwrap_or_else(|| {
        // Too many ports either way: allow more rather than less.
        encoded.unlisted = encoded
            .unlisted
            .union(&demand.universe.difference(&piece.ports));
        Vec::new()
    });
    encoded.rules.push(AuthorizationRule {
        from,
        to,
        when: Vec::new(),
        line: 0,
    });
}

/// How some clients are named.
struct Named {
    principals: Vec<String>,
    namespaces: Vec<String>,
}

/// Names clients: by namespace where the set is made of whole namespaces (as far as clients reach
/// the tunnel), else by principal. `None` when one of them cannot be named.
fn name(demand: &Demand, clients: &BTreeSet<usize>) -> Option<Named> {
    let mut members: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (index, client) in demand.clients.keys().enumerate() {
        let (inside, all) = members.entry(&client.namespace).or_default();
        *all += 1;
        *inside += usize::from(clients.contains(&index));
    }
    let whole = |namespace: &str| {
        demand.others.is_none()
            && members
                .get(namespace)
                .is_some_and(|(inside, all)| inside == all)
    };
    let chosen: Vec<&Party> = demand
        .clients
        .keys()
        .enumerate()
        .filter(|(i, _)| clients.contains(i))
        .map(|(_, c)| c)
        .collect();
    let all_whole = chosen.iter().all(|c| whole(&c.namespace));
    let mut named = Named {
        principals: Vec::new(),
        namespaces: Vec::new(),
    };
    for client in chosen {
        match client.principal() {
            Some(principal) if !all_whole => named.principals.push(principal),
            _ if whole(&client.namespace) => {
                if named.namespaces.last() != Some(&client.namespace) {
                    named.namespaces.push(client.namespace.clone());
                }
            }
            _ => return None,
        }
    }
    Some(named)
}

fn push(demand: &Demand, source: Source, ports: &PortSet, encoded: &mut Encoded) {
    let listable = operation(demand, ports);
    let to = if let Some(to) = listable {
        to
    } else {
        let declared = ports.intersection(&demand.declared);
        encoded.unlisted = encoded.unlisted.union(&ports.difference(&declared));
        if declared.is_empty() {
            return;
        }
        vec![Operation {
            ports: list(&declared),
            ..Operation::default()
        }]
    };
    encoded.rules.push(AuthorizationRule {
        from: vec![source],
        to,
        when: Vec::new(),
        line: 0,
    });
}

/// The shorter of `ports` and `notPorts`; nothing for the whole universe; `None` when both are too
/// long.
fn operation(demand: &Demand, ports: &PortSet) -> Option<Vec<Operation>> {
    let rest = demand.universe.difference(ports);
    if rest.is_empty() {
        return Some(Vec::new());
    }
    let (inside, outside) = (ports.count(), rest.count());
    if inside.min(outside) > PORT_LIST_LIMIT {
        return None;
    }
    let operation = if inside <= outside {
        Operation {
            ports: list(ports),
            ..Operation::default()
        }
    } else {
        Operation {
            not_ports: list(&rest),
            ..Operation::default()
        }
    };
    Some(vec![operation])
}

fn list(ports: &PortSet) -> Vec<String> {
    ports
        .ranges(Protocol::Tcp)
        .flat_map(|(a, b)| a..=b)
        .map(|p| p.to_string())
        .collect()
}
