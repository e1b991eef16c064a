//! The class of packets, by which networks tell what is urgent: traffic class of IPv6, type of service
//! of IPv4.
//!
//! The kernel tells that of a client only where it is told to answer in the same
//! (`net.ipv4.tcp_reflect_tos`, ip-sysctl). Where it is not, every connection is of class 0.

use std::net::SocketAddr;

use socket2::{SockRef, Socket};

/// The bits that the network uses itself, to tell of congestion (RFC 3168, section 5).
const CONGESTION: u8 = 0b11;

/// The class of a connection that came in.
pub(super) fn of(socket: &SockRef<'_>, client: SocketAddr) -> u8 {
    let told = if client.ip().to_canonical().is_ipv4() {
        socket.tos_v4()
    } else {
        traffic_class(socket)
    };
    let class = told.ok().and_then(|class| u8::try_from(class).ok());
    class.unwrap_or_default() & !CONGESTION
}

/// Has a connection be of a class.
pub(super) fn set(socket: &Socket, to: SocketAddr, class: u8) {
    if class == 0 {
        return;
    }
    // What the network does with packets is no reason not to send them.
    let _ = if to.is_ipv4() {
        socket.set_tos_v4(class.into())
    } else {
        set_traffic_class(socket, class)
    };
}

#[cfg(target_os = "linux")]
fn traffic_class(socket: &SockRef<'_>) -> std::io::Result<u32> {
    socket.tclass_v6()
}

#[cfg(target_os = "linux")]
fn set_traffic_class(socket: &Socket, class: u8) -> std::io::Result<()> {
    socket.set_tclass_v6(class.into())
}

#[cfg(not(target_os = "linux"))]
fn traffic_class(_: &SockRef<'_>) -> std::io::Result<u32> {
    Ok(0)
}

#[cfg(not(target_os = "linux"))]
fn set_traffic_class(_: &Socket, _: u8) -> std::io::Result<()> {
    Ok(())
}
