//! TCP ports of the dataplane, as ztunnel and waypoints bind them.

/// HBONE: HTTP/2 CONNECT in mutual TLS. The only port that two mesh workloads use on the wire
/// (ztunnel `src/config.rs`, `inbound_addr`).
pub const HBONE: u16 = 15008;
/// Outbound capture in the pod's network namespace; never on a wire.
pub const OUTBOUND: u16 = 15001;
/// Inbound plaintext capture in the pod's network namespace; never on a wire.
pub const INBOUND_PLAINTEXT: u16 = 15006;
/// DNS capture in the pod's network namespace, UDP and TCP.
pub const DNS_CAPTURE: u16 = 15053;
/// SOCKS5 listener of ztunnel in the pod's network namespace.
pub const SOCKS5: u16 = 15080;
/// Metrics and merged application metrics of a proxy.
pub const METRICS: u16 = 15020;
/// Readiness of a proxy (`/healthz/ready`).
pub const STATUS: u16 = 15021;
/// xDS and certificate signing over TLS at the control plane.
pub const CONTROL_PLANE: u16 = 15012;
/// DNS.
pub const DNS: u16 = 53;

/// Ports that ztunnel refuses as targets in the tunnel (ztunnel `src/config.rs`, `illegal_ports`).
pub const REFUSED: [u16; 4] = [OUTBOUND, INBOUND_PLAINTEXT, HBONE, SOCKS5];

/// Ports on which no application may listen once its pod is enrolled: ztunnel binds them in the
/// pod's network namespace.
pub const RESERVED: [u16; 5] = [OUTBOUND, INBOUND_PLAINTEXT, HBONE, DNS_CAPTURE, SOCKS5];

/// [`HBONE`] as text.
pub const HBONE_TEXT: &str = "15008";
/// Administration interface of a sidecar, on the loopback address.
pub const SIDECAR_ADMIN: u16 = 15000;
/// Administration interface of ztunnel, on the loopback address (ztunnel `src/config.rs`,
/// `admin_addr`).
pub const ADMIN: u16 = SIDECAR_ADMIN;
/// Envoy's own metrics in a sidecar or waypoint.
pub const ENVOY_METRICS: u16 = 15090;
/// Ports of a pod with a sidecar that are never redirected to it (istio
/// `manifests/charts/istio-control/istio-discovery/files/injection-template.yaml`).
pub const NEVER_INTERCEPTED: [u16; 3] = [METRICS, STATUS, ENVOY_METRICS];
