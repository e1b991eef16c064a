//! What is told of one connection: counted while it is open, logged once when it closes, however
//! that comes about.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ambient_hbone::authority::Target;
use ambient_identity::SpiffeId;
use tokio::time::Instant;

use super::Inner;
use super::intern::Interned;
use super::labels::{Flag, Labels, OfService, Side as OfSide};
use super::open::OpenConnection;
use super::outcome::Outcome;
use super::series::{Of, Series};
use crate::copy::{Meter, Side};
use crate::report::{self, About, Direction, End};
use crate::snapshot::Workload;

/// One connection. When it is dropped, the connection is closed.
#[derive(Debug)]
pub(super) struct Record {
    telemetry: Arc<Inner>,
    labels: Labels,
    series: Arc<Series>,
    number: u64,
    source: SocketAddr,
    client: Option<Arc<Workload>>,
    destination: SocketAddr,
    server: Option<Arc<Workload>>,
    target: Option<Target>,
    trace: Option<u128>,
    begun: Instant,
    /// Microseconds from the beginning until there was a way to the server, and one more; 0 until
    /// then, and again once the server has answered.
    waiting: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    outcome: Outcome,
}

impl Record {
    /// A connection opens.
    pub(super) fn open(telemetry: &Arc<Inner>, about: About) -> Self {
        let (client, server) = (about.client, about.server);
        let source = client.as_ref().map_or_else(
            || {
                OfSide::told(
                    about.client_baggage.as_ref(),
                    about.client_identity.as_ref(),
                )
            },
            |known| OfSide::Known(Arc::clone(known)),
        );
        let destination = server.as_ref();
        let is_secured = about.client_identity.is_some() && about.server_identity.is_some();
        // Whom the server should be, where nobody has to prove it (ztunnel has it from xDS).
        let expected = destination.map(|workload| &workload.identity);
        let (labels, series) = telemetry.table.open(&Of {
            direction: about.direction,
            source,
            source_principal: about.client_identity.as_ref(),
            service: about.service.map(OfService),
            destination: destination.map_or(OfSide::Unknown, |w| OfSide::Known(Arc::clone(w))),
            destination_principal: about.server_identity.as_ref().or(expected),
            is_secured,
        });
        series.opened.fetch_add(1, Ordering::Relaxed);
        telemetry.sockets(about.direction).inc();
        let number = telemetry.open.add(OpenConnection {
            direction: about.direction,
            source: about.source,
            asked: about.original,
            destination: about.destination,
            is_tunnelled: about.target.is_some(),
        });
        let record = Self {
            telemetry: Arc::clone(telemetry),
            labels,
            series,
            number,
            source: about.source,
            client,
            destination: about.destination,
            server,
            target: about.target,
            trace: about.trace.map(ambient_hbone::headers::Traceparent::trace),
            begun: Instant::now(),
            waiting: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            outcome: Outcome::dropped(),
        };
        record.log_opened();
        record
    }

    fn first_answer(&self) {
        let connected = self.waiting.swap(0, Ordering::Relaxed);
        if connected > 0 {
            let since = self.begun + Duration::from_micros(connected - 1);
            let times = &self.telemetry.first_byte;
            times.observe(self.labels.direction, since.elapsed());
        }
    }
}

impl Meter for Record {
    fn passed(&self, from: Side, octets: u64) {
        match from {
            Side::Client => {
                self.received.fetch_add(octets, Ordering::Relaxed);
                self.series.received.fetch_add(octets, Ordering::Relaxed);
            }
            Side::Server => {
                self.sent.fetch_add(octets, Ordering::Relaxed);
                self.series.sent.fetch_add(octets, Ordering::Relaxed);
                if self.waiting.load(Ordering::Relaxed) > 0 {
                    self.first_answer();
                }
            }
        }
    }
}

impl report::Record for Record {
    fn connected(&self, after: Duration) {
        self.telemetry.connect.observe(self.labels.direction, after);
        let now = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.waiting.store(now.saturating_add(1), Ordering::Relaxed);
    }

    fn close(mut self: Box<Self>, end: &End) {
        self.outcome = Outcome::of(end);
    }
}

/// The target of access logs (ztunnel `src/proxy/metrics.rs`).
pub(super) const TARGET: &str = "access";

/// One event of a connection. What is absent is left out.
macro_rules! access {
    ($level:ident, $record:expr, $message:literal $(, $($field:tt)+)?) => {{
        let Record { labels, client, server, .. } = $record;
        let identity = |principal: &Option<Arc<Interned<SpiffeId>>>| {
            let principal = principal.as_ref().filter(|_| labels.is_secured);
            principal.map(|principal| principal.value.to_string())
        };
        tracing::event!(
            target: TARGET,
            // Spans are of the task, and of no use to who reads these lines.
            parent: None,
            tracing::Level::$level,
            src.addr = %$record.source,
            src.workload = client.as_ref().map(|w| w.name.name.as_str()),
            src.namespace = client.as_ref().map(|w| w.name.namespace.as_str()),
            src.identity = identity(&labels.source_principal),
            src.cluster = client.as_ref().map(|w| w.cluster.as_str()),
            dst.addr = %$record.destination,
            dst.hbone_addr = $record.target.as_ref().map(tracing::field::display),
            dst.service = labels.service.as_ref().map(|s| s.value.0.hostname.as_str()),
            dst.workload = server.as_ref().map(|w| w.name.name.as_str()),
            dst.namespace = server.as_ref().map(|w| w.name.namespace.as_str()),
            dst.identity = identity(&labels.destination_principal),
            dst.cluster = server.as_ref().map(|w| w.cluster.as_str()),
            direction = labels.direction.to_string(),
            $($($field)+,)?
            $message
        );
    }};
}

impl Record {
    fn log_opened(&self) {
        access!(DEBUG, self, "connection opened", trace = self.trace());
    }

    fn trace(&self) -> Option<String> {
        self.trace.map(|trace| format!("{trace:032x}"))
    }

    fn log_closed(&self) {
        let received = self.received.load(Ordering::Relaxed);
        let sent = self.sent.load(Ordering::Relaxed);
        // From where the relay's own workload stands, other than in metrics.
        let (bytes_sent, bytes_recv) = match self.labels.direction {
            Direction::Outbound => (received, sent),
            Direction::Inbound => (sent, received),
        };
        let duration = format!("{}ms", self.begun.elapsed().as_millis());
        let trace = self.trace();
        let Outcome { by, how, .. } = self.outcome;
        match self.outcome.error.as_deref() {
            None => access!(
                INFO,
                self,
                "connection complete",
                bytes_sent,
                bytes_recv,
                duration,
                trace,
                closed.by = by,
                closed.how = how
            ),
            Some(error) => access!(
                ERROR,
                self,
                "connection complete",
                bytes_sent,
                bytes_recv,
                duration,
                trace,
                closed.by = by,
                closed.how = how,
                error
            ),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Outcome { by, how, flag, .. } = self.outcome;
        let inner = &self.telemetry;
        let direction = self.labels.direction;
        inner.open.remove(self.number);
        inner.sockets(direction).dec();
        inner.ended(direction, by, how).inc();
        if flag == Flag::None {
            self.series.closed.fetch_add(1, Ordering::Relaxed);
        } else {
            let failed = inner.table.series(&self.labels.failed(flag));
            failed.closed.fetch_add(1, Ordering::Relaxed);
            failed.failed.fetch_add(1, Ordering::Relaxed);
            inner.table.release(&failed);
        }
        inner.table.release(&self.series);
        self.log_closed();
    }
}
