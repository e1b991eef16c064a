//! Anything is a certificate, a bundle of roots or a key with its chain, or it is refused; and
//! nothing that nobody signed is believed.

use std::sync::LazyLock;

use ambient_identity::{
    Authority, Certificate, Clock, Credentials, Issued, Roots, SigningRequest, UnixTime,
};

/// A workload that nothing in the input can belong to.
static OTHER: LazyLock<(SigningRequest, Issued)> = LazyLock::new(|| {
    let identity = "spiffe://cluster.local/ns/shop/sa/web".parse().unwrap();
    let authority = Authority::generate("fuzz", Clock::system()).unwrap();
    let request = SigningRequest::new(&identity).unwrap();
    (request, authority.issue(&identity).unwrap())
});

pub(crate) fn run(data: &[u8]) {
    let (request, other) = &*OTHER;
    let der = data.to_vec().into();
    if let Ok(certificate) = Certificate::read(&der) {
        let read = certificate.identities().count();
        assert!(read <= certificate.uris.len());
    }
    let chain = [der.clone(), der];
    let now = UnixTime::now();
    assert!(other.roots.judge(&chain[..1], now).is_err());
    assert!(other.roots.judge(&chain, now).is_err());
    if let Ok(roots) = Roots::from_pem(data) {
        assert!(roots.judge(&chain, now).is_err());
    }
    assert!(request.answered(data).is_err());
    // One text may hold both.
    if let Err(error) = Credentials::from_pem(data, data) {
        assert!(!error.to_string().is_empty());
    }
}
