//! The server's end of HBONE: connections that are already secured, and the CONNECTs on them.
//!
//! ```text
//! accept ──► Connection ──next──► Request ──accept──► Stream
//!                │ drain             └────refuse───► 400, 401, 503
//! ```
//!
//! Whoever owns a [`Connection`] calls [`Connection::next`] until it ends, because everything on the
//! connection moves only then, and gives each [`Request`] to a task of its own. Against floods there
//! is the library, which bounds CONTINUATIONs, resets that nobody looked at, small frames, and
//! answers that are not taken; here are counted streams that a peer asks for and resets again,
//! and tasks that still work for such.

mod request;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};

pub use self::request::{BadRequest, Incoming, Refusal, Request, Unwanted};

use self::request::Account;
use crate::error::ConnectionError;
use crate::gather::{Gate, Gathered};
use crate::limits::Limits;
use crate::load::Load;
use crate::payload::Payload;
use crate::pulse::{Felt, Watch};
use crate::windows::Sizes;

/// Requests that a peer may reset before their answer, in each [`ABANDONED_WITHIN`].
const MOST_ABANDONED: u32 = 1000;
/// See [`MOST_ABANDONED`].
const ABANDONED_WITHIN: Duration = Duration::from_secs(10);

type Asked = (http::Request<RecvStream>, SendResponse<Payload>);

/// A connection to a client. Dropping it closes it, and all its streams.
#[derive(Debug)]
pub struct Connection<S> {
    inner: h2::server::Connection<Gathered<Felt<S>>, Payload>,
    gate: Gate<Felt<S>>,
    watch: Watch,
    /// Came with the greeting.
    first: Option<Asked>,
    load: Arc<Load>,
    account: Arc<Account>,
    abandoned: Abandoned,
    /// Why it is about to be closed.
    verdict: Option<ConnectionError>,
    is_over: bool,
    limits: Limits,
}

/// Greets a client, and waits until it has.
///
/// # Errors
///
/// When it does not, or not in time ([`Limits::settle`]), or the stream fails.
pub async fn accept<S>(stream: S, limits: &Limits) -> Result<Connection<S>, ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let greeting = timeout(limits.settle, greet(stream, limits)).await;
    greeting.unwrap_or(Err(ConnectionError::Unsettled))
}

