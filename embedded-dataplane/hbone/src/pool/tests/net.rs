//! A network in memory.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{DuplexStream, duplex};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::super::*;
use crate::headers::Baggage;
use crate::server::{self, Incoming};
use crate::testing::{GOAWAY, HEADERS, Raw, frame};

/// What becomes of a dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    /// A peer that opens every way, and sends back what comes.
    Serve,
    /// A peer that opens every way, has nothing to say, and takes what comes.
    Take,
    /// As the first, after a second.
    Slow,
    /// A peer that allows so many streams.
    Allow(u32),
    /// A peer that says farewell as soon as it has greeted.
    Leave,
    /// A peer that says farewell when it is asked for something, and does not look at that.
    LeaveWhenAsked,
    /// No peer, after a second.
    Fail,
    /// Nothing, for ever.
    Hang,
    /// Nothing of HTTP/2, for ever.
    Mute,
    /// A fault of ours.
    Panic,
}

/// Why there is no peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("down")]
pub(super) struct Down;

#[derive(Debug, Clone, Default)]
pub(super) struct Net {
    state: Arc<Mutex<State>>,
}

/// Which dial a connection is from.
#[derive(Debug, Clone)]
pub(super) struct Dialled {
    net: Weak<Mutex<State>>,
    number: usize,
}

#[derive(Debug, Default)]
struct State {
    scripts: Vec<Script>,
    /// What becomes of dials that no script was left for.
    rest: Option<Script>,
    dialled: Vec<Key>,
    ended: Vec<(Key, bool)>,
    /// Octets that were taken.
    taken: usize,
    /// Connections are not trusted any more that were made before so many dials.
    distrusted: usize,
    asked: usize,
    /// A pool that is looked at whenever somebody is asked.
    pool: Option<Weak<Inner<Net>>>,
    /// How often it was locked then.
    locked: usize,
    drains: Vec<Arc<Notify>>,
    peers: JoinSet<()>,
}

impl Net {
    /// Where the first dials end as they are told, and all others are served.
    pub(super) fn new(scripts: &[Script]) -> Self {
        let net = Self::default();
        lock(&net.state).scripts = scripts.to_vec();
        net
    }

    /// What becomes of all further dials.
    pub(super) fn then(&self, script: Script) {
        lock(&self.state).rest = Some(script);
    }

    pub(super) fn dialled(&self) -> Vec<Key> {
        lock(&self.state).dialled.clone()
    }

    /// Connections that ended, and whether in good order.
    pub(super) fn ended(&self) -> Vec<(Key, bool)> {
        lock(&self.state).ended.clone()
    }

    /// Octets that peers took that have nothing to say.
    pub(super) fn taken(&self) -> usize {
        lock(&self.state).taken
    }

    /// How often it was asked whether a connection admits streams.
    pub(super) fn asked(&self) -> usize {
        lock(&self.state).asked
    }

    /// Looks whenever it is asked that whether nobody holds up a pool meanwhile.
    pub(super) fn watch(&self, pool: &Pool<Net>) {
        lock(&self.state).pool = Some(Arc::downgrade(&pool.inner));
    }

    /// How often somebody did.
    pub(super) fn locked(&self) -> usize {
        lock(&self.state).locked
    }

    /// Has no connection admit streams that was made up to now.
    pub(super) fn distrust(&self) {
        let mut state = lock(&self.state);
        state.distrusted = state.dialled.len();
    }

    /// Has the peer of a dial take its leave.
    pub(super) fn drain(&self, dial: usize) {
        lock(&self.state).drains[dial].notify_one();
    }

    /// Those who hold the network, this one included.
    pub(super) fn watchers(&self) -> usize {
        Arc::strong_count(&self.state)
    }
}

impl Connector for Net {
    type Stream = DuplexStream;
    type Peer = Dialled;
    type Error = Down;

