use super::*;
use crate::migrate::fixture::{Fixture, annotated, deployment, labelled, strings, workload};
use crate::model::WorkloadKind;

fn namespaces(fixture: &Fixture) -> String {
    let scope = fixture.scope();
    let line = |(name, state): (&str, &NamespaceState)| match state {
        NamespaceState::LeftOut(reason) => format!("{name}: left out, {reason}\n"),
        state => format!("{name}: {state:?}\n"),
    };
    scope.namespaces().map(line).collect()
}

fn endpoints(fixture: &Fixture) -> String {
    let (all, scope) = (fixture.endpoints(), fixture.scope());
    let line = |(id, endpoint): (usize, &crate::model::Endpoint)| match scope.endpoint(id) {
        Membership::StaysOut(reason) => format!("{endpoint}: stays out, {reason}\n"),
        state => format!("{endpoint}: {state:?}\n"),
    };
    all.iter().map(line).collect()
}

#[test]
fn namespaces_are_enrolled_unless_something_speaks_against_it() {
    let fixture = Fixture::with_namespace("shop", &[])
        .namespace("done", &[("istio.io/dataplane-mode", "ambient")])
        .namespace("never", &[("istio.io/dataplane-mode", "none")])
        .namespace("typo", &[("istio.io/dataplane-mode", "Ambient")])
        .namespace("kube-system", &[("istio.io/dataplane-mode", "ambient")])
        .namespace("kube-public", &[])
        .namespace("istio-system", &[])
        .namespace("mesh", &[])
        .workload(labelled("mesh", "istiod", &[("app", "istiod")]));
    insta::assert_snapshot!(namespaces(&fixture), @"
    done: Labelled
    istio-system: left out, system namespace
    kube-public: left out, system namespace
    kube-system: left out, system namespace
    mesh: left out, parts of the mesh itself run in it
    never: left out, its label `istio.io/dataplane-mode` is `none`
    shop: Enrolled
    typo: left out, its label `istio.io/dataplane-mode` has the unknown value `Ambient`
    ");
}

#[test]
fn options_choose_namespaces_but_a_label_that_is_there_stays_in_force() {
    let mut fixture = Fixture::with_namespace("shop", &[])
        .namespace("bank", &[])
        .namespace("post", &[])
        .namespace("done", &[("istio.io/dataplane-mode", "ambient")]);
    fixture.scope.namespaces = strings(&["shop", "bank"]);
    fixture.scope.exclude = strings(&["bank", "done"]);
    insta::assert_snapshot!(namespaces(&fixture), @"
    bank: left out, excluded by `--exclude`
    done: Labelled
    post: left out, not among the namespaces asked for
    shop: Enrolled
    ");
}

#[test]
fn pods_join_unless_they_cannot_be_captured() {
    let mut host = deployment("shop", "host");
    host.pod.host_network = true;
    let mut windows = deployment("shop", "windows");
    windows.pod.windows = true;
    let mut proxy = deployment("shop", "proxy");
    proxy.pod.containers = strings(&["istio-proxy"]);
    let mut native = deployment("shop", "native");
    native.pod.containers = strings(&["istio-proxy", "app"]);
    let mut done = workload(WorkloadKind::Pod, "shop", "done");
    done.terminated = true;
    let fixture = Fixture::with_namespace("shop", &[])
        .namespace("post", &[("istio.io/dataplane-mode", "none")])
        .namespace("mesh", &[])
        .namespace("kube-system", &[])
        .workload(host)
        .workload(windows)
        .workload(proxy)
        .workload(native)
        .workload(done)
        .workload(deployment("shop", "web"))
        .workload(labelled(
            "shop",
            "out",
            &[("istio.io/dataplane-mode", "none")],
        ))
        .workload(labelled(
            "shop",
            "asks",
            &[("sidecar.istio.io/inject", "true")],
        ))
        .workload(annotated(
            "shop",
            "status",
            &[("sidecar.istio.io/status", "{}")],
        ))
        .workload(annotated(
            "shop",
            "edge",
            &[("inject.istio.io/templates", "gateway")],
        ))
        .workload(labelled(
            "shop",
            "way",
            &[
                ("gateway.networking.k8s.io/gateway-name", "way"),
                ("gateway.istio.io/managed", "istio.io-mesh-controller"),
            ],
        ))
        .workload(labelled(
            "shop",
            "generated",
            &[
                ("gateway.networking.k8s.io/gateway-name", "generated"),
                ("gateway.networking.k8s.io/gateway-class-name", "istio"),
            ],
        ))
        .workload(labelled(
            "shop",
            "nginx",
            &[("gateway.networking.k8s.io/gateway-name", "nginx")],
        ))
        .workload(labelled("mesh", "ztunnel", &[("app", "ztunnel")]))
        .workload(deployment("post", "web"))
        .workload(labelled(
            "post",
            "early",
            &[("istio.io/dataplane-mode", "ambient")],
        ))
        .workload(labelled(
            "kube-system",
            "dns",
            &[("istio.io/dataplane-mode", "ambient")],
        ));
    insta::assert_snapshot!(endpoints(&fixture), @"
    kube-system/dns[Deployment]: stays out, its namespace is not enrolled
    mesh/ztunnel[Deployment]: stays out, it is a part of the mesh itself
    post/early[Deployment]: Joins
    post/web[Deployment]: stays out, its namespace is not enrolled
    shop/asks[Deployment]: JoinsWithoutSidecar
    shop/edge[Deployment]: stays out, it is a gateway
    shop/generated[Deployment]: stays out, it is a gateway
    shop/host[Deployment]: stays out, it uses the host network
    shop/native[Deployment]: JoinsWithoutSidecar
    shop/nginx[Deployment]: Joins
    shop/out[Deployment]: stays out, its label `istio.io/dataplane-mode` is `none`
    shop/proxy[Deployment]: stays out, it is a gateway
    shop/status[Deployment]: JoinsWithoutSidecar
    shop/way[Deployment]: stays out, it is a gateway
    shop/web[Deployment]: Joins
    shop/windows[Deployment]: stays out, it runs on Windows nodes
    ");
}

#[test]
fn a_label_about_injection_wins_over_the_annotation() {
    let mut web = labelled("shop", "web", &[("sidecar.istio.io/inject", "false")]);
    web.pod
        .annotations
        .insert("sidecar.istio.io/inject".to_owned(), "true".to_owned());
    let fixture = Fixture::with_namespace("shop", &[]).workload(web);
    insta::assert_snapshot!(endpoints(&fixture), @"shop/web[Deployment]: Joins");
}

#[test]
fn an_endpoint_joins_when_any_of_its_pods_does() {
    let owned = |name: &str, mode: &str| {
        let mut pod = workload(WorkloadKind::Pod, "shop", name);
        pod.pod
            .labels
            .insert("istio.io/dataplane-mode".to_owned(), mode.to_owned());
        pod.meta.owners.push(crate::model::OwnerRef {
            kind: "StatefulSet".to_owned(),
            name: "db".to_owned(),
            controller: true,
        });
        pod
    };
    let fixture = Fixture::with_namespace("shop", &[])
        .workload(owned("db-0", "none"))
        .workload(owned("db-1", "ambient"));
    insta::assert_snapshot!(endpoints(&fixture), @"shop/db[StatefulSet]: Joins");
}
