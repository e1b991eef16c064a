//! Signs of life of a peer, and the greeting that has to be the first of them.
//!
//! A PING alone is a poor test: on a link that is full, its answer comes behind all the data. So
//! whatever arrives is a sign of life, and so is that the peer's host takes what waited to be sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::limits::Limits;
use crate::load::Load;
use crate::windows::{Sizes, Windows};

/// Octets that a client sends before its first frame (RFC 9113, section 3.4).
const PREFACE: usize = 24;
/// Octets of a frame's header (RFC 9113, section 4.1).
const HEADER: usize = 9;
/// Type of a SETTINGS frame (RFC 9113, section 6.5).
const SETTINGS: u8 = 4;

/// What is known of a peer's life.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    beats: AtomicU64,
    settled: AtomicBool,
}

impl Pulse {
    fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the peer has sent its SETTINGS.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }
}

/// A stream below HTTP/2 of which the pulse is felt.
#[derive(Debug)]
pub(crate) struct Felt<S> {
    stream: S,
    pulse: Arc<Pulse>,
    greeting: Option<Greeting>,
    /// The last write had to wait: only room that the peer's host made lets one go on.
    write_waits: bool,
    /// The last flush had to. A write that goes on meanwhile is no sign: TLS takes some itself while
    /// the socket takes nothing.
    flush_waits: bool,
}

impl<S> Felt<S> {
    /// Feels the pulse of a client that is yet to greet.
    pub(crate) fn of_client(stream: S) -> Self {
        Self::new(stream, PREFACE)
    }

    /// Feels the pulse of a server that is yet to greet.
    pub(crate) fn of_server(stream: S) -> Self {
        Self::new(stream, 0)
    }

    fn new(stream: S, preface: usize) -> Self {
        Self {
            stream,
            pulse: Arc::default(),
            greeting: Some(Greeting::after(preface)),
            write_waits: false,
            flush_waits: false,
        }
    }

