//! What it means that TLS fails.

use std::io;

use ambient_hbone::Seen;
use ambient_identity::{Alert, TlsFault};

use super::{Verdict, octets, reason, shown};
use crate::probe::Cause;

const NO_PROXY: &str = "What answers is no proxy of the mesh: check that the address is that of an \
    enrolled pod or a waypoint, and the port the tunnel's.";
const WANTS_NAME: &str = "The peer wants the name of a server (SNI), which proxies of the mesh \
    neither send nor ask for: check that the address is that of an enrolled pod or a waypoint.";
const FAILED_ITSELF: &str = "The peer failed on its own, as a proxy does that has no certificate: \
    look at its log, and whether it reaches the control plane.";
const UNREADABLE: &str = "What the peer got is not what was sent: something in between changes it, \
    or the peer is no proxy of the mesh. A probe from the peer's own node tells the path from the peer.";
const LEFT: &str = "The peer left in the middle of the handshake without a reason: look at its log, \
    and at what may end connections in between.";
const REASON_OF_ITS_OWN: &str = "Look at the peer's log: the alert names a reason that has nothing \
    to do with versions and groups.";

/// TLS failed, with what came from the peer until then.
pub(in crate::probe) fn handshake(error: &io::Error, seen: &Seen) -> Verdict {
    let parameters = |detail: String| Verdict::new(Cause::TlsNoCommonParameters, detail);
    let Some(fault) = TlsFault::of(error) else {
        let reason = reason(error);
        return if seen.received == 0 {
            Verdict::new(Cause::ClosedBeforeTls, format!("{reason} after no octet"))
        } else {
            parameters(format!("{reason} after {}", octets(seen.received))).advise(Some(LEFT))
        };
    };
    match fault {
        TlsFault::Alert(alert) => refusal(alert),
        TlsFault::Version => Verdict::new(Cause::TlsVersion, "the answer is in an older version"),
        TlsFault::NothingInCommon => parameters("the peer chose what was not offered".to_owned()),
        TlsFault::Protocol => Verdict::new(Cause::AlpnMismatch, "the peer chose another protocol"),
        TlsFault::Broken(text) if is_tls(&seen.first) => parameters(text),
        TlsFault::NotTls | TlsFault::Broken(_) => Verdict::new(
            Cause::NotTls,
            format!("it began with {}", shown(&seen.first)),
        ),
    }
}

/// Whether something begins like a record of TLS: its type, and a version 3.x.
fn is_tls(first: &[u8]) -> bool {
    matches!(first, [20..=23, 3, ..])
}

fn name(alert: Alert) -> String {
    format!("alert {} {}", alert.number, alert.name)
}

/// The peer refused, and no certificate of ours is the reason. Numbers are those of RFC 8446,
/// section 6; what servers mean by them is from their sources.
pub(super) fn refusal(alert: Alert) -> Verdict {
    let (cause, advice) = match alert.number {
        70 => (Cause::TlsVersion, None),
        120 => (Cause::AlpnMismatch, None),
        // handshake_failure, illegal_parameter, insufficient_security, missing_extension and
        // unsupported_extension.
        40 | 47 | 71 | 109 | 110 => (Cause::TlsNoCommonParameters, None),
        112 => (Cause::TlsNoCommonParameters, Some(WANTS_NAME)),
        // internal_error; access_denied is what rustls says where it has no certificate.
        80 | 49 => (Cause::TlsNoCommonParameters, Some(FAILED_ITSELF)),
        // unexpected_message, bad_record_mac, record_overflow, decode_error and decrypt_error.
        10 | 20 | 22 | 50 | 51 => (Cause::TlsNoCommonParameters, Some(UNREADABLE)),
        // Complaints of a certificate, before there was one.
        41..=48 | 116 => (Cause::TlsNoCommonParameters, Some(NO_PROXY)),
        _ => (Cause::TlsNoCommonParameters, Some(REASON_OF_ITS_OWN)),
    };
    Verdict::new(cause, name(alert)).advise(advice)
}

