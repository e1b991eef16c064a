//! What the comparison came to.

use std::fmt::Write as _;

use crate::plan::Verdict;
use crate::render::report::Report;
use crate::render::table::Table;
use crate::render::text::{Count, Role, Style, wrap};

use super::{SHOWN, more};

/// What the lines below the verdict are indented by.
const INDENT: usize = 8;

pub(super) fn proof(report: &Report<'_>, style: Style) -> String {
    let proof = &report.plan.proof;
    let role = match proof.verdict() {
        _ if proof.is_empty() => Role::Warning,
        Verdict::Equal => Role::Good,
        Verdict::Unknown => Role::Warning,
        Verdict::Gained | Verdict::Lost => Role::Error,
    };
    let verdict = report.verdict();
    let sentence = format!("{verdict}: {}", report.proof_sentence());
    let sentence = wrap(&sentence, INDENT, style.width);
    let rest = sentence.strip_prefix(verdict).unwrap_or(&sentence);
    let mut text = format!("Proof   {}{rest}\n", style.paint(role, verdict));
    if proof.is_empty() {
        return text;
    }
    let counts = format!(
        "equal {}, lost {}, gained {}, unknown {} ({}, {})",
        proof.count(Verdict::Equal),
        proof.count(Verdict::Lost),
        proof.count(Verdict::Gained),
        proof.count(Verdict::Unknown),
        Count(proof.classes, "pod class"),
        Count(proof.address_ranges, "address range"),
    );
    let counts = wrap(&counts, INDENT, style.width);
    _ = writeln!(text, "{:INDENT$}{counts}", "");
    if proof.differences.is_empty() {
        return text;
    }
    let headers = [
        "VERDICT",
        "SOURCE",
        "DESTINATION",
        "THROUGH",
        "CONNECTIONS",
        "BECAUSE",
    ];
    let mut table = Table::new(style, headers);
    for comparison in proof.differences.iter().take(SHOWN) {
        let verdict = comparison.verdict.to_string();
        let cells = [
            verdict.as_str(),
            &comparison.source,
            &comparison.destination,
            &comparison.relation.to_string(),
            &comparison.difference,
            &comparison.because,
        ];
        table.row(cells, None);
    }
    text.push_str(&table.to_string());
    text.push_str(&more(proof.differences.len(), SHOWN, "comparison"));
    for (verdict, count) in &proof.unlisted {
        _ = writeln!(text, "… and {count} {verdict}, too many to list");
    }
    text
}
