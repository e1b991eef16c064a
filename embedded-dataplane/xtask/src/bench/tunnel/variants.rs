//! What is between the client and the server: nothing, our relays, or a pair of Envoy.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use ambient_facts::marks::RELAY;
use ambient_facts::ports::{HBONE, OUTBOUND};
use ambient_testkit::{Authority, Leaf};

use super::pods::{Pod, Process, SERVER, eventually};

/// The port of the server.
const PORT: u16 = 8080;

const TYPE: &str = "type.googleapis.com/envoy.extensions";

/// A client and a server, and what is between them.
#[derive(Debug)]
pub(super) struct Variant {
    pub(super) name: &'static str,
    pub(super) client: Pod,
    pub(super) proxies: Vec<Process>,
    _server: Pod,
    _application: Process,
}

/// Files and programs of all variants.
#[derive(Clone, Copy)]
pub(super) struct Setting<'s> {
    pub(super) folder: &'s Path,
    pub(super) authority: &'s Authority,
    /// This program.
    pub(super) own: &'s Path,
}

/// Where the server is.
pub(super) fn server() -> io::Result<SocketAddr> {
    format!("{SERVER}:{PORT}").parse().map_err(io::Error::other)
}

impl Variant {
    /// Nothing between them.
    ///
    /// # Errors
    ///
    /// When something cannot be set up; so do the others.
    pub(super) fn direct(setting: &Setting<'_>) -> io::Result<Self> {
        Self::with("direct", setting, |_, _| Ok(Vec::new()))
    }

    /// Our relays, with captured connections.
    pub(super) fn ours(setting: &Setting<'_>, relay: &Path, threads: u32) -> io::Result<Self> {
        let mesh = setting.folder.join("mesh.yaml");
        fs::write(&mesh, MESH)?;
        Self::with("ours", setting, |client, server| {
            let start = |pod: &Pod, name: &str| {
                pod.capture()?;
                let log = setting.folder.join(format!("{name}.log"));
                let mut command = pod.command();
                command
                    .arg(relay)
                    .args(["ztunnel", "--mark", &RELAY.to_string(), "--workload"])
                    .arg(format!("bench/{name}/{name}"))
                    .arg("--snapshot")
                    .arg(&mesh)
                    .arg("--authority")
                    .arg(setting.folder)
                    .args(["--threads", &threads.to_string()])
                    .stderr(fs::File::create(&log)?);
                let process = Process::start(&mut command)?;
                has(&log, "ready")?;
                Ok::<_, io::Error>(process)
            };
            Ok(vec![start(client, "web")?, start(server, "echo")?])
        })
    }

    /// A pair of Envoy that speaks HBONE, with captured connections.
    pub(super) fn envoy(setting: &Setting<'_>, envoy: &Path, threads: u32) -> io::Result<Self> {
        Self::with("envoy", setting, |client, server| {
            let start = |pod: &Pod, name: &str, configuration: String| {
                pod.capture()?;
                let leaf = Leaf::of(&format!("cluster.local/ns/bench/sa/{name}"));
                let issued = setting.authority.issue(&leaf);
                let path = |end: &str| setting.folder.join(format!("{name}-{end}"));
                fs::write(path("chain.pem"), issued.chain)?;
                fs::write(path("key.pem"), issued.key)?;
                let prefix = path("").display().to_string();
                let root = setting.folder.join("ca-cert.pem").display().to_string();
                let text = configuration
                    .replace("@ROOT@", &root)
                    .replace("@OWN@", &prefix);
                fs::write(path("envoy.yaml"), text)?;
                let log = path("envoy.log");
                let mut command = pod.command();
                command
                    .arg(envoy)
                    .args([
                        "--concurrency",
                        &threads.to_string(),
                        "--disable-hot-restart",
                    ])
                    .arg("-c")
                    .arg(path("envoy.yaml"))
                    .stderr(fs::File::create(&log)?);
                let process = Process::start(&mut command)?;
                has(&log, "starting workers")?;
                Ok::<_, io::Error>(process)
            };
            Ok(vec![
                start(client, "web", envoy_client())?,
                start(server, "echo", envoy_server())?,
            ])
        })
    }

    fn with(
        name: &'static str,
        setting: &Setting<'_>,
        proxies: impl FnOnce(&Pod, &Pod) -> io::Result<Vec<Process>>,
    ) -> io::Result<Self> {
        let (client, server) = (Pod::new()?, Pod::new()?);
        Pod::connect(&client, &server)?;
        let mut application = server.command();
        application
            .arg(setting.own)
            .args(["bench", "tunnel-answer"]);
        application
            .arg(format!("0.0.0.0:{PORT}"))
            .stderr(Stdio::null());
        let mut application = Process::start(&mut application)?;
        application.line()?;
        let proxies = proxies(&client, &server)?;
        Ok(Self {
            name,
            client,
            proxies,
            _server: server,
            _application: application,
        })
    }

    /// A command of the client's application.
    pub(super) fn ask(&self, own: &Path) -> Command {
        let mut command = self.client.command();
        command.arg(own).args(["bench", "tunnel-ask"]);
        command
    }
}

fn has(log: &Path, words: &str) -> io::Result<()> {
    let is_there = || fs::read_to_string(log).is_ok_and(|log| log.contains(words));
    eventually(&format!("`{words}` in `{}`", log.display()), is_there)
}

/// What our relays know.
const MESH: &str = "workloads:
- {uid: c//Pod/bench/web, name: web, namespace: bench, serviceAccount: web, protocol: HBONE,
   workloadIps: [10.7.0.1], services: {}}
- {uid: c//Pod/bench/echo, name: echo, namespace: bench, serviceAccount: echo, protocol: HBONE,
   workloadIps: [10.7.0.2], services: {}}
";

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
fn envoy_client() -> String {
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
fn envoy_server() -> String {
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
