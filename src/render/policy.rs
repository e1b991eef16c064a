//! Connectivity: who may connect to whom, why, and how two worlds differ.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::Serialize;

use crate::model::{ObjectRef, Origin};

use super::document::{API_VERSION, Metadata, ObjectDocument, OriginDocument, to_json};
use super::text::{Role, Style, Table, escape};

/// Connections from one party to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Connection {
    /// Source: `namespace/name[Kind]`, or an inclusive address range.
    pub source: Arc<str>,
    /// Destination, spelled likewise.
    pub destination: Arc<str>,
    /// `All Connections`, or protocols with their ports: `TCP 80,8000-8090,UDP 53`.
    pub connections: Arc<str>,
}

/// How the connections between two parties differ between two inputs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ConnectionChange {
    /// Source.
    pub source: Arc<str>,
    /// Destination.
    pub destination: Arc<str>,
    /// Connections in the first input; `None` when there are none.
    pub before: Option<Arc<str>>,
    /// Connections in the second input; `None` when there are none.
    pub after: Option<Arc<str>>,
}

/// Why a connection is allowed or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Source.
    pub source: Arc<str>,
    /// Destination.
    pub destination: Arc<str>,
    /// The connection that was asked about; `None` asks about all.
    pub asked: Option<String>,
    /// The connections that are allowed, as printed, of those asked about.
    pub allowed: String,
    /// The answer of each side: egress of the source, then ingress of the destination.
    pub sides: Vec<SideExplanation>,
}

/// What one side of a connection says to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideExplanation {
    /// Which side it is.
    pub direction: Direction,
    /// The connections that this side allows, as printed.
    pub allowed: String,
    /// The tier that decides.
    pub tier: String,
    /// Why, in one sentence in lower case.
    pub because: String,
    /// The rules that allow, in the order of the input.
    pub rules: Vec<RuleExplanation>,
}

/// The side of a connection that a policy speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// The source's policies.
    Egress,
    /// The destination's policies.
    Ingress,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        })
    }
}

/// One rule that allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleExplanation {
    /// The policy.
    pub policy: ObjectRef,
    /// One-based number of the rule in its direction.
    pub rule: usize,
    /// Where the rule is.
    pub origin: Origin,
    /// What it allows here, as printed.
    pub allows: String,
}

/// The connections as lines `source => destination : connections`.
pub fn connections(connections: &[Connection]) -> String {
    let mut text = String::new();
    for connection in connections {
        let Connection {
            source,
            destination,
            connections,
        } = connection;
        let line = format!("{source} => {destination} : {connections}");
        _ = writeln!(text, "{}", escape(&line));
    }
    text
}

/// The connections as JSON.
pub fn connections_json(mode: &str, connections: &[Connection]) -> String {
    to_json(&ListDocument {
        api_version: API_VERSION,
        kind: "Connectivity",
        metadata: Metadata::CURRENT,
        mode,
        connections,
    })
}

/// The differences as lines: `+` and `-` for pairs that are new and gone, `~` for others.
pub fn changes(changes: &[ConnectionChange], style: Style) -> String {
    const NONE: &str = "No Connections";
    let mut text = String::new();
    for change in changes {
        let before = change.before.as_deref().unwrap_or(NONE);
        let after = change.after.as_deref().unwrap_or(NONE);
        let (sign, role) = match (&change.before, &change.after) {
            (None, _) => ('+', Role::Added),
            (_, None) => ('-', Role::Removed),
            _ => ('~', Role::Hunk),
        };
        let line = format!(
            "{sign} {} => {} : {before} -> {after}",
            change.source, change.destination
        );
        _ = writeln!(text, "{}", style.paint(role, &escape(&line)));
    }
    text
}

/// The differences as JSON.
pub fn changes_json(mode: &str, changes: &[ConnectionChange]) -> String {
    to_json(&DiffDocument {
        api_version: API_VERSION,
        kind: "ConnectivityDiff",
        metadata: Metadata::CURRENT,
        mode,
        changes,
    })
}

/// The explanation for people.
pub fn explanation(explanation: &Explanation, style: Style) -> String {
    let verdict = match explanation.allowed.as_str() {
        "" => style.paint(Role::Error, "refused"),
        allowed => style.paint(Role::Good, &escape(allowed)),
    };
    let asked = match &explanation.asked {
        Some(asked) => format!(" ({})", escape(asked)),
        None => String::new(),
    };
    let mut text = format!(
        "{} => {}{asked} : {verdict}\n",
        escape(&explanation.source),
        escape(&explanation.destination),
    );
    for side in &explanation.sides {
        let party = match side.direction {
            Direction::Egress => &explanation.source,
            Direction::Ingress => &explanation.destination,
        };
        let heading = format!("{} of {}", side.direction, escape(party));
        let allowed = match side.allowed.as_str() {
            "" => "refused".into(),
            allowed => escape(allowed),
        };
        _ = writeln!(
            text,
            "\n{} : {allowed}\n  {} decides: {}",
            style.paint(Role::Heading, &heading),
            escape(&side.tier),
            escape(&side.because),
        );
        if !side.rules.is_empty() {
            let mut table = Table::new(style, ["POLICY", "RULE", "WHERE", "ALLOWS"]);
            for rule in &side.rules {
                let policy = rule.policy.to_string();
                let cells = [
                    policy.as_str(),
                    &rule.rule.to_string(),
                    &rule.origin.to_string(),
                    &rule.allows,
                ];
                table.row(cells, None);
            }
            text.push_str(&table.to_string());
        }
    }
    text
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
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DiffDocument<'r> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    mode: &'r str,
    changes: &'r [ConnectionChange],
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
