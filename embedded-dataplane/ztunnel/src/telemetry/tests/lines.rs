//! The access log, against the lines that ztunnel writes of the same connections.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_connection_through_a_tunnel_has_ztunnels_line_at_both_relays() {
    let setup = setup(Bounds::default(), "info");
    let log = setup.logged(async {
        let outbound = setup.tunnelled(Direction::Outbound);
        carry(&setup.telemetry, outbound, [111, 153], finished()).await;
        let inbound = setup.tunnelled(Direction::Inbound);
        carry(&setup.telemetry, inbound, [111, 153], finished()).await;
    });
    // From `src.addr` to `duration` as recorded; `closed.…` is ours.
    assert_eq!(
        log.await,
        "info\taccess\tconnection complete\tsrc.addr=10.244.1.4:46366 \
         src.workload=\"client-66ff8898df-x5n9v\" src.namespace=\"shop\" \
         src.identity=\"spiffe://cluster.local/ns/shop/sa/default\" src.cluster=\"Kubernetes\" \
         dst.addr=10.244.2.5:15008 dst.hbone_addr=10.244.2.5:8080 \
         dst.service=\"server.shop.svc.cluster.local\" dst.workload=\"server-745758887c-hkw9h\" \
         dst.namespace=\"shop\" dst.identity=\"spiffe://cluster.local/ns/shop/sa/default\" \
         dst.cluster=\"Kubernetes\" direction=\"outbound\" bytes_sent=111 bytes_recv=153 \
         duration=\"1ms\" closed.by=\"client\" closed.how=\"finished\"\n\
         info\taccess\tconnection complete\tsrc.addr=10.244.1.4:56450 \
         src.workload=\"client-66ff8898df-x5n9v\" src.namespace=\"shop\" \
         src.identity=\"spiffe://cluster.local/ns/shop/sa/default\" src.cluster=\"Kubernetes\" \
         dst.addr=10.244.2.5:15008 dst.hbone_addr=10.244.2.5:8080 \
         dst.service=\"server.shop.svc.cluster.local\" dst.workload=\"server-745758887c-hkw9h\" \
         dst.namespace=\"shop\" dst.identity=\"spiffe://cluster.local/ns/shop/sa/default\" \
         dst.cluster=\"Kubernetes\" direction=\"inbound\" bytes_sent=153 bytes_recv=111 \
         duration=\"1ms\" closed.by=\"client\" closed.how=\"finished\"\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_the_clear_has_no_identities() {
    let setup = setup(Bounds::default(), "info");
    let log = setup.logged(async {
        let about = About {
            source: address("10.244.2.9:57280"),
            client: setup.workload("10.244.2.9"),
            service: None,
            ..setup.plain(Direction::Inbound)
        };
        carry(&setup.telemetry, about, [1, 2], finished()).await;
        let unknown = About {
            source: address("192.0.2.1:4"),
            client: None,
            destination: address("192.0.2.2:443"),
            server: None,
            service: None,
            ..setup.plain(Direction::Outbound)
        };
        carry(&setup.telemetry, unknown, [0, 0], finished()).await;
    });
    assert_eq!(
        log.await,
        "info\taccess\tconnection complete\tsrc.addr=10.244.2.9:57280 src.workload=\"plain\" \
         src.namespace=\"outside\" src.cluster=\"Kubernetes\" dst.addr=10.244.2.5:8080 \
         dst.workload=\"server-745758887c-hkw9h\" dst.namespace=\"shop\" dst.cluster=\"Kubernetes\" \
         direction=\"inbound\" bytes_sent=2 bytes_recv=1 duration=\"1ms\" closed.by=\"client\" \
         closed.how=\"finished\"\n\
         info\taccess\tconnection complete\tsrc.addr=192.0.2.1:4 dst.addr=192.0.2.2:443 \
         direction=\"outbound\" bytes_sent=0 bytes_recv=0 duration=\"1ms\" closed.by=\"client\" \
         closed.how=\"finished\"\n"
    );
}

/// What a line says of an end: its level, and everything from the duration on.
fn end_of(log: &str) -> String {
    let (level, rest) = log.split_once('\t').unwrap();
    let at = rest.find("duration=").unwrap();
    format!("{level} {}", rest[at..].trim_end())
}

