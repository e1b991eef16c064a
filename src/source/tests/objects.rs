//! Services, Gateways, namespaces and the kinds that are kept as they are.

use insta::assert_snapshot;

use super::{labels, load, problems, report};
use crate::model::{AllowedNamespaces, LabelSelector, Protocol, TargetPort};

#[test]
fn services_are_read_and_checked() {
    let service = |spec: &str| {
        format!("apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec: {spec}\n")
    };
    let loaded = load(&service(
        "{clusterIP: None, type: ClusterIP, selector: {app: x}, ports: [{port: 80, name: a}, \
         {port: 81, name: b, targetPort: http, appProtocol: grpc}, {port: 82, name: c, targetPort: 8082, protocol: UDP}, \
         {port: 83, name: d, targetPort: 0}]}",
    ));
    assert_eq!(report(&loaded), "");
    let read = &loaded.world.services[0];
    assert!(read.headless && read.selector == labels(&[("app", "x")]));
    let targets: Vec<_> = read
        .ports
        .iter()
        .map(|p| (p.port, p.target.clone()))
        .collect();
    let number = TargetPort::Number;
    assert_eq!(
        targets,
        [
            (80, number(80)),
            (81, TargetPort::Name("http".to_owned())),
            (82, number(8082)),
            (83, number(83))
        ]
    );
    assert_eq!(read.ports[2].protocol, Protocol::Udp);
    assert_eq!(read.ports[1].app_protocol.as_deref(), Some("grpc"));
    assert_eq!(
        problems(&service("{type: ExternalName, externalName: x.y}")),
        ""
    );

    assert_snapshot!(problems(&service("{}")), @"
    a.yaml:4:7: `spec` has no `ports`: only a headless Service can go without
      in default/service/s
      | spec: {}
    ");
    assert_snapshot!(problems(&service("{type: clusterip, ports: [{port: 0}, {name: A, port: 1}, {name: b, port: 2, targetPort: '80'}, {name: b, port: 3}]}")), @"
    a.yaml:4:14: `spec.type` is `clusterip`; it must be one of `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`
      in default/service/s
      | spec: {type: clusterip, ports: [{port: 0}, {name: A, port: 1}, {name: b, port: 2, targetPort: '80'}, {name: b, port: 3}]}
      hint: did you mean `ClusterIP`?
    a.yaml:4:33: `spec.ports[0]` has no `name`: every port needs one when there are several
      in default/service/s
      | spec: {type: clusterip, ports: [{port: 0}, {name: A, port: 1}, {name: b, port: 2, targetPort: '80'}, {name: b, port: 3}]}
    a.yaml:4:40: `spec.ports[0].port` is 0; a port must be between 1 and 65535
      in default/service/s
      | spec: {type: clusterip, ports: [{port: 0}, {name: A, port: 1}, {name: b, port: 2, targetPort: '80'}, {name: b, port: 3}]}
    a.yaml:4:44: `spec.ports[1]` has the name `A`; it must be lower-case letters, digits and `-`, with a letter or digit at both ends
      in default/service/s
      | spec: {type: clusterip, ports: [{port: 0}, {name: A, port: 1}, {name: b, port: 2, targetPort: '80'}, {name: b, port: 3}]}
    a.yaml:4:95: `spec.ports[2].targetPort` is `80`; a port name must have at least one letter
      in default/service/s
      | spec: {type: clusterip, ports: [{port: 0}, {name: A, port: 1}, {name: b, port: 2, targetPort: '80'}, {name: b, port: 3}]}
      hint: remove the quotes: `80`
    a.yaml:4:102: `spec.ports[3]` has the name `b`, which another port has already
      in default/service/s
      | spec: {type: clusterip, ports: [{port: 0}, {name: A, port: 1}, {name: b, port: 2, targetPort: '80'}, {name: b, port: 3}]}
    ");
}

#[test]
fn gateways_are_read_and_checked() {
    let gateway = |spec: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: g}}\nspec: {spec}\n"
        )
    };
    let loaded = load(&gateway(
        "{gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}, \
         {name: b, port: 1, protocol: TCP, allowedRoutes: {namespaces: {from: All}}}, \
         {name: c, port: 2, protocol: TCP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {a: b}}}}}, \
         {name: d, port: 3, protocol: TCP, allowedRoutes: {namespaces: {from: None}}}]}",
    ));
    assert_eq!(report(&loaded), "");
    let gateway_read = &loaded.world.gateways[0];
    assert!(gateway_read.is_waypoint());
    let allowed: Vec<_> = gateway_read.listeners.iter().map(|l| &l.allowed).collect();
    assert_eq!(*allowed[0], AllowedNamespaces::Same);
    assert_eq!(*allowed[1], AllowedNamespaces::All);
    assert_eq!(
        *allowed[2],
        AllowedNamespaces::Selector(LabelSelector::labels([("a", "b")]))
    );
    let AllowedNamespaces::Selector(none) = allowed[3] else {
        panic!("{:?}", allowed[3])
    };
    assert!(!none.matches(&loaded.world.namespace_labels("default")));

    assert_snapshot!(problems(&gateway("{listeners: [{port: 99999}, {name: a, port: 1, protocol: TCP, allowedRoutes: {namespaces: {from: all}}}]}")), @"
    a.yaml:4:7: `spec.gatewayClassName` is missing
      in default/gateway/g
      | spec: {listeners: [{port: 99999}, {name: a, port: 1, protocol: TCP, allowedRoutes: {namespaces: {from: all}}}]}
    a.yaml:4:20: `spec.listeners[0].name` is missing
      in default/gateway/g
      | spec: {listeners: [{port: 99999}, {name: a, port: 1, protocol: TCP, allowedRoutes: {namespaces: {from: all}}}]}
    a.yaml:4:20: `spec.listeners[0].protocol` is missing
      in default/gateway/g
      | spec: {listeners: [{port: 99999}, {name: a, port: 1, protocol: TCP, allowedRoutes: {namespaces: {from: all}}}]}
    a.yaml:4:27: `spec.listeners[0].port` is 99999; a port must be between 1 and 65535
      in default/gateway/g
      | spec: {listeners: [{port: 99999}, {name: a, port: 1, protocol: TCP, allowedRoutes: {namespaces: {from: all}}}]}
    a.yaml:4:104: `spec.listeners[1].allowedRoutes.namespaces.from` is `all`; it must be one of `Same`, `All`, `Selector`, `None`
      in default/gateway/g
      | spec: {listeners: [{port: 99999}, {name: a, port: 1, protocol: TCP, allowedRoutes: {namespaces: {from: all}}}]}
      hint: did you mean `All`?
    ");
}

