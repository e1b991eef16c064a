//! The parts of the document: borrowed views that say how each thing is spelled.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::finding::{Flow, Severity};
use crate::model::{Note, ObjectRef, Origin, Problem};
use crate::plan::{
    Body, Change, ChangeAction, Comparison, DisplayPath, Edit, NamespacePlan, Proof, Step,
    StepKind, Verdict,
};
use crate::render::Inventory;
use crate::render::plan::{action, fixes};
use crate::render::report::{Entry, Report};
use crate::sink::{FileRefusal, Snippet};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InputDocument<'r> {
    analysed: &'r BTreeMap<String, usize>,
    not_evaluated: &'r BTreeMap<String, usize>,
    not_analysed: &'r BTreeMap<String, usize>,
    ended: usize,
    templates: usize,
}

impl<'r> InputDocument<'r> {
    pub(super) fn of(inventory: &'r Inventory) -> Self {
        Self {
            analysed: &inventory.analysed,
            not_evaluated: &inventory.not_evaluated,
            not_analysed: &inventory.others,
            ended: inventory.ended,
            templates: inventory.templates,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NamespaceDocument<'r> {
    name: &'r str,
    enrolled: bool,
    labelled: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'r str,
    in_mesh: usize,
    staying_out: Vec<StayingOut<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waypoint: Option<&'r str>,
    verdict: &'static str,
}

#[derive(Serialize)]
struct StayingOut<'r> {
    workload: &'r str,
    reason: &'r str,
}

impl<'r> NamespaceDocument<'r> {
    pub(super) fn of(namespace: &'r NamespacePlan, report: &Report<'_>) -> Self {
        let verdict = match report.namespace_verdict(&namespace.name).1 {
            _ if !namespace.enrolled => "leftOut",
            Some(Severity::Error) => "blocked",
            Some(Severity::Warning) => "warnings",
            Some(Severity::Info) | None => "ready",
        };
        let staying_out = namespace.staying_out.iter();
        Self {
            name: &namespace.name,
            enrolled: namespace.enrolled,
            labelled: namespace.labelled,
            reason: &namespace.reason,
            in_mesh: namespace.in_mesh,
            staying_out: staying_out
                .map(|(workload, reason)| StayingOut { workload, reason })
                .collect(),
            waypoint: namespace.waypoint.as_deref(),
            verdict,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StepDocument<'r> {
    kind: &'static str,
    changes: Vec<ChangeDocument<'r>>,
    commands: &'r [String],
}

impl<'r> StepDocument<'r> {
    pub(super) fn of(step: &'r Step) -> Self {
        Self {
            kind: match step.kind {
                StepKind::OpenTunnel => "openTunnel",
                StepKind::RestorePorts => "restorePorts",
                StepKind::Enrol => "enroll",
                StepKind::UseWaypoints => "useWaypoints",
            },
            changes: step.changes.iter().map(ChangeDocument::of).collect(),
            commands: &step.commands,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChangeDocument<'r> {
    action: &'static str,
    object: ObjectDocument<'r>,
    reason: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<OriginDocument<'r>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    edits: Vec<EditDocument<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'r Body>,
    #[serde(skip_serializing_if = "Option::is_none")]
    companion: Option<&'r Body>,
}

impl<'r> ChangeDocument<'r> {
    pub(super) fn of(change: &'r Change) -> Self {
        let (origin, edits, body, companion) = match &change.action {
            ChangeAction::Edit {
                origin,
                edits,
                companion,
            } => (origin, edits.as_slice(), None, companion.as_ref()),
            ChangeAction::Create { body, beside } => (beside, [].as_slice(), Some(body), None),
            ChangeAction::Replace { origin, body } => (origin, [].as_slice(), Some(body), None),
        };
        Self {
            action: action(change),
            object: ObjectDocument::of(&change.object),
            reason: &change.reason,
            origin: OriginDocument::of(origin),
            edits: edits.iter().map(EditDocument::of).collect(),
            body,
            companion,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EditDocument<'r> {
    operation: &'static str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'r str>,
    value: &'r Value,
}

impl<'r> EditDocument<'r> {
    pub(super) fn of(edit: &'r Edit) -> Self {
        let path = DisplayPath(edit.path()).to_string();
        match edit {
            Edit::Append { item, .. } => Self {
                operation: "append",
                path,
                key: None,
                value: item,
            },
            Edit::Add { key, value, .. } => Self {
                operation: "add",
                path,
                key: Some(key),
                value,
            },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::render) struct ObjectDocument<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'r str>,
    kind: &'r str,
    name: &'r str,
}

impl<'r> ObjectDocument<'r> {
    pub(in crate::render) fn of(object: &'r ObjectRef) -> Self {
        Self {
            namespace: object.namespace.as_deref(),
            kind: &object.kind,
            name: &object.name,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::render) struct OriginDocument<'r> {
    file: &'r str,
    document: usize,
    #[serde(skip_serializing_if = "<[usize]>::is_empty")]
    items: &'r [usize],
    line: u32,
}

impl<'r> OriginDocument<'r> {
    pub(in crate::render) fn of(origin: &'r Origin) -> Option<Self> {
        (!origin.is_synthetic()).then(|| Self {
            file: &origin.file,
            document: origin.document,
            items: &origin.items,
            line: origin.line,
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FindingDocument<'r> {
    id: &'r str,
    code: &'r str,
    severity: String,
    title: &'r str,
    accepted: bool,
    subject: ObjectDocument<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<OriginDocument<'r>>,
    message: &'r str,
    flows: Vec<FlowDocument<'r>>,
    fixes: Vec<&'r str>,
}

impl<'r> FindingDocument<'r> {
    pub(super) fn of(entry: &'r Entry<'_>) -> Self {
        let finding = entry.finding;
        Self {
            id: &entry.id,
            code: finding.code.id,
            severity: finding.code.severity.to_string(),
            title: finding.code.title,
            accepted: entry.accepted,
            subject: ObjectDocument::of(&finding.subject),
            origin: OriginDocument::of(&finding.origin),
            message: &finding.message,
            flows: finding.flows.iter().map(FlowDocument::of).collect(),
            fixes: fixes(entry),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FlowDocument<'r> {
    source: &'r str,
    destination: &'r str,
    connections: &'r str,
    example: &'r str,
    policies: Vec<ObjectDocument<'r>>,
    #[serde(skip_serializing_if = "is_zero")]
    other_policies: usize,
}

impl<'r> FlowDocument<'r> {
    pub(super) fn of(flow: &'r Flow) -> Self {
        Self {
            source: &flow.source,
            destination: &flow.destination,
            connections: &flow.connections,
            example: &flow.example,
            policies: listed(&flow.policies),
            other_policies: flow.policies.len().saturating_sub(POLICIES_LISTED),
        }
    }
}

/// Policies of one connection that are listed; the others are counted. Thousands of connections may
/// each be governed by the same hundreds.
const POLICIES_LISTED: usize = 20;

fn listed(policies: &[ObjectRef]) -> Vec<ObjectDocument<'_>> {
    let listed = policies.iter().take(POLICIES_LISTED);
    listed.map(ObjectDocument::of).collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProofDocument<'r> {
    verdict: String,
    equal: u64,
    lost: u64,
    gained: u64,
    unknown: u64,
    unlisted: u64,
    classes: usize,
    address_ranges: usize,
    differences: Vec<ComparisonDocument<'r>>,
}

/// The verdict of all comparisons; that of none is not `equal`.
pub(super) fn verdict(proof: &Proof) -> String {
    if proof.is_empty() {
        "notCompared".to_owned()
    } else {
        proof.verdict().to_string()
    }
}

impl<'r> ProofDocument<'r> {
    pub(super) fn of(proof: &'r Proof) -> Self {
        Self {
            verdict: verdict(proof),
            equal: proof.count(Verdict::Equal),
            lost: proof.count(Verdict::Lost),
            gained: proof.count(Verdict::Gained),
            unknown: proof.count(Verdict::Unknown),
            unlisted: proof.unlisted.values().sum(),
            classes: proof.classes,
            address_ranges: proof.address_ranges,
            differences: proof
                .differences
                .iter()
                .map(ComparisonDocument::of)
                .collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ComparisonDocument<'r> {
    source: &'r str,
    destination: &'r str,
    relation: String,
    verdict: String,
    before: &'r str,
    after: &'r str,
    difference: &'r str,
    example: &'r str,
    because: &'r str,
    policies: Vec<ObjectDocument<'r>>,
    #[serde(skip_serializing_if = "is_zero")]
    other_policies: usize,
}

impl<'r> ComparisonDocument<'r> {
    pub(super) fn of(comparison: &'r Comparison) -> Self {
        Self {
            source: &comparison.source,
            destination: &comparison.destination,
            relation: comparison.relation.to_string(),
            verdict: comparison.verdict.to_string(),
            before: &comparison.before,
            after: &comparison.after,
            difference: &comparison.difference,
            example: &comparison.example,
            because: &comparison.because,
            policies: listed(&comparison.policies),
            other_policies: comparison.policies.len().saturating_sub(POLICIES_LISTED),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProblemDocument<'r> {
    file: &'r str,
    line: u32,
    column: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<ObjectDocument<'r>>,
    message: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'r str>,
}

impl<'r> ProblemDocument<'r> {
    pub(super) fn of(problem: &'r Problem) -> Self {
        Self {
            file: &problem.file,
            line: problem.line,
            column: problem.column,
            object: problem.object.as_ref().map(ObjectDocument::of),
            message: &problem.message,
            hint: problem.hint.as_deref(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlaceDocument<'r> {
    file: &'r str,
    line: u32,
    message: &'r str,
}

impl<'r> PlaceDocument<'r> {
    pub(super) fn of(note: &'r Note) -> Self {
        Self {
            file: &note.file,
            line: note.line,
            message: &note.message,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefusalDocument<'r> {
    object: ObjectDocument<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<OriginDocument<'r>>,
    reason: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    companion: Option<&'r str>,
}

impl<'r> RefusalDocument<'r> {
    pub(super) fn of(refusal: &'r FileRefusal) -> Self {
        Self {
            object: ObjectDocument::of(&refusal.object),
            origin: OriginDocument::of(&refusal.origin),
            reason: &refusal.reason,
            companion: refusal.companion.as_deref(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct SnippetDocument<'r> {
    file: &'r str,
    message: &'r str,
    text: &'r str,
}

impl<'r> SnippetDocument<'r> {
    pub(super) fn of(snippet: &'r Snippet) -> Self {
        Self {
            file: &snippet.file,
            message: &snippet.message,
            text: &snippet.text,
        }
    }
}
