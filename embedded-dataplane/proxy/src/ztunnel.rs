//! The role `ztunnel`: a relay for one workload, from its start to its end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ambient_identity::{RevocationFileError, SpiffeId, Store, StoreError, Trust};
use ambient_runtime::admin::{self, Limits, Quit};
use ambient_runtime::drain::Drain;
use ambient_runtime::lanes::Lanes;
use ambient_runtime::log::{Installed, Log};
use ambient_runtime::metrics::Metrics;
use ambient_runtime::readiness::{Gate, Readiness};
use ambient_runtime::tasks::{Panics, Tasks};
use ambient_ztunnel::dump::Dump;
use ambient_ztunnel::handover::{HandoverError, Inheritance, Offer, is_somebody_at};
use ambient_ztunnel::relay::{self, Known, Parts, Relay, UnknownWorkload};
use ambient_ztunnel::snapshot::{Snapshot, SnapshotError};
use ambient_ztunnel::socket::PrivilegeError;
use ambient_ztunnel::telemetry::{
    Bounds, Telemetry, watch_certificates, watch_inbound, watch_pool,
};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use crate::begin::Begins;
use crate::certificates;
use crate::listeners::{ListenError, Listeners};
use crate::profile;
use crate::settings::Settings;
use crate::signals::Signals;

/// Open files that a relay asks for: two for a connection.
const DESCRIPTORS: usize = 1 << 20;

/// The least that there is something left of for connections: it takes about twenty itself.
const LEAST: usize = 48;

/// What each thread beyond the first takes.
const OF_A_THREAD: usize = 4;

/// Of these, so many that no connection takes: three sites of administration may have 64 each at once,
/// and there are successors to meet and certificates to ask for.
const KEPT: usize = 256;

/// A bug of ours (`EX_SOFTWARE`, sysexits(3)).
const BUG: u8 = 70;

