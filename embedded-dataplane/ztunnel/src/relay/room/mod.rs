//! How much whoever is outside may take of a relay.
//!
//! ```text
//!            descriptor          first octet        slot            seat
//! backlog ───────────────► silent ─────────► waiting ────► TLS ─────────────► tunnel
//!                             │ the first is            │ the first is        │ the first that is
//!                             ▼ hung up on              ▼ given up            ▼ idle is asked to go
//! ```
//!
//! Whoever says nothing costs a descriptor and little else, so these are bounded by descriptors
//! alone. Handshakes cost time and memory, and tunnels memory for as long as they are there.
//!
//! Some descriptors are kept for streams of tunnels. Where there are no others, whoever has not proved
//! who it is goes first: the silent, then those that wait, then those whose handshake stands still.

mod descriptors;
mod line;
mod seat;
mod shaking;

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};

use descriptors::Descriptors;
use line::Line;

pub(super) use descriptors::Held;
pub(super) use line::Place;
pub(super) use seat::{Busy, Seat};
pub(super) use shaking::{Shaken, Slot};

use super::settings::Bounds;
use crate::report::{Full, Inbound};

/// How long a tunnel that is idle may take for its farewell. It is a round trip, and an answer.
pub(super) const LEAVING: Duration = Duration::from_secs(1);

/// How long nothing of a kind happens before it is told of again.
const CALM: Duration = Duration::from_mins(1);

/// The shortest time that the peer of a handshake has, however many wait.
const SHORTEST: Duration = Duration::from_millis(10);

/// The room for what comes from outside.
#[derive(Debug)]
pub(super) struct Room {
    bounds: Bounds,
    /// The time that a handshake has in all.
    handshake: Duration,
    descriptors: Arc<Descriptors>,
    silent: Arc<Line>,
    handshakes: Arc<Semaphore>,
    waiting: Arc<Line>,
    /// Handshakes that wait for their peers.
    owed: Arc<Line>,
    crowd: Crowd,
    hurrying: AsyncMutex<()>,
    seats: Arc<Semaphore>,
    idle: Arc<Line>,
    hung_up: Count,
    given_up: Count,
    asked: Count,
    refused: Count,
    starved: Count,
}

impl Room {
    pub(super) fn new(bounds: Bounds, handshake: Duration) -> Self {
        let semaphore = |most: usize| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self {
            handshake,
            descriptors: Arc::new(Descriptors::new(bounds.inbound_descriptors())),
            silent: Arc::default(),
            handshakes: semaphore(bounds.handshakes.max(1)),
            waiting: Arc::default(),
            owed: Arc::default(),
            crowd: Crowd::default(),
            hurrying: AsyncMutex::default(),
            seats: semaphore(bounds.tunnels),
            idle: Arc::default(),
            hung_up: Count::default(),
            given_up: Count::default(),
            asked: Count::default(),
            refused: Count::default(),
            starved: Count::default(),
            bounds,
        }
    }

    pub(super) fn counts(&self) -> Inbound {
        let free = |semaphore: &Semaphore| semaphore.available_permits();
        Inbound {
            silent: self.silent.len(),
            handshakes: (self.bounds.handshakes.max(1)).saturating_sub(free(&self.handshakes)),
            waiting: self.crowd.now(),
            tunnels: self.bounds.tunnels.saturating_sub(free(&self.seats)),
            descriptors: self.descriptors.free(),
            hung_up: self.hung_up.all(),
            given_up: self.given_up.all(),
            asked: self.asked.all(),
            refused: self.refused.all(),
            starved: self.starved.all(),
        }
    }

    /// So many descriptors for a connection that is about to be accepted. Where there are none, makes
    /// room and waits, and so does whoever comes, in the backlog.
    pub(super) async fn descriptors(&self, many: usize) -> Held {
        let _turn = self.descriptors.turn().await;
        let mut patience = Duration::ZERO;
        loop {
            match timeout(patience, self.descriptors.beyond_kept(many)).await {
                Ok(held) => return held,
                Err(_) => self.make_room(many),
            }
            // Whoever was asked takes as long, and others may be idle by then.
            patience = LEAVING;
        }
    }

