//! What probes found.

use std::fmt::Write as _;
use std::time::Duration;

use ambient_identity::Certificate;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::document::{API_VERSION, Metadata, to_json};
use super::table::Table;
use super::text::{Role, Style, escape, wrap};
use crate::probe::{Cause, Peer, Rounds, Step, StepResult};

/// Of many addresses, those that are shown step by step.
const SHOWN: usize = 10;

/// For people: a line for each address when there are several, and all steps of what is not as it
/// should be, or of the only one.
pub fn table(all: &[Rounds], style: Style) -> String {
    let mut text = String::new();
    if let [one] = all {
        detail(&mut text, one, style);
        return text;
    }
    text.push_str(&if all.iter().any(|rounds| rounds.count > 1) {
        summaries(all, style)
    } else {
        overview(all, style)
    });
    let failed = |rounds: &&Rounds| rounds.report.cause != Cause::Healthy;
    for rounds in all.iter().filter(failed).take(SHOWN) {
        text.push('\n');
        detail(&mut text, rounds, style);
    }
    let failed = all.iter().filter(failed).count();
    if failed > SHOWN {
        _ = writeln!(text, "\n{} more are in `-o json`", failed - SHOWN);
    }
    let healthy = all.len() - failed;
    _ = writeln!(text, "\n{healthy} of {} healthy", all.len());
    text
}

/// A line for each address that was probed once.
fn overview(all: &[Rounds], style: Style) -> String {
    let mut table = Table::new(style, ["ADDRESS", "TIME", "IDENTITY", "CAUSE"]);
    for rounds in all {
        let report = &rounds.report;
        table.row(
            [
                &report.address.to_string(),
                &milliseconds(report.time()),
                &identity(report.peer.as_ref()),
                report.cause.name(),
            ],
            Some(role(report.cause)),
        );
    }
    table.to_string()
}

/// A line for each address that was probed several times, with how long healthy probes took.
fn summaries(all: &[Rounds], style: Style) -> String {
    let headers = [
        "ADDRESS", "HEALTHY", "P50", "P90", "P99", "LONGEST", "CAUSE",
    ];
    let mut table = Table::new(style, headers);
    for rounds in all {
        let report = &rounds.report;
        let [p50, p90, p99, longest] = [50, 90, 99, 100].map(|p| {
            let time = rounds.percentile(p);
            time.map_or_else(String::new, milliseconds)
        });
        table.row(
            [
                &report.address.to_string(),
                &format!("{}/{}", rounds.healthy, rounds.count),
                &p50,
                &p90,
                &p99,
                &longest,
                report.cause.name(),
            ],
            Some(role(report.cause)),
        );
    }
    table.to_string()
}

/// For people who watch: one line for a change.
pub fn line(rounds: &Rounds, style: Style) -> String {
    let report = &rounds.report;
    let now = now();
    let cause = style.paint(role(report.cause), report.cause.name());
    let failed = report.steps.iter().find(|s| s.result == StepResult::Failed);
    let seen = failed.map_or_else(String::new, |step| {
        format!(": {}: {}", step.kind.name(), escape(&step.detail))
    });
    format!(
        "{now} {} {cause}{seen}\n",
        escape(&report.address.to_string())
    )
}

fn detail(text: &mut String, rounds: &Rounds, style: Style) {
    let report = &rounds.report;
    let cause = style.paint(role(report.cause), report.cause.name());
    let address = report.address.to_string();
    let title = report.cause.title();
    _ = writeln!(text, "{}: {cause}: {title}\n", escape(&address));
    let mut table = Table::new(style, ["STEP", "RESULT", "TIME", "SEEN"]);
    for step in &report.steps {
        let time = match step.result {
            StepResult::Skipped => String::new(),
            _ => milliseconds(step.time),
        };
        table.row(
            [step.kind.name(), step.result.name(), &time, &step.detail],
            None,
        );
    }
    text.push_str(&table.to_string());
    text.push('\n');
    if let Some(certificate) = report.peer.as_ref().and_then(|p| p.certificate.as_ref()) {
        let issuer = escape(&certificate.issuer);
        let (from, to) = (time(certificate.not_before), time(certificate.not_after));
        _ = writeln!(
            text,
            "certificate: from {from} to {to}, issued by `{issuer}`"
        );
    }
    if rounds.count > 1 {
        _ = writeln!(
            text,
            "probes:      {} of {} healthy",
            rounds.healthy, rounds.count
        );
        if let [Some(p50), Some(p90), Some(p99), Some(most)] =
            [50, 90, 99, 100].map(|p| rounds.percentile(p))
        {
            let [p50, p90, p99, most] = [p50, p90, p99, most].map(milliseconds);
            _ = writeln!(
                text,
                "time:        p50 {p50}, p90 {p90}, p99 {p99}, longest {most}"
            );
        }
    }
    for warning in &report.warnings {
        let label = style.paint(Role::Warning, "warning:");
        _ = writeln!(text, "{label} {warning}");
    }
    if report.cause != Cause::Healthy {
        let label = style.paint(Role::Good, "fix:");
        let remedy = wrap(report.remedy(), 5, style.width);
        _ = writeln!(text, "{label} {remedy}");
        let name = report.cause.name();
        _ = writeln!(text, "     `kubectl ambient explain {name}` says more");
    }
}

