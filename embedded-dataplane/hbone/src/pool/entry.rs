//! What is known of the connections of each key: decisions, and no waiting. Whether a connection admits
//! streams may take a while to tell, and is for whoever gets a place on it to ask.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::error::DialError;
use super::key::Key;
use super::settings::{Counts, Settings};
use crate::limits::Limits;
use crate::tunnel::{Place, Tunnel};

/// Dials of one key at the same time.
const MOST_DIALS: usize = 4;

/// The keys of one shard.
#[derive(Debug)]
pub(super) struct Entries<E: std::error::Error + 'static, P> {
    map: BTreeMap<Key, Entry<E, P>>,
    most: usize,
    rules: Rules,
}

/// What every entry keeps to.
#[derive(Debug)]
struct Rules {
    connections: usize,
    waiting: usize,
    /// Streams of a connection that is yet to be made.
    streams: usize,
    idle: Duration,
    backoff: Duration,
    longest_backoff: Duration,
}

/// What became of looking for a place.
#[derive(Debug)]
pub(super) enum Found<E: std::error::Error + 'static, P> {
    Place(Place, P),
    Wait(oneshot::Receiver<Answer<E, P>>),
    Crowd,
}

/// What somebody who waited is told.
#[derive(Debug)]
pub(super) enum Answer<E: std::error::Error + 'static, P> {
    Place(Place, P),
    Failed(Arc<DialError<E>>),
    Crowd,
}

#[derive(Debug)]
struct Entry<E: std::error::Error + 'static, P> {
    tunnels: Vec<Pooled<P>>,
    waiting: VecDeque<oneshot::Sender<Answer<E, P>>>,
    dials: usize,
    /// In a row.
    failures: u32,
    /// No dial before it.
    not_before: Instant,
    used: Instant,
}

#[derive(Debug)]
struct Pooled<P> {
    tunnel: Tunnel,
    peer: P,
    /// Streams were seen on it.
    busy: Instant,
}

impl<E: std::error::Error + 'static, P: Clone> Entries<E, P> {
    pub(super) fn new(most: usize, settings: &Settings, limits: &Limits) -> Self {
        Self {
            map: BTreeMap::new(),
            most,
            rules: Rules {
                connections: settings.connections.max(1),
                waiting: settings.waiting,
                streams: usize::try_from(limits.streams).unwrap_or(usize::MAX).max(1),
                idle: settings.idle,
                backoff: settings.backoff,
                longest_backoff: settings.longest_backoff,
            },
        }
    }

    /// Looks for a place, and tells at which times to dial besides.
    pub(super) fn find(&mut self, key: &Key, now: Instant) -> (Found<E, P>, Vec<Instant>) {
        if !self.map.contains_key(key) {
            if self.map.len() >= self.most && !self.forget_one() {
                return (Found::Crowd, Vec::new());
            }
            self.map.insert(key.clone(), Entry::new(now));
        }
        match self.map.get_mut(key) {
            Some(entry) => entry.find(now, &self.rules),
            None => (Found::Crowd, Vec::new()),
        }
    }

    /// A dial ended. Tells at which times to dial again, for those who still wait.
    pub(super) fn land(
        &mut self,
        key: &Key,
        outcome: Result<(Tunnel, P), DialError<E>>,
        now: Instant,
    ) -> Vec<Instant> {
        let entry = self.map.get_mut(key);
        entry.map_or_else(Vec::new, |entry| entry.land(outcome, now, &self.rules))
    }

    /// A dial was dropped, perhaps because everything is: no other takes its place.
    pub(super) fn abandon(&mut self, key: &Key, now: Instant) {
        if let Some(entry) = self.map.get_mut(key) {
            entry.miss(DialError::Abandoned, now, &self.rules);
        }
    }

    /// Gives places that became free to those who wait.
    pub(super) fn serve(&mut self, key: &Key, now: Instant) {
        if let Some(entry) = self.map.get_mut(key) {
            entry.serve(now);
        }
    }

    /// Forgets the connections of a key that take no streams any more.
    pub(super) fn forget_unusable(&mut self, key: &Key) {
        if let Some(entry) = self.map.get_mut(key) {
            entry.forget_unusable();
        }
    }

    /// The connections of a key, each with its peer.
    pub(super) fn connections(&self, key: &Key) -> Vec<(Tunnel, P)> {
        let tunnels = self.map.get(key).map(|entry| entry.tunnels.iter());
        let tunnels = tunnels.into_iter().flatten();
        tunnels
            .map(|p| (p.tunnel.clone(), p.peer.clone()))
            .collect()
    }

    /// Forgets a connection.
    pub(super) fn forget(&mut self, key: &Key, tunnel: &Tunnel) {
        if let Some(entry) = self.map.get_mut(key) {
            entry.tunnels.retain(|pooled| !pooled.tunnel.is(tunnel));
        }
    }

    /// Forgets all connections.
    pub(super) fn forget_all(&mut self) {
        for entry in self.map.values_mut() {
            entry.tunnels.clear();
        }
    }

    /// Forgets what is idle.
    pub(super) fn reap(&mut self, now: Instant) {
        let rules = &self.rules;
        self.map.retain(|_, entry| {
            entry.reap(now, rules);
            !entry.is_bare() || now < entry.not_before
        });
    }

    pub(super) fn add_to(&self, counts: &mut Counts) {
        counts.keys += self.map.len();
        for entry in self.map.values() {
            counts.dialing += entry.dials;
            counts.connections += entry.tunnels.len();
            counts.streams += entry
                .tunnels
                .iter()
                .map(|t| t.tunnel.streams())
                .sum::<usize>();
        }
    }

    /// Forgets the key that was used least lately; `false` when somebody waits for each.
    fn forget_one(&mut self) -> bool {
        let idle = self.map.iter().filter(|(_, entry)| entry.dials == 0);
        let oldest = idle.min_by_key(|(_, entry)| entry.used);
        let Some(key) = oldest.map(|(key, _)| key.clone()) else {
            return false;
        };
        self.map.remove(&key);
        true
    }
}

