//! The certificates of the workloads of a process: fetched, kept, renewed.
//!
//! [`state`] decides what happens and when, [`queue`] who is next, [`pace`] how long to wait; this
//! module does it.

mod pace;
mod queue;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::pki_types::UnixTime;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::source::{FetchError, Source};
use crate::spiffe::SpiffeId;
use crate::trust::Trust;
use crate::workload::{TlsOptions, Workload};
use queue::Priority;
use state::{State, Task};

pub use state::Status;

/// How a store works.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// How many certificates are fetched at once (ztunnel `src/identity/manager.rs`: 8).
    pub parallel: usize,
    /// How long one attempt may take.
    pub patience: Duration,
    /// How many identities are held at most. It is what workloads of one machine can be, not a
    /// limit of the store: a certificate with what belongs to it takes some kilobytes.
    pub capacity: usize,
    /// What their connections are made with.
    pub tls: TlsOptions,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            parallel: 8,
            patience: Duration::from_secs(10),
            capacity: 4096,
            tls: TlsOptions::default(),
        }
    }
}

/// No certificate for a connection.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The attempt that was made for it has failed.
    #[error(transparent)]
    Fetch(Arc<FetchError>),
    /// The identity was forgotten while its certificate was fetched.
    #[error("`{0}` is not needed here any more")]
    Forgotten(SpiffeId),
    /// The store is full.
    #[error("no room for the certificate of another workload: {0} are held")]
    Full(usize),
}

/// Fetches the certificates of workloads, keeps them, and renews them in time.
///
/// - One attempt at a time for each identity, a few at once for all; connections that wait come
///   first, then identities that are warmed up, then renewals.
/// - A certificate is renewed at half of its lifetime. When that fails the old one is used as long as
///   it is valid, and the next attempt comes after a wait that doubles up to 150 seconds.
/// - A failure is told to those who waited for that attempt, and to nobody else: who asks later waits
///   for an attempt of their own, which is made within two seconds.
///
/// It works in a task of its own, which ends with it.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    worker: AbortHandle,
}

struct Shared {
    state: Mutex<State>,
    work: Notify,
    source: Box<dyn Source>,
    trust: Arc<Trust>,
    options: StoreOptions,
}

