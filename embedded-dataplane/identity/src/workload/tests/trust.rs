//! What changes while connections are there.

use super::*;

#[tokio::test]
async fn w21_a_client_of_an_alias_of_the_trust_domain_is_admitted() {
    let root = Authority::new("root");
    let old = "old.example/ns/shop/sa/web";
    let client = alone(&root, old);
    let server = issued(&root.issue(&Leaf::of(DB)), &root);
    let trusting = |aliases: &[&str]| {
        let trust = Trust::new(aliases.iter().map(|&a| a.to_owned()));
        Workload::new(&id(DB), &server, &trust, TlsOptions::default()).unwrap()
    };
    let alias = trusting(&["old.example", "older.example"]);
    let (_, seen) = meet(&client, &alias, expecting(DB)).await.1.unwrap();
    assert_eq!(*seen.identity(), id(old));
    let refused = meet(&client, &trusting(&["older.example"]), expecting(DB)).await;
    let text = client_fault(refused).to_string();
    assert_eq!(
        text,
        format!(
            "the client is `{}`, and not of trust domain `cluster.local` or `older.example`",
            id(old)
        )
    );
}

#[tokio::test]
async fn w20_new_roots_count_at_once_for_configurations_that_exist() {
    let (old, new) = (Authority::new("mesh"), Authority::new("mesh"));
    let trust = Trust::new([]);
    let options = TlsOptions::default();
    let first = issued(&old.issue(&Leaf::of(DB)), &old);
    let server = Workload::new(&id(DB), &first, &trust, options).unwrap();
    let client = alone(&new, WEB);
    let _belief = client.trust.believe(&first.roots);
    let refused = meet(&client, &server, expecting(DB)).await;
    assert_eq!(client_fault(refused), ChainFault::Untrusted.into());
    // Another identity of the process gets a certificate that comes with both roots.
    let both = Issued {
        roots: Roots::from_pem((old.root() + &new.root()).as_bytes()).unwrap(),
        ..issued(&new.issue(&Leaf::of(WEB)), &new)
    };
    let another = Workload::new(&id(WEB), &both, &trust, options).unwrap();
    assert!(meet(&client, &server, expecting(DB)).await.1.is_ok());
    // It is believed as long as somebody has it.
    drop(another);
    let refused = meet(&client, &server, expecting(DB)).await;
    assert_eq!(client_fault(refused), ChainFault::Untrusted.into());
}

#[tokio::test]
async fn revocation_ends_what_was_made_before_and_refuses_what_comes() {
    let root = Authority::new("root");
    let details = |serial| Details {
        serial: Some(serial),
        ..Details::default()
    };
    let server = alone(&root, DB);
    let bad = signed_with(&root, WEB, &Leaf::of(WEB), &details(70_000));
    let good = signed_with(&root, WEB, &Leaf::of(WEB), &details(70_001));
    let (_, bad_peer) = meet(&bad, &server, expecting(DB)).await.1.unwrap();
    let (_, good_peer) = meet(&good, &server, expecting(DB)).await.1.unwrap();
    let mut bad_watch = server.trust.watch(&bad_peer);
    let mut good_watch = server.trust.watch(&good_peer);

    let read = |text: String| RevocationLists::read(text.as_bytes()).unwrap();
    assert_eq!(
        server
            .trust
            .revoke(read(root.revoke(&[1, 2], Validity::Now))),
        0
    );
    let list = root.revoke(&[70_000], Validity::Past);
    assert_eq!(server.trust.revoke(read(list)), 1);
    assert_eq!(bad_watch.revoked().await, PeerFault::Revoked);
    let short = Duration::from_millis(1);
    timeout(short, good_watch.revoked()).await.unwrap_err();
    // Whoever asks again hears the same again.
    assert_eq!(bad_watch.revoked().await, PeerFault::Revoked);
    timeout(short, good_watch.revoked()).await.unwrap_err();

    let ends = meet(&bad, &server, expecting(DB)).await;
    assert_eq!(client_fault((Err(not_asked()), ends.1)), PeerFault::Revoked);
    assert_eq!(
        alert((ends.0, Err(not_asked()))).await,
        "certificate_revoked"
    );
    // One that was believed before the lists came, and is watched only now.
    let mut late = server.trust.watch(&bad_peer);
    assert_eq!(late.revoked().await, PeerFault::Revoked);
    // Nothing is kept of connections that are gone.
    drop((bad_watch, good_watch, late));
    assert_eq!(server.trust.watched(), 0);
}

