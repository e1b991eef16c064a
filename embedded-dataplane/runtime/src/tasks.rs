//! Tasks with names and an owner, whose panics are told.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Panics of the tasks of a process: counted, and told to whoever waits for one that the process
/// cannot do without. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct Panics {
    last: Arc<watch::Sender<Option<Panic>>>,
    count: Arc<AtomicU64>,
}

/// A task has panicked. Its message is in the log, where the hook of [`crate::log`] writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panic {
    /// Name of the task.
    pub task: &'static str,
}

/// Tasks that are aborted when this is dropped. A panic ends its own task, and what that held.
///
/// What a task starts itself belongs into tasks of its own, which it owns.
#[derive(Debug)]
pub struct Tasks {
    panics: Panics,
    are_vital: bool,
    alive: Arc<Alive>,
}

#[derive(Debug, Default)]
struct Alive {
    running: Mutex<Running>,
    ended: Notify,
}

/// The tasks that have not ended. One that has is forgotten at once: its handle would keep its memory.
#[derive(Debug, Default)]
struct Running {
    /// Without a handle as long as it is being started.
    all: BTreeMap<u64, Option<AbortHandle>>,
    next: u64,
    /// How often all were aborted.
    aborted: u64,
}

impl Tasks {
    /// No tasks yet. They are what the process cannot do without: a panic is told to whoever waits
    /// for one.
    pub fn new(panics: &Panics) -> Self {
        let mut tasks = Self::apart(panics);
        tasks.are_vital = true;
        tasks
    }

    /// No tasks yet, each of which does something of its own, as of one connection: a panic is
    /// counted, and concerns nobody else.
    pub fn apart(panics: &Panics) -> Self {
        Self {
            panics: panics.clone(),
            are_vital: false,
            alive: Arc::default(),
        }
    }

    /// Starts a task. Has to be called within a runtime of tokio.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (number, aborted) = self.alive.running().add();
        let report = Report {
            name,
            number,
            panics: self.panics.clone(),
            is_vital: self.are_vital,
            alive: Arc::clone(&self.alive),
        };
        // Not under the lock: a runtime that shuts down drops the task at once, and what that drops
        // may want to start another.
        let handle = tokio::spawn(async move {
            // Dropped after the task, whether that returns, panics or is aborted.
            let _report = report;
            task.await;
        });
        let handle = handle.abort_handle();
        let mut running = self.alive.running();
        if running.aborted != aborted {
            drop(running);
            handle.abort();
        } else if let Some(kept) = running.all.get_mut(&number) {
            *kept = Some(handle);
        }
    }

    /// Waits until no task is left.
    pub async fn ended(&self) {
        loop {
            let mut ended = pin!(self.alive.ended.notified());
            ended.as_mut().enable();
            if self.is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// Aborts all tasks, which end as soon as they let go of what they do.
    pub fn abort(&self) {
        let mut running = self.alive.running();
        running.aborted += 1;
        let all: Vec<_> = running.all.values().flatten().cloned().collect();
        // Not under the lock either.
        drop(running);
        for handle in all {
            handle.abort();
        }
    }

    /// Aborts all tasks, and waits until none is left.
    pub async fn stop(&self) {
        self.abort();
        self.ended().await;
    }

    /// How many tasks there are.
    pub fn len(&self) -> usize {
        self.alive.running().all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.abort();
    }
}

impl Alive {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// One more, and how often all were aborted before.
    fn add(&mut self) -> (u64, u64) {
        let number = self.next;
        self.next += 1;
        self.all.insert(number, None);
        (number, self.aborted)
    }
}

/// What becomes of a task.
struct Report {
    name: &'static str,
    number: u64,
    panics: Panics,
    is_vital: bool,
    alive: Arc<Alive>,
}

impl Drop for Report {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.panics.add(Panic { task: self.name }, self.is_vital);
        }
        let mut running = self.alive.running();
        let handle = running.all.remove(&self.number);
        let is_last = running.all.is_empty();
        drop(running);
        drop(handle);
        if is_last {
            self.alive.ended.notify_waiters();
        }
    }
}

impl Panics {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits for one of a task that the process cannot do without, or tells the last at once.
    pub async fn any(&self) -> Panic {
        let mut last = self.last.subscribe();
        loop {
            if let Some(panic) = *last.borrow_and_update() {
                return panic;
            }
            // Its sender is here, so it does not fail.
            if last.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn add(&self, panic: Panic, is_vital: bool) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if is_vital {
            self.last.send_replace(Some(panic));
        }
    }
}

impl Default for Panics {
    fn default() -> Self {
        Self {
            last: Arc::new(watch::Sender::new(None)),
            count: Arc::default(),
        }
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task `{}` panicked", self.task)
    }
}

#[cfg(test)]
mod tests;
