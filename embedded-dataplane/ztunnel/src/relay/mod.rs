//! A relay at work for one workload: it takes connections from where they come in, has each served
//! by a task of its own, and ends with them.
//!
//! ```text
//! outbound    Accept ──► outbound ──► pool of tunnels, or in the clear ──► copy
//! plaintext   Accept ──► plaintext ──► application ──────────────────────► copy
//! tunnels     Accept ──► tunnels ──► stream by stream: application ──────► copy
//! ```

mod baggage;
mod connector;
mod lane;
mod origin;
mod outbound;
mod plaintext;
mod record;
mod room;
mod settings;
mod stream;
mod trusted;
mod tunnels;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use ambient_hbone::pool::{Counts, Pool};
use ambient_identity::Store;
use ambient_runtime::drain::{Draining, Group};
use ambient_runtime::tasks::{Panics, Tasks};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::report::{Direction, Early, End, Failure, Inbound, Observer};
use crate::route::Here;
use crate::snapshot::{Snapshot, WorkloadName};
use crate::socket::{Accept, Accepted, Dialer, PrivilegeError};

pub use settings::{Bounds, Settings};

use connector::Dial;
use lane::Lane;
use room::{Held, Room};

/// What a relay knows at a moment: the mesh, and who it is in it itself.
#[derive(Debug, Clone)]
pub struct Known {
    /// The mesh.
    pub snapshot: Snapshot,
    /// The workload that it works for.
    pub here: Here,
}

/// The workload that a relay is to work for is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no workload `{0}`; it is named NAMESPACE/NAME/SERVICE-ACCOUNT, as in the snapshot"
)]
pub struct UnknownWorkload(WorkloadName);

impl Known {
    /// Looks for a workload in a snapshot.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn new(snapshot: Snapshot, name: &WorkloadName) -> Result<Self, UnknownWorkload> {
        let own = snapshot.workload(name).cloned();
        let own = own.ok_or_else(|| UnknownWorkload(name.clone()))?;
        Ok(Self {
            snapshot,
            here: Here::of(own),
        })
    }
}

/// What a relay is made of.
pub struct Parts {
    /// What it knows, as it changes.
    pub known: watch::Receiver<Arc<Known>>,
    /// Where its certificates are.
    pub store: Arc<Store>,
    /// Who is told of its connections.
    pub observer: Arc<dyn Observer>,
    /// When it is to end.
    pub draining: Draining,
    /// Who is told when one of its listeners panics. Of connections panics are counted there.
    pub panics: Panics,
    /// Runtimes of the threads that connections are spread over, beside the one that it is made in.
    pub lanes: Vec<Handle>,
}

/// A relay for one workload. When it is dropped all that it carries breaks off, so drain and
/// [close](Self::close) it first.
pub struct Relay {
    /// At least one, of which the first is the runtime that it was made in.
    lanes: Arc<[Lane]>,
    draining: Draining,
    room: Arc<Room>,
    listening: Tasks,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("known", &self.known)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("pool", &self.pool())
            .field("draining", &self.draining)
            .finish_non_exhaustive()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // They hold what is shared themselves.
        for lane in &*self.lanes {
            lane.shared.serving.abort();
        }
    }
}

/// What all tasks of a lane share.
struct Shared {
    known: watch::Receiver<Arc<Known>>,
    store: Arc<Store>,
    observer: Arc<dyn Observer>,
    draining: Draining,
    dialer: Arc<Dialer>,
    pool: Pool<Dial>,
    room: Arc<Room>,
    settings: Arc<Settings>,
    serving: Tasks,
    outbound: Group,
    inbound: Group,
    tunnels: Group,
}

impl Relay {
    /// A relay that nothing comes to yet. Needs the runtime that it is made in, and its other lanes for
    /// as long as it is there.
    ///
    /// # Errors
    ///
    /// When the process lacks a privilege that its settings ask for.
    pub fn new(parts: Parts, settings: Settings) -> Result<Self, PrivilegeError> {
        settings.sockets.check()?;
        let own = parts.known.borrow().here.own.identity.clone();
        if let Err(error) = parts.store.warm_up(&own) {
            // The first connection asks again.
            tracing::warn!(error = error.to_string(), "no certificate yet");
        }
        let settings = Arc::new(settings);
        let dialer = Arc::new(Dialer::new(settings.sockets.clone()));
        let room = Arc::new(Room::new(settings.inbound, settings.handshake));
        let outbound = parts.draining.group("outbound connections");
        let inbound = parts.draining.group("inbound connections");
        let tunnels = parts.draining.group("inbound tunnels");
        let lane = |handle: Handle| {
            // What a pool does by itself is done by the thread that uses it.
            let _within = handle.enter();
            let dial = Dial {
                store: Arc::clone(&parts.store),
                dialer: Arc::clone(&dialer),
                observer: Arc::clone(&parts.observer),
                handshake: settings.handshake,
            };
            let shared = Shared {
                known: parts.known.clone(),
                store: Arc::clone(&parts.store),
                observer: Arc::clone(&parts.observer),
                draining: parts.draining.clone(),
                dialer: Arc::clone(&dialer),
                pool: Pool::new(dial, settings.client.clone(), settings.pool_settings()),
                room: Arc::clone(&room),
                settings: Arc::clone(&settings),
                serving: Tasks::apart(&parts.panics),
                outbound: outbound.clone(),
                inbound: inbound.clone(),
                tunnels: tunnels.clone(),
            };
            Lane {
                handle: handle.clone(),
                shared: Arc::new(shared),
            }
        };
        let handles = [Handle::current()].into_iter().chain(parts.lanes);
        Ok(Self {
            lanes: handles.map(lane).collect(),
            room,
            listening: Tasks::new(&parts.panics),
            draining: parts.draining,
        })
    }

