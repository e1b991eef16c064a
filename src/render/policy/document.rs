//! Connectivity as JSON documents.

use serde::Serialize;

use crate::render::document::{API_VERSION, Metadata, ObjectDocument, OriginDocument, to_json};

use super::{Connection, ConnectionChange, Explanation, Open, RuleExplanation};

/// The connections as JSON, with what they leave open.
pub fn connections_json(mode: &str, connections: &[Connection], open: &Open) -> String {
    to_json(&ListDocument {
        api_version: API_VERSION,
        kind: "Connectivity",
        metadata: Metadata::CURRENT,
        mode,
        connections,
        open: OpenDocument::of(open),
    })
}

/// The differences as JSON.
pub fn changes_json(mode: &str, changes: &[ConnectionChange], open: &Open) -> String {
    to_json(&DiffDocument {
        api_version: API_VERSION,
        kind: "ConnectivityDiff",
        metadata: Metadata::CURRENT,
        mode,
        changes,
        open: OpenDocument::of(open),
        not_compared: open.not_compared.iter().map(ObjectDocument::of).collect(),
    })
}

/// The explanation as JSON.
pub fn explanation_json(mode: &str, explanation: &Explanation) -> String {
    let sides = explanation.sides.iter().map(|side| SideDocument {
        direction: side.direction.to_string(),
        allowed: &side.allowed,
        tier: &side.tier,
        because: &side.because,
        rules: side.rules.iter().map(RuleDocument::of).collect(),
    });
    to_json(&ExplanationDocument {
        api_version: API_VERSION,
        kind: "ConnectivityExplanation",
        metadata: Metadata::CURRENT,
        mode,
        source: &explanation.source,
        destination: &explanation.destination,
        asked: explanation.asked.as_deref(),
        allowed: &explanation.allowed,
        sides: sides.collect(),
        open: OpenDocument::of(&explanation.open),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListDocument<'r> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    mode: &'r str,
    connections: &'r [Connection],
    #[serde(flatten)]
    open: OpenDocument<'r>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DiffDocument<'r> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    mode: &'r str,
    changes: &'r [ConnectionChange],
    #[serde(flatten)]
    open: OpenDocument<'r>,
    not_compared: Vec<ObjectDocument<'r>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExplanationDocument<'r> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    mode: &'r str,
    source: &'r str,
    destination: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<&'r str>,
    allowed: &'r str,
    sides: Vec<SideDocument<'r>>,
    #[serde(flatten)]
    open: OpenDocument<'r>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OpenDocument<'r> {
    uncertain: u64,
    not_evaluated: Vec<ObjectDocument<'r>>,
}

impl<'r> OpenDocument<'r> {
    fn of(open: &'r Open) -> Self {
        Self {
            uncertain: open.uncertain,
            not_evaluated: open.not_evaluated.iter().map(ObjectDocument::of).collect(),
        }
    }
}

#[derive(Serialize)]
struct SideDocument<'r> {
    direction: String,
    allowed: &'r str,
    tier: &'r str,
    because: &'r str,
    rules: Vec<RuleDocument<'r>>,
}

#[derive(Serialize)]
struct RuleDocument<'r> {
    policy: ObjectDocument<'r>,
    rule: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<OriginDocument<'r>>,
    allows: &'r str,
}

impl<'r> RuleDocument<'r> {
    fn of(rule: &'r RuleExplanation) -> Self {
        Self {
            policy: ObjectDocument::of(&rule.policy),
            rule: rule.rule,
            origin: OriginDocument::of(&rule.origin),
            allows: &rule.allows,
        }
    }
}
