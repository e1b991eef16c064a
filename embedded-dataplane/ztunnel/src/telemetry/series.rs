//! What is counted of connections, for each set of labels.
//!
//! ztunnel keeps every set of labels that it ever saw. Here a set that nobody counts with any more
//! goes after a while, or when others need its room; who comes back begins at zero, which is what
//! readers of counters take a restart for. Where there is room for none, connections are counted
//! together under unknown labels.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ambient_identity::SpiffeId;
use ambient_runtime::metrics::{counter, gauge};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use tokio::time::Instant;

use super::intern::Interner;
use super::labels::{Flag, Key, Labels, OfService, Side};
use crate::report::Direction;

/// How much is counted apart.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Sets of labels at once; each takes about a kilobyte, and five lines of a scrape.
    pub series: usize,
    /// How long a set of labels is kept that no connection has. Whoever scrapes comes more often.
    pub idle: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            series: 4096,
            idle: Duration::from_hours(1),
        }
    }
}

/// What is counted for one set of labels.
#[derive(Debug)]
pub(super) struct Series {
    labels: Labels,
    pub(super) opened: AtomicU64,
    pub(super) closed: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
    /// When a connection last had it, in seconds since the table was made.
    used: AtomicU64,
}

/// All that is counted.
#[derive(Debug)]
pub(super) struct Table {
    bounds: Bounds,
    made: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    series: BTreeMap<Key, Arc<Series>>,
    sides: Interner<Side>,
    services: Interner<OfService>,
    principals: Interner<SpiffeId>,
    /// Sets of labels that were counted with others for want of room.
    crowded: u64,
    /// Nobody could make room then.
    looked: Option<Instant>,
}

/// Of whom labels are made.
#[derive(Debug, Clone)]
pub(super) struct Of<'a> {
    pub(super) direction: Direction,
    pub(super) source: Side,
    pub(super) source_principal: Option<&'a SpiffeId>,
    pub(super) service: Option<OfService>,
    pub(super) destination: Side,
    pub(super) destination_principal: Option<&'a SpiffeId>,
    pub(super) is_secured: bool,
}

impl Table {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            made: Instant::now(),
            inner: Mutex::default(),
        }
    }

    /// Labels, and what is counted with them.
    pub(super) fn open(&self, of: &Of<'_>) -> (Labels, Arc<Series>) {
        let mut inner = self.inner();
        let labels = inner.labels(of);
        let series = self.find(&mut inner, &labels);
        (labels, series)
    }

    /// What is counted with other labels.
    pub(super) fn series(&self, labels: &Labels) -> Arc<Series> {
        self.find(&mut self.inner(), labels)
    }

    /// A connection has no use for it any more.
    pub(super) fn release(&self, series: &Series) {
        series.used.store(self.now(), Ordering::Relaxed);
    }

    fn find(&self, inner: &mut Inner, labels: &Labels) -> Arc<Series> {
        if let Some(series) = inner.series.get(&labels.key()) {
            return Arc::clone(series);
        }
        if inner.series.len() < self.bounds.series || self.make_room(inner) {
            return inner.add(labels.clone(), self.now());
        }
        inner.crowded += 1;
        let unknown = Of {
            direction: labels.direction,
            source: Side::Unknown,
            source_principal: None,
            service: None,
            destination: Side::Unknown,
            destination_principal: None,
            is_secured: labels.is_secured,
        };
        let unknown = inner.labels(&unknown).failed(labels.flag);
        match inner.series.get(&unknown.key()) {
            Some(series) => Arc::clone(series),
            None => inner.add(unknown, self.now()),
        }
    }

    /// Takes a quarter of those away that no connection has, the least lately used first. Says
    /// whether there is room.
    fn make_room(&self, inner: &mut Inner) -> bool {
        let now = Instant::now();
        let looked = inner.looked.replace(now);
        if looked.is_some_and(|looked| now.duration_since(looked) < Duration::from_secs(1)) {
            return false;
        }
        let idle = inner.series.iter().filter(|(_, series)| series.is_idle());
        let mut idle: Vec<_> = idle
            .map(|(key, series)| (series.used.load(Ordering::Relaxed), *key))
            .collect();
        idle.sort_unstable();
        idle.truncate(self.bounds.series.div_ceil(4));
        for (_, key) in &idle {
            inner.series.remove(key);
        }
        if !idle.is_empty() {
            inner.looked = None;
        }
        inner.series.len() < self.bounds.series
    }

    /// Takes those away that no connection has had for long, and lists the others.
    fn list(&self) -> (Vec<Arc<Series>>, u64) {
        let longest = self.bounds.idle.as_secs();
        let now = self.now();
        let mut inner = self.inner();
        inner.series.retain(|_, series| {
            let idle = now.saturating_sub(series.used.load(Ordering::Relaxed));
            !series.is_idle() || idle < longest
        });
        (inner.series.values().cloned().collect(), inner.crowded)
    }

    fn now(&self) -> u64 {
        self.made.elapsed().as_secs()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn labels(&mut self, of: &Of<'_>) -> Labels {
        Labels {
            direction: of.direction,
            source: self.sides.intern(&of.source),
            source_principal: of.source_principal.map(|p| self.principals.intern(p)),
            service: of.service.as_ref().map(|s| self.services.intern(s)),
            destination: self.sides.intern(&of.destination),
            destination_principal: of.destination_principal.map(|p| self.principals.intern(p)),
            flag: Flag::None,
            is_secured: of.is_secured,
        }
    }

    fn add(&mut self, labels: Labels, now: u64) -> Arc<Series> {
        let key = labels.key();
        let series = Arc::new(Series {
            labels,
            opened: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            used: AtomicU64::new(now),
        });
        self.series.insert(key, Arc::clone(&series));
        series
    }
}

