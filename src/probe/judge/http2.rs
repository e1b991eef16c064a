//! What it means that HTTP/2, a request or a tunnel ends.

use std::time::Duration;

use ambient_hbone::{Fault, GoAway};
use ambient_identity::TlsFault;

use super::{Verdict, error_code, octets, reason, said, tls};
use crate::probe::Cause;
use crate::probe::limit::Late;

/// How a connection ended instead of HTTP/2; `shown` when a certificate of ours was asked for and
/// given.
pub(in crate::probe) fn greeting(fault: &Fault, shown: bool, chose: Option<&str>) -> Verdict {
    if let Fault::Stream(error) = fault
        && let Some(TlsFault::Alert(alert)) = TlsFault::of(error)
    {
        return if shown {
            tls::rejection(alert)
        } else {
            tls::refusal(alert)
        };
    }
    match fault {
        Fault::GoAway(_) => goaway(fault),
        _ if chose.is_none() => Verdict::new(
            Cause::AlpnMismatch,
            format!("the peer chose no protocol, and {}", ending(fault)),
        ),
        _ => Verdict::new(Cause::Http2Error, ending(fault)),
    }
}

/// A tunnel ended while it was asked for, or in use.
pub(in crate::probe) fn tunnel(fault: &Fault) -> Verdict {
    match fault {
        Fault::Reset(_) => Verdict::new(Cause::StreamReset, ending(fault)),
        _ => goaway(fault),
    }
}

/// The connection ended.
fn goaway(fault: &Fault) -> Verdict {
    let cause = match fault {
        Fault::GoAway(GoAway { code: 0, .. }) => Cause::Draining,
        _ => Cause::Http2Error,
    };
    let verdict = Verdict::new(cause, ending(fault));
    verdict.advise(matches!(fault, Fault::Flood(_)).then_some(
        "The peer, or the application behind it, sends its octets in many tiny pieces or floods \
         us: look at what the target answers with, and at the peer's log.",
    ))
}

fn ending(fault: &Fault) -> String {
    match fault {
        Fault::Stream(error) => reason(error),
        Fault::GoAway(GoAway { code, debug }) => {
            format!("GOAWAY {}{}", error_code(*code), said(debug))
        }
        Fault::Closed => "the peer closed the connection".to_owned(),
        Fault::Reset(code) => format!("RST_STREAM {}", error_code(*code)),
        Fault::Flood(what) => format!("the peer sent too many {what}, and we hung up"),
        Fault::Broken(text) => text.clone(),
    }
}

const NO_HBONE: &str = "What answers is a server of HTTP, and no proxy of the mesh: check that the \
    address is that of an enrolled pod or a waypoint, and the port the tunnel's.";

/// The answer to a CONNECT was not 200: proxies of the mesh take no other for consent (ztunnel
/// `src/proxy/h2/client.rs`).
pub(in crate::probe) fn status(status: u16) -> Verdict {
    let (cause, advice) = match status {
        400 | 421 => (Cause::ConnectBadRequest, None),
        401 | 403 => (Cause::ConnectDenied, None),
        404 => (Cause::ConnectNotFound, None),
        407 => (
            Cause::ConnectDenied,
            Some(
                "The peer is a forward proxy that wants a user's name and password, and no proxy \
                 of the mesh: check the address and the port.",
            ),
        ),
        429 => (
            Cause::ConnectUnavailable,
            Some(
                "The peer takes no more requests for now: look at rate limits at the waypoint, and \
                 probe less often.",
            ),
        ),
        504 => (Cause::ConnectUpstreamTimeout, None),
        200..=299 => (
            Cause::ConnectBadRequest,
            Some(
                "The peer agrees in a way that proxies of the mesh do not take, which is 200 \
                 alone: what answers is another kind of proxy. Check the address and the port.",
            ),
        ),
        300..=399 | 405 | 501 => (Cause::ConnectBadRequest, Some(NO_HBONE)),
        500..=599 => (Cause::ConnectUnavailable, None),
        _ => (
            Cause::ConnectBadRequest,
            Some(
                "Proxies of the mesh have no such answer: look at the peer's log for who gave it.",
            ),
        ),
    };
    Verdict::new(cause, format!("status {status}")).advise(advice)
}

/// The application ended the stream, so long after `size` octets began to be sent, or after the tunnel
/// was there when none were, and so many had come back by then.
pub(in crate::probe) fn closed(size: Option<usize>, time: Duration, came: u64) -> Verdict {
    let since = match size {
        Some(size) => format!("{time:.1?} into {}", octets(size as u64)),
        None => format!("after {time:.1?}"),
    };
    let came = match came {
        0 => "and no octet came".to_owned(),
        _ => format!("when {} had come back", octets(came)),
    };
    Verdict::new(
        Cause::AppClosed,
        format!("the stream ended {since}, {came}"),
    )
}

/// Octets did not arrive in time, or all but `missing` of those that an echo owes.
pub(in crate::probe) fn stalled(size: usize, missing: Option<u64>, late: Late) -> Verdict {
    let within = super::within(late);
    let size = octets(size as u64);
    let detail = match missing {
        None => format!("{size}: no answer {within}"),
        Some(missing) => format!("{size} arrived, and {missing} did not come back {within}"),
    };
    Verdict::new(Cause::DataStalled, detail)
}

/// An echo changed an octet, counted from 1.
pub(in crate::probe) fn changed(place: u64) -> Verdict {
    let detail = format!("what was sent came back changed from octet {place} on");
    Verdict::new(Cause::DataStalled, detail).advise(Some(
        "Something on the way loses or changes what it carries: send the same to the application \
         without the tunnel to tell it from the proxies, and look at the peer's log.",
    ))
}
