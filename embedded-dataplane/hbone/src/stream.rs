//! The octets of one tunnel, in both directions.
//!
//! What an end says is said at the other end: what is finished by [`Writer::finish`] ends there, and
//! what is reset is reset there. Who drops a writer without either says nothing, which resets too.

mod io;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};

use crate::error::StreamError;
use crate::load::Place;
use crate::payload::{Payload, Queue};

/// A tunnel that is open.
#[derive(Debug)]
pub struct Stream {
    reader: Reader,
    writer: Writer,
}

/// The direction from the peer. Dropping it alone resets nothing: what comes is thrown away.
#[derive(Debug)]
pub struct Reader {
    stream: RecvStream,
    /// Octets that were handed out and that the peer was not yet given credit for.
    owed: usize,
    /// The peer says how the application closed.
    is_exact: bool,
    /// What was taken from the stream and is still to be handed out.
    kept: VecDeque<Kept>,
    place: Arc<Place>,
}

/// Octets for whoever reads next, and whether the peer is still to get credit for them.
#[derive(Debug)]
struct Kept {
    octets: Bytes,
    is_owed: bool,
}

/// The direction to the peer. Dropped before [`Self::finish`] it resets the stream (`CANCEL`).
#[derive(Debug)]
pub struct Writer {
    stream: SendStream<Payload>,
    queue: Arc<Queue>,
    is_over: bool,
    _place: Arc<Place>,
}

impl Stream {
    pub(crate) fn new(
        send: SendStream<Payload>,
        receive: RecvStream,
        is_exact: bool,
        place: Place,
    ) -> Self {
        let place = Arc::new(place);
        Self {
            reader: Reader {
                stream: receive,
                owed: 0,
                is_exact,
                kept: VecDeque::new(),
                place: Arc::clone(&place),
            },
            writer: Writer {
                stream: send,
                queue: Arc::default(),
                is_over: false,
                _place: place,
            },
        }
    }

    /// Both directions, to be used apart.
    pub fn split(self) -> (Reader, Writer) {
        (self.reader, self.writer)
    }

    /// Both directions, to be used at the same time.
    pub fn halves(&mut self) -> (&mut Reader, &mut Writer) {
        (&mut self.reader, &mut self.writer)
    }
}

impl Reader {
    /// The next octets, as they came and at least one; `None` when the peer finished. Those handed out before count
    /// as used: only now does the peer get credit for as many more, so whoever writes them elsewhere
    /// before asking again slows the peer down to the speed of that.
    ///
    /// A peer that does not promise to say how the application closed (`x-ambient-close`) ends a
    /// stream with `CANCEL` or `NO_ERROR` too, which is then `None`, as it is for ztunnel.
    ///
    /// # Errors
    ///
    /// When the stream was reset, or its connection ended.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamError>> {
        if let Some(Kept { octets, is_owed }) = self.kept.pop_front() {
            if is_owed {
                self.repay();
                self.owed = octets.len();
            }
            return Poll::Ready(Ok(Some(octets)));
        }
        self.repay();
        loop {
            match ready!(self.stream.poll_data(cx)) {
                // A peer may finish with a frame of nothing.
                Some(Ok(octets)) if octets.is_empty() => {}
                Some(Ok(octets)) => {
                    self.owed = octets.len();
                    return Poll::Ready(Ok(Some(octets)));
                }
                None => return Poll::Ready(Ok(None)),
                Some(Err(error)) => {
                    let by_peer = error.is_remote();
                    let error = StreamError::of(&error);
                    let is_end = by_peer && !self.is_exact && error.is_let_go();
                    return Poll::Ready(if is_end { Ok(None) } else { Err(error) });
                }
            }
        }
    }

    /// As [`Self::poll_read`]. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// As [`Self::poll_read`].
    pub async fn read(&mut self) -> Result<Option<Bytes>, StreamError> {
        std::future::poll_fn(|cx| self.poll_read(cx)).await
    }

    /// Gives octets back that the next reading begins with.
    fn keep(&mut self, octets: Bytes) {
        if !octets.is_empty() {
            let is_owed = false;
            self.kept.push_front(Kept { octets, is_owed });
        }
    }

    /// What an error of the other direction is about. The library tells there of a connection that
    /// ended (GOAWAY) as it tells of a stream that was reset; this direction knows which it was.
    #[must_use]
    pub fn cause(&mut self, error: StreamError) -> StreamError {
        if !matches!(error, StreamError::Reset { .. }) {
            return error;
        }
        // What came before the end is before what tells of it, and for whoever reads on.
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(next)) = self.stream.poll_data(&mut context) {
            match next {
                Ok(octets) if octets.is_empty() => {}
                Ok(octets) => {
                    let is_owed = true;
                    self.kept.push_back(Kept { octets, is_owed });
                }
                Err(end) => return StreamError::of(&end),
            }
        }
        error
    }

    /// Whether an error of the other direction means no more than that the peer is done with the
    /// stream: it does not promise to say how the application closed, and ended it as it always does.
    pub fn is_let_go(&self, error: &StreamError) -> bool {
        !self.is_exact && error.is_let_go()
    }

    fn repay(&mut self) {
        if self.owed > 0 {
            // Fails only where the stream is over, which the next reading tells.
            let _ = self.stream.flow_control().release_capacity(self.owed);
            self.place.use_up(self.owed);
            self.owed = 0;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let kept = self.kept.drain(..).filter(|kept| kept.is_owed);
        self.owed += kept.map(|kept| kept.octets.len()).sum::<usize>();
        // Or the connection would lack the credit for as long as the other direction lives.
        self.repay();
    }
}

