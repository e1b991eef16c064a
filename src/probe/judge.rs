//! What the answers of a peer mean. Pure.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ambient_hbone::{DialFault, Fault, GoAway, Icmp, Seen};
use ambient_identity::{Alert, Certificate, ChainFault, SpiffeId, TlsFault};

use super::Cause;

/// A step failed: why, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) cause: Cause,
    pub(super) detail: String,
}

fn verdict(cause: Cause, detail: impl Into<String>) -> Verdict {
    Verdict {
        cause,
        detail: detail.into(),
    }
}

/// Nothing came within the time of a step.
pub(super) fn late(cause: Cause, time: Duration) -> Verdict {
    verdict(cause, format!("no answer within {time:?}"))
}

/// No TCP connection.
pub(super) fn dial(to: SocketAddr, fault: &DialFault) -> Verdict {
    match fault {
        DialFault::Refused => verdict(Cause::ConnectRefused, format!("{to} answered with RST")),
        DialFault::Icmp(icmp, _) => {
            let cause = if is_port_unreachable(*icmp, to) {
                Cause::ConnectRejected
            } else {
                Cause::Unreachable
            };
            verdict(cause, describe(*icmp, to))
        }
        DialFault::Unreachable(error) | DialFault::Failed(error) => {
            verdict(Cause::Unreachable, reason(error))
        }
    }
}

/// Codes of *port unreachable*: RFC 792, and RFC 4443, section 3.1.
fn is_port_unreachable(icmp: Icmp, to: SocketAddr) -> bool {
    if to.is_ipv4() {
        (icmp.kind, icmp.code) == (3, 3)
    } else {
        (icmp.kind, icmp.code) == (1, 4)
    }
}

fn describe(icmp: Icmp, to: SocketAddr) -> String {
    let protocol = if to.is_ipv4() { "ICMP" } else { "ICMPv6" };
    let sender = match icmp.sender {
        Some(sender) if sender == to.ip() => format!("{sender}, the peer's own address"),
        Some(sender) => sender.to_string(),
        None => "an unknown sender".to_owned(),
    };
    let Icmp { kind, code, .. } = icmp;
    format!("{protocol} type {kind} code {code} from {sender}")
}

/// TLS failed, with what came from the peer until then.
pub(super) fn handshake(error: &io::Error, seen: &Seen) -> Verdict {
    let Some(fault) = TlsFault::of(error) else {
        return if seen.received == 0 {
            verdict(
                Cause::ClosedBeforeTls,
                format!("{} after no octet", reason(error)),
            )
        } else {
            verdict(
                Cause::TlsNoCommonParameters,
                format!("{} after {} octets", reason(error), seen.received),
            )
        };
    };
    match fault {
        TlsFault::Alert(alert) => verdict(refusal(alert), name(alert)),
        TlsFault::Version => verdict(Cause::TlsVersion, "the answer is in an older version"),
        TlsFault::NothingInCommon => verdict(
            Cause::TlsNoCommonParameters,
            "the peer chose what was not offered",
        ),
        TlsFault::Protocol => verdict(Cause::AlpnMismatch, "the peer chose another protocol"),
        TlsFault::Broken(text) if is_tls(&seen.first) => {
            verdict(Cause::TlsNoCommonParameters, text)
        }
        TlsFault::NotTls | TlsFault::Broken(_) => verdict(
            Cause::NotTls,
            format!("it began with {}", shown(&seen.first)),
        ),
    }
}

/// Whether something begins like a record of TLS: its type, and a version 3.x.
fn is_tls(first: &[u8]) -> bool {
    matches!(first, [20..=23, 3, ..])
}

fn refusal(alert: Alert) -> Cause {
    match alert.number {
        70 => Cause::TlsVersion,
        120 => Cause::AlpnMismatch,
        _ => Cause::TlsNoCommonParameters,
    }
}

fn name(alert: Alert) -> String {
    format!("alert {} {}", alert.number, alert.name)
}

