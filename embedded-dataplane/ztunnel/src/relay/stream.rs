//! One CONNECT of a tunnel to the workload.

use std::net::SocketAddr;
use std::sync::Arc;

use ambient_hbone::server::{Refusal as Answer, Request};
use tokio::net::TcpStream;

use super::baggage::baggage;
use super::record::Open;
use super::tunnels::Tunnel;
use super::{Known, Shared};
use crate::copy::{self, Tcp};
use crate::report::{About, Direction, Early, End, Failure};
use crate::route::{Connection, Decision, Refusal, Way, route};

pub(super) async fn serve(shared: &Shared, tunnel: &Tunnel, request: Request) {
    let known = shared.known();
    let decision = route(
        &known.snapshot,
        &known.here,
        &Connection::Tunnel {
            source: tunnel.source,
            local: tunnel.local,
            target: request.target(),
            host: request.headers().forwarded.host.as_deref(),
        },
    );
    let to = match decision.way {
        Ok(Way::Plain(to)) => Ok(to),
        // What came out of a tunnel does not go into another.
        Ok(Way::Tunnel(_)) => Err(Refusal::Loop),
        Err(ref refusal) => Err(refusal.clone()),
    };
    let to = match to {
        Ok(to) => to,
        Err(refusal) => {
            request.refuse(refusal.answer());
            return shared.observer.refuse(&Early {
                direction: Direction::Inbound,
                source: tunnel.source,
                destination: tunnel.local,
                failure: &refusal.into(),
            });
        }
    };
    let record = Open::new(
        &*shared.observer,
        about(&known, tunnel, &request, decision, to),
    );
    let said = baggage(&known.here.own);
    drop(known);
    let opened = Box::pin(open(shared, tunnel, request, to)).await;
    let (request, server) = match opened {
        Ok(opened) => opened,
        Err(failure) => return record.close(&End::Failed(failure)),
    };
    // Kept apart from what is above: this is what lasts.
    let mut stream = match request.accept(&said) {
        Ok(stream) => stream,
        Err(error) => return record.close(&End::Failed(error.into())),
    };
    drop(said);
    record.connected();
    let end = async {
        tokio::select! {
            () = shared.draining.over() => End::Drained,
            fault = tunnel.revoked() => End::Revoked(fault),
        }
    };
    let client = copy::Tunnel::new(&mut stream);
    let outcome = copy::copy(client, Tcp::new(&server), &record, end).await;
    let end = outcome.map_or_else(|cause| cause, End::Over);
    record.close(&end);
}

fn about(
    known: &Known,
    tunnel: &Tunnel,
    request: &Request,
    decision: Decision,
    to: SocketAddr,
) -> About {
    let own = &known.here.own;
    let headers = request.headers();
    About {
        direction: Direction::Inbound,
        source: tunnel.source,
        client: decision.other,
        client_identity: Some(tunnel.client.clone()),
        client_baggage: Some(headers.baggage.clone()),
        original: to,
        destination: tunnel.local,
        target: Some(request.target().clone()),
        server: Some(Arc::clone(own)),
        server_identity: Some(own.identity.clone()),
        service: decision.service,
        trace: headers.traceparent,
    }
}

/// Connects to the application while somebody waits for it. Whoever asked is told when it fails.
async fn open(
    shared: &Shared,
    tunnel: &Tunnel,
    mut request: Request,
    to: SocketAddr,
) -> Result<(Request, TcpStream), Failure> {
    let connecting = shared
        .dialer
        .as_client(tunnel.source.ip(), to, tunnel.class);
    match request.meanwhile(connecting).await {
        Ok(Ok(server)) => Ok((request, server)),
        Ok(Err(error)) => {
            request.refuse(Answer::Unavailable);
            Err(Failure::Connect(error))
        }
        Err(unwanted) => Err(unwanted.into()),
    }
}
