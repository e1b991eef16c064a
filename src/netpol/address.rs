//! The address space, cut where some `ipBlock` begins or ends.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// An inclusive range of addresses of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressRange {
    /// First address.
    pub first: IpAddr,
    /// Last address.
    pub last: IpAddr,
}

impl AddressRange {
    /// Every IPv4 address.
    pub const ALL_V4: Self = Self {
        first: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        last: IpAddr::V4(Ipv4Addr::BROADCAST),
    };
    /// Every IPv6 address.
    pub const ALL_V6: Self = Self {
        first: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        last: IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)),
    };

    /// The range with both ends, when the other one follows on this one.
    pub fn joined(self, next: Self) -> Option<Self> {
        (successor(self.last) == Some(next.first)).then_some(Self {
            last: next.last,
            ..self
        })
    }

    /// Whether an address is in it.
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && self.first <= address && address <= self.last
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

fn successor(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => v4
            .to_bits()
            .checked_add(1)
            .map(|b| Ipv4Addr::from_bits(b).into()),
        IpAddr::V6(v6) => v6
            .to_bits()
            .checked_add(1)
            .map(|b| Ipv6Addr::from_bits(b).into()),
    }
}

fn predecessor(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => v4
            .to_bits()
            .checked_sub(1)
            .map(|b| Ipv4Addr::from_bits(b).into()),
        IpAddr::V6(v6) => v6
            .to_bits()
            .checked_sub(1)
            .map(|b| Ipv6Addr::from_bits(b).into()),
    }
}

/// The address space cut into ranges that no block divides; IPv4 first, each family in order.
#[derive(Debug, Clone)]
pub(super) struct AddressSpace {
    ranges: Vec<AddressRange>,
}

impl AddressSpace {
    /// Cuts both families at the ends of the given blocks.
    pub(super) fn cut_at<'n>(blocks: impl IntoIterator<Item = &'n IpNet>) -> Self {
        let mut starts = BTreeSet::from([AddressRange::ALL_V4.first, AddressRange::ALL_V6.first]);
        for block in blocks {
            starts.insert(block.network());
            starts.extend(successor(block.broadcast()));
        }
        let starts: Vec<IpAddr> = starts.into_iter().collect();
        let end = |next: Option<&IpAddr>, first: IpAddr| match (next, first) {
            (Some(next), _) if next.is_ipv4() == first.is_ipv4() => predecessor(*next),
            (_, IpAddr::V4(_)) => Some(AddressRange::ALL_V4.last),
            (_, IpAddr::V6(_)) => Some(AddressRange::ALL_V6.last),
        };
        let ranges = starts.iter().enumerate().filter_map(|(i, &first)| {
            end(starts.get(i + 1), first).map(|last| AddressRange { first, last })
        });
        Self {
            ranges: ranges.collect(),
        }
    }

    /// The ranges; their indices are the atoms.
    pub(super) fn ranges(&self) -> &[AddressRange] {
        &self.ranges
    }

    /// Indices of the ranges inside a block at whose ends the space was cut.
    pub(super) fn inside(&self, block: &IpNet) -> std::ops::Range<usize> {
        let start = self.ranges.partition_point(|r| r.first < block.network());
        let end = self
            .ranges
            .partition_point(|r| r.first <= block.broadcast());
        start..end
    }

    /// Index of the range that holds an address.
    pub(super) fn holding(&self, address: IpAddr) -> usize {
        self.ranges
            .partition_point(|r| r.first <= address)
            .saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_space_is_cut_where_blocks_begin_and_end() {
        let blocks: Vec<IpNet> = [
            "10.0.0.0/8",
            "10.1.0.0/16",
            "255.255.255.0/24",
            "0.0.0.0/0",
            "fd00::/8",
        ]
        .map(|b| b.parse().unwrap())
        .to_vec();
        let space = AddressSpace::cut_at(&blocks);
        let shown: Vec<String> = space.ranges().iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "0.0.0.0-9.255.255.255",
                "10.0.0.0-10.0.255.255",
                "10.1.0.0-10.1.255.255",
                "10.2.0.0-10.255.255.255",
                "11.0.0.0-255.255.254.255",
                "255.255.255.0-255.255.255.255",
                "::-fcff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "fd00::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "fe00::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ]
        );
        assert_eq!(space.inside(&blocks[0]), 1..4);
        assert_eq!(space.inside(&blocks[2]), 5..6);
        assert_eq!(space.inside(&blocks[3]), 0..6);
        assert_eq!(space.holding("10.1.2.3".parse().unwrap()), 2);
        assert_eq!(space.holding("::1".parse().unwrap()), 6);
    }

    #[test]
    fn neighbours_join() {
        let space = AddressSpace::cut_at(&["10.0.0.0/8".parse().unwrap()]);
        let [a, b, c, v6] = *space.ranges() else {
            panic!("{space:?}")
        };
        assert_eq!(
            a.joined(b).and_then(|ab| ab.joined(c)),
            Some(AddressRange::ALL_V4)
        );
        assert_eq!((c.joined(v6), a.joined(c)), (None, None));
    }
}
