//! Who is at the other end of a connection.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};

use crate::certificate::Certificate;
use crate::chain::Usage;
use crate::clock::Clock;
use crate::crl::RevocationLists;
use crate::fault::PeerFault;
use crate::spiffe::SpiffeId;

/// A peer whose identity a handshake proved.
#[derive(Debug, Clone)]
pub struct Peer {
    identity: SpiffeId,
    pub(crate) evidence: Arc<Evidence>,
}

/// What a peer was believed for.
#[derive(Debug)]
pub(crate) struct Evidence {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) anchors: Arc<[TrustAnchor<'static>]>,
    pub(crate) usage: Usage,
    pub(crate) at: UnixTime,
    /// What that was read from.
    pub(crate) clock: Clock,
}

impl Peer {
    pub(crate) fn new(identity: SpiffeId, evidence: Evidence) -> Self {
        Self {
            identity,
            evidence: Arc::new(evidence),
        }
    }

    /// Whom the peer is taken for: of a client the first identity of its certificate, as ztunnel
    /// has it (`src/tls/certificate.rs`, `identity_from_connection`), of a server the first that
    /// was expected.
    pub fn identity(&self) -> &SpiffeId {
        &self.identity
    }

    /// Its certificate.
    pub fn certificate(&self) -> Option<Certificate> {
        Certificate::read(self.evidence.chain.first()?).ok()
    }
}

impl Evidence {
    /// Whether a chain that was believed once is revoked by now. That it may have expired since does
    /// not count, so it is judged as of then, with the roots of then.
    pub(crate) fn judge(&self, lists: &RevocationLists) -> Result<(), PeerFault> {
        if !lists.mention(&self.chain) {
            return Ok(());
        }
        lists.check(&self.chain, &self.anchors, self.usage, self.at)
    }

    /// Whether the chain would be believed now.
    pub(crate) fn judge_again(
        &self,
        anchors: &[TrustAnchor<'_>],
        lists: &RevocationLists,
    ) -> Result<(), PeerFault> {
        lists.check(&self.chain, anchors, self.usage, self.clock.now())
    }

    /// The time of day, in seconds from the beginning of 1970.
    pub(crate) fn seconds(&self) -> i64 {
        i64::try_from(self.clock.now().as_secs()).unwrap_or(i64::MAX)
    }
}
