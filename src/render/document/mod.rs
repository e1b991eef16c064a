//! The plan as one JSON or YAML document: a stable shape with a version, and no times, so that two
//! runs can be compared.

mod parts;

use std::fmt::Write as _;

use serde::Serialize;

use super::report::{Failure, Outcome, Report};

use parts::{
    FindingDocument, InputDocument, NamespaceDocument, PlaceDocument, ProblemDocument,
    ProofDocument, RefusalDocument, SnippetDocument, StepDocument,
};
pub(super) use parts::{ObjectDocument, OriginDocument};

/// The version of every document that this program prints.
pub const API_VERSION: &str = "ambient.dev/v1alpha1";

/// The report as JSON.
pub(super) fn json(report: &Report<'_>) -> String {
    to_json(&MigrationPlan::of(report))
}

/// The report as YAML.
pub(super) fn yaml(report: &Report<'_>) -> String {
    to_yaml(&MigrationPlan::of(report))
}

/// The document in place of a report that could not be made, as JSON.
pub(super) fn json_failure(kind: &str, failure: &Failure) -> String {
    to_json(&FailedDocument::of(kind, failure))
}

/// The document in place of a report that could not be made, as YAML.
pub(super) fn yaml_failure(kind: &str, failure: &Failure) -> String {
    to_yaml(&FailedDocument::of(kind, failure))
}

/// Pretty JSON in which no character is left that a terminal would interpret.
pub(super) fn to_json(document: &impl Serialize) -> String {
    // Serialisation to memory fails only for maps whose keys are not strings; there are none.
    let text = serde_json::to_string_pretty(document).unwrap_or_default();
    let mut escaped = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        // Such characters can only be inside strings, where JSON takes the escape.
        match c {
            '\u{7f}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}' => {
                _ = write!(escaped, "\\u{:04x}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped.push('\n');
    escaped
}

fn to_yaml(document: &impl Serialize) -> String {
    let value = serde_json::to_value(document).unwrap_or_default();
    crate::yamledit::emit(&value)
}

/// What every document carries.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    tool_version: &'static str,
}

impl Metadata {
    pub(super) const CURRENT: Self = Self {
        tool_version: env!("CARGO_PKG_VERSION"),
    };
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FailedDocument<'r> {
    api_version: &'static str,
    kind: &'r str,
    metadata: Metadata,
    error: FailureDocument<'r>,
}

impl<'r> FailedDocument<'r> {
    fn of(kind: &'r str, failure: &'r Failure) -> Self {
        Self {
            api_version: API_VERSION,
            kind,
            metadata: Metadata::CURRENT,
            error: FailureDocument::of(failure),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FailureDocument<'r> {
    message: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'r str>,
    exit_code: u8,
}

impl<'r> FailureDocument<'r> {
    fn of(failure: &'r Failure) -> Self {
        Self {
            message: &failure.message,
            hint: failure.hint.as_deref(),
            exit_code: failure.exit_code,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MigrationPlan<'r> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    summary: Summary,
    input: InputDocument<'r>,
    outcome: OutcomeDocument<'r>,
    namespaces: Vec<NamespaceDocument<'r>>,
    steps: Vec<StepDocument<'r>>,
    findings: Vec<FindingDocument<'r>>,
    proof: ProofDocument<'r>,
    refusals: Vec<RefusalDocument<'r>>,
    snippets: Vec<SnippetDocument<'r>>,
    problems: Vec<ProblemDocument<'r>>,
    notes: Vec<PlaceDocument<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<FailureDocument<'r>>,
}

impl<'r> MigrationPlan<'r> {
    fn of(report: &'r Report<'_>) -> Self {
        let (plan, prepared) = (report.plan, report.prepared);
        Self {
            api_version: API_VERSION,
            kind: "MigrationPlan",
            metadata: Metadata::CURRENT,
            summary: Summary::of(report),
            input: InputDocument::of(&report.inventory),
            outcome: OutcomeDocument::of(&report.outcome),
            namespaces: plan
                .namespaces
                .iter()
                .map(|n| NamespaceDocument::of(n, report))
                .collect(),
            steps: plan.steps.iter().map(StepDocument::of).collect(),
            findings: report.findings.iter().map(FindingDocument::of).collect(),
            proof: ProofDocument::of(&plan.proof),
            refusals: prepared.refusals.iter().map(RefusalDocument::of).collect(),
            snippets: prepared.snippets.iter().map(SnippetDocument::of).collect(),
            problems: report.problems.iter().map(ProblemDocument::of).collect(),
            notes: report.notes.iter().map(PlaceDocument::of).collect(),
            diff: report.diff(),
            error: report.failure.as_ref().map(FailureDocument::of),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    namespaces: usize,
    workloads: usize,
    changes: ChangeSummary,
    findings: FindingSummary,
    problems: usize,
    verdict: String,
}

#[derive(Serialize)]
struct ChangeSummary {
    edit: usize,
    create: usize,
    replace: usize,
}

#[derive(Serialize)]
struct FindingSummary {
    error: usize,
    warning: usize,
    info: usize,
    accepted: usize,
}

impl Summary {
    fn of(report: &Report<'_>) -> Self {
        let changes = report.change_counts();
        let findings = report.finding_counts();
        let namespaces = &report.plan.namespaces;
        Self {
            namespaces: namespaces.iter().filter(|n| n.enrolled).count(),
            workloads: namespaces.iter().map(|n| n.in_mesh).sum(),
            changes: ChangeSummary {
                edit: changes.edited,
                create: changes.created,
                replace: changes.replaced,
            },
            findings: FindingSummary {
                error: findings.error,
                warning: findings.warning,
                info: findings.info,
                accepted: findings.accepted,
            },
            problems: report.problems.len(),
            verdict: parts::verdict(&report.plan.proof),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutcomeDocument<'r> {
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<&'r [String]>,
}

impl<'r> OutcomeDocument<'r> {
    fn of(outcome: &'r Outcome) -> Self {
        let (result, reason, files) = match outcome {
            Outcome::Planned => ("planned", None, None),
            Outcome::DryRun => ("dryRun", None, None),
            Outcome::Written(files) => ("written", None, Some(files.as_slice())),
            Outcome::Refused(reason) => ("refused", Some(reason.as_str()), None),
        };
        Self {
            result,
            reason,
            files,
        }
    }
}