#[tokio::test(start_paused = true)]
async fn every_end_is_told_and_failures_in_the_words_that_people_search_for() {
    let setup = setup(Bounds::default(), "info");
    let relay = address("10.244.2.5:15008");
    let silence = Failure::Silence {
        relay,
        within: Duration::from_secs(10),
    };
    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    let tls = HandshakeError::Io(io::ErrorKind::UnexpectedEof.into());
    let ends = [
        End::Over(Ending::Finished(Side::Server)),
        End::Over(Ending::Reset(Side::Server)),
        End::Over(Ending::Failed {
            at: Side::Client,
            detail: "the link is down".to_owned(),
        }),
        End::Failed(Failure::NoWay(ConnectError::Status(
            StatusCode::UNAUTHORIZED,
        ))),
        End::Failed(silence),
        End::Failed(Failure::Connect(refused)),
        End::Failed(Failure::Tls(Arc::new(tls.into()))),
        End::Failed(Failure::Refused(Refusal::NoUpstream(relay))),
        End::Drained,
        End::Revoked(PeerFault::Revoked),
        End::Panicked,
    ];
    let mut told = String::new();
    for end in ends {
        let log = setup.logged(async {
            let record = setup.telemetry.open(setup.tunnelled(Direction::Outbound));
            advance(Duration::from_secs(10)).await;
            record.close(&end);
        });
        told += &(end_of(&log.await) + "\n");
    }
    let log = setup.logged(async {
        drop(setup.telemetry.open(setup.tunnelled(Direction::Outbound)));
    });
    told += &end_of(&log.await);
    insta::assert_snapshot!(told, @r#"
    info duration="10000ms" closed.by="server" closed.how="finished"
    info duration="10000ms" closed.by="server" closed.how="reset"
    error duration="10000ms" closed.by="client" closed.how="broken" error="the link is down"
    error duration="10000ms" closed.by="relay" closed.how="unreached" error="http status: 401 Unauthorized"
    error duration="10000ms" closed.by="relay" closed.how="unreached" error="connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: 10.244.2.5 did not answer within 10s"
    error duration="10000ms" closed.by="relay" closed.how="unreached" error="connection failed: connection refused"
    error duration="10000ms" closed.by="relay" closed.how="unreached" error="tls error: the connection broke during the handshake: unexpected end of file"
    error duration="10000ms" closed.by="relay" closed.how="refused" error="no healthy upstream: 10.244.2.5:15008"
    error duration="10000ms" closed.by="relay" closed.how="drained" error="connection closed due to connection drain"
    error duration="10000ms" closed.by="relay" closed.how="revoked" error="connection closed: peer certificate revoked by CRL: a certificate of the chain is revoked"
    error duration="10000ms" closed.by="relay" closed.how="panicked" error="the task of the connection panicked, which is a bug"
    error duration="0ms" closed.by="relay" closed.how="dropped" error="the task of the connection was dropped"
    "#);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_told_when_it_opens_and_which_trace_it_is_of_where_that_is_asked_for() {
    let setup = setup(Bounds::default(), "info,access=debug");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let log = setup.logged(async {
        let about = About {
            trace: Some(Traceparent::decode(trace.as_bytes()).unwrap()),
            client: None,
            server: None,
            service: None,
            ..setup.plain(Direction::Outbound)
        };
        carry(&setup.telemetry, about, [1, 1], finished()).await;
    });
    assert_eq!(
        log.await,
        "debug\taccess\tconnection opened\tsrc.addr=10.244.1.4:46366 dst.addr=10.244.2.5:8080 \
         direction=\"outbound\" trace=\"0af7651916cd43dd8448eb211c80319c\"\n\
         info\taccess\tconnection complete\tsrc.addr=10.244.1.4:46366 dst.addr=10.244.2.5:8080 \
         direction=\"outbound\" bytes_sent=1 bytes_recv=1 duration=\"1ms\" \
         trace=\"0af7651916cd43dd8448eb211c80319c\" closed.by=\"client\" closed.how=\"finished\"\n"
    );
}

#[tokio::test(start_paused = true)]
async fn what_anybody_can_bring_about_is_a_few_lines_however_often_it_happens() {
    let setup = setup(Bounds::default(), "info");
    let error = || TlsFailure::from(HandshakeError::Peer(PeerFault::NoCertificate));
    let early = |failure: &Failure| {
        setup.telemetry.refuse(&Early {
            direction: Direction::Inbound,
            source: address("192.0.2.1:4"),
            destination: address("10.244.2.5:15008"),
            failure,
        });
    };
    let log = setup.logged(async {
        for _ in 0..1000 {
            early(&Failure::Refused(Refusal::Loop));
        }
        sleep(Duration::from_secs(1)).await;
        setup.telemetry.handshake(&Handshake {
            direction: Direction::Inbound,
            peer: address("192.0.2.1:4"),
            took: Duration::from_millis(3),
            outcome: Err(&error()),
        });
        early(&Failure::Tls(Arc::new(error())));
        early(&Failure::Identity(StoreError::Full(7)));
    });
    let line = |rest: &str| {
        format!(
            "warn\taccess\tconnection failed\tsrc.addr=192.0.2.1:4 dst.addr=10.244.2.5:15008 \
             direction=\"inbound\" {rest}\n"
        )
    };
    let refused = line("error=\"attempted recursive call to ourselves\"");
    let failed = line("untold=990 error=\"tls error: the peer showed no certificate\"");
    let full = "no room for the certificate of another workload: 7 are held";
    let missing = line(&format!("error=\"identity error: {full}\""));
    assert_eq!(log.await, refused.repeat(10) + &failed + &missing);
    let sorted = |name: &str| {
        let text = setup.exposed(name);
        let mut lines: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(
        [
            sorted("ambient_tcp_connections_refused"),
            sorted("ambient_tls_handshakes_failed")
        ]
        .concat(),
        [
            "ambient_tcp_connections_refused_total{reporter=\"destination\",reason=\"certificate\"} 1",
            "ambient_tcp_connections_refused_total{reporter=\"destination\",reason=\"route\"} 1000",
            "ambient_tcp_connections_refused_total{reporter=\"destination\",reason=\"tls\"} 1",
            "ambient_tls_handshakes_failed_total{reporter=\"destination\",reason=\"peer\"} 1",
        ]
    );
}
