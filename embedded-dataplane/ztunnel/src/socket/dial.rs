//! Connecting, as oneself and as a client.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::Socket;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::ports::Ports;
use super::{SocketOptions, Source, class, socket, transparent};

/// Ports that are tried for one connection before the kernel is left to choose.
const TRIES: usize = 64;

/// Makes connections.
#[derive(Debug)]
pub(crate) struct Dialer {
    options: SocketOptions,
    ports: Ports,
}

impl Dialer {
    pub(crate) fn new(options: SocketOptions) -> Self {
        Self {
            options,
            ports: Ports::here(),
        }
    }

    pub(crate) fn options(&self) -> &SocketOptions {
        &self.options
    }

    /// Connects from the workload, with packets of a class.
    ///
    /// # Errors
    ///
    /// Why there is no connection; `TimedOut` where nobody answered.
    pub(crate) async fn outbound(&self, to: SocketAddr, class: u8) -> io::Result<TcpStream> {
        // What is on the loopback interface is reached from there.
        let suits = |own: &IpAddr| {
            own.is_ipv4() == to.is_ipv4() && (own.is_loopback() || !to.ip().is_loopback())
        };
        let from = self.options.outbound.filter(suits);
        self.in_time(async {
            let socket = self.made_for(to, class)?;
            if let Some(from) = from {
                no_port_yet(&socket);
                socket.bind(&SocketAddr::new(from, 0).into())?;
            }
            connect(socket, to).await
        })
        .await
    }

    /// Connects to the application, as its client where that is asked for.
    ///
    /// # Errors
    ///
    /// As [`Self::outbound`]. It is never connected to as somebody else than was asked for.
    pub(crate) async fn as_client(
        &self,
        client: IpAddr,
        to: SocketAddr,
        class: u8,
    ) -> io::Result<TcpStream> {
        let own = self.options.source == Source::Relay || client == to.ip();
        self.in_time(async {
            if own {
                return connect(self.made_for(to, class)?, to).await;
            }
            for _ in 0..TRIES.min(self.ports.len()) {
                let from = SocketAddr::new(client, self.ports.next());
                match self.from(from, to, class).await {
                    // Somebody else has the port, or a connection from there to the same address.
                    Err(error) if is_taken(&error) => {}
                    outcome => return outcome,
                }
            }
            self.from(SocketAddr::new(client, 0), to, class).await
        })
        .await
    }

    async fn from(&self, from: SocketAddr, to: SocketAddr, class: u8) -> io::Result<TcpStream> {
        let socket = self.made_for(to, class)?;
        transparent(&socket)?;
        // Else a port that any connection has is taken for all destinations.
        socket.set_reuse_address(true)?;
        if from.port() == 0 {
            no_port_yet(&socket);
        }
        socket.bind(&from.into())?;
        connect(socket, to).await
    }

    fn made_for(&self, to: SocketAddr, class: u8) -> io::Result<Socket> {
        let socket = socket(to)?;
        if number(&socket) >= self.options.kept {
            return Err(io::Error::other("no descriptors are left for connections"));
        }
        class::set(&socket, to, class);
        self.options.tune(&socket)?;
        self.options.mark(&socket)?;
        Ok(socket)
    }

    async fn in_time<T>(&self, what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let done = timeout(self.options.connect, what).await;
        done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// The number of its descriptor.
#[cfg(unix)]
fn number(socket: &Socket) -> usize {
    use std::os::fd::AsRawFd as _;
    usize::try_from(socket.as_raw_fd()).unwrap_or_default()
}

#[cfg(not(unix))]
fn number(_: &Socket) -> usize {
    0
}

async fn connect(socket: Socket, to: SocketAddr) -> io::Result<TcpStream> {
    TcpSocket::from_std_stream(socket.into()).connect(to).await
}

fn is_taken(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::AddrInUse, io::ErrorKind::AddrNotAvailable];
    kinds.contains(&error.kind())
}

/// Has the kernel choose the port when it knows the destination, so that one port serves for many
/// (`IP_BIND_ADDRESS_NO_PORT`, ip(7)).
#[cfg(target_os = "linux")]
fn no_port_yet(socket: &Socket) {
    // Older kernels choose at once.
    let _ = nix::sys::socket::setsockopt(
        socket,
        nix::sys::socket::sockopt::IpBindAddressNoPort,
        &true,
    );
}

#[cfg(not(target_os = "linux"))]
fn no_port_yet(_: &Socket) {}
