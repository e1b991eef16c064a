//! Where connections come from, as far as rules on addresses can tell.

use fixedbitset::FixedBitSet;
use ipnet::IpNet;

use crate::netpol::AddressRange;

/// What is known of the addresses of a crowd. Nothing, by default.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Ranges of addresses, each of which is one of the crowd. Rules that do not divide them are
    /// decided exactly.
    pub ranges: Vec<AddressRange>,
    /// The blocks that pods have their addresses in.
    pub pods: Vec<IpNet>,
    /// Parties that may have the address of their node.
    pub on_nodes: FixedBitSet,
}

impl Places {
    /// Whether every pod has an address in one of some blocks, or none has; `None` when it is not
    /// known.
    pub(super) fn of_pods(&self, Blocks(blocks): &Blocks) -> Option<bool> {
        if self.pods.is_empty() {
            return None;
        }
        let covered = |pods: &IpNet| blocks.iter().any(|b| b.contains(pods));
        let touched = |pods: &IpNet| {
            let mut blocks = blocks.iter();
            blocks.any(|b| b.contains(pods) || pods.contains(b))
        };
        if self.pods.iter().all(covered) {
            Some(true)
        } else if self.pods.iter().any(touched) {
            None
        } else {
            Some(false)
        }
    }
}

/// Some blocks, none of which is within another, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Blocks(Vec<IpNet>);

impl Blocks {
    /// Blocks of addresses as rules write them, a single address too; `None` when one of them cannot
    /// be read.
    pub(super) fn parsed(list: &[impl AsRef<str>]) -> Option<Self> {
        let blocks = list.iter().map(|text| Some(block(text.as_ref())?.trunc()));
        let mut blocks = blocks.collect::<Option<Vec<IpNet>>>()?;
        // The wider of two that begin alike comes first.
        blocks.sort_unstable_by_key(|b| (b.network(), b.prefix_len()));
        // Blocks are apart or one in the other.
        blocks.dedup_by(|later, kept| kept.contains(&*later));
        Some(Self(blocks))
    }

    /// Whether all of a range is in one of them, or nothing of it in any; `None` when a block divides
    /// it.
    pub(super) fn hold(&self, range: AddressRange) -> Option<bool> {
        let after = self.0.partition_point(|b| b.network() <= range.first);
        let before = after.checked_sub(1).and_then(|last| self.0.get(last));
        if let Some(block) = before.filter(|b| b.contains(&range.first)) {
            block.contains(&range.last).then_some(true)
        } else {
            let next = self.0.get(after);
            let meets = next.is_some_and(|b| range.contains(b.network()));
            (!meets).then_some(false)
        }
    }
}

/// A block as rules on addresses write it, where it can be read.
pub fn block(text: &str) -> Option<IpNet> {
    let address = || {
        text.parse()
            .ok()
            .map(|address: std::net::IpAddr| address.into())
    };
    text.parse().ok().or_else(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(list: &[&str]) -> Blocks {
        Blocks::parsed(list).unwrap()
    }

    #[test]
    fn pods_are_in_blocks_that_hold_all_of_their_addresses() {
        let places = |pods: &[&str]| Places {
            pods: blocks(pods).0,
            ..Places::default()
        };
        let private = places(&["10.0.0.0/8", "fc00::/7"]);
        let cases = [
            (&["203.0.113.0/24", "198.51.100.7"][..], Some(false)),
            (&["10.1.0.0/16"], None),
            (&["0.0.0.0/0"], None),
            (&["0.0.0.0/0", "::/0"], Some(true)),
            (&["fc00::/7"], None),
        ];
        for (list, expected) in cases {
            assert_eq!(private.of_pods(&blocks(list)), expected, "{list:?}");
        }
        let v4 = places(&["10.2.0.0/16"]);
        assert_eq!(v4.of_pods(&blocks(&["10.0.0.0/8"])), Some(true));
        assert_eq!(v4.of_pods(&blocks(&["10.3.0.0/16"])), Some(false));
        assert_eq!(places(&[]).of_pods(&blocks(&["10.3.0.0/16"])), None);
    }

    #[test]
    fn ranges_are_in_blocks_that_do_not_divide_them() {
        let range = AddressRange {
            first: "10.0.0.0".parse().unwrap(),
            last: "10.0.0.255".parse().unwrap(),
        };
        let of = |list: &[&str]| blocks(list).hold(range);
        assert_eq!(of(&["10.0.0.0/24"]), Some(true));
        assert_eq!(of(&["10.0.0.128/25"]), None);
        assert_eq!(of(&["10.0.1.0/24", "::/0"]), Some(false));
        assert_eq!(of(&["0.0.0.0/0"]), Some(true));
        assert_eq!(of(&["10.0.0.7", "10.0.0.0/8", "10.0.0.0/24"]), Some(true));
        assert_eq!(of(&["10.0.1.0/24", "9.0.0.0/8", "10.0.0.9"]), None);
        assert_eq!(of(&["9.0.0.0/8", "10.0.1.0/24"]), Some(false));
    }

    #[test]
    fn a_single_address_is_a_block() {
        assert_eq!(block("10.0.0.7"), "10.0.0.7/32".parse().ok());
        assert_eq!(block("2001:db8::1"), "2001:db8::1/128".parse().ok());
        assert_eq!(block("10.0.0.0/33"), None);
    }
}
