//! Connections to the workload that are in the clear.

use std::sync::Arc;

use super::Shared;
use super::record::Open;
use crate::copy::{Tcp, abort, copy};
use crate::report::{About, Direction, End, Failure};
use crate::route::{Connection, Refusal, Way, route};
use crate::socket::Accepted;

pub(super) async fn serve(shared: &Arc<Shared>, accepted: Accepted) {
    let known = shared.known();
    let connection = Connection::Plaintext {
        source: accepted.source,
        destination: accepted.destination,
    };
    let decision = route(&known.snapshot, &known.here, &connection);
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
            return;
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
    let server = Box::pin(
        shared
            .dialer
            .as_client(accepted.source.ip(), to, accepted.class),
    )
    .await;
    let server = match server {
        Ok(server) => server,
        Err(error) => {
            abort(&client);
            record.close(&End::Failed(Failure::Connect(error)));
            return;
        }
    };
    record.connected();
    let over = shared.draining.over();
    let outcome = copy(Tcp::new(&client), Tcp::new(&server), &record, over).await;
    let end = outcome.map_or_else(|()| End::Drained, End::Over);
    record.close(&end);
}
