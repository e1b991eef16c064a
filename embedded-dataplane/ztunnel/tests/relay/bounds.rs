//! Peers that do not do as they should.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ambient_hbone::authority::Target;
use ambient_hbone::headers::Headers;
use ambient_hbone::tunnel::{self, Opened};
use ambient_identity::{TlsOptions, Trust, Workload};
use ambient_ztunnel::relay::Settings;
use ambient_ztunnel::socket::Destination;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Mesh, Path, Running, SERVER, soon};

/// Less patient than it is.
fn hasty(mesh: &Mesh) -> Settings {
    let mut settings = mesh.settings(SERVER);
    settings.handshake = Duration::from_millis(300);
    settings.server.settle = Duration::from_millis(300);
    settings
}

pub(crate) fn taking(mesh: &Mesh, settings: Settings) -> (Running, SocketAddr) {
    let server = mesh.relay("db", settings);
    let listener = server.listen(mesh.at(SERVER, 0), Destination::Local);
    let address = listener.local_addr().unwrap();
    server.relay.take_tunnels(listener);
    (server, address)
}

/// A client that is who it should be, from below HTTP/2.
pub(crate) async fn secured(mesh: &Mesh, to: SocketAddr) -> ambient_identity::Connected<TcpStream> {
    let stream = TcpStream::connect(to).await.unwrap();
    secure(mesh, stream).await
}

pub(crate) async fn secure(
    mesh: &Mesh,
    stream: TcpStream,
) -> ambient_identity::Connected<TcpStream> {
    let [web, db] = ["web", "db"].map(|account| mesh.identity(account));
    let workload = Workload::new(
        &web,
        &mesh.issued(&web),
        &Trust::new([]),
        TlsOptions::default(),
    );
    let expected = Arc::new(BTreeSet::from([db]));
    let secured = workload.unwrap().connect(stream, expected).await;
    secured.unwrap().0
}

/// Waits until the relay hangs up.
async fn hung_up(stream: &mut TcpStream) {
    let mut octets = [0; 1024];
    while soon(stream.read(&mut octets))
        .await
        .is_ok_and(|length| length > 0)
    {}
}

