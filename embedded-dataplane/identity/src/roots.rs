//! Whom to believe, and whether a chain of certificates leads there.

use std::fmt;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};

use crate::provider::provider;

/// The certificates of authorities.
#[derive(Clone)]
pub struct Roots {
    store: RootCertStore,
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

/// Why a chain is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainFault {
    /// A certificate in it has expired.
    Expired,
    /// A certificate in it is not valid yet.
    NotYetValid,
    /// It leads to none of the roots, or a signature in it is wrong.
    Untrusted,
    /// The certificate is not for servers (extended key usage).
    WrongUsage,
    /// Something else, in the words of the verifier.
    Other(String),
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
        Ok(Self { store })
    }

    /// Whether a server's chain, its own certificate first, leads to one of the roots at a time.
    /// Names are not looked at: in the mesh an identity is a URI, compared by who knows whom to
    /// expect.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn judge(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), ChainFault> {
        let Some((own, intermediates)) = chain.split_first() else {
            return Err(ChainFault::Untrusted);
        };
        let judged = ParsedCertificate::try_from(own).and_then(|own| {
            let algorithms = provider().signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(
                &own,
                &self.store,
                intermediates,
                now,
                algorithms,
            )
        });
        judged.map_err(|error| ChainFault::of(&error))
    }
}

impl ChainFault {
    fn of(error: &Error) -> Self {
        let Error::InvalidCertificate(fault) = error else {
            return Self::Other(error.to_string());
        };
        match fault {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::Untrusted,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::WrongUsage
            }
            other => Self::Other(other.to_string()),
        }
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots")
            .field("certificates", &self.store.len())
            .finish()
    }
}