/// What a cause means.
pub fn cause(cause: Cause, style: Style) -> String {
    let title = format!("{}: {}", cause.name(), cause.title());
    let mut text = format!("{}\n\n", style.paint(Role::Heading, &title));
    let meaning = wrap(cause.meaning(), 0, style.width);
    let evidence = wrap(cause.evidence(), 10, style.width);
    _ = writeln!(text, "{meaning}\n\nevidence: {evidence}\n");
    let label = style.paint(Role::Good, "fix:");
    _ = writeln!(text, "{label} {}", wrap(cause.remedy(), 5, style.width));
    text
}

/// All causes, a line each.
pub fn causes(style: Style) -> String {
    let mut table = Table::new(style, ["CAUSE", "TITLE"]);
    for cause in Cause::ALL {
        table.row([cause.name(), cause.title()], None);
    }
    table.to_string()
}

fn role(cause: Cause) -> Role {
    if cause == Cause::Healthy {
        Role::Good
    } else {
        Role::Error
    }
}

fn identity(peer: Option<&Peer>) -> String {
    let certificate = peer.and_then(|p| p.certificate.as_ref());
    let identity = certificate.and_then(|c| c.identities().next());
    identity.map_or_else(String::new, |id| id.to_string())
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1}ms", time.as_secs_f64() * 1000.0)
}

/// The time of day in UTC.
fn now() -> String {
    time(OffsetDateTime::now_utc().unix_timestamp())
}

/// A time of day in UTC; the number itself where the calendar ends.
fn time(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    let text = time.and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_else(|| seconds.to_string())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'r> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    results: Vec<Result<'r>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Result<'r> {
    /// When it was found, where more may come later.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    address: String,
    cause: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
    steps: Vec<StepResultOf<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Server<'r>>,
    warnings: &'r [String],
    probes: Probes,
}

#[derive(Serialize)]
struct StepResultOf<'r> {
    step: &'static str,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    milliseconds: Option<f64>,
    detail: &'r str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Server<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    /// The others, which the certificate should not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_identities: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<String>,
    tls_version: &'r str,
    cipher_suite: &'r str,
    group: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    alpn: Option<&'r str>,
    asks_for_certificate: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Probes {
    count: u32,
    healthy: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    milliseconds: Option<Latency>,
}

/// How long healthy probes took, from the first step to the last.
#[derive(Serialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

/// For machines.
pub fn json(all: &[Rounds]) -> String {
    to_json(&Document {
        api_version: API_VERSION,
        kind: "Diagnosis",
        metadata: Metadata::CURRENT,
        results: all.iter().map(Result::of).collect(),
    })
}

/// For machines that watch: one result on one line, with its time.
pub fn json_line(rounds: &Rounds) -> String {
    let result = Result {
        time: Some(now()),
        ..Result::of(rounds)
    };
    // What serializes once as a part of a document does so alone.
    serde_json::to_string(&result).unwrap_or_default() + "\n"
}

impl<'r> Result<'r> {
    fn of(rounds: &'r Rounds) -> Self {
        let report = &rounds.report;
        let [p50, p90, p99, max] = [50, 90, 99, 100].map(|p| rounds.percentile(p).map(number));
        let latency = match (p50, p90, p99, max) {
            (Some(p50), Some(p90), Some(p99), Some(max)) => Some(Latency { p50, p90, p99, max }),
            _ => None,
        };
        Self {
            time: None,
            address: report.address.to_string(),
            cause: report.cause.name(),
            remedy: (report.cause != Cause::Healthy).then(|| report.remedy()),
            steps: report.steps.iter().map(StepResultOf::of).collect(),
            server: report.peer.as_ref().map(Server::of),
            warnings: &report.warnings,
            probes: Probes {
                count: rounds.count,
                healthy: rounds.healthy,
                milliseconds: latency,
            },
        }
    }
}

impl<'r> StepResultOf<'r> {
    fn of(step: &'r Step) -> Self {
        Self {
            step: step.kind.name(),
            result: step.result.name(),
            milliseconds: (step.result != StepResult::Skipped).then(|| number(step.time)),
            detail: &step.detail,
        }
    }
}

impl<'r> Server<'r> {
    fn of(peer: &'r Peer) -> Self {
        let certificate = peer.certificate.as_ref();
        let identities = certificate.into_iter().flat_map(Certificate::identities);
        let mut identities = identities.map(|id| id.to_string());
        Self {
            identity: identities.next(),
            other_identities: identities.collect(),
            issuer: certificate.map(|c| c.issuer.as_str()),
            not_before: certificate.map(|c| time(c.not_before)),
            not_after: certificate.map(|c| time(c.not_after)),
            tls_version: &peer.version,
            cipher_suite: &peer.suite,
            group: &peer.group,
            alpn: peer.protocol.as_deref(),
            asks_for_certificate: peer.asks_for_certificate,
        }
    }
}

/// Milliseconds with three places.
fn number(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1000.0
}