impl<E: std::error::Error + 'static, P: Clone> Entry<E, P> {
    fn new(now: Instant) -> Self {
        Self {
            tunnels: Vec::new(),
            waiting: VecDeque::new(),
            dials: 0,
            failures: 0,
            not_before: now,
            used: now,
        }
    }

    fn find(&mut self, now: Instant, rules: &Rules) -> (Found<E, P>, Vec<Instant>) {
        self.used = now;
        self.forget_unusable();
        // Who came first is served first, so a place is only for somebody for whom nobody waits.
        if self.waiting.is_empty()
            && let Some((place, peer)) = self.place(now)
        {
            return (Found::Place(place, peer), self.dials(now, rules));
        }
        if self.waiting.len() >= rules.waiting {
            self.waiting.retain(|turn| !turn.is_closed());
        }
        if self.waiting.len() >= rules.waiting {
            return (Found::Crowd, Vec::new());
        }
        let (turn, wait) = oneshot::channel();
        self.waiting.push_back(turn);
        // A place may have become free since.
        self.serve(now);
        let dials = self.dials(now, rules);
        if !self.waiting.is_empty() && self.dials == 0 {
            // There may be no further connection.
            self.waiting.pop_back();
            self.want();
            return (Found::Crowd, dials);
        }
        (Found::Wait(wait), dials)
    }

    fn land(
        &mut self,
        outcome: Result<(Tunnel, P), DialError<E>>,
        now: Instant,
        rules: &Rules,
    ) -> Vec<Instant> {
        match outcome {
            Ok((tunnel, peer)) => {
                self.dials = self.dials.saturating_sub(1);
                self.failures = 0;
                self.tunnels.push(Pooled {
                    tunnel,
                    peer,
                    busy: now,
                });
                self.serve(now);
            }
            Err(error) => self.miss(error, now, rules),
        }
        let dials = self.dials(now, rules);
        if self.dials == 0 {
            // There may be no further connection, and no place will come of these.
            self.answer_all(|| Answer::Crowd);
        }
        dials
    }

    /// A dial failed. Where others are under way, they decide for those who wait.
    fn miss(&mut self, error: DialError<E>, now: Instant, rules: &Rules) {
        self.dials = self.dials.saturating_sub(1);
        self.put_off(now, rules);
        // Streams may have ended meanwhile.
        self.serve(now);
        if self.dials == 0 {
            let error = Arc::new(error);
            self.answer_all(|| Answer::Failed(Arc::clone(&error)));
        }
    }

    fn answer_all(&mut self, answer: impl Fn() -> Answer<E, P>) {
        for turn in self.waiting.drain(..) {
            // Fails where nobody waits any more.
            let _ = turn.send(answer());
        }
    }

    /// Gives places to those who wait.
    fn serve(&mut self, now: Instant) {
        self.forget_unusable();
        self.waiting.retain(|turn| !turn.is_closed());
        self.want();
        while !self.waiting.is_empty() {
            let Some((place, peer)) = self.place(now) else {
                break;
            };
            if let Some(turn) = self.waiting.pop_front() {
                // A place that nobody took any more is free again.
                let _ = turn.send(Answer::Place(place, peer));
            }
        }
        self.want();
    }

    /// Asks the connections to tell of places, as long as somebody waits.
    fn want(&self) {
        for pooled in &self.tunnels {
            pooled.tunnel.load().want(!self.waiting.is_empty());
        }
    }

    /// A place on the connection that has most streams of those that are less than three quarters
    /// full; else on the one that has fewest.
    fn place(&mut self, now: Instant) -> Option<(Place, P)> {
        let rank = |pooled: &&mut Pooled<P>| {
            let (streams, most) = (pooled.tunnel.streams(), pooled.tunnel.most_streams());
            let is_light = streams * 4 < most * 3;
            (
                is_light,
                if is_light {
                    streams
                } else {
                    usize::MAX - streams
                },
            )
        };
        let free = |pooled: &&mut Pooled<P>| pooled.tunnel.streams() < pooled.tunnel.most_streams();
        let best = self.tunnels.iter_mut().filter(free).max_by_key(rank)?;
        best.busy = now;
        Some((best.tunnel.reserve()?, best.peer.clone()))
    }

    /// The times at which to dial, so that there are enough dials for all who wait, and one where
    /// places run short.
    fn dials(&mut self, now: Instant, rules: &Rules) -> Vec<Instant> {
        let last = self.tunnels.last();
        let streams = last.map_or(rules.streams, |p| p.tunnel.most_streams().max(1));
        let for_waiting = self.waiting.len().div_ceil(streams);
        let free = |p: &Pooled<P>| p.tunnel.most_streams().saturating_sub(p.tunnel.streams());
        let free: usize = self.tunnels.iter().map(free).sum();
        // Nobody waits for this one, so it does not have to be tried against the odds.
        let is_short = last.is_some() && free * 4 <= streams && now >= self.not_before;
        let room = rules.connections.saturating_sub(self.tunnels.len());
        let wanted = for_waiting.max(usize::from(is_short));
        let wanted = wanted.min(MOST_DIALS).min(room);
        let more = wanted.saturating_sub(self.dials);
        self.dials += more;
        vec![self.not_before.max(now); more]
    }

    fn put_off(&mut self, now: Instant, rules: &Rules) {
        self.failures = self.failures.saturating_add(1);
        let doubled = 1_u32.checked_shl(self.failures - 1).unwrap_or(u32::MAX);
        let most = rules
            .backoff
            .saturating_mul(doubled)
            .min(rules.longest_backoff);
        self.not_before = now + most.mul_f64(1.0 - fastrand::f64() / 2.0);
    }

    fn forget_unusable(&mut self) {
        self.tunnels.retain(|pooled| pooled.tunnel.is_usable());
    }

    fn reap(&mut self, now: Instant, rules: &Rules) {
        self.tunnels.retain_mut(|pooled| {
            if pooled.tunnel.streams() > 0 {
                pooled.busy = now;
            }
            pooled.tunnel.is_usable() && now.duration_since(pooled.busy) < rules.idle
        });
    }

    fn is_bare(&self) -> bool {
        self.tunnels.is_empty() && self.dials == 0 && self.waiting.is_empty()
    }
}
