//! Refusals that share a cause and not their remedy.

use ambient_testkit::{ClientPolicy, Leaf, Purpose, Script, Secured, Tunnel};
use kubectl_ambient::probe::Options;
use rustls::CertificateError;

use crate::mesh::{Mesh, SERVER, advised, http2};

#[tokio::test(start_paused = true)]
async fn alerts_in_answer_to_the_first_octets() {
    let mesh = Mesh::new();
    let mut all = Vec::new();
    for number in [40, 49, 50, 70, 80, 112, 116, 120, 200] {
        let script = Script::Octets(vec![21, 3, 3, 0, 2, 2, number]);
        all.push(advised(script, &mesh.options()).await);
    }
    insta::assert_snapshot!(all.join("\n"), @"
    tls-no-common-parameters: alert 40 handshake_failure
      Compare `COMPLIANCE_POLICY` and the builds of both proxies.

    tls-no-common-parameters: alert 49 access_denied
      The peer failed on its own, as a proxy does that has no certificate: look at its log, and whether it reaches the control plane.

    tls-no-common-parameters: alert 50 decode_error
      What the peer got is not what was sent: something in between changes it, or the peer is no proxy of the mesh. A probe from the peer's own node tells the path from the peer.

    tls-version: alert 70 protocol_version
      Something in between ends TLS, or the peer is no proxy of the mesh: check the address.

    tls-no-common-parameters: alert 80 internal_error
      The peer failed on its own, as a proxy does that has no certificate: look at its log, and whether it reaches the control plane.

    tls-no-common-parameters: alert 112 unrecognized_name
      The peer wants the name of a server (SNI), which proxies of the mesh neither send nor ask for: check that the address is that of an enrolled pod or a waypoint.

    tls-no-common-parameters: alert 116 certificate_required
      What answers is no proxy of the mesh: check that the address is that of an enrolled pod or a waypoint, and the port the tunnel's.

    alpn-mismatch: alert 120 no_application_protocol
      Check that the address is that of an enrolled pod or a waypoint, and the port the tunnel's.

    tls-no-common-parameters: alert 200 unknown
      Look at the peer's log: the alert names a reason that has nothing to do with versions and groups.
    ");
}

#[tokio::test(start_paused = true)]
async fn alerts_in_answer_to_a_certificate() {
    let mesh = Mesh::new();
    let mut all = Vec::new();
    for error in [
        CertificateError::BadEncoding,
        CertificateError::BadSignature,
    ] {
        let clients = ClientPolicy::Refused(error);
        let script = Script::tls(&mesh.server, clients, Secured::Silent);
        all.push(advised(script, &mesh.with_certificate()).await);
    }
    insta::assert_snapshot!(all.join("\n"), @"
    client-rejected: alert 42 bad_certificate
      The peer finds the certificate itself wrong: give one of version 3 with the URI of a workload, signed by an authority of the mesh.

    client-untrusted: alert 51 decrypt_error
      Give a certificate of the same mesh, or distribute both roots.
    ");
}

#[tokio::test(start_paused = true)]
async fn statuses() {
    let mesh = Mesh::new();
    let mut all = Vec::new();
    for status in [204, 302, 400, 405, 407, 408, 421, 429, 501, 502] {
        let script = http2(&mesh, Tunnel::Status(status));
        all.push(advised(script, &mesh.with_target()).await);
    }
    insta::assert_snapshot!(all.join("\n"), @"
    connect-bad-request: status 204
      The peer agrees in a way that proxies of the mesh do not take, which is 200 alone: what answers is another kind of proxy. Check the address and the port.

    connect-bad-request: status 302
      What answers is a server of HTTP, and no proxy of the mesh: check that the address is that of an enrolled pod or a waypoint, and the port the tunnel's.

    connect-bad-request: status 400
      Connect to the address of the pod itself, and give a target with the same address.

    connect-bad-request: status 405
      What answers is a server of HTTP, and no proxy of the mesh: check that the address is that of an enrolled pod or a waypoint, and the port the tunnel's.

    connect-denied: status 407
      The peer is a forward proxy that wants a user's name and password, and no proxy of the mesh: check the address and the port.

    connect-bad-request: status 408
      Proxies of the mesh have no such answer: look at the peer's log for who gave it.

    connect-bad-request: status 421
      Connect to the address of the pod itself, and give a target with the same address.

    connect-unavailable: status 429
      The peer takes no more requests for now: look at rate limits at the waypoint, and probe less often.

    connect-bad-request: status 501
      What answers is a server of HTTP, and no proxy of the mesh: check that the address is that of an enrolled pod or a waypoint, and the port the tunnel's.

    connect-unavailable: status 502
      Check that the application listens on the port on its pod's address, and not on 127.0.0.1 only.
    ");
}

#[tokio::test(start_paused = true)]
async fn a_server_with_a_certificate_for_clients() {
    let mesh = Mesh::new();
    let leaf = Leaf::of(SERVER).only_for(Purpose::Client);
    let server = mesh.authority.issue(&leaf);
    let script = Script::tls(&server, ClientPolicy::Required, Secured::Silent);
    insta::assert_snapshot!(advised(script, &mesh.options()).await, @"
    server-untrusted: the certificate is not for servers (extended key usage)
      Have the peer's certificate issued for servers and clients both: clients of the mesh refuse one whose extended key usage lacks server authentication.
    ");
}

/// Proxies of the mesh take any of them for the expected one, and the first for policies.
#[tokio::test(start_paused = true)]
async fn a_server_with_two_identities() {
    let mesh = Mesh::new();
    let uris = |path| Leaf::of(path).uris;
    let server = mesh.authority.issue(&Leaf {
        uris: [uris("other.example/ns/shop/sa/db"), uris(SERVER)].concat(),
        ..Leaf::of(SERVER)
    });
    let mut all = Vec::new();
    for expected in [
        "cluster.local/ns/shop/sa/db",
        "cluster.local/ns/shop/sa/web",
        "third.example/ns/shop/sa/db",
    ] {
        let options = Options {
            expected: uris(expected).first().map(|uri| uri.parse().unwrap()),
            ..mesh.with_certificate()
        };
        let script = Script::tls(
            &server,
            ClientPolicy::Required,
            Secured::Http2(Tunnel::Echo),
        );
        all.push(advised(script, &options).await);
    }
    insta::assert_snapshot!(all.join("\n"), @"
    healthy: SETTINGS came, and PING was answered
      warning: the peer's certificate has 2 identities, where SPIFFE permits one: policies see the first alone
      None needed. To try more, give a certificate (`--cert`, `--key`) and a target (`--target`).

    server-identity-unexpected: `spiffe://other.example/ns/shop/sa/db` and `spiffe://cluster.local/ns/shop/sa/db` instead of `spiffe://cluster.local/ns/shop/sa/web`
      Compare with `kubectl get pod -A -o wide`; if the pod is right, look whether the proxies still get updates from the control plane.

    server-trust-domain: `spiffe://other.example/ns/shop/sa/db` and `spiffe://cluster.local/ns/shop/sa/db` instead of `spiffe://third.example/ns/shop/sa/db`
      Set `trustDomain` and `trustDomainAliases` of the mesh configurations so that both sides accept each other.
    ");
}

/// What is not known without a certificate is said: whether it speaks HTTP/2 where it chose no
/// protocol, and whether the tunnel that was asked for is there.
#[tokio::test(start_paused = true)]
async fn what_only_a_certificate_shows() {
    let mesh = Mesh::new();
    let options = Options {
        target: mesh.with_target().target,
        ..mesh.options()
    };
    let script = Script::Tls {
        issued: mesh.server.clone(),
        protocols: Vec::new(),
        clients: ClientPolicy::Required,
        then: Secured::Silent,
    };
    insta::assert_snapshot!(advised(script, &options).await, @"
    healthy: spiffe://cluster.local/ns/shop/sa/db (verified), alert 116 certificate_required
      warning: the peer chose no protocol (ALPN), where proxies of the mesh choose `h2`: with --cert and --key it shows whether it speaks HTTP/2
      warning: the tunnel to 10.0.0.7:8080 was not tried: it takes --cert and --key
      None needed. To try more, give a certificate (`--cert`, `--key`) and a target (`--target`).
    ");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_leaves_within_the_handshake() {
    let mesh = Mesh::new();
    let closing = Script::Octets(vec![21, 3, 3, 0, 2, 1, 0]);
    insta::assert_snapshot!(advised(closing, &mesh.options()).await, @"
    tls-no-common-parameters: tls handshake eof after 7 octets
      The peer left in the middle of the handshake without a reason: look at its log, and at what may end connections in between.
    ");
}
