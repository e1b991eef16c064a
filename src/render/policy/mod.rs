//! Connectivity: who may connect to whom, why, and how two worlds differ.

mod document;

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::Serialize;

use crate::model::{ObjectRef, Origin};

use super::table::Table;
use super::text::{Count, Role, Style, escape};

pub use document::{changes_json, connections_json, explanation_json};

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
    /// What the answer leaves open.
    pub open: Open,
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
    /// Zero-based index of the rule in the policy's `ingress` or `egress`.
    pub rule: usize,
    /// Where the rule is.
    pub origin: Origin,
    /// What it allows here, as printed.
    pub allows: String,
}

/// How no connections are printed.
const NO_CONNECTIONS: &str = "No Connections";

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

/// What an answer leaves open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Open {
    /// Between how many pairs more may be allowed than is known.
    pub uncertain: u64,
    /// Policies of kinds that are not evaluated, sorted.
    pub not_evaluated: Vec<ObjectRef>,
    /// Policies that two inputs differ in, and that change nothing between the workloads of these,
    /// sorted.
    pub not_compared: Vec<ObjectRef>,
}

/// Policies beyond this many are counted, not named.
const POLICIES_NAMED: usize = 3;

/// Says what an answer leaves open; nothing when it is complete.
pub fn open(open: &Open, style: Style) -> String {
    let mut text = String::new();
    if open.uncertain > 0 {
        let pairs = usize::try_from(open.uncertain).unwrap_or(usize::MAX);
        let pairs = Count(pairs, "pair");
        let message =
            format!("more may be allowed between {pairs}: an `ipBlock` or host network decides");
        text.push_str(&super::warning(&message, style));
    }
    if !open.not_evaluated.is_empty() {
        let message = format!(
            "policies of the network plugin are not evaluated, and may allow or refuse more: {}",
            named(&open.not_evaluated)
        );
        text.push_str(&super::warning(&message, style));
    }
    if !open.not_compared.is_empty() {
        let message = format!(
            "policies differ that change nothing between the workloads of the inputs, and for pods \
             that these do not hold nothing is compared: {}",
            named(&open.not_compared)
        );
        text.push_str(&super::warning(&message, style));
    }
    text
}

/// The first policies in backticks, and how many more.
fn named(policies: &[ObjectRef]) -> String {
    let shown = policies.iter().take(POLICIES_NAMED);
    let mut names: Vec<String> = shown.map(|p| format!("`{p}`")).collect();
    let more = policies.len().saturating_sub(POLICIES_NAMED);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    names.join(", ")
}

/// The differences as lines: `+` and `-` for pairs that are new and gone, `~` for others.
pub fn changes(changes: &[ConnectionChange], style: Style) -> String {
    let mut text = String::new();
    for change in changes {
        let before = change.before.as_deref().unwrap_or(NO_CONNECTIONS);
        let after = change.after.as_deref().unwrap_or(NO_CONNECTIONS);
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

/// The explanation for people.
pub fn explanation(explanation: &Explanation, style: Style) -> String {
    let role = if explanation.allowed == NO_CONNECTIONS {
        Role::Error
    } else {
        Role::Good
    };
    let verdict = style.paint(role, &escape(&explanation.allowed));
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
        _ = writeln!(
            text,
            "\n{} : {}\n  {} decides: {}",
            style.paint(Role::Heading, &heading),
            escape(&side.allowed),
            escape(&side.tier),
            escape(&side.because),
        );
        if !side.rules.is_empty() {
            let mut table = Table::new(style, ["POLICY", "RULE", "WHERE", "ALLOWS"]);
            for rule in &side.rules {
                let policy = rule.policy.to_string();
                let place = format!("{}[{}]", side.direction, rule.rule);
                let cells = [
                    policy.as_str(),
                    &place,
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

#[cfg(test)]
mod tests;
