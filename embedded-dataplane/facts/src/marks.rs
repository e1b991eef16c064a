//! Marks of packets, by which rules of capture tell a relay's own from those of its workload.

/// On every packet that a relay sends in the network namespace of a workload (ztunnel
/// `src/config.rs`, `packet_mark`; istio `cni/pkg/iptables`).
pub const RELAY: u32 = 0x539;
