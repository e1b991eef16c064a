//! A handshake, and whether it waits for its peer.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::task::yield_now;
use tokio::time::Instant;

use super::line::{Line, Place};

/// A handshake that is being made, until this is dropped.
#[derive(Debug)]
pub(in crate::relay) struct Slot {
    peer: Arc<Peer>,
    _permit: OwnedSemaphorePermit,
}

/// The stream of a handshake.
#[derive(Debug)]
pub(in crate::relay) struct Shaken<S> {
    stream: S,
    peer: Option<Arc<Peer>>,
}

/// Whoever a handshake is made with.
#[derive(Debug)]
struct Peer {
    line: Arc<Line>,
    asked: Arc<Notify>,
    wait: Mutex<Wait>,
}

/// How long it is waited for. What takes us time is not its fault.
#[derive(Debug, Default)]
struct Wait {
    /// Before it said what it said last.
    before: Duration,
    now: Option<(Instant, Place)>,
}

impl Slot {
    /// That of a handshake which stands in a line whenever it waits for its peer, at the place of one
    /// that has waited as long.
    pub(super) fn of(line: &Arc<Line>, permit: OwnedSemaphorePermit) -> Self {
        let peer = Arc::new(Peer {
            line: Arc::clone(line),
            asked: Arc::default(),
            wait: Mutex::default(),
        });
        Self {
            peer,
            _permit: permit,
        }
    }

    /// The stream that it is made over.
    pub(in crate::relay) fn over<S>(&self, stream: S) -> Shaken<S> {
        Shaken {
            stream,
            peer: Some(Arc::clone(&self.peer)),
        }
    }

    /// Waits until it is to be given up for others.
    pub(super) async fn asked(&self) {
        loop {
            self.peer.asked.notified().await;
            // What its peer has said by now is read first: it may be we who are late.
            yield_now().await;
            if self.peer.is_asked() {
                return;
            }
        }
    }
}

impl Peer {
    fn is_waited_for(&self) {
        let mut wait = self.wait();
        if wait.now.is_none() {
            let now = Instant::now();
            let since = now.checked_sub(wait.before).unwrap_or(now);
            wait.now = Some((now, self.line.join_as_of(since, &self.asked)));
        }
    }

    fn has_spoken(&self) {
        let mut wait = self.wait();
        if let Some((since, _)) = wait.now.take() {
            wait.before += since.elapsed();
        }
    }

    /// Whether it was asked, and has said nothing since.
    fn is_asked(&self) -> bool {
        let wait = self.wait();
        wait.now
            .as_ref()
            .is_some_and(|(_, place)| place.was_asked())
    }

    fn wait(&self) -> MutexGuard<'_, Wait> {
        self.wait.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Shaken<S> {
    /// The handshake is over.
    pub(in crate::relay) fn is_made(&mut self) {
        self.peer = None;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Shaken<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Some(peer) = &self.peer {
            if read.is_pending() {
                peer.is_waited_for();
            } else {
                peer.has_spoken();
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Shaken<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
