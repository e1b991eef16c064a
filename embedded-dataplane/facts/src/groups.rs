//! API groups, some with their versions.

/// `AuthorizationPolicy` and its kin (istio/api `security/v1`).
pub const SECURITY: &str = "security.istio.io/v1";
/// The core group by the name that Istio compares it by (`pkg/config/model.go`, `CanonicalGroup`);
/// objects say "".
pub const CORE: &str = "core";
/// Istio's own `Gateway`, `ServiceEntry` and their kin.
pub const NETWORKING: &str = "networking.istio.io";
/// `Gateway` and `GatewayClass` (Gateway API).
pub const GATEWAY_API: &str = "gateway.networking.k8s.io";
