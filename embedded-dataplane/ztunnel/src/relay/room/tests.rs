//! Crowds, with the clock stopped.

use std::future::pending;
use std::sync::Arc;

use tokio::time::sleep;

use super::*;

fn room(bounds: Bounds) -> Arc<Room> {
    Arc::new(Room::new(bounds, Duration::from_secs(10)))
}

fn few() -> Bounds {
    Bounds {
        handshakes: 8,
        tunnels: 4,
        descriptors: Some(20),
    }
}

/// A tunnel that is idle, and leaves when it is asked to.
async fn polite(room: &Arc<Room>) -> tokio::task::JoinHandle<()> {
    let (seat, busy) = room.seat().await.unwrap();
    drop(busy);
    tokio::spawn(async move { seat.asked().await })
}

#[tokio::test(start_paused = true)]
async fn of_ten_thousand_idle_tunnels_the_longest_idle_leaves_for_another() {
    const MANY: usize = 10_000;
    let room = room(Bounds {
        tunnels: MANY,
        ..few()
    });
    let first = polite(&room).await;
    let second = polite(&room).await;
    let mut others = Vec::new();
    for _ in 2..MANY {
        others.push(polite(&room).await);
    }
    assert_eq!(room.counts().tunnels, MANY);
    let began = Instant::now();
    let (newcomer, busy) = room.seat().await.unwrap();
    assert!(first.is_finished() && !second.is_finished());
    assert_eq!(began.elapsed(), Duration::ZERO);
    // Who is busy is asked by nobody.
    drop(newcomer);
    for _ in 1..MANY {
        others.push(tokio::spawn({
            let room = Arc::clone(&room);
            async move {
                let _busy = room.seat().await.unwrap();
                pending::<()>().await;
            }
        }));
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(room.seat().await.unwrap_err(), Full::Tunnels(MANY));
    assert_eq!(
        room.counts(),
        Inbound {
            tunnels: MANY,
            descriptors: 10,
            asked: 10_000,
            refused: 1,
            ..Inbound::default()
        }
    );
    drop(busy);
    others.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_is_idle_between_its_streams_and_one_that_stays_is_waited_for_in_vain() {
    let room = room(Bounds {
        tunnels: 1,
        ..few()
    });
    let (seat, opening) = room.seat().await.unwrap();
    assert_eq!(room.seat().await.unwrap_err(), Full::Tunnels(1));
    let streams = [seat.busy(), seat.busy()];
    drop(opening);
    assert_eq!(room.seat().await.unwrap_err(), Full::Tunnels(1));
    drop(streams);
    assert!(seat.is_idle());
    let began = Instant::now();
    assert_eq!(room.seat().await.unwrap_err(), Full::Tunnels(1));
    assert_eq!(began.elapsed(), LEAVING * 2);
    // It was asked, and is not asked again.
    seat.asked().await;
    drop(seat.busy());
    assert_eq!(room.seat().await.unwrap_err(), Full::Tunnels(1));
    let counts = room.counts();
    assert_eq!((counts.asked, counts.refused), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_gets_its_turn_in_a_crowd_of_those_that_do_not_go_on() {
    let room = room(few());
    let mut crowd = Vec::new();
    for _ in 0..1000 {
        let room = Arc::clone(&room);
        crowd.push(tokio::spawn(async move {
            let slot = room.handshake().await.unwrap();
            slot.asked().await;
        }));
    }
    sleep(Duration::from_millis(1)).await;
    let counts = room.counts();
    assert_eq!((counts.handshakes, counts.waiting), (8, 992));
    let began = Instant::now();
    let slot = room.handshake().await.unwrap();
    let waited = began.elapsed();
    // Half of the time that a handshake may take in all.
    assert!(waited <= Duration::from_secs(6), "{waited:?}");
    let counts = room.counts();
    assert_eq!((counts.handshakes, counts.waiting), (8, 0));
    // Without a crowd nobody is hurried.
    drop(slot);
    crowd.iter().for_each(tokio::task::JoinHandle::abort);
    sleep(Duration::from_millis(1)).await;
    let slots = [room.handshake().await, room.handshake().await];
    let hurried = timeout(Duration::from_secs(100), slots[0].as_ref().unwrap().asked());
    assert!(hurried.await.is_err());
}

/// A client that says nothing, and goes when it is asked to.
fn silent(room: &Arc<Room>, held: Held) -> tokio::task::JoinHandle<()> {
    let place = room.silent();
    tokio::spawn(async move {
        place.asked().await;
        drop(held);
    })
}

fn gone(clients: &[tokio::task::JoinHandle<()>]) -> usize {
    clients.iter().filter(|client| client.is_finished()).count()
}

#[tokio::test(start_paused = true)]
async fn descriptors_are_kept_back_and_silent_clients_go_first_when_there_are_no_others() {
    let room = room(few());
    assert_eq!(room.counts().descriptors, 10);
    let idle = polite(&room).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(silent(&room, room.descriptors(1).await));
    }
    // One makes room for the next, at once.
    let began = Instant::now();
    clients.push(silent(&room, room.descriptors(1).await));
    assert_eq!(began.elapsed(), Duration::ZERO);
    tokio::task::yield_now().await;
    assert!(clients[0].is_finished());
    assert_eq!(gone(&clients), 1);
    // A stream does not wait, and the next finds room.
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(room.descriptor().unwrap());
        tokio::task::yield_now().await;
    }
    assert_eq!((gone(&clients), idle.is_finished()), (9, false));
    // There is nobody else left.
    assert_eq!(room.descriptor().unwrap_err(), Full::Descriptors(10));
    tokio::task::yield_now().await;
    assert!(idle.is_finished());
    streams.pop();
    assert_eq!(
        room.counts(),
        Inbound {
            descriptors: 1,
            hung_up: 9,
            asked: 1,
            starved: 1,
            ..Inbound::default()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_to_be_accepted_leaves_descriptors_to_the_streams_of_tunnels() {
    let room = room(few());
    // Connections in the clear, which nobody asks to go.
    let mut clear = Vec::new();
    for _ in 0..4 {
        clear.push(room.descriptors(2).await);
    }
    let listeners = [2, 1].map(|many| {
        let room = Arc::clone(&room);
        tokio::spawn(async move { room.descriptors(many).await })
    });
    tokio::task::yield_now().await;
    let streams = [room.descriptor().unwrap(), room.descriptor().unwrap()];
    assert_eq!(room.descriptor().unwrap_err(), Full::Descriptors(10));
    // What comes back is for streams too, before it is for those who wait.
    clear.pop();
    tokio::task::yield_now().await;
    let more = [room.descriptor().unwrap(), room.descriptor().unwrap()];
    drop((streams, more));
    sleep(LEAVING).await;
    // Whoever needs more waits no longer than another, who comes behind it.
    let [first, second] = listeners;
    assert_eq!((first.is_finished(), second.is_finished()), (true, false));
    drop(first.await.unwrap());
    drop(second.await.unwrap());
    assert_eq!(room.counts().descriptors, 4);
}

#[tokio::test(start_paused = true)]
async fn what_happens_again_and_again_is_news_once() {
    let count = Count::default();
    let mut told = Vec::new();
    for seconds in [0, 0, 30, 59, 59, 60, 1] {
        sleep(Duration::from_secs(seconds)).await;
        told.push(count.add());
    }
    assert_eq!(told, [true, false, false, false, false, true, false]);
    assert_eq!(count.all(), 7);
}

#[test]
fn a_quarter_of_the_descriptors_is_kept_back_and_more_where_they_are_few() {
    let inbound = |all| {
        let bounds = Bounds {
            descriptors: Some(all),
            ..Bounds::default()
        };
        bounds.inbound_descriptors()
    };
    assert_eq!([60, 512, 1024, 20_000].map(inbound), [30, 256, 768, 15_000]);
}
