//! The server against clients that behave, and ones that do not.

mod floods;
mod life;

use ambient_facts::headers as names;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinSet;

use super::*;
use crate::authority::AuthorityError;
use crate::error::StreamError;
use crate::headers::{Baggage, Headers};
use crate::stream::Stream;
use crate::testing::request;

/// A client of the library on a server of ours.
async fn pair(
    limits: &Limits,
) -> (
    h2::client::SendRequest<Bytes>,
    Connection<DuplexStream>,
    JoinSet<()>,
) {
    let (ours, theirs) = duplex(64 << 10);
    let mut tasks = JoinSet::new();
    let (client, connection) = tokio::join!(h2::client::handshake(theirs), async {
        // The client's greeting is in its connection's hands.
        ours
    });
    let (client, driver) = client.unwrap();
    tasks.spawn(async move { _ = driver.await });
    let server = accept(connection, limits).await.unwrap();
    (client, server, tasks)
}

fn connect(authority: &str) -> http::Request<()> {
    request("CONNECT", authority, HeaderMap::new())
}

/// The next request, which is a CONNECT.
async fn next<S: AsyncRead + AsyncWrite + Unpin>(server: &mut Connection<S>) -> Request {
    match server.next().await.unwrap().unwrap() {
        Incoming::Connect(request) => request,
        Incoming::Bad(bad) => panic!("{bad}"),
    }
}

/// Moves frames until something is done.
async fn driving<S, T>(server: &mut Connection<S>, work: impl Future<Output = T>) -> T
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    tokio::select! {
        done = work => done,
        incoming = server.next() => panic!("{incoming:?}"),
    }
}

/// Sends back what comes.
async fn echo(stream: Stream) -> Result<(), StreamError> {
    let (mut reader, mut writer) = stream.split();
    while let Some(octets) = reader.read().await? {
        writer.write(octets).await?;
    }
    writer.finish()
}

#[tokio::test]
async fn a_connect_becomes_a_tunnel() {
    let (mut client, mut server, _tasks) = pair(&Limits::SERVER).await;
    let mut headers = HeaderMap::new();
    let values = [
        (names::BAGGAGE, "k8s.pod.name=web"),
        (names::FORWARDED, "for=\"10.0.0.9:1\";host=api.shop"),
        (names::FORWARDED_NETWORK, "west"),
        ("x-istio-source", "waypoint"),
    ];
    for (name, value) in values {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let asked = request("CONNECT", "10.0.0.7:80", headers.clone());
    let (answer, mut send) = client.send_request(asked, false).unwrap();
    let request = next(&mut server).await;
    assert_eq!(request.target().to_string(), "10.0.0.7:80");
    assert_eq!(*request.headers(), Headers::read(&headers));
    assert_eq!(
        request.headers().forwarded.host.as_deref(),
        Some("api.shop")
    );
    assert_eq!(server.streams(), 1);

    let baggage = Baggage {
        service: Some("api".to_owned()),
        ..Baggage::default()
    };
    let serving = tokio::spawn(echo(request.accept(&baggage).unwrap()));
    driving(&mut server, async {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()[names::BAGGAGE], "service.name=api");
        assert!(!answer.headers().contains_key(names::CLOSE));
        let mut body = answer.into_body();
        send.send_data(Bytes::from_static(b"ping"), true).unwrap();
        assert_eq!(body.data().await.unwrap().unwrap(), "ping");
        // The end is an empty frame.
        assert_eq!(body.data().await.unwrap().unwrap(), "");
        assert!(body.data().await.is_none());
        serving.await.unwrap().unwrap();
    })
    .await;
    assert_eq!(server.streams(), 0);
}

#[tokio::test]
async fn refusals_are_told_by_status() {
    let (mut client, mut server, _tasks) = pair(&Limits::SERVER).await;
    let refusals = [
        (Some(Refusal::BadRequest), 400),
        (Some(Refusal::Denied), 401),
        (Some(Refusal::Unavailable), 503),
        // Whoever forgets a request refuses it.
        (None, 503),
    ];
    for (refusal, status) in refusals {
        let (answer, _send) = client.send_request(connect("10.0.0.7:80"), false).unwrap();
        let request = next(&mut server).await;
        match refusal {
            Some(refusal) => request.refuse(refusal),
            None => drop(request),
        }
        let answer = driving(&mut server, answer).await.unwrap();
        assert_eq!(answer.status(), status);
        assert!(answer.headers().is_empty());
    }
    assert_eq!(server.streams(), 0);
}

#[tokio::test]
async fn what_is_no_connect_to_anywhere_is_answered_with_400() {
    let (mut client, mut server, _tasks) = pair(&Limits::SERVER).await;
    let leads_nowhere = |text: &str, error| BadRequest::Authority {
        text: text.to_owned(),
        error,
    };
    let bad = [
        (
            "GET",
            "https://10.0.0.7/",
            BadRequest::Method(http::Method::GET),
        ),
        (
            "CONNECT",
            "10.0.0.7",
            leads_nowhere("10.0.0.7", AuthorityError::NoPort),
        ),
        (
            "CONNECT",
            "10.0.0.7:0",
            leads_nowhere("10.0.0.7:0", AuthorityError::Port),
        ),
        (
            "CONNECT",
            "me@host:80",
            leads_nowhere("me@host:80", AuthorityError::Host),
        ),
    ];
    for (method, uri, expected) in bad {
        let asked = request(method, uri, HeaderMap::new());
        let (answer, _send) = client.send_request(asked, false).unwrap();
        match server.next().await.unwrap().unwrap() {
            Incoming::Bad(bad) => assert_eq!(bad, expected),
            Incoming::Connect(request) => panic!("{request:?}"),
        }
        let answer = driving(&mut server, answer).await.unwrap();
        assert_eq!(answer.status(), 400, "{uri}");
    }
}

#[tokio::test]
async fn a_client_that_closes_ends_the_connection_in_good_order() {
    let (client, mut server, tasks) = pair(&Limits::SERVER).await;
    drop(client);
    assert!(server.next().await.unwrap().is_none());
    assert!(server.next().await.unwrap().is_none());
    drop(tasks);
}
