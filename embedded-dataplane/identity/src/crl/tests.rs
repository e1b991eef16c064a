use ambient_testkit::{Authority, Details, Issued, Leaf, Validity};
use rcgen::{
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA256, PKCS_ECDSA_P521_SHA384,
    PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_ML_DSA_65,
};
use rustls::pki_types::{CertificateDer, UnixTime};

use super::*;
use crate::chain::{Usage, check};
use crate::fault::{ChainFault, PeerFault};
use crate::roots::Roots;

fn numbered(authority: &Authority, serial: u64) -> Issued {
    let details = Details {
        serial: Some(serial),
        ..Details::default()
    };
    authority.issue_with(&Leaf::of("cluster.local/ns/shop/sa/web"), &details)
}

fn judge(roots: &[&Authority], lists: &str, peer: &Issued) -> Result<(), PeerFault> {
    let roots: String = roots.iter().map(|r| r.root()).collect();
    let roots = Roots::from_pem(roots.as_bytes()).unwrap();
    let lists = RevocationLists::read(lists.as_bytes()).unwrap();
    let chain = CertificateDer::pem_slice_iter(peer.chain.as_bytes());
    let chain: Vec<_> = chain.map(Result::unwrap).collect();
    let now = UnixTime::now();
    check(&chain, &roots.anchors, Usage::Server, now).unwrap();
    lists.check(&chain, &roots.anchors, Usage::Server, now)
}

const REVOKED: Result<(), PeerFault> = Err(PeerFault::Revoked);

#[test]
fn a_revoked_certificate_is_refused_and_its_neighbour_is_not() {
    let root = Authority::new("root");
    let list = root.revoke(&[0xbeef], Validity::Now);
    let refused = judge(&[&root], &list, &numbered(&root, 0xbeef));
    assert_eq!(refused, REVOKED);
    assert_eq!(judge(&[&root], &list, &numbered(&root, 0xbeee)), Ok(()));
}

#[test]
fn whatever_certificates_are_signed_with_a_list_may_be_too() {
    let kinds = [
        &PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_ECDSA_P521_SHA256,
        &PKCS_ECDSA_P521_SHA384,
        &PKCS_ECDSA_P521_SHA512,
        &PKCS_ED25519,
        &PKCS_ML_DSA_65,
    ];
    for kind in kinds {
        let (root, other) = (
            Authority::with_key("mesh", kind),
            Authority::with_key("mesh", kind),
        );
        let both = [&root, &other];
        let list = root.revoke(&[7], Validity::Now);
        assert_eq!(
            judge(&both, &list, &numbered(&root, 7)),
            REVOKED,
            "{kind:?}"
        );
        let neighbour = judge(&both, &list, &numbered(&other, 7));
        assert_eq!(neighbour, Ok(()), "{kind:?}");
    }
}

#[test]
fn a_list_that_nobody_could_be_found_to_have_signed_is_refused() {
    let root = Authority::new("root");
    let list = root.revoke(&[7], Validity::Now);
    let mut der = CertificateRevocationListDer::from_pem_slice(list.as_bytes())
        .unwrap()
        .to_vec();
    // From `ecdsa-with-SHA256` to `ecdsa-with-SHA224` (RFC 5758, section 3.2), in both places.
    let name = b"\x2a\x86\x48\xce\x3d\x04\x03\x02";
    let places: Vec<_> = (0..der.len())
        .filter(|&at| der[at..].starts_with(name))
        .collect();
    assert_eq!(places.len(), 2);
    for at in places {
        der[at + name.len() - 1] = 1;
    }
    let error = RevocationLists::read(&der).unwrap_err();
    insta::assert_snapshot!(error, @"revocation list 1 cannot be used: it is signed with the algorithm `1.2.840.10045.4.3.1`, which is not known here");
}

#[test]
fn a_revoked_authority_takes_those_below_with_it() {
    let root = Authority::new("root");
    let middle = root.below("middle");
    let list = root.revoke(&[middle.serial()], Validity::Now);
    let refused = judge(&[&root], &list, &numbered(&middle, 7));
    assert_eq!(refused, REVOKED);
    let other = root.below("other");
    assert_eq!(judge(&[&root], &list, &numbered(&other, 7)), Ok(()));
}

