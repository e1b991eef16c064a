//! Every cause, as the probe names it.

use ambient_testkit::{Authority, ClientPolicy, Leaf, Peer, Script, Secured, Tunnel, Validity};
use kubectl_ambient::probe::{self, Cause, Options};
use rustls::CertificateError;

use crate::mesh::{Mesh, SERVER, against, http2, last, probe, report, told};

#[tokio::test(start_paused = true)]
async fn healthy() {
    let mesh = Mesh::new();
    let script = http2(&mesh, Tunnel::Echo);
    insta::assert_snapshot!(against(script.clone(), &mesh.options()).await, @"
    healthy
    resolve ok: 10.0.0.1
    tcp ok: 10.0.0.1:80
    tls ok: TLS 1.3, TLS_AES_256_GCM_SHA384, X25519, ALPN h2
    identity ok: spiffe://cluster.local/ns/shop/sa/db (verified), alert 116 certificate_required
    ");
    insta::assert_snapshot!(against(script.clone(), &mesh.with_certificate()).await, @"
    healthy
    resolve ok: 10.0.0.1
    tcp ok: 10.0.0.1:80
    tls ok: TLS 1.3, TLS_AES_256_GCM_SHA384, X25519, ALPN h2
    identity ok: spiffe://cluster.local/ns/shop/sa/db (verified)
    http2 ok: SETTINGS came, and PING was answered
    ");
    let options = Options {
        sizes: vec![1, 100_000],
        ..mesh.with_target()
    };
    let told = against(script, &options).await;
    let data = told.lines().last().unwrap_or_default();
    assert!(data.starts_with("data ok: 1 octet in "), "{told}");
    assert!(data.contains("100000 came back"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_accepts_anybody_is_healthy_with_a_warning() {
    let mesh = Mesh::new();
    for clients in [ClientPolicy::NotAsked, ClientPolicy::Optional] {
        let script = Script::tls(&mesh.server, clients, Secured::Http2(Tunnel::Echo));
        let told = against(script, &mesh.options()).await;
        assert!(told.starts_with("healthy\n"), "{told}");
        assert!(told.ends_with("it accepts anybody\n"), "{told}");
    }
}

#[tokio::test]
async fn tcp() {
    let mesh = Mesh::new();
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let refused = probe(address, &mesh.options()).await;
    insta::assert_snapshot!(told(&refused), @"
    connect-refused
    resolve ok: it is an address
    tcp failed: answered with RST
    ");

    let aborts = Peer::start(Script::Abort).await;
    let reset = told(&probe(aborts.address, &mesh.options()).await);
    let reset = reset.lines().last().unwrap_or_default();
    insta::assert_snapshot!(reset, @"tls failed: connection reset by peer after no octet");

    let unknown = probe::run("no-such-name.invalid".parse().unwrap(), &mesh.options()).await;
    assert_eq!(unknown.cause, Cause::ResolveFailed);
}

/// Behind one address there may be several servers: each is judged before it gets anything.
#[tokio::test(start_paused = true)]
async fn another_server_on_the_second_connection_is_judged_too() {
    let mesh = Mesh::new();
    let evil = Authority::new("evil").issue(&Leaf::of("evil.example/ns/x/sa/y"));
    let secured =
        |issued| Script::tls(issued, ClientPolicy::Required, Secured::Http2(Tunnel::Echo));
    let turns = vec![secured(&mesh.server), secured(&evil)];
    let report = report(turns, &mesh.with_target()).await;
    assert_eq!(report.cause, Cause::ServerUntrusted, "{}", told(&report));
}

#[tokio::test(start_paused = true)]
async fn tls() {
    let mesh = Mesh::new();
    let options = mesh.options();
    let alert = |number| Script::Octets(vec![21, 3, 3, 0, 2, 2, number]);
    let mut all = Vec::new();
    for script in [
        Script::Close,
        Script::Silent,
        Script::Octets(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        Script::Octets(b"\0\0\x12\x04\0\0\0\0\0".to_vec()),
        alert(70),
        alert(40),
        alert(120),
    ] {
        all.push(last(script, &options).await);
    }
    insta::assert_snapshot!(all.join("\n"), @r"
    closed-before-tls: tls failed: tls handshake eof after no octet
    tls-stalled: tls failed: no answer within 500ms, 0 octets came
    not-tls: tls failed: it began with `HTTP/1.1 400 Bad Request`
    not-tls: tls failed: it began with `\x00\x00\x12\x04\x00\x00\x00\x00\x00`
    tls-version: tls failed: alert 70 protocol_version
    tls-no-common-parameters: tls failed: alert 40 handshake_failure
    alpn-mismatch: tls failed: alert 120 no_application_protocol
    ");
}

#[tokio::test(start_paused = true)]
async fn server() {
    let mesh = Mesh::new();
    let other = Authority::new("other");
    let issue = |leaf: &Leaf| mesh.authority.issue(leaf);
    let nameless = Leaf {
        uris: Vec::new(),
        ..Leaf::of(SERVER)
    };
    let foreign = Leaf {
        uris: vec!["https://shop.example".to_owned()],
        ..Leaf::of(SERVER)
    };
    let servers = [
        other.issue(&Leaf::of(SERVER)),
        issue(&Leaf::of(SERVER).valid(Validity::Past)),
        issue(&Leaf::of(SERVER).valid(Validity::Future)),
        issue(&nameless),
        issue(&foreign),
        issue(&Leaf::of("cluster.local/ns/shop/sa/other")),
        issue(&Leaf::of("other.example/ns/shop/sa/db")),
    ];
    let options = Options {
        expected: Some(
            format!("{}{SERVER}", ambient_facts::tunnel::SPIFFE_SCHEME)
                .parse()
                .unwrap(),
        ),
        ..mesh.options()
    };
    let mut all = Vec::new();
    for server in servers {
        let script = Script::tls(&server, ClientPolicy::Required, Secured::Silent);
        all.push(last(script, &options).await);
    }
    // The own trust domain is as good as an expected one.
    let foreign = issue(&Leaf::of("other.example/ns/shop/sa/db"));
    let script = Script::tls(&foreign, ClientPolicy::Required, Secured::Silent);
    all.push(last(script, &mesh.with_certificate()).await);
    insta::assert_snapshot!(all.join("\n"), @"
    server-untrusted: identity failed: issued by `CN=rcgen self signed cert, O=other`, which leads to no root of --root
    server-expired: identity failed: the certificate expired 60 minutes ago
    server-not-yet-valid: identity failed: the certificate is valid 60 minutes from now
    server-not-spiffe: identity failed: it has no URI
    server-not-spiffe: identity failed: its URIs: https://shop.example
    server-identity-unexpected: identity failed: `spiffe://cluster.local/ns/shop/sa/other` instead of `spiffe://cluster.local/ns/shop/sa/db`
    server-trust-domain: identity failed: `spiffe://other.example/ns/shop/sa/db` instead of `spiffe://cluster.local/ns/shop/sa/db`
    server-trust-domain: identity failed: `spiffe://other.example/ns/shop/sa/db`, and we are `spiffe://cluster.local/ns/shop/sa/web`
    ");
}

#[tokio::test(start_paused = true)]
async fn client() {
    let mesh = Mesh::new();
    let mut all = Vec::new();
    for error in [
        CertificateError::UnknownIssuer,
        CertificateError::Expired,
        CertificateError::InvalidPurpose,
        CertificateError::ApplicationVerificationFailure,
        CertificateError::Revoked,
        CertificateError::NotValidForName,
    ] {
        let clients = ClientPolicy::Refused(error);
        let script = Script::tls(&mesh.server, clients, Secured::Silent);
        all.push(last(script, &mesh.with_certificate()).await);
    }
    insta::assert_snapshot!(all.join("\n"), @"
    client-untrusted: identity failed: alert 48 unknown_ca
    client-expired: identity failed: alert 45 certificate_expired
    client-wrong-usage: identity failed: alert 43 unsupported_certificate
    client-denied: identity failed: alert 49 access_denied
    client-denied: identity failed: alert 44 certificate_revoked
    client-rejected: identity failed: alert 42 bad_certificate
    ");
}

/// Whether the alert or the end of the connection comes first is a matter of luck on the way.
#[tokio::test]
async fn a_refusal_of_a_certificate_is_never_taken_for_something_else() {
    let mesh = Mesh::new();
    let clients = ClientPolicy::Refused(CertificateError::UnknownIssuer);
    let peer = Peer::start(Script::tls(&mesh.server, clients, Secured::Silent)).await;
    let options = mesh.with_certificate();
    for _ in 0..200 {
        let report = probe(peer.address, &options).await;
        assert_eq!(report.cause, Cause::ClientUntrusted, "{}", told(&report));
    }
}

#[tokio::test(start_paused = true)]
async fn http2_that_does_not_come_about() {
    let mesh = Mesh::new();
    let options = mesh.with_certificate();
    let goaway = |code: u8| {
        let mut octets = b"\0\0\0\x04\0\0\0\0\0".to_vec();
        octets.extend(b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0");
        octets.push(code);
        Secured::Octets(octets)
    };
    let mut all = Vec::new();
    for then in [
        goaway(0),
        goaway(11),
        Secured::Octets(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        Secured::Close,
        Secured::Silent,
    ] {
        let script = Script::tls(&mesh.server, ClientPolicy::Required, then);
        all.push(last(script, &options).await);
    }
    let script = Script::Tls {
        issued: mesh.server.clone(),
        protocols: Vec::new(),
        clients: ClientPolicy::Required,
        then: Secured::Close,
    };
    all.push(last(script, &options).await);
    let script = Script::Tls {
        issued: mesh.server.clone(),
        protocols: vec![b"http/1.1".to_vec()],
        clients: ClientPolicy::Required,
        then: Secured::Close,
    };
    all.push(last(script, &options).await);
    insta::assert_snapshot!(all.join("\n"), @"
    draining: http2 failed: GOAWAY NO_ERROR
    http2-error: http2 failed: GOAWAY ENHANCE_YOUR_CALM
    http2-error: http2 failed: the peer broke a rule of HTTP/2: frame with invalid size
    http2-error: http2 failed: the peer closed the connection
    http2-stalled: http2 failed: no answer within 500ms
    alpn-mismatch: http2 failed: the peer chose no protocol, and the peer closed the connection
    alpn-mismatch: tls failed: alert 120 no_application_protocol
    ");
}

#[tokio::test(start_paused = true)]
async fn connect_and_data() {
    let mesh = Mesh::new();
    let options = mesh.with_target();
    let mut all = Vec::new();
    for status in [400, 401, 403, 404, 418, 500, 503, 504] {
        all.push(last(http2(&mesh, Tunnel::Status(status)), &options).await);
    }
    for tunnel in [Tunnel::Silent, Tunnel::Reset] {
        all.push(last(http2(&mesh, tunnel), &options).await);
    }
    all.push(last(http2(&mesh, Tunnel::Echo), &options).await);
    let sizes = Options {
        sizes: vec![9000, 1],
        ..options.clone()
    };
    all.push(last(http2(&mesh, Tunnel::Stuck), &sizes).await);
    insta::assert_snapshot!(all.join("\n"), @"
    connect-bad-request: connect failed: status 400
    connect-denied: connect failed: status 401
    connect-denied: connect failed: status 403
    connect-not-found: connect failed: status 404
    connect-bad-request: connect failed: status 418
    connect-unavailable: connect failed: status 500
    connect-unavailable: connect failed: status 503
    connect-upstream-timeout: connect failed: status 504
    connect-stalled: connect failed: no answer within 500ms
    stream-reset: connect failed: RST_STREAM INTERNAL_ERROR
    healthy: data ok: the tunnel stays open; nothing was sent
    data-stalled: data failed: 9000 octets: no answer within 500ms
    ");
    let closed = against(http2(&mesh, Tunnel::Closed), &options).await;
    assert!(closed.starts_with("app-closed\n"), "{closed}");
}

#[tokio::test(start_paused = true)]
async fn an_expired_server_is_told_without_roots() {
    let mesh = Mesh::new();
    let server = mesh
        .authority
        .issue(&Leaf::of(SERVER).valid(Validity::Past));
    let script = Script::tls(&server, ClientPolicy::Required, Secured::Silent);
    let options = Options {
        roots: None,
        ..mesh.options()
    };
    let told = last(script, &options).await;
    assert!(
        told.starts_with("server-expired: identity failed: the certificate expired"),
        "{told}"
    );
}
