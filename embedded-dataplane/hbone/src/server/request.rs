//! One CONNECT, and the answers to it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use ambient_facts::headers as names;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Method, Response, StatusCode};
use tokio::time::{Instant, sleep_until};

use crate::authority::{AuthorityError, Target};
use crate::error::StreamError;
use crate::headers::{self, Baggage, Headers};
use crate::load::Place;
use crate::payload::Payload;
use crate::stream::Stream;

/// What came in.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "what is bad is rare")]
pub enum Incoming {
    /// A CONNECT, which is to be answered.
    Connect(Request),
    /// Something else, which was answered with 400; for the log.
    Bad(BadRequest),
}

/// What is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// It is no CONNECT.
    #[error("the method is `{0}`, and not `CONNECT`")]
    Method(Method),
    /// Its authority leads nowhere.
    #[error("the authority `{text}` leads nowhere")]
    Authority {
        /// The authority as it came.
        text: String,
        /// What is wrong with it.
        #[source]
        error: AuthorityError,
    },
}

/// Why a CONNECT is refused, as far as its client is told (ztunnel `src/proxy/inbound.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 400: the target is not behind this proxy.
    BadRequest,
    /// 401: a policy forbids it.
    Denied,
    /// 503: the target is unknown, or cannot be reached.
    Unavailable,
}

impl Refusal {
    /// The status that says so.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Denied => StatusCode::UNAUTHORIZED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Why to stop working on an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unwanted {
    /// The client reset the stream, or its connection ended.
    #[error("the client did not wait for the answer")]
    Gone,
    /// It took too long.
    #[error("there was no answer in time")]
    Late,
}

/// A CONNECT that waits for its answer. Dropped without, it is refused with 503.
#[derive(Debug)]
pub struct Request {
    target: Target,
    headers: Headers,
    deadline: Instant,
    account: Arc<Account>,
    parts: Option<Parts>,
}

#[derive(Debug)]
struct Parts {
    respond: SendResponse<Payload>,
    body: RecvStream,
    is_exact: bool,
    place: Place,
}

/// What a connection has to know of its requests.
#[derive(Debug, Default)]
pub(super) struct Account(AtomicU32);

impl Account {
    /// How many were abandoned since this was last asked.
    pub(super) fn take(&self) -> u32 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

pub(super) fn take_in(
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Payload>,
    place: Place,
    account: Arc<Account>,
    deadline: Instant,
) -> Incoming {
    let (head, body) = request.into_parts();
    match target(&head) {
        Ok(target) => Incoming::Connect(Request {
            target,
            headers: Headers::read(&head.headers),
            deadline,
            account,
            parts: Some(Parts {
                respond,
                body,
                is_exact: headers::has_exact_close(&head.headers),
                place,
            }),
        }),
        Err(bad) => {
            // Fails where the stream is over, and with it the request.
            let _ = respond.send_response(answer(StatusCode::BAD_REQUEST), true);
            Incoming::Bad(bad)
        }
    }
}

fn target(head: &http::request::Parts) -> Result<Target, BadRequest> {
    if head.method != Method::CONNECT {
        return Err(BadRequest::Method(head.method.clone()));
    }
    let text = head.uri.authority().map_or("", |a| a.as_str());
    text.parse().map_err(|error| BadRequest::Authority {
        text: text.to_owned(),
        error,
    })
}

fn answer(status: StatusCode) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    response
}

impl Request {
    /// Where the tunnel is to lead.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What else the client says.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Does what the answer needs, for as long as somebody waits for it and there is time
    /// ([`Limits::answer`](crate::limits::Limits::answer)).
    ///
    /// # Errors
    ///
    /// Why the work was given up.
    pub async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Unwanted> {
        let mut work = pin!(work);
        let mut deadline = pin!(sleep_until(self.deadline));
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if self.poll_gone(cx).is_ready() {
                return Poll::Ready(Err(Unwanted::Gone));
            }
            deadline.as_mut().poll(cx).map(|()| Err(Unwanted::Late))
        })
        .await
    }

    /// Opens the tunnel (200), and says which workload is at its end.
    ///
    /// # Errors
    ///
    /// When the stream is over already.
    pub fn accept(mut self, baggage: &Baggage) -> Result<Stream, StreamError> {
        let Some(mut parts) = self.parts.take() else {
            return Err(StreamError::Finished);
        };
        let mut response = answer(StatusCode::OK);
        if let Some(value) = baggage.encode() {
            response.headers_mut().insert(names::BAGGAGE, value);
        }
        if parts.is_exact {
            headers::promise_exact_close(response.headers_mut());
        }
        match parts.respond.send_response(response, false) {
            Ok(send) => Ok(Stream::new(send, parts.body, parts.is_exact, parts.place)),
            Err(error) => {
                self.account.0.fetch_add(1, Ordering::Relaxed);
                let mut context = Context::from_waker(Waker::noop());
                // The error itself says no more than that it is too late, and how is known for certain
                // where the body is read.
                if let Poll::Ready(Some(Err(error))) = parts.body.poll_data(&mut context) {
                    return Err(StreamError::of(&error));
                }
                Err(match parts.respond.poll_reset(&mut context) {
                    Poll::Ready(Ok(reason)) => StreamError::reset(reason),
                    Poll::Ready(Err(error)) => StreamError::of(&error),
                    Poll::Pending => StreamError::of(&error),
                })
            }
        }
    }

    /// Refuses the tunnel.
    pub fn refuse(mut self, refusal: Refusal) {
        self.refuse_once(refusal);
    }

    /// Says that nothing was done for it (RFC 9113, section 8.7): the client may ask again over another
    /// connection.
    pub fn put_off(mut self) {
        if let Some(mut parts) = self.parts.take() {
            parts.respond.send_reset(Reason::REFUSED_STREAM);
        }
    }

    fn refuse_once(&mut self, refusal: Refusal) {
        if self
            .poll_gone(&mut Context::from_waker(Waker::noop()))
            .is_ready()
        {
            self.account.0.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(mut parts) = self.parts.take() {
            // Fails where the stream is over, and with it the request.
            let _ = parts.respond.send_response(answer(refusal.status()), true);
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.parts {
            Some(parts) => parts.respond.poll_reset(cx).map(|_: Result<Reason, _>| ()),
            None => Poll::Pending,
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if self.parts.is_some() {
            self.refuse_once(Refusal::Unavailable);
        }
    }
}
