//! What grows in ztunnel for as long as it runs.

use super::*;

fn small() -> Bounds {
    Bounds {
        series: 8,
        idle: Duration::from_mins(10),
    }
}

/// A connection to a workload of that name.
fn to(setup: &Setup, name: &str) -> About {
    let server = setup.workload("10.244.2.5").unwrap();
    let server = Workload {
        controller: name.to_owned(),
        ..Workload::clone(&server)
    };
    About {
        server: Some(Arc::new(server)),
        ..setup.tunnelled(Direction::Outbound)
    }
}

/// The sum of a counter, and of how many series.
fn total(setup: &Setup, name: &str) -> (u64, usize) {
    let lines = setup.exposed(&format!("istio_tcp_{name}_total"));
    let values = lines
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
    (values.clone().sum(), values.count())
}

#[tokio::test(start_paused = true)]
async fn series_of_workloads_that_are_gone_go_after_a_while() {
    let setup = setup(small(), "off");
    let open = setup.telemetry.open(to(&setup, "long"));
    carry(&setup.telemetry, to(&setup, "short"), [1, 1], finished()).await;
    assert_eq!(total(&setup, "connections_opened"), (2, 2));
    advance(Duration::from_mins(9)).await;
    assert_eq!(total(&setup, "connections_opened"), (2, 2));
    advance(Duration::from_mins(2)).await;
    // The one that is open stays, however long it has been.
    assert_eq!(total(&setup, "connections_opened"), (1, 1));
    open.passed(Side::Client, 77);
    assert_eq!(total(&setup, "received_bytes"), (77, 1));
    drop(open);
    assert_eq!(total(&setup, "connections_closed"), (1, 1));
    advance(Duration::from_mins(11)).await;
    assert_eq!(total(&setup, "connections_closed"), (0, 0));
    // Who comes back begins anew.
    carry(&setup.telemetry, to(&setup, "short"), [1, 1], finished()).await;
    assert_eq!(total(&setup, "connections_opened"), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn any_number_of_workloads_takes_bounded_memory_and_those_in_use_stay() {
    let setup = setup(small(), "off");
    let mut open = Vec::new();
    for kept in 0..4 {
        open.push(setup.telemetry.open(to(&setup, &format!("kept-{kept}"))));
    }
    for passing in 0..10_000 {
        let name = format!("passing-{passing}");
        carry(&setup.telemetry, to(&setup, &name), [1, 1], finished()).await;
        if passing % 1000 == 0 {
            assert!(total(&setup, "connections_opened").1 <= 8);
        }
    }
    let text = setup.exposed("istio_tcp_connections_opened");
    for kept in 0..4 {
        assert_eq!(
            text.matches(&format!("\"kept-{kept}\"")).count(),
            1,
            "{text}"
        );
    }
    assert_eq!(
        setup.exposed("ambient_tcp_series_crowded"),
        "ambient_tcp_series_crowded_total 0\n"
    );
}

#[tokio::test(start_paused = true)]
async fn those_that_were_used_least_lately_make_room() {
    let setup = setup(small(), "off");
    // The first is used again, so that neither its age nor its place in an order saves the others.
    for name in ["a", "b", "c", "d", "e", "f", "g", "h", "a", "b", "new"] {
        carry(&setup.telemetry, to(&setup, name), [1, 1], finished()).await;
        advance(Duration::from_secs(1)).await;
    }
    let text = setup.exposed("istio_tcp_connections_opened");
    let left = ["a", "b", "c", "d", "e", "f", "g", "h", "new"].map(|name| {
        let label = format!("destination_workload=\"{name}\"");
        text.matches(&label).count()
    });
    assert_eq!(left, [1, 1, 0, 0, 1, 1, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn where_all_are_in_use_the_others_are_counted_together() {
    let setup = setup(small(), "off");
    let open: Vec<_> = (0..100)
        .map(|n| setup.telemetry.open(to(&setup, &format!("workload-{n}"))))
        .collect();
    // One series of all that found no room.
    assert_eq!(total(&setup, "connections_opened"), (100, 9));
    for record in &open {
        record.passed(Side::Client, 3);
    }
    assert_eq!(total(&setup, "received_bytes"), (300, 9));
    drop(open);
    assert_eq!(total(&setup, "connections_closed"), (100, 9));
    let crowded = setup.exposed("istio_tcp_connections_closed");
    let unknown = crowded
        .lines()
        .filter(|line| line.contains("destination_workload=\"unknown\""));
    let unknown: Vec<_> = unknown.filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(unknown, ["92"]);
    assert_eq!(
        setup.exposed("ambient_tcp_series "),
        "ambient_tcp_series 9\n"
    );
}

#[tokio::test(start_paused = true)]
async fn pods_of_one_deployment_share_a_series() {
    let setup = setup(Bounds::default(), "off");
    for pod in 0..100 {
        let server = setup.workload("10.244.2.5").unwrap();
        let mut server = Workload::clone(&server);
        server.uid = format!("c//Pod/shop/server-{pod}");
        server.name.name = format!("server-{pod}");
        let about = About {
            server: Some(Arc::new(server)),
            ..setup.tunnelled(Direction::Outbound)
        };
        carry(&setup.telemetry, about, [1, 1], finished()).await;
    }
    assert_eq!(total(&setup, "connections_opened"), (100, 1));
}

#[tokio::test(start_paused = true)]
async fn a_client_is_believed_what_it_says_of_itself_within_its_namespace() {
    let setup = setup(Bounds::default(), "off");
    let told = |namespace: &str, service: String| Baggage {
        cluster: Some("west".to_owned()),
        namespace: Some(namespace.to_owned()),
        workload: Some((WorkloadKind::Deployment, "far".to_owned())),
        service: Some(service),
        region: Some("r2".to_owned()),
        ..Baggage::default()
    };
    let mut seen = Vec::new();
    for baggage in [
        told("shop", "far-service".to_owned()),
        told("bank", "vault".to_owned()),
        told("shop", "x".repeat(254)),
    ] {
        let about = About {
            client: None,
            client_baggage: Some(baggage),
            server: None,
            service: None,
            ..setup.tunnelled(Direction::Inbound)
        };
        let open = setup.telemetry.open(about);
        let text = setup.exposed("istio_tcp_connections_opened");
        drop(open);
        let last = text.lines().last().unwrap();
        let of = |label: &str| {
            let (_, rest) = last
                .split_once(&format!("{label}=\""))
                .unwrap_or(("", "-\""));
            rest.split('"').next().unwrap().to_owned()
        };
        let labels = [
            "workload",
            "app",
            "workload_namespace",
            "cluster",
            "region",
            "principal",
        ];
        seen.push(labels.map(|label| of(&format!("source_{label}"))).join(" "));
    }
    let principal = "spiffe://cluster.local/ns/shop/sa/default";
    assert_eq!(
        seen,
        [
            format!("far far-service shop west r2 {principal}"),
            format!("unknown unknown unknown unknown - {principal}"),
            format!("far unknown shop west r2 {principal}"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_a_connection_that_is_over() {
    let setup = setup(small(), "off");
    for round in 0..3 {
        let open: Vec<_> = (0..1000)
            .map(|n| setup.telemetry.open(to(&setup, &format!("{round}-{n}"))))
            .collect();
        assert_eq!(setup.telemetry.connections().len(), 1000);
        drop(open);
        assert_eq!(setup.telemetry.connections().len(), 0);
        advance(Duration::from_secs(2)).await;
    }
}
