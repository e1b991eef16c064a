//! Tunnels to other relays: TCP, and TLS as the workload.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ambient_hbone::error::ConnectionError;
use ambient_hbone::pool::{Connector, DialError, Key, PoolError};
use ambient_identity::{
    Connected, HandshakeError, ParseSpiffeIdError, SpiffeId, Store, StoreError, TlsFault,
};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::trusted::{Trusted, Trustee};
use crate::report::{Direction, Failure, Handshake, Observer, TlsFailure};
use crate::socket::Dialer;

/// Makes connections for tunnels.
pub(super) struct Dial {
    pub(super) store: Arc<Store>,
    pub(super) dialer: Arc<Dialer>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) handshake: Duration,
}

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialFault {
    #[error(transparent)]
    Name(#[from] ParseSpiffeIdError),
    #[error(transparent)]
    Identity(#[from] StoreError),
    #[error("no TCP connection")]
    Connect(#[source] io::Error),
    #[error("no TLS")]
    Tls(Arc<TlsFailure>),
}

impl Connector for Dial {
    type Stream = Trusted<Connected<TcpStream>>;
    type Peer = Trustee;
    type Error = DialFault;

    async fn connect(&self, key: &Key) -> Result<Self::Stream, DialFault> {
        let own: SpiffeId = key.source().parse()?;
        let expected = key.expected().iter().map(|id| id.parse());
        let expected: BTreeSet<SpiffeId> = expected.collect::<Result<_, _>>()?;
        let workload = self.store.get(&own).await?;
        let peer = key.destination();
        let stream = self
            .dialer
            .outbound(peer, key.class())
            .await
            .map_err(DialFault::Connect)?;
        let began = Instant::now();
        let made = timeout(self.handshake, workload.connect(stream, Arc::new(expected))).await;
        let made = match made {
            Ok(made) => made.map_err(TlsFailure::Handshake),
            Err(_) => Err(TlsFailure::Late(self.handshake)),
        };
        self.observer.handshake(&Handshake {
            direction: Direction::Outbound,
            peer,
            took: began.elapsed(),
            outcome: made.as_ref().map(|(_, peer)| peer.identity()),
        });
        let (stream, peer) = made.map_err(|error| DialFault::Tls(Arc::new(error)))?;
        Ok(Trusted::new(stream, &peer, self.store.trust()))
    }

    fn peer(&self, connection: &Self::Stream) -> Trustee {
        connection.peer()
    }
}

/// Why there is no way through a tunnel, as it is told.
pub(super) fn failure(key: &Key, error: PoolError<DialFault>, within: Duration) -> Failure {
    match error {
        PoolError::Connect(error) => Failure::NoWay(error),
        PoolError::Dial(error) => no_tunnel(key, &error, within),
        error @ (PoolError::Crowded | PoolError::Late) => Failure::Crowded(error.to_string()),
    }
}

fn no_tunnel(key: &Key, error: &DialError<DialFault>, within: Duration) -> Failure {
    match error {
        DialError::Connect(DialFault::Identity(error)) => Failure::Identity(error.clone()),
        DialError::Connect(DialFault::Tls(error)) => Failure::Tls(Arc::clone(error)),
        DialError::Connect(DialFault::Connect(error)) => match error.kind() {
            io::ErrorKind::TimedOut => Failure::Silence {
                relay: key.destination(),
                within,
            },
            _ => Failure::Connect(copy(error)),
        },
        // In TLS 1.3 a server refuses its client where the client greets already.
        DialError::Greeting(ConnectionError::Io(error)) => match TlsFault::of(error) {
            Some(fault) => Failure::Tls(Arc::new(HandshakeError::Tls(fault).into())),
            None => Failure::Http2(Arc::new(ConnectionError::Io(copy(error)))),
        },
        DialError::Greeting(error) => Failure::Http2(Arc::new(again(error))),
        DialError::Connect(DialFault::Name(_))
        | DialError::Late
        | DialError::NoStreams
        | DialError::Abandoned => Failure::NoTunnel(error.to_string()),
    }
}

/// One error for all who waited.
fn again(error: &ConnectionError) -> ConnectionError {
    match error {
        ConnectionError::Io(error) => ConnectionError::Io(copy(error)),
        ConnectionError::Unsettled => ConnectionError::Unsettled,
        ConnectionError::Silent => ConnectionError::Silent,
        ConnectionError::Peer { code, detail } => ConnectionError::Peer {
            code: *code,
            detail: detail.clone(),
        },
        ConnectionError::Broken { code, detail } => ConnectionError::Broken {
            code: *code,
            detail: detail.clone(),
        },
    }
}

/// The same.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_crowd_is_told_as_one() {
        let key = Key::new(
            "spiffe://cluster.local/ns/shop/sa/web",
            [],
            ([127, 0, 0, 1], 1).into(),
            [127, 0, 0, 1].into(),
        );
        let within = Duration::from_secs(1);
        let told = |error| format!("{:?}", failure(&key, error, within));
        let dial = |error| PoolError::Dial(Arc::new(error));
        assert_eq!(
            [
                told(PoolError::Crowded),
                told(PoolError::Late),
                told(dial(DialError::Late)),
                told(dial(DialError::NoStreams)),
                told(dial(DialError::Abandoned)),
            ],
            [
                "Crowded(\"too many connections are wanted at the same time\")",
                "Crowded(\"no place on a connection became free in time\")",
                "NoTunnel(\"connecting took too long\")",
                "NoTunnel(\"the peer takes no streams\")",
                "NoTunnel(\"connecting was given up\")",
            ]
        );
    }
}