    /// Takes connections of the workload from here, until the drain begins.
    pub fn take_outbound(&self, accept: impl Accept) {
        self.listen("outbound listener", accept, 0, |shared, accepted, _| {
            let guard = shared.outbound.enter();
            let task = Arc::clone(shared);
            // What it takes to get there is gone when it is there.
            let opening = Box::pin(outbound::open(Arc::clone(shared), accepted));
            shared.serving.spawn("outbound connection", async move {
                let opened = opening.await;
                if let Some(opened) = opened {
                    outbound::carry(&task, opened).await;
                }
                drop(guard);
            });
        });
    }

    /// Takes connections to the workload that are in the clear.
    pub fn take_plaintext(&self, accept: impl Accept) {
        // One of the client, and one of the application.
        self.listen("plaintext listener", accept, 2, |shared, accepted, held| {
            let guard = shared.inbound.enter();
            let task = Arc::clone(shared);
            // What it takes to get there is gone when it is there.
            let opening = Box::pin(plaintext::open(Arc::clone(shared), accepted));
            shared.serving.spawn("plaintext connection", async move {
                let opened = opening.await;
                if let Some(opened) = opened {
                    plaintext::carry(&task, opened).await;
                }
                drop((guard, held));
            });
        });
    }

    /// Takes tunnels to the workload.
    pub fn take_tunnels(&self, accept: impl Accept) {
        self.listen("tunnel listener", accept, 1, |shared, accepted, held| {
            let guard = shared.tunnels.enter();
            let task = Arc::clone(shared);
            let silent = shared.room.silent();
            shared.serving.spawn("tunnel", async move {
                tunnels::serve(task, accepted, silent).await;
                drop((guard, held));
            });
        });
    }

    /// Waits, once the drain is over, until what was carried has arrived, and until what was broken
    /// off was told to its peers and to the observer. How long that may take is for the caller to say.
    pub async fn close(&self) {
        // All at once: a peer of one that takes nothing holds up its own lane alone.
        let mut closing = JoinSet::new();
        for lane in &*self.lanes {
            let shared = Arc::clone(&lane.shared);
            closing.spawn(async move {
                shared.serving.ended().await;
                shared.pool.close().await;
            });
        }
        closing.join_all().await;
    }

    /// What its pools of tunnels hold at this moment, all together.
    pub fn pool(&self) -> Counts {
        let each = self.lanes.iter().map(|lane| lane.shared.pool.counts());
        each.fold(Counts::default(), |all, one| Counts {
            keys: all.keys + one.keys,
            connections: all.connections + one.connections,
            streams: all.streams + one.streams,
            dialing: all.dialing + one.dialing,
        })
    }

    /// What there is from outside at this moment, and what was refused of it.
    pub fn inbound(&self) -> Inbound {
        self.room.counts()
    }

    /// Each connection comes with so many descriptors of those for connections from outside.
    fn listen(
        &self,
        name: &'static str,
        mut accept: impl Accept,
        descriptors: usize,
        serve: fn(&Arc<Shared>, Accepted, Option<Held>),
    ) {
        let lanes = Arc::clone(&self.lanes);
        let (draining, room) = (self.draining.clone(), Arc::clone(&self.room));
        self.listening.spawn(name, async move {
            until(draining.requested(), async {
                loop {
                    let held = match descriptors {
                        0 => None,
                        many => Some(room.descriptors(many).await),
                    };
                    let accepted = accept.accept().await;
                    lane::give(&lanes, accepted, |shared, accepted| {
                        serve(shared, accepted, held);
                    });
                }
            })
            .await;
            if let Some(accepted) = accept.left() {
                lane::give(&lanes, accepted, |shared, accepted| {
                    serve(shared, accepted, None);
                });
            }
        });
    }
}

/// Does something until something else happens.
async fn until<T>(end: impl Future<Output = T>, what: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        _ = end => {}
        () = what => {}
    }
}

impl Shared {
    /// What becomes of some work, unless no work may go on before.
    async fn unless_over<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, End> {
        tokio::select! {
            biased;
            () = self.draining.over() => Err(End::Drained),
            done = work => done.map_err(End::Failed),
        }
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.borrow())
    }

    fn refuse(&self, direction: Direction, accepted: &Accepted, failure: &Failure) {
        self.observer.refuse(&Early {
            direction,
            source: accepted.source,
            destination: accepted.destination,
            failure,
        });
    }
}
