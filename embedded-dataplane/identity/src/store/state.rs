//! What is known of each identity. Without I/O: whoever calls says what time it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::pace::{PATIENCE, backoff, expiry, is_good, left, renewal};
use super::queue::{Priority, Queue, Ticket};
use crate::source::FetchError;
use crate::spiffe::SpiffeId;
use crate::workload::Workload;

/// Every identity that is asked for or held, each in the queue or being fetched:
///
/// ```text
/// ask ──► queued ──next──► fetching ──done──► queued (renewal, or after the wait of a failure)
///            └───────── forget ───┴──────────► gone
/// ```
#[derive(Debug, Default)]
pub(super) struct State {
    entries: BTreeMap<SpiffeId, Entry>,
    queue: Queue,
    attempts: u64,
    /// No certificate expires before that.
    expiry: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    held: Option<Arc<Workload>>,
    stage: Stage,
    /// Failures in a row.
    failures: u32,
    /// When a connection that waits may make it try again.
    retry: Option<Instant>,
    /// The source has changed since the attempt began.
    outdated: bool,
    outcome: watch::Sender<Outcome>,
}

#[derive(Debug)]
enum Stage {
    Queued(Ticket),
    Fetching {
        attempt: u64,
        task: Option<AbortHandle>,
    },
}

/// How many attempts have ended, and the last one how.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    pub(super) attempts: u64,
    pub(super) last: Option<Result<Arc<Workload>, Arc<FetchError>>>,
}

/// A certificate to fetch.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) identity: SpiffeId,
    pub(super) attempt: u64,
}

/// What there is of an identity.
#[derive(Debug, Clone)]
pub struct Status {
    /// Who.
    pub identity: SpiffeId,
    /// The certificate that is held, if there is one.
    pub workload: Option<Arc<Workload>>,
    /// How many attempts in a row have failed since.
    pub failures: u32,
    /// Why the last of them did, or that what was held has expired.
    pub error: Option<Arc<FetchError>>,
}

impl State {
    /// The certificate of an identity, if it has one that is good.
    pub(super) fn held(&self, identity: &SpiffeId, today: UnixTime) -> Option<Arc<Workload>> {
        let held = self.entries.get(identity)?.held.as_ref()?;
        is_good(held.certificate(), today).then(|| Arc::clone(held))
    }

    /// Sees to it that a certificate comes, and tells of what becomes of it. `None` when there are
    /// `capacity` others already.
    pub(super) fn ask(
        &mut self,
        identity: &SpiffeId,
        priority: Priority,
        now: Instant,
        capacity: usize,
    ) -> Option<watch::Receiver<Outcome>> {
        if !self.entries.contains_key(identity) && self.entries.len() >= capacity {
            return None;
        }
        let queue = &mut self.queue;
        let entry = self.entries.entry(identity.clone()).or_insert_with(|| {
            let ticket = queue.push(identity.clone(), priority, now);
            Entry::new(ticket)
        });
        if let Stage::Queued(ticket) = entry.stage
            && priority < ticket.priority
            && (priority == Priority::RealTime || entry.failures == 0)
        {
            let due = entry.retry.unwrap_or(now).min(ticket.due);
            queue.remove(ticket);
            entry.stage = Stage::Queued(queue.push(identity.clone(), priority, due));
        }
        Some(entry.outcome.subscribe())
    }

    /// What to fetch now.
    pub(super) fn next(&mut self, now: Instant) -> Option<Task> {
        let identity = self.queue.pop(now)?;
        let entry = self.entries.get_mut(&identity)?;
        self.attempts += 1;
        let attempt = self.attempts;
        let task = None;
        entry.stage = Stage::Fetching { attempt, task };
        Some(Task { identity, attempt })
    }

    /// Notes what an attempt is ended with when its identity is forgotten. Gives it back when that has
    /// happened already, or when the attempt has ended.
    pub(super) fn started(
        &mut self,
        identity: &SpiffeId,
        number: u64,
        handle: AbortHandle,
    ) -> Option<AbortHandle> {
        match self.entries.get_mut(identity).map(|e| &mut e.stage) {
            Some(Stage::Fetching { attempt, task }) if *attempt == number => {
                *task = Some(handle);
                None
            }
            _ => Some(handle),
        }
    }

    /// When there will be something to fetch.
    pub(super) fn due(&self) -> Option<Instant> {
        self.queue.due()
    }

