//! `x-forwarded-network`: the network that a CONNECT comes from.

use std::fmt;

use http::HeaderValue;

/// The longest name that is read: a label's value has no more (Kubernetes, `topology.istio.io/network`
/// is one).
const LONGEST: usize = 63;

/// The name of a network. Names that differ in case only are the same (ztunnel
/// `src/proxy/inbound.rs`).
#[derive(Debug, Clone, Eq)]
pub struct Network(String);

impl Network {
    /// A network of this name; `None` where it is empty, longer than 63 octets, or of more than
    /// letters, digits and `-._`.
    pub fn new(name: &str) -> Option<Self> {
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        let fits = (1..=LONGEST).contains(&name.len()) && name.bytes().all(inner);
        fits.then(|| Self(name.to_owned()))
    }

    /// The header's value.
    pub fn encode(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }

    /// Reads the header's value; `None` where it names no network.
    pub fn decode(value: &[u8]) -> Option<Self> {
        Self::new(std::str::from_utf8(value).ok()?.trim())
    }
}

impl PartialEq for Network {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_known_by_its_name_in_any_case() {
        let network = Network::new("Network-1").unwrap();
        let value = network.encode().unwrap();
        assert_eq!(value, "Network-1");
        assert_eq!(Network::decode(value.as_bytes()), Some(network.clone()));
        assert_eq!(Network::decode(b" network-1\t"), Some(network.clone()));
        assert_ne!(Network::decode(b"network-2"), Some(network));
    }

    #[test]
    fn what_is_no_name_is_no_network() {
        let long = vec![b'a'; LONGEST + 1];
        let values: [&[u8]; 6] = [b"", b" ", b"a b", b"a\nb", b"\xff", &long];
        for value in values {
            assert_eq!(Network::decode(value), None, "{value:?}");
        }
    }
}
