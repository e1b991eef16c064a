//! Options as they are written: on the command line, and by the same names in a file. What the command
//! line says counts.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use ambient_runtime::files::read_text;
use ambient_runtime::log::{Filter, Format};
use ambient_ztunnel::snapshot::WorkloadName;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Deserializer};

/// Options of the relay.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(
    rename_all = "kebab-case",
    deny_unknown_fields,
    default,
    expecting = "options by their names"
)]
pub(crate) struct Options {
    /// File with these options in YAML, by the same names
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,

    /// File with workloads and services, of the shape that ztunnel reads (`LOCAL_XDS_PATH`)
    #[arg(long, value_name = "FILE")]
    pub(crate) snapshot: Option<PathBuf>,

    /// The workload to work for, as it stands in the snapshot
    #[arg(long, value_name = "NAMESPACE/NAME/SERVICE-ACCOUNT")]
    #[serde(deserialize_with = "text")]
    pub(crate) workload: Option<WorkloadName>,

    /// Folder with its certificate: `cert-chain.pem`, `key.pem`, `root-cert.pem`
    #[arg(long, value_name = "FOLDER")]
    pub(crate) certificates: Option<PathBuf>,

    /// Folder with an authority that signs one: `ca-cert.pem`, `ca-key.pem`; for tests
    #[arg(long, value_name = "FOLDER")]
    pub(crate) authority: Option<PathBuf>,

    /// File with revocation lists
    #[arg(long, value_name = "FILE")]
    pub(crate) revocations: Option<PathBuf>,

    /// Trust domains whose clients are taken for those of the own one
    #[arg(long, value_name = "DOMAIN", value_delimiter = ',')]
    pub(crate) trust_domain_aliases: Vec<String>,

    /// Where connections of the workload are led to [default: port 15001 of all addresses]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) outbound: Option<SocketAddr>,

    /// Where connections in the clear to the workload are led to [default: port 15006]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) plaintext: Option<SocketAddr>,

    /// Where tunnels to the workload come in [default: port 15008]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) tunnels: Option<SocketAddr>,

    /// From which address applications are connected to [default: client]
    #[arg(long, value_name = "WHOSE")]
    pub(crate) source: Option<Whose>,

    /// The address that outbound connections are made from
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) outbound_source: Option<IpAddr>,

    /// What packets are marked with, so that rules that capture let them pass; 0 for nothing
    /// [default: Istio's 0x539, nothing with `--source relay`]
    #[arg(long, value_name = "NUMBER", value_parser = number)]
    pub(crate) mark: Option<u32>,

    /// How long open connections may go on when the process is to end [default: 5s]
    #[arg(long, value_name = "TIME")]
    #[serde(deserialize_with = "text")]
    pub(crate) drain: Option<Time>,

    /// How long a client may take for TLS, and then for HTTP/2 [default: 10s]
    #[arg(long, value_name = "TIME")]
    #[serde(deserialize_with = "text")]
    pub(crate) handshake: Option<Time>,

    /// Socket at which listeners are taken from a predecessor, and handed to a successor
    #[arg(long, value_name = "PATH")]
    pub(crate) handover: Option<PathBuf>,

    /// Threads that serve connections [default: 1]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) threads: Option<usize>,

    /// Where administration is served [default: port 15000 of the loopback address]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) admin: Option<SocketAddr>,

    /// Where metrics are served [default: port 15020 of all addresses]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) metrics: Option<SocketAddr>,

    /// Where readiness is served [default: port 15021 of all addresses]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) status: Option<SocketAddr>,

    /// What is logged, as `info,access=debug`
    #[arg(long, value_name = "FILTER")]
    #[serde(deserialize_with = "text")]
    pub(crate) log: Option<Filter>,

    /// The form of the log: `plain` or `json`
    #[arg(long, value_name = "FORM")]
    #[serde(deserialize_with = "text")]
    pub(crate) log_format: Option<Format>,
}

/// The file with options cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read `{}`: {reason}", path.display())]
pub(crate) struct OptionsError {
    path: PathBuf,
    reason: String,
}

/// Whose address an application sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Whose {
    /// That of its client; takes `CAP_NET_ADMIN`, and rules that lead answers back
    Client,
    /// That of the relay
    Relay,
}

impl Options {
    /// These, and what they leave open as a file says it.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(crate) fn with_file(self) -> Result<Self, OptionsError> {
        match self.config.clone() {
            Some(path) => Ok(self.or(read(&path)?)),
            None => Ok(self),
        }
    }

    fn or(self, file: Self) -> Self {
        let aliases = match self.trust_domain_aliases {
            aliases if aliases.is_empty() => file.trust_domain_aliases,
            aliases => aliases,
        };
        Self {
            config: self.config,
            snapshot: self.snapshot.or(file.snapshot),
            workload: self.workload.or(file.workload),
            certificates: self.certificates.or(file.certificates),
            authority: self.authority.or(file.authority),
            revocations: self.revocations.or(file.revocations),
            trust_domain_aliases: aliases,
            outbound: self.outbound.or(file.outbound),
            plaintext: self.plaintext.or(file.plaintext),
            tunnels: self.tunnels.or(file.tunnels),
            source: self.source.or(file.source),
            outbound_source: self.outbound_source.or(file.outbound_source),
            mark: self.mark.or(file.mark),
            drain: self.drain.or(file.drain),
            handshake: self.handshake.or(file.handshake),
            handover: self.handover.or(file.handover),
            threads: self.threads.or(file.threads),
            admin: self.admin.or(file.admin),
            metrics: self.metrics.or(file.metrics),
            status: self.status.or(file.status),
            log: self.log.or(file.log),
            log_format: self.log_format.or(file.log_format),
        }
    }
}

