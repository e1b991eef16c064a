//! The client's end of HBONE for the dataplane: one connection that is already secured, and the
//! streams that are opened on it.
//!
//! ```text
//! open ──┬─► Driver            moves everything; ends by itself when nobody is left
//!        └─► Tunnel ──reserve──► Place ──connect──► Opened { stream, baggage }
//! ```

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use h2::Reason;
use h2::client::SendRequest;
use http::{Method, Request, StatusCode, Uri, Version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::authority::Target;
use crate::error::{ConnectionError, StreamError};
use crate::gather::{Gate, Gathered};
use crate::headers::{self, Baggage, Headers};
use crate::limits::Limits;
use crate::load::{self, Load};
use crate::payload::Payload;
use crate::pulse::{Felt, Watch};
use crate::stream::Stream;
use crate::windows::Sizes;

/// A connection to a peer. Its clones are one and the same; it closes when all of them and all its
/// streams are gone.
#[derive(Debug, Clone)]
pub struct Tunnel {
    requests: SendRequest<Payload>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    load: Arc<Load>,
    is_over: AtomicBool,
    limits: Limits,
}

/// Moves everything on a connection, and tells how it ended. It has to run for as long as there are
/// streams, and ends by itself when the connection closed or the peer is dead; dropping it closes the
/// connection at once.
#[derive(Debug)]
#[must_use = "nothing moves unless it runs"]
pub struct Driver<S: AsyncRead + AsyncWrite + Unpin> {
    inner: h2::client::Connection<Gathered<Felt<S>>, Payload>,
    gate: Gate<Felt<S>>,
    watch: Watch,
    shared: Arc<Shared>,
}

/// Place for one stream on a connection.
#[derive(Debug)]
pub struct Place {
    tunnel: Tunnel,
    place: load::Place,
}

/// A stream that the peer opened the way for.
#[derive(Debug)]
pub struct Opened {
    /// The octets.
    pub stream: Stream,
    /// The workload at the other end, in the words of its proxy.
    pub baggage: Baggage,
}

/// Why there is no stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The connection carries as many streams as it may.
    #[error("the connection carries as many streams as it may")]
    Full,
    /// The peer did nothing with the CONNECT, and says so: it may be tried again elsewhere.
    #[error("the peer did not look at the CONNECT")]
    Unprocessed(#[source] StreamError),
    /// The peer answered with another status than 200.
    #[error("http status: {0}")]
    Status(StatusCode),
    /// The peer did not answer in time ([`Limits::answer`]).
    #[error("the peer did not answer the CONNECT in time")]
    Late,
    /// The stream or its connection ended before the answer.
    #[error("there was no answer to the CONNECT")]
    Ended(#[source] StreamError),
}

/// Greets a server, and waits until it has.
///
/// # Errors
///
/// When it does not, or not in time ([`Limits::settle`]), or the stream fails.
pub async fn open<S>(stream: S, limits: &Limits) -> Result<(Tunnel, Driver<S>), ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let greeting = timeout(limits.settle, greet(stream, limits)).await;
    greeting.unwrap_or(Err(ConnectionError::Unsettled))
}

async fn greet<S>(stream: S, limits: &Limits) -> Result<(Tunnel, Driver<S>), ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let stream = Felt::of_server(stream);
    let pulse = stream.pulse();
    let stream = Gathered::new(stream);
    let gate = stream.gate();
    let streams = usize::try_from(limits.streams).unwrap_or(usize::MAX);
    let (requests, mut inner) = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .max_frame_size(limits.frame)
        .max_header_list_size(limits.headers)
        .initial_max_send_streams(streams)
        .max_send_buffer_size(limits.send_buffer)
        .data_frame_budget(limits.small_frames())
        .max_concurrent_reset_streams(streams)
        .reset_stream_duration(Limits::REMEMBERED)
        .handshake(stream)
        .await
        .map_err(|error| pulse.exact(ConnectionError::of(error)))?;
    poll_fn(|cx| match Pin::new(&mut inner).poll(cx) {
        // A peer that greets and leaves is told of by the driver.
        _ if pulse.is_settled() => Poll::Ready(Ok(())),
        Poll::Ready(Err(error)) => Poll::Ready(Err(pulse.exact(ConnectionError::of(error)))),
        Poll::Ready(Ok(())) => Poll::Ready(Err(ConnectionError::Unsettled)),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    let Some(ping) = inner.ping_pong() else {
        return Err(ConnectionError::Unsettled);
    };
    let shared = Arc::new(Shared {
        load: Arc::default(),
        is_over: AtomicBool::new(false),
        limits: limits.clone(),
    });
    let driver = Driver {
        inner,
        gate,
        watch: Watch::new(pulse, ping, Arc::clone(&shared.load), limits),
        shared: Arc::clone(&shared),
    };
    Ok((Tunnel { requests, shared }, driver))
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Driver<S> {
    type Output = Result<(), ConnectionError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.watch.poll(cx).is_ready() {
            self.shared.is_over.store(true, Ordering::Release);
            return Poll::Ready(Err(ConnectionError::Silent));
        }
        if let Some(sizes) = self.watch.sizes().take()
            && !self.resize(sizes)
        {
            *self.watch.sizes() = Some(sizes);
        }
        self.gate.close();
        let mut outcome = Pin::new(&mut self.inner).poll(cx);
        if outcome.is_ready() {
            self.gate.open();
        } else if !self.gate.poll_open(cx) {
            // How writing fails is told by the library.
            outcome = Pin::new(&mut self.inner).poll(cx);
        }
        outcome.map_err(|error| self.watch.pulse().exact(ConnectionError::of(error)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// `false` where the peer has not taken note of the sizes before.
    fn resize(&mut self, sizes: Sizes) -> bool {
        let is_taken = self.inner.set_initial_window_size(sizes.stream).is_ok();
        if is_taken {
            self.inner.set_target_window_size(sizes.connection);
        }
        is_taken
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for Driver<S> {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
    }
}

impl Tunnel {
    /// Whether streams can still be opened: the connection did not end, and the peer did not say
    /// farewell (GOAWAY).
    pub fn is_usable(&self) -> bool {
        let mut requests = self.requests.clone();
        let ready = requests.poll_ready(&mut Context::from_waker(Waker::noop()));
        !self.shared.is_over.load(Ordering::Acquire) && !matches!(ready, Poll::Ready(Err(_)))
    }

    /// Whether both are one connection.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// How many streams there are.
    pub fn streams(&self) -> usize {
        self.shared.load.now()
    }

    /// How many there may be: what both ends allow.
    pub fn most_streams(&self) -> usize {
        let ours = usize::try_from(self.shared.limits.streams).unwrap_or(usize::MAX);
        ours.min(self.requests.current_max_send_streams())
    }

    /// The count of the streams, which does not hold the connection open.
    pub(crate) fn load(&self) -> &Arc<Load> {
        &self.shared.load
    }

    /// Takes a place for a stream; `None` when there is none.
    pub fn reserve(&self) -> Option<Place> {
        let place = self.shared.load.take(self.most_streams())?;
        Some(Place {
            tunnel: self.clone(),
            place,
        })
    }
}

impl Place {
    /// The connection that it is on.
    pub(crate) fn tunnel(&self) -> &Tunnel {
        &self.tunnel
    }

    /// Asks the peer for a way, and waits for the answer. The stream is reset when the future is
    /// dropped before.
    ///
    /// # Errors
    ///
    /// Why there is no way.
    pub async fn connect(self, to: &Target, with: &Headers) -> Result<Opened, ConnectError> {
        let Self { tunnel, place } = self;
        let unprocessed = |error: h2::Error| ConnectError::Unprocessed(StreamError::of(&error));
        let mut requests = tunnel.requests.ready().await.map_err(unprocessed)?;
        let asked = requests.send_request(request(to, with)?, false);
        let (answer, send) = asked.map_err(unprocessed)?;
        let answer = timeout(tunnel.shared.limits.answer, answer).await;
        let answer = answer.map_err(|_| ConnectError::Late)?;
        let answer = answer.map_err(|error| unanswered(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(ConnectError::Status(answer.status()));
        }
        let is_exact = headers::has_exact_close(answer.headers());
        let baggage = headers::baggage(answer.headers());
        let stream = Stream::new(send, answer.into_body(), is_exact, place);
        Ok(Opened { stream, baggage })
    }
}

fn request(to: &Target, with: &Headers) -> Result<Request<()>, ConnectError> {
    let uri = Uri::builder().authority(to.to_string()).build();
    // A target is always an authority, so this is never seen.
    let uri = uri.map_err(|error| {
        ConnectError::Ended(StreamError::Connection {
            detail: error.to_string(),
        })
    })?;
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = uri;
    with.write(request.headers_mut());
    headers::promise_exact_close(request.headers_mut());
    Ok(request)
}

/// What is known when there was no answer. Of what a peer refuses by these two means it promises that
/// nothing was done (RFC 9113, sections 8.7 and 6.8).
fn unanswered(error: &h2::Error) -> ConnectError {
    let is_refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    let is_beyond_farewell = error.is_go_away() && error.is_remote();
    let cause = StreamError::of(error);
    if is_refused || is_beyond_farewell {
        ConnectError::Unprocessed(cause)
    } else {
        ConnectError::Ended(cause)
    }
}

#[cfg(test)]
mod tests;
