//! From one application to another.

use std::io::ErrorKind;

use ambient_ztunnel::socket::Destination;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::harness::{CLIENT, Mesh, Path, SERVER, SERVICE, echo, exchange, soon};

#[tokio::test]
async fn applications_talk_through_a_tunnel_and_both_relays_know_who_they_are() {
    let mut path = Path::new().await;
    tokio::spawn(echo(path.application));
    let address = path.address;
    assert_eq!(exchange(address, b"hello").await.unwrap(), b"hello");
    assert_eq!(exchange(address, b"again").await.unwrap(), b"again");
    insta::assert_snapshot!(path.client.tells(3).await, @"
    TLS outbound with NET.2:15008: spiffe://cluster.local/ns/shop/sa/db
    outbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 5 up, 5 down, Finished(Client)
    outbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 5 up, 5 down, Finished(Client)
    ");
    insta::assert_snapshot!(path.server.tells(3).await, @"
    TLS inbound with NET.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    inbound NET.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 5 up, 5 down, Finished(Client)
    inbound NET.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 5 up, 5 down, Finished(Client)
    ");
    let counts = path.client.relay.pool();
    assert_eq!((counts.connections, counts.streams), (1, 0));
}

#[tokio::test]
async fn a_service_leads_to_its_workload() {
    let application = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = application.local_addr().unwrap().port();
    drop(application);
    let mesh = Mesh::new([port, 1]);
    let application = TcpListener::bind(mesh.at(SERVER, port)).await.unwrap();
    tokio::spawn(echo(application));
    let mut server = mesh.server();
    let (mut client, address) = mesh.client(mesh.at(SERVICE, 80));
    assert_eq!(exchange(address, b"hello").await.unwrap(), b"hello");
    insta::assert_snapshot!(client.tells(2).await, @"
    TLS outbound with NET.2:15008: spiffe://cluster.local/ns/shop/sa/db
    outbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at db.shop: 5 up, 5 down, Finished(Client)
    ");
    insta::assert_snapshot!(server.tells(2).await, @"
    TLS inbound with NET.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    inbound NET.1:PORT of web to NET.2:15008 of db for NET.2:PORT at db.shop: 5 up, 5 down, Finished(Client)
    ");
}

#[tokio::test]
async fn who_is_not_known_is_reached_in_the_clear() {
    let mesh = Mesh::new([1, 2]);
    let application = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = application.local_addr().unwrap();
    tokio::spawn(echo(application));
    let (mut client, address) = mesh.client(to);
    assert_eq!(exchange(address, b"hello").await.unwrap(), b"hello");
    insta::assert_snapshot!(client.told().await, @"outbound 127.0.0.1:PORT of - to 127.0.0.1:PORT of - for - at -: 5 up, 5 down, Finished(Client)");
}

#[tokio::test]
async fn plaintext_is_taken_to_the_application() {
    let mesh = Mesh::new([1, 2]);
    let application = mesh.application().await;
    let to = application.local_addr().unwrap();
    tokio::spawn(echo(application));
    let mut server = mesh.relay("db", mesh.settings(SERVER));
    let listener = server.listen(mesh.at(SERVER, 0), Destination::Fixed(to));
    let address = listener.local_addr().unwrap();
    server.relay.take_plaintext(listener);
    assert_eq!(exchange(address, b"hello").await.unwrap(), b"hello");
    insta::assert_snapshot!(server.told().await, @"inbound 127.0.0.1:PORT of - to NET.2:PORT of - for - at -: 5 up, 5 down, Finished(Client)");
}

#[tokio::test]
async fn plaintext_for_somebody_else_is_refused_and_told() {
    let mesh = Mesh::new([1, 2]);
    let application = mesh.application().await;
    let to = application.local_addr().unwrap();
    let mut relay = mesh.relay("web", mesh.settings(CLIENT));
    let listener = relay.listen(mesh.at(CLIENT, 0), Destination::Fixed(to));
    let address = listener.local_addr().unwrap();
    relay.relay.take_plaintext(listener);
    let error = exchange(address, b"hello").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    insta::assert_snapshot!(relay.told().await, @"refused inbound from 127.0.0.1:PORT to NET.2:PORT: not for this workload: NET.2:PORT");
}

#[tokio::test]
async fn w17_what_breaks_off_breaks_off_through_both_relays() {
    let mut path = Path::new().await;
    // The client breaks off.
    let (mut near, mut far) = path.connect().await;
    near.write_all(b"half").await.unwrap();
    let mut seen = [0; 4];
    soon(far.read_exact(&mut seen)).await.unwrap();
    near.set_zero_linger().unwrap();
    drop(near);
    let error = soon(far.read(&mut seen)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    // The server breaks off.
    let (mut near, mut far) = path.connect().await;
    far.write_all(b"half").await.unwrap();
    soon(near.read_exact(&mut seen)).await.unwrap();
    far.set_zero_linger().unwrap();
    drop(far);
    let error = soon(near.read(&mut seen)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    insta::assert_snapshot!(path.client.tells(3).await, @"
    TLS outbound with NET.2:15008: spiffe://cluster.local/ns/shop/sa/db
    outbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 0 up, 4 down, Reset(Server)
    outbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 4 up, 0 down, Reset(Client)
    ");
    insta::assert_snapshot!(path.server.tells(3).await, @"
    TLS inbound with NET.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    inbound NET.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 0 up, 4 down, Reset(Server)
    inbound NET.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 4 up, 0 down, Reset(Client)
    ");
}

#[tokio::test]
async fn each_direction_finishes_on_its_own_through_both_relays() {
    let mut path = Path::new().await;
    let (mut near, mut far) = path.connect().await;
    far.write_all(b"all that there is").await.unwrap();
    far.shutdown().await.unwrap();
    let mut seen = Vec::new();
    soon(near.read_to_end(&mut seen)).await.unwrap();
    assert_eq!(seen, b"all that there is");
    near.write_all(b"thanks").await.unwrap();
    near.shutdown().await.unwrap();
    seen.clear();
    soon(far.read_to_end(&mut seen)).await.unwrap();
    assert_eq!(seen, b"thanks");
    insta::assert_snapshot!(path.client.tells(2).await, @"
    TLS outbound with NET.2:15008: spiffe://cluster.local/ns/shop/sa/db
    outbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 6 up, 17 down, Finished(Server)
    ");
    insta::assert_snapshot!(path.server.tells(2).await, @"
    TLS inbound with NET.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    inbound NET.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 6 up, 17 down, Finished(Server)
    ");
}

#[tokio::test]
async fn a_client_of_another_trust_domain_is_refused_and_both_ends_say_why() {
    let mut path = Path::of(Mesh::in_domain("elsewhere.example", [1, 2])).await;
    let error = exchange(path.address, b"hello").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    insta::assert_snapshot!(path.client.tells(2).await, @"
    TLS outbound with NET.2:15008: spiffe://cluster.local/ns/shop/sa/db
    outbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 0 up, 0 down, tls error: the peer refused: alert 46, certificate_unknown
    ");
    insta::assert_snapshot!(path.server.tells(2).await, @"
    TLS inbound with NET.1:PORT: the client is `spiffe://elsewhere.example/ns/shop/sa/web`, and not of trust domain `cluster.local`
    refused inbound from NET.1:PORT to NET.2:15008: tls error: the client is `spiffe://elsewhere.example/ns/shop/sa/web`, and not of trust domain `cluster.local`
    ");
}

#[tokio::test]
async fn an_application_that_does_not_listen_is_told_at_both_ends() {
    let mut path = Path::new().await;
    drop(path.application);
    let error = exchange(path.address, b"hello").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    insta::assert_snapshot!(path.client.tells(2).await, @"
    TLS outbound with NET.2:15008: spiffe://cluster.local/ns/shop/sa/db
    outbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 0 up, 0 down, http status: 503 Service Unavailable
    ");
    insta::assert_snapshot!(path.server.tells(2).await, @"
    TLS inbound with NET.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    inbound NET.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 0 up, 0 down, connection failed: Connection refused (os error 111)
    ");
}

#[tokio::test]
async fn what_leads_nowhere_is_refused_before_anything_is_made_of_it() {
    let mesh = Mesh::new([1, 2]);
    let told = async |to| {
        let (mut client, address) = mesh.client(to);
        let error = exchange(address, b"hello").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        client.told().await
    };
    let lines = [
        told(mesh.at(CLIENT, 15001)).await,
        told(mesh.at(SERVICE, 9)).await,
        // No relay of a workload that is in the mesh.
        told(mesh.at(CLIENT, 80)).await,
    ];
    insta::assert_snapshot!(lines.join("\n"), @"
    refused outbound from 127.0.0.1:PORT to NET.1:15001: attempted recursive call to ourselves
    refused outbound from 127.0.0.1:PORT to NET.9:9: no healthy upstream: NET.9:9
    outbound 127.0.0.1:PORT of web to NET.1:15008 of web for NET.1:80 at -: 0 up, 0 down, connection failed: Connection refused (os error 111)
    ");
}
