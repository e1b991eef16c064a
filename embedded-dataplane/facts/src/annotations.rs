//! Annotation keys (istio/api `annotation/annotations.gen.go`, and our own).

/// `enabled` or `pending`, written by the node agent on a pod that it captured.
pub const REDIRECTION: &str = "ambient.istio.io/redirection";
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
