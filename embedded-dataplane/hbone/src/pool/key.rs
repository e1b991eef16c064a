//! Who shares a connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What has to be equal for streams to share a connection: who speaks, who has to answer, to which
/// address, and on behalf of which client, whose address the peer sees (ztunnel `src/state.rs`,
/// `WorkloadKey`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    // First what differs most, because keys are compared in this order.
    destination: SocketAddr,
    client: IpAddr,
    source: Arc<str>,
    expected: Arc<[Arc<str>]>,
    class: u8,
}

impl Key {
    /// A key. The order of the expected identities does not matter, and neither do repetitions.
    pub fn new(
        source: impl Into<Arc<str>>,
        expected: impl IntoIterator<Item = Arc<str>>,
        destination: SocketAddr,
        client: IpAddr,
    ) -> Self {
        let mut expected: Vec<_> = expected.into_iter().collect();
        expected.sort_unstable();
        expected.dedup();
        Self {
            destination,
            client,
            source: source.into(),
            expected: expected.into(),
            class: 0,
        }
    }

    /// The same for packets of a class: the traffic class of IPv6, or type of service of IPv4, of which
    /// the network treats each in its own way. Streams share the packets of a connection, and so they
    /// have to share the class.
    #[must_use]
    pub fn of_class(self, class: u8) -> Self {
        Self { class, ..self }
    }

    /// The class of packets.
    pub fn class(&self) -> u8 {
        self.class
    }

    /// The identity that speaks.
    pub fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// The identities of which the peer has to have one, sorted.
    pub fn expected(&self) -> &[Arc<str>] {
        &self.expected
    }

    /// The address to connect to, port included.
    pub fn destination(&self) -> SocketAddr {
        self.destination
    }

    /// The address to connect from.
    pub fn client(&self) -> IpAddr {
        self.client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_order_makes_a_difference() {
        let address = |port| SocketAddr::from(([10, 0, 0, 7], port));
        let client = |last| IpAddr::from([10, 0, 0, last]);
        let expected = |names: &[&str]| names.iter().map(|n| Arc::from(*n)).collect::<Vec<_>>();
        let key = Key::new("me", expected(&["a", "b"]), address(1), client(1));
        assert_eq!(
            key,
            Key::new("me", expected(&["b", "a", "b"]), address(1), client(1))
        );
        let others = [
            Key::new("you", expected(&["a", "b"]), address(1), client(1)),
            Key::new("me", expected(&["a"]), address(1), client(1)),
            Key::new("me", expected(&["a", "b"]), address(2), client(1)),
            Key::new("me", expected(&["a", "b"]), address(1), client(2)),
            key.clone().of_class(1),
        ];
        for other in others {
            assert_ne!(other, key);
        }
    }
}
