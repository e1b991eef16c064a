//! What the options come to.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ambient_facts::tunnel::SPIFFE_SCHEME;
use ambient_facts::{marks, ports};
use ambient_identity::SpiffeId;
use ambient_runtime::log::LogOptions;
use ambient_ztunnel::snapshot::WorkloadName;
use ambient_ztunnel::socket::{SocketOptions, Source};
use serde_json::{Value, json};

use crate::options::{Options, OptionsError, Time, Whose};

/// How long connections may go on by default (ztunnel `src/config.rs`).
const DRAIN: Duration = Duration::from_secs(5);

/// What scopes of events begin with: the access log, the crates of this workspace that log, and those
/// below them.
const SCOPES: &[&str] = &["access", "h2", "proxy", "runtime", "ztunnel"];

/// Everything that the relay needs to know, decided.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) snapshot: PathBuf,
    pub(crate) workload: WorkloadName,
    pub(crate) certificates: Certificates,
    pub(crate) revocations: Option<PathBuf>,
    pub(crate) trust_domain_aliases: Vec<String>,
    pub(crate) listen: Listen,
    pub(crate) sockets: SocketOptions,
    pub(crate) drain: Duration,
    pub(crate) handshake: Option<Duration>,
    pub(crate) handover: Option<PathBuf>,
    pub(crate) threads: usize,
    pub(crate) log: LogOptions,
}

/// Where certificates come from.
#[derive(Debug, Clone)]
pub(crate) enum Certificates {
    /// A folder that has one.
    Folder(PathBuf),
    /// A folder with an authority.
    Authority(PathBuf),
}

/// Where things come in.
#[derive(Debug, Clone)]
pub(crate) struct Listen {
    pub(crate) outbound: Place,
    pub(crate) plaintext: Place,
    pub(crate) tunnels: Place,
    pub(crate) admin: Place,
    pub(crate) metrics: Place,
    pub(crate) status: Place,
}

/// An address, or a port of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// This one.
    At(SocketAddr),
    /// All, of both families where there are both.
    Anywhere(u16),
}

/// Options do not come to anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsError {
    /// What they are.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// Something is missing.
    #[error("`--{option}` is missing: {what}")]
    Missing {
        /// The option.
        option: &'static str,
        /// What it is for.
        what: &'static str,
    },
    /// More or fewer threads than there is work for.
    #[error("`--threads {0}`: take 1 to {MOST_THREADS}")]
    Threads(usize),
    /// No time for handshakes.
    #[error("`--handshake 0s`: nobody would get in; take a time, as `5s`")]
    Handshake,
    /// What is no trust domain.
    #[error(
        "`--trust-domain-aliases`: `{0}` is no trust domain; it is as between `{SPIFFE_SCHEME}` and the \
         next `/` of an identity"
    )]
    Alias(String),
    /// Two that say different things.
    #[error("`--certificates` and `--authority` exclude each other")]
    Both,
}

/// The most threads that serve connections: more than processors are of no use, and there are few
/// machines with more of these.
const MOST_THREADS: usize = 1024;

fn threads(asked: Option<usize>) -> Result<usize, SettingsError> {
    match asked.unwrap_or(1) {
        threads @ 1..=MOST_THREADS => Ok(threads),
        threads => Err(SettingsError::Threads(threads)),
    }
}

/// Whether an identity may be in it.
fn is_trust_domain(name: &str) -> bool {
    format!("{SPIFFE_SCHEME}{name}/ns/a/sa/b")
        .parse::<SpiffeId>()
        .is_ok()
}

impl Settings {
    /// Decides what was left open.
    ///
    /// # Errors
    ///
    /// When something cannot be left open.
    pub(crate) fn resolve(options: Options) -> Result<Self, SettingsError> {
        let missing = |option, what| SettingsError::Missing { option, what };
        let certificates = match (options.certificates, options.authority) {
            (Some(folder), None) => Certificates::Folder(folder),
            (None, Some(folder)) => Certificates::Authority(folder),
            (Some(_), Some(_)) => return Err(SettingsError::Both),
            (None, None) => {
                return Err(missing(
                    "certificates",
                    "the folder of the workload's certificate",
                ));
            }
        };
        let mut aliases = options.trust_domain_aliases.iter();
        if let Some(alias) = aliases.find(|alias| !is_trust_domain(alias)) {
            return Err(SettingsError::Alias(alias.clone()));
        }
        if options.handshake.is_some_and(|Time(time)| time.is_zero()) {
            return Err(SettingsError::Handshake);
        }
        let place = |at: Option<SocketAddr>, port| at.map_or(Place::Anywhere(port), Place::At);
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::SIDECAR_ADMIN));
        let source = match options.source {
            Some(Whose::Relay) => Source::Relay,
            Some(Whose::Client) | None => Source::Client,
        };
        let mut log = LogOptions {
            scopes: SCOPES,
            ..LogOptions::default()
        };
        log.format = options.log_format.unwrap_or(log.format);
        log.filter = options.log.unwrap_or(log.filter);
        Ok(Self {
            snapshot: (options.snapshot)
                .ok_or_else(|| missing("snapshot", "the file with workloads and services"))?,
            workload: (options.workload)
                .ok_or_else(|| missing("workload", "NAMESPACE/NAME/SERVICE-ACCOUNT"))?,
            certificates,
            revocations: options.revocations,
            trust_domain_aliases: options.trust_domain_aliases,
            listen: Listen {
                outbound: place(options.outbound, ports::OUTBOUND),
                plaintext: place(options.plaintext, ports::INBOUND_PLAINTEXT),
                tunnels: place(options.tunnels, ports::HBONE),
                admin: Place::At(options.admin.unwrap_or(loopback)),
                metrics: place(options.metrics, ports::METRICS),
                status: place(options.status, ports::STATUS),
            },
            sockets: SocketOptions {
                source,
                outbound: options.outbound_source,
                mark: match options.mark {
                    Some(0) => None,
                    // Without it rules that capture would lead the relay's own packets back to it.
                    None => (source == Source::Client).then_some(marks::RELAY),
                    mark => mark,
                },
                ..SocketOptions::default()
            },
            drain: options.drain.map_or(DRAIN, |Time(time)| time),
            handshake: options.handshake.map(|Time(time)| time),
            handover: options.handover,
            threads: threads(options.threads)?,
            log,
        })
    }
}

impl Settings {
    /// What administration shows of them.
    pub(crate) fn shown(&self) -> Value {
        json!({
            "workload": self.workload.to_string(),
            "snapshot": self.snapshot,
            "drainSeconds": self.drain.as_secs_f64(),
            "threads": self.threads,
            "preservesSource": self.sockets.source == Source::Client,
            "packetMark": self.sockets.mark,
        })
    }
}

impl Place {
    /// The addresses to try, one after the other.
    pub(crate) fn addresses(self) -> Vec<SocketAddr> {
        match self {
            Self::At(address) => vec![address],
            // Where there is no IPv6, the second is left.
            Self::Anywhere(port) => vec![
                (Ipv6Addr::UNSPECIFIED, port).into(),
                (Ipv4Addr::UNSPECIFIED, port).into(),
            ],
        }
    }
}
