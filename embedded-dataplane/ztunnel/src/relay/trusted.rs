//! A connection that lasts as long as its peer is not revoked, and knows whether that would be believed
//! again.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ambient_hbone::pool::Admits;
use ambient_identity::{Peer, PeerFault, Standing, Trust, Watch};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection that fails when its peer is revoked.
pub(super) struct Trusted<S> {
    stream: S,
    watch: Watch,
    standing: Arc<Standing>,
}

/// The peer of such a connection.
#[derive(Debug, Clone)]
pub(super) struct Trustee(Arc<Standing>);

impl<S> Trusted<S> {
    /// A connection to a peer that has just proved who it is.
    pub(super) fn new(stream: S, peer: &Peer, trust: &Arc<Trust>) -> Self {
        Self {
            stream,
            watch: trust.watch(peer),
            standing: Arc::new(Standing::of(trust, peer)),
        }
    }

    /// Its peer.
    pub(super) fn peer(&self) -> Trustee {
        Trustee(Arc::clone(&self.standing))
    }
}

impl Admits for Trustee {
    /// Where it does not, a new handshake tells why.
    fn admits(&self) -> bool {
        self.0.check().is_ok()
    }
}

impl Trustee {
    /// By what it is revoked, if it is: then its connection has failed for that.
    pub(super) fn revoked(&self) -> Option<PeerFault> {
        let fault = self.0.check().err();
        fault.filter(|fault| *fault == PeerFault::Revoked)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Trusted<S> {
    /// Whoever has a connection waits for what comes, so this is where it learns of it.
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(fault) = self.watch.poll_revoked(cx) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::PermissionDenied, fault)));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Trusted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