/// The peer refused the certificate that it was shown.
pub(super) fn rejection(alert: Alert) -> Verdict {
    let (cause, advice) = match alert.number {
        // decrypt_error is what rustls says where the peer has a root of the same name with another
        // key, as two meshes that made their own roots have.
        48 | 51 => (Cause::ClientUntrusted, None),
        45 => (Cause::ClientExpired, None),
        43 => (Cause::ClientWrongUsage, None),
        44 | 49 => (Cause::ClientDenied, None),
        42 => (
            Cause::ClientRejected,
            Some(
                "The peer finds the certificate itself wrong: give one of version 3 with the URI \
                 of a workload, signed by an authority of the mesh.",
            ),
        ),
        50 => (
            Cause::ClientRejected,
            Some(
                "The peer cannot read the certificate: have it issued anew, and give its chain \
                 without the root.",
            ),
        ),
        80 => (
            Cause::ClientRejected,
            Some(
                "The peer failed on its own while it looked at the certificate: look at its log, \
                 and at the roots and revocation lists that it was given.",
            ),
        ),
        116 => (
            Cause::ClientRejected,
            Some(
                "The peer asked for kinds of keys that the certificate does not have, so that it \
                 was shown none: give one of ECDSA P-256 or RSA, as the mesh has them.",
            ),
        ),
        _ => (Cause::ClientRejected, None),
    };
    Verdict::new(cause, name(alert)).advise(advice)
}

/// The alerts of servers that want a certificate and got none: `certificate_required`, and those of
/// libraries that do not have it.
pub(in crate::probe) fn wants_certificate(error: &io::Error) -> Option<String> {
    match TlsFault::of(error)? {
        TlsFault::Alert(alert) if matches!(alert.number, 116 | 42 | 40) => Some(name(alert)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(judge: impl Fn(Alert) -> Verdict, numbers: &[u8]) -> String {
        let lines = numbers.iter().map(|&number| {
            let Verdict { cause, advice, .. } = judge(Alert { number, name: "" });
            format!(
                "{number} {}: {}\n",
                cause.name(),
                advice.unwrap_or("as ever")
            )
        });
        lines.collect()
    }

    #[test]
    fn a_refusal_has_the_remedy_of_its_alert() {
        let numbers = [10, 40, 42, 49, 50, 70, 71, 80, 112, 116, 120, 200];
        insta::assert_snapshot!(told(refusal, &numbers), @"
        10 tls-no-common-parameters: What the peer got is not what was sent: something in between changes it, or the peer is no proxy of the mesh. A probe from the peer's own node tells the path from the peer.
        40 tls-no-common-parameters: as ever
        42 tls-no-common-parameters: What answers is no proxy of the mesh: check that the address is that of an enrolled pod or a waypoint, and the port the tunnel's.
        49 tls-no-common-parameters: The peer failed on its own, as a proxy does that has no certificate: look at its log, and whether it reaches the control plane.
        50 tls-no-common-parameters: What the peer got is not what was sent: something in between changes it, or the peer is no proxy of the mesh. A probe from the peer's own node tells the path from the peer.
        70 tls-version: as ever
        71 tls-no-common-parameters: as ever
        80 tls-no-common-parameters: The peer failed on its own, as a proxy does that has no certificate: look at its log, and whether it reaches the control plane.
        112 tls-no-common-parameters: The peer wants the name of a server (SNI), which proxies of the mesh neither send nor ask for: check that the address is that of an enrolled pod or a waypoint.
        116 tls-no-common-parameters: What answers is no proxy of the mesh: check that the address is that of an enrolled pod or a waypoint, and the port the tunnel's.
        120 alpn-mismatch: as ever
        200 tls-no-common-parameters: Look at the peer's log: the alert names a reason that has nothing to do with versions and groups.
        ");
    }

    #[test]
    fn a_refusal_of_a_certificate_has_the_remedy_of_its_alert() {
        let numbers = [40, 42, 43, 44, 45, 46, 48, 49, 50, 51, 80, 116];
        insta::assert_snapshot!(told(rejection, &numbers), @"
        40 client-rejected: as ever
        42 client-rejected: The peer finds the certificate itself wrong: give one of version 3 with the URI of a workload, signed by an authority of the mesh.
        43 client-wrong-usage: as ever
        44 client-denied: as ever
        45 client-expired: as ever
        46 client-rejected: as ever
        48 client-untrusted: as ever
        49 client-denied: as ever
        50 client-rejected: The peer cannot read the certificate: have it issued anew, and give its chain without the root.
        51 client-untrusted: as ever
        80 client-rejected: The peer failed on its own while it looked at the certificate: look at its log, and at the roots and revocation lists that it was given.
        116 client-rejected: The peer asked for kinds of keys that the certificate does not have, so that it was shown none: give one of ECDSA P-256 or RSA, as the mesh has them.
        ");
    }
}
