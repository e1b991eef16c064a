//! Envoy at the other end, which waypoints, gateways and sidecars of the mesh are.

use std::net::SocketAddr;
use std::time::Duration;

use ambient_testkit::Leaf;
use ambient_testkit::envoy::{Binary, Envoy, TYPE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{CLIENT, Mesh, SERVER, echo, exchange, soon};

fn at(address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!("{{ socket_address: {{ address: {ip}, port_value: {port} }} }}")
}

fn cluster(name: &str, to: SocketAddr, more: &str) -> String {
    let address = at(to);
    format!(
        "  - name: {name}
    type: STATIC
    load_assignment: {{ cluster_name: {name}, endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {address} }} }}] }}] }}
{more}"
    )
}

/// TLS of one end, with files of the folder.
fn tls(end: &str, more: &str) -> String {
    format!(
        "    transport_socket:
      name: tls
      typed_config:
        \"@type\": {TYPE}.transport_sockets.tls.v3.{end}TlsContext
        {more}
        common_tls_context:
          alpn_protocols: [h2]
          tls_params: {{ tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3 }}
          tls_certificates:
          - certificate_chain: {{ filename: FOLDER/chain.pem }}
            private_key: {{ filename: FOLDER/key.pem }}
          validation_context: {{ trusted_ca: {{ filename: FOLDER/root.pem }} }}
"
    )
}

