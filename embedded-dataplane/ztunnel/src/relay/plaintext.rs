//! Connections to the workload that are in the clear.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::Shared;
use super::record::Open;
use crate::copy::{Tcp, abort, copy};
use crate::report::{About, Direction, End, Failure};
use crate::route::{Arrival, Refusal, Way, route};
use crate::socket::Accepted;

/// A connection that has its way.
pub(super) struct Opened {
    client: TcpStream,
    server: TcpStream,
    record: Open,
}

/// Decides where a connection goes, and gets it there.
pub(super) async fn open(shared: Arc<Shared>, accepted: Accepted) -> Option<Opened> {
    let known = shared.known();
    let arrival = Arrival::Plaintext {
        source: accepted.source,
        destination: accepted.destination,
    };
    let decision = route(&known.snapshot, &known.here, &arrival);
    let to = match decision.way {
        Ok(Way::Plain(to)) => Ok(to),
        // Who came in the clear goes on in the clear.
        Ok(Way::Tunnel(_)) => Err(Refusal::Loop),
        Err(refusal) => Err(refusal),
    };
    let to = match to {
        Ok(to) => to,
        Err(refusal) => {
            abort(&accepted.stream);
            shared.refuse(Direction::Inbound, &accepted, &refusal.into());
            return None;
        }
    };
    let record = Open::new(
        &*shared.observer,
        About {
            direction: Direction::Inbound,
            source: accepted.source,
            client: decision.other,
            client_identity: None,
            client_baggage: None,
            original: accepted.destination,
            destination: to,
            target: None,
            server: Some(Arc::clone(&known.here.own)),
            server_identity: None,
            service: decision.service,
            trace: None,
        },
    );
    drop(known);
    let client = accepted.stream;
    let from = accepted.source.ip();
    let connecting = async {
        let connected = shared.dialer.as_client(from, to, accepted.class).await;
        connected.map_err(Failure::Connect)
    };
    match shared.unless_over(connecting).await {
        Ok(server) => {
            record.connected();
            Some(Opened {
                client,
                server,
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

/// Copies until the connection ends, or may not go on.
pub(super) async fn carry(shared: &Shared, opened: Opened) {
    let Opened {
        client,
        server,
        record,
    } = opened;
    let over = shared.draining.over();
    let outcome = copy(Tcp::new(&client), Tcp::new(&server), &record, over).await;
    record.close(&outcome.map_or_else(|()| End::Drained, End::Over));
}
