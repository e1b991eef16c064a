//! Pods that the manifests do not hold: plans that let them in and keep silent about it.

use super::*;

/// A client that may use one port, and a server behind a waypoint.
const CLIENT_AND_SERVER: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: front}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: front, labels: {app: web}}
spec: {serviceAccountName: web, containers: [{name: main}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {serviceAccountName: db, containers: [{name: main}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop, labels: {istio.io/use-waypoint: way}}
spec: {selector: {app: db}, ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: way, namespace: shop}
spec: {gatewayClassName: istio-waypoint, listeners: []}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: front}}
      podSelector: {matchLabels: {app: web}}
    ports:
    - port: 80
";

/// Opens the tunnel for the client and the waypoint, and keeps it to the port of the Service.
const OPENED: &str = "    - port: 15008
  - from: [{podSelector: {matchLabels: {gateway.networking.k8s.io/gateway-name: way}}}]
    ports: [{port: 15008}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ports, namespace: shop}
spec:
  selector: {matchLabels: {app: db}}
  action: DENY
  rules: [{from: [{source: {principals: ['*']}}], to: [{operation: {notPorts: ['80']}}]}]
";

/// What is wrong about a plan that opens this and refuses all clients at the waypoint but these.
fn silence(clients: &str) -> String {
    let limit = format!(
        "---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: clients, namespace: shop}}
spec:
  targetRefs: [{{group: '', kind: Service, name: db}}]
  action: DENY
  rules: [{{from: [{{source: {{principals: ['*'], {clients}}}}}]}}]
"
    );
    let scripted = Scripted {
        after: yaml(&format!("{CLIENT_AND_SERVER}{OPENED}{limit}")),
        claims: Vec::new(),
    };
    let request = Request::default();
    let violations = check(&scripted, &yaml(CLIENT_AND_SERVER), &request);
    violations.err().unwrap_or_default().join("\n")
}

#[test]
fn a_limit_at_a_waypoint_that_names_an_account_lets_in_nobody_who_comes_later() {
    insta::assert_snapshot!(silence("notPrincipals: ['*/ns/front/sa/web']"), @"");
}

#[test]
fn a_limit_at_a_waypoint_that_names_a_namespace_lets_in_who_comes_later() {
    insta::assert_snapshot!(silence("notNamespaces: [front]"), @"a newcomer of front with {} => shop/db[Pod] by waypoint: TCP 80 gained, and not reported");
}
