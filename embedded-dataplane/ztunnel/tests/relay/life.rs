//! How a relay ends, and how it lets go of what it holds.

use std::time::Duration;

use ambient_hbone::limits::Limits;
use ambient_hbone::tunnel;
use ambient_ztunnel::socket::{Accept, Accepted, Destination};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::bounds::{secure, secured, taking};
use crate::harness::{CLIENT, Mesh, Path, SERVER, echo, exchange, soon};

const LONG: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_server_that_drains_ends_its_tunnels_when_their_connections_have() {
    let mut path = Path::new().await;
    let (mut near, mut far) = path.connect().await;
    let ending = async {
        let left = path.server.end(LONG).await;
        assert!(left.is_empty(), "{left}");
    };
    let talking = async {
        // It goes on while the relay ends.
        near.write_all(b"still here").await.unwrap();
        let mut seen = [0; 10];
        soon(far.read_exact(&mut seen)).await.unwrap();
        near.shutdown().await.unwrap();
        far.shutdown().await.unwrap();
        assert_eq!(soon(near.read(&mut seen)).await.unwrap(), 0);
    };
    soon(async { tokio::join!(ending, talking) }).await;
    insta::assert_snapshot!(path.server.tells(2).await, @"
    TLS inbound with NET.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    inbound NET.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 10 up, 0 down, Finished(Server)
    ");
}

#[tokio::test]
async fn half_handshakes_do_not_hold_up_a_drain_and_who_is_on_the_way_comes_in() {
    let mesh = Mesh::new([1, 2]);
    let (mut server, address) = taking(&mesh, mesh.settings(SERVER));
    let mut half = Vec::new();
    // Nothing, and the beginning of a record of TLS.
    for octets in [&b""[..], &[22, 3, 1, 2, 0, 1]] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(octets).await.unwrap();
        half.push(stream);
    }
    // TLS without SETTINGS.
    let _silent = secured(&mesh, address).await;
    let quick = TcpStream::connect(address).await.unwrap();
    server.told().await;
    soon(async {
        while server.relay.inbound().silent < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let began = Instant::now();
    let coming_in = Box::pin(async {
        let stream = secure(&mesh, quick).await;
        let (_tunnel, driver) = tunnel::open(stream, &Limits::CLIENT).await.unwrap();
        // With a farewell.
        driver.await.unwrap();
    });
    let (left, ()) = soon(async { tokio::join!(server.end(LONG), coming_in) }).await;
    let took = began.elapsed();
    assert!(left.is_empty() && took < LONG / 3, "{left} {took:?}");
    // Nothing was asked for that could not be.
    insta::assert_snapshot!(server.told().await, @"TLS inbound with 127.0.0.1:PORT: spiffe://cluster.local/ns/shop/sa/web");
    assert_eq!(server.seen.try_recv().ok(), None);
}

#[tokio::test]
async fn w15_who_was_accepted_before_a_successor_took_over_has_the_usual_time_to_come_in() {
    let mesh = Mesh::new([1, 2]);
    let (mut server, address) = taking(&mesh, mesh.settings(SERVER));
    let slow = TcpStream::connect(address).await.unwrap();
    soon(async {
        while server.relay.inbound().silent < 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let coming_in = Box::pin(async {
        // Longer than a process waits that is about to end.
        tokio::time::sleep(Duration::from_millis(800)).await;
        let stream = secure(&mesh, slow).await;
        let (_tunnel, driver) = tunnel::open(stream, &Limits::CLIENT).await.unwrap();
        driver.await.unwrap();
    });
    let days = Duration::from_hours(30 * 24);
    let (left, ()) = soon(async { tokio::join!(server.end(days), coming_in) }).await;
    assert!(left.is_empty(), "{left}");
    insta::assert_snapshot!(server.told().await, @"TLS inbound with 127.0.0.1:PORT: spiffe://cluster.local/ns/shop/sa/web");
}

/// A listener that has accepted somebody, and waits for room.
struct Waiting(Option<Accepted>);

impl Accept for Waiting {
    async fn accept(&mut self) -> Accepted {
        std::future::pending().await
    }

    fn left(&mut self) -> Option<Accepted> {
        self.0.take()
    }
}

#[tokio::test]
async fn w15_who_waits_for_a_descriptor_when_a_successor_takes_over_comes_in() {
    let mesh = Mesh::new([1, 2]);
    let (mut server, address) = taking(&mesh, mesh.settings(SERVER));
    // Somebody is here, so that it does not end at once.
    let slow = TcpStream::connect(address).await.unwrap();
    let listener = TcpListener::bind(mesh.at(SERVER, 0)).await.unwrap();
    let to = listener.local_addr().unwrap();
    let (quick, accepted) = tokio::join!(TcpStream::connect(to), listener.accept());
    let (stream, source) = accepted.unwrap();
    server.relay.take_tunnels(Waiting(Some(Accepted {
        stream,
        source,
        destination: to,
        class: 0,
    })));
    soon(async {
        while server.relay.inbound().silent < 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let coming_in = Box::pin(async {
        let stream = secure(&mesh, quick.unwrap()).await;
        let (_tunnel, driver) = tunnel::open(stream, &Limits::CLIENT).await.unwrap();
        driver.await.unwrap();
        drop(slow);
    });
    let (left, ()) = soon(async { tokio::join!(server.end(LONG), coming_in) }).await;
    assert!(left.is_empty(), "{left}");
    insta::assert_snapshot!(server.told().await, @"TLS inbound with 127.0.0.1:PORT: spiffe://cluster.local/ns/shop/sa/web");
}

#[tokio::test]
async fn what_is_left_when_time_is_up_breaks_off_and_is_told_so() {
    let mut path = Path::new().await;
    let (mut near, mut far) = path.connect().await;
    let left = soon(path.server.end(Duration::from_millis(50))).await;
    insta::assert_snapshot!(left, @"1 inbound connections, 1 inbound tunnels");
    // Nothing is left to be told when it is dropped.
    soon(path.server.relay.close()).await;
    let (_, mut told) = path.server.dropped();
    let mut lines = Vec::new();
    while let Some(line) = told.recv().await {
        lines.push(line);
    }
    let mut seen = [0; 1];
    soon(far.read(&mut seen)).await.unwrap_err();
    soon(near.read(&mut seen)).await.unwrap_err();
    insta::assert_snapshot!(lines.join("\n"), @"
    TLS inbound with NET.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    inbound NET.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 0 up, 0 down, Drained
    ");
    insta::assert_snapshot!(path.client.tells(2).await, @"
    TLS outbound with NET.2:15008: spiffe://cluster.local/ns/shop/sa/db
    outbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 0 up, 0 down, Reset(Server)
    ");
}

#[tokio::test]
async fn who_still_waits_for_its_way_when_time_is_up_is_told_and_breaks_off() {
    let mesh = Mesh::new([1, 2]);
    let (full, _fill) = mesh.nobody_answers().await;
    let _server = mesh.server();
    let (mut client, address) = mesh.client(full.local_addr().unwrap().as_socket().unwrap());
    let mut near = TcpStream::connect(address).await.unwrap();
    soon(async {
        while client.drain.present().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let left = soon(client.end(Duration::from_millis(50))).await;
    insta::assert_snapshot!(left, @"1 outbound connections");
    soon(client.relay.close()).await;
    insta::assert_snapshot!(client.tells(2).await, @"
    TLS outbound with NET.2:15008: spiffe://cluster.local/ns/shop/sa/db
    outbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 0 up, 0 down, Drained
    ");
    let error = soon(near.read(&mut [0])).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_client_that_drains_takes_no_more_and_ends_when_its_connections_have() {
    let path = Path::new().await;
    tokio::spawn(echo(path.application));
    let address = path.address;
    let mut near = TcpStream::connect(address).await.unwrap();
    let mut seen = [0; 5];
    near.write_all(b"hello").await.unwrap();
    soon(near.read_exact(&mut seen)).await.unwrap();
    let ending = async {
        let left = path.client.end(LONG).await;
        assert!(left.is_empty(), "{left}");
    };
    let talking = async {
        while exchange(address, b"new").await.is_ok() {}
        near.write_all(b"again").await.unwrap();
        soon(near.read_exact(&mut seen)).await.unwrap();
        drop(near);
    };
    soon(async { tokio::join!(ending, talking) }).await;
}

#[tokio::test]
async fn a_panic_breaks_off_one_connection_and_the_others_of_its_tunnel_go_on() {
    let mesh = Mesh::new([1, 2]);
    let [good, bad] = [mesh.application().await, mesh.application().await];
    let [good_at, bad_at] = [good.local_addr().unwrap(), bad.local_addr().unwrap()];
    let mut server = mesh.server();
    *server.bug.lock().unwrap() = Some(bad_at);
    let (client, to_good) = mesh.client(good_at);
    let listener = client.listen(mesh.at(CLIENT, 0), Destination::Fixed(bad_at));
    let to_bad = listener.local_addr().unwrap();
    client.relay.take_outbound(listener);
    let mut near = TcpStream::connect(to_good).await.unwrap();
    let (mut far, _) = soon(good.accept()).await.unwrap();
    let mut unlucky = TcpStream::connect(to_bad).await.unwrap();
    let (mut far_of_unlucky, _) = soon(bad.accept()).await.unwrap();
    unlucky.write_all(b"x").await.unwrap();
    // Both ends learn that it was no good end.
    soon(unlucky.read(&mut [0])).await.unwrap_err();
    let mut rest = Vec::new();
    soon(far_of_unlucky.read_to_end(&mut rest))
        .await
        .unwrap_err();
    // The other goes on, in the same tunnel.
    near.write_all(b"x").await.unwrap();
    soon(far.read_exact(&mut [0])).await.unwrap();
    near.shutdown().await.unwrap();
    far.shutdown().await.unwrap();
    assert_eq!(soon(near.read(&mut [0])).await.unwrap(), 0);
    insta::assert_snapshot!(server.tells(3).await, @"
    TLS inbound with NET.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    inbound NET.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 0 up, 0 down, Panicked
    inbound NET.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 1 up, 0 down, Finished(Server)
    ");
    assert_eq!(server.panics.count(), 1);
    // Nobody is told that the relay cannot go on.
    let told = tokio::time::timeout(Duration::ZERO, server.panics.any()).await;
    assert!(told.is_err(), "{told:?}");
}

#[tokio::test]
async fn a_relay_that_is_dropped_breaks_off_and_leaves_nothing_behind() {
    let path = Path::new().await;
    let (mut near, mut far) = path.connect().await;
    near.write_all(b"x").await.unwrap();
    soon(far.read_exact(&mut [0])).await.unwrap();
    let (drain, mut seen) = path.server.dropped();
    // Its tasks are gone, and the record of the connection is closed.
    soon(async {
        while !drain.present().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut told = Vec::new();
    while let Some(line) = soon(seen.recv()).await {
        told.push(line);
    }
    insta::assert_snapshot!(told.join("\n"), @"
    TLS inbound with NET.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    inbound NET.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 1 up, 0 down, Drained
    ");
    soon(near.read(&mut [0])).await.unwrap_err();
    soon(far.read(&mut [0])).await.unwrap_err();
    drop(path.client);
}