    /// A descriptor for a connection of a tunnel.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(super) fn descriptor(&self) -> Result<Held, Full> {
        if let Some(held) = self.descriptors.any() {
            if self.descriptors.are_short() {
                // The next finds one too, as long as there are strangers.
                self.ask_stranger(Instant::now());
            }
            return Ok(held);
        }
        let most = self.descriptors.most();
        self.make_room(1);
        if self.starved.add() {
            tracing::warn!(most, "connections of tunnels are refused: no descriptors");
        }
        Err(Full::Descriptors(most))
    }

    fn make_room(&self, many: usize) {
        for _ in 0..many {
            let now = Instant::now();
            if !self.ask_stranger(now) && self.idle.ask_first(now) && self.asked.add() {
                let most = self.descriptors.most();
                tracing::warn!(most, "idle tunnels are asked to leave: no descriptors");
            }
        }
    }

    /// Asks one who has not proved who it is to go.
    fn ask_stranger(&self, now: Instant) -> bool {
        let most = self.descriptors.most();
        if self.silent.ask_first(now) {
            if self.hung_up.add() {
                tracing::warn!(most, "silent clients are hung up on: no descriptors");
            }
            return true;
        }
        // Octets are cheap: whoever has said some has proved nothing yet.
        self.waiting.ask_first(now) || self.owed.ask_first(now)
    }

    /// One who has said nothing yet.
    pub(super) fn silent(&self) -> Place {
        self.silent.join(&Arc::default())
    }

    /// A slot for a handshake, as soon as there is one; `None` if it is given up for others before.
    pub(super) async fn handshake(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.handshakes).acquire_owned();
        let place = self.waiting.join(&Arc::default());
        let _waiting = self.crowd.join();
        let permit = tokio::select! {
            biased;
            permit = permit => permit.ok()?,
            () = place.asked() => {
                self.gives_up();
                return None;
            }
            never = self.hurry() => match never {},
        };
        Some(Slot::of(&self.owed, permit))
    }

    /// Waits until a handshake is to be given up for others.
    pub(super) async fn given_up(&self, slot: &Slot) {
        slot.asked().await;
        self.gives_up();
    }

    fn gives_up(&self) {
        if self.given_up.add() {
            let most = self.bounds.handshakes;
            tracing::warn!(most, "handshakes are given up: too many at once");
        }
    }

    /// Has handshakes given up whose peers do not go on, for those that wait. One does it for all of
    /// them.
    async fn hurry(&self) -> Infallible {
        let _for_all = self.hurrying.lock().await;
        loop {
            let now = Instant::now();
            let first = self.owed.first().unwrap_or(now);
            // More may come meanwhile.
            sleep_until((first + self.turn()).clamp(now + SHORTEST, now + SHORTEST * 10)).await;
            let Some(latest) = Instant::now().checked_sub(self.turn()) else {
                continue;
            };
            // Those that were asked before, and are not gone yet, make room too, and so do those that
            // are being worked on.
            let taken = self.counts().handshakes;
            let going = taken.saturating_sub(self.owed.len());
            let mut wanted = self.crowd.now().saturating_sub(going);
            while wanted > 0 && self.owed.ask_first(latest) {
                wanted -= 1;
            }
        }
    }

    /// How long a handshake may wait for its peer in a crowd: as long as lets all of those that wait have their
    /// turn within half of the time that a handshake may take in all.
    fn turn(&self) -> Duration {
        let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let most = number(self.bounds.handshakes.max(1));
        let share = most / (most + number(self.crowd.most()));
        (self.handshake.mul_f64(share) / 2).max(SHORTEST)
    }

    /// A place for a tunnel whose client has proved who it is. Where there is none, the tunnel that
    /// has been idle for longest leaves.
    ///
    /// # Errors
    ///
    /// When none is idle.
    pub(super) async fn seat(&self) -> Result<(Arc<Seat>, Busy), Full> {
        let most = self.bounds.tunnels;
        if let Ok(permit) = Arc::clone(&self.seats).try_acquire_owned() {
            return Ok(Seat::of(&self.idle, permit));
        }
        let full = || {
            if self.refused.add() {
                tracing::warn!(most, "tunnels are refused: too many are in use");
            }
            Full::Tunnels(most)
        };
        if !self.idle.ask_first(Instant::now()) {
            return Err(full());
        }
        if self.asked.add() {
            tracing::warn!(most, "idle tunnels are asked to leave: too many at once");
        }
        // It leaves within its time, or somebody uses it again.
        let permit = timeout(LEAVING * 2, Arc::clone(&self.seats).acquire_owned()).await;
        match permit {
            Ok(Ok(permit)) => Ok(Seat::of(&self.idle, permit)),
            Ok(Err(_)) | Err(_) => Err(full()),
        }
    }
}

/// Those who wait.
#[derive(Debug, Default)]
struct Crowd {
    now: AtomicUsize,
    /// Since there was nobody.
    most: AtomicUsize,
}

/// One of them, until this is dropped.
struct Waiting<'w>(&'w Crowd);

impl Crowd {
    fn join(&self) -> Waiting<'_> {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        Waiting(self)
    }

    fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.0.now.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.most.store(0, Ordering::Relaxed);
        }
    }
}

/// How often something happened, told once for all of its kind that come in a row.
#[derive(Debug, Default)]
struct Count {
    all: AtomicU64,
    last: Mutex<Option<Instant>>,
}

impl Count {
    fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }

    /// Once more. Says whether that is news.
    fn add(&self) -> bool {
        self.all.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.replace(now);
        before.is_none_or(|before| now.duration_since(before) >= CALM)
    }
}

#[cfg(test)]
mod tests;
