mod policies;
mod trust;

use std::io::ErrorKind;
use std::time::Duration;

use ambient_facts::tunnel::SPIFFE_SCHEME;
use ambient_testkit::{Authority, Details, Leaf, Purpose, Validity};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::version::{TLS12, TLS13};
use rustls::{NamedGroup, ProtocolVersion, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, advance, sleep, timeout};

use super::*;
use crate::crl::RevocationLists;
use crate::fault::ChainFault;
use crate::roots::Roots;
use crate::standing::Standing;

const WEB: &str = "cluster.local/ns/shop/sa/web";
const DB: &str = "cluster.local/ns/shop/sa/db";

fn id(path: &str) -> SpiffeId {
    format!("{SPIFFE_SCHEME}{path}").parse().unwrap()
}

fn issued(issued: &ambient_testkit::Issued, roots: &Authority) -> Issued {
    let (chain, key) = (issued.chain.as_bytes(), issued.key.as_bytes());
    Issued {
        credentials: Credentials::from_pem(chain, key).unwrap(),
        roots: Roots::from_pem(roots.root().as_bytes()).unwrap(),
    }
}

/// A workload of a process of its own, which believes in the authority that signed for it.
fn alone(authority: &Authority, path: &str) -> Workload {
    signed(authority, path, &Leaf::of(path))
}

fn signed(authority: &Authority, path: &str, leaf: &Leaf) -> Workload {
    signed_with(authority, path, leaf, &Details::default())
}

fn signed_with(authority: &Authority, path: &str, leaf: &Leaf, details: &Details) -> Workload {
    let issued = issued(&authority.issue_with(leaf, details), authority);
    Workload::new(&id(path), &issued, &Trust::new([]), TlsOptions::default()).unwrap()
}

fn expecting(path: &str) -> Arc<BTreeSet<SpiffeId>> {
    Arc::new(BTreeSet::from([id(path)]))
}

type Ends = (
    Result<(Connected<DuplexStream>, Peer), HandshakeError>,
    Result<(Accepted<DuplexStream>, Peer), HandshakeError>,
);

/// Both ends of a handshake. Each ends its stream when it fails.
async fn meet(client: &Workload, server: &Workload, expected: Arc<BTreeSet<SpiffeId>>) -> Ends {
    let (near, far) = duplex(1 << 16);
    tokio::join!(client.connect(near, expected), server.accept(far))
}

fn client_fault(ends: Ends) -> PeerFault {
    match ends.1 {
        Err(HandshakeError::Peer(fault)) => fault,
        other => panic!("the server did not refuse: {other:?}"),
    }
}

fn server_fault(ends: &Ends) -> PeerFault {
    match &ends.0 {
        Err(HandshakeError::Peer(fault)) => fault.clone(),
        other => panic!("the client did not refuse: {other:?}"),
    }
}

