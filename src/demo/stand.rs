//! One relay, with what it is asked by.

use std::net::SocketAddr;
use std::sync::Arc;

use ambient_identity::{
    Authority, FetchError, Issued, Pending, Source, SpiffeId, Store, StoreOptions, Trust,
};
use ambient_runtime::admin::{self, Limits, Quit};
use ambient_runtime::drain::Draining;
use ambient_runtime::log::Log;
use ambient_runtime::metrics::{Exposition, Metrics};
use ambient_runtime::readiness::Readiness;
use ambient_runtime::tasks::{Panics, Tasks};
use ambient_ztunnel::dump::Dump;
use ambient_ztunnel::relay::{Known, Parts, Relay, Settings};
use ambient_ztunnel::socket::{self, Destination, Listener, SocketOptions};
use ambient_ztunnel::telemetry::{Bounds, Telemetry, watch_certificates, watch_pool};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::mesh::{Mesh, Role, SERVICE};
use super::witness::Witness;
use super::{DemoError, Place};

/// What all relays have around them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'s> {
    pub(super) mesh: &'s Mesh,
    pub(super) authority: &'s Arc<Authority>,
    pub(super) draining: &'s Draining,
    pub(super) panics: &'s Panics,
    pub(super) log: &'s Log,
}

/// A relay at work.
#[derive(Debug)]
pub(super) struct Stand {
    known: Arc<Known>,
    outbound: Option<SocketAddr>,
    tunnel: Option<SocketAddr>,
    admin: SocketAddr,
    metrics: Arc<Metrics>,
    pub(super) witness: Witness,
    _sender: watch::Sender<Arc<Known>>,
    _relay: Arc<Relay>,
    _admin: Tasks,
}

/// A port of a workload that is taken, and not used yet.
#[derive(Debug)]
pub(super) struct Reserved(Listener);

impl Reserved {
    pub(super) fn address(&self) -> Result<SocketAddr, DemoError> {
        self.0.local_addr().map_err(|error| DemoError::Broken {
            what: "the system does not tell where it listens",
            error: error.into(),
        })
    }
}

/// Takes a port for the tunnels of a workload.
pub(super) async fn reserve(role: Role) -> Result<Reserved, DemoError> {
    let listener = listen(role).await?;
    let listener = Listener::of("tunnels", listener, Destination::Local, &sockets(role));
    Ok(Reserved(listener))
}

impl Stand {
    pub(super) async fn start(
        around: &Surroundings<'_>,
        role: Role,
        tunnels: Option<Reserved>,
    ) -> Result<Self, DemoError> {
        let known = Arc::new(around.mesh.known(role)?);
        let (sender, receiver) = watch::channel(Arc::clone(&known));
        let source = Shared(Arc::clone(around.authority));
        let store = Store::start(source, Trust::new([]), StoreOptions::default());
        let store = Arc::new(store);
        let mut metrics = Metrics::new("ztunnel", env!("CARGO_PKG_VERSION"), []);
        metrics.watch(Some(around.log), around.panics);
        let telemetry = Telemetry::new(metrics.registry(), Bounds::default());
        let witness = Witness::new(telemetry.clone());
        let parts = Parts {
            known: receiver,
            store: Arc::clone(&store),
            observer: Arc::new(witness.clone()),
            draining: around.draining.clone(),
            panics: around.panics.clone(),
            lanes: Vec::new(),
        };
        let settings = Settings {
            sockets: sockets(role),
            ..Settings::default()
        };
        let relay = Relay::new(parts, settings).map_err(|error| DemoError::Broken {
            what: "the relay does not start",
            error: error.into(),
        })?;
        let relay = Arc::new(relay);
        let (mut outbound, mut tunnel) = (None, None);
        if let Some(reserved) = tunnels {
            tunnel = Some(reserved.address()?);
            relay.take_tunnels(reserved.0);
        } else {
            let listener = listen(role).await?;
            outbound = listener.local_addr().ok();
            let to = Destination::Fixed(SERVICE);
            relay.take_outbound(Listener::of("outbound", listener, to, &sockets(role)));
        }
        let asked = Arc::downgrade(&relay);
        watch_pool(metrics.registry(), move || {
            asked
                .upgrade()
                .map(|relay| relay.pool())
                .unwrap_or_default()
        });
        let asked = Arc::clone(&store);
        watch_certificates(metrics.registry(), move || asked.list());
        let metrics = Arc::new(metrics);
        let admin = TcpListener::bind(SocketAddr::new(role.address(), 0)).await;
        let admin = admin.map_err(|error| of(role, error))?;
        let admin_at = admin.local_addr().map_err(|error| of(role, error))?;
        let tasks = Tasks::new(around.panics);
        let site = site(around.log, &metrics, &known, store, telemetry);
        tasks.spawn("admin", admin::serve(admin, site, Limits::default()));
        Ok(Self {
            known,
            outbound,
            tunnel,
            admin: admin_at,
            metrics,
            witness,
            _sender: sender,
            _relay: relay,
            _admin: tasks,
        })
    }