/// A client of TLS 1.3 sends before it knows whether it is let in. What answers that by a reset takes
/// the reason away from it.
#[tokio::test]
async fn a_client_that_is_refused_may_send_until_it_has_read_why() {
    let authority = Authority::new("one");
    let server = alone(&authority, DB);
    let stranger = alone(&authority, "elsewhere.example/ns/shop/sa/web");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let connected = stranger.connect(stream, expecting(DB)).await;
        let (mut stream, _) = connected.unwrap();
        // Each comes after the refusal, and the second after what the first would be answered by.
        for _ in 0..2 {
            sleep(Duration::from_millis(50)).await;
            stream.write_all(&[0; 1000]).await.unwrap();
        }
        stream.read_u8().await.unwrap_err()
    };
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        server.accept(stream).await.unwrap_err()
    };
    let begun = Instant::now();
    let (error, _) = tokio::join!(client, serve);
    let fault = TlsFault::of(&error);
    assert!(matches!(fault, Some(TlsFault::Alert(_))), "{error:?}");
    // Nobody waits for a client that has ended its stream.
    assert!(begun.elapsed() < FAREWELL, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_refused_and_stays_is_left() {
    let authority = Authority::new("one");
    let server = alone(&authority, DB);
    let stranger = alone(&authority, "elsewhere.example/ns/shop/sa/web");
    let begun = Instant::now();
    // The client has its end of the stream until both are done.
    let ends = meet(&stranger, &server, expecting(DB)).await;
    assert!(ends.0.is_ok());
    assert_eq!(begun.elapsed(), FAREWELL);
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_in_good_standing_as_long_as_a_new_handshake_would_believe_it() {
    let (root, other) = (Authority::new("root"), Authority::new("other"));
    let details = Details {
        serial: Some(70_000),
        ..Details::default()
    };
    let tls = TlsOptions {
        clock: Clock::of_tokio(),
        ..TlsOptions::default()
    };
    let server = signed_with(&root, DB, &Leaf::of(DB), &details);
    let clients = || {
        let first = issued(&root.issue(&Leaf::of(WEB)), &root);
        let trust = Trust::new([]);
        let client = Workload::new(&id(WEB), &first, &trust, tls).unwrap();
        (client, trust)
    };
    // Revoked, and what does not concern it.
    let (client, trust) = clients();
    let (_, peer) = meet(&client, &server, expecting(DB)).await.0.unwrap();
    let standing = Standing::of(&trust, &peer);
    assert_eq!(standing.check(), Ok(()));
    let read = |text: String| RevocationLists::read(text.as_bytes()).unwrap();
    trust.revoke(read(root.revoke(&[1], Validity::Now)));
    assert_eq!(standing.check(), Ok(()));
    trust.revoke(read(root.revoke(&[70_000], Validity::Now)));
    assert_eq!(standing.check(), Err(PeerFault::Revoked));
    assert_eq!(Standing::of(&trust, &peer).check(), Err(PeerFault::Revoked));
    // Of a root that is believed no more, and then again.
    let (client, trust) = clients();
    let (_, peer) = meet(&client, &server, expecting(DB)).await.0.unwrap();
    let standing = Standing::of(&trust, &peer);
    let roots = |of: &Authority| Roots::from_pem(of.root().as_bytes()).unwrap();
    let _belief = trust.believe(&roots(&other));
    assert_eq!(standing.check(), Ok(()));
    drop(client);
    assert_eq!(standing.check(), Err(ChainFault::Untrusted.into()));
    let _belief = trust.believe(&roots(&root));
    assert_eq!(standing.check(), Ok(()));
    // Expired.
    advance(Duration::from_mins(59)).await;
    assert_eq!(standing.check(), Ok(()));
    advance(Duration::from_mins(2)).await;
    assert_eq!(standing.check(), Err(ChainFault::Expired.into()));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_expired_before_anybody_looked_again_is_not_in_good_standing() {
    let root = Authority::new("root");
    let first = issued(&root.issue(&Leaf::of(WEB)), &root);
    let trust = Trust::new([]);
    let tls = TlsOptions {
        clock: Clock::of_tokio(),
        ..TlsOptions::default()
    };
    let client = Workload::new(&id(WEB), &first, &trust, tls).unwrap();
    let (_, peer) = meet(&client, &alone(&root, DB), expecting(DB))
        .await
        .0
        .unwrap();
    advance(Duration::from_mins(61)).await;
    let standing = Standing::of(&trust, &peer);
    assert_eq!(standing.check(), Err(ChainFault::Expired.into()));
}

#[tokio::test]
async fn roots_that_go_during_a_handshake_take_the_peer_with_them() {
    let [own, root, other] = ["own", "root", "other"].map(Authority::new);
    let trust = Trust::new([]);
    let first = issued(&own.issue(&Leaf::of(WEB)), &own);
    let client = Workload::new(&id(WEB), &first, &trust, TlsOptions::default()).unwrap();
    let believe = |of: &Authority| trust.believe(&Roots::from_pem(of.root().as_bytes()).unwrap());
    let belief = believe(&root);
    let before = trust.beliefs().anchors;
    let ends = meet(&client, &alone(&root, DB), expecting(DB)).await;
    let (stream, _) = ends.0.unwrap();
    let peer = || {
        let certificates = stream.get_ref().1.peer_certificates();
        client.peer(&before, certificates, Usage::Server, |_| true)
    };
    // As if these had come and gone before the end of it.
    let _another = believe(&other);
    assert_eq!(*peer().unwrap().identity(), id(DB));
    drop(belief);
    assert_eq!(peer().unwrap_err(), ChainFault::Untrusted.into());
}
