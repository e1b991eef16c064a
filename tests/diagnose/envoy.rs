//! Envoy as a peer: the server that waypoints and gateways of the mesh are. Needs its binary, which
//! `AMBIENT_PEER_ENVOY` names, or which is `envoy` in the path.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ambient_testkit::Issued;
use kubectl_ambient::probe::{self, Options};

use crate::mesh::{Mesh, told};

/// An Envoy that ends with its owner.
struct Envoy {
    process: Child,
    folder: tempfile::TempDir,
}

impl Drop for Envoy {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// The binary. In CI there has to be one.
fn binary(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("AMBIENT_PEER_ENVOY").map(PathBuf::from);
    let path = named.unwrap_or_else(|| PathBuf::from("envoy"));
    let starts = Command::new(&path).arg("--version").output();
    if starts.is_ok_and(|output| output.status.success()) {
        return Some(path);
    }
    let reason = format!("{test} needs envoy: name it with AMBIENT_PEER_ENVOY");
    assert!(std::env::var_os("CI").is_none(), "{reason}");
    _ = writeln!(std::io::stderr(), "skipped: {reason}");
    None
}

/// Two listeners of HBONE: `required` wants a certificate of its client, `none` asks for none.
/// `10.0.0.1:80` leads to an application, `10.0.0.2:80` to a port without one, `10.0.0.3:80` is
/// denied by a policy, and nothing else is known.
fn configuration(folder: &Path, application: SocketAddr, closed: SocketAddr) -> String {
    const TYPE: &str = "type.googleapis.com/envoy.extensions";
    let folder = folder.display();
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
            - certificate_chain: {{ filename: {folder}/server.pem }}
              private_key: {{ filename: {folder}/server.key }}
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
                format!("validation_context: {{ trusted_ca: {{ filename: {folder}/root.pem }} }}")
            } else {
                String::new()
            },
            application = route("application"),
            closed = route("closed"),
        )
    };
    let mut text = String::from(
        "admin: { address: { socket_address: { address: 127.0.0.1, port_value: 0 } } }\n\
         static_resources:\n  clusters:\n",
    );
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

impl Envoy {
    fn start(binary: &Path, mesh: &Mesh, application: SocketAddr, closed: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let Issued { chain, key } = &mesh.server;
        let configuration = configuration(folder.path(), application, closed);
        for (name, text) in [
            ("server.pem", chain),
            ("server.key", key),
            ("root.pem", &mesh.authority.root()),
            ("envoy.yaml", &configuration),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let mut process = Command::new(binary)
            .args(["--concurrency", "1", "--disable-hot-restart", "-c"])
            .arg(folder.path().join("envoy.yaml"))
            .arg("--admin-address-path")
            .arg(folder.path().join("admin"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let envoy = Self { process, folder };
        let mut told = String::new();
        while !told.contains("starting workers") {
            let came = log.read_line(&mut told).unwrap();
            assert!(came > 0, "{told}");
        }
        // It would wait if nobody took the rest.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        envoy
    }

    /// Where its listeners are, `required` and `none`, by its administration.
    fn listeners(&self) -> [SocketAddr; 2] {
        let admin = std::fs::read_to_string(self.folder.path().join("admin")).unwrap();
        let mut stream = TcpStream::connect(admin.trim()).unwrap();
        stream
            .write_all(b"GET /listeners HTTP/1.1\r\nHost: envoy\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        ["required::", "none::"].map(|name| {
            let mut found = answer.lines().filter_map(|line| line.strip_prefix(name));
            found.next().unwrap().trim().parse().unwrap()
        })
    }
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
    let Some(binary) = binary("envoy_is_judged_as_any_peer") else {
        return;
    };
    let mesh = Mesh::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let application = listener.local_addr().unwrap();
    std::thread::spawn(move || echo(&listener));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = nobody.local_addr().unwrap();
    drop(nobody);
    let envoy = Envoy::start(&binary, &mesh, application, closed);
    let [required, none] = envoy.listeners();

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