    pub(super) fn place(&self) -> Place {
        let own = &self.known.here.own;
        Place {
            workload: format!("{}/{}", own.name.namespace, own.name.name),
            identity: self.identity(),
            outbound: self.outbound,
            tunnel: self.tunnel,
            admin: self.admin,
        }
    }

    /// Who its workload is.
    pub(super) fn identity(&self) -> String {
        self.known.here.own.identity.to_string()
    }

    /// Where its clients connect.
    pub(super) fn outbound(&self) -> Option<SocketAddr> {
        self.outbound
    }

    /// The values of its metrics of this name, each with its labels.
    pub(super) fn counted(&self, name: &str) -> Vec<(String, u64)> {
        let text = self.metrics.expose(Exposition::OpenMetrics);
        let lines = text.lines().filter_map(|line| line.strip_prefix(name));
        let values = lines.filter_map(|rest| {
            let (labels, value) = rest.rsplit_once(' ')?;
            Some((labels.to_owned(), value.parse().ok()?))
        });
        values.collect()
    }
}

/// Everything that may be asked, on one port.
fn site(
    log: &Log,
    metrics: &Arc<Metrics>,
    known: &Arc<Known>,
    store: Arc<Store>,
    telemetry: Telemetry,
) -> admin::Site {
    let known = Arc::clone(known);
    let config = json!({"mode": "demonstration"});
    // It ends with the program, whose terminal is in front of whoever asks.
    let quit = Quit::default();
    admin::administration(Some(log.clone()), quit, move || {
        let dump = Dump {
            known: &known,
            certificates: &store.list(),
            connections: &telemetry.connections(),
            config: &config,
            version: env!("CARGO_PKG_VERSION"),
        };
        dump.to_json()
    })
    .and(admin::metrics(metrics))
    .and(admin::readiness(Readiness::default()))
}

/// How sockets of a relay are made: from its own address, which needs no privileges.
fn sockets(role: Role) -> SocketOptions {
    SocketOptions {
        source: socket::Source::Relay,
        outbound: Some(role.address()),
        ..SocketOptions::default()
    }
}

async fn listen(role: Role) -> Result<TcpListener, DemoError> {
    let listener = TcpListener::bind(SocketAddr::new(role.address(), 0)).await;
    listener.map_err(|error| of(role, error))
}

fn of(role: Role, error: std::io::Error) -> DemoError {
    DemoError::Listen {
        address: role.address(),
        error,
    }
}

/// One authority for all.
struct Shared(Arc<Authority>);

impl Source for Shared {
    fn fetch<'a>(&'a self, identity: &'a SpiffeId) -> Pending<'a, Result<Issued, FetchError>> {
        self.0.fetch(identity)
    }
}
