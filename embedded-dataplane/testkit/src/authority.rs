//! An authority for tests.

use std::sync::atomic::{AtomicU64, Ordering};

use ambient_facts::tunnel::SPIFFE_SCHEME;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams,
    CertificateSigningRequestParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyIdMethod, KeyPair, PKCS_ECDSA_P256_SHA256, RevokedCertParams, SanType, SerialNumber,
    SignatureAlgorithm,
};
use time::{Duration, OffsetDateTime};

/// An authority with its key.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// What stands between it and its root, itself first, in PEM.
    between: String,
    serial: u64,
}

/// Two certificates have one number only where a test wants it.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// A certificate with its key, in PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate, and what stands between it and the root.
    pub chain: String,
    /// The key.
    pub key: String,
}

/// For which end of a connection a certificate is (extended key usage).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// For both.
    #[default]
    Both,
    /// For servers.
    Server,
    /// For clients.
    Client,
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
    /// Who may show it.
    pub purpose: Purpose,
}

/// What a certificate says that few tests care for.
#[derive(Debug, Clone, Default)]
pub struct Details {
    /// Hosts that it is for, by their names in DNS.
    pub hosts: Vec<String>,
    /// Its serial number; the next free one where there is none.
    pub serial: Option<u64>,
}

impl Leaf {
    /// A valid certificate of a workload, by the path of its identity: `cluster.local/ns/a/sa/b`.
    pub fn of(path: &str) -> Self {
        Self {
            uris: vec![format!("{SPIFFE_SCHEME}{path}")],
            validity: Validity::Now,
            purpose: Purpose::Both,
        }
    }

    /// The same for one end of a connection alone.
    #[must_use]
    pub fn only_for(self, purpose: Purpose) -> Self {
        Self { purpose, ..self }
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
        Self::with_key(name, &PKCS_ECDSA_P256_SHA256)
    }

    /// An authority of this name with a key of a kind, which it signs with in the way of that kind.
    pub fn with_key(name: &str, kind: &'static SignatureAlgorithm) -> Self {
        let (params, serial) = authority(name);
        let key = KeyPair::generate_for(kind).unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
            between: String::new(),
            serial,
        }
    }

    /// The authority of this name again whose key this is, in PEM: what one has signed is the other's.
    pub fn again(name: &str, key: &str) -> Self {
        let (params, serial) = authority(name);
        let key = KeyPair::from_pem(key).unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
            between: String::new(),
            serial,
        }
    }

    /// Signs what a request in PEM asks for, under the names that it asks for.
    pub fn certify(&self, request: &str) -> String {
        let request = CertificateSigningRequestParams::from_pem(request).unwrap();
        request.signed_by(&self.issuer).unwrap().pem() + &self.between
    }

    /// An authority of this name below this one.
    #[must_use]
    pub fn below(&self, name: &str) -> Self {
        let (params, serial) = authority(name);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::signed_by(params, key, &self.issuer).unwrap();
        Self {
            between: issuer.pem() + &self.between,
            issuer,
            serial,
        }
    }

    /// Its own certificate in PEM.
    pub fn root(&self) -> String {
        self.issuer.pem()
    }

    /// Its own certificate and what stands between it and its root, in PEM.
    pub fn chain(&self) -> String {
        match self.between.as_str() {
            "" => self.root(),
            between => between.to_owned(),
        }
    }

    /// Its key in PEM.
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// The serial number of its own certificate.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// A list in PEM that revokes the certificates with these serial numbers.
    pub fn revoke(&self, serials: &[u64], validity: Validity) -> String {
        let (this_update, next_update) = validity.period();
        let revoked = |&serial| RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: this_update,
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update,
            next_update,
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// Signs a certificate.
    pub fn issue(&self, leaf: &Leaf) -> Issued {
        self.issue_with(leaf, &Details::default())
    }

    /// Signs a certificate that says more.
    pub fn issue_with(&self, leaf: &Leaf, details: &Details) -> Issued {
        let mut params = CertificateParams::default();
        let serial = details.serial.unwrap_or_else(number);
        params.serial_number = Some(SerialNumber::from(serial));
        (params.not_before, params.not_after) = leaf.validity.period();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let uris = leaf.uris.iter();
        params.subject_alt_names = uris
            .map(|uri| SanType::URI(Ia5String::try_from(uri.as_str()).unwrap()))
            .collect();
        let hosts = details.hosts.iter();
        let hosts = hosts.map(|host| SanType::DnsName(Ia5String::try_from(host.as_str()).unwrap()));
        params.subject_alt_names.extend(hosts);
        params.extended_key_usages = match leaf.purpose {
            Purpose::Both => vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ],
            Purpose::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Purpose::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        };
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            chain: certificate.pem() + &self.between,
            key: key.serialize_pem(),
        }
    }
}

impl Validity {
    fn period(self) -> (OffsetDateTime, OffsetDateTime) {
        let now = OffsetDateTime::now_utc();
        let hour = Duration::hours(1);
        match self {
            Self::Now => (now - hour, now + hour),
            Self::Past => (now - hour * 2, now - hour),
            Self::Future => (now + hour, now + hour * 2),
        }
    }
}

fn authority(name: &str) -> (CertificateParams, u64) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::OrganizationName, name);
    let serial = number();
    params.serial_number = Some(SerialNumber::from(serial));
    (params, serial)
}

fn number() -> u64 {
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}
