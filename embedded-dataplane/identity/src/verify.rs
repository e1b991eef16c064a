//! Whom the two ends of a tunnel take for whom.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use crate::certificate::Certificate;
use crate::chain::Usage;
use crate::fault::{ChainFault, PeerFault};
use crate::provider::provider;
use crate::spiffe::SpiffeId;
use crate::trust::Trust;

/// Takes clients of the own trust domain, and of its aliases (ztunnel `src/tls/workload.rs`,
/// `TrustDomainVerifier`, which knows no aliases).
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) trust: Arc<Trust>,
    pub(crate) domain: String,
}

/// Takes servers that are one of these (ztunnel `src/tls/workload.rs`, `IdentityVerifier`).
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) trust: Arc<Trust>,
    pub(crate) expected: Arc<BTreeSet<SpiffeId>>,
}

impl Clients {
    fn judge(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), PeerFault> {
        self.trust.check(chain, Usage::Client, now)?;
        let seen = identities(chain)?;
        let aliases = self.trust.aliases();
        let admitted =
            |id: &SpiffeId| id.trust_domain() == self.domain || aliases.contains(id.trust_domain());
        if seen.iter().any(admitted) {
            return Ok(());
        }
        let own = std::iter::once(&self.domain);
        let domains = own.chain(aliases).cloned().collect();
        Err(PeerFault::TrustDomain { seen, domains })
    }
}

impl Servers {
    fn judge(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), PeerFault> {
        self.trust.check(chain, Usage::Server, now)?;
        let seen = identities(chain)?;
        if seen.iter().any(|id| self.expected.contains(id)) {
            return Ok(());
        }
        let expected = BTreeSet::clone(&self.expected);
        Err(PeerFault::Identity { seen, expected })
    }
}

fn identities(chain: &[CertificateDer<'_>]) -> Result<Vec<SpiffeId>, PeerFault> {
    let own = chain.first().ok_or(PeerFault::NoCertificate)?;
    let own = Certificate::read(own).map_err(|e| ChainFault::Other(e.to_string()))?;
    Ok(own.identities().collect())
}

impl ClientCertVerifier for Clients {
    /// Says to clients which authorities to show certificates of: any, because a client that holds
    /// back a certificate whose root is not among them (Go's does) could not outlive a change of
    /// roots. ztunnel says nothing either.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(&joined(own, between), now).map_err(refuse)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(&joined(own, between), now).map_err(refuse)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

/// How signatures are verified, whatever else is permitted.
fn algorithms() -> WebPkiSupportedAlgorithms {
    provider().signature_verification_algorithms
}

/// A chain in one piece; the octets stay where they are.
fn joined<'a>(
    own: &'a CertificateDer<'_>,
    between: &'a [CertificateDer<'_>],
) -> Vec<CertificateDer<'a>> {
    let chain = std::iter::once(own).chain(between);
    chain.map(|c| CertificateDer::from(c.as_ref())).collect()
}

/// The error that makes the library send the alert that a peer of ours expects: `certificate_expired`,
/// `unknown_ca`, `unsupported_certificate`, `certificate_revoked`, and `certificate_unknown` where it
/// is about identities, as with ztunnel. The rest of what is known travels inside of it.
fn refuse(fault: PeerFault) -> Error {
    let error = match &fault {
        PeerFault::NoCertificate => return Error::NoCertificatesPresented,
        PeerFault::Chain(ChainFault::Expired) => CertificateError::Expired,
        PeerFault::Chain(ChainFault::NotYetValid) => CertificateError::NotValidYet,
        PeerFault::Chain(ChainFault::Untrusted) => CertificateError::UnknownIssuer,
        PeerFault::Chain(ChainFault::WrongUsage) => CertificateError::InvalidPurpose,
        PeerFault::Revoked => CertificateError::Revoked,
        _ => CertificateError::Other(OtherError(Arc::new(fault))),
    };
    error.into()
}

/// The other way round; `None` where the error is not about a certificate.
pub(crate) fn fault_of(error: &Error) -> Option<PeerFault> {
    let error = match error {
        Error::NoCertificatesPresented => return Some(PeerFault::NoCertificate),
        Error::InvalidCertificate(error) => error,
        _ => return None,
    };
    Some(match error {
        CertificateError::Expired => ChainFault::Expired.into(),
        CertificateError::NotValidYet => ChainFault::NotYetValid.into(),
        CertificateError::UnknownIssuer => ChainFault::Untrusted.into(),
        CertificateError::InvalidPurpose => ChainFault::WrongUsage.into(),
        CertificateError::Revoked => PeerFault::Revoked,
        CertificateError::Other(OtherError(fault)) if fault.is::<PeerFault>() => {
            fault.downcast_ref::<PeerFault>().cloned()?
        }
        other => ChainFault::Other(other.to_string()).into(),
    })
}
