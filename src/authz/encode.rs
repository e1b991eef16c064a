//! Port limits as rules of an AuthorizationPolicy.
//!
//! The network plugin still decides *who* reaches the tunnel port of a workload; what it can no
//! longer see is *which port* they mean. So the port space is cut where any client's limit begins
//! or ends, and each piece names the clients that must not, or may, use it. DENY is the default
//! encoding: it adds to whatever other policies there are, and `principals: ["*"]` leaves plaintext
//! alone, which the plugin still judges on the real port.

use std::collections::{BTreeMap, BTreeSet};

use super::crowd::Crowd;
use super::demand::Demand;
use super::party::Party;
use crate::model::{AuthorizationRule, Name, Operation, Protocol, Source};
use crate::netpol::PortSet;

/// A list of ports in a rule is not made longer than this: the API knows no ranges.
pub const PORT_LIST_LIMIT: u32 = 2_000;

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

/// A piece of the port space, and who may use it.
struct Piece {
    ports: PortSet,
    /// Indices of [`Demand::clients`].
    clients: BTreeSet<usize>,
    others: bool,
}

/// Writes a demand as rules. The crowd is that of the demand's parties.
pub fn encode(demand: &Demand<'_>, crowd: &Crowd<'_>, mode: Mode) -> Encoded {
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
                deny(demand, crowd, piece, &mut encoded);
            }
        }
        Mode::Allow => {
            let plaintext = Source {
                not_principals: vec!["*".into()],
                ..Source::default()
            };
            encoded.rules.push(AuthorizationRule {
                from: vec![plaintext],
                ..Default::default()
            });
            for piece in &pieces {
                allow(demand, crowd, piece, unlimited(piece), &mut encoded);
            }
        }
    }
    encoded
}

/// Whether all of a demand can be written: no list of ports would be too long.
pub fn is_listable(demand: &Demand<'_>) -> bool {
    let mut pieces = pieces(demand).into_iter();
    pieces.all(|piece| is_short(&piece.ports, &demand.universe.difference(&piece.ports)))
}

