//! How a relay takes tunnels from clients.

use std::time::Duration;

use ambient_testkit::{Issued, Leaf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::frames::{
    ACK, Frame, GOAWAY, HEADERS, PING, PREFACE, SETTINGS, connect, frame, receive, send,
};
use super::{authority, web};
use crate::conformance::client::{self, Version};
use crate::harness::eventually;
use crate::lab::{Lab, Relay, SERVER, Setup, from_outside, is_outside_of};

/// What comes of a handshake with this certificate.
pub(super) async fn handshake(issued: Issued) -> Result<TlsStream<TcpStream>, String> {
    let stream = from_outside(&format!("{SERVER}:15008"), 0);
    stream.set_nonblocking(true).unwrap();
    let stream = TcpStream::from_std(stream).unwrap();
    client::secure(stream, Some(issued), &["h2"], Version::Tls13).await
}

/// The same, with what the server says to it at first, which is when it has accepted the certificate.
pub(super) async fn greeting(issued: Issued) -> String {
    let mut stream = match handshake(issued).await {
        Ok(stream) => stream,
        Err(told) => return told,
    };
    match timeout(Duration::from_secs(5), receive(&mut stream)).await {
        Ok(Ok(frame)) => format!("frame {}", frame.kind),
        Ok(Err(error)) => client::told(&error),
        Err(_) => "nothing".to_owned(),
    }
}

#[test]
fn w1_clients_that_say_nothing_are_not_waited_for() {
    if is_outside_of("weaknesses::server::w1_clients_that_say_nothing_are_not_waited_for") {
        return;
    }
    let lab = Lab::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let before = lab.server.open_files();
    // Some say nothing at all, and some nothing after TLS.
    let silent: Vec<_> = (0..50)
        .map(|_| from_outside(&format!("{SERVER}:15008"), 0))
        .collect();
    let secured = runtime.block_on(async {
        let mut secured = Vec::new();
        for _ in 0..10 {
            secured.push(handshake(authority(&lab).issue(&web())).await.unwrap());
        }
        secured
    });
    eventually("all of them are held", || {
        lab.server.open_files() >= before + 60
    });
    eventually("none of them is held", || {
        lab.server.open_files() < before + 5
    });
    drop((silent, secured));
}

#[test]
fn w21_a_client_of_an_alias_of_the_trust_domain_is_admitted() {
    if is_outside_of("weaknesses::server::w21_a_client_of_an_alias_of_the_trust_domain_is_admitted")
    {
        return;
    }
    let relay = Relay::chosen();
    let lab = Lab::with(Setup {
        arguments: &["--trust-domain-aliases", "elsewhere.example"],
        ..Setup::of([&relay, &relay])
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let leaf = Leaf::of("elsewhere.example/ns/shop/sa/web");
    let told = runtime.block_on(greeting(authority(&lab).issue(&leaf)));
    assert_eq!(told, format!("frame {SETTINGS}"));
}

#[test]
fn w22_a_tunnel_that_is_asked_for_before_the_farewell_was_read_is_served() {
    if is_outside_of(
        "weaknesses::server::w22_a_tunnel_that_is_asked_for_before_the_farewell_was_read_is_served",
    ) {
        return;
    }
    let lab = Lab::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let frames = runtime.block_on(async {
        let mut stream = handshake(authority(&lab).issue(&web())).await.unwrap();
        let greeting = [
            PREFACE,
            &frame(SETTINGS, 0, 0, b""),
            &frame(SETTINGS, ACK, 0, b""),
        ]
        .concat();
        send(&mut stream, &greeting).await.unwrap();
        // One that goes on, so that the tunnel is not over with the farewell.
        let target = format!("{SERVER}:8080");
        send(&mut stream, &connect(1, &target)).await.unwrap();
        until(&mut stream, |frame| {
            frame.kind == HEADERS && frame.stream == 1
        })
        .await;
        lab.server.terminate();
        let farewell = until(&mut stream, |frame| frame.kind == GOAWAY).await;
        // It excludes no stream yet.
        assert_eq!(farewell.last().unwrap().number(), 0x7fff_ffff);
        send(&mut stream, &connect(3, &target)).await.unwrap();
        // Now it has read it.
        let ping = until(&mut stream, |frame| frame.kind == PING && !frame.is_ack()).await;
        let answer = frame(PING, ACK, 0, &ping.last().unwrap().payload);
        send(&mut stream, &answer).await.unwrap();
        until(&mut stream, |frame| {
            frame.kind == HEADERS && frame.stream == 3
        })
        .await
    });
    let answered = frames
        .iter()
        .any(|frame| frame.kind == HEADERS && frame.stream == 3);
    assert!(answered, "{frames:?}");
}

/// All frames up to one, or to the end, or to when nothing comes for long.
async fn until(stream: &mut TlsStream<TcpStream>, is_it: impl Fn(&Frame) -> bool) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Ok(Ok(frame)) = timeout(Duration::from_secs(8), receive(stream)).await {
        let is_last = is_it(&frame);
        frames.push(frame);
        if is_last {
            break;
        }
    }
    frames
}
