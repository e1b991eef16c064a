//! Annotation keys (istio/api `annotation/annotations.gen.go`, and our own).

/// `enabled` or `pending`, written by the node agent on a pod that it captured.
pub const REDIRECTION: &str = "ambient.istio.io/redirection";
/// Value of [`REDIRECTION`] once all of the pod's connections go through ztunnel.
pub const REDIRECTION_ENABLED: &str = "enabled";
/// `true` on a pod whose inbound traffic is not captured.
pub const BYPASS_INBOUND_CAPTURE: &str = "ambient.istio.io/bypass-inbound-capture";
/// `false` on a pod whose DNS look-ups are not captured.
pub const DNS_CAPTURE: &str = "ambient.istio.io/dns-capture";
/// Present on a pod with an injected sidecar.
pub const SIDECAR_STATUS: &str = "sidecar.istio.io/status";
/// Injection templates that a pod asks for.
pub const INJECT_TEMPLATES: &str = "inject.istio.io/templates";
/// `true` on an AuthorizationPolicy that is evaluated but not enforced.
pub const DRY_RUN: &str = "istio.io/dry-run";
/// Service account of the pods of a generated Gateway, when not named like the Gateway.
pub const GATEWAY_SERVICE_ACCOUNT: &str = "gateway.istio.io/service-account";
/// On an object that we add: the object that it accompanies, as `kind/name`.
pub const COMPANION_OF: &str = "ambient.dev/companion-of";
/// Networks that Multus attaches a pod to beside the cluster's own.
pub const SECONDARY_NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
/// `true` on a pod whose application metrics a sidecar merges with its own.
pub const MERGE_METRICS: &str = "prometheus.istio.io/merge-metrics";
/// Port that Prometheus scrapes.
pub const SCRAPE_PORT: &str = "prometheus.io/port";
/// Ports of a pod that its sidecar receives for: a list, or `*` for all, the default.
pub const INCLUDE_INBOUND_PORTS: &str = "traffic.sidecar.istio.io/includeInboundPorts";
/// Ports of a pod that its sidecar does not receive for, of those.
pub const EXCLUDE_INBOUND_PORTS: &str = "traffic.sidecar.istio.io/excludeInboundPorts";
/// What a sidecar sends for its pod, by addresses and ports, with what means everything.
pub const OUTBOUND_EXCEPTIONS: [(&str, &str); 4] = [
    ("traffic.sidecar.istio.io/includeOutboundIPRanges", "*"),
    ("traffic.sidecar.istio.io/excludeOutboundIPRanges", ""),
    ("traffic.sidecar.istio.io/includeOutboundPorts", ""),
    ("traffic.sidecar.istio.io/excludeOutboundPorts", ""),
];
/// `NONE` on a pod whose traffic is not redirected to its sidecar.
pub const INTERCEPTION_MODE: &str = "sidecar.istio.io/interceptionMode";
/// Prefix of the annotations that exclude or include traffic of a sidecar.
pub const SIDECAR_TRAFFIC_PREFIX: &str = "traffic.sidecar.istio.io/";