/// The alerts of servers that want a certificate and got none: `certificate_required`, and those of
/// libraries that do not have it.
pub(super) fn wants_certificate(error: &io::Error) -> Option<String> {
    match TlsFault::of(error)? {
        TlsFault::Alert(alert) if matches!(alert.number, 116 | 42 | 40) => Some(name(alert)),
        _ => None,
    }
}

/// The certificate of a server, with whether it leads to a root.
pub(super) struct Server<'c> {
    pub(super) certificate: Option<&'c Certificate>,
    /// `None` when there are no roots to lead to.
    pub(super) chain: Option<Result<(), ChainFault>>,
}

/// Whether a server is who it should be.
pub(super) fn server(
    server: &Server<'_>,
    expected: Option<&SpiffeId>,
    own: Option<&SpiffeId>,
    now: i64,
) -> Result<String, Verdict> {
    let Some(certificate) = server.certificate else {
        return Err(verdict(
            Cause::ServerNotSpiffe,
            "the certificate cannot be read",
        ));
    };
    let validity = |word: &str, at: i64| {
        let late = about(now.abs_diff(at));
        format!(
            "{word} {late} {}",
            if at < now { "ago" } else { "from now" }
        )
    };
    // A wrong time is told as such even when it is not known whom to believe.
    if certificate.not_after < now {
        let detail = validity("the certificate expired", certificate.not_after);
        return Err(verdict(Cause::ServerExpired, detail));
    }
    if certificate.not_before > now {
        let detail = validity("the certificate is valid", certificate.not_before);
        return Err(verdict(Cause::ServerNotYetValid, detail));
    }
    let believed = match &server.chain {
        None => "not verified: no --root was given",
        Some(Ok(())) => "verified",
        Some(Err(fault)) => return Err(mistrust(fault, certificate)),
    };
    let identities: Vec<SpiffeId> = certificate.identities().collect();
    let Some(first) = identities.first() else {
        let names = match &certificate.uris[..] {
            [] => "it has no URI".to_owned(),
            uris => format!("its URIs: {}", uris.join(", ")),
        };
        return Err(verdict(Cause::ServerNotSpiffe, names));
    };
    if let Some(expected) = expected
        && !identities.contains(expected)
    {
        let cause = if first.trust_domain() == expected.trust_domain() {
            Cause::ServerIdentityUnexpected
        } else {
            Cause::ServerTrustDomain
        };
        return Err(verdict(cause, format!("`{first}` instead of `{expected}`")));
    }
    if let Some(own) = own
        && identities
            .iter()
            .all(|id| id.trust_domain() != own.trust_domain())
    {
        let detail = format!("`{first}`, and we are `{own}`");
        return Err(verdict(Cause::ServerTrustDomain, detail));
    }
    Ok(format!("{first} ({believed})"))
}

/// A time to the nearest unit that leaves a number people can judge.
fn about(seconds: u64) -> String {
    let units = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];
    let of = |(unit, name): (u64, &str)| {
        let count = (seconds + unit / 2) / unit;
        (count > 1).then(|| format!("{count} {name}"))
    };
    let unit = units.into_iter().find_map(of);
    unit.unwrap_or_else(|| format!("{seconds} seconds"))
}

fn mistrust(fault: &ChainFault, certificate: &Certificate) -> Verdict {
    let issuer = &certificate.issuer;
    match fault {
        // The own certificate is valid by now: another of the chain is not.
        ChainFault::Expired => verdict(Cause::ServerExpired, "a certificate above it has expired"),
        ChainFault::NotYetValid => verdict(
            Cause::ServerNotYetValid,
            "a certificate above it is not valid yet",
        ),
        ChainFault::Untrusted => verdict(
            Cause::ServerUntrusted,
            format!("issued by `{issuer}`, which leads to no root of --root"),
        ),
        ChainFault::WrongUsage => verdict(
            Cause::ServerUntrusted,
            "the certificate is not for servers (extended key usage)",
        ),
        ChainFault::Other(text) => verdict(Cause::ServerUntrusted, text.clone()),
    }
}

