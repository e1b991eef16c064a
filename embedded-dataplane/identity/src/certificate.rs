//! What a certificate says.

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::SpiffeId;

/// What a certificate says, without a judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Distinguished name of its owner; workload certificates leave it empty.
    pub subject: String,
    /// Distinguished name of its signer.
    pub issuer: String,
    /// First second of its validity, counted from the beginning of 1970.
    pub not_before: i64,
    /// Last second of its validity, counted from the beginning of 1970.
    pub not_after: i64,
    /// URIs that it is for, in its order.
    pub uris: Vec<String>,
}

/// A certificate that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate cannot be read: {0}")]
pub struct Unreadable(String);

impl Certificate {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    ///
    /// When it is not a certificate.
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, Unreadable> {
        let unreadable = |error: &dyn std::fmt::Display| Unreadable(error.to_string());
        let (_, certificate) = X509Certificate::from_der(der).map_err(|e| unreadable(&e))?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|e| unreadable(&e))?;
        let names = names.map_or(&[][..], |extension| &extension.value.general_names);
        let uris = names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        });
        Ok(Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            uris: uris.collect(),
        })
    }

    /// The workload identities that it is for.
    pub fn identities(&self) -> impl Iterator<Item = SpiffeId> {
        self.uris.iter().filter_map(|uri| uri.parse().ok())
    }
}
