//! Certificates that their authorities took back.

mod signed;

use std::fmt;
use std::sync::OnceLock;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, SubjectPublicKeyInfoDer, TrustAnchor, UnixTime,
};
use webpki::{Cert, CertRevocationList, EndEntityCert, OwnedCertRevocationList};

use crate::chain::{Usage, follow, links};
use crate::fault::{PeerFault, in_words};
use signed::Signed;

/// Certificate revocation lists (RFC 5280, section 5), of one or of many authorities.
///
/// A list says what is revoked, and nothing else: a certificate that no list speaks of is good,
/// and a list whose next one is overdue still counts. Two authorities may have the same name, as
/// the old and the new root of one mesh do, so a list is that of the key that signed it. When there
/// are several lists of one key, what any of them revokes is revoked.
#[derive(Default)]
pub struct RevocationLists(Vec<List>);

struct List {
    content: CertRevocationList<'static>,
    der: CertificateRevocationListDer<'static>,
    /// The key that signed it, once that has been seen: a signature is verified once, and not with
    /// every connection.
    signer: OnceLock<SubjectPublicKeyInfoDer<'static>>,
}

/// Text that holds no revocation lists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevocationListsError {
    /// It is no list in DER, and a block of PEM in it is damaged.
    #[error("this is neither DER nor PEM")]
    NotPem,
    /// There is no `X509 CRL` block in it.
    #[error("there is no revocation list in it")]
    Empty,
    /// A list in it cannot be read, is of a kind that is not known (a delta or an indirect one), or is
    /// signed in a way in which certificates may not be.
    #[error("revocation list {place} cannot be used: {reason}")]
    Unusable {
        /// Which, counted from 1.
        place: usize,
        /// What is wrong with it.
        reason: String,
    },
}

impl RevocationLists {
    /// Reads one list in DER, or any number of them in PEM.
    ///
    /// # Errors
    ///
    /// When it is neither, when there is no list, and when one of them cannot be read: lists are
    /// taken as a whole, because half of them would admit whom the other half names.
    pub fn read(text: &[u8]) -> Result<Self, RevocationListsError> {
        if text.first() == Some(&SEQUENCE) {
            return Ok(Self(vec![List::read(1, text.to_vec().into())?]));
        }
        let lists = CertificateRevocationListDer::pem_slice_iter(text).zip(1..);
        let lists = lists.map(|(der, place)| match der {
            Ok(der) => List::read(place, der),
            Err(_) => Err(RevocationListsError::NotPem),
        });
        let lists = lists.collect::<Result<Vec<_>, _>>()?;
        if lists.is_empty() {
            return Err(RevocationListsError::Empty);
        }
        Ok(Self(lists))
    }

    /// How many lists there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none, so that nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a chain, the own certificate first, leads to one of the roots at a time, and nothing
    /// on that way is revoked.
    pub(crate) fn check(
        &self,
        chain: &[CertificateDer<'_>],
        anchors: &[TrustAnchor<'_>],
        usage: Usage,
        now: UnixTime,
    ) -> Result<(), PeerFault> {
        follow(chain, anchors, usage, now, |path| {
            if self.is_empty() {
                return Ok(());
            }
            let revoked = links(path).any(|(certificate, key)| {
                let mut lists = self.0.iter();
                lists.any(|list| list.names(certificate) && list.is_signed_with(&key))
            });
            if revoked {
                return Err(PeerFault::Revoked);
            }
            Ok(())
        })
    }

    /// Whether a list has the name of an authority of this chain with the number of what that
    /// signed: without that, [`check`](Self::check) finds nothing revoked, and costs far more.
    pub(crate) fn mention(&self, chain: &[CertificateDer<'_>]) -> bool {
        chain.iter().any(|certificate| {
            let certificate = EndEntityCert::try_from(certificate);
            certificate.is_ok_and(|c| self.0.iter().any(|list| list.names(&c)))
        })
    }
}

/// How DER begins; PEM begins with a dash, or with remarks, but no list in PEM with a `0`.
const SEQUENCE: u8 = 0x30;

impl List {
    fn read(
        place: usize,
        der: CertificateRevocationListDer<'static>,
    ) -> Result<Self, RevocationListsError> {
        let unusable = |reason| RevocationListsError::Unusable { place, reason };
        let content = OwnedCertRevocationList::from_der(&der);
        let content = content.map_err(|error| unusable(in_words(&error)))?;
        let signed = Signed::read(&der).ok_or_else(|| unusable("it is damaged".to_owned()))?;
        // Nobody could be found to have signed it, so it would revoke nothing.
        if let Some(algorithm) = signed.unknown() {
            return Err(unusable(format!(
                "it is signed with the algorithm `{algorithm}`, which is not known here"
            )));
        }
        Ok(Self {
            content: content.into(),
            der,
            signer: OnceLock::new(),
        })
    }

    fn names(&self, certificate: &Cert<'_>) -> bool {
        self.content.issuer() == certificate.issuer()
            && !matches!(self.content.find_serial(certificate.serial()), Ok(None))
    }

    fn is_signed_with(&self, key: &SubjectPublicKeyInfoDer<'_>) -> bool {
        if let Some(signer) = self.signer.get() {
            return signer == key;
        }
        let is_signer = Signed::read(&self.der).is_some_and(|signed| signed.is_by(key));
        if is_signer {
            // Whoever was faster found the same key.
            _ = self.signer.set(key.clone().into_owned());
        }
        is_signer
    }
}

impl fmt::Debug for RevocationLists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationLists")
            .field("lists", &self.len())
            .finish()
    }
}

#[cfg(test)]
mod tests;
