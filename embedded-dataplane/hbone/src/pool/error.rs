//! Why there is no stream from a pool.

use std::sync::Arc;

use crate::error::ConnectionError;
use crate::tunnel::ConnectError;

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub enum PoolError<E: std::error::Error + 'static> {
    /// No connection came about; all who waited for it get the same error.
    #[error("no connection to the peer")]
    Dial(#[source] Arc<DialError<E>>),
    /// There is a connection, and no way through it.
    #[error(transparent)]
    Connect(ConnectError),
    /// Too many wait already, or there are as many connections as there may be.
    #[error("too many connections are wanted at the same time")]
    Crowded,
    /// No place became free in time.
    #[error("no place on a connection became free in time")]
    Late,
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum DialError<E: std::error::Error + 'static> {
    /// It could not be made.
    #[error(transparent)]
    Connect(E),
    /// It was not made in time ([`Settings::dial`](super::Settings::dial)).
    #[error("connecting took too long")]
    Late,
    /// The peer did not greet as HTTP/2 does.
    #[error("http2 handshake failed")]
    Greeting(#[source] ConnectionError),
    /// The peer greeted, and takes no streams: it allows none, or said farewell at once.
    #[error("the peer takes no streams")]
    NoStreams,
    /// The attempt was given up.
    #[error("connecting was given up")]
    Abandoned,
}
