use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use ambient_hbone::authority::Target;
use ambient_hbone::headers::{Baggage, Traceparent, WorkloadKind};
use ambient_hbone::tunnel::ConnectError;
use ambient_identity::{HandshakeError, PeerFault, SpiffeId, StoreError};
use ambient_runtime::log::{Log, LogOptions};
use ambient_runtime::metrics::{Exposition, Metrics};
use http::StatusCode;
use tokio::time::{advance, sleep};
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

use super::*;
use crate::copy::{Ending, Side};
use crate::report::{End, Failure};
use crate::route::Refusal;
use crate::snapshot::{Service, Snapshot, Workload};

mod bounds;
mod gauges;
mod lines;
mod series;

/// What the log and the metrics of ztunnel that ours are held against were recorded of: a client and
/// a server of one namespace, a Service before the server, and somebody outside of the mesh.
const MESH: &str = "
workloads:
- {uid: c//Pod/shop/client, name: client-66ff8898df-x5n9v, namespace: shop, serviceAccount: default,
   workloadName: client, canonicalName: client, canonicalRevision: latest, clusterId: Kubernetes,
   protocol: HBONE, workloadIps: [10.244.1.4], services: {}}
- {uid: c//Pod/shop/server, name: server-745758887c-hkw9h, namespace: shop, serviceAccount: default,
   workloadName: server, canonicalName: server, canonicalRevision: latest, clusterId: Kubernetes,
   protocol: HBONE, workloadIps: [10.244.2.5], services: {shop/server.shop.svc.cluster.local: {8080: 8080}}}
- {uid: c//Pod/outside/plain, name: plain, namespace: outside, workloadName: plain,
   canonicalName: plain, canonicalRevision: latest, clusterId: Kubernetes,
   workloadIps: [10.244.2.9], services: {}}
services:
- {name: server, namespace: shop, hostname: server.shop.svc.cluster.local, vips: [/10.96.240.189],
   ports: {8080: 8080}}
";

/// Telemetry with a log in memory, whose clock stands still.
struct Setup {
    telemetry: Telemetry,
    metrics: Metrics,
    log: Log,
    lines: Memory,
    snapshot: Snapshot,
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As long as `tracing` has seen one subscriber alone, it takes that of the thread that comes to a
/// place first for all there are.
static OTHERS: LazyLock<[Dispatch; 2]> =
    LazyLock::new(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::new())));

fn setup(bounds: Bounds, filter: &str) -> Setup {
    LazyLock::force(&OTHERS);
    let lines = Memory::default();
    let options = LogOptions {
        now: || SystemTime::UNIX_EPOCH,
        filter: filter.parse().unwrap(),
        ..LogOptions::default()
    };
    let mut metrics = Metrics::default();
    Setup {
        telemetry: Telemetry::new(metrics.registry(), bounds),
        metrics,
        log: Log::start(lines.clone(), options).unwrap(),
        lines,
        snapshot: Snapshot::from_yaml("mesh.yaml".as_ref(), MESH).unwrap(),
    }
}

impl Setup {
    fn workload(&self, address: &str) -> Option<Arc<Workload>> {
        self.snapshot
            .workload_at("", address.parse().unwrap())
            .cloned()
    }

    fn service(&self) -> Option<Arc<Service>> {
        self.snapshot
            .service_at("", "10.96.240.189".parse().unwrap())
            .cloned()
    }

    /// A connection of the client to the Service, through a tunnel, at either relay.
    fn tunnelled(&self, direction: Direction) -> About {
        let identity: SpiffeId = "spiffe://cluster.local/ns/shop/sa/default".parse().unwrap();
        let source = match direction {
            Direction::Outbound => "10.244.1.4:46366",
            Direction::Inbound => "10.244.1.4:56450",
        };
        About {
            direction,
            source: address(source),
            client: self.workload("10.244.1.4"),
            client_identity: Some(identity.clone()),
            client_baggage: None,
            original: address("10.96.240.189:8080"),
            destination: address("10.244.2.5:15008"),
            target: Some(Target::Address(address("10.244.2.5:8080"))),
            server: self.workload("10.244.2.5"),
            server_identity: Some(identity),
            service: self.service(),
            trace: None,
        }
    }

    /// The same in the clear.
    fn plain(&self, direction: Direction) -> About {
        About {
            client_identity: None,
            target: None,
            server_identity: None,
            destination: address("10.244.2.5:8080"),
            ..self.tunnelled(direction)
        }
    }

    /// Does something that is logged, and gives the lines of it without their time.
    async fn logged(&self, work: impl Future<Output = ()>) -> String {
        let guard = tracing::subscriber::set_default(self.log.subscriber());
        work.await;
        drop(guard);
        assert!(self.log.flush(Duration::from_secs(30)));
        let bytes = std::mem::take(&mut *self.lines.0.lock().unwrap());
        String::from_utf8(bytes)
            .unwrap()
            .replace("1970-01-01T00:00:00.000000Z\t", "")
    }

    /// The exposition of metrics whose names begin so, without what explains them.
    fn exposed(&self, prefix: &str) -> String {
        let text = self.metrics.expose(Exposition::OpenMetrics);
        let lines = text.lines().filter(|line| line.starts_with(prefix));
        lines
            .map(|line| format!("{line}\n"))
            .collect::<Vec<_>>()
            .concat()
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Opens a connection, lets it carry octets for some time, and closes it.
async fn carry(telemetry: &Telemetry, about: About, octets: [u64; 2], end: End) {
    let record = telemetry.open(about);
    record.connected(Duration::from_micros(700));
    record.passed(Side::Client, octets[0]);
    advance(Duration::from_millis(1)).await;
    record.passed(Side::Server, octets[1]);
    record.close(&end);
}

fn finished() -> End {
    End::Over(Ending::Finished(Side::Client))
}
