//! Addresses, in one form each.

use std::net::SocketAddr;

/// An IPv4 address that was written as IPv6 is that IPv4 address.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
