//! How a probe gets to its peer.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use ambient_hbone::DialFault;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::Address;

/// A way to peers. Its futures may be dropped at any time: a probe bounds how long it waits.
pub trait Dial: Sync {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// All addresses of a peer, the best one first.
    ///
    /// # Errors
    ///
    /// When its name cannot be resolved.
    fn resolve(
        &self,
        address: &Address,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Connects to one of them.
    ///
    /// # Errors
    ///
    /// Why there is no connection.
    fn dial(&self, to: SocketAddr) -> impl Future<Output = Result<Self::Stream, DialFault>> + Send;
}

/// The network of this host.
#[derive(Debug, Clone, Copy, Default)]
pub struct Network;

impl Dial for Network {
    type Stream = TcpStream;

    async fn resolve(&self, address: &Address) -> io::Result<Vec<SocketAddr>> {
        let name = (address.host.as_str(), address.port);
        Ok(tokio::net::lookup_host(name).await?.collect())
    }

    async fn dial(&self, to: SocketAddr) -> Result<TcpStream, DialFault> {
        ambient_hbone::dial(to).await
    }
}
