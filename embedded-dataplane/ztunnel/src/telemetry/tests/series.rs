//! Metrics, against those that ztunnel shows of the same connections.

use std::fmt::Write as _;

use super::*;

/// The labels of a connection of the client to the server.
fn labels(reporter: &str, principal: &str, flag: &str, policy: &str) -> String {
    let server = "spiffe://cluster.local/ns/shop/sa/default";
    format!(
        "{{reporter=\"{reporter}\",source_workload=\"client\",source_canonical_service=\"client\",\
         source_canonical_revision=\"latest\",source_workload_namespace=\"shop\",\
         source_principal=\"{principal}\",source_app=\"client\",source_version=\"latest\",\
         source_cluster=\"Kubernetes\",destination_service=\"server.shop.svc.cluster.local\",\
         destination_service_namespace=\"shop\",destination_service_name=\"server\",\
         destination_workload=\"server\",destination_canonical_service=\"server\",\
         destination_canonical_revision=\"latest\",destination_workload_namespace=\"shop\",\
         destination_principal=\"{server}\",destination_app=\"server\",\
         destination_version=\"latest\",destination_cluster=\"Kubernetes\",request_protocol=\"tcp\",\
         response_flags=\"{flag}\",connection_security_policy=\"{policy}\",\
         source_region=\"unknown\",source_zone=\"unknown\",destination_region=\"unknown\",\
         destination_zone=\"unknown\"}}"
    )
}

#[tokio::test(start_paused = true)]
async fn connections_have_ztunnels_series() {
    let setup = setup(Bounds::default(), "off");
    let about = |direction| setup.tunnelled(direction);
    carry(
        &setup.telemetry,
        about(Direction::Outbound),
        [111, 153],
        finished(),
    )
    .await;
    carry(
        &setup.telemetry,
        about(Direction::Outbound),
        [9, 7],
        finished(),
    )
    .await;
    carry(
        &setup.telemetry,
        about(Direction::Inbound),
        [111, 153],
        finished(),
    )
    .await;
    carry(
        &setup.telemetry,
        setup.plain(Direction::Outbound),
        [1, 2],
        finished(),
    )
    .await;
    let failure = End::Failed(Failure::NoWay(ConnectError::Status(
        StatusCode::UNAUTHORIZED,
    )));
    setup
        .telemetry
        .open(about(Direction::Outbound))
        .close(&failure);
    let _open = setup.telemetry.open(about(Direction::Outbound));

    let client = "spiffe://cluster.local/ns/shop/sa/default";
    let outbound = labels("source", client, "-", "mutual_tls");
    let inbound = labels("destination", client, "-", "mutual_tls");
    let plain = labels("source", "unknown", "-", "unknown");
    let failed = labels("source", client, "CONNECT", "mutual_tls");
    let mut expected = String::new();
    for (name, values) in [
        ("connections_opened", [Some(4), Some(1), Some(1), None]),
        ("connections_closed", [Some(2), Some(1), Some(1), Some(1)]),
        ("received_bytes", [Some(120), Some(111), Some(1), None]),
        ("sent_bytes", [Some(160), Some(153), Some(2), None]),
        ("connections_failed", [None, None, None, Some(1)]),
    ] {
        for (labels, value) in [&outbound, &inbound, &plain, &failed]
            .into_iter()
            .zip(values)
        {
            if let Some(value) = value {
                let _ = writeln!(expected, "istio_tcp_{name}_total{labels} {value}");
            }
        }
    }
    expected += "istio_tcp_sockets_open{reporter=\"source\"} 1\n";
    expected += "istio_tcp_sockets_open{reporter=\"destination\"} 0\n";
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&setup.exposed("istio_")), sorted(&expected));
}