/// Octets that a file with options may have.
const MOST: u64 = 1 << 20;

fn read(path: &Path) -> Result<Options, OptionsError> {
    let failed = |reason: String| OptionsError {
        path: path.to_owned(),
        reason,
    };
    let text = read_text(path, MOST).map_err(|error| failed(error.to_string()))?;
    parse(&text).map_err(failed)
}

/// Reads the text of a file.
///
/// # Errors
///
/// Why it cannot be read.
pub(crate) fn parse(text: &str) -> Result<Options, String> {
    let options: Result<Option<Options>, _> = serde_yaml::from_str(text);
    let options = options.map_err(|error| error.to_string())?;
    Ok(options.unwrap_or_default())
}

/// Reads a value as it would stand on the command line.
fn text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let text = Option::<String>::deserialize(deserializer)?;
    let value = text.map(|text| text.parse());
    value.transpose().map_err(serde::de::Error::custom)
}

/// A number, in hexadecimal after `0x`.
fn number(text: &str) -> Result<u32, std::num::ParseIntError> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    }
}

/// A time: `250ms`, `5s`, `10m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Duration);

/// A text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time: write `250ms`, `5s` or `10m`")]
pub(crate) struct TimeError(String);

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let units = [("ms", 1), ("s", 1000), ("m", 60_000)];
        let read = units.into_iter().find_map(|(unit, milliseconds)| {
            let number = text.strip_suffix(unit)?;
            // `parse` would take a sign.
            let is_number = number.bytes().all(|octet| octet.is_ascii_digit());
            let number: u64 = is_number.then(|| number.parse().ok())??;
            Some(Duration::from_millis(number.checked_mul(milliseconds)?))
        });
        read.map(Self).ok_or_else(|| TimeError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        let read = |text: &str| text.parse::<Time>().map(|time| time.0.as_millis()).ok();
        assert_eq!(
            [
                "250ms", "5s", "0s", "10m", "5", "s", "-5s", "+5s", "1.5s", "5h"
            ]
            .map(read),
            [
                Some(250),
                Some(5000),
                Some(0),
                Some(600_000),
                None,
                None,
                None,
                None,
                None,
                None
            ]
        );
    }

    #[test]
    fn what_the_command_line_says_counts_and_the_file_says_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy.yaml");
        let file = "
snapshot: a.yaml
workload: shop/web/web
drain: 30s
log: info,access=debug
log-format: json
source: relay
tunnels: 127.0.0.1:1
trust-domain-aliases: [old]
";
        std::fs::write(&path, file).unwrap();
        let options = Options {
            config: Some(path.clone()),
            drain: Some("1s".parse().unwrap()),
            ..Options::default()
        };
        let options = options.with_file().unwrap();
        assert_eq!(options.drain, Some("1s".parse().unwrap()));
        assert_eq!(options.source, Some(Whose::Relay));
        assert_eq!(options.workload, Some("shop/web/web".parse().unwrap()));
        assert_eq!(options.trust_domain_aliases, ["old"]);
        let mut told = String::new();
        for wrong in [
            "snapshots: a",
            "drain: 5",
            "workload: web",
            "tunnels: here",
            "- a",
        ] {
            std::fs::write(&path, wrong).unwrap();
            let options = Options {
                config: Some(path.clone()),
                ..Options::default()
            };
            let error = options.with_file().unwrap_err().to_string();
            told += &error.replace(&path.display().to_string(), "PATH");
            told.push('\n');
        }
        insta::assert_snapshot!(told, @"
        cannot read `PATH`: unknown field `snapshots`, expected one of `snapshot`, `workload`, `certificates`, `authority`, `revocations`, `trust-domain-aliases`, `outbound`, `plaintext`, `tunnels`, `source`, `outbound-source`, `mark`, `drain`, `handshake`, `handover`, `threads`, `admin`, `metrics`, `status`, `log`, `log-format`
        cannot read `PATH`: `5` is no time: write `250ms`, `5s` or `10m`
        cannot read `PATH`: `web` is not of the form `NAMESPACE/NAME/SERVICE-ACCOUNT`
        cannot read `PATH`: tunnels: invalid socket address syntax at line 1 column 10
        cannot read `PATH`: invalid type: sequence, expected options by their names
        ");
    }

    #[test]
    fn numbers_may_be_hexadecimal() {
        assert_eq!([number("1337"), number("0x539")], [Ok(1337), Ok(0x539)]);
        assert!(number("0x").is_err() && number("539x").is_err());
    }
}
