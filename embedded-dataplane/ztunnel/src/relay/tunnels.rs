//! Tunnels to the workload: TLS, HTTP/2, and each CONNECT a task of its own.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ambient_hbone::server::{self, Connection, Incoming};
use ambient_identity::{Accepted as Secured, SpiffeId, Watch};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::origin::Origin;
use super::{Shared, stream};
use crate::report::{Direction, Early, End, Failure, Handshake, TlsFailure};
use crate::socket::Accepted;

/// How long the end of a tunnel may take whose streams were broken off.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) async fn serve(shared: Arc<Shared>, accepted: Accepted) {
    let (source, local, class) = (accepted.source, accepted.destination, accepted.class);
    let began = Instant::now();
    let greeting = async {
        // Nothing is made for a client that does not begin.
        let mut first = [0];
        let begins = timeout(shared.settings.handshake, accepted.stream.peek(&mut first));
        match begins.await {
            Ok(_) => Box::pin(greet(&shared, accepted, began)).await,
            Err(_) => Err(late(&shared, source, began)),
        }
    };
    let greeted = match shared.unless_over(greeting).await {
        Ok(greeted) => greeted,
        Err(End::Failed(failure)) => {
            return shared.observer.refuse(&Early {
                direction: Direction::Inbound,
                source,
                destination: local,
                failure: &failure,
            });
        }
        // Nothing was asked for yet.
        Err(_) => return,
    };
    // The task is as large as what it does at a time, and not as all of it.
    Box::pin(carry(&shared, greeted, source, local, class)).await;
}

/// A client that is there, and who it is.
struct Greeted {
    connection: Connection<Secured<TcpStream>>,
    client: SpiffeId,
    watch: Watch,
}

/// From TCP to HTTP/2, each step in its time.
async fn greet(
    shared: &Shared,
    accepted: Accepted,
    began: Instant,
) -> Result<Box<Greeted>, Failure> {
    let own = shared.known().here.own.identity.clone();
    let made = timeout_at(began + shared.settings.handshake, async {
        let workload = shared.store.get(&own).await?;
        let made = workload.accept(accepted.stream).await;
        Ok::<_, Failure>(made.map_err(TlsFailure::Handshake))
    });
    let Ok(made) = made.await else {
        return Err(late(shared, accepted.source, began));
    };
    let made = made?;
    shared.observer.handshake(&Handshake {
        direction: Direction::Inbound,
        peer: accepted.source,
        took: began.elapsed(),
        outcome: made.as_ref().map(|(_, peer)| peer.identity()),
    });
    let (stream, peer) = made.map_err(|error| Failure::Tls(Arc::new(error)))?;
    let connection = server::accept(stream, &shared.settings.server).await;
    let connection = connection.map_err(|error| Failure::Http2(Arc::new(error)))?;
    let watch = shared.store.trust().watch(&peer);
    Ok(Box::new(Greeted {
        connection,
        client: peer.identity().clone(),
        watch,
    }))
}

/// A client that takes too long.
fn late(shared: &Shared, peer: SocketAddr, began: Instant) -> Failure {
    let failure = TlsFailure::Late(shared.settings.handshake);
    shared.observer.handshake(&Handshake {
        direction: Direction::Inbound,
        peer,
        took: began.elapsed(),
        outcome: Err(&failure),
    });
    Failure::Tls(Arc::new(failure))
}

/// Takes CONNECTs until the tunnel ends, and has it end when it has to.
async fn carry(
    shared: &Arc<Shared>,
    greeted: Box<Greeted>,
    source: SocketAddr,
    local: SocketAddr,
    class: u8,
) {
    let Greeted {
        mut connection,
        client,
        mut watch,
    } = *greeted;
    let (revoke, revoked) = watch::channel(None);
    let origin = Arc::new(Origin {
        source,
        local,
        class,
        client,
        revoked,
    });
    let draining = shared.draining.clone();
    let mut is_draining = false;
    loop {
        let drain = async {
            if is_draining {
                pending::<()>().await;
            }
            draining.requested().await;
        };
        tokio::select! {
            biased;
            fault = watch.revoked() => {
                // The streams tell it at their other ends, and then there is nobody left here.
                revoke.send_replace(Some(fault));
                return;
            }
            () = draining.over() => break,
            () = drain => {
                is_draining = true;
                connection.drain();
            }
            incoming = connection.next() => match incoming {
                Ok(Some(incoming)) => take(shared, &origin, incoming),
                // Streams that are still there learn it by themselves.
                Ok(None) | Err(_) => return,
            },
        }
    }
    connection.drain();
    // Streams are reset now, and their peer is to hear of it.
    let farewell = async { while let Ok(Some(_)) = connection.next().await {} };
    // One that does not listen is hung up on.
    let _ = timeout(FAREWELL, farewell).await;
}

fn take(shared: &Arc<Shared>, origin: &Arc<Origin>, incoming: Incoming) {
    match incoming {
        Incoming::Connect(request) => {
            let guard = shared.inbound.enter();
            let (task, origin) = (Arc::clone(shared), Arc::clone(origin));
            let opening = stream::open(Arc::clone(&task), Arc::clone(&origin), request);
            let opening = Box::pin(opening);
            shared.serving.spawn("tunnelled connection", async move {
                let opened = opening.await;
                if let Some(opened) = opened {
                    stream::carry(&task, &origin, opened).await;
                }
                drop(guard);
            });
        }
        Incoming::Bad(bad) => shared.observer.refuse(&Early {
            direction: Direction::Inbound,
            source: origin.source,
            destination: origin.local,
            failure: &bad.into(),
        }),
    }
}
