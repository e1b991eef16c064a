//! What a plan says about pairs of endpoints, in the words in which it prints them.

use std::collections::BTreeMap;

use kubectl_ambient::model::Protocol;
use kubectl_ambient::plan::{Comparison, Plan, Relation, Verdict};

use crate::reference::Port;

/// A pair of endpoints in a relation.
pub(crate) type Pair = (String, String, Relation);

/// The connections claimed lost, gained or in question, by pair.
pub(crate) struct Claims {
    by_pair: BTreeMap<Pair, Vec<(Verdict, Vec<Range>)>>,
}

/// Inclusive range of ports of a protocol.
type Range = (Protocol, u16, u16);

impl Claims {
    /// Reads the claims of a plan.
    pub(crate) fn of(plan: &Plan) -> Result<Self, String> {
        let mut by_pair: BTreeMap<Pair, Vec<_>> = BTreeMap::new();
        for comparison in &plan.proof.differences {
            let Comparison {
                source,
                destination,
                relation,
                verdict,
                difference,
                ..
            } = comparison;
            let ranges = parse(difference)
                .ok_or_else(|| format!("connections `{difference}` cannot be read"))?;
            by_pair
                .entry((source.clone(), destination.clone(), *relation))
                .or_default()
                .push((*verdict, ranges));
        }
        Ok(Self { by_pair })
    }

    /// The pairs that have claims.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.by_pair.keys()
    }

    /// The verdicts that cover a port of a pair.
    pub(crate) fn about(&self, pair: &Pair, port: Port) -> Vec<Verdict> {
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

    /// Whether anything is said about a pair with this verdict.
    pub(crate) fn has(&self, pair: &Pair, verdict: Verdict) -> bool {
        let claims = self.by_pair.get(pair).into_iter().flatten();
        claims.into_iter().any(|(claimed, _)| *claimed == verdict)
    }
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
