//! Crowds, with the clock stopped.

use std::future::pending;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
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

/// A handshake whose peer does not go on, until it is given up.
async fn stalled(room: Arc<Room>) {
    if let Some(slot) = room.handshake().await {
        let (near, _far) = duplex(1);
        is_given_up(&room, &slot, &mut slot.over(near)).await;
    }
}

/// Waits for the peer of a handshake as TLS does, and says whether it was given up for that.
async fn is_given_up(room: &Room, slot: &Slot, stream: &mut Shaken<DuplexStream>) -> bool {
    let mut octet = [0];
    tokio::select! {
        biased;
        _ = stream.read(&mut octet) => false,
        () = room.given_up(slot) => true,
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_gets_its_turn_in_a_crowd_of_those_that_do_not_go_on() {
    let room = room(few());
    let mut crowd = Vec::new();
    for _ in 0..1000 {
        crowd.push(tokio::spawn(stalled(Arc::clone(&room))));
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
    let hurried = timeout(Duration::from_secs(100), stalled(Arc::clone(&room)));
    assert!(hurried.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_is_given_up_for_the_time_that_its_peer_takes_and_not_for_ours() {
    let room = room(Bounds {
        handshakes: 1,
        ..few()
    });
    let slot = room.handshake().await.unwrap();
    let (near, mut far) = duplex(8);
    let mut stream = slot.over(near);
    // With a crowd of 99 its peer has some 50 ms.
    let mut crowd = Vec::new();
    for _ in 0..99 {
        crowd.push(tokio::spawn(stalled(Arc::clone(&room))));
    }
    far.write_u8(1).await.unwrap();
    // We are busy.
    for _ in 0..50 {
        let busy = timeout(Duration::from_millis(100), room.given_up(&slot));
        assert!(busy.await.is_err());
        far.write_u8(1).await.unwrap();
        assert!(!is_given_up(&room, &slot, &mut stream).await);
    }
    assert_eq!(room.counts().given_up, 0);
    // Nobody has looked yet at what its peer has said, and it is asked: it has not to go.
    stream.read_u8().await.unwrap();
    let (given_up, ()) = tokio::join!(is_given_up(&room, &slot, &mut stream), async {
        while !room.owed.ask_first(Instant::now()) {
            tokio::task::yield_now().await;
        }
        far.write_u8(1).await.unwrap();
    });
    assert!(!given_up);
    // An octet now and then does not buy it more time.
    let began = Instant::now();
    let trickle = tokio::spawn(async move {
        loop {
            sleep(Duration::from_millis(20)).await;
            far.write_u8(1).await.unwrap();
        }
    });
    let mut heard = 0;
    for _ in 0..20 {
        if is_given_up(&room, &slot, &mut stream).await {
            break;
        }
        heard += 1;
    }
    let took = began.elapsed().as_millis();
    assert!((30..200).contains(&took) && heard < 10, "{took} {heard}");
    trickle.abort();
    crowd.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn who_has_not_proved_who_it_is_goes_before_an_idle_tunnel() {
    let room = room(Bounds {
        handshakes: 1,
        ..few()
    });
    let idle = polite(&room).await;
    let mut clients = vec![silent(&room, room.descriptors(1).await)];
    // The last of them waits for the slot that the other has.
    for _ in 0..2 {
        let (held, room) = (room.descriptors(1).await, Arc::clone(&room));
        clients.push(tokio::spawn(async move {
            stalled(room).await;
            drop(held);
        }));
        tokio::task::yield_now().await;
    }
    let mut streams = Vec::new();
    let mut order = Vec::new();
    while let Ok(held) = room.descriptor() {
        streams.push(held);
        if !room.descriptors.are_short() {
            continue;
        }
        // Not long enough for a handshake to be given up for the one that waits.
        sleep(Duration::from_millis(1)).await;
        let gone = clients.iter().map(tokio::task::JoinHandle::is_finished);
        order.push((gone.collect::<Vec<_>>(), idle.is_finished()));
    }
    order.dedup();
    assert_eq!(
        order,
        [
            (vec![true, false, false], false),
            (vec![true, false, true], false),
            (vec![true, true, true], false),
        ]
    );
    sleep(Duration::from_millis(1)).await;
    assert!(idle.is_finished());
    let counts = room.counts();
    assert_eq!((counts.hung_up, counts.given_up, counts.asked), (1, 2, 1));
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
