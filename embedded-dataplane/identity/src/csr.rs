//! Keys of workloads, and the requests that ask an authority to certify them.

use std::fmt;

use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, SanType};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::credentials::{Credentials, CredentialsError};
use crate::spiffe::SpiffeId;

/// A new P-256 key with a PKCS#10 request for a certificate of it, as Istio's authority wants it: no
/// subject, and the identity as the one subject alternative name, critical (RFC 5280, section
/// 4.2.1.6; ztunnel `src/tls/csr.rs`).
///
/// The key shows in no output of this type.
pub struct SigningRequest {
    key: KeyPair,
    pem: String,
}

/// A key or a request could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no request for a certificate of `{identity}`: {reason}")]
pub struct SigningRequestError {
    identity: SpiffeId,
    reason: String,
}

impl SigningRequest {
    /// Makes a key, and a request for this identity.
    ///
    /// # Errors
    ///
    /// When there is no randomness, or when the identity does not fit into a certificate because it
    /// is not ASCII.
    pub fn new(identity: &SpiffeId) -> Result<Self, SigningRequestError> {
        let made = || {
            let key = KeyPair::generate()?;
            let request = workload(identity)?.serialize_request(&key)?;
            let pem = request.pem()?;
            Ok(Self { key, pem })
        };
        made().map_err(|error: rcgen::Error| SigningRequestError {
            identity: identity.clone(),
            reason: error.to_string(),
        })
    }

    /// The request in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The key with the chain that the authority answered with, the own certificate first.
    ///
    /// # Errors
    ///
    /// When the chain is no PEM, is empty, or is for another key.
    pub fn answered(&self, chain: &[u8]) -> Result<Credentials, CredentialsError> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| CredentialsError::CertificateNotPem(error.to_string()))?;
        Credentials::from_der(chain, private(&self.key))
    }
}

impl fmt::Debug for SigningRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SigningRequest");
        shown.field("pem", &self.pem).finish_non_exhaustive()
    }
}

/// What a certificate of a workload says of whom it is for.
pub(crate) fn workload(identity: &SpiffeId) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let uri = Ia5String::try_from(identity.to_string())?;
    params.subject_alt_names = vec![SanType::URI(uri)];
    Ok(params)
}

/// The key as TLS takes it.
pub(crate) fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

#[cfg(test)]
mod tests {
    use ambient_testkit::{Authority, Leaf};
    use rustls::pki_types::CertificateSigningRequestDer;
    use x509_parser::prelude::*;

    use super::*;

    fn web() -> SpiffeId {
        "spiffe://cluster.local/ns/shop/sa/web".parse().unwrap()
    }

    #[test]
    fn a_request_names_the_identity_and_nothing_else() {
        let request = SigningRequest::new(&web()).unwrap();
        let der = CertificateSigningRequestDer::from_pem_slice(request.pem().as_bytes()).unwrap();
        let (rest, read) = X509CertificationRequest::from_der(&der).unwrap();
        assert!(rest.is_empty());
        read.verify_signature().unwrap();
        let info = &read.certification_request_info;
        assert_eq!(info.subject.iter().count(), 0);
        assert_eq!(
            read.signature_algorithm.algorithm,
            oid_registry::OID_SIG_ECDSA_WITH_SHA256
        );
        let curve = info.subject_pki.algorithm.parameters.as_ref().unwrap();
        assert_eq!(curve.as_oid().unwrap(), oid_registry::OID_EC_P256);
        let extensions: Vec<_> = info
            .iter_attributes()
            .filter_map(|attribute| match attribute.parsed_attribute() {
                ParsedCriAttribute::ExtensionRequest(requested) => Some(&requested.extensions),
                _ => None,
            })
            .flatten()
            .collect();
        let [names] = extensions.as_slice() else {
            panic!("one extension, not {extensions:?}");
        };
        assert!(names.critical);
        let ParsedExtension::SubjectAlternativeName(names) = names.parsed_extension() else {
            panic!("{names:?}");
        };
        let uri = web().to_string();
        assert_eq!(names.general_names, [GeneralName::URI(&uri)]);
    }

    #[test]
    fn an_answer_for_another_key_is_refused() {
        let request = SigningRequest::new(&web()).unwrap();
        let another = Authority::new("a").issue(&Leaf::of("cluster.local/ns/shop/sa/web"));
        let answered = request.answered(another.chain.as_bytes());
        assert_eq!(answered.unwrap_err(), CredentialsError::Mismatch);
        let answered = request.answered(b"");
        assert_eq!(answered.unwrap_err(), CredentialsError::NoCertificate);
    }

    #[test]
    fn the_key_is_not_shown() {
        let request = SigningRequest::new(&web()).unwrap();
        let shown = format!("{request:?}");
        let key = request.key.serialize_pem();
        let secret = key.lines().nth(1).unwrap();
        assert!(shown.contains("CERTIFICATE REQUEST"));
        assert!(!shown.contains(secret) && !shown.contains("PRIVATE KEY"));
    }
}
