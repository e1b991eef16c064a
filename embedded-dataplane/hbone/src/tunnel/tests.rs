//! The client against servers that behave, and ones that do not.

mod closing;
mod windows;
mod writes;

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::headers::Traceparent;
use crate::server::{self, Incoming};
use crate::testing::{
    DATA, END_HEADERS, GOAWAY, HEADERS, PING, RST_STREAM, Raw, SETTINGS, STATUS_200, WINDOW_UPDATE,
    code, frame, reset,
};

type Ending = JoinHandle<Result<(), ConnectionError>>;

/// A client on a raw server that has greeted with these settings.
async fn welcomed(settings: &[u8]) -> (Raw, Tunnel, Ending) {
    let (mut peer, stream) = Raw::new(1 << 20);
    let (opened, ()) = tokio::join!(open(stream, &Limits::CLIENT), peer.welcome(settings));
    let (tunnel, driver) = opened.unwrap();
    (peer, tunnel, tokio::spawn(driver))
}

fn target() -> Target {
    "10.0.0.7:80".parse().unwrap()
}

/// Asks, and has the peer answer with these frames.
async fn ask(peer: &mut Raw, tunnel: &Tunnel, answer: &[u8]) -> Result<Opened, ConnectError> {
    let answering = async {
        peer.receive_next(HEADERS).await.unwrap();
        peer.send(answer).await;
    };
    tokio::join!(connect(tunnel), answering).0
}

fn accepted(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, STATUS_200)
}

async fn connect(tunnel: &Tunnel) -> Result<Opened, ConnectError> {
    let place = tunnel.reserve().ok_or(ConnectError::Full)?;
    place.connect(&target(), &Headers::default()).await
}

/// Settings of a server that allows so many streams.
fn streams(most: u32) -> Vec<u8> {
    [&[0, 3][..], &most.to_be_bytes()].concat()
}

