//! What it means that there is no TCP connection.

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
