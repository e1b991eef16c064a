//! TCP connections, with what the network says of those that fail.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;

/// Why no connection came about. That nothing answers shows as time passing, which the caller
/// bounds.
#[derive(Debug)]
pub enum DialFault {
    /// The peer's host answered with RST: nothing listens there.
    Refused,
    /// Something answered with ICMP: a firewall, or a router that knows no way.
    Icmp(Icmp, io::Error),
    /// This host knows no way, or its own firewall forbids it.
    Unreachable(io::Error),
    /// Anything else.
    Failed(io::Error),
}

/// An ICMP error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmp {
    /// Who sent it; `None` when the kernel does not tell.
    pub sender: Option<IpAddr>,
    /// Type of the message: 3 is *destination unreachable* of ICMP, 1 that of ICMPv6.
    pub kind: u8,
    /// Code of the message.
    pub code: u8,
}

/// Connects. The future may be dropped at any time.
///
/// # Errors
///
/// Why there is no connection; on Linux with the ICMP message behind it (`IP_RECVERR`, ip(7)).
pub async fn dial(address: SocketAddr) -> Result<TcpStream, DialFault> {
    let stream = start(address).map_err(DialFault::of)?;
    let outcome = match stream.writable().await {
        Ok(()) => stream.take_error().and_then(|error| match error {
            Some(error) => Err(error),
            // Writable without an error is connected.
            None => stream.set_nodelay(true),
        }),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => Ok(stream),
        Err(error) => Err(match queue::icmp(&stream, address) {
            Some(icmp) => DialFault::Icmp(icmp, error),
            None => DialFault::of(error),
        }),
    }
}

/// Starts to connect. A stream is there from the beginning, because what the kernel knows of a
/// failure is to be had only from it.
fn start(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    queue::ask(&socket, address);
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if is_under_way(&error) => {}
        Err(error) => return Err(error),
    }
    TcpStream::from_std(socket.into())
}

fn is_under_way(error: &io::Error) -> bool {
    // Linux and macOS say `EINPROGRESS`, for which there is no stable kind; Windows `WouldBlock`.
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(IN_PROGRESS)
}

/// `EINPROGRESS` (errno(3)).
#[cfg(target_os = "linux")]
const IN_PROGRESS: i32 = 115;
/// `EINPROGRESS` of BSD.
#[cfg(not(target_os = "linux"))]
const IN_PROGRESS: i32 = 36;

impl DialFault {
    fn of(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::PermissionDenied => Self::Unreachable(error),
            _ => Self::Failed(error),
        }
    }
}

/// The error queue of a socket.
#[cfg(target_os = "linux")]
mod queue {
    use std::io::IoSliceMut;
    use std::net::{IpAddr, SocketAddr};
    use std::os::fd::AsRawFd as _;

    use nix::sys::socket::{
        ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
    };
    use socket2::Socket;
    use tokio::net::TcpStream;

    use super::Icmp;

    /// Origins of an entry (`linux/errqueue.h`): the network, and not this host.
    const FROM_ICMP: u8 = 2;
    const FROM_ICMP6: u8 = 3;

    pub(super) fn ask(socket: &Socket, address: SocketAddr) {
        // Without it the failure is told all the same, only not by whom.
        let _ = if address.is_ipv4() {
            setsockopt(socket, sockopt::Ipv4RecvErr, &true)
        } else {
            setsockopt(socket, sockopt::Ipv6RecvErr, &true)
        };
    }

    pub(super) fn icmp(stream: &TcpStream, _: SocketAddr) -> Option<Icmp> {
        let mut payload = [0; 512];
        let mut space = nix::cmsg_space!([u8; 256]);
        let mut vectors = [IoSliceMut::new(&mut payload)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message =
            recvmsg::<SockaddrStorage>(stream.as_raw_fd(), &mut vectors, Some(&mut space), flags)
                .ok()?;
        message.cmsgs().ok()?.find_map(|entry| match entry {
            ControlMessageOwned::Ipv4RecvErr(error, sender) if error.ee_origin == FROM_ICMP => {
                // The address is in network order already.
                let sender = sender.map(|a| IpAddr::from(a.sin_addr.s_addr.to_ne_bytes()));
                Some(Icmp {
                    sender,
                    kind: error.ee_type,
                    code: error.ee_code,
                })
            }
            ControlMessageOwned::Ipv6RecvErr(error, sender) if error.ee_origin == FROM_ICMP6 => {
                let sender = sender.map(|a| IpAddr::from(a.sin6_addr.s6_addr));
                Some(Icmp {
                    sender,
                    kind: error.ee_type,
                    code: error.ee_code,
                })
            }
            _ => None,
        })
    }
}

/// Only Linux tells who sent an ICMP error.
#[cfg(not(target_os = "linux"))]
mod queue {
    use std::net::SocketAddr;

    use socket2::Socket;
    use tokio::net::TcpStream;

    use super::Icmp;

    pub(super) fn ask(_: &Socket, _: SocketAddr) {}

    pub(super) fn icmp(_: &TcpStream, _: SocketAddr) -> Option<Icmp> {
        None
    }
}
