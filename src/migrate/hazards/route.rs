//! Routes of the Gateway API whose parent is a Service, which sidecars apply and ztunnel does not
//! read.

use serde_json::Value;

use super::routing::is_unserved;
use super::{Context, about, list};
use crate::finding::{Code, Finding, codes};
use crate::migrate::setting::waypoints::Binding;
use crate::model::{GenericObject, Service};

/// The group of the Gateway API, and of a `parentRef` that names none.
const GROUP: &str = "gateway.networking.k8s.io";

pub(super) fn find(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let routes = context.world.networking.iter();
    for route in routes.filter(|object| object.group == GROUP) {
        let parents: Vec<Parent<'_>> = parents(context, route).collect();
        let found =
            ignored(route, context, &parents).or_else(|| not_seen(route, context, &parents));
        if let Some((code, message)) = found {
            let origin = route.meta.origin.clone();
            findings.push(about(code, route.reference(), origin, message));
        }
    }
}

/// A Service that a route is for.
struct Parent<'w> {
    service: &'w Service,
    /// The port that it is for; all when absent.
    port: Option<u64>,
}

fn parents<'w>(
    context: &Context<'w>,
    route: &'w GenericObject,
) -> impl Iterator<Item = Parent<'w>> {
    let parents = route
        .body
        .pointer("/spec/parentRefs")
        .and_then(Value::as_array);
    let parents = parents.into_iter().flatten();
    parents.filter_map(|parent| {
        let text = |key| parent.get(key).and_then(Value::as_str);
        let is_service = text("kind") == Some("Service") && text("group") == Some("");
        let namespace = text("namespace").unwrap_or(&route.meta.namespace);
        let mut here = context.services_in(namespace).filter(|_| is_service);
        let service = here.find(|s| Some(s.meta.name.as_str()) == text("name"))?;
        Some(Parent {
            service,
            port: parent.get("port").and_then(Value::as_u64),
        })
    })
}

