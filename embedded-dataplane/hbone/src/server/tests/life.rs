//! Times: greetings, answers, signs of life, farewells.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::testing::{
    ACK, DATA, END_HEADERS, Frame, GOAWAY, HEADERS, PING, PREFACE, Raw, SETTINGS, STATUS_200, code,
    frame, open, reset,
};

/// A raw client that has greeted, and the server's end.
async fn greeted(capacity: usize) -> (Raw, Connection<DuplexStream>) {
    let (mut peer, stream) = Raw::new(capacity);
    peer.greet().await;
    let server = accept(stream, &Limits::SERVER).await.unwrap();
    (peer, server)
}

#[tokio::test(start_paused = true)]
async fn w1_whoever_does_not_greet_is_not_waited_for() {
    let beginnings = [
        Vec::new(),
        PREFACE[..10].to_vec(),
        PREFACE.to_vec(),
        [PREFACE, &frame(SETTINGS, 0, 0, &[0; 6])[..14]].concat(),
    ];
    for beginning in beginnings {
        let (mut peer, stream) = Raw::new(1024);
        peer.send(&beginning).await;
        let start = Instant::now();
        let error = accept(stream, &Limits::SERVER).await.unwrap_err();
        assert!(matches!(error, ConnectionError::Unsettled), "{error:?}");
        assert_eq!(start.elapsed().as_secs(), Limits::SERVER.settle.as_secs());
    }
}