#[test]
fn who_no_list_speaks_of_is_good() {
    let (root, other) = (Authority::new("root"), Authority::new("other"));
    let list = other.revoke(&[7], Validity::Now);
    assert_eq!(judge(&[&root, &other], &list, &numbered(&root, 7)), Ok(()));
}

#[test]
fn a_list_whose_next_one_is_overdue_still_counts() {
    let root = Authority::new("root");
    let list = root.revoke(&[7], Validity::Past);
    assert_eq!(judge(&[&root], &list, &numbered(&root, 7)), REVOKED);
    assert_eq!(judge(&[&root], &list, &numbered(&root, 8)), Ok(()));
}

#[test]
fn of_two_authorities_with_one_name_each_has_its_own_list() {
    let (old, new) = (Authority::new("mesh"), Authority::new("mesh"));
    let both = [&old, &new];
    let list = old.revoke(&[7], Validity::Now);
    assert_eq!(judge(&both, &list, &numbered(&old, 7)), REVOKED);
    assert_eq!(judge(&both, &list, &numbered(&new, 7)), Ok(()));
    let lists = list + &new.revoke(&[8], Validity::Now);
    assert_eq!(judge(&both, &lists, &numbered(&old, 7)), REVOKED);
    assert_eq!(judge(&both, &lists, &numbered(&new, 8)), REVOKED);
    assert_eq!(judge(&both, &lists, &numbered(&old, 8)), Ok(()));
}

#[test]
fn of_two_lists_of_one_authority_both_count() {
    let root = Authority::new("root");
    let lists = root.revoke(&[7], Validity::Past) + &root.revoke(&[8], Validity::Now);
    assert_eq!(judge(&[&root], &lists, &numbered(&root, 7)), REVOKED);
    assert_eq!(judge(&[&root], &lists, &numbered(&root, 8)), REVOKED);
}

#[test]
fn der_is_read_like_pem() {
    let root = Authority::new("root");
    let pem = root.revoke(&[7], Validity::Now);
    let der = CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap();
    assert_eq!(RevocationLists::read(&der).unwrap().len(), 1);
}

#[test]
fn what_is_no_list_is_refused_as_a_whole() {
    let root = Authority::new("root");
    let good = root.revoke(&[7], Validity::Now);
    let der = CertificateRevocationListDer::from_pem_slice(good.as_bytes()).unwrap();
    let damaged = good.replace("-----END X509 CRL-----", "");
    let begun = &der[..der.len() - 1];
    let certificate = root.root().replace("CERTIFICATE", "X509 CRL");
    let texts: [&[u8]; 6] = [
        b"",
        root.root().as_bytes(),
        damaged.as_bytes(),
        (good.clone() + &damaged).as_bytes(),
        begun,
        (good.clone() + &certificate).as_bytes(),
    ]
    .map(|text: &[u8]| Box::leak(text.into()) as &[u8]);
    let errors = texts.map(|text| RevocationLists::read(text).unwrap_err().to_string());
    insta::assert_snapshot!(errors.join("\n"), @r"
    there is no revocation list in it
    there is no revocation list in it
    this is neither DER nor PEM
    this is neither DER nor PEM
    revocation list 1 cannot be used: it is damaged
    revocation list 2 cannot be used: it is damaged
    ");
}

#[test]
fn what_the_way_to_a_root_lacks_is_told_before_what_is_revoked() {
    let (root, other) = (Authority::new("root"), Authority::new("other"));
    let lists = RevocationLists::read(root.revoke(&[7], Validity::Now).as_bytes()).unwrap();
    let roots = Roots::from_pem(other.root().as_bytes()).unwrap();
    let chain = numbered(&root, 7).chain;
    let chain = [CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
    let refused = lists.check(&chain, &roots.anchors, Usage::Server, UnixTime::now());
    assert_eq!(refused, Err(ChainFault::Untrusted.into()));
}
