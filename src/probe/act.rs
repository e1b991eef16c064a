//! What a probe does to a peer, each act within its limit.

use std::net::{IpAddr, SocketAddr};

use ambient_hbone::{Answer, ProbeConnection, ProbeTunnel, Watched};
use ambient_identity::{Credentials, Inspection, Inspector, Secured};

use super::judge::{self, Verdict};
use super::limit::Limit;
use super::{Address, Cause, Dial};

/// The addresses of one name that are tried, at most: each has its share of the time.
const TRIED: usize = 8;

/// A secured connection to a peer.
pub(super) type Stream<S> = Secured<Watched<S>>;

/// A connection to one of the addresses of a peer.
pub(super) struct Reached<S> {
    pub(super) to: SocketAddr,
    pub(super) stream: S,
    /// What the addresses before it answered.
    pub(super) failed: Vec<String>,
}

pub(super) async fn resolve(
    way: &impl Dial,
    address: &Address,
    limit: Limit,
) -> Result<(Vec<SocketAddr>, String), Verdict> {
    let is_address = "it is an address".to_owned();
    if let Ok(ip) = address.host.parse::<IpAddr>() {
        return Ok((vec![SocketAddr::new(ip, address.port)], is_address));
    }
    let failed = |detail| Verdict::new(Cause::ResolveFailed, detail);
    let found = match limit.bound(way.resolve(address)).await {
        Err(late) => return Err(judge::late(Cause::ResolveFailed, late)),
        Ok(Err(error)) => {
            let advice = address.host.contains('%').then_some(
                "What follows `%` is the name or number of an interface of this host, which \
                 `ip link` lists.",
            );
            return Err(failed(error.to_string()).advise(advice));
        }
        Ok(Ok(found)) if found.is_empty() => {
            return Err(failed("the name has no address".to_owned()));
        }
        Ok(Ok(found)) => found,
    };
    // One with a zone: the name of an interface has become its number.
    if address.host.contains('%') {
        return Ok((found, is_address));
    }
    let detail = listed(&found);
    Ok((found, detail))
}

/// Connects to the first address that takes the connection. What is left of the time is shared by
/// those that are left.
pub(super) async fn connect<D: Dial>(
    way: &D,
    addresses: &[SocketAddr],
    limit: Limit,
) -> Result<(Reached<D::Stream>, String), Verdict> {
    let tried = addresses.len().min(TRIED);
    let mut verdicts = Vec::new();
    let mut failed = Vec::new();
    for (place, &to) in addresses.iter().take(tried).enumerate() {
        let verdict = match limit.part(tried - place).bound(way.dial(to)).await {
            Ok(Ok(stream)) => {
                let untried = addresses.get(place + 1..).unwrap_or_default();
                let detail = told(&failed, &to.to_string(), untried);
                let reached = Reached { to, stream, failed };
                return Ok((reached, detail));
            }
            Ok(Err(fault)) => judge::dial(to, &fault),
            Err(late) => judge::late(Cause::ConnectTimeout, late),
        };
        failed.push(format!("{to} {}", verdict.detail));
        verdicts.push(verdict);
    }
    // That there is no way to one of the addresses says least: another family has none, perhaps.
    let says_most = |verdict: &Verdict| verdict.cause != Cause::Unreachable;
    let place = verdicts.iter().position(says_most).unwrap_or_default();
    let untried = addresses.get(tried..).unwrap_or_default();
    match (verdicts.into_iter().nth(place), addresses) {
        (Some(verdict), [_]) => Err(verdict),
        (Some(verdict), _) => Err(Verdict {
            detail: told(&failed, "", untried),
            ..verdict
        }),
        (None, _) => Err(Verdict::new(Cause::ResolveFailed, "there is no address")),
    }
}

/// Which addresses were tried, with what they answered, and which were not.
fn told(failed: &[String], reached: &str, untried: &[SocketAddr]) -> String {
    let mut parts = failed.to_vec();
    if !reached.is_empty() {
        parts.push(reached.to_owned());
    }
    if !untried.is_empty() {
        parts.push(format!("not tried: {}", listed(untried)));
    }
    parts.join("; ")
}

fn listed(addresses: &[SocketAddr]) -> String {
    let shown = addresses.iter().take(TRIED).map(|a| a.ip().to_string());
    let mut shown: Vec<String> = shown.collect();
    if addresses.len() > TRIED {
        shown.push(format!("{} more", addresses.len() - TRIED));
    }
    shown.join(", ")
}

pub(super) async fn secure<S>(
    stream: S,
    credentials: Option<&Credentials>,
    limit: Limit,
) -> Result<((Stream<S>, Inspection), String), Verdict>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (stream, look) = Watched::new(stream);
    let inspector = Inspector::new(credentials)
        .map_err(|error| Verdict::new(Cause::TlsNoCommonParameters, error.to_string()))?;
    match limit.bound(inspector.connect(stream)).await {
        Err(late) => {
            let Verdict { cause, detail, .. } = judge::late(Cause::TlsStalled, late);
            let detail = format!("{detail}, {} octets came", look().received);
            Err(Verdict::new(cause, detail))
        }
        Ok(Err(error)) => Err(judge::handshake(&error, &look())),
        Ok(Ok((stream, inspection))) => {
            let protocol = inspection.protocol.as_deref().unwrap_or("none");
            let detail = format!(
                "{}, {}, {}, ALPN {protocol}",
                inspection.version, inspection.suite, inspection.group
            );
            Ok(((stream, inspection), detail))
        }
    }
}

pub(super) async fn ask(
    connection: &mut ProbeConnection,
    target: SocketAddr,
    limit: Limit,
) -> Result<(ProbeTunnel, String), Verdict> {
    match limit.bound(connection.connect(target)).await {
        Err(late) => Err(judge::late(Cause::ConnectStalled, late)),
        Ok(Ok(Answer::Open(tunnel))) => Ok((tunnel, format!("status 200 for {target}"))),
        Ok(Ok(Answer::Refused(status))) => Err(judge::status(status.as_u16())),
        Ok(Err(fault)) => Err(judge::tunnel(&fault)),
    }
}
