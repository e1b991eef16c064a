//! Values that flags and operands take.

use std::time::Duration;

use ambient_identity::SpiffeId;
use clap::ValueEnum;
use ipnet::IpNet;

use crate::migrate::Cni;
use crate::model::{Protocol, TargetPort};
use crate::probe::Address;

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless the environment says otherwise
    Auto,
    /// Everywhere, into files too
    Always,
    /// Nowhere
    Never,
}

/// Output formats of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// Tables for people
    Table,
    /// One JSON document
    Json,
    /// One YAML document
    Yaml,
    /// A comment for a pull request
    Markdown,
    /// SARIF 2.1.0 for code scanning
    Sarif,
    /// Annotations and step summary of GitHub Actions
    Github,
}

/// Output formats of what has no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlainFormat {
    /// Tables for people
    Table,
    /// One JSON document
    Json,
}

/// Output formats of connectivity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PolicyFormat {
    /// Lines for people
    Text,
    /// One JSON document
    Json,
}

/// Output formats of the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VersionFormat {
    /// One line
    Text,
    /// One JSON document
    Json,
}

/// Shells with a completion script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash
    Bash,
    /// Zsh
    Zsh,
    /// fish
    Fish,
    /// PowerShell
    Powershell,
}

/// How port limits are kept inside the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Authorization {
    /// Refuse the other ports
    Deny,
    /// Allow the ports that are allowed today, and nothing else
    Allow,
    /// Not at all: the limits are reported as gained connections
    None,
}

/// How objects that exist are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Strategy {
    /// Insert into the object
    Edit,
    /// Add an object beside it
    Companion,
}

/// The severity at which findings fail a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Errors
    Error,
    /// Warnings and errors
    Warning,
    /// Any finding
    Info,
}

/// Whether files are really written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// Write what `--write` or `--output-dir` asks for
    None,
    /// Do everything but write
    Client,
    /// Let the API server check it; there is none for files
    Server,
}

/// The world whose connections are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Without a mesh: policies see the application's ports
    Plaintext,
    /// Every workload enrolled: policies see the tunnel
    Tunnel,
}

/// A waypoint, `NAME[=NAMESPACE]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waypoint {
    /// Name of the Gateway.
    pub name: String,
    /// The namespace that it serves; every enrolled one when absent.
    pub namespace: Option<String>,
}

pub(super) fn waypoint(text: &str) -> Result<Waypoint, String> {
    let (name, namespace) = match text.split_once('=') {
        Some((name, namespace)) => (name, Some(namespace)),
        None => (text, None),
    };
    if name.is_empty() || namespace.is_some_and(str::is_empty) {
        return Err("expected `NAME` or `NAME=NAMESPACE`".to_owned());
    }
    Ok(Waypoint {
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
    })
}

pub(super) fn cidr(text: &str) -> Result<IpNet, String> {
    let Ok(range) = text.parse::<IpNet>() else {
        return Err("expected a range such as `10.244.0.0/16` or `fd00:10:244::/56`".to_owned());
    };
    if range.addr() != range.network() {
        return Err(format!(
            "it has bits after its prefix; the range is `{}`",
            range.trunc()
        ));
    }
    Ok(range)
}

/// The names that `--cni` takes.
pub(super) fn plugin_names() -> impl Iterator<Item = &'static str> {
    ["auto"]
        .into_iter()
        .chain(Cni::ALL.into_iter().map(Cni::as_str))
}

/// A destination, `NAME[:PORT[/PROTOCOL]]`, with a port by number or name. An IPv6 address with a
/// port is in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// The workload, Service or address.
    pub name: String,
    /// Port and protocol.
    pub port: Option<(TargetPort, Protocol)>,
}

pub(super) fn party(text: &str) -> Result<Party, String> {
    let (name, port) = split_port(text);
    if name.is_empty() {
        return Err("expected a workload, a Service or an address".to_owned());
    }
    Ok(Party {
        name: name.to_owned(),
        port: port.map(port_and_protocol).transpose()?,
    })
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    if let Some(rest) = text.strip_prefix('[')
        && let Some((address, rest)) = rest.split_once(']')
    {
        return (address, rest.strip_prefix(':'));
    }
    // More than one colon without brackets is an IPv6 address.
    match text.split_once(':') {
        Some((name, port)) if !port.contains(':') => (name, Some(port)),
        _ => (text, None),
    }
}

fn port_and_protocol(text: &str) -> Result<(TargetPort, Protocol), String> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "TCP"));
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = (1..=63).contains(&port.len()) && port.chars().all(lower);
    let target = match port.parse() {
        Ok(number) if number > 0 => TargetPort::Number(number),
        Err(_) if is_name && port.contains(|c: char| c.is_ascii_lowercase()) => {
            TargetPort::Name(port.to_owned())
        }
        _ => {
            return Err(format!(
                "`{port}` is neither a port between 1 and 65535 nor the name of one"
            ));
        }
    };
    let named = |known: &Protocol| known.to_string().eq_ignore_ascii_case(protocol);
    let protocol = Protocol::ALL.into_iter().find(named);
    let protocol = protocol.ok_or("the protocol is one of `TCP`, `UDP`, `SCTP`")?;
    Ok((target, protocol))
}

pub(super) fn address(text: &str) -> Result<Address, String> {
    text.parse()
        .map_err(|error: crate::probe::ParseAddressError| error.to_string())
}

pub(super) fn identity(text: &str) -> Result<SpiffeId, String> {
    text.parse()
        .map_err(|error: ambient_identity::ParseSpiffeIdError| error.to_string())
}

/// Octets to send: at most what a probe may put on somebody.
pub(super) fn size(text: &str) -> Result<usize, String> {
    const MOST: usize = 16 << 20;
    match text.parse() {
        Ok(size @ 1..=MOST) => Ok(size),
        _ => Err(format!("expected a number of octets from 1 to {MOST}")),
    }
}

/// A time as kubectl takes it: `2s`, `500ms`, `1m30s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time such as `2s`, `500ms` or `1m30s`".to_owned();
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, after) = rest.split_at(digits);
        let number: u32 = number.parse().map_err(|_| wrong())?;
        let units = [
            ("ms", Duration::from_millis(1)),
            ("s", Duration::from_secs(1)),
            ("m", Duration::from_mins(1)),
            ("h", Duration::from_hours(1)),
        ];
        let mut units = units.into_iter();
        let (after, unit) = units
            .find_map(|(unit, time)| Some((after.strip_prefix(unit)?, time)))
            .ok_or_else(wrong)?;
        total += unit.checked_mul(number).ok_or_else(wrong)?;
        rest = after;
    }
    if total.is_zero() {
        return Err(wrong());
    }
    Ok(total)
}
