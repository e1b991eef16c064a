//! What TLS is made of.

use super::*;

#[tokio::test]
async fn no_session_is_resumed_by_whoever_would() {
    let root = Authority::new("root");
    let server = alone(&root, WEB);
    let web = issued(&root.issue(&Leaf::of(WEB)), &root);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = another(&web, &server.trust, provider, &TLS13);
    let connector = TlsConnector::from(Arc::new(config));
    for _ in 0..2 {
        let (near, far) = duplex(1 << 16);
        let name = ServerName::try_from("db").unwrap();
        let (client, server) = tokio::join!(connector.connect(name, near), server.accept(far));
        let (mut client, (mut server, _)) = (client.unwrap(), server.unwrap());
        server.write_all(b"x").await.unwrap();
        server.flush().await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
        let (_, connection) = client.get_ref();
        assert_eq!(
            connection.handshake_kind(),
            Some(rustls::HandshakeKind::Full)
        );
        assert_eq!(connection.tls13_tickets_received(), 0);
    }
}

#[tokio::test]
async fn policies_permit_what_they_say() {
    let root = Authority::new("root");
    let web = issued(&root.issue(&Leaf::of(WEB)), &root);
    let with = |policy| {
        let options = TlsOptions {
            policy,
            ..TlsOptions::default()
        };
        Workload::new(&id(WEB), &web, &Trust::new([]), options).unwrap()
    };
    let policies = [TlsPolicy::Tls13, TlsPolicy::Tls12, TlsPolicy::PostQuantum];
    let mut outcomes = Vec::new();
    for client in policies {
        for server in policies {
            let ends = meet(&with(client), &with(server), expecting(WEB)).await;
            let outcome = match ends.0 {
                Ok((stream, _)) => {
                    let (_, connection) = stream.get_ref();
                    let group = connection.negotiated_key_exchange_group().unwrap();
                    format!("{:?}", group.name())
                }
                Err(error) => error.to_string(),
            };
            outcomes.push(format!("{client:?} to {server:?}: {outcome}"));
        }
    }
    insta::assert_snapshot!(outcomes.join("\n"), @r"
    Tls13 to Tls13: X25519
    Tls13 to Tls12: X25519
    Tls13 to PostQuantum: X25519MLKEM768
    Tls12 to Tls13: X25519
    Tls12 to Tls12: X25519
    Tls12 to PostQuantum: X25519MLKEM768
    PostQuantum to Tls13: X25519MLKEM768
    PostQuantum to Tls12: X25519MLKEM768
    PostQuantum to PostQuantum: X25519MLKEM768
    ");
}

#[test]
fn every_suite_of_every_policy_is_aes_in_gcm() {
    for policy in [TlsPolicy::Tls13, TlsPolicy::Tls12, TlsPolicy::PostQuantum] {
        let provider: Arc<CryptoProvider> = policy.provider();
        for suite in &provider.cipher_suites {
            let name = format!("{:?}", suite.suite());
            assert!(name.contains("_AES_") && name.contains("_GCM_"), "{name}");
        }
    }
    let groups = &TlsPolicy::PostQuantum.provider().kx_groups;
    let names: Vec<NamedGroup> = groups.iter().map(|g| g.name()).collect();
    assert_eq!(names, [kx_group::X25519MLKEM768.name()]);
}

/// A client of another make, which may do what ours may not.
fn another(
    web: &Issued,
    trust: &Arc<Trust>,
    provider: Arc<CryptoProvider>,
    version: &'static SupportedProtocolVersion,
) -> ClientConfig {
    let servers = Servers {
        trust: Arc::clone(trust),
        expected: expecting(WEB),
    };
    let key = SingleCertAndKey::from(Arc::clone(&web.credentials.key));
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(servers))
        .with_client_cert_resolver(Arc::new(key))
}

#[tokio::test]
async fn a_peer_without_the_group_after_quantum_computers_is_refused_where_that_is_asked_for() {
    let root = Authority::new("root");
    let web = issued(&root.issue(&Leaf::of(WEB)), &root);
    let options = TlsOptions {
        policy: TlsPolicy::PostQuantum,
        ..TlsOptions::default()
    };
    let server = Workload::new(&id(WEB), &web, &Trust::new([]), options).unwrap();
    let provider = Arc::new(CryptoProvider {
        kx_groups: vec![kx_group::X25519],
        ..aws_lc_rs::default_provider()
    });
    let config = another(&web, &server.trust, provider, &TLS13);
    let connector = TlsConnector::from(Arc::new(config));
    let (near, far) = duplex(1 << 16);
    let (client, refused) = tokio::join!(connector.connect(nobody(), near), server.accept(far));
    drop(client);
    assert!(matches!(
        refused,
        Err(HandshakeError::Tls(TlsFault::NothingInCommon))
    ));
}

#[tokio::test]
async fn an_older_peer_is_spoken_with_only_where_that_is_permitted() {
    let root = Authority::new("root");
    let web = issued(&root.issue(&Leaf::of(WEB)), &root);
    let server = |policy| {
        let options = TlsOptions {
            policy,
            ..TlsOptions::default()
        };
        Workload::new(&id(WEB), &web, &Trust::new([]), options).unwrap()
    };
    let client = server(TlsPolicy::Tls12);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = another(&web, &client.trust, provider, &TLS12);
    let connector = TlsConnector::from(Arc::new(config));
    let mut outcomes = Vec::new();
    for policy in [TlsPolicy::Tls12, TlsPolicy::Tls13] {
        let (near, far) = duplex(1 << 16);
        let server = server(policy);
        let (client, server) = tokio::join!(connector.connect(nobody(), near), server.accept(far));
        drop(client);
        outcomes.push(match server {
            Ok((_, peer)) => peer.identity().to_string(),
            Err(error) => error.to_string(),
        });
    }
    insta::assert_snapshot!(outcomes.join("\n"), @r"
    spiffe://cluster.local/ns/shop/sa/web
    the peer has no version of TLS that is permitted here
    ");
}