/// Ends tunnels, and leads them to an application.
fn server(listen: SocketAddr, application: SocketAddr) -> String {
    let (address, cluster) = (at(listen), cluster("application", application, ""));
    let tls = tls("Downstream", "require_client_certificate: true");
    format!(
        "static_resources:
  clusters:
{cluster}
  listeners:
  - name: hbone
    address: {address}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          \"@type\": {TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: hbone
          codec_type: HTTP2
          http2_protocol_options: {{ allow_connect: true }}
          upgrade_configs: [{{ upgrade_type: CONNECT }}]
          route_config:
            virtual_hosts:
            - name: all
              domains: [\"*\"]
              routes:
              - match: {{ connect_matcher: {{}} }}
                route: {{ cluster: application, upgrade_configs: [{{ upgrade_type: CONNECT, connect_config: {{}} }}] }}
          http_filters:
          - name: router
            typed_config: {{ \"@type\": {TYPE}.filters.http.router.v3.Router }}
  {tls}",
        tls = tls.replace('\n', "\n  ")
    )
}

/// Opens a tunnel for each connection.
fn client(listen: SocketAddr, relay: SocketAddr, target: SocketAddr) -> String {
    let options = format!(
        "    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": {TYPE}.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{ http2_protocol_options: {{ allow_connect: true }} }}
{}",
        tls("Upstream", "sni: \"\"")
    );
    let (address, cluster) = (at(listen), cluster("relay", relay, &options));
    format!(
        "static_resources:
  clusters:
{cluster}
  listeners:
  - name: outbound
    address: {address}
    filter_chains:
    - filters:
      - name: tcp
        typed_config:
          \"@type\": {TYPE}.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: outbound
          cluster: relay
          tunneling_config: {{ hostname: \"{target}\" }}
"
    )
}

/// Starts one that is a workload, and listens here.
async fn start(
    binary: &Binary,
    mesh: &Mesh,
    account: &str,
    listen: SocketAddr,
    configuration: &str,
) -> Envoy {
    let leaf = Leaf::of(&format!("cluster.local/ns/shop/sa/{account}"));
    let own = mesh.issuer.issue(&leaf);
    let envoy = binary.start(&own, &mesh.issuer.root(), configuration);
    // It listens when nobody else can.
    let is_free = || std::net::TcpListener::bind(listen).is_ok();
    soon(async {
        while is_free() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    envoy
}

/// Each direction finishes on its own: one end says all that it has, then the other.
async fn converse(mut first: TcpStream, mut second: TcpStream) {
    for words in ["what one has to say", "and the other"] {
        first.write_all(words.as_bytes()).await.unwrap();
        first.shutdown().await.unwrap();
        let mut seen = String::new();
        soon(second.read_to_string(&mut seen)).await.unwrap();
        assert_eq!(seen, words);
        std::mem::swap(&mut first, &mut second);
    }
}

async fn connected(address: SocketAddr, application: &TcpListener) -> (TcpStream, TcpStream) {
    let near = TcpStream::connect(address).await.unwrap();
    let (far, _) = soon(application.accept()).await.unwrap();
    (near, far)
}

#[tokio::test]
async fn tunnels_lead_to_envoy() {
    let Some(binary) = Binary::find("tunnels_lead_to_envoy") else {
        return;
    };
    let mesh = Mesh::new([1, 2]);
    let application = mesh.application().await;
    let to = application.local_addr().unwrap();
    let end = mesh.at(SERVER, ambient_facts::ports::HBONE);
    let configuration = server(end, to);
    let envoy = start(&binary, &mesh, "db", end, &configuration).await;
    let (mut client, address) = mesh.client(to);
    // Envoy ends a stream with its answer, whatever the client still has to say.
    let (near, far) = connected(address, &application).await;
    converse(near, far).await;
    // Much at once.
    let echoing = tokio::spawn(echo(application));
    let much = vec![7; 3_000_000];
    assert!(exchange(address, &much).await.unwrap() == much);
    // What breaks off at the application breaks off here.
    echoing.abort();
    _ = echoing.await;
    exchange(address, b"hello").await.unwrap_err();
    insta::assert_snapshot!(client.tells(4).await, @"
    TLS outbound with NET.2:15008: spiffe://cluster.local/ns/shop/sa/db
    outbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 0 up, 0 down, http status: 503 Service Unavailable
    outbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 19 up, 13 down, Finished(Client)
    outbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 3000000 up, 3000000 down, Finished(Client)
    ");
    drop(envoy);
    // Somebody else at its place is refused.
    let _envoy = start(&binary, &mesh, "web", end, &configuration).await;
    exchange(address, b"hello").await.unwrap_err();
    insta::assert_snapshot!(client.tells(2).await, @"
    TLS outbound with NET.2:15008: the server is `spiffe://cluster.local/ns/shop/sa/web`, and `spiffe://cluster.local/ns/shop/sa/db` was expected
    outbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 0 up, 0 down, tls error: the server is `spiffe://cluster.local/ns/shop/sa/web`, and `spiffe://cluster.local/ns/shop/sa/db` was expected
    ");
}

#[tokio::test]
async fn tunnels_come_from_envoy() {
    let Some(binary) = Binary::find("tunnels_come_from_envoy") else {
        return;
    };
    let mesh = Mesh::new([1, 2]);
    let application = mesh.application().await;
    let to = application.local_addr().unwrap();
    let mut relay = mesh.server();
    let free = TcpListener::bind(mesh.at(CLIENT, 0)).await.unwrap();
    let listen = free.local_addr().unwrap();
    drop(free);
    let end = mesh.at(SERVER, ambient_facts::ports::HBONE);
    let _envoy = start(&binary, &mesh, "web", listen, &client(listen, end, to)).await;
    let (near, far) = connected(listen, &application).await;
    converse(near, far).await;
    let (near, far) = connected(listen, &application).await;
    converse(far, near).await;
    let echoing = tokio::spawn(echo(application));
    let much = vec![7; 3_000_000];
    assert!(exchange(listen, &much).await.unwrap() == much);
    echoing.abort();
    _ = echoing.await;
    let refused = exchange(listen, b"hello").await;
    assert!(refused.is_err() || refused.is_ok_and(|octets| octets.is_empty()));
    insta::assert_snapshot!(relay.tells(5).await, @"
    TLS inbound with 127.0.0.1:PORT: spiffe://cluster.local/ns/shop/sa/web
    inbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 0 up, 0 down, connection failed: Connection refused (os error 111)
    inbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 13 up, 19 down, Finished(Server)
    inbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 19 up, 13 down, Finished(Client)
    inbound 127.0.0.1:PORT of web to NET.2:15008 of db for NET.2:PORT at -: 3000000 up, 3000000 down, Finished(Client)
    ");
}