#[tokio::test]
async fn w1_who_does_not_go_on_with_a_handshake_is_hung_up_on() {
    let mesh = Mesh::new([1, 2]);
    let (mut server, address) = taking(&mesh, hasty(&mesh));
    // Nothing, the beginning of a record of TLS, and something else.
    for octets in [&b""[..], &[22, 3, 1, 2, 0, 1], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(octets).await.unwrap();
        hung_up(&mut stream).await;
    }
    insta::assert_snapshot!(server.tells(6).await, @"
    TLS inbound with 127.0.0.1:PORT: no handshake within 300ms
    TLS inbound with 127.0.0.1:PORT: no handshake within 300ms
    TLS inbound with 127.0.0.1:PORT: what the peer sent is not TLS
    refused inbound from 127.0.0.1:PORT to NET.2:PORT: tls error: no handshake within 300ms
    refused inbound from 127.0.0.1:PORT to NET.2:PORT: tls error: no handshake within 300ms
    refused inbound from 127.0.0.1:PORT to NET.2:PORT: tls error: what the peer sent is not TLS
    ");
    // TLS, and then nothing, or no SETTINGS.
    for octets in [
        &b""[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = secured(&mesh, address).await;
        stream.write_all(octets).await.unwrap();
        stream.flush().await.unwrap();
        let mut rest = Vec::new();
        _ = soon(stream.read_to_end(&mut rest)).await;
    }
    insta::assert_snapshot!(server.tells(6).await, @"
    TLS inbound with 127.0.0.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    TLS inbound with 127.0.0.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    TLS inbound with 127.0.0.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    refused inbound from 127.0.0.1:PORT to NET.2:PORT: http2 handshake failed: the peer broke the rules of HTTP/2: connection error detected: unspecific protocol error detected
    refused inbound from 127.0.0.1:PORT to NET.2:PORT: http2 handshake failed: the peer sent no HTTP/2 SETTINGS in time
    refused inbound from 127.0.0.1:PORT to NET.2:PORT: http2 handshake failed: the peer sent no HTTP/2 SETTINGS in time
    ");
    assert!(server.drain.present().is_empty());
}

#[tokio::test]
async fn a_certificate_that_is_missing_is_told_as_that() {
    let mesh = Mesh::new([1, 2]);
    let mut settings = hasty(&mesh);
    settings.handshake = Duration::from_secs(1);
    let mut server = mesh.relay_without_certificate("db", settings);
    let listener = server.listen(mesh.at(SERVER, 0), Destination::Local);
    let address = listener.local_addr().unwrap();
    server.relay.take_tunnels(listener);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    hung_up(&mut stream).await;
    insta::assert_snapshot!(server.told().await, @"refused inbound from 127.0.0.1:PORT to NET.2:PORT: identity error: no certificate within 1s");
}

#[tokio::test]
async fn a_handshake_begins_with_the_first_octet_of_the_client() {
    let mesh = Mesh::new([1, 2]);
    let (mut server, address) = taking(&mesh, mesh.settings(SERVER));
    let stream = TcpStream::connect(address).await.unwrap();
    let silent = Duration::from_secs(1);
    tokio::time::sleep(silent).await;
    let _secured = secure(&mesh, stream).await;
    server.told().await;
    let took = server.took.lock().unwrap().clone();
    assert!(took.len() == 1 && took[0] < silent, "{took:?}");
}

#[tokio::test]
async fn who_says_nothing_at_first_is_connected_all_the_same() {
    let path = Path::new().await;
    let (mut near, mut far) = path.connect().await;
    far.write_all(b"220 ready").await.unwrap();
    let mut seen = [0; 9];
    soon(near.read_exact(&mut seen)).await.unwrap();
    assert_eq!(&seen, b"220 ready");
}

#[tokio::test]
async fn tunnels_to_elsewhere_are_refused_and_told() {
    let mesh = Mesh::new([1, 2]);
    let (mut server, address) = taking(&mesh, mesh.settings(SERVER));
    let stream = secured(&mesh, address).await;
    let limits = ambient_hbone::limits::Limits::CLIENT;
    let (tunnel, driver) = tunnel::open(stream, &limits).await.unwrap();
    tokio::spawn(driver);
    let mut answers = String::new();
    for target in [
        format!("{}:80", mesh.address(1)),
        "127.0.0.1:80".to_owned(),
        "[::1]:80".to_owned(),
        format!("{}:15001", mesh.address(SERVER)),
        format!("{}:15008", mesh.address(SERVER)),
        "nobody.example:80".to_owned(),
        "db.shop:9".to_owned(),
    ] {
        let target: Target = target.parse().unwrap();
        let place = tunnel.reserve().unwrap();
        let asked = place.connect(&target, &Headers::default()).await;
        let refused = asked.map(|_: Opened| ()).unwrap_err();
        _ = writeln!(answers, "{target}: {refused}");
    }
    let net = mesh.address(0).to_string();
    let answers = answers.replace(net.trim_end_matches('0'), "NET.");
    insta::assert_snapshot!(answers, @"
    NET.1:80: http status: 400 Bad Request
    127.0.0.1:80: http status: 400 Bad Request
    [::1]:80: http status: 400 Bad Request
    NET.2:15001: http status: 503 Service Unavailable
    NET.2:15008: http status: 503 Service Unavailable
    nobody.example:80: http status: 503 Service Unavailable
    db.shop:9: http status: 503 Service Unavailable
    ");
    insta::assert_snapshot!(server.tells(8).await, @"
    TLS inbound with 127.0.0.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    refused inbound from 127.0.0.1:PORT to NET.2:PORT: attempted recursive call to ourselves
    refused inbound from 127.0.0.1:PORT to NET.2:PORT: attempted recursive call to ourselves
    refused inbound from 127.0.0.1:PORT to NET.2:PORT: ip mismatch: NET.2 != 127.0.0.1
    refused inbound from 127.0.0.1:PORT to NET.2:PORT: ip mismatch: NET.2 != ::1
    refused inbound from 127.0.0.1:PORT to NET.2:PORT: ip mismatch: NET.2 != NET.1
    refused inbound from 127.0.0.1:PORT to NET.2:PORT: no service or workload for hostname: nobody.example
    refused inbound from 127.0.0.1:PORT to NET.2:PORT: requested service db.shop:9 found, but cannot resolve port
    ");
}

#[tokio::test]
async fn a_client_that_does_not_wait_for_its_answer_is_not_connected_for() {
    let mesh = Mesh::new([1, 2]);
    let (full, _fill) = mesh.nobody_answers().await;
    let to = full.local_addr().unwrap().as_socket().unwrap();
    let (mut server, address) = taking(&mesh, mesh.settings(SERVER));
    let stream = secured(&mesh, address).await;
    let mut limits = ambient_hbone::limits::Limits::CLIENT;
    limits.answer = Duration::from_millis(200);
    let (tunnel, driver) = tunnel::open(stream, &limits).await.unwrap();
    tokio::spawn(driver);
    let place = tunnel.reserve().unwrap();
    let asked = place
        .connect(&Target::Address(to), &Headers::default())
        .await;
    insta::assert_snapshot!(asked.map(|_| ()).unwrap_err(), @"the peer did not answer the CONNECT in time");
    insta::assert_snapshot!(server.tells(2).await, @"
    TLS inbound with 127.0.0.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    inbound 127.0.0.1:PORT of web to NET.2:PORT of db for NET.2:PORT at -: 0 up, 0 down, the client did not wait for the answer
    ");
}

#[tokio::test]
async fn a_client_that_would_not_be_believed_any_more_opens_nothing_and_keeps_what_it_has() {
    let mesh = Mesh::new([1, 2]);
    let application = mesh.application().await;
    let to = Target::Address(application.local_addr().unwrap());
    let (mut server, address) = taking(&mesh, mesh.settings(SERVER));
    let other = ambient_testkit::Authority::new("other");
    let belief = server.believe(&other);
    let [web, db] = ["web", "db"].map(|account| mesh.identity(account));
    let issued = mesh.issued_by(&other, &web);
    let workload = Workload::new(&web, &issued, &Trust::new([]), TlsOptions::default());
    let stream = TcpStream::connect(address).await.unwrap();
    let expected = Arc::new(BTreeSet::from([db]));
    let secured = workload.unwrap().connect(stream, expected).await;
    let limits = ambient_hbone::limits::Limits::CLIENT;
    let opened = tunnel::open(secured.unwrap().0, &limits).await;
    let (tunnel, driver) = opened.unwrap();
    let driver = tokio::spawn(driver);
    let place = tunnel.reserve().unwrap();
    let mut before = place
        .connect(&to, &Headers::default())
        .await
        .unwrap()
        .stream;
    let (mut far, _) = soon(application.accept()).await.unwrap();
    drop(belief);
    let place = tunnel.reserve().unwrap();
    let asked = place.connect(&to, &Headers::default()).await;
    insta::assert_snapshot!(asked.map(|_: Opened| ()).unwrap_err(), @"the peer did not look at the CONNECT");
    assert!(!tunnel.is_usable());
    // What was there goes on, and the tunnel ends with it.
    let (_, writer) = before.halves();
    writer.write(vec![7].into()).await.unwrap();
    soon(far.read_exact(&mut [0])).await.unwrap();
    drop((before, far));
    soon(driver).await.unwrap().unwrap();
    insta::assert_snapshot!(server.tells(3).await, @"
    TLS inbound with 127.0.0.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    inbound 127.0.0.1:PORT of web to NET.2:PORT of db for NET.2:PORT at -: 1 up, 0 down, Reset(Client)
    refused inbound from 127.0.0.1:PORT to NET.2:PORT: tls error: the chain leads to none of the roots
    ");
}

#[tokio::test]
async fn a_client_whose_certificate_expires_is_asked_to_come_anew_before_it_wants_something() {
    let mesh = Mesh::new([1, 2]);
    let (_server, address) = taking(&mesh, mesh.settings(SERVER));
    let stream = secured(&mesh, address).await;
    let limits = ambient_hbone::limits::Limits::CLIENT;
    let (tunnel, driver) = tunnel::open(stream, &limits).await.unwrap();
    let driver = tokio::spawn(driver);
    // It is there from when it is answered.
    let place = tunnel.reserve().unwrap();
    let nowhere = "127.0.0.1:80".parse().unwrap();
    let refused = place.connect(&nowhere, &Headers::default()).await;
    refused.map(|_: Opened| ()).unwrap_err();
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(61)).await;
    tokio::time::resume();
    // With a farewell.
    soon(driver).await.unwrap().unwrap();
    assert!(!tunnel.is_usable());
}

#[tokio::test]
async fn who_is_revoked_is_cut_off_and_told_so() {
    let mut path = Path::new().await;
    let (mut near, mut far) = path.connect().await;
    near.write_all(b"x").await.unwrap();
    soon(far.read_exact(&mut [0])).await.unwrap();
    assert_eq!(path.server.revoke(path.mesh.revocations("web")), 1);
    soon(far.read(&mut [0])).await.unwrap_err();
    soon(near.read(&mut [0])).await.unwrap_err();
    insta::assert_snapshot!(path.server.tells(2).await, @"
    TLS inbound with NET.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    inbound NET.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 1 up, 0 down, Revoked(Revoked)
    ");
    insta::assert_snapshot!(path.client.tells(2).await, @r#"
    TLS outbound with NET.2:15008: spiffe://cluster.local/ns/shop/sa/db
    outbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 1 up, 0 down, Failed { at: Server, detail: "the connection of the stream ended: the peer closed it without a farewell" }
    "#);
}

#[tokio::test]
async fn a_server_that_is_revoked_is_cut_off_and_nothing_new_goes_through_its_tunnel() {
    let mut path = Path::new().await;
    let (mut near, mut far) = path.connect().await;
    near.write_all(b"x").await.unwrap();
    soon(far.read_exact(&mut [0])).await.unwrap();
    assert_eq!(path.client.revoke(path.mesh.revocations("db")), 1);
    soon(far.read(&mut [0])).await.unwrap_err();
    soon(near.read(&mut [0])).await.unwrap_err();
    let mut near = TcpStream::connect(path.address).await.unwrap();
    soon(near.read(&mut [0])).await.unwrap_err();
    insta::assert_snapshot!(path.client.tells(4).await, @r#"
    TLS outbound with NET.2:15008: a certificate of the chain is revoked
    TLS outbound with NET.2:15008: spiffe://cluster.local/ns/shop/sa/db
    outbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 0 up, 0 down, tls error: a certificate of the chain is revoked
    outbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 1 up, 0 down, Revoked(Revoked)
    "#);
    insta::assert_snapshot!(path.server.tells(4).await, @r#"
    TLS inbound with NET.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    TLS inbound with NET.1:PORT: the peer refused: alert 44, certificate_revoked
    inbound NET.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 1 up, 0 down, Failed { at: Client, detail: "the connection of the stream ended: the peer closed it without a farewell" }
    refused inbound from NET.1:PORT to NET.2:15008: tls error: the peer refused: alert 44, certificate_revoked
    "#);
}

#[tokio::test]
async fn listeners_that_are_somebody_elses_are_told_at_once() {
    let mesh = Mesh::new([1, 2]);
    let taken = TcpListener::bind(mesh.at(SERVER, 0)).await.unwrap();
    let settings = mesh.settings(SERVER);
    let bound = ambient_ztunnel::socket::Listener::bind(
        "tunnels",
        taken.local_addr().unwrap(),
        Destination::Local,
        &settings.sockets,
    );
    assert_eq!(bound.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
}
