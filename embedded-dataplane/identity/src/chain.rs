//! Whether a chain of certificates leads to a root.

use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, TrustAnchor, UnixTime};
use webpki::{Cert, EndEntityCert, KeyUsage, VerifiedPath, spki_for_anchor};

use crate::fault::ChainFault;
use crate::provider::provider;

/// What the own certificate of a chain is shown for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    Server,
    Client,
}

/// Whether a chain, the own certificate first, leads to one of the roots at a time.
pub(crate) fn check(
    chain: &[CertificateDer<'_>],
    anchors: &[TrustAnchor<'_>],
    usage: Usage,
    now: UnixTime,
) -> Result<(), ChainFault> {
    follow(chain, anchors, usage, now, |_| Ok(()))
}

/// The same, and then judges the way that was found.
pub(crate) fn follow<E: From<ChainFault>>(
    chain: &[CertificateDer<'_>],
    anchors: &[TrustAnchor<'_>],
    usage: Usage,
    now: UnixTime,
    judge: impl FnOnce(&VerifiedPath<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let Some((own, between)) = chain.split_first() else {
        return Err(ChainFault::Untrusted.into());
    };
    let refuse = |error| E::from(ChainFault::of(&error));
    let own = EndEntityCert::try_from(own).map_err(refuse)?;
    let usage = match usage {
        Usage::Server => KeyUsage::server_auth(),
        Usage::Client => KeyUsage::client_auth(),
    };
    let algorithms = provider().signature_verification_algorithms.all;
    let path = own.verify_for_usage(algorithms, anchors, between, now, usage, None, None);
    judge(&path.map_err(refuse)?)
}

/// Every certificate on the way to a root, the own first, with the key of who signed it.
pub(crate) fn links<'p>(
    path: &'p VerifiedPath<'p>,
) -> impl Iterator<Item = (&'p Cert<'p>, SubjectPublicKeyInfoDer<'static>)> {
    let own: &Cert<'_> = path.end_entity();
    let signed = std::iter::once(own).chain(path.intermediate_certificates());
    let keys = path.intermediate_certificates();
    let keys = keys.map(Cert::subject_public_key_info);
    signed.zip(keys.chain(std::iter::once(spki_for_anchor(path.anchor()))))
}
