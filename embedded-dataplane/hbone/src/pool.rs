//! Connections to many peers, shared by all who need streams.
//!
//! ```text
//!              ┌── place on a connection there is ──┐
//! connect ─────┤                                    ├──► CONNECT ──► Opened
//!              └── wait ◄── dial, one for all ──────┘        │
//!                                 ▲                          │ not looked at (GOAWAY):
//!                                 └──────────────────────────┘ twice more
//! ```
//!
//! Nobody dials under a lock, and nobody dials alone: who needs a connection that is being made
//! waits for that one, and shares its error. After a failure the next attempt waits a little, and
//! those who come meanwhile wait with it, so that a peer that is down costs one attempt at a time
//! and everybody learns what is true now.
//!
//! Streams are packed: a new one goes where most are, up to three quarters, so that connections that
//! a burst needed fall idle after it, and are let go.

mod admits;
mod entry;
mod error;
mod key;
mod settings;
mod tasks;

use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use self::entry::{Answer, Entries, Found};
use self::tasks::Tasks;
use crate::authority::Target;
use crate::error::ConnectionError;
use crate::headers::Headers;
use crate::limits::Limits;
use crate::load::Load;
use crate::tunnel::{self, ConnectError, Driver, Opened, Place, Tunnel};

pub use self::admits::Admits;
pub use self::error::{DialError, PoolError};
pub use self::key::Key;
pub use self::settings::{Counts, Settings};

/// How often a CONNECT that nobody looked at is tried in all.
const ATTEMPTS: usize = 3;

/// The shortest time between two looks for what is idle.
const SHORTEST_PERIOD: Duration = Duration::from_millis(100);

/// Makes connections: TCP, TLS, and nothing of HTTP/2.
pub trait Connector: Send + Sync + 'static {
    /// A connection that is secured.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// What is known of its peer.
    type Peer: Admits;
    /// Why there is none.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Makes a connection for a key. The future is dropped when it takes too long.
    fn connect(&self, key: &Key) -> impl Future<Output = Result<Self::Stream, Self::Error>> + Send;

    /// The peer of a connection that was made.
    fn peer(&self, connection: &Self::Stream) -> Self::Peer;

    /// A connection that was made has ended: for whoever counts and logs that.
    fn ended(&self, key: &Key, how: Result<(), ConnectionError>) {
        let _ = (key, how);
    }
}

/// Connections to many peers. Its clones are one and the same; when the last is dropped, every
/// connection closes at once, with its streams.
#[derive(Debug)]
pub struct Pool<C: Connector> {
    inner: Arc<Inner<C>>,
}

type Shard<C> = Entries<<C as Connector>::Error, <C as Connector>::Peer>;

#[derive(Debug)]
struct Inner<C: Connector> {
    connector: Arc<C>,
    limits: Limits,
    settings: Settings,
    spread: RandomState,
    shards: Box<[Mutex<Shard<C>>]>,
    /// Dials, drivers of connections, and what lets go of idle ones.
    tasks: Tasks,
    /// Drivers of these, which is connections that are there.
    drivers: Arc<watch::Sender<usize>>,
}

impl<C: Connector> Clone for Pool<C> {
    fn clone(&self) -> Self {
        let inner = Arc::clone(&self.inner);
        Self { inner }
    }
}

impl<C: Connector> Pool<C> {
    /// A pool without connections. It needs the runtime that it is made in.
    pub fn new(connector: C, limits: Limits, settings: Settings) -> Self {
        let shards = settings.shards.max(1);
        let keys = settings.keys.div_ceil(shards).max(1);
        let shards = (0..shards).map(|_| Mutex::new(Entries::new(keys, &settings, &limits)));
        let inner = Arc::new(Inner {
            connector: Arc::new(connector),
            shards: shards.collect(),
            spread: RandomState::new(),
            tasks: Tasks::default(),
            drivers: Arc::default(),
            limits,
            settings,
        });
        let period = (inner.settings.idle / 4).max(SHORTEST_PERIOD);
        inner.tasks.spawn(reap(Arc::downgrade(&inner), period));
        Self { inner }
    }

    /// Asks for a way through a connection of a key, which is made where there is none. Tells whose
    /// connection that is.
    ///
    /// # Errors
    ///
    /// Why there is no way.
    pub async fn connect(
        &self,
        key: &Key,
        to: &Target,
        with: &Headers,
    ) -> Result<(Opened, C::Peer), PoolError<C::Error>> {
        let mut attempt = 1;
        loop {
            let (place, peer) = self.inner.place(key).await?;
            match place.connect(to, with).await {
                Ok(opened) => return Ok((opened, peer)),
                // The peer takes its leave: another connection reaches its successor.
                Err(ConnectError::Unprocessed(_)) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(PoolError::Connect(error)),
            }
        }
    }

    /// Lets go of all connections, and waits until each has ended with its streams, and with what
    /// these have said and the peer has not taken yet. How long that may take is for the caller to
    /// say: when the future is dropped, they are as they were. Nobody is to connect meanwhile.
    pub async fn close(&self) {
        let mut drivers = self.inner.drivers.subscribe();
        loop {
            for shard in &self.inner.shards {
                lock(shard).forget_all();
            }
            // Its sender is here, so it does not fail.
            if *drivers.borrow_and_update() == 0 || drivers.changed().await.is_err() {
                return;
            }
        }
    }

    /// What there is at this moment.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for shard in &self.inner.shards {
            lock(shard).add_to(&mut counts);
        }
        counts
    }
}

