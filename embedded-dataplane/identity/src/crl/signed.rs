//! Who signed a list.

use rustls::pki_types::SignatureVerificationAlgorithm;
use x509_parser::asn1_rs::{Any, FromDer as _, Oid};

use crate::provider::provider;

/// The parts of what is signed (RFC 5280, section 5.1.1).
pub(super) struct Signed<'d> {
    message: &'d [u8],
    /// The content of an `AlgorithmIdentifier`.
    algorithm: &'d [u8],
    signature: &'d [u8],
}

impl<'d> Signed<'d> {
    /// Takes it apart. `None` when it is damaged.
    pub(super) fn read(der: &'d [u8]) -> Option<Self> {
        let (_, whole) = Any::from_der(der).ok()?;
        let (rest, _) = Any::from_der(whole.data).ok()?;
        let message = whole.data.strip_suffix(rest)?;
        let (algorithm, signature) = tagged(rest)?;
        Some(Self {
            message,
            algorithm,
            signature,
        })
    }

    /// What it is signed with, when no certificate that is signed so is believed here.
    pub(super) fn unknown(&self) -> Option<String> {
        if algorithms().any(|a| a.signature_alg_id().as_ref() == self.algorithm) {
            return None;
        }
        let name = Oid::from_der(self.algorithm);
        Some(name.map_or_else(|_| "?".to_owned(), |(_, name)| name.to_id_string()))
    }

    /// Whether it is signed with a key (a `SubjectPublicKeyInfo`), by what certificates are verified
    /// with: whose certificates are believed, and nobody else's, are its lists as well.
    pub(super) fn is_by(&self, key: &[u8]) -> bool {
        let verified = || {
            let (_, key) = Any::from_der(key).ok()?;
            let (kind, key) = tagged(key.data)?;
            let fitting = algorithms().filter(|a| {
                a.signature_alg_id().as_ref() == self.algorithm
                    && a.public_key_alg_id().as_ref() == kind
            });
            let mut outcomes =
                fitting.map(|a| a.verify_signature(key, self.message, self.signature));
            Some(outcomes.any(|outcome| outcome.is_ok()))
        };
        verified().unwrap_or(false)
    }
}

fn algorithms() -> impl Iterator<Item = &'static dyn SignatureVerificationAlgorithm> {
    let algorithms = provider().signature_verification_algorithms.all;
    algorithms.iter().copied()
}

/// The content of an `AlgorithmIdentifier`, and the octets of the bits that it is for.
fn tagged(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, algorithm) = Any::from_der(der).ok()?;
    let (_, bits) = Any::from_der(rest).ok()?;
    match bits.data.split_first()? {
        // Keys and signatures are whole octets.
        (0, octets) => Some((algorithm.data, octets)),
        _ => None,
    }
}
