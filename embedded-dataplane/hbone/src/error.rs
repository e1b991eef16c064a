//! How connections and streams fail.

use std::io;

use h2::Reason;

/// How a connection failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The stream below failed.
    #[error("the connection broke")]
    Io(#[source] io::Error),
    /// The peer did not send its SETTINGS in time.
    #[error("the peer sent no HTTP/2 SETTINGS in time")]
    Unsettled,
    /// The peer gave no sign of life for too long.
    #[error("the peer gave no sign of life, and answered no PING")]
    Silent,
    /// The peer ended the connection with an error code (RFC 9113, section 7).
    #[error("the peer ended the connection: {detail}")]
    Peer {
        /// The code.
        code: u32,
        /// In words.
        detail: String,
    },
    /// The peer broke the rules of HTTP/2, or sent a flood of something. It was told the code.
    #[error("the peer broke the rules of HTTP/2: {detail}")]
    Broken {
        /// The code.
        code: u32,
        /// In words.
        detail: String,
    },
}

impl ConnectionError {
    pub(crate) fn of(error: h2::Error) -> Self {
        let code = error.reason().unwrap_or(Reason::PROTOCOL_ERROR).into();
        let detail = error.to_string();
        let is_peers = error.is_remote();
        match error.into_io() {
            Some(error) => Self::Io(error),
            None if is_peers => Self::Peer { code, detail },
            None => Self::Broken { code, detail },
        }
    }

    pub(crate) fn flood(detail: &str) -> Self {
        Self::Broken {
            code: Reason::ENHANCE_YOUR_CALM.into(),
            detail: detail.to_owned(),
        }
    }
}

/// How a stream failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// One of both ends reset it.
    #[error("the stream was reset with code {code}")]
    Reset {
        /// The code (RFC 9113, section 7).
        code: u32,
    },
    /// Its connection ended before it did.
    #[error("the connection of the stream ended: {detail}")]
    Connection {
        /// In words.
        detail: String,
    },
    /// This end finished it before.
    #[error("the stream is finished")]
    Finished,
}

impl StreamError {
    pub(crate) fn of(error: &h2::Error) -> Self {
        match error.reason() {
            Some(reason) if error.is_reset() => Self::reset(reason),
            _ => Self::Connection {
                detail: error.to_string(),
            },
        }
    }

    pub(crate) fn reset(reason: Reason) -> Self {
        Self::Reset {
            code: reason.into(),
        }
    }

    /// Whether a peer that ends streams as ztunnel does may have meant nothing by it: it lets go of
    /// a stream with `CANCEL` or `NO_ERROR`, however the application closed (ztunnel
    /// `src/proxy/h2.rs`, `h2_to_io_error`).
    pub(crate) fn is_let_go(&self) -> bool {
        let let_go = [Reason::NO_ERROR, Reason::CANCEL].map(u32::from);
        matches!(self, Self::Reset { code } if let_go.contains(code))
    }
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> Self {
        let kind = match error {
            StreamError::Reset { .. } => io::ErrorKind::ConnectionReset,
            StreamError::Connection { .. } => io::ErrorKind::ConnectionAborted,
            StreamError::Finished => io::ErrorKind::BrokenPipe,
        };
        Self::new(kind, error)
    }
}