impl Series {
    /// Nobody holds it but the table, which alone gives it to others.
    fn is_idle(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1
    }
}

/// One of the counters, and when it is shown.
struct Counted {
    name: &'static str,
    help: &'static str,
    value: fn(&Series) -> &AtomicU64,
    /// Octets are shown from the first connection on, though it carries none.
    is_shown: fn(&Series) -> bool,
}

const COUNTED: [Counted; 5] = [
    Counted {
        name: "istio_tcp_connections_opened",
        help: "Connections that were opened.",
        value: |series| &series.opened,
        is_shown: |series| is_set(&series.opened),
    },
    Counted {
        name: "istio_tcp_connections_closed",
        help: "Connections that were closed.",
        value: |series| &series.closed,
        is_shown: |series| is_set(&series.closed),
    },
    Counted {
        name: "istio_tcp_received_bytes",
        help: "Octets from clients to servers.",
        value: |series| &series.received,
        is_shown: |series| is_set(&series.opened),
    },
    Counted {
        name: "istio_tcp_sent_bytes",
        help: "Octets from servers to clients.",
        value: |series| &series.sent,
        is_shown: |series| is_set(&series.opened),
    },
    Counted {
        name: "istio_tcp_connections_failed",
        help: "Connections that failed.",
        value: |series| &series.failed,
        is_shown: |series| is_set(&series.failed),
    },
];

fn is_set(counter: &AtomicU64) -> bool {
    counter.load(Ordering::Relaxed) > 0
}

/// Shows a table.
#[derive(Debug)]
pub(super) struct OfTable(pub(super) Arc<Table>);

impl Collector for OfTable {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (all, crowded) = self.0.list();
        for counted in &COUNTED {
            let Counted { name, help, .. } = counted;
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for series in all.iter().filter(|series| (counted.is_shown)(series)) {
                let value = (counted.value)(series).load(Ordering::Relaxed);
                let metric = family.encode_family(&series.labels)?;
                ConstCounter::new(value).encode(metric)?;
            }
        }
        let help = "Sets of labels that connections are counted for.";
        gauge(&mut encoder, "ambient_tcp_series", help, all.len())?;
        let help = "Sets of labels that were counted as unknown for want of room.";
        counter(&mut encoder, "ambient_tcp_series_crowded", help, crowded)
    }
}