/// The alert that a client reads after its handshake.
async fn alert(ends: Ends) -> &'static str {
    let (mut stream, _) = ends.0.unwrap();
    let error = stream.read(&mut [0]).await.unwrap_err();
    match TlsFault::of(&error) {
        Some(TlsFault::Alert(alert)) => alert.name,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn both_ends_learn_who_the_other_is_and_data_passes() {
    let root = Authority::new("root");
    let (web, db) = (alone(&root, WEB), alone(&root.below("middle"), DB));
    // The roots of the second are those of its authority: give it the real one.
    let _belief = db
        .trust
        .believe(&issued(&root.issue(&Leaf::of(WEB)), &root).roots);
    let _belief = web
        .trust
        .believe(&issued(&root.issue(&Leaf::of(WEB)), &root).roots);
    let (client, server) = meet(&web, &db, expecting(DB)).await;
    let (mut client, seen_by_client) = client.unwrap();
    let (mut server, seen_by_server) = server.unwrap();
    assert_eq!(*seen_by_client.identity(), id(DB));
    assert_eq!(*seen_by_server.identity(), id(WEB));
    let certificate = seen_by_server.certificate().unwrap();
    assert_eq!(certificate, *web.certificate());

    let (_, connection) = client.get_ref();
    assert_eq!(connection.alpn_protocol(), Some(ALPN));
    assert_eq!(
        connection.protocol_version(),
        Some(ProtocolVersion::TLSv1_3)
    );
    let (_, connection) = server.get_ref();
    assert_eq!(connection.server_name(), None);
    client.write_all(b"hello").await.unwrap();
    client.flush().await.unwrap();
    let mut octets = [0; 5];
    server.read_exact(&mut octets).await.unwrap();
    assert_eq!(&octets, b"hello");
}

#[tokio::test]
async fn a_server_says_why_it_refuses_a_client() {
    let (root, other) = (Authority::new("root"), Authority::new("other"));
    let server = alone(&root, DB);
    let foreign = "other.example/ns/shop/sa/web";
    // A client that believes in the server's root, whoever signed for itself.
    let client = |authority: &Authority, path: &str, leaf: Leaf| {
        let client = signed(authority, path, &leaf);
        let belief = client
            .trust
            .believe(&issued(&root.issue(&Leaf::of(DB)), &root).roots);
        (client, belief)
    };
    let leaf = Leaf::of(WEB);
    let cases = [
        (
            client(&other, WEB, leaf.clone()),
            ChainFault::Untrusted.into(),
            "unknown_ca",
        ),
        (
            client(&root, WEB, leaf.clone().valid(Validity::Past)),
            ChainFault::Expired.into(),
            "certificate_expired",
        ),
        (
            client(&root, WEB, leaf.clone().valid(Validity::Future)),
            ChainFault::NotYetValid.into(),
            "certificate_expired",
        ),
        (
            client(&root, WEB, leaf.only_for(Purpose::Server)),
            ChainFault::WrongUsage.into(),
            "unsupported_certificate",
        ),
        (
            client(&root, foreign, Leaf::of(foreign)),
            PeerFault::TrustDomain {
                seen: vec![id(foreign)],
                domains: vec!["cluster.local".to_owned()],
            },
            "certificate_unknown",
        ),
    ];
    for ((client, _belief), fault, expected) in cases {
        let ends = meet(&client, &server, expecting(DB)).await;
        assert_eq!(client_fault((Err(not_asked()), ends.1)), fault);
        assert_eq!(alert((ends.0, Err(not_asked()))).await, expected);
    }
}

fn not_asked() -> HandshakeError {
    HandshakeError::Io(ErrorKind::Other.into())
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let root = Authority::new("root");
    let server = alone(&root, DB);
    let (near, far) = duplex(1 << 16);
    let inspector = crate::Inspector::new(None).unwrap();
    let (client, refused) = tokio::join!(inspector.connect(near), server.accept(far));
    assert!(matches!(
        refused,
        Err(HandshakeError::Peer(PeerFault::NoCertificate))
    ));
    let (mut stream, inspection) = client.unwrap();
    assert!(inspection.asks_for_certificate);
    let error = stream.read(&mut [0]).await.unwrap_err();
    assert_eq!(
        TlsFault::of(&error).unwrap().to_string(),
        "the peer refused: alert 116, certificate_required"
    );
}

#[tokio::test]
async fn a_client_says_whom_it_saw_and_whom_it_expected() {
    let (root, other) = (Authority::new("root"), Authority::new("other"));
    let client = alone(&root, WEB);
    let ends = meet(
        &client,
        &alone(&root, "cluster.local/ns/shop/sa/x"),
        expecting(DB),
    )
    .await;
    let scheme = SPIFFE_SCHEME;
    assert_eq!(
        server_fault(&ends).to_string(),
        format!(
            "the server is `{scheme}cluster.local/ns/shop/sa/x`, and `{scheme}{DB}` was expected"
        )
    );
    // The server learns that it was refused, and by what.
    let told = ends.1.unwrap_err().to_string();
    assert_eq!(told, "the peer refused: alert 46, certificate_unknown");

    let ends = meet(&client, &alone(&other, DB), expecting(DB)).await;
    assert_eq!(server_fault(&ends), ChainFault::Untrusted.into());
    let clients_only = Leaf::of(DB).only_for(Purpose::Client);
    let server = signed(&root, DB, &clients_only);
    let ends = meet(&client, &server, expecting(DB)).await;
    assert_eq!(server_fault(&ends), ChainFault::WrongUsage.into());
    // Nobody is expected where nobody is known, and not anybody.
    let ends = meet(&client, &alone(&root, DB), Arc::default()).await;
    assert!(
        server_fault(&ends)
            .to_string()
            .ends_with("and nobody was expected")
    );
}

#[tokio::test]
async fn any_identity_of_a_certificate_will_do() {
    let root = Authority::new("root");
    let foreign = "other.example/ns/shop/sa/db";
    let mut more = Leaf::of(foreign);
    let others = ["https://shop.example".to_owned(), id(DB).to_string()];
    more.uris.extend(others);
    let both = signed(&root, foreign, &more);
    let web = alone(&root, WEB);
    let (_, seen) = meet(&web, &both, expecting(DB)).await.0.unwrap();
    assert_eq!(*seen.identity(), id(DB));
    // As a client it is taken for the first, as ztunnel does.
    let (_, seen) = meet(&both, &web, expecting(WEB)).await.1.unwrap();
    assert_eq!(*seen.identity(), id(foreign));
}

#[tokio::test]
async fn what_is_no_tls_and_what_breaks_off_is_told() {
    let root = Authority::new("root");
    let server = alone(&root, DB);
    let (mut near, far) = duplex(1 << 16);
    near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let error = server.accept(far).await.unwrap_err();
    assert!(
        matches!(error, HandshakeError::Tls(TlsFault::NotTls)),
        "{error:?}"
    );
    let (near, far) = duplex(1 << 16);
    drop(near);
    let error = server.accept(far).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Io(_)), "{error:?}");
}

#[test]
fn a_certificate_for_somebody_else_is_refused() {
    let root = Authority::new("root");
    let issued = issued(&root.issue(&Leaf::of(WEB)), &root);
    let refused = Workload::new(&id(DB), &issued, &Trust::new([]), TlsOptions::default());
    assert_eq!(
        refused.unwrap_err().to_string(),
        format!(
            "the certificate is for `{}`, and not for `{}`",
            id(WEB),
            id(DB)
        )
    );
}

#[test]
fn the_key_is_not_shown() {
    let root = Authority::new("root");
    let signed = root.issue(&Leaf::of(WEB));
    let issued = issued(&signed, &root);
    let workload = Workload::new(&id(WEB), &issued, &Trust::new([]), TlsOptions::default());
    let shown = format!("{issued:?} {:?}", workload.unwrap());
    let secret = signed.key.lines().nth(1).unwrap();
    assert!(shown.contains("cluster.local") && !shown.contains(secret));
}
