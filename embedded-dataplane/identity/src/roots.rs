//! Whom to believe, and whether a chain of certificates leads there.

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};

use crate::chain::{Usage, check};
use crate::fault::ChainFault;

/// The certificates of authorities. Clones share them.
#[derive(Clone, PartialEq, Eq)]
pub struct Roots {
    pub(crate) anchors: Arc<[TrustAnchor<'static>]>,
}

/// Text that holds no roots.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootsError {
    /// It is no PEM, or a block in it is damaged.
    #[error("this is not PEM: {0}")]
    NotPem(String),
    /// There is no `CERTIFICATE` block in it.
    #[error("there is no certificate in it")]
    Empty,
    /// A certificate in it cannot be an authority's.
    #[error("certificate {place} cannot be a root: {reason}")]
    Unusable {
        /// Which, counted from 1.
        place: usize,
        /// What is wrong with it.
        reason: String,
    },
}

impl Roots {
    /// Reads a bundle of certificates.
    ///
    /// # Errors
    ///
    /// When the text is no PEM, holds no certificate, or one that cannot be an authority's.
    pub fn from_pem(text: &[u8]) -> Result<Self, RootsError> {
        let mut store = RootCertStore::empty();
        for (place, certificate) in CertificateDer::pem_slice_iter(text).enumerate() {
            let certificate = certificate.map_err(|e| RootsError::NotPem(e.to_string()))?;
            store
                .add(certificate)
                .map_err(|error| RootsError::Unusable {
                    place: place + 1,
                    reason: error.to_string(),
                })?;
        }
        if store.is_empty() {
            return Err(RootsError::Empty);
        }
        Ok(Self {
            anchors: store.roots.into(),
        })
    }

    /// Whether a server's chain, its own certificate first, leads to one of the roots at a time.
    /// Names are not looked at: in the mesh an identity is a URI, compared by who knows whom to
    /// expect.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn judge(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), ChainFault> {
        check(chain, &self.anchors, Usage::Server, now)
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots")
            .field("certificates", &self.anchors.len())
            .finish()
    }
}