    /// Takes in what an attempt has ended with, and tells those who wait.
    pub(super) fn done(
        &mut self,
        task: &Task,
        result: Result<Arc<Workload>, FetchError>,
        now: Instant,
        today: UnixTime,
        jitter: f64,
    ) {
        let Some(entry) = self.entries.get_mut(&task.identity) else {
            return;
        };
        // The identity may have been forgotten and asked for again: then this is of another life.
        if !matches!(entry.stage, Stage::Fetching { attempt, .. } if attempt == task.attempt) {
            return;
        }
        let (last, wait) = match result {
            Ok(workload) => {
                let wait = renewal(workload.certificate(), today);
                entry.failures = 0;
                entry.retry = None;
                entry.held = Some(Arc::clone(&workload));
                let expiry = now + expiry(workload.certificate(), today);
                self.expiry = self.expiry.into_iter().chain([expiry]).min();
                (Ok(workload), wait)
            }
            Err(error) => {
                entry.failures = entry.failures.saturating_add(1);
                // No timer told of it when the machine has slept.
                entry.expire(today);
                let mut wait = backoff(entry.failures, jitter);
                if let Some(left) = entry
                    .held
                    .as_ref()
                    .and_then(|h| left(h.certificate(), today))
                {
                    wait = wait.min(left);
                }
                entry.retry = Some(now + wait.min(PATIENCE));
                (Err(Arc::new(error)), wait)
            }
        };
        // What changed while it was fetched may not be in it.
        let again = std::mem::take(&mut entry.outdated) && last.is_ok();
        let due = if again { now } else { now + wait };
        let ticket = self
            .queue
            .push(task.identity.clone(), Priority::Background, due);
        entry.stage = Stage::Queued(ticket);
        entry.outcome.send_modify(|outcome| {
            outcome.attempts += 1;
            outcome.last = Some(last);
        });
    }

    /// Drops what has expired, which nobody is given any more: with it goes what it made this process
    /// believe. Says when to come again. It does not wait for attempts: while a source hangs they
    /// take long, and have to wait for each other.
    pub(super) fn expire(&mut self, now: Instant, today: UnixTime) -> Option<Instant> {
        if self.expiry.is_some_and(|expiry| expiry <= now) {
            let left = self.entries.values_mut().filter_map(|e| e.expire(today));
            self.expiry = left.min().map(|left| now + left);
        }
        self.expiry
    }

    /// Fetches everything again, after another.
    pub(super) fn outdate(&mut self, now: Instant) {
        for (identity, entry) in &mut self.entries {
            match entry.stage {
                Stage::Fetching { .. } => entry.outdated = true,
                Stage::Queued(ticket) if ticket.due > now => {
                    self.queue.remove(ticket);
                    let ticket = self.queue.push(identity.clone(), ticket.priority, now);
                    entry.stage = Stage::Queued(ticket);
                }
                Stage::Queued(_) => {}
            }
        }
    }

    /// Drops an identity. Those who wait for it learn that nothing will come. Gives the attempt that
    /// is to be ended.
    pub(super) fn forget(&mut self, identity: &SpiffeId) -> Option<AbortHandle> {
        match self.entries.remove(identity)?.stage {
            Stage::Queued(ticket) => {
                self.queue.remove(ticket);
                None
            }
            Stage::Fetching { task, .. } => task,
        }
    }

    /// What there is, in the order of identities.
    pub(super) fn list(&self) -> Vec<Status> {
        let entries = self.entries.iter();
        let status = entries.map(|(identity, entry)| Status {
            identity: identity.clone(),
            workload: entry.held.clone(),
            failures: entry.failures,
            error: match &entry.outcome.borrow().last {
                Some(Err(error)) => Some(Arc::clone(error)),
                _ => None,
            },
        });
        status.collect()
    }
}

impl Entry {
    fn new(ticket: Ticket) -> Self {
        Self {
            held: None,
            stage: Stage::Queued(ticket),
            failures: 0,
            retry: None,
            outdated: false,
            outcome: watch::Sender::default(),
        }
    }

    /// Drops a certificate that has expired. Says in how long one that has not will have.
    fn expire(&mut self, today: UnixTime) -> Option<Duration> {
        let held = self.held.as_ref()?;
        if is_good(held.certificate(), today) {
            return Some(expiry(held.certificate(), today));
        }
        self.held = None;
        self.outcome.send_if_modified(|outcome| {
            if let Some(Ok(_)) = outcome.last {
                outcome.last = Some(Err(Arc::new(FetchError::Expired)));
            }
            // No attempt has ended by that.
            false
        });
        None
    }
}
