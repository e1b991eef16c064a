use super::*;
use crate::migrate::fixture::{Fixture, labelled, labels, planned, service, waypoint};
use crate::model::LabelSelector;

fn of_service(fixture: &Fixture, service: &Service) -> String {
    let waypoints = Waypoints::new(&fixture.world, &fixture.options.waypoints);
    show(waypoints.of_service(service))
}

fn show(binding: Binding<'_>) -> String {
    match binding {
        Binding::Unbound => "unbound".to_owned(),
        Binding::Bound(w) => format!(
            "bound to {}/{} as {}",
            w.namespace,
            w.name,
            w.service_account()
        ),
        Binding::Broken(b) => {
            let reason = match b.reason {
                BrokenReason::Missing => "missing".to_owned(),
                BrokenReason::NotAWaypoint(_) => "not a waypoint".to_owned(),
                BrokenReason::NamespaceRefused(_) => "namespace refused".to_owned(),
                BrokenReason::Traffic(_, takes) => format!("takes {takes}"),
            };
            let whose = if b.own { "own" } else { "inherited" };
            format!("{whose} label for {}/{}: {reason}", b.namespace, b.name)
        }
    }
}

fn with(own: &[(&str, &str)]) -> Service {
    let mut service = service("shop", "web");
    service.meta.labels = labels(own);
    service
}

#[test]
fn an_own_label_decides_alone_and_none_opts_out() {
    let fixture = Fixture::with_namespace("shop", &[("istio.io/use-waypoint", "wide")])
        .gateway(waypoint("shop", "wide"))
        .gateway(waypoint("shop", "narrow"));
    let cases = [
        (vec![], "bound to shop/wide as wide"),
        (
            vec![("istio.io/use-waypoint", "narrow")],
            "bound to shop/narrow as narrow",
        ),
        (vec![("istio.io/use-waypoint", "none")], "unbound"),
        (
            vec![("istio.io/use-waypoint", "gone")],
            "own label for shop/gone: missing",
        ),
        (
            vec![("gateway.istio.io/managed", "istio.io-mesh-controller")],
            "unbound",
        ),
    ];
    for (own, expected) in cases {
        assert_eq!(of_service(&fixture, &with(&own)), expected, "{own:?}");
    }
}

#[test]
fn a_waypoint_of_another_namespace_has_to_admit_this_one() {
    let own = [
        ("istio.io/use-waypoint", "w"),
        ("istio.io/use-waypoint-namespace", "infra"),
    ];
    let cases = [
        (
            AllowedNamespaces::Same,
            "own label for infra/w: namespace refused",
        ),
        (AllowedNamespaces::All, "bound to infra/w as w"),
        (
            AllowedNamespaces::Selector(LabelSelector::labels([("team", "shop")])),
            "bound to infra/w as w",
        ),
        (
            AllowedNamespaces::Selector(LabelSelector::labels([("team", "bank")])),
            "own label for infra/w: namespace refused",
        ),
    ];
    for (allowed, expected) in cases {
        let mut gateway = waypoint("infra", "w");
        gateway.listeners[0].allowed = allowed;
        let fixture = Fixture::with_namespace("shop", &[("team", "shop")]).gateway(gateway);
        assert_eq!(of_service(&fixture, &with(&own)), expected);
    }
}

#[test]
fn a_waypoint_takes_what_its_label_says() {
    let cases = [
        ("service", "bound to shop/w as w", "unbound"),
        ("all", "bound to shop/w as w", "bound to shop/w as w"),
        (
            "workload",
            "inherited label for shop/w: takes workload",
            "bound to shop/w as w",
        ),
        ("none", "inherited label for shop/w: takes none", "unbound"),
    ];
    for (takes, for_service, for_workload) in cases {
        let mut gateway = waypoint("shop", "w");
        gateway.meta.labels = labels(&[("istio.io/waypoint-for", takes)]);
        let fixture =
            Fixture::with_namespace("shop", &[("istio.io/use-waypoint", "w")]).gateway(gateway);
        let (service, pods) = (with(&[]), labelled("shop", "web", &[]));
        let waypoints = Waypoints::new(&fixture.world, &fixture.options.waypoints);
        assert_eq!(show(waypoints.of_service(&service)), for_service, "{takes}");
        assert_eq!(show(waypoints.of_workload(&pods)), for_workload, "{takes}");
    }
}

#[test]
fn a_gateway_without_an_hbone_listener_is_no_waypoint() {
    let mut gateway = waypoint("shop", "w");
    gateway.listeners[0].protocol = "HTTP".to_owned();
    let fixture = Fixture::with_namespace("shop", &[]).gateway(gateway);
    let own = with(&[("istio.io/use-waypoint", "w")]);
    assert_eq!(
        of_service(&fixture, &own),
        "own label for shop/w: not a waypoint"
    );
}

#[test]
fn a_planned_waypoint_serves_its_namespace_unless_it_has_another() {
    let mut fixture = Fixture::with_namespace("shop", &[]);
    fixture.options.waypoints = planned(&[("shop", "new")]);
    assert_eq!(of_service(&fixture, &with(&[])), "bound to shop/new as new");
    let opted_out = with(&[("istio.io/use-waypoint", "none")]);
    assert_eq!(of_service(&fixture, &opted_out), "unbound");
    let labelled = fixture.namespace("shop", &[("istio.io/use-waypoint", "none")]);
    assert_eq!(of_service(&labelled, &with(&[])), "unbound");
}

#[test]
fn an_annotation_names_the_service_account_of_a_waypoint() {
    for (named, account) in [("edge", "edge"), ("", "w")] {
        let mut gateway = waypoint("shop", "w");
        gateway.meta.annotations = labels(&[("gateway.istio.io/service-account", named)]);
        let fixture =
            Fixture::with_namespace("shop", &[("istio.io/use-waypoint", "w")]).gateway(gateway);
        let expected = format!("bound to shop/w as {account}");
        assert_eq!(of_service(&fixture, &with(&[])), expected);
    }
}
