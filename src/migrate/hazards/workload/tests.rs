use crate::migrate::fixture::{Fixture, annotated, deployment, labelled, labels, workload};
use crate::model::{ContainerPort, OwnerRef, Protocol, Workload, WorkloadKind};

fn found(workload: Workload) -> String {
    Fixture::with_namespace("shop", &[])
        .workload(workload)
        .findings()
}

fn owned_pod(name: &str, owner: &str) -> Workload {
    let mut pod = workload(WorkloadKind::Pod, "shop", name);
    pod.meta.owners.push(OwnerRef {
        kind: "StatefulSet".to_owned(),
        name: owner.to_owned(),
        controller: true,
    });
    pod
}

fn saying(command: &str) -> Workload {
    let mut workload = workload(WorkloadKind::Job, "shop", "report");
    workload.pod.commands = vec![command.to_owned()];
    workload
}

#[test]
fn a_plain_workload_is_left_alone() {
    assert_eq!(found(deployment("shop", "web")), "");
}

#[test]
fn host_network_is_reported_where_the_namespace_is_enrolled() {
    let mut agent = workload(WorkloadKind::DaemonSet, "shop", "agent");
    agent.pod.host_network = true;
    insta::assert_snapshot!(found(agent.clone()), @"
    warning AMB0201 shop/daemonset/agent at workloads.yaml:10
      `shop/daemonset/agent` uses the host network, so its pods stay out of the mesh
    ");
    let mut fixture = Fixture::with_namespace("shop", &[]).workload(agent);
    fixture.scope.exclude = vec!["shop".to_owned()];
    assert_eq!(fixture.findings(), "");
}

#[test]
fn windows_pods_are_reported() {
    let mut windows = deployment("shop", "web");
    windows.pod.windows = true;
    insta::assert_snapshot!(found(windows), @"
    warning AMB0202 shop/deployment/web at workloads.yaml:10
      `shop/deployment/web` runs on Windows nodes, so its pods stay out of the mesh
    ");
}

#[test]
fn a_running_sidecar_without_the_tunnel_is_reported_once_per_owner() {
    let injected = |name: &str| {
        let mut pod = owned_pod(name, "db");
        pod.pod.annotations = labels(&[("sidecar.istio.io/status", "{}")]);
        pod
    };
    let mut ready = injected("db-2");
    ready
        .pod
        .labels
        .insert("networking.istio.io/tunnel".to_owned(), "http".to_owned());
    let fixture = Fixture::with_namespace("shop", &[])
        .workload(workload(WorkloadKind::StatefulSet, "shop", "db"))
        .workload(injected("db-0"))
        .workload(injected("db-1"))
        .workload(ready.clone());
    insta::assert_snapshot!(fixture.findings(), @"
    error AMB0203 shop/statefulset/db at workloads.yaml:10
      `shop/statefulset/db` has sidecars that do not accept the tunnel: `db-0`, `db-1` without the label `networking.istio.io/tunnel: http`
      fix: kubectl rollout restart statefulset db --namespace shop
    ");
    assert_eq!(
        Fixture::with_namespace("shop", &[])
            .workload(ready)
            .findings(),
        ""
    );
}

#[test]
fn pods_without_a_sidecar_on_purpose_are_captured() {
    let off = ("sidecar.istio.io/inject", "false");
    insta::assert_snapshot!(found(labelled("shop", "web", &[off])), @r#"
    warning AMB0204 shop/deployment/web at workloads.yaml:10
      `shop/deployment/web` keeps sidecars away with `sidecar.istio.io/inject: "false"`, but not ambient mesh: its pods are captured as soon as namespace `shop` is labelled
      fix: set `istio.io/dataplane-mode: none` in `spec.template.metadata.labels` to keep them out
    "#);
    insta::assert_snapshot!(found(annotated("shop", "web", &[off])), @r#"
    warning AMB0204 shop/deployment/web at workloads.yaml:10
      `shop/deployment/web` keeps sidecars away with `sidecar.istio.io/inject: "false"`, but not ambient mesh: its pods are captured as soon as namespace `shop` is labelled
      fix: set `istio.io/dataplane-mode: none` in `spec.template.metadata.labels` to keep them out
    "#);
    let decided = [off, ("istio.io/dataplane-mode", "ambient")];
    assert_eq!(found(labelled("shop", "web", &decided)), "");
    let captured = Fixture::with_namespace("shop", &[("istio.io/dataplane-mode", "ambient")])
        .workload(labelled("shop", "web", &[off]));
    assert_eq!(captured.findings(), "");
}

#[test]
fn pods_that_were_never_restarted_are_captured() {
    let injecting = |pod| {
        Fixture::with_namespace("shop", &[("istio-injection", "enabled")])
            .workload(pod)
            .findings()
            .lines()
            .filter(|l| !l.contains("namespace/shop") && !l.contains("kubectl label"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!(injecting(owned_pod("db-0", "db")), @"
    warning AMB0204 shop/pod/db-0 at workloads.yaml:10
      `shop/pod/db-0` has pods without a sidecar although namespace `shop` asks for injection: `db-0`; they are captured as soon as it is labelled
      fix: set `istio.io/dataplane-mode: none` in `metadata.labels` to keep them out
      fix: take the label out of `namespaces.yaml:1` as well: the plan only inserts
      fix: then restart its workloads: kubectl rollout restart deployment,statefulset,daemonset --namespace shop
    ");
    assert_eq!(found(owned_pod("db-0", "db")), "");
}

#[test]
fn a_template_that_asks_for_a_sidecar_is_reported() {
    let asks = labelled("shop", "web", &[("sidecar.istio.io/inject", "true")]);
    insta::assert_snapshot!(found(asks), @r#"
    warning AMB0205 shop/deployment/web at workloads.yaml:10
      `shop/deployment/web` asks for a sidecar with `sidecar.istio.io/inject: "true"` in its pod template, whatever the namespace says
      fix: set `sidecar.istio.io/inject: "false"` in `spec.template.metadata.labels` and remove what asks for a sidecar
    "#);
    let templates = annotated(
        "shop",
        "web",
        &[("inject.istio.io/templates", "sidecar,spire")],
    );
    insta::assert_snapshot!(found(templates), @r#"
    error AMB0212 shop/deployment/web at workloads.yaml:10
      `shop/deployment/web` takes the identity of its pods from SPIRE with `inject.istio.io/templates: sidecar,spire`
    warning AMB0205 shop/deployment/web at workloads.yaml:10
      `shop/deployment/web` asks for a sidecar with `inject.istio.io/templates: sidecar,spire` in its pod template, whatever the namespace says
      fix: set `sidecar.istio.io/inject: "false"` in `spec.template.metadata.labels` and remove what asks for a sidecar
    "#);
    let gateway = annotated("shop", "edge", &[("inject.istio.io/templates", "gateway")]);
    assert_eq!(found(gateway), "");
}

#[test]
fn calls_to_the_sidecar_are_reported() {
    let end = "run-report && curl -X POST http://localhost:15020/quitquitquit";
    insta::assert_snapshot!(found(saying(end)), @"
    warning AMB0206 shop/job/report at workloads.yaml:10
      `shop/job/report` calls its sidecar: `run-report && curl -X POST http://localhost:15020/quitquitquit`
    ");
    let wait = "until curl -fsI http://127.0.0.1:15021/healthz/ready; do sleep 1; done";
    insta::assert_snapshot!(found(saying(wait)), @"
    warning AMB0206 shop/job/report at workloads.yaml:10
      `shop/job/report` calls its sidecar: `until curl -fsI http://127.0.0.1:15021/healthz/ready; do sleep 1; done`
    ");
    insta::assert_snapshot!(found(saying("--metrics=http://localhost:15090/stats")), @"
    warning AMB0207 shop/job/report at workloads.yaml:10
      `shop/job/report` uses a port of its sidecar: `--metrics=http://localhost:15090/stats`
    ");
}

#[test]
fn the_line_of_a_script_is_shown_and_cut() {
    let script = format!(
        "set -e\ncurl `host`:15020/quitquitquit {}\nexit 0",
        "x".repeat(80)
    );
    insta::assert_snapshot!(found(saying(&script)), @"
    warning AMB0206 shop/job/report at workloads.yaml:10
      `shop/job/report` calls its sidecar: `curl 'host':15020/quitquitquit xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…`
    ");
}

#[test]
fn numbers_that_only_look_like_ports_are_left_alone() {
    for command in [
        "sleep 15020",
        "http://localhost:150200/",
        "http://web:15090/",
        ":15021/ready",
    ] {
        assert_eq!(found(saying(command)), "", "{command}");
    }
}

#[test]
fn merged_metrics_are_reported() {
    let scraped = annotated("shop", "web", &[("prometheus.io/port", "15020")]);
    insta::assert_snapshot!(found(scraped), @r#"
    warning AMB0208 shop/deployment/web at workloads.yaml:10
      `shop/deployment/web` has Prometheus scrape its sidecar with `prometheus.io/port: "15020"`, and there will be none
    "#);
    let merged = annotated(
        "shop",
        "web",
        &[("prometheus.istio.io/merge-metrics", "true")],
    );
    insta::assert_snapshot!(found(merged), @r#"
    warning AMB0208 shop/deployment/web at workloads.yaml:10
      `shop/deployment/web` has Prometheus scrape its sidecar with `prometheus.istio.io/merge-metrics: "true"`, and there will be none
    "#);
    let own = [
        ("prometheus.io/port", "9090"),
        ("prometheus.istio.io/merge-metrics", "false"),
    ];
    assert_eq!(found(annotated("shop", "web", &own)), "");
}

#[test]
fn reserved_ports_are_reported_at_their_line() {
    let with = |number, protocol| {
        let mut web = deployment("shop", "web");
        web.pod.ports.push(ContainerPort {
            name: "odd".to_owned(),
            number,
            protocol,
            line: 33,
        });
        found(web)
    };
    insta::assert_snapshot!(with(15001, Protocol::Tcp), @"
    error AMB0209 shop/deployment/web at workloads.yaml:33
      `shop/deployment/web` listens on TCP port 15001, which ztunnel opens in every captured pod
    ");
    insta::assert_snapshot!(with(15053, Protocol::Udp), @"
    error AMB0209 shop/deployment/web at workloads.yaml:33
      `shop/deployment/web` listens on UDP port 15053, which ztunnel opens in every captured pod
    ");
    assert_eq!(with(15001, Protocol::Udp), "");
    assert_eq!(with(15021, Protocol::Tcp), "");
}

#[test]
fn further_networks_are_reported() {
    let multus = annotated("shop", "web", &[("k8s.v1.cni.cncf.io/networks", "storage")]);
    insta::assert_snapshot!(found(multus), @"
    warning AMB0210 shop/deployment/web at workloads.yaml:10
      `shop/deployment/web` is attached to further networks, whose traffic the mesh does not carry: `storage`
    ");
}

#[test]
fn exclusions_from_capture_are_reported() {
    let excluding = annotated(
        "shop",
        "web",
        &[
            ("traffic.sidecar.istio.io/excludeInboundPorts", "9999"),
            ("traffic.sidecar.istio.io/includeOutboundIPRanges", "*"),
        ],
    );
    insta::assert_snapshot!(found(excluding), @"
    warning AMB0213 shop/deployment/web at workloads.yaml:10
      `shop/deployment/web` sets what ambient mesh ignores: `traffic.sidecar.istio.io/excludeInboundPorts: 9999`
    ");
    let everything = [("traffic.sidecar.istio.io/includeInboundPorts", "*")];
    assert_eq!(found(annotated("shop", "web", &everything)), "");
}
