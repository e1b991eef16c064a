//! Lines on their way to a writer that may be slow, full or gone.
//!
//! Whoever logs only copies a line into memory. A thread takes all lines that came and writes them
//! at once. While it cannot, lines are kept up to a bound and then dropped and counted, and what was
//! dropped is said once the writer works again.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long nothing is written after the writer failed.
const RESPITE: Duration = Duration::from_millis(500);

/// The same after a writer that does not block would have.
const SHORT_RESPITE: Duration = Duration::from_millis(10);

/// Lines on their way. When it is dropped its thread ends, once it has written what there is.
#[derive(Debug)]
pub(super) struct Queue {
    shared: Arc<Shared>,
}

/// Makes a line of how many were dropped, and why.
type Tell = dyn Fn(u64, &str) -> String + Send + Sync;

struct Shared {
    state: Mutex<State>,
    /// There is something to do for the thread.
    work: Condvar,
    /// The thread has done something.
    done: Condvar,
    /// The most octets that wait.
    capacity: usize,
    dropped: AtomicU64,
    tell: Box<Tell>,
}

/// What is being written.
#[derive(Debug, Default)]
struct Batch {
    lines: Vec<u8>,
    /// How many dropped lines its last line tells of.
    tells: u64,
    /// It has to begin with the end of a line that was written in part.
    is_torn: bool,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// Lines that were dropped and that the log does not say so of yet.
    untold: u64,
    /// Why, the first time since then.
    why: Option<String>,
    is_writing: bool,
    is_waiting: bool,
    is_over: bool,
}

impl Queue {
    /// Starts the thread of a writer.
    pub(super) fn start(
        writer: impl Write + Send + 'static,
        capacity: usize,
        tell: impl Fn(u64, &str) -> String + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
            capacity,
            dropped: AtomicU64::new(0),
            tell: Box::new(tell),
        });
        let thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || thread.run(writer))?;
        Ok(Self { shared })
    }

    /// Adds a line, which ends with a newline. Never waits for the writer.
    pub(super) fn push(&self, line: &str) {
        let mut state = self.shared.state();
        if state.lines.len() + line.len() > self.shared.capacity {
            self.shared
                .drop_lines(&mut state, 1, "the reader of the log is too slow");
            return;
        }
        state.lines.extend_from_slice(line.as_bytes());
        if state.is_waiting {
            state.is_waiting = false;
            self.shared.work.notify_one();
        }
    }

    /// How many lines were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything is written and told, or for this long. Says whether it is.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let begun = Instant::now();
        let mut state = self.shared.state();
        while state.is_writing || !state.lines.is_empty() || state.untold > 0 {
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return false;
            }
            let woken = self.shared.done.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.shared.work.notify_one();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drop_lines(&self, state: &mut State, count: u64, why: &str) {
        state.untold += count;
        state.why.get_or_insert_with(|| why.to_owned());
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    fn run(&self, mut writer: impl Write) {
        let mut batch = Batch::default();
        while self.take(&mut batch) {
            let (written, ended) = write(&mut writer, &batch.lines);
            let mut state = self.state();
            match ended {
                Ok(()) => {
                    state.untold -= batch.tells;
                    batch = Batch::with_memory_of(batch);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !state.is_over => {
                    batch.lines.drain(..written);
                    state = self.rest(state, SHORT_RESPITE);
                }
                Err(error) => {
                    let lost = batch.lost(written);
                    self.drop_lines(&mut state, lost, &error.to_string());
                    let is_torn = batch.tears(written);
                    batch = Batch::with_memory_of(batch);
                    batch.is_torn = is_torn;
                    state = self.rest(state, RESPITE);
                    if state.is_over {
                        return;
                    }
                }
            }
            state.is_writing = !batch.lines.is_empty();
            drop(state);
            self.done.notify_all();
        }
    }

    /// Adds everything that waits to an empty batch, and says whether there will be more.
    fn take(&self, batch: &mut Batch) -> bool {
        let mut state = self.state();
        while batch.lines.is_empty() && state.lines.is_empty() && state.untold == 0 {
            if state.is_over {
                return false;
            }
            state.is_waiting = true;
            let woken = self.work.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        if batch.lines.is_empty() {
            if batch.is_torn {
                batch.lines.push(b'\n');
                batch.lines.append(&mut state.lines);
            } else {
                std::mem::swap(&mut batch.lines, &mut state.lines);
            }
            give_back(&mut state.lines);
            // What was kept was logged before what was dropped.
            batch.tells = state.untold;
            if batch.tells > 0 {
                let why = state.why.take().unwrap_or_default();
                let line = (self.tell)(batch.tells, &why);
                state.why = Some(why);
                batch.lines.extend_from_slice(line.as_bytes());
            } else {
                state.why = None;
            }
        }
        state.is_writing = true;
        true
    }

    /// Waits a little, but not for a process that ends.
    fn rest<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        respite: Duration,
    ) -> MutexGuard<'a, State> {
        let begun = Instant::now();
        while !state.is_over {
            let left = respite.saturating_sub(begun.elapsed());
            if left.is_zero() {
                break;
            }
            let woken = self.work.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }
}

impl Batch {
    fn with_memory_of(mut other: Self) -> Self {
        other.lines.clear();
        give_back(&mut other.lines);
        Self {
            lines: other.lines,
            ..Self::default()
        }
    }

    /// How many lines are lost when only so much of it was written.
    fn lost(&self, written: usize) -> u64 {
        let rest = self.lines.get(written..).unwrap_or_default();
        let lines = rest.split_inclusive(|byte| *byte == b'\n').count() as u64;
        // What it tells of is counted already, and so is the line whose end it begins with.
        let counted = u64::from(self.tells > 0) + u64::from(self.is_torn && written == 0);
        lines.saturating_sub(counted)
    }

    /// Whether the next has to begin with the end of a line.
    fn tears(&self, written: usize) -> bool {
        let last = written.checked_sub(1).and_then(|last| self.lines.get(last));
        last.map_or(self.is_torn, |byte| *byte != b'\n')
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("capacity", &self.capacity)
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}

/// Writes as much as it can, and tells how much that was.
fn write(writer: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match writer.write(rest) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, writer.flush())
}

/// Memory that a burst needed is not kept.
fn give_back(lines: &mut Vec<u8>) {
    const USUAL: usize = 64 * 1024;
    if lines.capacity() > USUAL {
        lines.shrink_to(USUAL);
    }
}

#[cfg(test)]
mod tests;
