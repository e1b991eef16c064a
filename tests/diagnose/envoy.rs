//! Envoy as a peer: the server that waypoints and gateways of the mesh are.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use ambient_testkit::envoy::{Binary, TYPE};
use kubectl_ambient::probe::{self, Options};

use crate::mesh::{Mesh, told};

/// Two listeners of HBONE: `required` wants a certificate of its client, `none` asks for none.
/// `10.0.0.1:80` leads to an application, `10.0.0.2:80` to a port without one, `10.0.0.3:80` is
/// denied by a policy, and nothing else is known.
fn configuration(application: SocketAddr, closed: SocketAddr) -> String {
    let listener = |name: &str, required: bool| {
        format!(
            r#"
  - name: {name}
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }}
    filter_chains:
    - transport_socket:
        name: tls
        typed_config:
          "@type": {TYPE}.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: {required}
          common_tls_context:
            alpn_protocols: [h2]
            tls_params: {{ tls_minimum_protocol_version: TLSv1_3 }}
            tls_certificates:
            - certificate_chain: {{ filename: FOLDER/chain.pem }}
              private_key: {{ filename: FOLDER/key.pem }}
            {validation}
      filters:
      - name: http
        typed_config:
          "@type": {TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {name}
          codec_type: HTTP2
          http2_protocol_options: {{ allow_connect: true }}
          upgrade_configs: [{{ upgrade_type: CONNECT }}]
          route_config:
            virtual_hosts:
            - {{ name: application, domains: ["10.0.0.1:80"], routes: [{application}] }}
            - {{ name: closed, domains: ["10.0.0.2:80"], routes: [{closed}] }}
            - {{ name: denied, domains: ["10.0.0.3:80"], routes: [{application}] }}
          http_filters:
          - name: rbac
            typed_config:
              "@type": {TYPE}.filters.http.rbac.v3.RBAC
              rules:
                action: DENY
                policies:
                  denied:
                    principals: [{{ any: true }}]
                    permissions:
                    - header: {{ name: ":authority", string_match: {{ exact: "10.0.0.3:80" }} }}
          - name: router
            typed_config: {{ "@type": {TYPE}.filters.http.router.v3.Router }}
"#,
            validation = if required {
                "validation_context: { trusted_ca: { filename: FOLDER/root.pem } }"
            } else {
                ""
            },
            application = route("application"),
            closed = route("closed"),
        )
    };
    let mut text = String::from("static_resources:\n  clusters:\n");
    for (name, to) in [("application", application), ("closed", closed)] {
        let port = to.port();
        let address = format!("{{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}");
        _ = writeln!(
            text,
            "  - name: {name}\n    type: STATIC\n    load_assignment: {{ cluster_name: {name}, \
             endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {address} }} }}] }}] }}"
        );
    }
    text.push_str("  listeners:");
    text.push_str(&listener("required", true));
    text.push_str(&listener("none", false));
    text
}

fn route(cluster: &str) -> String {
    format!(
        "{{ match: {{ connect_matcher: {{}} }}, route: {{ cluster: {cluster}, upgrade_configs: \
         [{{ upgrade_type: CONNECT, connect_config: {{}} }}] }} }}"
    )
}

/// An application that sends back what it gets.
fn echo(listener: &TcpListener) {
    while let Ok((stream, _)) = listener.accept() {
        std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
    }
}

/// Without what differs from run to run.
async fn seen(address: SocketAddr, options: &Options) -> String {
    let report = probe::run(address.to_string().parse().unwrap(), options).await;
    let text = told(&report);
    let lines = text.lines().filter(|line| !line.starts_with("tcp ok"));
    let lines = lines.map(|line| match line.split_once(" octets in ") {
        Some((before, _)) => format!("{before} octets\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
}

#[tokio::test]
async fn envoy_is_judged_as_any_peer() {
    let Some(binary) = Binary::find("envoy_is_judged_as_any_peer") else {
        return;
    };
    let mesh = Mesh::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let application = listener.local_addr().unwrap();
    std::thread::spawn(move || echo(&listener));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = nobody.local_addr().unwrap();
    drop(nobody);
    let configuration = configuration(application, closed);
    let envoy = binary.start(&mesh.server, &mesh.authority.root(), &configuration);
    let [required, none] = ["required", "none"].map(|name| envoy.listener(name));

    let patient = |options: Options| Options {
        timeout: Duration::from_secs(20),
        ..options
    };
    let to = |target: &str| Options {
        target: Some(target.parse().unwrap()),
        sizes: vec![100_000],
        ..patient(mesh.with_certificate())
    };
    let all = [
        seen(required, &patient(mesh.options())).await,
        seen(required, &to("10.0.0.1:80")).await,
        seen(none, &to("10.0.0.1:80")).await,
        seen(required, &to("10.0.0.2:80")).await,
        seen(required, &to("10.0.0.3:80")).await,
        seen(required, &to("10.0.0.4:80")).await,
    ];
    insta::assert_snapshot!(all.join("\n"), @"
    healthy
    resolve ok: it is an address
    tls ok: TLS 1.3, TLS_AES_256_GCM_SHA384, X25519MLKEM768, ALPN h2
    identity ok: spiffe://cluster.local/ns/shop/sa/db (verified), alert 116 certificate_required

    healthy
    resolve ok: it is an address
    tls ok: TLS 1.3, TLS_AES_256_GCM_SHA384, X25519MLKEM768, ALPN h2
    identity ok: spiffe://cluster.local/ns/shop/sa/db (verified)
    http2 ok: SETTINGS came, and PING was answered
    connect ok: status 200 for 10.0.0.1:80
    data ok: 100000 octets

    healthy
    resolve ok: it is an address
    tls ok: TLS 1.3, TLS_AES_256_GCM_SHA384, X25519MLKEM768, ALPN h2
    identity ok: spiffe://cluster.local/ns/shop/sa/db (verified)
    http2 ok: SETTINGS came, and PING was answered
    connect ok: status 200 for 10.0.0.1:80
    data ok: 100000 octets
    warning: the peer asks for no certificate: it accepts anybody

    connect-unavailable
    resolve ok: it is an address
    tls ok: TLS 1.3, TLS_AES_256_GCM_SHA384, X25519MLKEM768, ALPN h2
    identity ok: spiffe://cluster.local/ns/shop/sa/db (verified)
    http2 ok: SETTINGS came, and PING was answered
    connect failed: status 503

    connect-denied
    resolve ok: it is an address
    tls ok: TLS 1.3, TLS_AES_256_GCM_SHA384, X25519MLKEM768, ALPN h2
    identity ok: spiffe://cluster.local/ns/shop/sa/db (verified)
    http2 ok: SETTINGS came, and PING was answered
    connect failed: status 403

    connect-not-found
    resolve ok: it is an address
    tls ok: TLS 1.3, TLS_AES_256_GCM_SHA384, X25519MLKEM768, ALPN h2
    identity ok: spiffe://cluster.local/ns/shop/sa/db (verified)
    http2 ok: SETTINGS came, and PING was answered
    connect failed: status 404
    ");
}
