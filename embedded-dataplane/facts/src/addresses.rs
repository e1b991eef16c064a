//! Addresses that ambient mesh gives a meaning of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Source address that the node agent gives to probes and to every other connection from a process
/// of the node to an enrolled pod on it, IPv4 (istio-cni, `HOST_PROBE_SNAT_IP`).
pub const NODE_PROBE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 7, 127));
/// The same for IPv6 (istio-cni, `HOST_PROBE_SNAT_IPV6`).
pub const NODE_PROBE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(
    0xfd16, 0x9254, 0x7127, 0x1337, 0xffff, 0xffff, 0xffff, 0xffff,
));
/// [`NODE_PROBE_V4`] as text.
pub const NODE_PROBE_TEXT: &str = "169.254.7.127";
/// [`NODE_PROBE_V6`] as text.
pub const NODE_PROBE_V6_TEXT: &str = "fd16:9254:7127:1337:ffff:ffff:ffff:ffff";
