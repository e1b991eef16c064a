//! Envoy: a pair that speaks HBONE, and a pair of sidecars that speak mutual TLS to each other.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use ambient_facts::marks::RELAY;
use ambient_facts::ports::{HBONE, INBOUND_PLAINTEXT, OUTBOUND};
use ambient_testkit::Leaf;

use super::{End, Setting};
use crate::bench::tunnel::pods::{Pod, SERVER};

const TYPE: &str = "type.googleapis.com/envoy.extensions";

/// The command that starts it at one end.
///
/// # Errors
///
/// When its files cannot be written.
pub(super) fn command(
    setting: &Setting<'_>,
    program: &Path,
    is_sidecar: bool,
    pod: &Pod,
    end: End,
) -> io::Result<Command> {
    let name = end.name();
    let leaf = Leaf::of(&format!("cluster.local/ns/bench/sa/{name}"));
    let issued = setting.authority.issue(&leaf);
    let kind = if is_sidecar { "sidecar" } else { "envoy" };
    let path = |file: &str| setting.folder.join(format!("{kind}-{name}-{file}"));
    fs::write(path("chain.pem"), issued.chain)?;
    fs::write(path("key.pem"), issued.key)?;
    let configuration = match (end, is_sidecar) {
        (End::Client, false) => hbone_client(),
        (End::Server, false) => hbone_server(),
        (End::Client, true) => sidecar_client(),
        (End::Server, true) => sidecar_server(),
    };
    let root = setting.folder.join("ca-cert.pem").display().to_string();
    let configuration = configuration
        .replace("@ROOT@", &root)
        .replace("@OWN@", &path("").display().to_string());
    fs::write(path("envoy.yaml"), configuration)?;
    let threads = setting.threads.to_string();
    let mut command = pod.command();
    command
        .arg(program)
        .args(["--concurrency", &threads, "--disable-hot-restart", "-c"])
        .arg(path("envoy.yaml"));
    Ok(command)
}

fn tls(end: &str, more: &str) -> String {
    format!(
        "transport_socket: {{ name: tls, typed_config: {{
          \"@type\": {TYPE}.transport_sockets.tls.v3.{end}TlsContext, {more}
          common_tls_context: {{ alpn_protocols: [h2],
            tls_params: {{ tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3 }},
            tls_certificates: [{{ certificate_chain: {{ filename: @OWN@chain.pem }}, private_key: {{ filename: @OWN@key.pem }} }}],
            validation_context: {{ trusted_ca: {{ filename: @ROOT@ }} }} }} }} }}"
    )
}

/// `SO_MARK` of connections that Envoy makes (socket(7): level 1, option 36).
fn marked() -> String {
    format!(
        "upstream_bind_config: {{ source_address: {{ address: 0.0.0.0, port_value: 0 }},
      socket_options: [{{ level: 1, name: 36, int_value: {RELAY}, state: STATE_PREBIND }}] }}"
    )
}

/// Takes captured connections, and opens a tunnel for each.
fn hbone_client() -> String {
    let (tls, marked) = (tls("Upstream", ""), marked());
    format!(
        "static_resources:
  listeners:
  - name: outbound
    address: {{ socket_address: {{ address: 0.0.0.0, port_value: {OUTBOUND} }} }}
    listener_filters: [{{ name: original, typed_config: {{ \"@type\": {TYPE}.filters.listener.original_dst.v3.OriginalDst }} }}]
    filter_chains:
    - filters:
      - name: tcp
        typed_config:
          \"@type\": {TYPE}.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: outbound
          cluster: relay
          tunneling_config: {{ hostname: \"%DOWNSTREAM_LOCAL_ADDRESS%\" }}
  clusters:
  - name: relay
    type: STATIC
    {marked}
    circuit_breakers: {{ thresholds: [{{ max_connections: 100000, max_pending_requests: 100000, max_requests: 100000 }}] }}
    load_assignment: {{ cluster_name: relay, endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: {SERVER}, port_value: {HBONE} }} }} }} }}] }}] }}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": {TYPE}.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{ http2_protocol_options: {{ allow_connect: true, initial_stream_window_size: 4194304, initial_connection_window_size: 16777216 }} }}
    {tls}
"
    )
}

/// Ends tunnels, and connects where they say.
fn hbone_server() -> String {
    let (tls, marked) = (
        tls("Downstream", "require_client_certificate: true,"),
        marked(),
    );
    format!(
        "static_resources:
  listeners:
  - name: hbone
    address: {{ socket_address: {{ address: 0.0.0.0, port_value: {HBONE} }} }}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          \"@type\": {TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: hbone
          codec_type: HTTP2
          http2_protocol_options: {{ allow_connect: true, initial_stream_window_size: 4194304, initial_connection_window_size: 16777216 }}
          upgrade_configs: [{{ upgrade_type: CONNECT }}]
          route_config:
            virtual_hosts:
            - name: all
              domains: [\"*\"]
              routes:
              - match: {{ connect_matcher: {{}} }}
                route: {{ cluster: application, timeout: 0s, upgrade_configs: [{{ upgrade_type: CONNECT, connect_config: {{}} }}] }}
          http_filters:
          - name: router
            typed_config: {{ \"@type\": {TYPE}.filters.http.router.v3.Router }}
      {tls}
  clusters:
  - name: application
    type: ORIGINAL_DST
    lb_policy: CLUSTER_PROVIDED
    original_dst_lb_config: {{ use_http_header: true, http_header_name: \":authority\" }}
    circuit_breakers: {{ thresholds: [{{ max_connections: 100000, max_pending_requests: 100000, max_requests: 100000 }}] }}
    {marked}
"
    )
}

/// Takes captured connections, and leads each to where it was going over mutual TLS.
fn sidecar_client() -> String {
    sidecar(OUTBOUND, "", &tls("Upstream", ""))
}

/// Takes captured connections over mutual TLS, and leads each to where it was going.
fn sidecar_server() -> String {
    let tls = tls("Downstream", "require_client_certificate: true,");
    sidecar(INBOUND_PLAINTEXT, &tls, "")
}

fn sidecar(port: u16, downstream: &str, upstream: &str) -> String {
    let marked = marked();
    format!(
        "static_resources:
  listeners:
  - name: captured
    address: {{ socket_address: {{ address: 0.0.0.0, port_value: {port} }} }}
    listener_filters: [{{ name: original, typed_config: {{ \"@type\": {TYPE}.filters.listener.original_dst.v3.OriginalDst }} }}]
    filter_chains:
    - filters:
      - name: tcp
        typed_config:
          \"@type\": {TYPE}.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: captured
          cluster: original
      {downstream}
  clusters:
  - name: original
    type: ORIGINAL_DST
    lb_policy: CLUSTER_PROVIDED
    circuit_breakers: {{ thresholds: [{{ max_connections: 100000, max_pending_requests: 100000, max_requests: 100000 }}] }}
    {marked}
    {upstream}
"
    )
}
