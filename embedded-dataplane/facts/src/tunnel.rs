//! What an HBONE tunnel is made of, as both of its ends have to spell it.

/// The protocol that both ends name in TLS, HTTP/2 (ztunnel `src/tls/workload.rs`, `alpn_protocols`).
pub const ALPN: &[u8] = b"h2";

/// How a workload identity begins (SPIFFE ID specification, section 2).
pub const SPIFFE_SCHEME: &str = "spiffe://";
