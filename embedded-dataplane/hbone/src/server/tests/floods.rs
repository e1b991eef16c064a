//! Attacks that are known by name. Each ends in an error that says so, or in the attacker waiting
//! for us; none in memory that grows.

use std::time::Duration;

use super::*;
use crate::testing::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, RST_STREAM, Raw,
    SETTINGS, WINDOW_UPDATE, code, connect, frame, open, reset,
};

/// `ENHANCE_YOUR_CALM` (RFC 9113, section 7).
const CALM: u32 = 11;
const REFUSED_STREAM: u32 = 7;
const FLOW_CONTROL_ERROR: u32 = 3;
const PROTOCOL_ERROR: u32 = 1;

async fn greeted(capacity: usize, limits: &Limits) -> (Raw, Connection<DuplexStream>) {
    let (mut peer, stream) = Raw::new(capacity);
    peer.greet().await;
    let server = accept(stream, limits).await.unwrap();
    (peer, server)
}

/// Serves until the connection ends, with this done to each request.
async fn serve<F>(mut server: Connection<DuplexStream>, mut each: F) -> Result<(), ConnectionError>
where
    F: FnMut(Request),
{
    while let Some(incoming) = server.next().await? {
        if let Incoming::Connect(request) = incoming {
            each(request);
        }
    }
    Ok(())
}