#[test]
fn namespaces_are_declared_or_mentioned() {
    let text = "\
apiVersion: v1
kind: Namespace
metadata: {name: a, labels: {team: x, kubernetes.io/metadata.name: lie}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: s, namespace: b}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: s}
";
    let world = load(text).world;
    let shown: Vec<_> = world
        .namespaces
        .values()
        .map(|n| (n.meta.name.as_str(), n.declared))
        .collect();
    assert_eq!(shown, [("a", true), ("b", false), ("default", false)]);
    assert_eq!(
        world.namespaces["a"].meta.labels,
        labels(&[("kubernetes.io/metadata.name", "a"), ("team", "x")])
    );
}

#[test]
fn other_kinds_are_kept_or_counted() {
    let object = |version: &str, kind: &str| {
        format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\nspec: {{yes: 0o17, a: [1.0, 2.5, ~]}}\n---\n"
        )
    };
    let text = [
        object("networking.istio.io/v1", "VirtualService"),
        object("telemetry.istio.io/v1", "Telemetry"),
        object("extensions.istio.io/v1alpha1", "WasmPlugin"),
        object("cilium.io/v2", "CiliumNetworkPolicy"),
        object("cilium.io/v2", "CiliumClusterwideNetworkPolicy"),
        object("example.com/v1", "OddNetworkPolicy"),
        object("crd.projectcalico.org/v1", "FelixConfiguration"),
        object("v1", "ConfigMap"),
        object("v1", "Secret"),
        object("rbac.authorization.k8s.io/v1", "ClusterRole"),
        object("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ]
    .concat();
    let loaded = load(&text);
    assert_eq!(loaded.problems, [], "{}", report(&loaded));
    let world = loaded.world;
    let names = |objects: &[crate::model::GenericObject]| {
        let names = objects
            .iter()
            .map(|o| format!("{}/{}", o.group, o.reference()));
        names.collect::<Vec<_>>().join("\n")
    };
    assert_snapshot!(names(&world.networking), @"
    telemetry.istio.io/default/telemetry/x
    networking.istio.io/default/virtualservice/x
    extensions.istio.io/default/wasmplugin/x
    ");
    assert_snapshot!(names(&world.plugin_policies), @"
    cilium.io/ciliumclusterwidenetworkpolicy/x
    example.com/oddnetworkpolicy/x
    cilium.io/default/ciliumnetworkpolicy/x
    ");
    assert_snapshot!(names(&world.configuration), @"
    crd.projectcalico.org/felixconfiguration/x
    /default/configmap/x
    ");
    insta::assert_debug_snapshot!(world.others, @r#"
    {
        "ClusterRole.rbac.authorization.k8s.io": 2,
        "Secret": 1,
    }
    "#);
    assert_snapshot!(world.networking[0].body, @r#"{"apiVersion":"telemetry.istio.io/v1","kind":"Telemetry","metadata":{"name":"x"},"spec":{"yes":15,"a":[1,2.5,null]}}"#);
}

#[test]
fn keys_that_kubectl_reads_as_something_else_are_noted() {
    let text = "\
apiVersion: v1
kind: ServiceAccount
metadata:
  name: a
  labels: {y: a, 'n': b, 0x10: c, 7: d}
";
    let loaded = load(text);
    let expected = labels(&[("true", "a"), ("n", "b"), ("16", "c"), ("7", "d")]);
    assert_eq!(loaded.world.service_accounts[0].labels, expected);
    assert_snapshot!(report(&loaded), @"
    a.yaml:5: note: `default/serviceaccount/a` has the key `y`, which kubectl reads as `true`; it needs quotes
    a.yaml:5: note: `default/serviceaccount/a` has the key `0x10`, which kubectl reads as `16`; it needs quotes
    ");
}
