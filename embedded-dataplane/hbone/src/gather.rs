//! One write for everything that is ready.
//!
//! The library writes each frame of more than some hundred octets by itself, and each write is a
//! record of TLS, a system call and, at the peer, a wake-up: under load ztunnel spends most of its
//! time there. So whoever moves a connection holds its writes back while the library works, and lets
//! them go at once when it has nothing more to say.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Octets that are held back at most.
const MOST: usize = 64 << 10;
/// Writes of so many octets are worth one of their own, without a copy: a record of TLS has no more.
const LARGE: usize = 16 << 10;

/// Octets that are read in one turn at most. What came is to leave again before more comes: it is
/// still in the caches then, and the buffers that it was in are free.
const TURN: usize = 256 << 10;

/// A stream that can hold back what is written to it.
#[derive(Debug)]
pub(crate) struct Gathered<S>(Arc<Mutex<Inner<S>>>);

/// Whether writes are held back; they are not, unless somebody says so.
#[derive(Debug)]
pub(crate) struct Gate<S>(Arc<Mutex<Inner<S>>>);

#[derive(Debug)]
struct Inner<S> {
    stream: S,
    is_closed: bool,
    /// Octets wait at the gate, or behind it: TLS takes more than the socket does.
    is_crowded: bool,
    /// Octets that may still be read in this turn.
    readable: usize,
    held: Vec<u8>,
    /// Of these so many went.
    gone: usize,
    /// How writing failed when the gate opened, for whoever writes next.
    fault: Option<io::Error>,
}

impl<S> Gathered<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            stream,
            is_closed: false,
            is_crowded: false,
            readable: usize::MAX,
            held: Vec::new(),
            gone: 0,
            fault: None,
        })))
    }

    pub(crate) fn gate(&self) -> Gate<S> {
        Gate(Arc::clone(&self.0))
    }

    fn inner(&self) -> MutexGuard<'_, Inner<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncWrite + Unpin> Gate<S> {
    /// Whether anything waits at the gate, or behind it.
    pub(crate) fn is_crowded(&self) -> bool {
        self.inner().is_crowded
    }

    /// Holds back what is written, and begins a turn.
    pub(crate) fn close(&self) {
        let mut inner = self.inner();
        inner.readable = TURN;
        inner.is_closed = true;
    }

    /// Holds back nothing more.
    pub(crate) fn open(&self) {
        self.inner().is_closed = false;
    }

    /// The same, and writes everything. `false` when that failed, which whoever writes next is told.
    pub(crate) fn poll_open(&self, cx: &mut Context<'_>) -> bool {
        let mut inner = self.inner();
        inner.is_closed = false;
        if inner.is_crowded
            && let Poll::Ready(Err(error)) = inner.poll_flush(cx)
        {
            inner.fault = Some(error);
        }
        inner.fault.is_none()
    }

    fn inner(&self) -> MutexGuard<'_, Inner<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Inner<S> {
    /// Whether so many octets are to be held back rather than written.
    fn holds(&self, octets: usize) -> bool {
        self.is_closed && octets < LARGE && self.held.len() + octets <= MOST
    }

    fn hold(&mut self, octets: &[u8]) {
        if self.held.capacity() == 0 {
            self.held.reserve(LARGE);
        }
        self.held.extend_from_slice(octets);
        self.is_crowded = true;
    }
}

