//! API groups with their versions.

/// `AuthorizationPolicy` and its kin (istio/api `security/v1`).
pub const SECURITY: &str = "security.istio.io/v1";
