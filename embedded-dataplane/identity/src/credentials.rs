//! A certificate with its key.

use std::fmt;
use std::sync::Arc;

use rustls::Error;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::certificate::{Certificate, Unreadable};
use crate::provider::provider;
use crate::roots::Roots;

/// A chain of certificates, the own one first, with the key of the own one.
///
/// The key shows in no output of this type.
#[derive(Clone)]
pub struct Credentials {
    pub(crate) key: Arc<CertifiedKey>,
    certificate: Certificate,
}

/// What an authority gives to a workload.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The chain and the key.
    pub credentials: Credentials,
    /// The roots that the workload is to believe in.
    pub roots: Roots,
}

/// Text that holds no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// The certificate's text is no PEM, or a block in it is damaged.
    #[error("the certificate is not PEM: {0}")]
    CertificateNotPem(String),
    /// There is no `CERTIFICATE` block.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// The own certificate cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// There is no private key, or its block is damaged.
    #[error("there is no private key in PEM in it")]
    NoKey,
    /// The key is another's.
    #[error("it is not the key of the certificate")]
    Mismatch,
    /// The key is of a kind that TLS does not use here.
    #[error("the key cannot be used: {0}")]
    Unusable(String),
}

impl CredentialsError {
    /// Whether it is the key's text that is wrong.
    pub fn is_of_key(&self) -> bool {
        matches!(self, Self::NoKey | Self::Mismatch | Self::Unusable(_))
    }
}

impl Credentials {
    /// Reads a chain, the own certificate first, and its key (PKCS#8, SEC1 or PKCS#1).
    ///
    /// # Errors
    ///
    /// When either text is no PEM or lacks what it should hold, or when they do not fit.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CredentialsError> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| CredentialsError::CertificateNotPem(error.to_string()))?;
        let own = chain.first().ok_or(CredentialsError::NoCertificate)?;
        let certificate = Certificate::read(own)?;
        // What is wrong with the text of a key is not repeated: it could be a part of the key.
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CredentialsError::NoKey)?;
        Self::new(certificate, chain, key)
    }

    /// The same from a chain and a key in DER.
    pub(crate) fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CredentialsError> {
        let own = chain.first().ok_or(CredentialsError::NoCertificate)?;
        Self::new(Certificate::read(own)?, chain, key)
    }

    fn new(
        certificate: Certificate,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CredentialsError> {
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            Error::InconsistentKeys(_) => CredentialsError::Mismatch,
            other => CredentialsError::Unusable(other.to_string()),
        })?;
        Ok(Self {
            key: Arc::new(key),
            certificate,
        })
    }

    /// The own certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}