#[tokio::test(start_paused = true)]
async fn a_greeting_in_another_language_is_refused_at_once() {
    let beginnings = [
        b"GET / HTTP/1.1\r\nHost: 10.0.0.7\r\n\r\n".to_vec(),
        [PREFACE, &frame(PING, 0, 0, &[0; 8])].concat(),
        [PREFACE, &open(1, "10.0.0.7:80")].concat(),
    ];
    for beginning in beginnings {
        let (mut peer, stream) = Raw::new(1024);
        peer.send(&beginning).await;
        let start = Instant::now();
        let error = accept(stream, &Limits::SERVER).await.unwrap_err();
        assert!(
            matches!(
                error,
                ConnectionError::Io(_) | ConnectionError::Broken { .. }
            ),
            "{error:?}"
        );
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn w1_work_on_an_answer_ends_when_it_is_late() {
    let (mut peer, mut server) = greeted(4096).await;
    peer.send(&open(1, "10.0.0.7:80")).await;
    let mut request = next(&mut server).await;
    let start = Instant::now();
    let never = std::future::pending::<()>();
    let outcome = driving(&mut server, request.meanwhile(never)).await;
    assert_eq!(outcome, Err(Unwanted::Late));
    assert_eq!(start.elapsed().as_secs(), Limits::SERVER.answer.as_secs());
    request.refuse(Refusal::Unavailable);
    let answer = driving(&mut server, peer.receive_next(HEADERS)).await;
    // `:status: 503`, in Huffman's code.
    assert_eq!(answer.unwrap().payload, b"\x48\x83\x6c\x0c\xff");
}

#[tokio::test(start_paused = true)]
async fn work_on_an_answer_ends_when_nobody_waits_for_it() {
    let (mut peer, mut server) = greeted(4096).await;
    peer.send(&open(1, "10.0.0.7:80")).await;
    let mut request = next(&mut server).await;
    peer.send(&reset(1, 8)).await;
    let start = Instant::now();
    let never = std::future::pending::<()>();
    let outcome = driving(&mut server, request.meanwhile(never)).await;
    assert_eq!(
        (outcome, start.elapsed()),
        (Err(Unwanted::Gone), Duration::ZERO)
    );
    assert_eq!(
        request.accept(&Baggage::default()).unwrap_err(),
        StreamError::Reset { code: 8 }
    );
}

#[tokio::test(start_paused = true)]
async fn w22_a_connect_that_races_with_the_farewell_is_served() {
    let (mut peer, mut server) = greeted(4096).await;
    server.drain();
    let goaway = driving(&mut server, peer.receive_next(GOAWAY))
        .await
        .unwrap();
    // The first farewell excludes no stream yet, and a PING tells when the peer has read it.
    assert_eq!(
        (&goaway.payload[..4], code(&goaway)),
        (&[0x7f, 0xff, 0xff, 0xff][..], 0)
    );
    let ping = driving(&mut server, peer.receive_next(PING)).await.unwrap();
    peer.send(&open(1, "10.0.0.7:80")).await;
    let start = Instant::now();
    let late = next(&mut server).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    let mut stream = late.accept(&Baggage::default()).unwrap();
    peer.send(&frame(PING, ACK, 0, &ping.payload)).await;
    peer.send(&frame(DATA, 0, 1, b"late")).await;
    let frames = driving(&mut server, async {
        let frames = [peer.receive().await.unwrap(), peer.receive().await.unwrap()];
        assert_eq!(stream.halves().0.read().await.unwrap().unwrap(), "late");
        frames
    })
    .await;
    let answer = Frame {
        kind: HEADERS,
        flags: END_HEADERS,
        stream: 1,
        payload: STATUS_200.to_vec(),
    };
    assert!(frames.contains(&answer), "{frames:?}");
    let goaway = frames.iter().find(|f| f.kind == GOAWAY).unwrap();
    assert_eq!(goaway.payload[..4], [0, 0, 0, 1]);

    // What comes after is not looked at; the connection ends with its last stream.
    peer.send(&open(3, "10.0.0.8:80")).await;
    stream.halves().1.finish().unwrap();
    peer.send(&frame(DATA, 1, 1, b"")).await;
    assert_eq!(driving_to_end(&mut server, stream).await, 0);
    let rest = peer.receive_all().await;
    assert!(rest.iter().all(|f| f.stream != 3), "{rest:?}");
}

/// Reads a stream to its end, and the connection to its own; how many requests came.
async fn driving_to_end(server: &mut Connection<DuplexStream>, mut stream: Stream) -> usize {
    let reading = tokio::spawn(async move { stream.halves().0.read().await });
    let mut count = 0;
    while server.next().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(reading.await.unwrap(), Ok(None));
    count
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_asked_and_given_up() {
    let (mut peer, mut server) = greeted(4096).await;
    let start = Instant::now();
    let error = server.next().await.unwrap_err();
    assert!(matches!(error, ConnectionError::Silent), "{error:?}");
    let waited = Limits::SERVER.quiet + Limits::SERVER.patience;
    assert_eq!(start.elapsed().as_secs(), waited.as_secs());
    drop(server);
    let pings = peer
        .receive_all()
        .await
        .into_iter()
        .filter(|f| f.kind == PING);
    assert_eq!(pings.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_pings_is_alive() {
    let (mut peer, mut server) = greeted(4096).await;
    let start = Instant::now();
    driving(&mut server, async {
        for _ in 0..10 {
            let ping = peer.receive_next(PING).await.unwrap();
            peer.send(&frame(PING, ACK, 0, &ping.payload)).await;
        }
    })
    .await;
    let waited = Limits::SERVER.quiet * 10;
    assert_eq!(start.elapsed().as_secs(), waited.as_secs());
}

#[tokio::test(start_paused = true)]
async fn w26_a_peer_that_sends_is_alive_whatever_becomes_of_pings() {
    let (mut peer, mut server) = greeted(4096).await;
    peer.send(&open(1, "10.0.0.7:80")).await;
    let request = next(&mut server).await;
    let mut stream = request.accept(&Baggage::default()).unwrap();
    driving(&mut server, async {
        for _ in 0..100 {
            tokio::time::sleep(Limits::SERVER.patience / 2).await;
            peer.send(&frame(DATA, 0, 1, b"slow")).await;
            assert_eq!(stream.halves().0.read().await.unwrap().unwrap(), "slow");
        }
    })
    .await;
    // And is dead when it no longer does.
    let error = server.next().await.unwrap_err();
    assert!(matches!(error, ConnectionError::Silent), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn w26_a_peer_that_takes_what_is_sent_is_alive() {
    // Less than is to be sent, so that all of it waits for the peer.
    let (mut peer, mut server) = greeted(256).await;
    peer.send(&open(1, "10.0.0.7:80")).await;
    let request = next(&mut server).await;
    let stream = request.accept(&Baggage::default()).unwrap();
    let sending = tokio::spawn(async move {
        let (reader, mut writer) = stream.split();
        let sent = writer.write(Bytes::from(vec![0; 60_000])).await;
        (reader, writer, sent)
    });
    let start = Instant::now();
    let error = tokio::select! {
        outcome = server.next() => outcome.unwrap_err(),
        () = async {
            while start.elapsed() < Duration::from_secs(1000) {
                tokio::time::sleep(Limits::SERVER.patience / 2).await;
                peer.take(200).await;
            }
            std::future::pending::<()>().await;
        } => unreachable!(),
    };
    assert!(matches!(error, ConnectionError::Silent), "{error:?}");
    assert!(
        start.elapsed() > Duration::from_secs(1000),
        "{:?}",
        start.elapsed()
    );
    sending.abort();
}
