//! Sockets as the relay needs them: listening where traffic is led to, and connecting as somebody
//! else.

pub(crate) mod buffers;
mod class;
mod dial;
mod listen;
mod ports;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

pub use listen::{Accept, Accepted, Destination, Listener};

pub(crate) use dial::Dialer;

/// From which address an application is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// From that of its client, as if there was no relay. It takes `CAP_NET_ADMIN`, and rules that
    /// lead the answers back.
    #[default]
    Client,
    /// From the relay's own: the application sees no clients. For where there are no privileges.
    Relay,
}

/// How sockets are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketOptions {
    /// From which address applications are connected to.
    pub source: Source,
    /// The address that outbound connections are made from; the system chooses without it.
    pub outbound: Option<std::net::IpAddr>,
    /// What packets are marked with, so that the rules that capture let them pass.
    pub mark: Option<u32>,
    /// How long to wait for a connection (ztunnel: 10 s).
    pub connect: Duration,
    /// How long a connection is silent before its other end is asked for a sign of life, and how often
    /// then.
    pub keepalive: (Duration, Duration, u32),
    /// The first descriptor that is not for connections. The system gives the lowest that is free, so
    /// that those from here on are left to others (administration), whatever clients do.
    pub kept: usize,
}

impl Default for SocketOptions {
    /// As ztunnel has it (`src/config.rs`), but for the mark, which has to be asked for.
    fn default() -> Self {
        Self {
            source: Source::default(),
            outbound: None,
            mark: None,
            connect: Duration::from_secs(10),
            keepalive: (Duration::from_mins(3), Duration::from_mins(3), 9),
            kept: usize::MAX,
        }
    }
}

/// The process may not make sockets as they were asked for.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// It may not connect from addresses of others.
    #[error(
        "cannot connect from the addresses of clients; the process needs CAP_NET_ADMIN, or \
         applications have to be connected to from the relay's own address"
    )]
    Source(#[source] io::Error),
    /// It may not mark packets.
    #[error("cannot mark packets with {mark:#x}; the process needs CAP_NET_ADMIN")]
    Mark {
        /// The mark.
        mark: u32,
        /// Why.
        #[source]
        error: io::Error,
    },
}

impl SocketOptions {
    /// Whether this process may do what they ask for, found out by trying.
    ///
    /// # Errors
    ///
    /// What it may not.
    pub fn check(&self) -> Result<(), PrivilegeError> {
        let socket = socket(SocketAddr::from(([0, 0, 0, 0], 0)));
        if self.source == Source::Client {
            let set = socket.as_ref().map_err(clone).and_then(transparent);
            set.map_err(PrivilegeError::Source)?;
        }
        if let Some(mark) = self.mark {
            let set = socket
                .as_ref()
                .map_err(clone)
                .and_then(|s| set_mark(s, mark));
            set.map_err(|error| PrivilegeError::Mark { mark, error })?;
        }
        Ok(())
    }

    /// Settings of every connection.
    fn tune(&self, socket: &Socket) -> io::Result<()> {
        socket.set_tcp_nodelay(true)?;
        let (time, interval, retries) = self.keepalive;
        let keepalive = TcpKeepalive::new().with_time(time).with_interval(interval);
        #[cfg(unix)]
        let keepalive = keepalive.with_retries(retries);
        #[cfg(not(unix))]
        let _ = retries;
        socket.set_tcp_keepalive(&keepalive)
    }

    fn mark(&self, socket: &Socket) -> io::Result<()> {
        self.mark.map_or(Ok(()), |mark| set_mark(socket, mark))
    }
}

fn clone(error: &io::Error) -> io::Error {
    error
        .raw_os_error()
        .map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

fn socket(for_address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(for_address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Lets a socket use addresses of others, and take what is led to it for others (`IP_TRANSPARENT`,
/// ip(7)). The option of IPv4 does it for sockets of IPv6 too.
#[cfg(target_os = "linux")]
fn transparent(socket: &Socket) -> io::Result<()> {
    socket.set_ip_transparent_v4(true)
}

#[cfg(target_os = "linux")]
fn set_mark(socket: &Socket, mark: u32) -> io::Result<()> {
    socket.set_mark(mark)
}

#[cfg(not(target_os = "linux"))]
fn transparent(_: &Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn set_mark(_: &Socket, _: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
