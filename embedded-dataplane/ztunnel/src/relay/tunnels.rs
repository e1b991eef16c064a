//! Tunnels to the workload: TLS, HTTP/2, and each CONNECT a task of its own.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ambient_hbone::server::{self, Connection, Incoming};
use ambient_identity::{
    Accepted as Secured, FetchError, HandshakeError, Peer, PeerFault, SpiffeId, Standing,
    StoreError, Watch, Workload,
};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::origin::Origin;
use super::room::{Busy, LEAVING, Place, Seat, Shaken};
use super::{Shared, stream};
use crate::report::{Direction, Early, End, Failure, Handshake, TlsFailure};
use crate::socket::Accepted;

/// How long the end of a tunnel may take whose streams were broken off.
const FAREWELL: Duration = Duration::from_secs(1);

/// How often more a client that takes what is sent to it is given time to go.
const PATIENCE: u32 = 9;

/// How long a client that is on the way in has for it at least when a drain begins. It is a few round
/// trips; who takes longer is not waited for where the relay ends soon, and finds a successor, or
/// nobody, when it comes again.
const ON_THE_WAY: Duration = Duration::from_millis(500);

pub(super) async fn serve(shared: Arc<Shared>, accepted: Accepted, silent: Place) {
    let (source, local, class) = (accepted.source, accepted.destination, accepted.class);
    let began = Instant::now();
    let greeting = async {
        // Nothing is made for a client that does not begin.
        let mut first = [0];
        let begins = timeout(shared.settings.handshake, accepted.stream.peek(&mut first));
        let begins = tokio::select! {
            begins = begins => begins.map_err(|_| late(&shared)),
            () = silent.asked() => Err(TlsFailure::Crowded),
        };
        drop(silent);
        match begins {
            Ok(_) => Box::pin(greet(&shared, accepted, began)).await,
            Err(failure) => Err(failed(&shared, source, began, failure)),
        }
    };
    let greeted = tokio::select! {
        greeted = shared.unless_over(greeting) => greeted,
        () = ending(&shared) => Err(End::Drained),
    };
    let greeted = match greeted {
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

/// Waits until the relay is to end, and who was on the way in then has come in.
async fn ending(shared: &Shared) {
    let left = shared.draining.requested().await - Instant::now();
    // A small part of what others have. After listeners were handed over that is enough for everybody.
    let part = (left / 30).max(ON_THE_WAY);
    sleep(part.min(shared.settings.handshake)).await;
}

/// A client that is there, and who it is.
struct Greeted {
    connection: Connection<Secured<Shaken<TcpStream>>>,
    client: SpiffeId,
    watch: Watch,
    standing: Standing,
    seat: Arc<Seat>,
    busy: Busy,
}

/// From TCP to HTTP/2, each step in its time.
async fn greet(
    shared: &Shared,
    accepted: Accepted,
    began: Instant,
) -> Result<Box<Greeted>, Failure> {
    let source = accepted.source;
    // How long the client was silent before is its own affair.
    let spoke = Instant::now();
    let within = shared.settings.handshake;
    let own = shared.known().here.own.identity.clone();
    let workload = timeout_at(began + within, shared.store.get(&own)).await;
    let workload = workload.unwrap_or_else(|_| {
        let late = FetchError::TimedOut(within);
        Err(StoreError::Fetch(Arc::new(late)))
    })?;
    let made = timeout_at(began + within, secure(shared, &workload, accepted.stream));
    let made = made.await.unwrap_or_else(|_| Err(late(shared)));
    let (stream, peer) = made.map_err(|failure| failed(shared, source, spoke, failure))?;
    shared.observer.handshake(&Handshake {
        direction: Direction::Inbound,
        peer: source,
        took: spoke.elapsed(),
        outcome: Ok(peer.identity()),
    });
    // Not before it has proved who it is: nobody else makes those leave who have.
    let (seat, busy) = shared.room.seat().await?;
    let connection = server::accept(stream, &shared.settings.server).await;
    let connection = connection.map_err(|error| Failure::Http2(Arc::new(error)))?;
    let trust = shared.store.trust();
    let (watch, standing) = (trust.watch(&peer), Standing::of(trust, &peer));
    Ok(Box::new(Greeted {
        connection,
        client: peer.identity().clone(),
        watch,
        standing,
        seat,
        busy,
    }))
}

/// TLS, when it is its turn.
async fn secure(
    shared: &Shared,
    workload: &Workload,
    stream: TcpStream,
) -> Result<(Secured<Shaken<TcpStream>>, Peer), TlsFailure> {
    let slot = shared.room.handshake().await;
    let slot = slot.ok_or(TlsFailure::Crowded)?;
    let (mut stream, peer) = tokio::select! {
        biased;
        made = workload.accept(slot.over(stream)) => made.map_err(TlsFailure::Handshake)?,
        () = shared.room.given_up(&slot) => return Err(TlsFailure::Crowded),
    };
    stream.get_mut().0.is_made();
    Ok((stream, peer))
}

fn late(shared: &Shared) -> TlsFailure {
    TlsFailure::Late(shared.settings.handshake)
}

/// Tells of a handshake that came to nothing.
fn failed(shared: &Shared, peer: SocketAddr, began: Instant, failure: TlsFailure) -> Failure {
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
        standing,
        seat,
        busy,
    } = *greeted;
    // It is idle from now on, until its first stream.
    drop(busy);
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
    let (mut farewell, mut patience) = (None, PATIENCE);
    let mut expiry = expiry_of(&standing);
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
            () = seat.asked() => {
                farewell = Some(Instant::now() + LEAVING);
                connection.drain();
            }
            // Its client does not answer, or does not go. Whoever came meanwhile is served.
            () = at(farewell) => {
                farewell = None;
                if seat.is_idle() {
                    // What its streams said last may still be on its way.
                    if !connection.has_unsent() || patience == 0 {
                        return;
                    }
                    patience -= 1;
                    farewell = Some(Instant::now() + LEAVING);
                }
            }
            // As after a handshake that it would not get through any more.
            () = at(expiry) => {
                expiry = expiry_of(&standing);
                if standing.check().is_err() {
                    connection.drain();
                }
            }
            incoming = connection.next() => match incoming {
                Ok(Some(incoming)) => match standing.check() {
                    Ok(()) => take(shared, &origin, &seat, incoming),
                    Err(fault) => {
                        connection.drain();
                        put_off(shared, &origin, incoming, fault);
                    }
                },
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

/// When the next of a client's certificates has expired.
fn expiry_of(standing: &Standing) -> Option<Instant> {
    Instant::now().checked_add(standing.expires_in()?)
}

/// Waits for a time, if there is one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Has a client try again with a new handshake, which tells it why, or lets it in with a newer
/// certificate.
fn put_off(shared: &Shared, origin: &Origin, incoming: Incoming, fault: PeerFault) {
    if let Incoming::Connect(request) = incoming {
        request.put_off();
    }
    let fault = TlsFailure::from(HandshakeError::from(fault));
    shared.observer.refuse(&Early {
        direction: Direction::Inbound,
        source: origin.source,
        destination: origin.local,
        failure: &Failure::Tls(Arc::new(fault)),
    });
}

fn take(shared: &Arc<Shared>, origin: &Arc<Origin>, seat: &Arc<Seat>, incoming: Incoming) {
    match incoming {
        Incoming::Connect(request) => {
            let guard = (shared.inbound.enter(), seat.busy());
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
