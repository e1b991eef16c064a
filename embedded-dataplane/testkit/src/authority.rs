//! An authority for tests.

use ambient_facts::tunnel::SPIFFE_SCHEME;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};
use time::{Duration, OffsetDateTime};

/// An authority with its key.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, in PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub chain: String,
    /// The key.
    pub key: String,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// From an hour ago to an hour from now.
    Now,
    /// Until an hour ago.
    Past,
    /// From an hour from now on.
    Future,
}

/// What a certificate is to say.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// The URIs that it is for.
    pub uris: Vec<String>,
    /// When it is valid.
    pub validity: Validity,
    /// Whether it is for servers too, and not for clients alone.
    pub server: bool,
}

impl Leaf {
    /// A valid certificate of a workload, by the path of its identity: `cluster.local/ns/a/sa/b`.
    pub fn of(path: &str) -> Self {
        Self {
            uris: vec![format!("{SPIFFE_SCHEME}{path}")],
            validity: Validity::Now,
            server: true,
        }
    }

    /// The same with another validity.
    #[must_use]
    pub fn valid(self, validity: Validity) -> Self {
        Self { validity, ..self }
    }
}

impl Authority {
    /// An authority of this name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::OrganizationName, name);
        let key = KeyPair::generate().unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    /// Its own certificate in PEM.
    pub fn root(&self) -> String {
        self.issuer.pem()
    }

    /// Signs a certificate.
    pub fn issue(&self, leaf: &Leaf) -> Issued {
        let mut params = CertificateParams::default();
        let now = OffsetDateTime::now_utc();
        let hour = Duration::hours(1);
        (params.not_before, params.not_after) = match leaf.validity {
            Validity::Now => (now - hour, now + hour),
            Validity::Past => (now - hour * 2, now - hour),
            Validity::Future => (now + hour, now + hour * 2),
        };
        params.distinguished_name = rcgen::DistinguishedName::new();
        let uris = leaf.uris.iter();
        params.subject_alt_names = uris
            .map(|uri| SanType::URI(Ia5String::try_from(uri.as_str()).unwrap()))
            .collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if leaf.server {
            let server = ExtendedKeyUsagePurpose::ServerAuth;
            params.extended_key_usages.push(server);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}