impl Store {
    /// Starts a store. Has to be called within a runtime of tokio.
    pub fn start(source: impl Source, trust: Arc<Trust>, options: StoreOptions) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Notify::new(),
            source: Box::new(source),
            trust,
            options,
        });
        let worker = tokio::spawn(work(Arc::clone(&shared))).abort_handle();
        Self { shared, worker }
    }

    /// What all identities of the store believe.
    pub fn trust(&self) -> &Arc<Trust> {
        &self.shared.trust
    }

    /// The workload with a certificate that is valid, at once where there is one. Otherwise waits for
    /// one attempt to fetch it, which ends within the time of [`StoreOptions::patience`] once it is
    /// its turn. To be asked for with each connection: what it gives is not renewed in place.
    ///
    /// # Errors
    ///
    /// When that attempt fails, when the identity is forgotten meanwhile, or when it is one too many.
    pub async fn get(&self, identity: &SpiffeId) -> Result<Arc<Workload>, StoreError> {
        let (mut outcome, seen) = {
            let mut state = self.shared.state();
            if let Some(held) = state.held(identity, self.shared.today()) {
                return Ok(held);
            }
            let outcome = self.ask(&mut state, identity, Priority::RealTime)?;
            let seen = outcome.borrow().attempts;
            (outcome, seen)
        };
        let ended = outcome.wait_for(|outcome| outcome.attempts > seen).await;
        let ended = ended.map(|outcome| outcome.last.clone());
        match ended {
            Ok(Some(Ok(workload))) => Ok(workload),
            Ok(Some(Err(error))) => Err(StoreError::Fetch(error)),
            Ok(None) | Err(_) => Err(StoreError::Forgotten(identity.clone())),
        }
    }

    /// The same without waiting: `None` where there is none yet.
    pub fn held(&self, identity: &SpiffeId) -> Option<Arc<Workload>> {
        self.shared.state().held(identity, self.shared.today())
    }

    /// Has a certificate fetched before a connection asks for it. None of these gets lost, and they
    /// are fetched as many at once as all others.
    ///
    /// # Errors
    ///
    /// When the identity is one too many.
    pub fn warm_up(&self, identity: &SpiffeId) -> Result<(), StoreError> {
        let mut state = self.shared.state();
        if state.held(identity, self.shared.today()).is_none() {
            self.ask(&mut state, identity, Priority::WarmUp)?;
        }
        Ok(())
    }

    /// Drops an identity, whatever is being done for it. Connections that have it go on.
    pub fn forget(&self, identity: &SpiffeId) {
        let attempt = self.shared.state().forget(identity);
        if let Some(attempt) = attempt {
            attempt.abort();
        }
    }

    /// What there is, in the order of identities.
    pub fn list(&self) -> Vec<Status> {
        self.shared.state().list()
    }

    fn ask(
        &self,
        state: &mut State,
        identity: &SpiffeId,
        priority: Priority,
    ) -> Result<tokio::sync::watch::Receiver<state::Outcome>, StoreError> {
        let capacity = self.shared.options.capacity;
        let outcome = state.ask(identity, priority, Instant::now(), capacity);
        self.shared.work.notify_one();
        outcome.ok_or(StoreError::Full(capacity))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn today(&self) -> UnixTime {
        self.options.tls.clock.now()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("state", &self.state)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Starts what is due, for ever. Attempts are children of this task, and end with it.
async fn work(shared: Arc<Shared>) {
    let mut attempts = JoinSet::new();
    let mut changed = shared.source.changed();
    loop {
        let due = start(&shared, &mut attempts);
        let wait = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.work.notified() => {}
            () = wait => {}
            Some(_) = attempts.join_next() => {}
            () = &mut changed => {
                shared.state().outdate(Instant::now());
                changed = shared.source.changed();
            }
        }
    }
}

/// Drops what has expired, and starts as many attempts as may be. Says when to do it again, unless
/// something happens before.
fn start(shared: &Arc<Shared>, attempts: &mut JoinSet<()>) -> Option<Instant> {
    let today = shared.today();
    let expiry = shared.state().expire(Instant::now(), today);
    while attempts.len() < shared.options.parallel {
        let task = {
            let mut state = shared.state();
            match state.next(Instant::now()) {
                Some(task) => task,
                None => return state.due().into_iter().chain(expiry).min(),
            }
        };
        let (identity, number) = (task.identity.clone(), task.attempt);
        let attempt = Attempt {
            shared: Arc::clone(shared),
            task,
            result: None,
        };
        // Not under the lock, which an attempt takes when it is dropped: a runtime that is closing
        // drops it here and now.
        let handle = attempts.spawn(attempt.run());
        let unwanted = shared.state().started(&identity, number, handle);
        if let Some(handle) = unwanted {
            handle.abort();
        }
    }
    expiry
}

/// An attempt to fetch a certificate. However it ends, those who wait are told.
struct Attempt {
    shared: Arc<Shared>,
    task: Task,
    result: Option<Result<Workload, FetchError>>,
}

impl Attempt {
    async fn run(mut self) {
        let patience = self.shared.options.patience;
        let fetched = timeout(patience, self.fetch()).await;
        let result = fetched.unwrap_or(Err(FetchError::TimedOut(patience)));
        self.result = Some(result);
    }

    async fn fetch(&self) -> Result<Workload, FetchError> {
        let Shared { trust, options, .. } = &*self.shared;
        let identity = &self.task.identity;
        let issued = self.shared.source.fetch(identity).await?;
        let workload = Workload::new(identity, &issued, trust, options.tls)?;
        if !pace::is_good(workload.certificate(), self.shared.today()) {
            return Err(FetchError::Expired);
        }
        Ok(workload)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let result = self.result.take().unwrap_or(Err(FetchError::Broken));
        let (now, today) = (Instant::now(), self.shared.today());
        let result = result.map(Arc::new);
        let mut state = self.shared.state();
        state.done(&self.task, result, now, today, pace::jitter());
    }
}

#[cfg(test)]
mod tests;
