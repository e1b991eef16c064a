//! Connections of the workload.

use std::net::SocketAddr;
use std::sync::Arc;

use ambient_hbone::headers::{Forwarded, Headers, Traceparent};
use ambient_hbone::pool::Key;
use ambient_hbone::stream::Stream;
use tokio::net::TcpStream;

use super::baggage::baggage;
use super::connector::failure;
use super::record::Open;
use super::trusted::Trustee;
use super::{Known, Shared};
use crate::copy::{Ending, Side, Tcp, Tunnelled, abort, copy};
use crate::report::{About, Direction, End, Failure};
use crate::route::{Arrival, Decision, Through, Way, route};
use crate::socket::Accepted;

/// The other end of a connection.
enum Upstream {
    Plain(TcpStream),
    Tunnel(Stream, Trustee),
}

/// A connection that has its way.
pub(super) struct Opened {
    client: TcpStream,
    upstream: Upstream,
    record: Open,
}

/// Decides where a connection goes, and gets it there.
pub(super) async fn open(shared: Arc<Shared>, accepted: Accepted) -> Option<Opened> {
    let known = shared.known();
    let Decision {
        way,
        other,
        service,
    } = route(
        &known.snapshot,
        &known.here,
        &Arrival::Outbound {
            destination: accepted.destination,
            draw: fastrand::u64(..),
        },
    );
    let way = match way {
        Ok(way) => way,
        Err(refusal) => {
            abort(&accepted.stream);
            shared.refuse(Direction::Outbound, &accepted, &refusal.into());
            return None;
        }
    };
    let trace = Traceparent::random();
    let through = match &way {
        Way::Plain(_) => None,
        Way::Tunnel(through) => Some(through),
    };
    let own = &known.here.own;
    let host = service.as_ref().map(|service| service.hostname.clone());
    let record = Open::new(
        &*shared.observer,
        About {
            direction: Direction::Outbound,
            source: accepted.source,
            client: Some(Arc::clone(own)),
            client_identity: through.map(|_| own.identity.clone()),
            client_baggage: None,
            original: accepted.destination,
            destination: destination(&way),
            target: through.map(|through| through.target.clone()),
            server_identity: (other.as_ref().filter(|_| through.is_some()))
                .map(|other| other.identity.clone()),
            server: other,
            service,
            trace: Some(trace),
        },
    );
    let connecting = async {
        match way {
            Way::Plain(to) => (shared.dialer.outbound(to, accepted.class).await)
                .map(Upstream::Plain)
                .map_err(Failure::Connect),
            Way::Tunnel(through) => {
                let headers = headers(&known, &accepted, host, trace);
                let stream = tunnel(&shared, &known, &accepted, through, headers).await;
                stream.map(|(stream, peer)| Upstream::Tunnel(stream, peer))
            }
        }
    };
    let upstream = shared.unless_over(connecting).await;
    let client = accepted.stream;
    match upstream {
        Ok(upstream) => {
            record.connected();
            Some(Opened {
                client,
                upstream,
                record,
            })
        }
        Err(end) => {
            abort(&client);
            record.close(&end);
            None
        }
    }
}

fn destination(way: &Way) -> SocketAddr {
    match way {
        Way::Plain(to) => *to,
        Way::Tunnel(through) => through.relay,
    }
}

async fn tunnel(
    shared: &Shared,
    known: &Known,
    accepted: &Accepted,
    through: Through,
    headers: Headers,
) -> Result<(Stream, Trustee), Failure> {
    let own = known.here.own.identity.to_string();
    let expected = through.expected.iter().map(|id| Arc::from(id.to_string()));
    let key = Key::new(own, expected, through.relay, accepted.source.ip());
    let key = key.of_class(accepted.class);
    match shared.pool.connect(&key, &through.target, &headers).await {
        Ok((opened, peer)) => Ok((opened.stream, peer)),
        Err(error) => Err(failure(&key, error, shared.dialer.options().connect)),
    }
}

fn headers(
    known: &Known,
    accepted: &Accepted,
    host: Option<String>,
    trace: Traceparent,
) -> Headers {
    Headers {
        baggage: baggage(&known.here.own),
        forwarded: Forwarded {
            client: Some(accepted.source),
            host,
        },
        traceparent: Some(trace),
        network: None,
    }
}

/// Copies until the connection ends, or may not go on.
pub(super) async fn carry(shared: &Shared, opened: Opened) {
    let Opened {
        client,
        upstream,
        record,
    } = opened;
    let over = shared.draining.over();
    let client = Tcp::new(&client);
    let (outcome, revoked) = match upstream {
        Upstream::Plain(server) => {
            let outcome = copy(client, Tcp::new(&server), &record, over).await;
            (outcome, None)
        }
        Upstream::Tunnel(mut stream, peer) => {
            let outcome = copy(client, Tunnelled::new(&mut stream), &record, over).await;
            (outcome, peer.revoked())
        }
    };
    record.close(&match (outcome, revoked) {
        (Err(()), _) => End::Drained,
        (
            Ok(Ending::Failed {
                at: Side::Server, ..
            }),
            Some(fault),
        ) => End::Revoked(fault),
        (Ok(ending), _) => End::Over(ending),
    });
}