#[tokio::test]
async fn a_tunnel_leads_through_our_own_server() {
    let (ours, theirs) = duplex(64 << 10);
    let (opened, accepted) = tokio::join!(
        open(ours, &Limits::CLIENT),
        server::accept(theirs, &Limits::SERVER)
    );
    let (tunnel, driver) = opened.unwrap();
    let ending = tokio::spawn(driver);
    let mut connection = accepted.unwrap();
    let headers = Headers {
        traceparent: Some(Traceparent::random()),
        ..Headers::default()
    };
    let expected = headers.clone();
    let serving = tokio::spawn(async move {
        while let Some(incoming) = connection.next().await.unwrap() {
            let Incoming::Connect(request) = incoming else {
                panic!("{incoming:?}");
            };
            assert_eq!(
                (request.target(), request.headers()),
                (&target(), &expected)
            );
            let baggage = Baggage {
                namespace: Some("shop".to_owned()),
                ..Baggage::default()
            };
            let mut stream = request.accept(&baggage).unwrap();
            tokio::spawn(async move {
                let (reader, writer) = stream.halves();
                while let Some(octets) = reader.read().await.unwrap() {
                    writer.write(octets).await.unwrap();
                }
                writer.finish().unwrap();
            });
        }
    });
    let mut opened = tunnel
        .reserve()
        .unwrap()
        .connect(&target(), &headers)
        .await
        .unwrap();
    assert_eq!(opened.baggage.namespace.as_deref(), Some("shop"));
    assert_eq!(tunnel.streams(), 1);
    // More than all windows and buffers.
    let sent = Bytes::from(
        (0..20_000_000_u32)
            .map(|n| n.to_be_bytes()[3])
            .collect::<Vec<_>>(),
    );
    let (reader, writer) = opened.stream.halves();
    let sending = async {
        writer.write(sent.clone()).await.unwrap();
        writer.finish().unwrap();
    };
    let receiving = async {
        let mut received = Vec::new();
        while let Some(octets) = reader.read().await.unwrap() {
            received.extend_from_slice(&octets);
        }
        received
    };
    let ((), received) = tokio::join!(sending, receiving);
    assert!(received == sent);
    drop(opened);
    assert_eq!(tunnel.streams(), 0);
    // Whoever lets go of everything closes.
    drop(tunnel);
    ending.await.unwrap().unwrap();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_tunnel_leads_through_a_tunnel() {
    async fn serve<S>(stream: S, name: &'static str) -> (Target, Stream)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut connection = server::accept(stream, &Limits::SERVER).await.unwrap();
        let Some(Incoming::Connect(request)) = connection.next().await.unwrap() else {
            panic!("a CONNECT comes first");
        };
        tokio::spawn(async move { while let Ok(Some(_)) = connection.next().await {} });
        let service = Some(name.to_owned());
        let target = request.target().clone();
        let baggage = Baggage {
            service,
            ..Baggage::default()
        };
        (target, request.accept(&baggage).unwrap())
    }
    async fn enter<S>(stream: S, to: &Target) -> (Opened, Tunnel)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (tunnel, driver) = open(stream, &Limits::CLIENT).await.unwrap();
        tokio::spawn(driver);
        let place = tunnel.reserve().unwrap();
        (
            place.connect(to, &Headers::default()).await.unwrap(),
            tunnel,
        )
    }

    let service: Target = "api.shop.svc:80".parse().unwrap();
    let (ours, theirs) = duplex(64 << 10);
    let far = tokio::spawn(async move {
        let (outer, stream) = serve(theirs, "gateway").await;
        // Between both, TLS would take its place.
        let (inner, mut stream) = serve(stream, "api").await;
        assert_eq!(outer, inner);
        let (reader, writer) = stream.halves();
        let mut received = Vec::new();
        while let Some(octets) = reader.read().await.unwrap() {
            received.extend_from_slice(&octets);
        }
        writer.write(Bytes::from(received)).await.unwrap();
        writer.finish().unwrap();
        // What is under way is not cut off.
        reader.read().await
    });
    let (outer, _outer_tunnel) = enter(ours, &service).await;
    assert_eq!(outer.baggage.service.as_deref(), Some("gateway"));
    let (mut inner, _inner_tunnel) = enter(outer.stream, &service).await;
    assert_eq!(inner.baggage.service.as_deref(), Some("api"));
    let sent = Bytes::from(vec![7; 3_000_000]);
    let (reader, writer) = inner.stream.halves();
    writer.write(sent.clone()).await.unwrap();
    writer.finish().unwrap();
    let mut received = Vec::new();
    while let Some(octets) = reader.read().await.unwrap() {
        received.extend_from_slice(&octets);
    }
    assert!(received == sent);
    assert_eq!(far.await.unwrap(), Ok(None));
}

