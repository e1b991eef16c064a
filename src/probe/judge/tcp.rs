//! What it means that there is no TCP connection.

use std::io::ErrorKind;
use std::net::SocketAddr;

use ambient_hbone::{DialFault, Icmp};

use super::{Verdict, reason};
use crate::probe::Cause;

/// No TCP connection.
pub(in crate::probe) fn dial(to: SocketAddr, fault: &DialFault) -> Verdict {
    match fault {
        DialFault::Refused => Verdict::new(Cause::ConnectRefused, "answered with RST"),
        DialFault::Icmp(icmp, _) => {
            let cause = if is_port_unreachable(*icmp, to) {
                Cause::ConnectRejected
            } else {
                Cause::Unreachable
            };
            Verdict::new(cause, describe(*icmp, to))
        }
        // Connected, and over before it was seen to be.
        DialFault::Failed(error) if error.kind() == ErrorKind::ConnectionReset => {
            Verdict::new(Cause::ClosedBeforeTls, "reset after no octet")
        }
        DialFault::Unreachable(error) | DialFault::Failed(error) => {
            Verdict::new(Cause::Unreachable, reason(error))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_resets_before_the_connection_was_seen_was_there() {
        let to = ([127, 0, 0, 1], 15008).into();
        let of = |kind: ErrorKind| dial(to, &DialFault::Failed(kind.into())).cause;
        assert_eq!(of(ErrorKind::ConnectionReset), Cause::ClosedBeforeTls);
        assert_eq!(of(ErrorKind::AddrNotAvailable), Cause::Unreachable);
    }
}