impl<C: Connector> Inner<C> {
    fn entries(&self, key: &Key) -> MutexGuard<'_, Shard<C>> {
        // There is at least one.
        let shard = self.spread.hash_one(key) % self.shards.len() as u64;
        lock(&self.shards[usize::try_from(shard).unwrap_or_default()])
    }

    /// A place on a connection that admits streams.
    async fn place(self: &Arc<Self>, key: &Key) -> Result<(Place, C::Peer), PoolError<C::Error>> {
        let latest = Instant::now() + self.settings.patience;
        loop {
            match self.next_place(key, latest).await {
                // Not under the lock: it may take a while to tell.
                Ok((place, peer)) if peer.admits() => return Ok((place, peer)),
                // Before the place is free again for others.
                Ok((place, _)) => self.entries(key).forget(key, place.tunnel()),
                // Those that are full may admit none, and be in the way of others that do.
                Err(PoolError::Crowded) if self.forget_strangers(key) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Forgets the connections of a key that admit no streams. Tells whether there were any.
    fn forget_strangers(&self, key: &Key) -> bool {
        let mut all = self.entries(key).connections(key);
        all.retain(|(_, peer)| !peer.admits());
        let mut entries = self.entries(key);
        for (tunnel, _) in &all {
            entries.forget(key, tunnel);
        }
        !all.is_empty()
    }

    async fn next_place(
        self: &Arc<Self>,
        key: &Key,
        latest: Instant,
    ) -> Result<(Place, C::Peer), PoolError<C::Error>> {
        let (found, dials) = self.entries(key).find(key, Instant::now());
        self.dial(key, &dials);
        match found {
            Found::Place(place, peer) => Ok((place, peer)),
            Found::Crowd => Err(PoolError::Crowded),
            Found::Wait(turn) => match timeout_at(latest, turn).await {
                Ok(Ok(Answer::Place(place, peer))) => Ok((place, peer)),
                Ok(Ok(Answer::Failed(error))) => Err(PoolError::Dial(error)),
                Ok(Ok(Answer::Crowd) | Err(_)) => Err(PoolError::Crowded),
                Err(_) => Err(PoolError::Late),
            },
        }
    }

    /// Dials, once at each of these times.
    fn dial(self: &Arc<Self>, key: &Key, dials: &[Instant]) {
        for start in dials {
            let flight = Flight {
                inner: Arc::downgrade(self),
                key: key.clone(),
                has_landed: false,
            };
            self.tasks.spawn(flight.fly(*start));
        }
    }

    fn land(self: &Arc<Self>, key: &Key, outcome: Result<(Tunnel, C::Peer), DialError<C::Error>>) {
        let dials = self.entries(key).land(key, outcome, Instant::now());
        self.dial(key, &dials);
    }
}

/// A dial that is under way. However it ends, those who wait for it are told.
struct Flight<C: Connector> {
    inner: Weak<Inner<C>>,
    key: Key,
    has_landed: bool,
}

impl<C: Connector> Flight<C> {
    async fn fly(mut self, start: Instant) {
        sleep_until(start).await;
        let Some(inner) = self.inner.upgrade() else {
            return;
        };
        let (connector, limits) = (Arc::clone(&inner.connector), inner.limits.clone());
        let most = inner.settings.dial;
        // A dial does not keep the pool.
        drop(inner);
        let opened = match timeout(most, connector.connect(&self.key)).await {
            Err(_) => Err(DialError::Late),
            Ok(Err(error)) => Err(DialError::Connect(error)),
            Ok(Ok(stream)) => {
                let peer = connector.peer(&stream);
                let opened = tunnel::open(stream, &limits).await;
                let opened = opened.map(|(tunnel, driver)| (tunnel, driver, peer));
                opened.map_err(DialError::Greeting)
            }
        };
        let Some(inner) = self.inner.upgrade() else {
            return;
        };
        self.has_landed = true;
        let opened = opened.and_then(|(tunnel, driver, peer)| {
            let load = Arc::clone(tunnel.load());
            let driving = Driving::one_more(&inner.drivers);
            let drive = drive(driver, load, self.key.clone(), self.inner.clone());
            inner.tasks.spawn(async move {
                drive.await;
                drop(driving);
            });
            if tunnel.is_usable() && tunnel.most_streams() > 0 {
                Ok((tunnel, peer))
            } else {
                Err(DialError::NoStreams)
            }
        });
        inner.land(&self.key, opened);
    }
}

impl<C: Connector> Drop for Flight<C> {
    fn drop(&mut self) {
        if !self.has_landed
            && let Some(inner) = self.inner.upgrade()
        {
            inner.entries(&self.key).abandon(&self.key, Instant::now());
        }
    }
}

/// A driver is there, until this is dropped.
struct Driving(Arc<watch::Sender<usize>>);

impl Driving {
    fn one_more(drivers: &Arc<watch::Sender<usize>>) -> Self {
        drivers.send_modify(|count| *count += 1);
        Self(Arc::clone(drivers))
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Moves everything on a connection, and gives its places to those who wait as they become free.
async fn drive<C: Connector>(
    driver: Driver<C::Stream>,
    load: Arc<Load>,
    key: Key,
    pool: Weak<Inner<C>>,
) {
    let mut driver = pin!(driver);
    let how = loop {
        tokio::select! {
            biased;
            how = &mut driver => break how,
            () = load.freed() => {
                if let Some(inner) = pool.upgrade() {
                    inner.entries(&key).serve(&key, Instant::now());
                }
            }
        }
    };
    if let Some(inner) = pool.upgrade() {
        inner.entries(&key).forget_unusable(&key);
        inner.connector.ended(&key, how);
    }
}

/// Lets go of what is idle.
async fn reap<C: Connector>(pool: Weak<Inner<C>>, period: Duration) {
    loop {
        sleep(period).await;
        let Some(inner) = pool.upgrade() else {
            return;
        };
        let now = Instant::now();
        for shard in &inner.shards {
            lock(shard).reap(now);
        }
        inner.tasks.forget_ended();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
