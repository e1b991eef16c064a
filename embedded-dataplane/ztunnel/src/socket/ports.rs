//! Which ports connections are made from in the name of clients.
//!
//! The kernel would choose from the range that it chooses from for the client too, and where both are
//! on one node or in one lab, in the same order: the client's next connection has the ports of ours
//! then, and meets it instead of the application. So ours come from outside of that range, one after
//! the other, so that none is used again soon.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU16, Ordering};

/// The lowest port that takes no privilege.
const LOWEST: u16 = 1025;

/// What Linux chooses from unless told otherwise (ip(7), `ip_local_port_range`).
const USUAL: RangeInclusive<u16> = 32768..=60999;

/// Ports outside of a range, in turn.
#[derive(Debug)]
pub(super) struct Ports {
    range: RangeInclusive<u16>,
    next: AtomicU16,
}

impl Ports {
    /// Those that this network namespace leaves.
    pub(super) fn here() -> Self {
        let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
        let ephemeral = text.ok().and_then(|text| read(&text)).unwrap_or(USUAL);
        Self {
            range: outside(&ephemeral),
            next: AtomicU16::new(fastrand::u16(..)),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        usize::from(self.range.end() - self.range.start()) + 1
    }

    /// The next.
    pub(super) fn next(&self) -> u16 {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        // The last turns of a round are fewer than the ports, which makes some come up more often.
        let offset = usize::from(turn) % self.len();
        let offset = u16::try_from(offset).unwrap_or_default();
        self.range.start().saturating_add(offset)
    }
}

fn read(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(low)), Some(Ok(high))) if low <= high => Some(low..=high),
        _ => None,
    }
}

/// The longer of both ranges beside one.
fn outside(ephemeral: &RangeInclusive<u16>) -> RangeInclusive<u16> {
    let below = LOWEST..=ephemeral.start().saturating_sub(1).max(LOWEST);
    let above = ephemeral.end().saturating_add(1)..=u16::MAX;
    if above.len() > below.len() {
        above
    } else {
        below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_come_from_beside_those_of_the_kernel() {
        let from = |text: &str| outside(&read(text).unwrap());
        assert_eq!(from("32768\t60999\n"), 1025..=32767);
        assert_eq!(from("10000 65000"), 1025..=9999);
        assert_eq!(from("1024 30000"), 30001..=65535);
        assert_eq!(from("1 65535"), 1025..=1025);
        for other in ["", "1", "2 1", "a b", "1 65536"] {
            assert_eq!(read(other), None, "{other:?}");
        }
    }

    #[test]
    fn every_port_has_its_turn() {
        let ports = Ports {
            range: 1025..=1028,
            next: AtomicU16::new(u16::MAX - 1),
        };
        let turns: Vec<_> = (0..6).map(|_| ports.next()).collect();
        assert_eq!(turns, [1027, 1028, 1025, 1026, 1027, 1028]);
        assert_eq!(ports.len(), 4);
    }
}
