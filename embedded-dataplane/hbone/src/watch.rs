//! A stream that remembers what passed.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Octets from the beginning that are remembered.
const REMEMBERED: usize = 64;

/// What came from the peer, and how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many octets came.
    pub received: u64,
    /// The first of them.
    pub first: Vec<u8>,
    /// The peer ended its direction.
    pub ended: bool,
}

/// A stream that remembers what came from the peer.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    seen: Arc<Mutex<Seen>>,
}

impl<S> Watched<S> {
    /// Watches a stream. The second value tells at any time what was seen.
    pub fn new(stream: S) -> (Self, impl Fn() -> Seen) {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let watcher = Arc::clone(&seen);
        let look = move || {
            let seen = watcher.lock().unwrap_or_else(PoisonError::into_inner);
            seen.clone()
        };
        (Self { stream, seen }, look)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let has_room = buffer.remaining() > 0;
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let new = &buffer.filled()[before..];
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.ended |= has_room && new.is_empty();
        seen.received += new.len() as u64;
        let room = REMEMBERED.saturating_sub(seen.first.len());
        seen.first.extend_from_slice(&new[..room.min(new.len())]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
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
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
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