#[tokio::test(start_paused = true)]
async fn w1_a_server_that_does_not_greet_is_not_waited_for() {
    for beginning in [Vec::new(), frame(SETTINGS, 0, 0, &[0; 6])[..12].to_vec()] {
        let (mut peer, stream) = Raw::new(1024);
        peer.send(&beginning).await;
        let start = Instant::now();
        let error = open(stream, &Limits::CLIENT).await.unwrap_err();
        assert!(matches!(error, ConnectionError::Unsettled), "{error:?}");
        assert_eq!(start.elapsed().as_secs(), Limits::CLIENT.settle.as_secs());
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_speaks_otherwise_or_leaves_is_told_at_once() {
    let beginnings = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        frame(PING, 0, 0, &[0; 8]),
        frame(GOAWAY, 0, 0, &[0; 8]),
        Vec::new(),
    ];
    for beginning in beginnings {
        let (mut peer, stream) = Raw::new(1024);
        peer.send(&beginning).await;
        drop(peer);
        let start = Instant::now();
        open(stream, &Limits::CLIENT).await.unwrap_err();
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn w1_an_answer_that_does_not_come_is_not_waited_for() {
    let (mut peer, tunnel, _ending) = welcomed(&[]).await;
    let start = Instant::now();
    assert_eq!(connect(&tunnel).await.unwrap_err(), ConnectError::Late);
    assert_eq!(start.elapsed().as_secs(), Limits::CLIENT.answer.as_secs());
    assert_eq!(tunnel.streams(), 0);
    let gone = peer.receive_next(RST_STREAM).await.unwrap();
    assert_eq!((gone.stream, code(&gone)), (1, 8));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_the_answer_and_a_client_that_gives_up_resets() {
    let (mut peer, tunnel, _ending) = welcomed(&[]).await;
    let asking = tokio::spawn(async move { connect(&tunnel).await });
    let asked = peer.receive_next(HEADERS).await.unwrap();
    assert_eq!((asked.stream, asked.flags), (1, END_HEADERS));
    asking.abort();
    let gone = peer.receive_next(RST_STREAM).await.unwrap();
    assert_eq!((gone.stream, code(&gone)), (1, 8));
}

#[tokio::test]
async fn other_answers_are_told_apart() {
    let ended = |code| ConnectError::Ended(StreamError::Reset { code });
    let unprocessed = |code| ConnectError::Unprocessed(StreamError::Reset { code });
    let status = |block: &[u8]| frame(HEADERS, END_HEADERS | 1, 1, block);
    let answers = [
        (
            status(&[0x8c]),
            ConnectError::Status(StatusCode::BAD_REQUEST),
        ),
        (
            status(b"\x08\x03401"),
            ConnectError::Status(StatusCode::UNAUTHORIZED),
        ),
        (
            status(b"\x08\x03503"),
            ConnectError::Status(StatusCode::SERVICE_UNAVAILABLE),
        ),
        (
            status(&[0x89]),
            ConnectError::Status(StatusCode::NO_CONTENT),
        ),
        (reset(1, 7), unprocessed(7)),
        (reset(1, 8), ended(8)),
        (reset(1, 10), ended(10)),
    ];
    for (answer, expected) in answers {
        let (mut peer, tunnel, _ending) = welcomed(&[]).await;
        let outcome = ask(&mut peer, &tunnel, &answer).await;
        assert_eq!(outcome.unwrap_err(), expected);
        assert_eq!(tunnel.streams(), 0);
        assert!(tunnel.is_usable());
    }
}

#[tokio::test]
async fn what_a_farewell_excludes_may_be_tried_elsewhere() {
    let (mut peer, tunnel, ending) = welcomed(&[]).await;
    let first = ask(&mut peer, &tunnel, &accepted(1)).await.unwrap();
    // The last stream that was looked at is the first.
    let farewell = frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]);
    let error = ask(&mut peer, &tunnel, &farewell).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unprocessed(_)), "{error:?}");
    assert!(!tunnel.is_usable());
    let error = connect(&tunnel).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unprocessed(_)), "{error:?}");
    // The first goes on, and the connection ends with it.
    peer.send(&frame(DATA, 1, 1, b"last words")).await;
    let Opened { mut stream, .. } = first;
    let (reader, writer) = stream.halves();
    assert_eq!(reader.read().await.unwrap().unwrap(), "last words");
    assert_eq!(reader.read().await, Ok(None));
    writer.finish().unwrap();
    ending.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_that_breaks_is_over_for_everybody() {
    let (mut peer, tunnel, ending) = welcomed(&[]).await;
    let mut opened = ask(&mut peer, &tunnel, &accepted(1)).await.unwrap();
    drop(peer);
    let error = opened.stream.halves().0.read().await.unwrap_err();
    assert!(matches!(error, StreamError::Connection { .. }), "{error:?}");
    ending.await.unwrap().unwrap();
    assert!(!tunnel.is_usable());
    let error = connect(&tunnel).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unprocessed(_)), "{error:?}");
}

#[tokio::test]
async fn streams_are_as_many_as_both_ends_allow() {
    for (settings, most) in [(streams(2), 2), (streams(1000), 100), (Vec::new(), 100)] {
        let (_peer, tunnel, _ending) = welcomed(&settings).await;
        assert_eq!(tunnel.most_streams(), most);
        let places: Vec<_> = std::iter::from_fn(|| tunnel.reserve()).collect();
        assert_eq!((places.len(), tunnel.streams()), (most, most));
        drop(places);
        assert_eq!(tunnel.streams(), 0);
    }
}