/// How a connection ended instead of HTTP/2; `shown` when a certificate of ours was asked for and
/// given.
pub(super) fn greeting(fault: &Fault, shown: bool, chose: Option<&str>) -> Verdict {
    let alert = match fault {
        Fault::Stream(error) => TlsFault::of(error),
        _ => None,
    };
    if let Some(TlsFault::Alert(alert)) = alert {
        let cause = if shown {
            rejection(alert)
        } else {
            refusal(alert)
        };
        return verdict(cause, name(alert));
    }
    match fault {
        Fault::GoAway(GoAway { code: 0, debug }) => {
            verdict(Cause::Draining, format!("GOAWAY NO_ERROR{}", said(debug)))
        }
        Fault::GoAway(GoAway { code, debug }) => verdict(
            Cause::Http2Error,
            format!("GOAWAY {}{}", error_code(*code), said(debug)),
        ),
        _ if chose.is_none() => verdict(
            Cause::AlpnMismatch,
            format!("the peer chose no protocol, and {}", ending(fault)),
        ),
        _ => verdict(Cause::Http2Error, ending(fault)),
    }
}

fn rejection(alert: Alert) -> Cause {
    match alert.number {
        48 => Cause::ClientUntrusted,
        45 => Cause::ClientExpired,
        43 => Cause::ClientWrongUsage,
        44 | 49 => Cause::ClientDenied,
        _ => Cause::ClientRejected,
    }
}

fn ending(fault: &Fault) -> String {
    match fault {
        Fault::Stream(error) => reason(error),
        Fault::GoAway(goaway) => format!("GOAWAY {}", error_code(goaway.code)),
        Fault::Closed => "the peer closed the connection".to_owned(),
        Fault::Reset(code) => format!("RST_STREAM {}", error_code(*code)),
        Fault::Broken(text) => text.clone(),
    }
}

/// The answer to a CONNECT was not 200.
pub(super) fn status(status: u16) -> Verdict {
    let cause = match status {
        401 | 403 => Cause::ConnectDenied,
        404 => Cause::ConnectNotFound,
        504 => Cause::ConnectUpstreamTimeout,
        500..=599 => Cause::ConnectUnavailable,
        _ => Cause::ConnectBadRequest,
    };
    verdict(cause, format!("status {status}"))
}

/// A tunnel ended while it was asked for, or in use.
pub(super) fn tunnel(fault: &Fault) -> Verdict {
    match fault {
        Fault::Reset(_) => verdict(Cause::StreamReset, ending(fault)),
        Fault::GoAway(GoAway { code: 0, .. }) => verdict(Cause::Draining, ending(fault)),
        _ => verdict(Cause::Http2Error, ending(fault)),
    }
}

/// The application ended the stream before it sent anything.
pub(super) fn closed(time: Duration) -> Verdict {
    verdict(
        Cause::AppClosed,
        format!("the stream ended after {time:.1?}, and no octet came"),
    )
}

/// An error without the number that Rust adds.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    if text.contains("close_notify") {
        return "the peer closed the connection without a word".to_owned();
    }
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

/// Octets as people can read them.
fn shown(octets: &[u8]) -> String {
    const SHOWN: usize = 24;
    let octets = &octets[..octets.len().min(SHOWN)];
    format!("`{}`", octets.escape_ascii())
}

fn said(debug: &[u8]) -> String {
    if debug.is_empty() {
        String::new()
    } else {
        format!(" {}", shown(debug))
    }
}

/// The name of an error code (RFC 9113, section 7).
fn error_code(code: u32) -> String {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    let name = usize::try_from(code).ok().and_then(|c| NAMES.get(c));
    name.map_or_else(|| code.to_string(), |name| (*name).to_owned())
}
