//! What a plan says about pairs of endpoints, in the words in which it prints them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kubectl_ambient::model::Protocol;
use kubectl_ambient::plan::{Comparison, Plan, Relation, Verdict};

use crate::reference::Port;

/// A pair of endpoints in a relation.
pub(crate) type Pair = (String, String, Relation);

/// The connections claimed lost, gained or in question, by pair.
pub(crate) struct Claims {
    by_pair: BTreeMap<Pair, Vec<(Verdict, Vec<Range>)>>,
    /// What is not analysed at all: destinations that begin like this, in this relation.
    not_analysed: Vec<(String, Relation)>,
}

/// How a party is named in a claim.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Name<'n> {
    /// By its name.
    Endpoint(&'n str),
    /// By a range of addresses that holds it.
    Address(IpAddr),
}

impl Name<'_> {
    fn is_named(self, printed: &str) -> bool {
        match self {
            Self::Endpoint(name) => name == printed,
            Self::Address(address) => {
                range(printed).is_some_and(|(first, last)| first <= address && address <= last)
            }
        }
    }
}

/// Inclusive range of ports of a protocol.
type Range = (Protocol, u16, u16);

impl Claims {
    /// Reads the claims of a plan.
    pub(crate) fn of(plan: &Plan) -> Result<Self, String> {
        let mut by_pair: BTreeMap<Pair, Vec<_>> = BTreeMap::new();
        let mut not_analysed = Vec::new();
        for comparison in &plan.proof.differences {
            let Comparison {
                source,
                destination,
                relation,
                verdict,
                difference,
                ..
            } = comparison;
            if difference == "unknown" {
                let namespace = destination.trim_end_matches("(any pod)");
                not_analysed.push((namespace.to_owned(), *relation));
                continue;
            }
            let ranges = parse(difference)
                .ok_or_else(|| format!("connections `{difference}` cannot be read"))?;
            by_pair
                .entry((source.clone(), destination.clone(), *relation))
                .or_default()
                .push((*verdict, ranges));
        }
        Ok(Self {
            by_pair,
            not_analysed,
        })
    }

    /// The pairs that have claims.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.by_pair.keys()
    }

    /// The verdicts that cover a port of a pair.
    pub(crate) fn about(&self, pair: &Pair, port: Port) -> Vec<Verdict> {
        let whole = self.not_analysed.iter();
        let whole = whole.filter(|(to, relation)| pair.1.starts_with(to) && pair.2 == *relation);
        let whole = whole.map(|_| Verdict::Unknown);
        self.listed(pair, port).into_iter().chain(whole).collect()
    }

    /// Those that are about the pair itself, and not about all that goes to somebody.
    pub(crate) fn listed(&self, pair: &Pair, port: Port) -> Vec<Verdict> {
        let claims = self.by_pair.get(pair).into_iter().flatten();
        claims
            .filter(|(_, ranges)| {
                ranges.iter().any(|&(protocol, first, last)| {
                    protocol == port.protocol && first <= port.number && port.number <= last
                })
            })
            .map(|(verdict, _)| *verdict)
            .collect()
    }

    /// The verdicts about a port between a pair of parties in the clear, either of which may be an
    /// address outside.
    pub(crate) fn in_the_clear(
        &self,
        source: Name<'_>,
        destination: Name<'_>,
        port: Port,
    ) -> Vec<Verdict> {
        let pairs = self.by_pair.keys().filter(|(from, to, relation)| {
            *relation == Relation::Plaintext && source.is_named(from) && destination.is_named(to)
        });
        pairs.flat_map(|pair| self.listed(pair, port)).collect()
    }

    /// Whether something is said to be gained in the clear between a pair of parties, either of
    /// which may be an address outside.
    pub(crate) fn opened(&self, source: Name<'_>, destination: Name<'_>, port: Port) -> bool {
        self.by_pair.keys().any(|pair| {
            let (from, to, relation) = pair;
            *relation == Relation::Plaintext
                && source.is_named(from)
                && destination.is_named(to)
                && self.about(pair, port).iter().any(|v| *v != Verdict::Lost)
        })
    }

    /// Whether anything is said about a pair with this verdict.
    pub(crate) fn has(&self, pair: &Pair, verdict: Verdict) -> bool {
        let claims = self.by_pair.get(pair).into_iter().flatten();
        claims.into_iter().any(|(claimed, _)| *claimed == verdict)
    }
}

/// Reads a range of addresses.
pub(crate) fn range(printed: &str) -> Option<(IpAddr, IpAddr)> {
    let (first, last) = printed.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// Reads `All Connections`, `No Connections`, or `TCP 80,8000-8090,UDP 53`.
fn parse(text: &str) -> Option<Vec<Range>> {
    match text {
        "All Connections" => return Some(Protocol::ALL.map(|p| (p, 1, 65535)).to_vec()),
        "No Connections" | "" => return Some(Vec::new()),
        _ => {}
    }
    let mut protocol = None;
    let mut ranges = Vec::new();
    for item in text.split(',') {
        let item = item.trim();
        let ports = match item.split_once(' ') {
            Some((name, ports)) => {
                protocol = Protocol::ALL.into_iter().find(|p| p.to_string() == name);
                ports
            }
            None => item,
        };
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        ranges.push((protocol?, first.parse().ok()?, last.parse().ok()?));
    }
    Some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_named_by_the_ranges_that_hold_them() {
        let address = Name::Address(IpAddr::from([10, 1, 0, 5]));
        assert!(address.is_named("10.1.0.0-10.1.255.255"));
        assert!(!address.is_named("10.2.0.0-10.2.255.255"));
        assert!(!address.is_named("::-ffff::"));
        assert!(!address.is_named("shop/web-a[Pod]"));
        assert!(Name::Endpoint("shop/web-a[Pod]").is_named("shop/web-a[Pod]"));
    }

    #[test]
    fn connections_are_read_as_they_are_printed() {
        use Protocol::{Sctp, Tcp, Udp};
        let all = vec![(Sctp, 1, 65535), (Tcp, 1, 65535), (Udp, 1, 65535)];
        let cases = [
            ("All Connections", Some(all)),
            ("No Connections", Some(vec![])),
            ("TCP 80", Some(vec![(Tcp, 80, 80)])),
            (
                "TCP 80,8000-8090,UDP 53",
                Some(vec![(Tcp, 80, 80), (Tcp, 8000, 8090), (Udp, 53, 53)]),
            ),
            ("80", None),
            ("TCP eighty", None),
            ("ICMP 80", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
