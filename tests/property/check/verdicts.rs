//! What became of the connections is what the plan claims, no more and no less.

use std::collections::BTreeMap;

use kubectl_ambient::finding::Severity;
use kubectl_ambient::plan::{Relation, Verdict};

use super::claims::{Claims, Pair};
use super::mesh::{Certainty, Fate, Fates};
use super::{Case, Summary, Violations};
use crate::reference::Port;

/// Holds the claims of a plan against the fates.
pub(super) fn judge(fates: &Fates, claims: &Claims, case: &Case<'_>) -> (Summary, Violations) {
    let plan = case.plan;
    // Readings of what proxies do today are fewer than what the manifests leave open.
    let mut policies = case.before.authorization_policies.iter();
    let is_exhaustive = policies.all(|p| p.meta.is_ours());
    let mut violations = Vec::new();
    let mut summary = Summary {
        flows: fates.flows,
        pairs: fates.by_pair.len() as u64,
        ..Summary::default()
    };
    for (pair, ports) in &fates.by_pair {
        let (source, destination, relation) = pair;
        let is_exhaustive = is_exhaustive && !share_unknown_labels(case, pair);
        let mut wrong: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (port, fate) in ports {
            for what in judge_port(pair, *port, *fate, claims, is_exhaustive) {
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
        let (gained, lost) = (
            any(|f| f.gained > Certainty::Never),
            any(|f| f.lost > Certainty::Never),
        );
        summary.gained += u64::from(gained);
        summary.lost += u64::from(lost);
        let is_equal = !gained && !lost;
        summary.undecided += u64::from(is_equal && claims.has(pair, Verdict::Unknown));
    }
    violations.extend(stray_claims(fates, claims));
    let is_refused = plan
        .findings
        .iter()
        .any(|f| f.code.severity == Severity::Error);
    if plan.proof.count(Verdict::Gained) > 0 && !is_refused {
        violations.push("connections are gained and no finding refuses the plan".to_owned());
    }
    (summary, violations)
}

/// Whether both ends are in one namespace whose labels the manifests do not hold. Readings give both
/// the same; the plan bounds what each end allows on its own, and may doubt where no reading does.
fn share_unknown_labels(case: &Case<'_>, (source, destination, _): &Pair) -> bool {
    let namespace = |name: &str| {
        name.split_once('/')
            .map(|(namespace, _)| namespace.to_owned())
    };
    let shared = namespace(source).filter(|n| namespace(destination).as_ref() == Some(n));
    let known = shared.and_then(|n| case.before.namespaces.get(&n));
    known.is_some_and(|n| !n.declared)
}

/// What is wrong about the claims for one port. What is so in some readings only is *unknown*.
fn judge_port(
    pair: &Pair,
    port: Port,
    fate: Fate,
    claims: &Claims,
    is_exhaustive: bool,
) -> Vec<&'static str> {
    // That nothing is compared of what a policy begins to refuse in the clear covers no sidecar.
    let said = match pair.2 {
        Relation::Plaintext => claims.listed(pair, port),
        Relation::Tunnel | Relation::Waypoint => claims.about(pair, port),
    };
    let says = |verdict| said.contains(&verdict);
    let mut wrong = Vec::new();
    match (fate.gained, says(Verdict::Gained), says(Verdict::Unknown)) {
        (Certainty::Always, false, true) if is_exhaustive => {
            wrong.push("gained and reported as unknown");
        }
        (Certainty::Always, true, _) | (_, false, true) | (Certainty::Never, false, _) => {}
        (Certainty::Always, false, false) => wrong.push("gained and not reported"),
        (Certainty::Sometimes, false, false) => wrong.push("perhaps gained and not reported"),
        (Certainty::Sometimes, true, _) => wrong.push("perhaps gained and reported as certain"),
        (Certainty::Never, true, _) => wrong.push("reported as gained and not gained"),
    }
    match (fate.lost, says(Verdict::Lost), says(Verdict::Unknown)) {
        (Certainty::Always, false, true) if is_exhaustive => {
            wrong.push("lost and reported as unknown");
        }
        (Certainty::Always, true, _) | (_, false, true) | (Certainty::Never, false, _) => {}
        (Certainty::Always, false, false) => wrong.push("lost and not reported"),
        (Certainty::Sometimes, false, false) => wrong.push("perhaps lost and not reported"),
        (Certainty::Sometimes, true, _) => wrong.push("perhaps lost and reported as certain"),
        (Certainty::Never, true, _) => wrong.push("reported as lost and not lost"),
    }
    wrong
}

/// Claims about pairs that no relation of the mesh governs.
fn stray_claims(fates: &Fates, claims: &Claims) -> Violations {
    let mut violations = Vec::new();
    for pair in claims.pairs() {
        let (source, destination, relation) = pair;
        let decided = claims.has(pair, Verdict::Gained) || claims.has(pair, Verdict::Lost);
        let is_of_mesh = *relation != Relation::Plaintext;
        if decided && is_of_mesh && !fates.by_pair.contains_key(pair) {
            violations.push(format!(
                "{source} => {destination} by {relation}: reported, and cannot differ"
            ));
        }
    }
    violations
}
