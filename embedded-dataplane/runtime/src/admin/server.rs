//! The server of a site: HTTP/1.1 within bounds, whoever is at the other end.
//!
//! A connection is for one question. Who asks does so every few seconds and loses nothing by it, and
//! whoever it is cannot have more than one answer waiting.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::page::{Answer, Reply, Site};
use crate::accept::Acceptor;

/// What a client may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many connections there are at once. One more ends the oldest, so that who holds all of
    /// them does not keep a probe out.
    pub connections: usize,
    /// How long a client may take to ask.
    pub asking: Duration,
    /// How long a client may take for all of an answer.
    pub taking: Duration,
    /// The most octets of a request's head.
    pub head: usize,
    /// The most headers of a request.
    pub headers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            // As ztunnel's (its `src/hyper_util.rs`).
            asking: Duration::from_secs(2),
            // As long as Prometheus waits for one (its `scrape_timeout`, by default).
            taking: Duration::from_secs(10),
            // The least that the protocol's implementation works with.
            head: 8192,
            headers: 64,
        }
    }
}

/// Serves a site for ever. Dropping it ends all of its connections.
pub async fn serve(listener: TcpListener, site: Site, limits: Limits) {
    serve_until(listener, site, limits, pending::<()>()).await;
}

/// Serves a site until something else happens: what comes of that is dropped when nobody accepts any more,
/// and then those are answered who were accepted before.
pub(super) async fn serve_until<T>(
    listener: TcpListener,
    site: Site,
    limits: Limits,
    end: impl Future<Output = T>,
) {
    let mut end = pin!(end);
    let site = Arc::new(site);
    let mut acceptor = Acceptor::new(listener, site.name());
    let mut connections = JoinSet::new();
    let mut order = VecDeque::<AbortHandle>::new();
    let end = loop {
        tokio::select! {
            end = &mut end => break end,
            (stream, _) = acceptor.accept() => {
                order.retain(|connection| !connection.is_finished());
                if order.len() >= limits.connections.max(1)
                    && let Some(oldest) = order.pop_front()
                {
                    oldest.abort();
                }
                let connection = connection(stream, Arc::clone(&site), limits);
                order.push_back(connections.spawn(connection));
            }
            Some(ended) = connections.join_next() => look(&site, ended),
        }
    };
    drop(acceptor);
    drop(end);
    while let Some(ended) = connections.join_next().await {
        look(&site, ended);
    }
}

/// Whether a connection ended as it should.
fn look(site: &Site, ended: Result<(), JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!(site = site.name(), "a page panicked");
    }
}

pub(super) async fn connection<S>(stream: S, site: Arc<Site>, limits: Limits)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // As a whole: who takes an octet now and then would hold an answer for ever. None while an answer
    // is made, which is bounded by who makes it.
    let (until, mut over) = watch::channel(Some(Instant::now() + limits.asking + limits.taking));
    let service = service_fn(|request: Request<Incoming>| {
        let (head, _) = request.into_parts();
        let reply = site.answer(&head);
        let until = &until;
        async move {
            let answer = match reply {
                Reply::Now(answer) => answer,
                Reply::Later(answer) => {
                    until.send_replace(None);
                    let answer = answer.await;
                    until.send_replace(Some(Instant::now() + limits.taking));
                    answer
                }
            };
            Ok::<_, Infallible>(respond(answer))
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.asking)
        .max_buf_size(limits.head)
        .max_headers(limits.headers)
        .keep_alive(false)
        // Who has asked may say that this was all.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        served = serving => if let Err(error) = served {
            tracing::debug!(
                site = site.name(),
                error = &error as &dyn std::error::Error,
                "connection failed"
            );
        },
        () = passed(&mut over) => {
            tracing::debug!(site = site.name(), "the answer was not taken in time");
        }
    }
}

/// Waits until the time is over, whatever it becomes meanwhile.
async fn passed(over: &mut watch::Receiver<Option<Instant>>) {
    loop {
        let at = *over.borrow_and_update();
        let reached = async {
            match at {
                Some(at) => sleep_until(at).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = reached => return,
            // Its sender is there as long as the connection.
            _ = over.changed() => {}
        }
    }
}

fn respond(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    let content_type = header::HeaderValue::from_static(answer.content_type);
    headers.insert(header::CONTENT_TYPE, content_type);
    if let Some(allow) = answer.allow
        && let Ok(allow) = allow.try_into()
    {
        headers.insert(header::ALLOW, allow);
    }
    response
}
