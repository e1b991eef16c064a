//! More clients than there is room for.

use std::net::SocketAddr;
use std::time::Duration;

use ambient_hbone::authority::Target;
use ambient_hbone::headers::Headers;
use ambient_hbone::limits::Limits;
use ambient_hbone::tunnel::{self, ConnectError, Opened, Tunnel};
use ambient_ztunnel::relay::{Bounds, Settings};
use ambient_ztunnel::socket::Destination;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::bounds::{secured, taking};
use crate::harness::{CLIENT, Mesh, Running, SERVER, echo, exchange, soon};

pub(crate) fn bounded(mesh: &Mesh, inbound: Bounds) -> Settings {
    Settings {
        inbound,
        ..mesh.settings(SERVER)
    }
}

/// A tunnel, and what it ends with.
async fn open(mesh: &Mesh, to: SocketAddr) -> (Tunnel, JoinHandle<bool>) {
    let stream = soon(secured(mesh, to)).await;
    let (tunnel, driver) = soon(tunnel::open(stream, &Limits::CLIENT)).await.unwrap();
    let driver = tokio::spawn(async move { driver.await.is_ok() });
    (tunnel, driver)
}

pub(crate) async fn connect(tunnel: &Tunnel, to: SocketAddr) -> Result<Opened, ConnectError> {
    let place = tunnel.reserve().unwrap();
    let target = Target::Address(to);
    soon(place.connect(&target, &Headers::default())).await
}

/// Waits until the relay is as it should be.
async fn eventually(server: &Running, is_so: impl Fn(ambient_ztunnel::report::Inbound) -> bool) {
    soon(async {
        while !is_so(server.relay.inbound()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn half_handshakes_are_few_at_once_and_keep_nobody_out() {
    let mesh = Mesh::new([1, 2]);
    let application = mesh.application().await;
    let to = application.local_addr().unwrap();
    tokio::spawn(echo(application));
    let mut settings = bounded(
        &mesh,
        Bounds {
            handshakes: 4,
            ..Bounds::default()
        },
    );
    settings.handshake = Duration::from_secs(3);
    let (server, address) = taking(&mesh, settings);
    let mut crowd = Vec::new();
    for _ in 0..60 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The beginning of a record of TLS.
        stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
        crowd.push(stream);
    }
    eventually(&server, |inbound| inbound.waiting > 0).await;
    let now = server.relay.inbound();
    assert_eq!(now.handshakes, 4);
    let (tunnel, _driver) = open(&mesh, address).await;
    connect(&tunnel, to).await.unwrap();
    let now = server.relay.inbound();
    assert!(now.given_up > 40, "{now:?}");
}

#[tokio::test]
async fn the_tunnel_that_is_idle_leaves_for_another_and_where_none_is_nobody_comes_in() {
    let mesh = Mesh::new([1, 2]);
    let application = mesh.application().await;
    let to = application.local_addr().unwrap();
    tokio::spawn(echo(application));
    let bounds = Bounds {
        tunnels: 2,
        ..Bounds::default()
    };
    let (mut server, address) = taking(&mesh, bounded(&mesh, bounds));
    let (_idle, idle_ended) = open(&mesh, address).await;
    let (busy, busy_ended) = open(&mesh, address).await;
    let _first = connect(&busy, to).await.unwrap();
    let (newcomer, newcomer_ended) = open(&mesh, address).await;
    // With a farewell.
    assert!(soon(idle_ended).await.unwrap());
    let _second = connect(&newcomer, to).await.unwrap();
    let stream = secured(&mesh, address).await;
    soon(tunnel::open(stream, &Limits::CLIENT))
        .await
        .unwrap_err();
    assert!(!busy_ended.is_finished() && !newcomer_ended.is_finished());
    insta::assert_snapshot!(server.tells(5).await, @"
    TLS inbound with 127.0.0.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    TLS inbound with 127.0.0.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    TLS inbound with 127.0.0.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    TLS inbound with 127.0.0.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    refused inbound from 127.0.0.1:PORT to NET.2:PORT: all 2 tunnels are in use
    ");
    let now = server.relay.inbound();
    assert_eq!((now.tunnels, now.asked, now.refused), (2, 1, 1));
}

#[tokio::test]
async fn a_crowd_from_outside_leaves_descriptors_for_the_workload() {
    let mesh = Mesh::new([1, 2]);
    let application = mesh.application().await;
    let to = application.local_addr().unwrap();
    tokio::spawn(echo(application));
    // Of no workload, so that there is no tunnel to it.
    let elsewhere = TcpListener::bind(mesh.at(7, 0)).await.unwrap();
    let elsewhere_at = elsewhere.local_addr().unwrap();
    tokio::spawn(echo(elsewhere));
    let bounds = Bounds {
        descriptors: Some(20),
        ..Bounds::default()
    };
    let (mut server, address) = taking(&mesh, bounded(&mesh, bounds));
    // The same relay takes connections of its workload.
    let outbound = server.listen(mesh.at(SERVER, 0), Destination::Fixed(elsewhere_at));
    let out = outbound.local_addr().unwrap();
    server.relay.take_outbound(outbound);
    let mut crowd = Vec::new();
    for _ in 0..50 {
        crowd.push(TcpStream::connect(address).await.unwrap());
    }
    eventually(&server, |inbound| inbound.hung_up >= 40).await;
    assert!(server.relay.inbound().silent <= 8);
    assert_eq!(exchange(out, b"hello").await.unwrap(), b"hello");
    drop(crowd);
    eventually(&server, |inbound| inbound.silent == 0).await;
    while server.seen.try_recv().is_ok() {}
    // A stream takes one more than its tunnel: nine of them are all.
    let (tunnel, _driver) = open(&mesh, address).await;
    let mut streams = Vec::new();
    let refused = loop {
        match connect(&tunnel, to).await {
            Ok(stream) => streams.push(stream),
            Err(error) => break error,
        }
    };
    assert_eq!(streams.len(), 8);
    insta::assert_snapshot!(refused, @"http status: 503 Service Unavailable");
    insta::assert_snapshot!(server.tells(2).await, @"
    TLS inbound with 127.0.0.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    inbound 127.0.0.1:PORT of web to NET.2:PORT of db for NET.2:PORT at -: 0 up, 0 down, all 10 descriptors for connections from outside are in use
    ");
    assert_eq!(exchange(out, b"hello").await.unwrap(), b"hello");
}

#[tokio::test]
async fn connections_in_the_clear_leave_descriptors_for_the_workload_too() {
    let mesh = Mesh::new([1, 2]);
    let application = mesh.application().await;
    let to = application.local_addr().unwrap();
    tokio::spawn(echo(application));
    let bounds = Bounds {
        descriptors: Some(20),
        ..Bounds::default()
    };
    let server = mesh.relay("db", bounded(&mesh, bounds));
    let plaintext = server.listen(mesh.at(CLIENT, 0), Destination::Fixed(to));
    let address = plaintext.local_addr().unwrap();
    server.relay.take_plaintext(plaintext);
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"x").await.unwrap();
        clients.push(client);
    }
    for client in &mut clients[..4] {
        soon(client.read_exact(&mut [0])).await.unwrap();
    }
    // The fifth waits in the backlog until another has gone: the rest is for streams of tunnels.
    assert_eq!(server.relay.inbound().descriptors, 2);
    let mut fifth = clients.pop().unwrap();
    let early = tokio::time::timeout(Duration::from_millis(50), fifth.read(&mut [0])).await;
    assert!(early.is_err(), "{early:?}");
    drop(clients.pop());
    soon(fifth.read_exact(&mut [0])).await.unwrap();
}
