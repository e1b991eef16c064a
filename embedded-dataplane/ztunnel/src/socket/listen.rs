//! Connections as they come in, with where they wanted to go.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use ambient_runtime::accept::{Acceptor, Failures};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

use super::{SocketOptions, Source, class, socket, transparent};
use crate::address::canonical;

/// Connections that may wait to be accepted; the kernel may allow fewer (`somaxconn`).
const BACKLOG: i32 = 4096;

/// A connection that came in.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: TcpStream,
    /// Who connects.
    pub source: SocketAddr,
    /// Where that wanted to go.
    pub destination: SocketAddr,
    /// The class of its packets, where the kernel tells it; 0 otherwise.
    pub class: u8,
}

/// Where connections come from.
pub trait Accept: Send + 'static {
    /// The next connection, for ever. May be dropped and called again without losing one.
    fn accept(&mut self) -> impl Future<Output = Accepted> + Send;

    /// One that has come and was not given out yet, when nobody asks for another any more.
    fn left(&mut self) -> Option<Accepted> {
        None
    }
}

/// How it is known where a connection wanted to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Rules led it here: by redirection (`SO_ORIGINAL_DST`), or as it was (TPROXY), when it is the
    /// address that the connection has here.
    Original,
    /// It came here on purpose.
    Local,
    /// It is always the same, where nothing leads connections here: clients connect to this address
    /// instead of that one.
    Fixed(SocketAddr),
}

/// Accepts connections of a TCP listener. Where there is no room for another it waits, says so once,
/// and goes on.
#[derive(Debug)]
pub struct Listener {
    acceptor: Acceptor,
    destination: Destination,
    options: SocketOptions,
}

impl Listener {
    /// Listens on an address: `[::]` takes IPv4 too.
    ///
    /// # Errors
    ///
    /// When the address is taken, or not here.
    pub fn bind(
        name: &'static str,
        address: SocketAddr,
        destination: Destination,
        options: &SocketOptions,
    ) -> io::Result<Self> {
        let socket = socket(address)?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        if options.source == Source::Client {
            transparent(&socket)?;
        }
        // Connections inherit it from their listener.
        options.mark(&socket)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into())?;
        Ok(Self::of(name, listener, destination, options))
    }

    /// Accepts of what listens already.
    pub fn of(
        name: &'static str,
        listener: TcpListener,
        destination: Destination,
        options: &SocketOptions,
    ) -> Self {
        Self {
            acceptor: Acceptor::new(listener, name).before(options.kept),
            destination,
            options: options.clone(),
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.acceptor.listener().local_addr()
    }

    /// How often it failed to accept.
    pub fn failures(&self) -> Failures {
        self.acceptor.failures()
    }

    /// What it listens with, for a successor.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    #[cfg(unix)]
    pub fn descriptor(&self) -> io::Result<std::os::fd::OwnedFd> {
        use std::os::fd::AsFd as _;
        self.acceptor.listener().as_fd().try_clone_to_owned()
    }

    fn seen(&self, stream: TcpStream, source: SocketAddr) -> io::Result<Accepted> {
        let socket = SockRef::from(&stream);
        self.options.tune(&socket)?;
        let destination = match self.destination {
            Destination::Fixed(address) => address,
            Destination::Local => stream.local_addr()?,
            Destination::Original => {
                let local = stream.local_addr()?;
                let address = original(&socket).unwrap_or(local);
                // Nothing led it here: it would be led to itself, again and again.
                if address == local && local.port() == self.local_addr()?.port() {
                    tracing::debug!(%source, %local, "a connection to the relay itself");
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                address
            }
        };
        let class = class::of(&socket, source);
        Ok(Accepted {
            class,
            stream,
            source: canonical(source),
            destination: canonical(destination),
        })
    }
}

impl Accept for Listener {
    async fn accept(&mut self) -> Accepted {
        loop {
            let (stream, source) = self.acceptor.accept().await;
            // One that is over by now is nobody's loss.
            if let Ok(accepted) = self.seen(stream, source) {
                return accepted;
            }
        }
    }

    fn left(&mut self) -> Option<Accepted> {
        let (stream, source) = self.acceptor.left()?;
        self.seen(stream, source).ok()
    }
}

/// What a redirection changed.
#[cfg(target_os = "linux")]
fn original(socket: &SockRef<'_>) -> Option<SocketAddr> {
    let four = socket.original_dst_v4().ok();
    let any = four.or_else(|| socket.original_dst_v6().ok());
    any.and_then(|address| address.as_socket())
}

#[cfg(not(target_os = "linux"))]
fn original(_: &SockRef<'_>) -> Option<SocketAddr> {
    None
}
