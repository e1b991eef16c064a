//! Sets of ports of all protocols, as sorted intervals.

use std::fmt;

use crate::model::Protocol;

/// A set of (protocol, port), ports from 1 to 65535.
///
/// Kept as sorted, disjoint, non-adjacent inclusive intervals over `protocol << 16 | port`; port 0
/// does not exist, so intervals of different protocols never touch.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortSet(Vec<(u32, u32)>);

fn key(protocol: Protocol, port: u16) -> u32 {
    let index: u32 = match protocol {
        Protocol::Sctp => 0,
        Protocol::Tcp => 1,
        Protocol::Udp => 2,
    };
    index << 16 | u32::from(port)
}

impl PortSet {
    /// The empty set.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Every port of every protocol.
    pub fn all() -> Self {
        Self(
            Protocol::ALL
                .iter()
                .map(|&p| (key(p, 1), key(p, u16::MAX)))
                .collect(),
        )
    }

    /// Every port of one protocol.
    pub fn protocol(protocol: Protocol) -> Self {
        Self::range(protocol, 1, u16::MAX)
    }

    /// One port.
    pub fn port(protocol: Protocol, port: u16) -> Self {
        Self::range(protocol, port, port)
    }

    /// An inclusive range; empty when `first > last`, and without port 0.
    pub fn range(protocol: Protocol, first: u16, last: u16) -> Self {
        let first = first.max(1);
        if first > last {
            return Self::none();
        }
        Self(vec![(key(protocol, first), key(protocol, last))])
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether everything is in it.
    pub fn is_all(&self) -> bool {
        *self == Self::all()
    }

    /// Whether a port is in it.
    pub fn contains(&self, protocol: Protocol, port: u16) -> bool {
        let key = key(protocol, port);
        let after = self.0.partition_point(|&(first, _)| first <= key);
        after
            .checked_sub(1)
            .and_then(|i| self.0.get(i))
            .is_some_and(|&(_, last)| key <= last)
    }

    /// Whether all of `other` is in it.
    pub fn includes(&self, other: &Self) -> bool {
        other.difference(self).is_empty()
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(self.0.len() + other.0.len());
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        loop {
            let next = match (left.peek(), right.peek()) {
                (Some(a), Some(b)) if a <= b => left.next(),
                (_, Some(_)) => right.next(),
                (_, None) => left.next(),
            };
            let Some(&(first, last)) = next else { break };
            match merged.last_mut() {
                Some(top) if first <= top.1 + 1 => top.1 = top.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    /// Whether something is in both.
    pub fn meets(&self, other: &Self) -> bool {
        let (mut left, mut right) = (&self.0[..], &other.0[..]);
        while let (Some((a_first, a_last)), Some((b_first, b_last))) = (left.first(), right.first())
        {
            if a_first.max(b_first) <= a_last.min(b_last) {
                return true;
            }
            if a_last < b_last {
                left = left.get(1..).unwrap_or_default();
            } else {
                right = right.get(1..).unwrap_or_default();
            }
        }
        false
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut common = Vec::new();
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(&&(a_first, a_last)), Some(&&(b_first, b_last))) =
            (left.peek(), right.peek())
        {
            let (first, last) = (a_first.max(b_first), a_last.min(b_last));
            if first <= last {
                common.push((first, last));
            }
            if a_last < b_last {
                left.next()
            } else {
                right.next()
            };
        }
        Self(common)
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut rest = Vec::new();
        let mut others = other.0.iter().peekable();
        for &(mut first, last) in &self.0 {
            while others.next_if(|o| o.1 < first).is_some() {}
            let mut ahead = others.clone();
            let mut open = true;
            while let Some(&(o_first, o_last)) = ahead.next_if(|o| o.0 <= last) {
                if first < o_first {
                    rest.push((first, o_first - 1));
                }
                if o_last >= last {
                    open = false;
                    break;
                }
                first = first.max(o_last + 1);
            }
            if open {
                rest.push((first, last));
            }
        }
        Self(rest)
    }

    /// The part of one protocol.
    #[must_use]
    pub fn only(&self, protocol: Protocol) -> Self {
        self.intersection(&Self::protocol(protocol))
    }

    /// The inclusive port ranges of one protocol, in order.
    pub fn ranges(&self, protocol: Protocol) -> impl Iterator<Item = (u16, u16)> {
        let (low, high) = (key(protocol, 0), key(protocol, u16::MAX));
        let start = self.0.partition_point(|&(first, _)| first < low);
        let within = self
            .0
            .iter()
            .skip(start)
            .take_while(move |&&(first, _)| first <= high);
        within.map(move |&(first, last)| (port_of(first), port_of(last)))
    }

    /// How many ports there are, all protocols together.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|&(first, last)| last - first + 1).sum()
    }

    /// One port in it: the one a person would try, a TCP port before others, the lowest first.
    pub fn example(&self) -> Option<(Protocol, u16)> {
        [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
            .into_iter()
            .find_map(|p| self.ranges(p).next().map(|(first, _)| (p, first)))
    }
}

/// The port of a key: its lower half.
fn port_of(key: u32) -> u16 {
    let [_, _, high, low] = key.to_be_bytes();
    u16::from_be_bytes([high, low])
}

impl FromIterator<PortSet> for PortSet {
    fn from_iter<I: IntoIterator<Item = PortSet>>(sets: I) -> Self {
        sets.into_iter()
            .fold(Self::none(), |all, set| all.union(&set))
    }
}

/// `All Connections`, `No Connections`, or `SCTP 7,TCP 80,8000-8090,UDP 53`.
impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("No Connections");
        }
        if self.is_all() {
            return f.write_str("All Connections");
        }
        let mut separator = "";
        for protocol in Protocol::ALL {
            let mut ranges = self.ranges(protocol).peekable();
            if ranges.peek().is_none() {
                continue;
            }
            write!(f, "{separator}{protocol} ")?;
            separator = ",";
            let mut comma = "";
            for (first, last) in ranges {
                write!(f, "{comma}{first}")?;
                if first != last {
                    write!(f, "-{last}")?;
                }
                comma = ",";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sets() -> impl Strategy<Value = PortSet> {
        let protocol = prop_oneof![
            Just(Protocol::Tcp),
            Just(Protocol::Udp),
            Just(Protocol::Sctp)
        ];
        let port = prop_oneof![0u16..40, 65500u16..=65535];
        prop::collection::vec((protocol, port.clone(), port), 0..6).prop_map(|v| {
            v.into_iter()
                .map(|(p, a, b)| PortSet::range(p, a, b))
                .collect()
        })
    }

    fn ports() -> impl Iterator<Item = (Protocol, u16)> {
        let numbers = || (0..45u16).chain(65495..=65535);
        Protocol::ALL
            .into_iter()
            .flat_map(move |p| numbers().map(move |n| (p, n)))
    }

    proptest! {
        #[test]
        fn operations_agree_with_membership(a in sets(), b in sets()) {
            let (union, both, rest) = (a.union(&b), a.intersection(&b), a.difference(&b));
            prop_assert_eq!(a.meets(&b), !both.is_empty());
            for (p, n) in ports() {
                let (in_a, in_b) = (a.contains(p, n), b.contains(p, n));
                prop_assert_eq!(union.contains(p, n), in_a || in_b);
                prop_assert_eq!(both.contains(p, n), in_a && in_b);
                prop_assert_eq!(rest.contains(p, n), in_a && !in_b);
            }
            // Normal form: equal sets are equal values.
            prop_assert_eq!(both.union(&rest), a.clone());
            prop_assert_eq!(a.includes(&b), b.difference(&a).is_empty());
        }
    }

    #[test]
    fn sets_print_as_people_write_them() {
        let tcp = |a, b| PortSet::range(Protocol::Tcp, a, b);
        let cases = [
            (PortSet::none(), "No Connections"),
            (PortSet::all(), "All Connections"),
            (PortSet::protocol(Protocol::Tcp), "TCP 1-65535"),
            (
                tcp(8000, 8090)
                    .union(&tcp(80, 80))
                    .union(&PortSet::port(Protocol::Udp, 53))
                    .union(&PortSet::port(Protocol::Sctp, 7)),
                "SCTP 7,TCP 80,8000-8090,UDP 53",
            ),
            (tcp(0, 5).union(&tcp(6, 9)), "TCP 1-9"),
            (
                PortSet::all().difference(&tcp(1, 65535)),
                "SCTP 1-65535,UDP 1-65535",
            ),
        ];
        for (set, expected) in cases {
            assert_eq!(set.to_string(), expected);
        }
    }
}