    async fn connect(&self, key: &Key) -> Result<DuplexStream, Down> {
        let drain = Arc::new(Notify::new());
        let script = {
            let mut state = lock(&self.state);
            state.dialled.push(key.clone());
            state.drains.push(Arc::clone(&drain));
            let rest = state.rest.unwrap_or(Script::Serve);
            if state.scripts.is_empty() {
                rest
            } else {
                state.scripts.remove(0)
            }
        };
        let (ours, theirs) = duplex(64 << 10);
        let mut limits = Limits::SERVER;
        match script {
            Script::Serve => {}
            Script::Take => {
                let take = take(theirs, Arc::downgrade(&self.state));
                lock(&self.state).peers.spawn(take);
                return Ok(ours);
            }
            Script::Leave | Script::LeaveWhenAsked => {
                let (mut peer, stream) = Raw::new(64 << 10);
                lock(&self.state).peers.spawn(async move {
                    peer.welcome(&[]).await;
                    if script == Script::LeaveWhenAsked {
                        peer.receive_next(HEADERS).await;
                    }
                    peer.send(&frame(GOAWAY, 0, 0, &[0; 8])).await;
                    peer.receive_all().await;
                });
                return Ok(stream);
            }
            Script::Allow(streams) => limits.streams = streams,
            Script::Slow => sleep(Duration::from_secs(1)).await,
            Script::Fail => {
                sleep(Duration::from_secs(1)).await;
                return Err(Down);
            }
            Script::Hang => std::future::pending().await,
            Script::Mute => {
                lock(&self.state).peers.spawn(async move {
                    let _silent = theirs;
                    std::future::pending::<()>().await;
                });
                return Ok(ours);
            }
            Script::Panic => panic!("a fault of ours"),
        }
        lock(&self.state).peers.spawn(serve(theirs, limits, drain));
        Ok(ours)
    }

    fn peer(&self, _: &DuplexStream) -> Dialled {
        Dialled {
            net: Arc::downgrade(&self.state),
            number: lock(&self.state).dialled.len(),
        }
    }

    fn ended(&self, key: &Key, how: Result<(), ConnectionError>) {
        lock(&self.state).ended.push((key.clone(), how.is_ok()));
    }
}

impl Admits for Dialled {
    fn admits(&self) -> bool {
        self.net.upgrade().is_some_and(|net| {
            let mut net = lock(&net);
            net.asked += 1;
            let pool = net.pool.as_ref().and_then(Weak::upgrade);
            let is_locked =
                |pool: Arc<Inner<Net>>| pool.shards.iter().any(|s| s.try_lock().is_err());
            net.locked += usize::from(pool.is_some_and(is_locked));
            net.distrusted < self.number
        })
    }
}

async fn serve(stream: DuplexStream, limits: Limits, drain: Arc<Notify>) {
    let mut connection = server::accept(stream, &limits).await.unwrap();
    let mut streams = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            biased;
            () = drain.notified() => {
                connection.drain();
                continue;
            }
            incoming = connection.next() => incoming,
        };
        let Ok(Some(Incoming::Connect(request))) = incoming else {
            return;
        };
        let stream = request.accept(&Baggage::default()).unwrap();
        streams.spawn(async move {
            let (mut reader, mut writer) = stream.split();
            while let Ok(Some(octets)) = reader.read().await {
                if writer.write(octets).await.is_err() {
                    return;
                }
            }
            _ = writer.finish();
        });
    }
}

async fn take(stream: DuplexStream, net: Weak<Mutex<State>>) {
    let mut connection = server::accept(stream, &Limits::SERVER).await.unwrap();
    let mut streams = JoinSet::new();
    while let Ok(Some(Incoming::Connect(request))) = connection.next().await {
        let mut stream = request.accept(&Baggage::default()).unwrap();
        let net = Weak::clone(&net);
        streams.spawn(async move {
            let (reader, writer) = stream.halves();
            writer.finish().unwrap();
            while let Ok(Some(octets)) = reader.read().await {
                if let Some(net) = net.upgrade() {
                    lock(&net).taken += octets.len();
                }
            }
        });
    }
    streams.join_all().await;
}

pub(super) fn key(number: u8) -> Key {
    let destination = ([10, 0, 0, number], 4711).into();
    Key::new(
        "me",
        [Arc::from("you")],
        destination,
        IpAddr::from([10, 0, 1, 1]),
    )
}

pub(super) fn target() -> Target {
    "10.0.0.7:80".parse().unwrap()
}