    pub(crate) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    fn received(&mut self, octets: &[u8]) -> io::Result<()> {
        if octets.is_empty() {
            return Ok(());
        }
        self.pulse.beat();
        if let Some(greeting) = &mut self.greeting {
            let done = greeting.pass(octets).map_err(|NoSettings| {
                io::Error::new(io::ErrorKind::InvalidData, "the first frame is no SETTINGS")
            })?;
            if done {
                self.greeting = None;
                self.pulse.settled.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn written<T>(&mut self, outcome: &Poll<io::Result<T>>) {
        let waited = std::mem::replace(&mut self.write_waits, outcome.is_pending());
        self.went_on(waited, outcome);
    }

    fn flushed(&mut self, outcome: &Poll<io::Result<()>>) {
        let waited = std::mem::replace(&mut self.flush_waits, outcome.is_pending());
        self.went_on(waited, outcome);
    }

    fn went_on<T>(&self, waited: bool, outcome: &Poll<io::Result<T>>) {
        if waited && matches!(outcome, Poll::Ready(Ok(_))) {
            self.pulse.beat();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Felt<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let new = buffer.filled().get(before..).unwrap_or_default();
        Poll::Ready(self.received(new))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Felt<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, octets);
        self.written(&outcome);
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TLS may still hold some, and gets rid of it as the socket has room.
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.flushed(&outcome);
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The first frame of a peer was not SETTINGS, as RFC 9113, section 3.4, has it; the library does not
/// mind.
#[derive(Debug, PartialEq, Eq)]
struct NoSettings;

/// Follows a peer's first frame.
#[derive(Debug)]
struct Greeting {
    /// Octets before the frame that are still to come.
    preface: usize,
    header: [u8; HEADER],
    /// Octets of the header that have come.
    known: usize,
    /// Octets of the payload that have come.
    payload: usize,
}

impl Greeting {
    fn after(preface: usize) -> Self {
        Self {
            preface,
            header: [0; HEADER],
            known: 0,
            payload: 0,
        }
    }

    /// Whether the frame is complete.
    fn pass(&mut self, octets: &[u8]) -> Result<bool, NoSettings> {
        let skipped = self.preface.min(octets.len());
        self.preface -= skipped;
        let octets = octets.get(skipped..).unwrap_or_default();
        let missing = self.header.iter_mut().skip(self.known);
        let header = missing.zip(octets);
        let taken = header.map(|(place, octet)| *place = *octet).count();
        self.known += taken;
        self.payload += octets.len() - taken;
        let [high, middle, low, kind, ..] = self.header;
        if self.known > 3 && kind != SETTINGS {
            return Err(NoSettings);
        }
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        Ok(self.known == HEADER && self.payload >= length)
    }
}

/// Tells when a peer is to be given up, and when windows are to change: both ask by PING, and there
/// is one of those at a time.
#[derive(Debug)]
pub(crate) struct Watch {
    pulse: Arc<Pulse>,
    ping: PingPong,
    timer: Pin<Box<Sleep>>,
    quiet: Duration,
    patience: Duration,
    /// Beats when the timer was set.
    beats: u64,
    /// The peer owes the answer to a PING.
    is_asked: bool,
    /// It is dead if neither that nor anything else comes.
    is_pressed: bool,
    load: Arc<Load>,
    windows: Windows,
    /// New sizes that nobody took yet.
    sizes: Option<Sizes>,
}

impl Watch {
    pub(crate) fn new(pulse: Arc<Pulse>, ping: PingPong, load: Arc<Load>, limits: &Limits) -> Self {
        let first = Sizes {
            stream: limits.stream_window,
            connection: limits.connection_window,
        };
        Self {
            beats: pulse.beats(),
            pulse,
            ping,
            timer: Box::pin(sleep(limits.quiet)),
            quiet: limits.quiet,
            patience: limits.patience,
            is_asked: false,
            is_pressed: false,
            load,
            windows: Windows::new(first, limits.budget.clone()),
            sizes: None,
        }
    }

    /// Ready when the peer is dead.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let used = self.load.used();
        if self.is_asked && self.ping.poll_pong(cx).is_ready() {
            self.is_asked = false;
            if let Some(sizes) = self.windows.end(used, Instant::now()) {
                self.sizes = Some(sizes);
            }
            if self.is_pressed {
                self.is_pressed = false;
                self.set(self.quiet);
            }
        }
        if !self.is_asked && self.windows.is_due(used) {
            self.windows.begin(used, Instant::now());
            self.ask(cx);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if let Some(sizes) = self.windows.rest(used) {
                self.sizes = Some(sizes);
            }
            if self.pulse.beats() != self.beats {
                self.set(if self.is_pressed {
                    self.patience
                } else {
                    self.quiet
                });
            } else if self.is_pressed {
                return Poll::Ready(());
            } else {
                self.is_pressed = true;
                if !self.is_asked {
                    self.ask(cx);
                }
                self.set(self.patience);
            }
        }
        Poll::Pending
    }

    /// New sizes of the windows, once. They are to be given back where they cannot be applied yet.
    pub(crate) fn sizes(&mut self) -> &mut Option<Sizes> {
        &mut self.sizes
    }

    fn ask(&mut self, cx: &mut Context<'_>) {
        // Where it fails, the connection is about to end, or it never does.
        let _ = self.ping.send_ping(Ping::opaque());
        self.is_asked = true;
        // The answer has to wake this task too; it cannot be there yet.
        let _ = self.ping.poll_pong(cx);
    }

    fn set(&mut self, time: Duration) {
        self.beats = self.pulse.beats();
        self.timer.as_mut().reset(Instant::now() + time);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// TLS over a socket: holds what the socket has no room for, up to a limit.
    #[derive(Default)]
    struct Tls {
        held: usize,
        room: usize,
    }

    const LIMIT: usize = 64;

    impl Tls {
        fn drain(&mut self) {
            let taken = self.held.min(self.room);
            self.held -= taken;
            self.room -= taken;
        }
    }

    impl AsyncWrite for Tls {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            octets: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.drain();
            let taken = octets.len().min(LIMIT - self.held);
            self.held += taken;
            match taken {
                0 => Poll::Pending,
                _ => Poll::Ready(Ok(taken)),
            }
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.drain();
            match self.held {
                0 => Poll::Ready(Ok(())),
                _ => Poll::Pending,
            }
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn what_tls_holds_back_is_no_sign_of_life_and_what_the_socket_takes_is() {
        let mut felt = Felt::of_server(Tls::default());
        let pulse = felt.pulse();
        let cx = &mut Context::from_waker(Waker::noop());
        let write = |felt: &mut Felt<Tls>, cx: &mut Context<'_>| {
            let written = Pin::new(felt).poll_write(cx, &[0; 24]);
            written.map(Result::unwrap)
        };
        let flush = |felt: &mut Felt<Tls>, cx: &mut Context<'_>| {
            let flushed = Pin::new(felt).poll_flush(cx);
            flushed.map(Result::unwrap)
        };
        // The socket takes nothing.
        for taken in [24, 24, 16] {
            assert_eq!(write(&mut felt, cx), Poll::Ready(taken));
            assert_eq!(flush(&mut felt, cx), Poll::Pending);
        }
        assert_eq!(write(&mut felt, cx), Poll::Pending);
        assert_eq!(pulse.beats(), 0);
        // It takes some, so that there is room in TLS, and then the rest.
        felt.stream.room = 24;
        assert_eq!(write(&mut felt, cx), Poll::Ready(24));
        assert_eq!(pulse.beats(), 1);
        assert_eq!(flush(&mut felt, cx), Poll::Pending);
        felt.stream.room = LIMIT;
        assert_eq!(flush(&mut felt, cx), Poll::Ready(()));
        assert_eq!(pulse.beats(), 2);
        // Who never has to wait learns nothing from it.
        felt.stream.room = LIMIT;
        assert_eq!(write(&mut felt, cx), Poll::Ready(24));
        assert_eq!(flush(&mut felt, cx), Poll::Ready(()));
        assert_eq!(pulse.beats(), 2);
    }

    fn settings(payload: usize) -> Vec<u8> {
        let length = u8::try_from(payload).unwrap();
        let mut frame = vec![0, 0, length, SETTINGS, 0, 0, 0, 0, 0];
        frame.resize(HEADER + payload, 7);
        frame
    }

    #[test]
    fn a_greeting_is_followed_whatever_pieces_it_comes_in() {
        for preface in [0, PREFACE] {
            let mut octets = vec![b'x'; preface];
            octets.extend(settings(12));
            for size in 1..=octets.len() {
                let mut greeting = Greeting::after(preface);
                let pieces = octets.chunks(size).map(|p| greeting.pass(p));
                let answers: Vec<_> = pieces.collect();
                let (last, others) = answers.split_last().unwrap();
                assert_eq!(*last, Ok(true), "{size}");
                assert!(others.iter().all(|a| *a == Ok(false)), "{size}");
            }
        }
    }

    #[test]
    fn another_first_frame_is_refused_by_its_type() {
        let mut greeting = Greeting::after(0);
        assert_eq!(greeting.pass(&[0, 0, 8]), Ok(false));
        assert_eq!(greeting.pass(&[6]), Err(NoSettings));
    }

    #[test]
    fn an_empty_greeting_is_one() {
        assert_eq!(Greeting::after(0).pass(&settings(0)), Ok(true));
        let mut greeting = Greeting::after(PREFACE);
        let octets = [vec![b'x'; PREFACE], settings(0), settings(0)].concat();
        assert_eq!(greeting.pass(&octets), Ok(true));
    }
}