/// Cuts the universe wherever a client's ports begin or end, and joins what belongs together.
fn pieces(demand: &Demand<'_>) -> Vec<Piece> {
    let mut pieces = vec![Piece {
        ports: demand.universe.clone(),
        clients: BTreeSet::new(),
        others: false,
    }];
    let clients = demand.clients.iter().enumerate();
    let clients = clients.map(|(index, (limit, _))| (limit, Some(index)));
    let others = demand.others.iter().map(|limit| (limit, None));
    for (limit, member) in clients.chain(others) {
        let mut cut = Vec::with_capacity(pieces.len() + 1);
        for piece in pieces {
            let inside = piece.ports.intersection(limit);
            let outside = piece.ports.difference(limit);
            if !inside.is_empty() {
                let mut clients = piece.clients.clone();
                clients.extend(member);
                cut.push(Piece {
                    ports: inside,
                    clients,
                    others: piece.others || member.is_none(),
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

fn deny(demand: &Demand<'_>, crowd: &Crowd<'_>, piece: &Piece, encoded: &mut Encoded) {
    let from = if piece.others {
        let refused = refused(demand, crowd, piece);
        if refused.by_guess {
            encoded.unnamed = encoded.unnamed.union(&piece.ports);
        }
        let from = by_name(refused);
        if from.is_empty() {
            return;
        }
        from
    } else {
        let exempt = name(demand, crowd, &piece.clients);
        if exempt.by_guess {
            encoded.unnamed = encoded.unnamed.union(&piece.ports);
        }
        let except = Source {
            principals: exempt.except,
            ..Source::default()
        };
        let from = Source {
            principals: vec!["*".into()],
            not_principals: exempt.principals,
            not_namespaces: exempt.namespaces,
            ..Source::default()
        };
        let except = Some(except).filter(|s| *s != Source::default());
        [from].into_iter().chain(except).collect()
    };
    push(demand, from, &piece.ports, encoded);
}

/// Everybody but a few may use the ports of a piece: the few. One without a known name is named by
/// its namespace if nobody of it may.
fn refused(demand: &Demand<'_>, crowd: &Crowd<'_>, piece: &Piece) -> Named {
    let (all, refused) = (demand.all(), demand.without(&piece.clients));
    let mut named = Named::default();
    for namespace in crowd.of_each_namespace() {
        let parties = demand.parties.get(namespace.clone()).unwrap_or_default();
        let inside = refused.count_ones(namespace.clone());
        let unknown = refused.contains(namespace.start)
            && parties.first().is_some_and(|p| p.principal().is_none());
        if unknown && inside == all.count_ones(namespace.clone()) {
            let first = parties.first().map(Party::namespace_name);
            named.namespaces.extend(first.cloned());
            continue;
        }
        named.by_guess |= unknown;
        let numbered = (namespace.start..).zip(parties);
        let listed = numbered.filter(|(index, _)| refused.contains(*index));
        let principals = listed.filter_map(|(_, party)| party.principal().cloned());
        named.principals.extend(principals);
    }
    named
}

/// Sources for those who are named.
fn by_name(named: Named) -> Vec<Source> {
    let principals = Source {
        principals: named.principals,
        ..Source::default()
    };
    let namespaces = Source {
        namespaces: named.namespaces,
        not_principals: named.except,
        ..Source::default()
    };
    let sources = [principals, namespaces].into_iter();
    sources.filter(|s| *s != Source::default()).collect()
}

fn allow(
    demand: &Demand<'_>,
    crowd: &Crowd<'_>,
    piece: &Piece,
    unlimited: bool,
    encoded: &mut Encoded,
) {
    if piece.clients.is_empty() && !piece.others {
        return;
    }
    let everybody = || {
        vec![Source {
            principals: vec!["*".into()],
            ..Source::default()
        }]
    };
    let from = if unlimited {
        everybody()
    } else if piece.others {
        encoded.unnamed = encoded.unnamed.union(&piece.ports);
        everybody()
    } else {
        let named = name(demand, crowd, &piece.clients);
        if named.by_guess {
            encoded.unnamed = encoded.unnamed.union(&piece.ports);
        }
        by_name(named)
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
#[derive(Default)]
struct Named {
    principals: Vec<Name>,
    namespaces: Vec<Name>,
    /// Who is of one of these namespaces and not meant.
    except: Vec<Name>,
    /// A namespace stands for a client of it that has no known name, and so perhaps for others.
    by_guess: bool,
}

/// Names clients: whole namespaces (as far as their pods reach the tunnel) by name, so that the
/// list is short and holds for service accounts to come; the others by principal. A client
/// without a known name is named by its namespace, apart from those who may not. Where it may have the
/// name of one of them all are let through: nobody who may is refused.
fn name(demand: &Demand<'_>, crowd: &Crowd<'_>, groups: &BTreeSet<usize>) -> Named {
    let (all, chosen) = (demand.all(), demand.of(groups));
    let mut named = Named {
        principals: Vec::with_capacity(chosen.count_ones(..)),
        ..Named::default()
    };
    let mut only_whole = true;
    let mut parts = Vec::new();
    for namespace in crowd.of_each_namespace() {
        let inside = chosen.count_ones(namespace.clone());
        if inside == 0 {
            continue;
        }
        let full = inside == all.count_ones(namespace.clone());
        let whole = demand.others.is_none() && full;
        only_whole &= whole;
        parts.push((namespace, inside, full, whole));
    }
    for (namespace, inside, full, whole) in parts {
        let parties = demand.parties.get(namespace.clone()).unwrap_or_default();
        let Some(first) = parties.first() else {
            continue;
        };
        // A party without a known name sorts first.
        let unknown = chosen.contains(namespace.start) && first.principal().is_none();
        if unknown || (whole && (only_whole || inside > 1)) {
            named.namespaces.push(Name::clone(first.namespace_name()));
            if demand.any_name.contains(namespace.start) {
                named.by_guess |= !full;
            } else if !whole {
                // Who is not listed at all may use what others may, and that is less.
                let reaches = |index: usize| demand.others.is_some() || all.contains(index);
                let except = (namespace.start..)
                    .zip(parties)
                    .filter(|(index, _)| !chosen.contains(*index) && reaches(*index));
                named
                    .except
                    .extend(except.filter_map(|(_, party)| party.principal().cloned()));
            }
        } else {
            let numbered = (namespace.start..).zip(parties);
            let clients = numbered.filter(|(index, _)| chosen.contains(*index));
            let principals = clients.filter_map(|(_, party)| party.principal().cloned());
            named.principals.extend(principals);
        }
    }
    named.principals.shrink_to_fit();
    named
}

fn push(demand: &Demand<'_>, from: Vec<Source>, ports: &PortSet, encoded: &mut Encoded) {
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
        from,
        to,
        when: Vec::new(),
        line: 0,
    });
}

/// The shorter of `ports` and `notPorts`; nothing for the whole universe; `None` when both are too
/// long.
fn operation(demand: &Demand<'_>, ports: &PortSet) -> Option<Vec<Operation>> {
    let rest = demand.universe.difference(ports);
    if rest.is_empty() {
        return Some(Vec::new());
    }
    if !is_short(ports, &rest) {
        return None;
    }
    let operation = if ports.count() <= rest.count() {
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

/// Whether one of two lists is not too long.
fn is_short(ports: &PortSet, rest: &PortSet) -> bool {
    ports.count().min(rest.count()) <= PORT_LIST_LIMIT
}

fn list(ports: &PortSet) -> Vec<String> {
    ports
        .ranges(Protocol::Tcp)
        .flat_map(|(a, b)| a..=b)
        .map(|p| p.to_string())
        .collect()
}
