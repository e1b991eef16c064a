//! Signs of life of a peer, and the greeting that has to be the first of them.
//!
//! A PING alone is a poor test: on a link that is full, its answer comes behind all the data. So
//! whatever arrives is a sign of life, and so is that the peer's host takes what waited to be sent.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::error::ConnectionError;
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
    /// How the stream failed. The library keeps the text of it alone, and TLS tells more.
    fault: Mutex<Option<io::Error>>,
}

impl Pulse {
    fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// The error that an end of the connection is about, as the stream had it.
    pub(crate) fn exact(&self, error: ConnectionError) -> ConnectionError {
        let fault = self
            .fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match (error, fault) {
            (ConnectionError::Io(_), Some(fault)) => ConnectionError::Io(fault),
            (error, _) => error,
        }
    }

    fn failed(&self, error: io::Error) -> io::Error {
        let text = match error.kind() {
            io::ErrorKind::UnexpectedEof => "the peer closed it without a farewell".to_owned(),
            _ => error.to_string(),
        };
        let copy = io::Error::new(error.kind(), text);
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        // The first is the cause of the others.
        fault.get_or_insert(error);
        copy
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
        let outcome = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        outcome.map_err(|error| self.pulse.failed(error))?;
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

    /// What is known of the peer's life.
    pub(crate) fn pulse(&self) -> &Pulse {
        &self.pulse
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
mod tests;
