//! What proxies enforce today, and what enforces it afterwards: plans that keep silent about it.

use super::*;

/// A server in `shop`, whose namespace is enrolled, and a client beside it that is not in the mesh.
const NAMESPACES: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {INJECTION}}
---
apiVersion: v1
kind: Namespace
metadata: {name: ops}
---
apiVersion: v1
kind: Pod
metadata: {name: scraper, namespace: ops, labels: {app: scraper}}
spec: {containers: [{name: main}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {serviceAccountName: web, containers: [{name: main}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: db
  namespace: shop
  labels: {app: db, LABELS}
  annotations: {ANNOTATIONS}
spec: {serviceAccountName: db, containers: [{name: main}]}
---
";

/// What the server says of itself, and what its namespace does.
#[derive(Default)]
struct Server {
    injection: &'static str,
    labels: &'static str,
    annotations: &'static str,
}

impl Server {
    fn write(&self, text: &str) -> String {
        let namespaces = NAMESPACES.replace("INJECTION", self.injection);
        let namespaces = namespaces.replace("LABELS", self.labels);
        let namespaces = namespaces.replace("ANNOTATIONS", self.annotations);
        format!("{namespaces}{text}")
    }

    /// What is wrong about a plan that enrols `shop`, changes nothing beside these objects and says
    /// nothing.
    fn silence(&self, text: &str) -> String {
        let files = yaml(&self.write(text));
        let scripted = Scripted {
            after: files.clone(),
            claims: Vec::new(),
        };
        let request = Request {
            exclude: vec!["ops".to_owned()],
            authorization: Authorization::None,
            ..Request::default()
        };
        match check(&scripted, &files, &request) {
            Ok(_) => String::new(),
            Err(violations) => violations.join("\n"),
        }
    }
}

/// PeerAuthentications, given by the namespace that each is in and what it says.
fn strict(policies: &[(&str, &str)]) -> String {
    let policies = policies.iter().zip(0..).map(|((namespace, spec), n)| {
        format!(
            "---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: p{n}, namespace: {namespace}}}
spec: {spec}
"
        )
    });
    policies.collect()
}

const OUT_OF_THE_MESH: &str = "istio.io/dataplane-mode: none";

#[test]
fn mutual_tls_that_begins_to_be_required_is_seen_at_every_level() {
    let begins = |policies: &[(&str, &str)]| {
        let said = Server::default().silence(&strict(policies));
        said.contains("ops/scraper[Pod] => shop/db[Pod] by plaintext: TCP")
    };
    let strict = "{mtls: {mode: STRICT}}";
    let permissive = "{mtls: {mode: PERMISSIVE}}";
    let of_server = |more: &str| format!("{{selector: {{matchLabels: {{app: db}}}}, {more}}}");
    let one_port = of_server("portLevelMtls: {\"80\": {mode: STRICT}}");
    let all_but = of_server("mtls: {mode: STRICT}, portLevelMtls: {\"80\": {mode: DISABLE}}");
    assert!(begins(&[("istio-system", strict)]));
    assert!(begins(&[("shop", strict)]));
    assert!(!begins(&[("ops", strict)]));
    assert!(!begins(&[("istio-system", strict), ("shop", permissive)]));
    assert!(begins(&[
        ("istio-system", strict),
        ("shop", "{mtls: {mode: UNSET}}")
    ]));
    assert!(!begins(&[(
        "istio-system",
        &of_server("mtls: {mode: STRICT}")
    )]));
    assert!(begins(&[("shop", &one_port)]));
    assert!(begins(&[("shop", &all_but)]));
    assert!(!begins(&[(
        "shop",
        "{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}}"
    )]));
}

#[test]
fn mutual_tls_of_a_port_counts_at_that_port() {
    let one_port = "{selector: {matchLabels: {app: db}}, portLevelMtls: {\"80\": {mode: STRICT}}}";
    insta::assert_snapshot!(Server::default().silence(&strict(&[("shop", one_port)])), @r#"
    192.0.2.77 => shop/db[Pod]: TCP 80 in the clear changes, and not reported
    2001:4860::1 => shop/db[Pod]: TCP 80 in the clear changes, and not reported
    ops/scraper[Pod] => shop/db[Pod] by plaintext: TCP 80 lost and not reported
    "#);
}

#[test]
fn a_pod_that_bypasses_ztunnel_does_not_begin_to_require_mutual_tls() {
    let policy = strict(&[("shop", "{mtls: {mode: STRICT}}")]);
    let bypassing = |value| Server {
        annotations: value,
        ..Server::default()
    };
    let bypasses = bypassing("ambient.istio.io/bypass-inbound-capture: \"true\"");
    let means_nothing = bypassing("ambient.istio.io/bypass-inbound-capture: \"yes\"");
    let about = |server: Server| {
        let said = server.silence(&policy);
        let mut lines = said.lines();
        lines.any(|line| line.starts_with("ops/scraper[Pod] => shop/db[Pod] by plaintext"))
    };
    assert!(!about(bypasses));
    assert!(about(means_nothing));
}

/// Lets in `shop/web` alone, by its name.
const NAMED: &str = "---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: db, namespace: shop}
spec:
  selector: {matchLabels: {app: db}}
  rules: [{from: [{source: {principals: ['*/ns/shop/sa/web']}}], to: [{operation: {ports: ['80']}}]}]
";

#[test]
fn a_sidecar_that_is_there_already_does_not_know_who_sends_in_the_clear() {
    let injected = Server {
        injection: "istio-injection: enabled",
        labels: OUT_OF_THE_MESH,
        annotations: "sidecar.istio.io/status: '{}'",
    };
    insta::assert_snapshot!(injected.silence(NAMED), @r#"
    ops/scraper[Pod] => shop/db[Pod] by plaintext: TCP 1,2,52,53,54,79,80,81,15000,15001,15002,15005,15006,15007,15009,15052,15053,15054,15079,15080,15081,65534,65535 perhaps gained and not reported
    shop/web[Pod] => shop/db[Pod] by plaintext: TCP 1,2,52,53,54,79,81,15000,15001,15002,15005,15006,15007,15009,15052,15053,15054,15079,15080,15081,65534,65535 perhaps gained and not reported
    shop/web[Pod] => shop/db[Pod] by plaintext: TCP 80 perhaps lost and not reported
    "#);
}

#[test]
fn a_sidecar_that_takes_the_tunnel_and_stays_knows_who_sends() {
    let tunnelled = Server {
        injection: "istio-injection: enabled",
        labels: "istio.io/dataplane-mode: none, networking.istio.io/tunnel: http, sidecar.istio.io/inject: 'true'",
        annotations: "",
    };
    insta::assert_snapshot!(tunnelled.silence(NAMED), @"");
    let closed = "---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec: {podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: 80}]}]}
";
    insta::assert_snapshot!(tunnelled.silence(&format!("{NAMED}{closed}")), @"shop/web[Pod] => shop/db[Pod] by tunnel: TCP 80 lost and not reported");
}

#[test]
fn a_sidecar_that_refuses_today_and_is_gone_lets_in_more() {
    let injected = Server {
        annotations: "sidecar.istio.io/status: '{}'",
        ..Server::default()
    };
    let policy = strict(&[("shop", "{mtls: {mode: STRICT}}")]);
    insta::assert_snapshot!(injected.silence(&policy), @r#"
    192.0.2.77 => shop/web[Pod]: TCP 1 in the clear changes, and not reported
    2001:4860::1 => shop/web[Pod]: TCP 1 in the clear changes, and not reported
    ops/scraper[Pod] => shop/web[Pod] by plaintext: TCP 1,2,52,53,54,15000,15001,15002,15005,15006,15007,15009,15052,15053,15054,15079,15080,15081,65534,65535 lost and not reported
    shop/web[Pod] => shop/db[Pod] by tunnel: TCP 1,2,52,54,15000,15002,15005,15007,15009,15052,15053,15054,15079,15081,65534,65535 gained and not reported
    "#);
}

const REFUSING: &str = "
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
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: none, namespace: shop}
spec: {action: DENY, rules: [{}]}
";

/// What becomes of connections through a waypoint to a pod outside of the mesh that a policy refuses,
/// where its namespace has these labels and is enrolled.
fn refused_outside_of_the_mesh(injection: &'static str) -> String {
    let server = Server {
        injection,
        labels: OUT_OF_THE_MESH,
        ..Server::default()
    };
    let world = super::super::read(&yaml(&server.write(REFUSING))).unwrap();
    let request = Request::default();
    let plan = enrol_everything(&world, &request);
    let case = Case {
        before: &world,
        existing: &world,
        is_new: true,
        after: &world,
        plan: &plan,
        request: &request,
    };
    let fates = compare(&case, &Claims::of(&plan).unwrap()).0;
    let through = fates.by_pair.iter().map(|((from, to, relation), ports)| {
        let gained = ports.values().map(|f| f.gained).max();
        let gained = gained.unwrap_or_default();
        format!("{from} => {to} by {relation}, gained: {gained:?}")
    });
    let through: Vec<String> = through
        .filter(|line| line.contains("shop/web[Pod] => shop/db[Pod] by waypoint"))
        .collect();
    through.join("\n")
}

#[test]
fn policies_at_a_pod_outside_of_the_mesh_refuse_nothing_before_or_after() {
    insta::assert_snapshot!(refused_outside_of_the_mesh(""), @"shop/web[Pod] => shop/db[Pod] by waypoint, gained: Never");
}

#[test]
fn a_pod_outside_of_the_mesh_loses_the_sidecar_that_enforces_its_policies() {
    let labels = "istio-injection: enabled";
    insta::assert_snapshot!(refused_outside_of_the_mesh(labels), @"shop/web[Pod] => shop/db[Pod] by waypoint, gained: Sometimes");
}
