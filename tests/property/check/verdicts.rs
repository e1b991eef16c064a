//! What became of the connections is what the plan claims, no more and no less.

use std::collections::BTreeMap;

use kubectl_ambient::plan::{Relation, Verdict};

use super::claims::{Claims, Pair};
use super::flows::{Fate, Fates};
use super::{Summary, Violations};
use crate::reference::Port;

/// Holds the claims against the fates.
pub(super) fn judge(fates: &Fates, claims: &Claims) -> (Summary, Violations) {
    let mut violations = Vec::new();
    let mut summary = Summary {
        flows: fates.flows,
        pairs: fates.by_pair.len() as u64,
        ..Summary::default()
    };
    for (pair, ports) in &fates.by_pair {
        let (source, destination, relation) = pair;
        let mut wrong: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (port, fate) in ports {
            for what in judge_port(pair, *port, *fate, claims) {
                wrong.entry(what).or_default().push(port.number.to_string());
            }
        }
        for (what, ports) in wrong {
            let ports = ports.join(",");
            violations.push(format!(
                "{source} => {destination} by {relation}: TCP {ports} {what}"
            ));
        }
        let any = |test: fn(&Fate) -> bool| ports.values().any(test);
        summary.gained += u64::from(any(|f| f.gained));
        summary.lost += u64::from(any(|f| f.lost));
        let equal = !any(|f| f.gained || f.lost || f.disputed);
        summary.undecided += u64::from(equal && claims.has(pair, Verdict::Unknown));
    }
    for pair in claims.pairs() {
        let (source, destination, relation) = pair;
        let decided = claims.has(pair, Verdict::Gained) || claims.has(pair, Verdict::Lost);
        // In the clear nothing may change, so there is nothing to report.
        let governs = *relation != Relation::Plaintext && fates.by_pair.contains_key(pair);
        if decided && !governs {
            violations.push(format!(
                "{source} => {destination} by {relation}: reported, and cannot differ"
            ));
        }
    }
    (summary, violations)
}

/// What is wrong about the claims for one port.
fn judge_port(pair: &Pair, port: Port, fate: Fate, claims: &Claims) -> Vec<&'static str> {
    let said = claims.about(pair, port);
    let says = |verdict| said.contains(&verdict);
    let mut wrong = Vec::new();
    if fate.gained && !says(Verdict::Gained) && !says(Verdict::Unknown) {
        wrong.push("gained and not reported");
    }
    if fate.lost && !says(Verdict::Lost) && !says(Verdict::Unknown) {
        wrong.push("lost and not reported");
    }
    if says(Verdict::Gained) && !fate.gained && !fate.disputed {
        wrong.push("reported as gained and not gained");
    }
    if says(Verdict::Lost) && !fate.lost && !fate.disputed {
        wrong.push("reported as lost and not lost");
    }
    wrong
}
