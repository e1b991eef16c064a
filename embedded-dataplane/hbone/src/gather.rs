//! One write for everything that is ready.
//!
//! The library writes each frame of more than some hundred octets by itself, and each write is a
//! record of TLS, a system call and, at the peer, a wake-up: under load ztunnel spends most of its
//! time there. So whoever moves a connection holds its writes back while the library works, and lets
//! them go at once when it has nothing more to say.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Octets that are held back at most.
const MOST: usize = 64 << 10;
/// Writes of so many octets are worth one of their own, without a copy: a record of TLS has no more.
const LARGE: usize = 16 << 10;

/// Octets that are read in one turn at most. What came is to leave again before more comes: it is
/// still in the caches then, and the buffers that it was in are free.
const TURN: usize = 256 << 10;

/// Whether writes are held back; they are not, unless somebody says so.
#[derive(Debug)]
pub(crate) struct Gate {
    is_closed: AtomicBool,
    /// Octets wait at the gate, or behind it: TLS takes more than the socket does.
    is_crowded: AtomicBool,
    /// Octets that may still be read in this turn.
    readable: AtomicUsize,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            is_closed: AtomicBool::default(),
            is_crowded: AtomicBool::default(),
            readable: AtomicUsize::new(usize::MAX),
        }
    }
}

impl Gate {
    /// Holds back what is written, and begins a turn.
    pub(crate) fn close(&self) {
        self.readable.store(TURN, Ordering::Relaxed);
        self.is_closed.store(true, Ordering::Relaxed);
    }

    /// Lets the next flush write everything. Tells whether there may be anything.
    pub(crate) fn open(&self) -> bool {
        self.is_closed.store(false, Ordering::Relaxed);
        self.is_crowded.load(Ordering::Relaxed)
    }
}

/// A stream that can hold back what is written to it.
#[derive(Debug)]
pub(crate) struct Gathered<S> {
    stream: S,
    gate: Arc<Gate>,
    held: Vec<u8>,
    /// Of these so many went.
    gone: usize,
}

impl<S> Gathered<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            gate: Arc::default(),
            held: Vec::new(),
            gone: 0,
        }
    }

    pub(crate) fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// Whether so many octets are to be held back rather than written.
    fn holds(&self, octets: usize) -> bool {
        self.gate.is_closed.load(Ordering::Relaxed)
            && octets < LARGE
            && self.held.len() + octets <= MOST
    }

    /// A flush that the closed gate keeps off is to be made up for.
    fn crowd(&self) {
        self.gate.is_crowded.store(true, Ordering::Relaxed);
    }

    fn hold(&mut self, octets: &[u8]) {
        if self.held.capacity() == 0 {
            self.held.reserve(LARGE);
        }
        self.held.extend_from_slice(octets);
        self.crowd();
    }
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    /// Writes what was held back.
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let readable = self.gate.readable.load(Ordering::Relaxed);
        if readable == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let new = buffer.filled().len().saturating_sub(before);
        let left = readable.saturating_sub(new);
        self.gate.readable.store(left, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.holds(octets.len()) {
            self.hold(octets);
            return Poll::Ready(Ok(octets.len()));
        }
        self.crowd();
        ready!(self.poll_release(cx))?;
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = slices.iter().map(|slice| slice.len()).sum();
        if self.holds(count) {
            for slice in slices {
                self.hold(slice);
            }
            return Poll::Ready(Ok(count));
        }
        self.crowd();
        ready!(self.poll_release(cx))?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gate.is_closed.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_release(cx))?;
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.gate.is_crowded.store(false, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

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
        assert!(gate.open());
        gathered.flush().await.unwrap();
        assert!(!gate.open());
        assert_eq!(gathered.held.capacity(), 0);
        // What is large does not wait, and overtakes nothing.
        gate.close();
        gathered.write_all(b"small ").await.unwrap();
        gathered.write_all(&[b'l'; LARGE]).await.unwrap();
        assert!(gate.open());
        gathered.flush().await.unwrap();
        assert!(!gate.open());
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
        assert!(gate.open());
        gathered.flush().await.unwrap();
        assert!(!gate.open());
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
        // What cannot be written is told.
        drop(theirs);
        gate.open();
        gathered.flush().await.unwrap_err();
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
                        Poll::Pending => return Poll::Ready(gate.readable.load(Ordering::Relaxed)),
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
