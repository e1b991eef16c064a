//! Whether a server is who it should be.

use ambient_identity::{Certificate, ChainFault, SpiffeId};

use super::Verdict;
use crate::probe::Cause;

/// The certificate of a server, with whether it leads to a root.
pub(in crate::probe) struct Server<'c> {
    pub(in crate::probe) certificate: Option<&'c Certificate>,
    /// `None` when there are no roots to lead to.
    pub(in crate::probe) chain: Option<Result<(), ChainFault>>,
}

/// Whether a server is who it should be: one of its identities has to be the expected one, and one
/// of the trust domain of one of ours, as proxies of the mesh have it (ztunnel
/// `src/identity/manager.rs` and `src/tls/workload.rs`). Tells all of them.
pub(in crate::probe) fn server(
    server: &Server<'_>,
    expected: Option<&SpiffeId>,
    own: &[SpiffeId],
    now: i64,
) -> Result<String, Verdict> {
    let Some(certificate) = server.certificate else {
        return Err(Verdict::new(
            Cause::ServerNotSpiffe,
            "the certificate cannot be read",
        ));
    };
    // A wrong time is told as such even when it is not known whom to believe.
    in_time(certificate, now)?;
    let believed = match &server.chain {
        None => "not verified: no --root was given",
        Some(Ok(())) => "verified",
        Some(Err(fault)) => return Err(mistrust(fault, certificate)),
    };
    let identities: Vec<SpiffeId> = certificate.identities().collect();
    if identities.is_empty() {
        let names = match &certificate.uris[..] {
            [] => "it has no URI".to_owned(),
            uris => format!("its URIs: {}", uris.join(", ")),
        };
        return Err(Verdict::new(Cause::ServerNotSpiffe, names));
    }
    let is_of = |domain: &str| identities.iter().any(|id| id.trust_domain() == domain);
    if let Some(expected) = expected
        && !identities.contains(expected)
    {
        let cause = if is_of(expected.trust_domain()) {
            Cause::ServerIdentityUnexpected
        } else {
            Cause::ServerTrustDomain
        };
        let detail = format!("{} instead of `{expected}`", quoted(&identities));
        return Err(Verdict::new(cause, detail));
    }
    if !own.is_empty() && !own.iter().any(|own| is_of(own.trust_domain())) {
        let detail = format!("{}, and we are {}", quoted(&identities), quoted(own));
        return Err(Verdict::new(Cause::ServerTrustDomain, detail));
    }
    let names: Vec<String> = identities.iter().map(SpiffeId::to_string).collect();
    Ok(format!("{} ({believed})", names.join(" and ")))
}

fn quoted(identities: &[SpiffeId]) -> String {
    let quoted: Vec<String> = identities.iter().map(|id| format!("`{id}`")).collect();
    quoted.join(" and ")
}

fn in_time(certificate: &Certificate, now: i64) -> Result<(), Verdict> {
    let away = |at: i64| {
        let time = about(now.abs_diff(at));
        format!("{time} {}", if at < now { "ago" } else { "from now" })
    };
    let (from, to) = (certificate.not_before, certificate.not_after);
    if to < now {
        let detail = format!("the certificate expired {}", away(to));
        return Err(Verdict::new(Cause::ServerExpired, detail));
    }
    if from > now {
        let detail = format!("the certificate is valid {}", away(from));
        return Err(Verdict::new(Cause::ServerNotYetValid, detail));
    }
    Ok(())
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
        ChainFault::Expired => {
            Verdict::new(Cause::ServerExpired, "a certificate above it has expired")
        }
        ChainFault::NotYetValid => Verdict::new(
            Cause::ServerNotYetValid,
            "a certificate above it is not valid yet",
        ),
        ChainFault::Untrusted => Verdict::new(
            Cause::ServerUntrusted,
            format!("issued by `{issuer}`, which leads to no root of --root"),
        ),
        ChainFault::WrongUsage => Verdict::new(
            Cause::ServerUntrusted,
            "the certificate is not for servers (extended key usage)",
        )
        .advise(Some(
            "Have the peer's certificate issued for servers and clients both: clients of the mesh \
             refuse one whose extended key usage lacks server authentication.",
        )),
        ChainFault::Other(text) => Verdict::new(Cause::ServerUntrusted, text.clone()).advise(Some(
            "Have the peer's certificate, or the one that is at fault in its chain, issued \
                 anew: it leads to the given roots but for this.",
        )),
    }
}