#[tokio::test]
async fn credit_is_given_for_what_was_used_and_not_for_what_came() {
    let (mut peer, tunnel, _ending) = welcomed(&[]).await;
    let mut opened = ask(&mut peer, &tunnel, &accepted(1)).await.unwrap();
    let chunk = vec![7; 1 << 15];
    for _ in 0..128 {
        peer.send(&frame(DATA, 0, 1, &chunk)).await;
    }
    let (reader, _) = opened.stream.halves();
    // 65 of 128 were handed out, and 64 of them are known to be used: half of the window.
    for n in 0..65 {
        assert_eq!(reader.read().await.unwrap().unwrap(), chunk, "{n}");
    }
    let mut credit = peer.receive_next(WINDOW_UPDATE).await.unwrap();
    while credit.stream != 1 {
        credit = peer.receive_next(WINDOW_UPDATE).await.unwrap();
    }
    assert_eq!(code(&credit), 2 << 20);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_is_given_up() {
    let (mut peer, tunnel, ending) = welcomed(&[]).await;
    let mut opened = ask(&mut peer, &tunnel, &accepted(1)).await.unwrap();
    let start = Instant::now();
    let error = opened.stream.halves().0.read().await.unwrap_err();
    assert!(matches!(error, StreamError::Connection { .. }), "{error:?}");
    // The answer came after the watch had begun to count.
    let waited = Limits::CLIENT.quiet * 2 + Limits::CLIENT.patience;
    assert_eq!(start.elapsed().as_secs(), waited.as_secs());
    let error = ending.await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectionError::Silent), "{error:?}");
    assert!(!tunnel.is_usable());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_nothing_keeps_no_connection_open() {
    let (mut peer, stream) = Raw::new(128);
    let (opened, ()) = tokio::join!(open(stream, &Limits::CLIENT), peer.welcome(&[]));
    let (tunnel, driver) = opened.unwrap();
    let ending = tokio::spawn(driver);
    // The request fills what the server does not take, so the farewell has to wait behind it.
    let long = format!("{}:80", ["a".repeat(60).as_str(); 4].join("."));
    let target: Target = long.parse().unwrap();
    let place = tunnel.reserve().unwrap();
    let asking = place.connect(&target, &Headers::default()).await;
    assert!(asking.is_err());
    drop(tunnel);
    assert!(ending.await.unwrap().is_err());
    drop(peer);
}

#[tokio::test]
async fn requests_carry_what_they_should_and_no_more() {
    let (ours, theirs) = duplex(64 << 10);
    let headers = Headers {
        baggage: Baggage {
            cluster: Some("c".to_owned()),
            ..Baggage::default()
        },
        ..Headers::default()
    };
    let asking = async {
        let (tunnel, driver) = open(ours, &Limits::CLIENT).await.unwrap();
        let driver = tokio::spawn(driver);
        _ = tunnel.reserve().unwrap().connect(&target(), &headers).await;
        drop(driver);
    };
    let answering = async {
        let mut server = h2::server::handshake(theirs).await.unwrap();
        let (request, mut respond) = server.accept().await.unwrap().unwrap();
        let (head, _) = request.into_parts();
        respond
            .send_response(http::Response::new(()), true)
            .unwrap();
        _ = server.accept().await;
        head
    };
    let ((), head) = tokio::join!(asking, answering);
    assert_eq!(
        (head.method, head.uri.to_string()),
        (Method::CONNECT, "10.0.0.7:80".to_owned())
    );
    let mut seen: Vec<_> = head
        .headers
        .iter()
        .map(|(n, v)| format!("{n}: {v:?}"))
        .collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            "baggage: \"k8s.cluster.name=c\"",
            "x-ambient-close: \"exact\""
        ]
    );
}