async fn greet<S>(stream: S, limits: &Limits) -> Result<Connection<S>, ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let stream = Felt::of_client(stream);
    let pulse = stream.pulse();
    let stream = Gathered::new(stream);
    let gate = stream.gate();
    let streams = usize::try_from(limits.streams).unwrap_or(usize::MAX);
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .max_frame_size(limits.frame)
        .max_header_list_size(limits.headers)
        .max_concurrent_streams(limits.streams)
        .max_send_buffer_size(limits.send_buffer)
        .data_frame_budget(limits.small_frames())
        .max_concurrent_reset_streams(streams)
        .reset_stream_duration(Limits::REMEMBERED)
        // A client that goes away takes all its streams with it at once, and does no wrong.
        .max_pending_accept_reset_streams(streams);
    let mut inner = builder
        .handshake(stream)
        .await
        .map_err(|error| pulse.exact(ConnectionError::of(error)))?;
    let mut first = None;
    poll_fn(|cx| {
        while !pulse.is_settled() {
            match inner.poll_accept(cx) {
                Poll::Ready(Some(Ok(asked))) => first = Some(asked),
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Err(pulse.exact(ConnectionError::of(error))));
                }
                Poll::Ready(None) => return Poll::Ready(Err(ConnectionError::Unsettled)),
                Poll::Pending if pulse.is_settled() => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    })
    .await?;
    let Some(ping) = inner.ping_pong() else {
        return Err(ConnectionError::Unsettled);
    };
    let load: Arc<Load> = Arc::default();
    Ok(Connection {
        inner,
        gate,
        watch: Watch::new(pulse, ping, Arc::clone(&load), limits),
        first,
        load,
        account: Arc::default(),
        abandoned: Abandoned::since(Instant::now()),
        verdict: None,
        is_over: false,
        limits: limits.clone(),
    })
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// The next CONNECT; `None` when the connection ended in good order: the peer closed it, or it
    /// was drained. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// How the connection ended otherwise. There is nothing more after it.
    pub async fn next(&mut self) -> Result<Option<Incoming>, ConnectionError> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Streams and requests that are there at this moment.
    pub fn streams(&self) -> usize {
        self.load.now()
    }

    /// Whether anything that left its stream is still to be sent.
    pub fn has_unsent(&self) -> bool {
        self.gate.is_crowded()
    }

    /// Says farewell (GOAWAY). What is under way goes on, a CONNECT that the peer sent before it
    /// knew is still to be had from [`Self::next`], and the connection ends with its last stream.
    /// How long that may take is for the caller to say, and to end by dropping the connection.
    pub fn drain(&mut self) {
        self.inner.graceful_shutdown();
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Incoming>, ConnectionError>> {
        while !self.is_over {
            if self.watch.poll(cx).is_ready() {
                return self.end(Err(ConnectionError::Silent));
            }
            if let Some(sizes) = self.watch.sizes().take()
                && !self.resize(sizes)
            {
                *self.watch.sizes() = Some(sizes);
            }
            let asked = match self.first.take() {
                Some(asked) => Some(Ok(asked)),
                None => ready!(self.poll_asked(cx)),
            };
            match asked {
                Some(Ok(asked)) => {
                    if let Some(incoming) = self.take_in(asked) {
                        return Poll::Ready(Ok(Some(incoming)));
                    }
                }
                Some(Err(error)) => {
                    let error = self.watch.pulse().exact(ConnectionError::of(error));
                    return self.end(Err(error));
                }
                None => return self.end(Ok(None)),
            }
        }
        Poll::Ready(Ok(None))
    }

    /// Moves everything, and writes it when nobody has more to say. What is ready when a request
    /// came goes with the next call.
    fn poll_asked(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Asked, h2::Error>>> {
        self.gate.close();
        let asked = self.inner.poll_accept(cx);
        if asked.is_ready() {
            self.gate.open();
            return asked;
        }
        if self.gate.poll_open(cx) {
            return Poll::Pending;
        }
        // How writing fails is told by the library.
        self.inner.poll_accept(cx)
    }

    /// `false` where the peer has not taken note of the sizes before.
    fn resize(&mut self, sizes: Sizes) -> bool {
        let is_taken = self.inner.set_initial_window_size(sizes.stream).is_ok();
        if is_taken {
            self.inner.set_target_window_size(sizes.connection);
        }
        is_taken
    }

    fn end(
        &mut self,
        outcome: Result<Option<Incoming>, ConnectionError>,
    ) -> Poll<Result<Option<Incoming>, ConnectionError>> {
        self.is_over = true;
        Poll::Ready(match self.verdict.take() {
            Some(verdict) => Err(verdict),
            None => outcome,
        })
    }

    fn take_in(&mut self, (request, mut respond): Asked) -> Option<Incoming> {
        let now = Instant::now();
        if self.verdict.is_some() {
            return None;
        }
        if self.abandoned.add(self.account.take(), now) > MOST_ABANDONED {
            let detail = "too many requests were reset before their answer";
            self.verdict = Some(ConnectionError::flood(detail));
            self.inner.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            return None;
        }
        // Streams that were reset do not count for the library, but somebody may still be working
        // for them.
        let most = usize::try_from(self.limits.streams)
            .unwrap_or(usize::MAX)
            .saturating_mul(2);
        let Some(place) = self.load.take(most) else {
            respond.send_reset(Reason::REFUSED_STREAM);
            return None;
        };
        let account = Arc::clone(&self.account);
        let deadline = now + self.limits.answer;
        Some(request::take_in(request, respond, place, account, deadline))
    }
}

/// Counts requests that were reset before their answer.
#[derive(Debug)]
struct Abandoned {
    since: Instant,
    count: u32,
}

impl Abandoned {
    fn since(since: Instant) -> Self {
        Self { since, count: 0 }
    }

    /// Counts some more, and tells how many there were lately.
    fn add(&mut self, more: u32, now: Instant) -> u32 {
        if now.duration_since(self.since) >= ABANDONED_WITHIN {
            *self = Self::since(now);
        }
        self.count = self.count.saturating_add(more);
        self.count
    }
}

#[cfg(test)]
mod tests;
