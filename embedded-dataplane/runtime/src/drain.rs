//! The end of a process: one signal to all, a deadline, and who was still there.
//!
//! ```text
//! running ── start(deadline) ──► draining ── all gone, or deadline ──► over
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

/// Ends the work of a process. When it is dropped, all work is over at once.
#[derive(Debug)]
pub struct Drain {
    phase: watch::Sender<Phase>,
    present: Arc<Present>,
}

/// What work that can be drained holds. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct Draining {
    phase: watch::Receiver<Phase>,
    present: Arc<Present>,
}

/// Work of one kind, counted under its name.
#[derive(Debug, Clone)]
pub struct Group {
    here: Arc<AtomicUsize>,
    present: Arc<Present>,
}

/// One piece of work, which a drain waits for until this is dropped.
#[derive(Debug)]
pub struct Guard {
    group: Group,
}

/// Who was still there when a drain was over: how many of which group, without those of none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left(pub BTreeMap<&'static str, usize>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Draining(Instant),
    Over,
}

#[derive(Debug, Default)]
struct Present {
    groups: Mutex<BTreeMap<&'static str, Arc<AtomicUsize>>>,
    all: AtomicUsize,
    gone: Notify,
}

impl Drain {
    /// A drain that has not begun, and what work holds to learn of it.
    pub fn new() -> (Self, Draining) {
        let (sender, receiver) = watch::channel(Phase::Running);
        let present = Arc::<Present>::default();
        let drain = Self {
            phase: sender,
            present: Arc::clone(&present),
        };
        let draining = Draining {
            phase: receiver,
            present,
        };
        (drain, draining)
    }

    /// Tells everybody to end, waits until they have or the deadline is there, then tells those who
    /// are left that it is over. May be called again, and by others at once: the earliest deadline
    /// counts.
    pub async fn start(&self, deadline: Instant) -> Left {
        self.phase.send_if_modified(|phase| match *phase {
            Phase::Over => false,
            Phase::Draining(before) if before <= deadline => false,
            Phase::Running | Phase::Draining(_) => {
                *phase = Phase::Draining(deadline);
                true
            }
        });
        let mut phase = self.phase.subscribe();
        let mut gone = pin!(self.present.all_gone());
        loop {
            let Phase::Draining(deadline) = *phase.borrow_and_update() else {
                break;
            };
            tokio::select! {
                biased;
                () = &mut gone => break,
                // The deadline may come nearer while it is waited for.
                ended = timeout_at(deadline, phase.changed()) => {
                    if ended.is_err() {
                        break;
                    }
                }
            }
        }
        let left = self.present.left();
        self.phase.send_replace(Phase::Over);
        left
    }

    /// Who is there at this moment.
    pub fn present(&self) -> Left {
        self.present.left()
    }
}

impl Draining {
    /// Waits until the end has been asked for, and tells until when work may go on.
    pub async fn requested(&self) -> Instant {
        let mut phase = self.phase.clone();
        let ended = phase.wait_for(|phase| *phase != Phase::Running).await;
        match ended.map(|phase| *phase) {
            Ok(Phase::Draining(deadline)) => deadline,
            // Whoever could ask is gone.
            Ok(Phase::Running | Phase::Over) | Err(_) => Instant::now(),
        }
    }

    /// Waits until no work may go on.
    pub async fn over(&self) {
        let mut phase = self.phase.clone();
        // An error means that whoever could say so is gone, which is the same.
        let _ = phase.wait_for(|phase| *phase == Phase::Over).await;
    }

    /// Whether the end has been asked for.
    pub fn is_requested(&self) -> bool {
        *self.phase.borrow() != Phase::Running || self.phase.has_changed().is_err()
    }

    /// Work of one kind. Groups of the same name are the same group.
    pub fn group(&self, name: &'static str) -> Group {
        let groups = self.present.groups.lock();
        let mut groups = groups.unwrap_or_else(PoisonError::into_inner);
        Group {
            here: Arc::clone(groups.entry(name).or_default()),
            present: Arc::clone(&self.present),
        }
    }
}

impl Group {
    /// Counts a piece of work as there.
    pub fn enter(&self) -> Guard {
        self.here.fetch_add(1, Ordering::Relaxed);
        self.present.all.fetch_add(1, Ordering::AcqRel);
        Guard {
            group: self.clone(),
        }
    }

    /// How many are there.
    pub fn len(&self) -> usize {
        self.here.load(Ordering::Relaxed)
    }

    /// Whether none is there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.group.here.fetch_sub(1, Ordering::Relaxed);
        if self.group.present.all.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.group.present.gone.notify_waiters();
        }
    }
}

impl Present {
    async fn all_gone(&self) {
        loop {
            let mut gone = pin!(self.gone.notified());
            // Before it is looked at, so that who leaves in between is not missed.
            gone.as_mut().enable();
            if self.all.load(Ordering::Acquire) == 0 {
                return;
            }
            gone.await;
        }
    }

    fn left(&self) -> Left {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let here = groups
            .iter()
            .map(|(name, here)| (*name, here.load(Ordering::Relaxed)));
        Left(here.filter(|(_, here)| *here > 0).collect())
    }
}

impl Left {
    /// Whether nobody was.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// As `3 inbound tunnels, 1 outbound connections`, or `nobody`.
impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nobody");
        }
        for (index, (name, count)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{count} {name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
