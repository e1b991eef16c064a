//! One CONNECT of a tunnel to the workload.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

use ambient_hbone::error::StreamError;
use ambient_hbone::headers::Baggage;
use ambient_hbone::server::{Refusal as Answer, Request};
use ambient_hbone::stream::Stream;
use tokio::net::TcpStream;

use super::baggage::baggage;
use super::origin::Origin;
use super::record::Open;
use super::room::Held;
use super::{Known, Shared};
use crate::copy::{self, Tcp};
use crate::report::{About, Direction, Early, End, Failure};
use crate::route::{Arrival, Decision, Refusal, Way, route};

/// A CONNECT that has its way.
pub(super) struct Opened {
    stream: Stream,
    server: TcpStream,
    record: Open,
    held: Held,
}

/// Decides where a CONNECT leads, gets it there, and answers it.
pub(super) async fn open(
    shared: Arc<Shared>,
    origin: Arc<Origin>,
    request: Request,
) -> Option<Opened> {
    let known = shared.known();
    let decision = route(
        &known.snapshot,
        &known.here,
        &Arrival::Tunnel {
            source: origin.source,
            local: origin.local,
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
            shared.observer.refuse(&Early {
                direction: Direction::Inbound,
                source: origin.source,
                destination: origin.local,
                failure: &refusal.into(),
            });
            return None;
        }
    };
    let about = about(&known, &origin, &request, decision, to);
    let record = Open::new(&*shared.observer, about);
    let answering = async {
        let (request, server, held) = connect(&shared, &origin, request, to).await?;
        let stream = answer(request, &server, &baggage(&known.here.own))?;
        Ok((stream, server, held))
    };
    match shared.unless_over(answering).await {
        Ok((stream, server, held)) => {
            record.connected();
            Some(Opened {
                stream,
                server,
                record,
                held,
            })
        }
        Err(end) => {
            record.close(&end);
            None
        }
    }
}

/// Tells whoever asked that the application is there.
fn answer(request: Request, server: &TcpStream, baggage: &Baggage) -> Result<Stream, StreamError> {
    // Where its client broke off, the application is told no other end.
    request.accept(baggage).inspect_err(|_| copy::abort(server))
}

/// Copies until the connection ends, or may not go on.
pub(super) async fn carry(shared: &Shared, origin: &Origin, opened: Opened) {
    let Opened {
        mut stream,
        server,
        record,
        held,
    } = opened;
    let end = async {
        tokio::select! {
            () = shared.draining.over() => End::Drained,
            fault = origin.revoked() => End::Revoked(fault),
        }
    };
    let client = copy::Tunnelled::new(&mut stream);
    let outcome = copy::copy(client, Tcp::new(&server), &record, end).await;
    record.close(&outcome.map_or_else(|cause| cause, End::Over));
    // The application is told now how it ended, whatever the client still takes.
    drop((server, held));
    // Nobody takes the tunnel for idle as long as it has something of the stream to send.
    let (_, writer) = stream.halves();
    tokio::select! {
        () = poll_fn(|cx| writer.poll_sent(cx)) => {}
        () = shared.draining.over() => {}
        _ = origin.revoked() => {}
    }
}

fn about(
    known: &Known,
    origin: &Origin,
    request: &Request,
    decision: Decision,
    to: SocketAddr,
) -> About {
    let own = &known.here.own;
    let headers = request.headers();
    About {
        direction: Direction::Inbound,
        source: origin.source,
        client: decision.other,
        client_identity: Some(origin.client.clone()),
        client_baggage: Some(headers.baggage.clone()),
        original: to,
        destination: origin.local,
        target: Some(request.target().clone()),
        server: Some(Arc::clone(own)),
        server_identity: Some(own.identity.clone()),
        service: decision.service,
        trace: headers.traceparent,
    }
}

/// Connects to the application while somebody waits for it. Whoever asked is told when it fails.
async fn connect(
    shared: &Shared,
    origin: &Origin,
    mut request: Request,
    to: SocketAddr,
) -> Result<(Request, TcpStream, Held), Failure> {
    let held = match shared.room.descriptor() {
        Ok(held) => held,
        Err(full) => {
            request.refuse(Answer::Unavailable);
            return Err(full.into());
        }
    };
    let connecting = shared
        .dialer
        .as_client(origin.source.ip(), to, origin.class);
    match request.meanwhile(connecting).await {
        Ok(Ok(server)) => Ok((request, server, held)),
        Ok(Err(error)) => {
            request.refuse(Answer::Unavailable);
            Err(Failure::Connect(error))
        }
        Err(unwanted) => Err(unwanted.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use ambient_hbone::headers::Headers;
    use ambient_hbone::limits::Limits;
    use ambient_hbone::server::{self, Incoming};
    use ambient_hbone::tunnel;
    use tokio::io::{AsyncReadExt as _, duplex};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn w17_an_application_is_told_that_its_client_broke_off_before_the_answer() {
        let (near, far) = duplex(1 << 16);
        let asking = tokio::spawn(async move {
            let (tunnel, driver) = tunnel::open(near, &Limits::CLIENT).await.unwrap();
            let place = tunnel.reserve().unwrap();
            let target = "10.0.0.1:80".parse().unwrap();
            let asked = tokio::spawn(async move {
                let _opened = place.connect(&target, &Headers::default()).await;
            });
            (tunnel, asked, tokio::spawn(driver))
        });
        let mut connection = server::accept(far, &Limits::SERVER).await.unwrap();
        let Some(Incoming::Connect(mut request)) = connection.next().await.unwrap() else {
            panic!("no CONNECT");
        };
        let serving =
            tokio::spawn(async move { while let Ok(Some(_)) = connection.next().await {} });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = TcpStream::connect(listener.local_addr().unwrap());
        let (server, application) = tokio::join!(server, listener.accept());
        let (server, mut application) = (server.unwrap(), application.unwrap().0);
        let (_tunnel, asked, _driver) = asking.await.unwrap();
        asked.abort();
        request
            .meanwhile(std::future::pending::<()>())
            .await
            .unwrap_err();
        answer(request, &server, &Baggage::default()).unwrap_err();
        drop(server);
        let told = application.read(&mut [0]).await;
        assert_eq!(told.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        serving.abort();
    }
}
