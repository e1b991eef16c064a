//! Accepting connections, whatever goes wrong with that.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

/// How long the first failure suspends accepting; each further one doubles it.
const SHORTEST: Duration = Duration::from_millis(10);

/// The longest time without an attempt.
const LONGEST: Duration = Duration::from_secs(1);

/// How long nothing goes wrong before trouble is over: as a crowd leaves, accepting works and fails by
/// turns.
const CALM: Duration = Duration::from_secs(1);

/// Accepts connections of one listener for ever. Where the system has no room for another (file
/// descriptors, memory) it waits and tries again, and says so once.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    name: &'static str,
    trouble: Trouble,
    /// The first descriptor that is kept for others.
    kept: usize,
    /// Has one of these, and waits for another.
    waiting: Option<(std::net::TcpStream, SocketAddr)>,
}

/// How often a listener failed to accept for want of something. Clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct Failures(Arc<AtomicU64>);

/// What went wrong.
#[derive(Debug, Default)]
struct Trouble {
    /// In a row.
    row: u32,
    /// Since it was last said that it is over.
    unsettled: u32,
    all: Failures,
    last: Option<Instant>,
    until: Option<Instant>,
}

/// What to do about a failure.
#[derive(Debug, PartialEq, Eq)]
enum Cure {
    /// It was the connection's: accept the next.
    Next,
    /// Wait, and say so.
    SayAndWait,
    /// Wait.
    Wait,
}

impl Acceptor {
    /// Accepts of a listener, which is called by this name in the log.
    pub fn new(listener: TcpListener, name: &'static str) -> Self {
        Self {
            listener,
            name,
            trouble: Trouble::default(),
            kept: usize::MAX,
            waiting: None,
        }
    }

    /// Leaves descriptors from this one on to others: the system gives the lowest that is free, so that
    /// whoever does so keeps off from the last ones. There is room only where one before it is free.
    #[must_use]
    pub fn before(mut self, kept: usize) -> Self {
        self.kept = kept;
        self
    }

    /// The next connection. May be dropped and called again without losing one.
    pub async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            if let Some(until) = self.trouble.until {
                sleep_until(until).await;
                self.trouble.until = None;
            }
            match self.next().await {
                Ok(accepted) => {
                    if let Some(failures) = self.trouble.recovered(Instant::now()) {
                        tracing::info!(listener = self.name, failures, "accepting again");
                    }
                    return accepted;
                }
                Err(error) => {
                    if self.trouble.failed(&error, Instant::now()) == Cure::SayAndWait {
                        tracing::warn!(
                            listener = self.name,
                            error = error.to_string(),
                            "cannot accept connections"
                        );
                    }
                }
            }
        }
    }

    /// One that was accepted and waits for a descriptor, for when nobody accepts any more: it is in no
    /// backlog that somebody else could take it from.
    pub fn left(&mut self) -> Option<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.waiting.take()?;
        Some((TcpStream::from_std(stream).ok()?, peer))
    }

    async fn next(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = if let Some(waiting) = self.waiting.take() {
            waiting
        } else {
            let (stream, peer) = self.listener.accept().await?;
            if number(&stream) < self.kept {
                return Ok((stream, peer));
            }
            (stream.into_std()?, peer)
        };
        match lower(&stream, self.kept) {
            Ok(lower) => Ok((TcpStream::from_std(lower)?, peer)),
            Err(error) => {
                self.waiting = Some((stream, peer));
                Err(error)
            }
        }
    }

    /// The listener.
    pub fn listener(&self) -> &TcpListener {
        &self.listener
    }

    /// How often accepting failed for want of something.
    pub fn failures(&self) -> Failures {
        self.trouble.all.clone()
    }
}

/// The same connection by a descriptor that is not kept for others.
fn lower(stream: &std::net::TcpStream, kept: usize) -> io::Result<std::net::TcpStream> {
    let lower = stream.try_clone()?;
    if number(&lower) < kept {
        return Ok(lower);
    }
    Err(io::Error::other(
        "all descriptors are taken but those that are kept for others",
    ))
}

/// The number of a descriptor.
#[cfg(unix)]
fn number(of: &impl std::os::fd::AsRawFd) -> usize {
    usize::try_from(of.as_raw_fd()).unwrap_or_default()
}

#[cfg(not(unix))]
fn number<T>(_: &T) -> usize {
    0
}

impl Failures {
    /// As often.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Trouble {
    fn failed(&mut self, error: &io::Error, now: Instant) -> Cure {
        // What accept(2) tells of a connection that broke while it waited.
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::Interrupted
        ) {
            return Cure::Next;
        }
        let wait = SHORTEST * 2_u32.saturating_pow(self.row.min(10));
        self.until = Some(now + wait.min(LONGEST));
        self.row += 1;
        self.all.0.fetch_add(1, Ordering::Relaxed);
        self.unsettled = self.unsettled.saturating_add(1);
        self.last = Some(now);
        if self.unsettled == 1 {
            Cure::SayAndWait
        } else {
            Cure::Wait
        }
    }

    /// How many failures are over.
    fn recovered(&mut self, now: Instant) -> Option<u32> {
        self.row = 0;
        self.last
            .take_if(|last| now.duration_since(*last) >= CALM)?;
        Some(std::mem::take(&mut self.unsettled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn want_is_said_once_waits_longer_each_time_and_is_over_with_the_next_connection() {
        let mut trouble = Trouble::default();
        let now = Instant::now();
        let want = io::Error::other("no room");
        let mut waits = Vec::new();
        for round in 0..9 {
            let said = trouble.failed(&want, now) == Cure::SayAndWait;
            assert_eq!(said, round == 0);
            let until = trouble.until.take();
            waits.push(until.unwrap().duration_since(now).as_millis());
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        // One that is accepted meanwhile does not mean that it is over.
        assert_eq!(trouble.recovered(now), None);
        assert_eq!(trouble.failed(&want, now), Cure::Wait);
        assert_eq!(trouble.recovered(now + CALM), Some(10));
        assert_eq!(trouble.recovered(now + CALM), None);
        assert_eq!(trouble.failed(&want, now), Cure::SayAndWait);
        assert_eq!(trouble.all.count(), 11);
    }

    #[tokio::test]
    async fn a_connection_that_broke_while_it_waited_suspends_nothing() {
        let mut trouble = Trouble::default();
        for kind in [
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::Interrupted,
        ] {
            assert_eq!(trouble.failed(&kind.into(), Instant::now()), Cure::Next);
        }
        assert_eq!((trouble.until, trouble.all.count()), (None, 0));
    }
}
