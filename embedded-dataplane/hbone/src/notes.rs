//! What is known of a connection besides what HTTP/2 says of it, and what its end means then.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use h2::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::frames::{Frames, GoAway};

/// Why a connection or a stream came to an end.
#[derive(Debug)]
pub enum Fault {
    /// The stream below failed; the error is its own.
    Stream(io::Error),
    /// The peer said farewell (GOAWAY).
    GoAway(GoAway),
    /// The peer closed the connection, and said nothing.
    Closed,
    /// The peer reset the stream, for this reason (RFC 9113, section 7).
    Reset(u32),
    /// The peer sent so many of these that we hung up.
    Flood(&'static str),
    /// The peer broke the rules of HTTP/2, in the words of the library.
    Broken(String),
}

/// What is known of an end: the notes know more than the error, which keeps only the text of what
/// failed below it.
pub(crate) fn fault(notes: &Mutex<Notes>, error: &h2::Error) -> Fault {
    let mut notes = lock(notes);
    // That the stream fails may follow from what the peer did in HTTP/2, but not if it is the layer
    // below that refuses.
    let is_refusal = |error: &mut io::Error| error.kind() == io::ErrorKind::InvalidData;
    if let Some(error) = notes.error.take_if(is_refusal) {
        return Fault::Stream(error);
    }
    if error.is_reset()
        && error.is_remote()
        && let Some(reason) = error.reason()
    {
        return Fault::Reset(reason.into());
    }
    if let Some(goaway) = &notes.frames.goaway {
        return Fault::GoAway(goaway.clone());
    }
    if let Some(broken) = Broken::of(error).or_else(|| notes.broken.clone()) {
        return match broken {
            Broken::Flood(what) => Fault::Flood(what),
            Broken::Rule(text) => Fault::Broken(text),
        };
    }
    if let Some(error) = notes.error.take() {
        return Fault::Stream(error);
    }
    if notes.ended {
        return Fault::Closed;
    }
    Fault::Broken(error.to_string())
}

/// What the library holds against the peer.
#[derive(Debug, Clone)]
pub(crate) enum Broken {
    Flood(&'static str),
    Rule(String),
}

impl Broken {
    pub(crate) fn of(error: &h2::Error) -> Option<Self> {
        let reason = error.reason().filter(|_| error.is_library())?;
        if reason != Reason::ENHANCE_YOUR_CALM {
            let text = format!("the peer broke a rule of HTTP/2: {}", reason.description());
            return Some(Self::Rule(text));
        }
        // What there was too much of is told in the text alone.
        let text = error.to_string();
        let kinds = [
            ("too_many_data_frames", "tiny DATA frames"),
            ("too_many_continuations", "CONTINUATION frames"),
            ("too_many_resets", "RST_STREAM frames"),
            ("too_many_internal_resets", "broken streams"),
        ];
        let kind = kinds.into_iter().find(|(name, _)| text.contains(name));
        Some(Self::Flood(
            kind.map_or("octets of headers", |(_, what)| what),
        ))
    }
}

pub(crate) fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What came by below HTTP/2.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) frames: Frames,
    error: Option<io::Error>,
    /// How HTTP/2 was broken.
    pub(crate) broken: Option<Broken>,
    ended: bool,
    /// Octets that went into the stream below.
    pub(crate) written: u64,
    /// Nothing is moved any more.
    pub(crate) over: bool,
    /// Tells whoever waits for more of them; one at a time.
    pub(crate) progress: Arc<Notify>,
}

/// A stream that takes notes for what is above it.
pub(crate) struct Noted<S> {
    stream: S,
    notes: Arc<Mutex<Notes>>,
}

impl<S> Noted<S> {
    pub(crate) fn new(stream: S, notes: Arc<Mutex<Notes>>) -> Self {
        Self { stream, notes }
    }

    /// Keeps an error, and gives one of its kind.
    fn note<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        outcome.map_err(|error| {
            let kind = error.kind();
            // The first is the cause of the others.
            lock(&self.notes).error.get_or_insert(error);
            kind.into()
        })
    }
}

impl<S: AsyncRead + Unpin> Noted<S> {
    /// What the peer said before it went away: that writing fails is a consequence of it.
    fn parting_words(&mut self, cx: &mut Context<'_>) -> Option<io::Error> {
        let mut scratch = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Err(error)) => return Some(error),
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    lock(&self.notes).frames.pass(buffer.filled());
                }
                _ => return None,
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let has_room = buffer.remaining() > 0;
        let outcome = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        self.note(outcome)?;
        let new = &buffer.filled()[before..];
        let mut notes = lock(&self.notes);
        notes.ended |= has_room && new.is_empty();
        notes.frames.pass(new);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = ready!(Pin::new(&mut self.stream).poll_write(cx, octets));
        if let Ok(written) = outcome {
            let mut notes = lock(&self.notes);
            notes.written += written as u64;
            notes.progress.notify_one();
        }
        let outcome = outcome.map_err(|error| self.parting_words(cx).unwrap_or(error));
        Poll::Ready(self.note(outcome))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        let outcome = outcome.map_err(|error| self.parting_words(cx).unwrap_or(error));
        Poll::Ready(self.note(outcome))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
        Poll::Ready(self.note(outcome))
    }
}
