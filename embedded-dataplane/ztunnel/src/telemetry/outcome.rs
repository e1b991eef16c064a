//! How a connection ended, as metrics and the access log say it.

use std::error::Error;
use std::fmt::Write as _;

use ambient_hbone::tunnel::ConnectError;
use ambient_identity::{HandshakeError, PeerFault};

use super::labels::Flag;
use crate::copy::{Ending, Side};
use crate::report::{End, Failure, TlsFailure};

/// Who ended a connection, how, and what went wrong if something did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) by: &'static str,
    pub(super) how: &'static str,
    pub(super) flag: Flag,
    pub(super) error: Option<String>,
}

impl Outcome {
    /// That of a connection that nobody closed: its task was dropped.
    pub(super) fn dropped() -> Self {
        Self::of_relay(
            "dropped",
            Flag::None,
            "the task of the connection was dropped".to_owned(),
        )
    }

    pub(super) fn of(end: &End) -> Self {
        match end {
            End::Over(ending) => Self::over(ending),
            End::Failed(failure) => {
                let how = match failure {
                    Failure::Refused(_) => "refused",
                    _ => "unreached",
                };
                Self::of_relay(how, flag(failure), reason(failure))
            }
            End::Drained => {
                // As ztunnel has it, which counts it as no failure (its `src/proxy.rs`).
                let error = "connection closed due to connection drain".to_owned();
                Self::of_relay("drained", Flag::None, error)
            }
            End::Panicked => {
                let error = "the task of the connection panicked, which is a bug".to_owned();
                Self::of_relay("panicked", Flag::None, error)
            }
            End::Revoked(fault) => {
                let error = format!("connection closed: peer certificate revoked by CRL: {fault}");
                Self::of_relay("revoked", Flag::Revoked, error)
            }
        }
    }

    fn over(ending: &Ending) -> Self {
        let (how, flag, error) = match ending {
            Ending::Finished(_) => ("finished", Flag::None, None),
            // What an application does to its connection is no failure of ours, and the line says it.
            Ending::Reset(_) => ("reset", Flag::None, None),
            Ending::Failed { detail, .. } => ("broken", Flag::Connect, Some(detail.clone())),
        };
        let by = match ending.by() {
            Side::Client => "client",
            Side::Server => "server",
        };
        Self {
            by,
            how,
            flag,
            error,
        }
    }

    fn of_relay(how: &'static str, flag: Flag, error: String) -> Self {
        Self {
            by: "relay",
            how,
            flag,
            error: Some(error),
        }
    }
}

fn flag(failure: &Failure) -> Flag {
    match failure {
        Failure::Identity(_) => Flag::Identity,
        Failure::Silence { .. } => Flag::NetworkPolicy,
        Failure::Tls(error) => match &**error {
            TlsFailure::Handshake(HandshakeError::Peer(PeerFault::Revoked)) => Flag::Revoked,
            _ => Flag::Tls,
        },
        Failure::Http2(_)
        | Failure::NoWay(ConnectError::Unprocessed(_) | ConnectError::Ended(_)) => Flag::Http2,
        Failure::Refused(_)
        | Failure::BadRequest(_)
        | Failure::Unwanted(_)
        | Failure::Connect(_)
        | Failure::NoWay(_)
        | Failure::Stream(_)
        | Failure::Full(_)
        | Failure::Crowded(_)
        | Failure::NoTunnel(_) => Flag::Connect,
    }
}

/// Why there is no way to the server. What several connections share is no cause that an error can
/// lead to, so that one is asked itself.
pub(super) fn reason(failure: &Failure) -> String {
    let cause: &dyn Error = match failure {
        Failure::Tls(error) => &**error,
        Failure::Http2(error) => &**error,
        _ => return in_words(failure),
    };
    let (text, words) = (failure.to_string(), cause.to_string());
    text.replacen(&words, &in_words(cause), 1)
}

/// An error with its causes, those left out that are part of the text already.
pub(super) fn in_words(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            // A `String` takes everything.
            let _ = write!(text, ": {words}");
        }
        cause = error.source();
    }
    text
}