#[tokio::test(start_paused = true)]
async fn octets_are_counted_while_a_connection_runs() {
    let setup = setup(Bounds::default(), "off");
    let record = setup.telemetry.open(setup.tunnelled(Direction::Outbound));
    let value = |name: &str| {
        let text = setup.exposed(name);
        text.trim_end().rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(value("istio_tcp_received_bytes"), "0");
    record.passed(Side::Client, 40);
    assert_eq!(value("istio_tcp_received_bytes"), "40");
    record.passed(Side::Client, 2);
    record.passed(Side::Server, 5);
    assert_eq!(
        [
            value("istio_tcp_received_bytes"),
            value("istio_tcp_sent_bytes")
        ],
        ["42", "5"]
    );
}

#[tokio::test(start_paused = true)]
async fn times_are_those_of_each_step() {
    let setup = setup(Bounds::default(), "off");
    let record = setup.telemetry.open(setup.tunnelled(Direction::Outbound));
    record.connected(Duration::from_micros(700));
    record.passed(Side::Client, 1);
    advance(Duration::from_millis(40)).await;
    record.passed(Side::Server, 1);
    advance(Duration::from_secs(40)).await;
    record.passed(Side::Server, 1);
    let identity = "spiffe://cluster.local/ns/shop/sa/default".parse().unwrap();
    setup.telemetry.handshake(&Handshake {
        direction: Direction::Inbound,
        peer: address("10.244.1.4:1"),
        took: Duration::from_millis(3),
        outcome: Ok(&identity),
    });
    let sums = |name: &str| {
        let lines = setup.exposed(name);
        let kept = lines.lines().filter(|line| {
            ["_sum", "_count", "le=\"0.0025\"", "le=\"0.05\""]
                .iter()
                .any(|part| line.contains(part))
        });
        kept.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        ["connect", "first_byte", "tls_handshake"]
            .map(|step| sums(&format!("ambient_{step}_duration")))
            .join("\n"),
        "ambient_connect_duration_seconds_sum{reporter=\"source\"} 0.0007\n\
         ambient_connect_duration_seconds_count{reporter=\"source\"} 1\n\
         ambient_connect_duration_seconds_bucket{le=\"0.0025\",reporter=\"source\"} 1\n\
         ambient_connect_duration_seconds_bucket{le=\"0.05\",reporter=\"source\"} 1\n\
         ambient_first_byte_duration_seconds_sum{reporter=\"source\"} 0.04\n\
         ambient_first_byte_duration_seconds_count{reporter=\"source\"} 1\n\
         ambient_first_byte_duration_seconds_bucket{le=\"0.0025\",reporter=\"source\"} 0\n\
         ambient_first_byte_duration_seconds_bucket{le=\"0.05\",reporter=\"source\"} 1\n\
         ambient_tls_handshake_duration_seconds_sum{reporter=\"destination\"} 0.003\n\
         ambient_tls_handshake_duration_seconds_count{reporter=\"destination\"} 1\n\
         ambient_tls_handshake_duration_seconds_bucket{le=\"0.0025\",reporter=\"destination\"} 0\n\
         ambient_tls_handshake_duration_seconds_bucket{le=\"0.05\",reporter=\"destination\"} 1"
    );
}

#[tokio::test(start_paused = true)]
async fn who_ended_connections_is_counted_and_those_that_are_open_are_listed() {
    let setup = setup(Bounds::default(), "off");
    let first = setup.telemetry.open(setup.tunnelled(Direction::Outbound));
    let second = setup.telemetry.open(setup.plain(Direction::Inbound));
    let listed = |telemetry: &Telemetry| {
        let connections = telemetry.connections().into_iter().map(|open| {
            let OpenConnection {
                direction,
                source,
                asked,
                destination,
                is_tunnelled,
            } = open;
            format!("{direction} {source} {asked} {destination} {is_tunnelled}")
        });
        connections.collect::<Vec<_>>()
    };
    assert_eq!(
        listed(&setup.telemetry),
        [
            "outbound 10.244.1.4:46366 10.96.240.189:8080 10.244.2.5:15008 true",
            "inbound 10.244.1.4:56450 10.96.240.189:8080 10.244.2.5:8080 false",
        ]
    );
    first.close(&End::Over(Ending::Reset(Side::Client)));
    drop(second);
    assert_eq!(listed(&setup.telemetry), [""; 0]);
    assert_eq!(
        setup.exposed("ambient_tcp_connections_ended").lines().collect::<std::collections::BTreeSet<_>>(),
        [
            "ambient_tcp_connections_ended_total{reporter=\"destination\",by=\"relay\",how=\"dropped\"} 1",
            "ambient_tcp_connections_ended_total{reporter=\"source\",by=\"client\",how=\"reset\"} 1",
        ]
        .into()
    );
}
