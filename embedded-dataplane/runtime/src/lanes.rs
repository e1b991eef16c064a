//! Threads that each do work of their own: a runtime for each, and nothing that moves between them.
//!
//! What belongs together, as a connection and all that goes through it, is woken, read and written by
//! one thread. Work that moves costs a wake-up of another thread with every step, which for small
//! messages is as much as the step itself.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// Threads that do work, the first of which is the one that has it done.
#[derive(Debug)]
pub struct Lanes {
    first: Runtime,
    others: Vec<Other>,
}

/// A thread beside the first.
#[derive(Debug)]
struct Other {
    handle: Handle,
    /// Asks the thread to end when it is dropped.
    end: oneshot::Sender<()>,
    /// Tells that it has ended, by being dropped.
    ended: mpsc::Receiver<()>,
}

impl Lanes {
    /// Starts so many, at least the first.
    ///
    /// # Errors
    ///
    /// When the system gives no more threads or descriptors.
    pub fn start(many: usize) -> io::Result<Self> {
        Ok(Self {
            first: runtime()?,
            others: (1..many).map(Other::start).collect::<io::Result<_>>()?,
        })
    }

    /// Where work can be given to each of them, the first in front.
    pub fn handles(&self) -> Vec<Handle> {
        let others = self.others.iter().map(|other| &other.handle);
        let all = [self.first.handle()].into_iter().chain(others);
        all.cloned().collect()
    }

    /// Does something on the first, which is this thread until then.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.first.block_on(work)
    }

    /// Drops what there still is, and waits for it so long: something may not let go of its thread.
    pub fn end(self, within: Duration) {
        let deadline = Instant::now() + within;
        let waits = self.others.into_iter().map(|other| {
            drop(other.end);
            other.ended
        });
        // All are asked before any is waited for.
        let waits: Vec<_> = waits.collect();
        self.first
            .shutdown_timeout(deadline.saturating_duration_since(Instant::now()));
        for ended in waits {
            let left = deadline.saturating_duration_since(Instant::now());
            if ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                tracing::warn!("a thread did not end");
            }
        }
    }
}

impl Other {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = runtime()?;
        let handle = runtime.handle().clone();
        let (end, asked) = oneshot::channel::<()>();
        let (ending, ended) = mpsc::channel();
        let work = move || {
            // An error is that its sender is gone, which means the same.
            let _ = runtime.block_on(asked);
            drop(runtime);
            drop::<mpsc::Sender<()>>(ending);
        };
        thread::Builder::new()
            .name(format!("lane-{number}"))
            .spawn(work)?;
        Ok(Self { handle, end, ended })
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn each_lane_is_a_thread_and_what_is_on_it_is_dropped_with_it() {
        let lanes = Lanes::start(3).unwrap();
        let held = Arc::new(());
        let names = lanes.block_on(async {
            let mut names = BTreeSet::new();
            for handle in lanes.handles() {
                let name = async { thread::current().name().map(str::to_owned) };
                names.insert(handle.spawn(name).await.unwrap());
                let held = Arc::clone(&held);
                handle.spawn(async move {
                    std::future::pending::<()>().await;
                    drop(held);
                });
            }
            names
        });
        let here = thread::current().name().map(str::to_owned);
        let others = ["lane-1", "lane-2"].map(|name| Some(name.to_owned()));
        assert_eq!(names, others.into_iter().chain([here]).collect());
        lanes.end(Duration::from_secs(10));
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
