//! Headers of a CONNECT through HBONE and of its answer, and what PROXY protocol adds to them.

/// Who the client is, in the form of W3C Baggage (ztunnel `src/proxy.rs`, `BAGGAGE_HEADER`).
pub const BAGGAGE: &str = "baggage";
/// From where the client connected, and to which host (RFC 7239).
pub const FORWARDED: &str = "forwarded";
/// The trace that the connection belongs to (W3C Trace Context, section 3.2).
pub const TRACEPARENT: &str = "traceparent";
/// Network of the client, where the CONNECT crosses networks (ztunnel `src/proxy.rs`).
pub const FORWARDED_NETWORK: &str = "x-forwarded-network";
/// Our own, on a CONNECT and on its answer: whoever sends it ends a stream by END_STREAM where the
/// application closed and by RST_STREAM where it did not, whatever the code. Peers that do not know
/// it ignore it.
pub const CLOSE: &str = "x-ambient-close";
/// The value of [`CLOSE`].
pub const CLOSE_EXACT: &str = "exact";

/// Type of the value that carries the client's identity in PROXY protocol version 2 (ztunnel
/// `src/proxy.rs`, `PROXY_PROTOCOL_AUTHORITY_TLV`).
pub const PROXY_IDENTITY: u8 = 0xd0;

/// Keys of [`BAGGAGE`], as ztunnel writes and reads them (`src/baggage.rs`).
pub mod baggage {
    /// The cluster.
    pub const CLUSTER: &str = "k8s.cluster.name";
    /// The namespace.
    pub const NAMESPACE: &str = "k8s.namespace.name";
    /// What a workload's own key begins with; its kind follows.
    pub const WORKLOAD_PREFIX: &str = "k8s.";
    /// What a workload's own key ends with.
    pub const WORKLOAD_SUFFIX: &str = ".name";
    /// The canonical service.
    pub const SERVICE: &str = "service.name";
    /// The canonical revision.
    pub const VERSION: &str = "service.version";
    /// The region.
    pub const REGION: &str = "cloud.region";
    /// The zone.
    pub const ZONE: &str = "cloud.availability_zone";
}