/// The role cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The system does not give what every process needs.
    #[error("cannot start")]
    System(#[from] io::Error),
    /// The system grants too few open files.
    #[error(
        "the limit of open files is {granted}, and a relay needs {needed} at least; `ulimit -n 65536` \
         before it is started, or `LimitNOFILE=65536` in its unit, raises it"
    )]
    Descriptors {
        /// So many.
        granted: usize,
        /// Without them there is nothing left for connections.
        needed: usize,
    },
    /// There is a log already.
    #[error(transparent)]
    Log(#[from] Installed),
    /// What the mesh looks like.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Who it is in the mesh.
    #[error(transparent)]
    Workload(#[from] UnknownWorkload),
    /// What it may do.
    #[error(transparent)]
    Privilege(#[from] PrivilegeError),
    /// Where connections come from.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// There is a predecessor, which has one.
    #[error("there is no certificate, and the predecessor goes on")]
    Certificate(#[source] StoreError),
    /// Whom it must not believe.
    #[error(transparent)]
    Revocations(#[from] RevocationFileError),
    /// A bug of ours.
    #[error("{0}, which is a bug; the log says more")]
    Panic(String),
}

impl RunError {
    /// The exit code: wrong configuration is told from what may be better next time.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Descriptors { .. }
            | Self::Snapshot(_)
            | Self::Workload(_)
            | Self::Listen(ListenError::Other { .. }) => crate::USAGE,
            Self::Panic(_) => BUG,
            _ => 1,
        }
    }
}

/// The longest that connections go on after a successor took over.
const CARRIED_ON: Duration = Duration::from_hours(30 * 24);

/// The least that the last words of a connection, and of the process, have time for.
const FAREWELL: Duration = Duration::from_secs(2);

/// Runs until the process is to end, and lets its connections end then.
///
/// # Errors
///
/// Why it cannot start, or cannot go on.
pub(crate) fn run(mut settings: Settings) -> Result<(), RunError> {
    let granted = ambient_hbone::descriptors(DESCRIPTORS);
    let needed = LEAST + OF_A_THREAD * settings.threads.saturating_sub(1);
    if granted < needed {
        return Err(RunError::Descriptors { granted, needed });
    }
    let log = Log::start(io::stderr(), settings.log.clone())?;
    log.install()?;
    log.take_panics();
    settings.sockets.kept = granted - KEPT.min(granted / 8);
    let lanes = Lanes::start(settings.threads)?;
    let others = lanes.handles().into_iter().skip(1).collect();
    let outcome = lanes.block_on(serve(settings, others, &log));
    // What is dropped with them may have something to tell.
    lanes.end(FAREWELL);
    log.flush(FAREWELL);
    outcome
}

async fn serve(settings: Settings, lanes: Vec<Handle>, log: &Log) -> Result<(), RunError> {
    let mut signals = Signals::listen()?;
    let snapshot = unless_ended(&mut signals, snapshot(&settings)).await;
    let Some(snapshot) = snapshot.transpose()? else {
        return Ok(());
    };
    let mut known = Known::new(snapshot, &settings.workload)?;
    let trust = Trust::new(settings.trust_domain_aliases.iter().cloned());
    let panics = Panics::default();
    let helpers = Tasks::new(&panics);
    let lists = certificates::revocations(&settings, &trust, &helpers);
    let Some(()) = unless_ended(&mut signals, lists).await.transpose()? else {
        return Ok(());
    };
    let store = Arc::new(certificates::store(&settings, trust));
    let own = known.here.own.identity.clone();
    let readiness = Readiness::default();
    let mut certificate = readiness.gate("certificate");
    let listeners = listeners(&settings, &store, &own, &mut certificate);
    let Some(mut listeners) = unless_ended(&mut signals, listeners).await.transpose()? else {
        return Ok(());
    };
    // Whoever asked for these would be led here again, or to who administers the relay.
    known.here.refused.extend(listeners.refused());
    let known = Arc::new(known);
    let (drain, draining) = Drain::new();
    let mut metrics = Metrics::new("ztunnel", env!("CARGO_PKG_VERSION"), lanes.iter().cloned());
    metrics.watch(Some(log), &panics);
    let telemetry = Telemetry::new(metrics.registry(), Bounds::default());
    // Nothing publishes another until there is a source that learns.
    let (_publish, knowledge) = watch::channel(Arc::clone(&known));
    let relay = Relay::new(
        Parts {
            known: knowledge,
            store: Arc::clone(&store),
            observer: Arc::new(telemetry.clone()),
            draining,
            panics: panics.clone(),
            lanes,
        },
        of_relay(&settings),
    )?;
    let relay = Arc::new(relay);
    gauge(&mut metrics, &relay, &store);
    metrics.watch_listeners(listeners.failures());

    let mut ready = readiness.gate("proxy");
    helpers.spawn(
        "certificate",
        certificates::wait(Arc::clone(&store), own, certificate),
    );
    let predecessor = listeners.predecessor();
    let mut offer = offer(&settings, predecessor.as_ref(), &listeners)?;
    let quit = Quit::default();
    let shown = shown(&settings, &known, &store, &telemetry);
    let administration = admin::administration(Some(log.clone()), quit.clone(), shown);
    let administration = administration.and(admin::profiles(profile::take));
    let metrics = admin::metrics(&Arc::new(metrics));
    let sites = [
        (listeners.admin, administration),
        (listeners.metrics, metrics),
        (listeners.status, admin::readiness(readiness.clone())),
    ];
    let mut sites = admin::Server::start(sites, Limits::default(), &panics)?;
    // Nothing is accepted before it is certain that nobody else goes on; and then nothing fails any more
    // that somebody would have to go on for.
    if let Some(predecessor) = predecessor {
        let Some(followed) = unless_ended(&mut signals, follow(predecessor)).await else {
            return Ok(());
        };
        followed.map_err(ListenError::from)?;
    }

    let begins = Begins::new();
    relay.take_outbound(begins.of_listener(listeners.outbound));
    relay.take_plaintext(begins.of_listener(listeners.plaintext));
    relay.take_tunnels(begins.of_listener(listeners.tunnels));
    begins.all().await;
    // Before anybody is told whether it is.
    ready.open();
    sites.begin();
    tracing::info!(workload = %settings.workload, "ready");

    let mut is_followed = false;
    let cause = tokio::select! {
        cause = signals.any() => cause,
        () = quit.asked() => "asked by administration",
        () = taken(offer.as_ref()) => {
            // The sites are the successor's from now on: their sockets are the same. Who was accepted
            // here is answered here, and that all is well.
            let _ = timeout(FAREWELL, sites.close()).await;
            is_followed = true;
            // Nor is anything held of the others: if the successor dies, who follows it listens itself.
            offer = None;
            unless_panicked(&panics, carry_on(&drain, &mut signals)).await?
        }
        panic = panics.any() => return Err(RunError::Panic(panic.to_string())),
    };
    if !is_followed {
        ready.shut();
    }
    // Its listeners are descriptors of the same sockets, which nobody accepts from any more.
    drop(offer);
    tracing::info!(cause, within = ?settings.drain, "draining");
    let ending = end(&drain, &relay, settings.drain, &mut signals);
    unless_panicked(&panics, ending).await?;
    if is_followed {
        // Who has not asked by then is not going to.
        let _ = timeout(FAREWELL, sites.answered()).await;
    }
    Ok(())
}

/// What there is to be shown of the process, as JSON.
fn shown(
    settings: &Settings,
    known: &Arc<Known>,
    store: &Arc<Store>,
    telemetry: &Telemetry,
) -> impl Fn() -> String + Send + Sync + use<> {
    let config = settings.shown();
    let (known, store, telemetry) = (Arc::clone(known), Arc::clone(store), telemetry.clone());
    move || {
        Dump {
            known: &known,
            certificates: &store.list(),
            connections: &telemetry.connections(),
            config: &config,
            version: env!("CARGO_PKG_VERSION"),
        }
        .to_json()
    }
}

/// Has what the relay holds shown among its metrics.
fn gauge(metrics: &mut Metrics, relay: &Arc<Relay>, store: &Arc<Store>) {
    let asked = Arc::downgrade(relay);
    watch_pool(metrics.registry(), move || {
        let pool = asked.upgrade().map(|relay| relay.pool());
        pool.unwrap_or_default()
    });
    let asked = Arc::downgrade(relay);
    watch_inbound(metrics.registry(), move || {
        let inbound = asked.upgrade().map(|relay| relay.inbound());
        inbound.unwrap_or_default()
    });
    let store = Arc::clone(store);
    watch_certificates(metrics.registry(), move || store.list());
}

/// Reads the snapshot beside the signals: it may be large, or something that never ends.
async fn snapshot(settings: &Settings) -> Result<Snapshot, RunError> {
    let path = settings.snapshot.clone();
    let read = tokio::task::spawn_blocking(move || Snapshot::read(&path)).await;
    Ok(read.map_err(io::Error::other)??)
}

/// Takes the listeners when there is what it takes to serve, if somebody serves until then.
async fn listeners(
    settings: &Settings,
    store: &Store,
    own: &SpiffeId,
    certificate: &mut Gate,
) -> Result<Listeners, RunError> {
    let handover = settings.handover.as_deref();
    if let Some(path) = handover
        && is_somebody_at(path).await
    {
        // The predecessor serves better until then, and is not to be kept waiting.
        store.get(own).await.map_err(RunError::Certificate)?;
        certificate.open();
    }
    Ok(Listeners::take(&settings.listen, &settings.sockets, handover).await?)
}

/// Meets successors, where there may be some.
fn offer(
    settings: &Settings,
    predecessor: Option<&Inheritance>,
    listeners: &Listeners,
) -> Result<Option<Offer>, ListenError> {
    let Some(path) = &settings.handover else {
        return Ok(None);
    };
    let all = listeners.descriptors()?;
    let offer = match predecessor {
        Some(predecessor) => Offer::after(predecessor, all),
        None => Offer::at(path, all),
    };
    Ok(Some(offer?))
}

/// Has the predecessor end.
async fn follow(predecessor: Inheritance) -> Result<(), HandoverError> {
    match predecessor.ready().await {
        Err(error @ HandoverError::Gone { .. }) => {
            tracing::warn!(error = error.to_string(), "the predecessor is gone");
            Ok(())
        }
        other => other,
    }
}

/// What becomes of some work, unless the process is to end before.
async fn unless_ended<T>(signals: &mut Signals, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        cause = signals.any() => {
            tracing::info!(cause, "ending before it serves");
            None
        }
    }
}

/// What becomes of some work, unless something panics that the process cannot do without.
async fn unless_panicked<T>(panics: &Panics, work: impl Future<Output = T>) -> Result<T, RunError> {
    tokio::select! {
        done = work => Ok(done),
        panic = panics.any() => Err(RunError::Panic(panic.to_string())),
    }
}

/// Carries what there is to its end, however long that takes, unless somebody asks for another. A
/// successor is there for what comes. Tells why it is over.
async fn carry_on(drain: &Drain, signals: &mut Signals) -> &'static str {
    tracing::info!("a successor has taken over");
    tokio::select! {
        _ = drain.start(Instant::now() + CARRIED_ON) => "a successor has taken over",
        cause = signals.any() => cause,
    }
}

/// Lets connections end for a time, or until somebody asks again, and has what they said last arrive.
async fn end(drain: &Drain, relay: &Relay, within: Duration, signals: &mut Signals) {
    let deadline = Instant::now() + within;
    let (left, deadline) = tokio::select! {
        left = drain.start(deadline) => (left, deadline),
        _ = signals.any() => (drain.start(Instant::now()).await, Instant::now()),
    };
    if left.is_empty() {
        tracing::info!("everybody has gone");
    } else {
        tracing::warn!(left = left.to_string(), "connections were broken off");
    }
    let deadline = deadline.max(Instant::now() + FAREWELL);
    if timeout_at(deadline, relay.close()).await.is_err() {
        tracing::warn!("peers did not take what was left to be said");
    }
}

fn of_relay(settings: &Settings) -> relay::Settings {
    let mut of_relay = relay::Settings {
        sockets: settings.sockets.clone(),
        ..relay::Settings::default()
    };
    if let Some(time) = settings.handshake {
        of_relay.handshake = time;
        of_relay.server.settle = time;
        of_relay.client.settle = time;
    }
    of_relay
}

async fn taken(offer: Option<&Offer>) {
    match offer {
        Some(offer) => offer.taken().await,
        None => std::future::pending().await,
    }
}