impl<S: AsyncWrite + Unpin> Inner<S> {
    /// Writes what was held back.
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(fault) = self.fault.take() {
            return Poll::Ready(Err(fault));
        }
        while let Some(rest) = self.held.get(self.gone..)
            && !rest.is_empty()
        {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.gone += count,
            }
        }
        // A connection that has nothing to say keeps no memory for it.
        self.held = Vec::new();
        self.gone = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.is_crowded = false;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        if inner.readable == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut inner.stream).poll_read(cx, buffer))?;
        let new = buffer.filled().len().saturating_sub(before);
        inner.readable = inner.readable.saturating_sub(new);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.inner();
        if inner.holds(octets.len()) {
            inner.hold(octets);
            return Poll::Ready(Ok(octets.len()));
        }
        // A flush that the closed gate keeps off is to be made up for.
        inner.is_crowded = true;
        ready!(inner.poll_release(cx))?;
        Pin::new(&mut inner.stream).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.inner();
        let count = slices.iter().map(|slice| slice.len()).sum();
        if inner.holds(count) {
            for slice in slices {
                inner.hold(slice);
            }
            return Poll::Ready(Ok(count));
        }
        inner.is_crowded = true;
        ready!(inner.poll_release(cx))?;
        Pin::new(&mut inner.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        if inner.is_closed {
            return Poll::Ready(Ok(()));
        }
        inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        ready!(inner.poll_release(cx))?;
        Pin::new(&mut inner.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    /// Memory of what is held, and whether anything waits.
    fn left<S: AsyncWrite + Unpin>(gate: &Gate<S>) -> (usize, bool) {
        let inner = gate.inner();
        (inner.held.capacity(), inner.is_crowded)
    }

    async fn opened<S: AsyncWrite + Unpin>(gate: &Gate<S>) -> bool {
        poll_fn(|cx| Poll::Ready(gate.poll_open(cx))).await
    }

    #[tokio::test]
    async fn what_is_held_back_goes_in_order_when_the_gate_opens() {
        let (ours, mut theirs) = duplex(1 << 20);
        let mut gathered = Gathered::new(ours);
        let gate = gathered.gate();
        gathered.write_all(b"at once ").await.unwrap();
        let mut seen = [0; 8];
        theirs.read_exact(&mut seen).await.unwrap();
        gate.close();
        gathered.write_all(b"this ").await.unwrap();
        let both = [IoSlice::new(b"and "), IoSlice::new(b"that ")];
        assert_eq!(gathered.write_vectored(&both).await.unwrap(), 9);
        gathered.flush().await.unwrap();
        let nothing = poll_fn(|cx| {
            let mut space = [0; 1];
            Poll::Ready(Pin::new(&mut theirs).poll_read(cx, &mut ReadBuf::new(&mut space)))
        });
        assert!(nothing.await.is_pending());
        assert!(opened(&gate).await);
        assert_eq!(left(&gate), (0, false));
        // What is large does not wait, and overtakes nothing.
        gate.close();
        gathered.write_all(b"small ").await.unwrap();
        gathered.write_all(&[b'l'; LARGE]).await.unwrap();
        gate.open();
        gathered.flush().await.unwrap();
        assert_eq!(left(&gate), (0, false));
        gate.close();
        gathered.write_all(b" last").await.unwrap();
        gathered.shutdown().await.unwrap();
        drop(gathered);
        let mut seen = String::new();
        theirs.read_to_string(&mut seen).await.unwrap();
        assert_eq!(
            seen,
            format!("this and that small {} last", "l".repeat(LARGE))
        );
    }

    /// Takes everything, and passes on what it is told to, as TLS does whose socket is full.
    struct Slow(DuplexStream, Vec<u8>);

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            octets: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.1.extend_from_slice(octets);
            Poll::Ready(Ok(octets.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let Self(stream, taken) = &mut *self;
            while !taken.is_empty() {
                let count = ready!(Pin::new(&mut *stream).poll_write(cx, taken))?;
                taken.drain(..count);
            }
            Pin::new(stream).poll_flush(cx)
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_the_stream_below_has_not_passed_on_is_flushed_when_the_gate_opens() {
        let (ours, mut theirs) = duplex(2 * LARGE);
        let mut gathered = Gathered::new(Slow(ours, Vec::new()));
        let gate = gathered.gate();
        gate.close();
        gathered.write_all(&[b'l'; LARGE]).await.unwrap();
        // The library takes this for done, and does not come again by itself.
        gathered.flush().await.unwrap();
        assert!(opened(&gate).await);
        assert_eq!(left(&gate), (0, false));
        let mut seen = [0; LARGE];
        theirs.read_exact(&mut seen).await.unwrap();
    }

    #[tokio::test]
    async fn no_more_is_held_back_than_fits() {
        let (ours, theirs) = duplex(10);
        let mut gathered = Gathered::new(ours);
        let gate = gathered.gate();
        gate.close();
        let chunk = [7; 1000];
        let mut cx = Context::from_waker(Waker::noop());
        let mut held = 0;
        while let Poll::Ready(count) = Pin::new(&mut gathered).poll_write(&mut cx, &chunk) {
            held += count.unwrap();
        }
        assert!((MOST - chunk.len()..=MOST + 10).contains(&held), "{held}");
        // What cannot be written is told to the library, as it was.
        drop(theirs);
        assert!(!opened(&gate).await);
        let error = gathered.flush().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn what_is_read_in_a_turn_is_bounded_and_the_rest_is_read_in_the_next() {
        let (ours, mut theirs) = duplex(2 * TURN);
        let mut gathered = Gathered::new(ours);
        let gate = gathered.gate();
        theirs.write_all(&vec![7; TURN + 100]).await.unwrap();
        let mut turn = async || {
            let mut read = 0;
            let woken = poll_fn(|cx| {
                gate.close();
                let mut space = vec![0; 100_000];
                loop {
                    let mut buffer = ReadBuf::new(&mut space);
                    match Pin::new(&mut gathered).poll_read(cx, &mut buffer) {
                        Poll::Ready(outcome) => outcome.unwrap(),
                        Poll::Pending => return Poll::Ready(gate.inner().readable),
                    }
                    read += buffer.filled().len();
                }
            });
            (woken.await, read)
        };
        // The last of a turn may be as much as was asked for.
        assert_eq!(turn().await, (0, TURN + 100));
        theirs.write_all(&vec![7; 2 * TURN]).await.unwrap();
        assert_eq!(turn().await, (0, 300_000));
        let rest = 2 * TURN - 300_000;
        assert_eq!(turn().await, (TURN - rest, rest));
    }
}