/// Rules for Services that no waypoint serves.
fn ignored(
    route: &GenericObject,
    context: &Context<'_>,
    parents: &[Parent<'_>],
) -> Option<(&'static Code, String)> {
    let unserved = parents.iter();
    let unserved = unserved.filter(|p| is_unserved(context, p.service) && !is_plain(route, p));
    let unserved: Vec<_> = unserved
        .map(|p| p.service.meta.reference("Service"))
        .collect();
    (!unserved.is_empty()).then(|| {
        let message = format!(
            "routes requests to {}, which no waypoint serves; its rules have no effect for callers \
             in ambient mode",
            list(unserved)
        );
        (&codes::ROUTE_IGNORED, message)
    })
}

/// Rules for a Service behind a waypoint that does not read the namespace of the route.
fn not_seen(
    route: &GenericObject,
    context: &Context<'_>,
    parents: &[Parent<'_>],
) -> Option<(&'static Code, String)> {
    let at = &route.meta.namespace;
    parents.iter().find_map(|parent| {
        let service = parent.service;
        let Binding::Bound(waypoint) = context.waypoints.of_service(service) else {
            return None;
        };
        let elsewhere = *at != service.meta.namespace && at != waypoint.namespace;
        elsewhere.then(|| {
            let message = format!(
                "routes requests to `{}` from namespace `{at}`, where waypoint `{}/{}` does not read",
                service.meta.reference("Service"),
                waypoint.namespace,
                waypoint.name
            );
            (&codes::ROUTING_NOT_SEEN, message)
        })
    })
}

/// Whether the rules do nothing but what happens without them: everything to the Service itself, on
/// the port that was asked for.
fn is_plain(route: &GenericObject, parent: &Parent<'_>) -> bool {
    let name = parent.service.meta.name.as_str();
    let asked = |port: u64| match (parent.port, parent.service.ports.as_slice()) {
        (Some(asked), _) => asked == port,
        (None, [only]) => u64::from(only.port) == port,
        (None, _) => false,
    };
    let itself = |backend: &Value| {
        let text = |key| backend.get(key).and_then(Value::as_str);
        let namespace = text("namespace").unwrap_or(&route.meta.namespace);
        text("name") == Some(name)
            && namespace == parent.service.meta.namespace
            && text("kind").is_none_or(|kind| kind == "Service")
            && backend.get("filters").is_none()
            // Of no weight, the only backend gets nothing either.
            && backend.get("weight").and_then(Value::as_u64) != Some(0)
            && backend
                .get("port")
                .and_then(Value::as_u64)
                .is_some_and(asked)
    };
    let plain = |rule: &Value| {
        let only = rule.as_object().is_some_and(|rule| {
            rule.iter().all(|(key, value)| match key.as_str() {
                "backendRefs" | "name" => true,
                "matches" => matches_everything(value),
                _ => false,
            })
        });
        let backends = rule.get("backendRefs").and_then(Value::as_array);
        only && matches!(backends.map(Vec::as_slice), Some([backend]) if itself(backend))
    };
    let rules = route.body.pointer("/spec/rules").and_then(Value::as_array);
    rules.is_some_and(|rules| !rules.is_empty() && rules.iter().all(plain))
}

/// Whether `matches` leaves nothing out. The API server writes the prefix `/` where a route has none
/// (the defaults of `HTTPRouteRule` and `HTTPPathMatch` in the Gateway API).
fn matches_everything(matches: &Value) -> bool {
    let is_default = |path: &Value| {
        let is = |key, default| path.get(key).is_none_or(|value| value == default);
        is("type", "PathPrefix") && is("value", "/")
    };
    let every = |one: &Value| {
        let fields = one.as_object();
        fields.is_some_and(|f| {
            f.iter()
                .all(|(key, path)| key == "path" && is_default(path))
        })
    };
    let matches = matches.as_array();
    matches.is_some_and(|matches| matches.iter().all(every))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::migrate::fixture::{Fixture, generic};
    use crate::model::GenericObject;

    fn route(kind: &str, parent: &Value, rules: &Value) -> GenericObject {
        let body = json!({ "spec": { "parentRefs": [parent], "rules": rules } });
        generic("gateway.networking.k8s.io", kind, ("shop", "web"), body)
    }

    fn split() -> Value {
        json!([{ "backendRefs": [{ "name": "web", "port": 80 }, { "name": "new", "port": 80 }] }])
    }

    #[test]
    fn routes_of_a_service_without_a_waypoint_are_reported() {
        let parent = json!({ "group": "", "kind": "Service", "name": "web" });
        for kind in ["HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute"] {
            let route = || route(kind, &parent, &split());
            let found = Fixture::shop().networking(route()).findings();
            assert_eq!(
                found,
                format!(
                    "error AMB0221 shop/{0}/web at objects.yaml:1\n  `shop/{0}/web` routes requests \
                     to `shop/service/web`, which no waypoint serves; its rules have no effect for \
                     callers in ambient mode\n",
                    kind.to_lowercase()
                )
            );
            let served = Fixture::shop().behind_waypoint().networking(route());
            assert_eq!(served.findings(), "", "{kind}");
        }
    }

    #[test]
    fn routes_for_gateways_and_those_that_only_pass_on_are_left_alone() {
        let service = json!({ "group": "", "kind": "Service", "name": "web" });
        let on = json!({ "group": "", "kind": "Service", "name": "web", "port": 80 });
        let gateway = json!({ "kind": "Gateway", "name": "web" });
        let other = json!({ "group": "", "kind": "Service", "name": "other" });
        let plain = json!([{ "backendRefs": [{ "name": "web", "port": 80 }] }]);
        for (parent, rules) in [
            (&gateway, split()),
            (&other, split()),
            (&service, plain.clone()),
            (&on, plain),
        ] {
            let fixture = Fixture::shop().networking(route("HTTPRoute", parent, &rules));
            assert_eq!(fixture.findings(), "", "{parent} {rules}");
        }
        let elsewhere = json!([{ "backendRefs": [{ "name": "web", "port": 81 }] }]);
        let fixture = Fixture::shop().networking(route("HTTPRoute", &service, &elsewhere));
        assert_ne!(fixture.findings(), "");
    }

    #[test]
    fn what_the_api_server_adds_to_a_route_is_plain_too() {
        let service = json!({ "group": "", "kind": "Service", "name": "web" });
        let found = |matches: Value, backend: Value| {
            let rules = json!([{ "matches": matches, "backendRefs": [backend] }]);
            let fixture = Fixture::shop().networking(route("HTTPRoute", &service, &rules));
            fixture.findings()
        };
        let itself =
            || json!({ "group": "", "kind": "Service", "name": "web", "port": 80, "weight": 1 });
        let all = || json!([{ "path": { "type": "PathPrefix", "value": "/" } }]);
        for matches in [all(), json!([]), json!([{}]), json!([{ "path": {} }])] {
            assert_eq!(found(matches.clone(), itself()), "", "{matches}");
        }
        for matches in [
            json!([{ "path": { "type": "Exact", "value": "/" } }]),
            json!([{ "path": { "type": "PathPrefix", "value": "/a" } }]),
            json!([{ "path": { "value": "/" }, "method": "GET" }]),
        ] {
            assert_ne!(found(matches.clone(), itself()), "", "{matches}");
        }
        let nothing = json!({ "name": "web", "port": 80, "weight": 0 });
        assert_ne!(found(all(), nothing), "");
    }

    #[test]
    fn a_waypoint_does_not_see_routes_of_other_namespaces() {
        let parent = json!({ "group": "", "kind": "Service", "name": "web", "namespace": "shop" });
        let mut consumer = route("HTTPRoute", &parent, &split());
        consumer.meta.namespace = "front".to_owned();
        let fixture = Fixture::shop()
            .behind_waypoint()
            .namespace("front", &[])
            .networking(consumer);
        insta::assert_snapshot!(fixture.findings(), @"
        error AMB0611 front/httproute/web at objects.yaml:1
          `front/httproute/web` routes requests to `shop/service/web` from namespace `front`, where waypoint `shop/waypoint` does not read
        ");
    }
}