impl Writer {
    /// Sends octets from the front of some, as far and as fast as the peer takes them. Ready when
    /// none are left.
    ///
    /// # Errors
    ///
    /// When the stream was finished or reset, or its connection ended.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        octets: &mut Bytes,
    ) -> Poll<Result<(), StreamError>> {
        while !octets.is_empty() {
            let room = ready!(self.poll_room(cx, octets.len()))?;
            let now = octets.split_to(room);
            let now = Payload::new(now, &self.queue);
            if self.stream.send_data(now, false).is_err() {
                return Poll::Ready(Err(self.cause(cx)));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// How many octets can be sent now, of so many.
    fn poll_room(
        &mut self,
        cx: &mut Context<'_>,
        wanted: usize,
    ) -> Poll<Result<usize, StreamError>> {
        if self.is_over {
            return Poll::Ready(Err(StreamError::Finished));
        }
        self.stream.reserve_capacity(wanted);
        let room = match self.stream.capacity() {
            0 => match ready!(self.stream.poll_capacity(cx)) {
                Some(room) => room.map_err(|error| StreamError::of(&error))?,
                None => return Poll::Ready(Err(self.cause(cx))),
            },
            room => room,
        };
        Poll::Ready(Ok(room.min(wanted)))
    }

    /// As [`Self::poll_write`], for all octets. When the future is dropped, nobody knows how many
    /// went.
    ///
    /// # Errors
    ///
    /// As [`Self::poll_write`].
    pub async fn write(&mut self, mut octets: Bytes) -> Result<(), StreamError> {
        std::future::poll_fn(|cx| self.poll_write(cx, &mut octets)).await
    }

    /// Says that there is no more (`END_STREAM`): the application closed its direction.
    ///
    /// # Errors
    ///
    /// When the stream was finished or reset, or its connection ended.
    pub fn finish(&mut self) -> Result<(), StreamError> {
        if self.is_over {
            return Err(StreamError::Finished);
        }
        self.is_over = true;
        let nothing = Payload::new(Bytes::new(), &self.queue);
        match self.stream.send_data(nothing, true) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.cause(&mut Context::from_waker(Waker::noop()))),
        }
    }

    /// Ready when all that was written has left the stream, and its end where that was said too: a
    /// reset takes nothing of it back any more.
    pub fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.queue.poll_empty(cx)
    }

    /// Says that the application's connection broke (RFC 9113, section 8.5: `CONNECT_ERROR`). What
    /// is still to be sent is thrown away, and the other direction is over as well.
    pub fn reset(&mut self) {
        self.end_with(Reason::CONNECT_ERROR);
    }

    /// Ready when the peer reset the stream, or its connection ended ([`Reader::cause`] tells which);
    /// for whoever has nothing to write for the time being.
    pub fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<StreamError> {
        self.stream.poll_reset(cx).map(|outcome| match outcome {
            Ok(reason) => StreamError::reset(reason),
            Err(error) => StreamError::of(&error),
        })
    }

    fn end_with(&mut self, reason: Reason) {
        self.is_over = true;
        self.stream.send_reset(reason);
    }

    /// Why nothing can be sent any more.
    fn cause(&mut self, cx: &mut Context<'_>) -> StreamError {
        match self.poll_broken(cx) {
            Poll::Ready(error) => error,
            Poll::Pending => StreamError::Finished,
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.is_over {
            self.end_with(Reason::CANCEL);
        }
    }
}