#[track_caller]
fn assert_broken(outcome: Result<(), ConnectionError>, code: u32, what: &str) {
    match outcome {
        Err(ConnectionError::Broken { code: told, detail }) => {
            assert_eq!((told, detail.contains(what)), (code, true), "{detail}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn rapid_resets_at_once_end_the_connection() {
    let (mut peer, server) = greeted(1 << 20, &Limits::SERVER).await;
    let storm = (0..1000).map(|n| 2 * n + 1);
    let storm: Vec<_> = storm
        .flat_map(|id| [open(id, "10.0.0.7:80"), reset(id, 8)].concat())
        .collect();
    peer.send(&storm).await;
    let mut requests = 0;
    let outcome = serve(server, |_| requests += 1).await;
    assert_broken(outcome, CALM, "excessive load");
    // The library hands out none of those that it has seen reset.
    assert!(requests <= 1, "{requests}");
    let goaway = peer.receive_next(GOAWAY).await.unwrap();
    assert_eq!(code(&goaway), CALM);
}

#[tokio::test(start_paused = true)]
async fn rapid_resets_one_by_one_end_the_connection() {
    let (mut peer, server) = greeted(1 << 20, &Limits::SERVER).await;
    let attacker = tokio::spawn(async move {
        for n in 0..10 * MOST_ABANDONED {
            let id = 2 * n + 1;
            peer.send(&open(id, "10.0.0.7:80")).await;
            tokio::task::yield_now().await;
            peer.send(&reset(id, 8)).await;
            tokio::task::yield_now().await;
        }
    });
    let mut workers = JoinSet::new();
    let outcome = serve(server, |mut request| {
        workers.spawn(async move { request.meanwhile(std::future::pending::<()>()).await });
    })
    .await;
    assert_broken(outcome, CALM, "reset before their answer");
    let worked = workers.len();
    assert!((900..=1100).contains(&worked), "{worked}");
    // Nobody is left at work.
    while let Some(done) = workers.join_next().await {
        assert_eq!(done.unwrap(), Err(Unwanted::Gone));
    }
    assert!(attacker.await.unwrap_err().is_panic());
}

#[tokio::test(start_paused = true)]
async fn resets_now_and_then_are_no_attack() {
    let (mut peer, server) = greeted(1 << 20, &Limits::SERVER).await;
    let client = async {
        for n in 0..3 * MOST_ABANDONED {
            let id = 2 * n + 1;
            peer.send(&open(id, "10.0.0.7:80")).await;
            tokio::time::sleep(Duration::from_millis(11)).await;
            peer.send(&reset(id, 8)).await;
        }
        drop(peer);
    };
    let mut workers = JoinSet::new();
    let (outcome, ()) = tokio::join!(
        serve(server, |mut request| {
            workers.spawn(async move { request.meanwhile(std::future::pending::<()>()).await });
        }),
        client
    );
    outcome.unwrap();
}

#[tokio::test(start_paused = true)]
async fn work_for_streams_that_are_gone_is_bounded() {
    let (mut peer, mut server) = greeted(1 << 20, &Limits::SERVER).await;
    let most = 2 * Limits::SERVER.streams;
    // These hold what they were given, and look at nothing.
    let mut held = Vec::new();
    for n in 0..most {
        let id = 2 * n + 1;
        peer.send(&open(id, "10.0.0.7:80")).await;
        held.push(next(&mut server).await);
        peer.send(&reset(id, 8)).await;
    }
    let id = 2 * most + 1;
    peer.send(&open(id, "10.0.0.7:80")).await;
    let refused = driving(&mut server, peer.receive_next(RST_STREAM))
        .await
        .unwrap();
    assert_eq!((refused.stream, code(&refused)), (id, REFUSED_STREAM));
    drop(held);
    peer.send(&open(id + 2, "10.0.0.7:80")).await;
    next(&mut server).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_too_many_is_refused() {
    let limits = Limits {
        streams: 2,
        ..Limits::SERVER
    };
    let (mut peer, mut server) = greeted(1 << 20, &limits).await;
    for id in [1, 3, 5] {
        peer.send(&open(id, "10.0.0.7:80")).await;
    }
    let held = [next(&mut server).await, next(&mut server).await];
    let refused = driving(&mut server, peer.receive_next(RST_STREAM))
        .await
        .unwrap();
    assert_eq!((refused.stream, code(&refused)), (5, REFUSED_STREAM));
    assert_eq!(server.streams(), held.len());
}

#[tokio::test(start_paused = true)]
async fn a_continuation_flood_ends_the_connection() {
    // Of headers that grow, of headers that do not, and of nothing at all.
    let literal = [&[0x00, 1, b'a', 127, 0x81, 0x7e][..], &[b'b'; 16_000]].concat();
    for block in [literal, vec![0x20; 1000], Vec::new()] {
        let (mut peer, server) = greeted(1 << 20, &Limits::SERVER).await;
        peer.send(&frame(HEADERS, 0, 1, &connect("10.0.0.7:80")))
            .await;
        let flood = frame(CONTINUATION, 0, 1, &block);
        let attacker = tokio::spawn(async move { peer.flood(&flood).await });
        let outcome = serve(server, |request| panic!("{request:?}")).await;
        let Err(ConnectionError::Broken { code, .. }) = outcome else {
            panic!("{outcome:?}");
        };
        assert!([CALM, 9, PROTOCOL_ERROR].contains(&code), "{code}");
        let sent = attacker.await.unwrap();
        assert!(sent < 4 << 20, "{sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn more_headers_than_allowed_reach_nobody() {
    let (mut peer, mut server) = greeted(1 << 20, &Limits::SERVER).await;
    let mut block = connect("10.0.0.7:80");
    let value = vec![b'v'; 100];
    for n in 0..560 {
        let name = format!("x-{n:04}");
        block.extend([0x00, 6]);
        block.extend(name.as_bytes());
        block.push(100);
        block.extend(&value);
    }
    peer.send(&frame(HEADERS, END_HEADERS, 1, &block)).await;
    let answer = driving(&mut server, peer.receive_next(HEADERS))
        .await
        .unwrap();
    // `:status: 431`, in Huffman's code.
    assert_eq!(
        (answer.stream, &answer.payload[..]),
        (1, &b"\x48\x83\x69\x90\xff"[..])
    );
    // The connection is as good as before.
    peer.send(&open(3, "10.0.0.7:80")).await;
    assert_eq!(next(&mut server).await.target().to_string(), "10.0.0.7:80");
}

#[tokio::test(start_paused = true)]
async fn floods_that_ask_for_answers_wait_for_whoever_sends_them() {
    let settings = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100].repeat(10));
    for flood in [frame(PING, 0, 0, b"pingping"), settings, reset_of_nothing()] {
        let (mut peer, server) = greeted(4096, &Limits::SERVER).await;
        let attacker = tokio::spawn(async move {
            // Never reads what comes back.
            (peer.flood(&flood).await, peer)
        });
        let outcome = serve(server, |request| panic!("{request:?}")).await;
        let (sent, _peer) = attacker.await.unwrap();
        assert!(sent < 1 << 20, "{sent}");
        assert!(
            matches!(
                outcome,
                Err(ConnectionError::Silent | ConnectionError::Broken { .. })
            ),
            "{outcome:?}"
        );
    }
}

/// RST_STREAM on a stream that never was, which is an error.
fn reset_of_nothing() -> Vec<u8> {
    reset(1, 8)
}

#[tokio::test(start_paused = true)]
async fn small_frames_that_nobody_reads_end_the_connection() {
    let (mut peer, mut server) = greeted(4096, &Limits::SERVER).await;
    peer.send(&open(1, "10.0.0.7:80")).await;
    let _unread = next(&mut server).await.accept(&Baggage::default()).unwrap();
    let flood = frame(DATA, 0, 1, b"x").repeat(1000);
    let attacker = tokio::spawn(async move { peer.flood(&flood).await });
    let outcome = serve(server, |request| panic!("{request:?}")).await;
    assert_broken(outcome, CALM, "excessive load");
    let frames = attacker.await.unwrap() / 10;
    assert!(frames < 150_000, "{frames}");
}

#[tokio::test(start_paused = true)]
async fn an_application_that_is_stuck_does_not_end_the_connection_for_others() {
    let (mut peer, mut server) = greeted(4096, &Limits::SERVER).await;
    peer.send(&frame(SETTINGS, 1, 0, &[])).await;
    peer.send(&open(1, "10.0.0.7:80")).await;
    let _unread = next(&mut server).await.accept(&Baggage::default()).unwrap();
    // Its whole window in small messages.
    let messages = frame(DATA, 0, 1, &[b'm'; 50]).repeat(1000);
    driving(&mut server, async {
        for _ in 0..83 {
            peer.send(&messages).await;
        }
    })
    .await;
    peer.send(&open(3, "10.0.0.8:80")).await;
    next(&mut server).await;
}

#[tokio::test(start_paused = true)]
async fn frames_of_nothing_end_the_connection() {
    let (mut peer, mut server) = greeted(1 << 20, &Limits::SERVER).await;
    peer.send(&open(1, "10.0.0.7:80")).await;
    let _unread = next(&mut server).await.accept(&Baggage::default()).unwrap();
    let flood = frame(DATA, 0, 1, b"").repeat(1000);
    let attacker = tokio::spawn(async move { peer.flood(&flood).await });
    let outcome = serve(server, |request| panic!("{request:?}")).await;
    assert_broken(outcome, CALM, "excessive load");
    attacker.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn w27_a_stream_that_is_not_read_takes_its_window_and_no_more() {
    let limits = Limits {
        stream_window: 100_000,
        connection_window: 400_000,
        ..Limits::SERVER
    };
    let (mut peer, mut server) = greeted(1 << 20, &limits).await;
    peer.send(&frame(SETTINGS, 1, 0, &[])).await;
    peer.send(&[open(1, "10.0.0.7:80"), open(3, "10.0.0.8:80")].concat())
        .await;
    let mut unread = next(&mut server).await.accept(&Baggage::default()).unwrap();
    let mut read = next(&mut server).await.accept(&Baggage::default()).unwrap();
    let chunk = vec![7; 10_000];
    for _ in 0..10 {
        peer.send(&frame(DATA, 0, 1, &chunk)).await;
    }
    // Another stream is not held up, and gets credit as it is read.
    let credit = driving(&mut server, async {
        for _ in 0..50 {
            peer.send(&frame(DATA, 0, 3, &chunk)).await;
            assert_eq!(read.halves().0.read().await.unwrap().unwrap(), chunk);
        }
        let (reader, _) = read.halves();
        let nothing = std::future::poll_fn(|cx| Poll::Ready(reader.poll_read(cx).is_pending()));
        assert!(nothing.await);
        let mut credit: Vec<Frame> = Vec::new();
        while credit
            .iter()
            .filter(|f| f.stream == 3)
            .map(code)
            .sum::<u32>()
            < 400_000
        {
            credit.push(peer.receive_next(WINDOW_UPDATE).await.unwrap());
        }
        credit
    })
    .await;
    assert!(credit.iter().all(|f| f.stream != 1), "{credit:?}");
    // And the one that sends more than it may is reset.
    peer.send(&frame(DATA, END_STREAM, 1, &chunk)).await;
    let refused = driving(&mut server, peer.receive_next(RST_STREAM))
        .await
        .unwrap();
    assert_eq!((refused.stream, code(&refused)), (1, FLOW_CONTROL_ERROR));
    let (reader, _) = unread.halves();
    for _ in 0..10 {
        assert_eq!(reader.read().await.unwrap().unwrap(), chunk);
    }
    let end = StreamError::Reset {
        code: FLOW_CONTROL_ERROR,
    };
    assert_eq!(reader.read().await, Err(end));
}

#[tokio::test(start_paused = true)]
async fn credit_without_end_is_an_error() {
    let (mut peer, server) = greeted(1 << 20, &Limits::SERVER).await;
    let most = 0x7fff_ffff_u32.to_be_bytes();
    peer.send(&frame(WINDOW_UPDATE, 0, 0, &most).repeat(2))
        .await;
    let outcome = serve(server, |request| panic!("{request:?}")).await;
    assert_broken(outcome, FLOW_CONTROL_ERROR, "");
}
