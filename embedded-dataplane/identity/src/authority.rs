//! An authority whose key is in this process.

use std::fmt;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use time::OffsetDateTime;

use crate::certificate::Certificate;
use crate::clock::Clock;
use crate::credentials::{Credentials, CredentialsError, Issued};
use crate::csr::{private, workload};
use crate::fault::ChainFault;
use crate::roots::{Roots, RootsError};
use crate::spiffe::SpiffeId;

/// How long certificates of workloads are valid unless told otherwise (ztunnel `src/config.rs`,
/// `SECRET_TTL`).
const LIFETIME: Duration = Duration::from_hours(24);

/// By how much the beginning of a validity is dated back, for peers whose clock is behind (istio
/// `security/pkg/pki/util/generate_cert.go`, `ClockSkewGracePeriod`).
const SKEW: Duration = Duration::from_mins(2);

/// Signs certificates of workloads for any identity that it is asked for. It is for demonstrations,
/// comparisons and tests: nobody proves to it who they are.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Until when its own certificate is valid, in seconds since the beginning of 1970.
    not_after: i64,
    /// What stands between the certificates that it signs and the roots.
    above: Vec<CertificateDer<'static>>,
    roots: Roots,
    lifetime: Duration,
    clock: Clock,
}

/// An authority cannot be set up, or cannot sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// The certificate or the chain is no PEM or holds no certificate.
    #[error("the certificate of the authority is not PEM: {0}")]
    NotPem(String),
    /// The key is no PEM, or of a kind that cannot sign here. What is wrong with it is not repeated:
    /// it could be a part of the key.
    #[error("the key of the authority is not a private key in PEM that can sign")]
    Key,
    /// The roots cannot be read.
    #[error("the roots of the authority: {0}")]
    Roots(#[from] RootsError),
    /// What it signs is not believed by who believes in its roots: the key is another's, a
    /// certificate between is missing, or one of them cannot sign.
    #[error("the authority's certificate, key, chain and roots do not fit together: {0}")]
    Unfit(ChainFault),
    /// A certificate cannot be made.
    #[error("cannot sign: {0}")]
    Sign(String),
    /// The certificate that it made cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

impl Authority {
    /// A new authority that is its own root, with a P-256 key. The name is its organization.
    ///
    /// # Errors
    ///
    /// When there is no randomness.
    pub fn generate(name: &str, clock: Clock) -> Result<Self, AuthorityError> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = DistinguishedName::new();
        let organization = DnType::OrganizationName;
        params.distinguished_name.push(organization, name);
        let key = KeyPair::generate().map_err(|_| AuthorityError::Key)?;
        let certificate = params.self_signed(&key).map_err(sign)?;
        let issuer = Issuer::new(params, key);
        let roots = Roots::from_pem(certificate.pem().as_bytes())?;
        Self::new(issuer, certificate.der(), Vec::new(), roots, clock)
    }

    /// An authority from texts in PEM: its certificate, its key (PKCS#8, SEC1 or PKCS#1), the
    /// certificates between it and the roots, nearest first (may begin with its own, and may be
    /// empty), and the roots.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read, or when they do not fit together.
    pub fn from_pem(
        certificate: &[u8],
        key: &[u8],
        chain: &[u8],
        roots: &[u8],
        clock: Clock,
    ) -> Result<Self, AuthorityError> {
        let read = |text| CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
        let not_pem = |error: &dyn fmt::Display| AuthorityError::NotPem(error.to_string());
        let own = CertificateDer::from_pem_slice(certificate).map_err(|e| not_pem(&e))?;
        let chain: Vec<_> = read(chain).map_err(|e| not_pem(&e))?;
        let key = std::str::from_utf8(key).map_err(|_| AuthorityError::Key)?;
        let key = KeyPair::from_pem(key).map_err(|_| AuthorityError::Key)?;
        let issuer = Issuer::from_ca_cert_der(&own, key).map_err(|e| not_pem(&e))?;
        let bundle = read(roots).map_err(|e| not_pem(&e))?;
        let mut above = vec![own.clone()];
        above.extend(chain.into_iter().filter(|c| *c != own));
        // A root is not shown: who does not have it does not believe in it either.
        above.retain(|c| !bundle.contains(c));
        Self::new(issuer, &own, above, Roots::from_pem(roots)?, clock)
    }

    fn new(
        issuer: Issuer<'static, KeyPair>,
        certificate: &CertificateDer<'_>,
        above: Vec<CertificateDer<'static>>,
        roots: Roots,
        clock: Clock,
    ) -> Result<Self, AuthorityError> {
        let certificate = Certificate::read(certificate).map_err(CredentialsError::from)?;
        Ok(Self {
            issuer,
            not_after: certificate.not_after,
            above,
            roots,
            lifetime: LIFETIME,
            clock,
        })
    }

    /// The same with another lifetime of the certificates that it signs, from now on.
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// The roots that its certificates lead to.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// Makes a key and signs a certificate for it, as istiod would: valid from two minutes ago, no
    /// longer than its own, for both ends of a connection (istio `security/pkg/pki/util`).
    ///
    /// # Errors
    ///
    /// When the identity does not fit into a certificate, or when what comes out is not believed by
    /// who believes in the roots: the authority's own certificate has expired, or is not of this key.
    pub fn issue(&self, identity: &SpiffeId) -> Result<Issued, AuthorityError> {
        let now = self.clock.now();
        let seconds = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
        let today = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let end = today
            .saturating_add(seconds(self.lifetime))
            .min(self.not_after);
        let mut params = workload(identity).map_err(sign)?;
        params.not_before = moment(today - seconds(SKEW))?;
        params.not_after = moment(end)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().map_err(sign)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(sign)?;
        let mut chain = vec![certificate.der().clone()];
        chain.extend(self.above.iter().cloned());
        self.roots
            .judge(&chain, now)
            .map_err(AuthorityError::Unfit)?;
        Ok(Issued {
            credentials: Credentials::from_der(chain, private(&key))?,
            roots: self.roots.clone(),
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("roots", &self.roots)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

fn moment(seconds: i64) -> Result<OffsetDateTime, AuthorityError> {
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|e| AuthorityError::Sign(e.to_string()))
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` passes it so")]
fn sign(error: rcgen::Error) -> AuthorityError {
    AuthorityError::Sign(error.to_string())
}

#[cfg(test)]
mod tests {
    use ambient_testkit as testkit;

    use super::*;

    fn web() -> SpiffeId {
        "spiffe://cluster.local/ns/shop/sa/web".parse().unwrap()
    }

    #[test]
    fn certificates_are_as_istiod_signs_them() {
        let clock = Clock::system();
        let authority = Authority::generate("mesh", clock).unwrap();
        let issued = authority.issue(&web()).unwrap();
        let certificate = issued.credentials.certificate();
        let identities: Vec<_> = certificate.identities().collect();
        assert_eq!(
            (certificate.subject.as_str(), certificate.issuer.as_str()),
            ("", "O=mesh")
        );
        assert_eq!(identities, [web()]);
        let lifetime = certificate.not_after - certificate.not_before;
        assert_eq!(lifetime, 24 * 3600 + 120);
        let elsewhere = Roots::from_pem(testkit::Authority::new("mesh").root().as_bytes());
        let chain = &issued.credentials.key.cert;
        assert_eq!(issued.roots.judge(chain, clock.now()), Ok(()));
        let judged = elsewhere.unwrap().judge(chain, clock.now());
        assert_eq!(judged, Err(ChainFault::Untrusted));
    }

    #[test]
    fn an_authority_below_a_root_shows_what_is_between() {
        let root = testkit::Authority::new("root");
        let signer = root.below("middle").below("signer");
        let chain = signer.root() + &root.below("stranger").root() + &root.root();
        let read = |chain: &str, key: &str| {
            Authority::from_pem(
                signer.root().as_bytes(),
                key.as_bytes(),
                chain.as_bytes(),
                root.root().as_bytes(),
                Clock::system(),
            )
        };
        // The one in the middle is missing, so nobody could follow the chain.
        let unfit = read(&chain, &signer.key()).unwrap().issue(&web());
        assert_eq!(
            unfit.unwrap_err(),
            AuthorityError::Unfit(ChainFault::Untrusted)
        );
        // Another's key.
        let whole = signer.chain() + &root.root();
        let unfit = read(&whole, &root.key()).unwrap().issue(&web());
        assert_eq!(
            unfit.unwrap_err(),
            AuthorityError::Unfit(ChainFault::Untrusted)
        );
        let issued = read(&whole, &signer.key()).unwrap().issue(&web()).unwrap();
        assert_eq!(issued.credentials.key.cert.len(), 3);
    }

    #[test]
    fn a_certificate_does_not_outlive_its_authority() {
        let signer = testkit::Authority::new("short");
        let (root, key) = (signer.root(), signer.key());
        let read = || {
            let (root, key) = (root.as_bytes(), key.as_bytes());
            Authority::from_pem(root, key, b"", root, Clock::system()).unwrap()
        };
        let forever = Duration::from_secs(u64::MAX);
        let issued = read().with_lifetime(forever).issue(&web()).unwrap();
        let end = Certificate::read(&CertificateDer::from_pem_slice(root.as_bytes()).unwrap());
        assert_eq!(
            issued.credentials.certificate().not_after,
            end.unwrap().not_after
        );
    }

    #[test]
    fn what_is_wrong_is_told_without_the_key() {
        let signer = testkit::Authority::new("a");
        let (root, key) = (signer.root(), signer.key());
        let read = |certificate: &[u8], key: &[u8], roots: &[u8]| {
            let clock = Clock::system();
            let error = Authority::from_pem(certificate, key, b"", roots, clock).unwrap_err();
            error.to_string()
        };
        let (root, key) = (root.as_bytes(), key.as_bytes());
        let damaged = &key[..key.len() / 2];
        let texts = [
            read(b"x", key, root),
            read(root, b"x", root),
            read(root, damaged, root),
            read(root, key, b""),
        ];
        insta::assert_snapshot!(texts.join("\n"), @r"
        the certificate of the authority is not PEM: no items found
        the key of the authority is not a private key in PEM that can sign
        the key of the authority is not a private key in PEM that can sign
        the roots of the authority: there is no certificate in it
        ");
    }
}
