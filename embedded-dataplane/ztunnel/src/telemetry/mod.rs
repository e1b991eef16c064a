//! What the relay counts and logs of connections, under Istio's names, and of itself.
//!
//! A connection has a record from when it is decided where it goes until it is over. Its octets are
//! counted while they pass, its line of the access log is written when the record is closed or
//! dropped, and nothing that a client says makes this grow without bound.

mod gauges;
mod intern;
mod labels;
mod open;
mod outcome;
mod record;
mod series;
mod sparse;

use std::sync::Arc;
use std::time::Duration;

use ambient_identity::HandshakeError;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use self::labels::reporter;
use self::record::{Record, TARGET};
use self::series::{OfTable, Table};
use self::sparse::Sparse;
use crate::report::{self, About, Direction, Early, Failure, Handshake, Observer, TlsFailure};

pub use self::gauges::{watch_certificates, watch_inbound, watch_pool};
pub use self::open::OpenConnection;
pub use self::series::Bounds;

/// Ends of the buckets of times, in seconds: from what a machine needs for one step to what users
/// give up at.
const BUCKETS: [f64; 14] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0,
];

/// How many lines a second tell of what anybody can bring about.
const LINES: u32 = 10;

/// What is counted and logged of connections. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct Telemetry(Arc<Inner>);

/// How long a step takes, in either direction.
#[derive(Debug)]
struct Times(Family<OfDirection, Histogram, fn() -> Histogram>);

#[derive(Debug)]
struct Inner {
    table: Arc<Table>,
    open: open::Open,
    sockets: Family<OfDirection, Gauge>,
    refused: Family<OfReason, Counter>,
    ended: Family<OfEnd, Counter>,
    handshake: Times,
    unproved: Family<OfReason, Counter>,
    connect: Times,
    first_byte: Times,
    lines: Sparse,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDirection {
    reporter: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEnd {
    reporter: &'static str,
    by: &'static str,
    how: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReason {
    reporter: &'static str,
    reason: &'static str,
}

impl Telemetry {
    /// Registers everything that is counted.
    pub fn new(registry: &mut Registry, bounds: Bounds) -> Self {
        let inner = Inner {
            table: Arc::new(Table::new(bounds)),
            open: open::Open::default(),
            sockets: Family::default(),
            refused: Family::default(),
            ended: Family::default(),
            handshake: Times::new(),
            unproved: Family::default(),
            connect: Times::new(),
            first_byte: Times::new(),
            lines: Sparse::new(LINES),
        };
        inner.register(registry);
        Self(Arc::new(inner))
    }

    /// Connections that are open, in the order in which they were opened.
    pub fn connections(&self) -> Vec<OpenConnection> {
        self.0.open.list()
    }
}

impl Observer for Telemetry {
    fn open(&self, about: About) -> Box<dyn report::Record> {
        Box::new(Record::open(&self.0, about))
    }

    fn refuse(&self, early: &Early<'_>) {
        let direction = early.direction;
        let labels = OfReason {
            reporter: reporter(direction),
            reason: why(early.failure),
        };
        self.0.refused.get_or_create(&labels).inc();
        if let Some(untold) = self.0.lines.take() {
            tracing::event!(
                target: TARGET,
                parent: None,
                tracing::Level::WARN,
                src.addr = %early.source,
                dst.addr = %early.destination,
                direction = direction.to_string(),
                untold = some(untold),
                error = outcome::reason(early.failure),
                "connection failed"
            );
        }
    }

    fn handshake(&self, handshake: &Handshake<'_>) {
        let direction = handshake.direction;
        match handshake.outcome {
            Ok(_) => self.0.handshake.observe(direction, handshake.took),
            Err(error) => {
                let labels = OfReason {
                    reporter: reporter(direction),
                    reason: reason(error),
                };
                // It is told with the connection that it was for.
                self.0.unproved.get_or_create(&labels).inc();
            }
        }
    }
}

impl Inner {
    fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(OfTable(Arc::clone(&self.table))));
        let help = "Connections that are open";
        registry.register("istio_tcp_sockets_open", help, self.sockets.clone());
        let help = "Connections by who ended them, and how";
        registry.register("ambient_tcp_connections_ended", help, self.ended.clone());
        let help = "Connections that were refused before they went anywhere";
        registry.register(
            "ambient_tcp_connections_refused",
            help,
            self.refused.clone(),
        );
        let help = "How long handshakes of TLS took that succeeded, from the first octet on";
        let name = "ambient_tls_handshake_duration_seconds";
        registry.register(name, help, self.handshake.0.clone());
        let help = "Handshakes of TLS that failed";
        registry.register("ambient_tls_handshakes_failed", help, self.unproved.clone());
        let help = "How long it took until there was a way to the server";
        registry.register(
            "ambient_connect_duration_seconds",
            help,
            self.connect.0.clone(),
        );
        let help = "How long it took from there until the first octet of the server";
        let name = "ambient_first_byte_duration_seconds";
        registry.register(name, help, self.first_byte.0.clone());
    }

    fn sockets(&self, direction: Direction) -> Gauge {
        self.sockets.get_or_create_owned(&of(direction))
    }

    fn ended(&self, direction: Direction, by: &'static str, how: &'static str) -> Counter {
        self.ended.get_or_create_owned(&OfEnd {
            reporter: reporter(direction),
            by,
            how,
        })
    }
}

impl Times {
    fn new() -> Self {
        Self(Family::new_with_constructor(|| Histogram::new(BUCKETS)))
    }

    fn observe(&self, direction: Direction, time: Duration) {
        let times = self.0.get_or_create(&of(direction));
        times.observe(time.as_secs_f64());
    }
}

/// A number that is left out where it is nothing.
fn some(number: u64) -> Option<u64> {
    (number > 0).then_some(number)
}

fn of(direction: Direction) -> OfDirection {
    let reporter = reporter(direction);
    OfDirection { reporter }
}

/// Why a connection went nowhere, in one of few words.
fn why(failure: &Failure) -> &'static str {
    match failure {
        Failure::Refused(_) => "route",
        Failure::BadRequest(_) => "request",
        Failure::Unwanted(_) => "unwanted",
        Failure::Identity(_) => "certificate",
        Failure::Connect(_) | Failure::Silence { .. } => "connect",
        Failure::Tls(_) => "tls",
        Failure::Http2(_) => "http2",
        Failure::NoWay(_) | Failure::Stream(_) | Failure::NoTunnel(_) => "tunnel",
        Failure::Full(_) | Failure::Crowded(_) => "crowded",
    }
}

/// Why a handshake failed, in one of few words.
fn reason(error: &TlsFailure) -> &'static str {
    match error {
        TlsFailure::Handshake(HandshakeError::Peer(_)) => "peer",
        TlsFailure::Handshake(HandshakeError::Tls(_)) => "tls",
        TlsFailure::Handshake(HandshakeError::Io(_)) => "io",
        TlsFailure::Late(_) => "late",
        TlsFailure::Crowded => "crowded",
    }
}

#[cfg(test)]
mod tests;
