//! Where the streams of a tunnel come from.

use std::future::pending;
use std::net::SocketAddr;

use ambient_identity::{PeerFault, SpiffeId};
use tokio::sync::watch;

/// A tunnel, as far as its streams have to know it.
pub(super) struct Origin {
    /// The address of the client.
    pub(super) source: SocketAddr,
    /// The relay's own.
    pub(super) local: SocketAddr,
    /// The class of its packets.
    pub(super) class: u8,
    /// Who the client is.
    pub(super) client: SpiffeId,
    /// Set when the client's certificate was revoked.
    pub(super) revoked: watch::Receiver<Option<PeerFault>>,
}

impl Origin {
    /// Waits until the client's certificate is revoked.
    pub(super) async fn revoked(&self) -> PeerFault {
        let mut revoked = self.revoked.clone();
        let fault = revoked.wait_for(Option::is_some).await;
        match fault.map(|fault| fault.clone()) {
            Ok(Some(fault)) => fault,
            // The tunnel ended, and nobody looks any more.
            Ok(None) | Err(_) => pending().await,
        }
    }
}
