//! PROXY protocol, version 2: what an application behind a tunnel learns of its client before the
//! first octet.
//!
//! Written towards application tunnels, and never read by the dataplane; [`decode`] is there for
//! whoever receives it, which in this crate are tests. HAProxy `doc/proxy-protocol.txt`, section 2.2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ambient_facts::headers::PROXY_IDENTITY;
use bytes::{BufMut as _, Bytes, BytesMut};

/// How every header begins.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, for a connection on behalf of somebody.
const PROXY: u8 = 0x21;
/// Version 2, for a connection of the proxy's own.
const LOCAL: u8 = 0x20;
/// TCP over IPv4 and IPv6.
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The client's address.
    pub source: SocketAddr,
    /// The address that the client connected to.
    pub destination: SocketAddr,
    /// The client's SPIFFE ID, when TLS proved it.
    pub identity: Option<String>,
}

/// A header cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The identity does not fit into a header.
    #[error("an identity of {0} octets does not fit into a PROXY protocol header")]
    IdentityTooLong(usize),
}

/// Octets are no header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They begin like one, and end early.
    #[error("the header is not complete")]
    Incomplete,
    /// They begin otherwise.
    #[error("the octets do not begin with the signature of PROXY protocol version 2")]
    Signature,
    /// Another version, or a command that does not exist.
    #[error("version and command {0:#04x} are unknown")]
    Command(u8),
    /// Addresses of another family or protocol than TCP over IPv4 or IPv6.
    #[error("address family and protocol {0:#04x} are not TCP over IPv4 or IPv6")]
    Family(u8),
    /// The addresses, or a value behind them, are longer than the header.
    #[error("what the header contains is longer than the header")]
    Length,
    /// The identity is no text.
    #[error("the identity is no text")]
    Identity,
}

impl Header {
    /// The header as it is sent. Where one address is IPv4 and the other IPv6, which the protocol
    /// cannot say, the former is written as an IPv6 address that stands for it (RFC 4291, section
    /// 2.5.5.2).
    ///
    /// # Errors
    ///
    /// When the identity is longer than the protocol can tell, 65 kB.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        let identity = self.identity.as_deref().unwrap_or_default();
        let (family, addresses) = match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(_), IpAddr::V4(_)) => (TCP4, 12),
            _ => (TCP6, 36),
        };
        let value = if identity.is_empty() {
            0
        } else {
            3 + identity.len()
        };
        let too_long = |_| EncodeError::IdentityTooLong(identity.len());
        let length = u16::try_from(addresses + value).map_err(too_long)?;
        let identity_length = u16::try_from(identity.len()).map_err(too_long)?;

        let mut octets = BytesMut::with_capacity(16 + usize::from(length));
        octets.put_slice(&SIGNATURE);
        octets.put_u8(PROXY);
        octets.put_u8(family);
        octets.put_u16(length);
        for address in [self.source.ip(), self.destination.ip()] {
            match (family, address) {
                (TCP4, IpAddr::V4(v4)) => octets.put_slice(&v4.octets()),
                (_, IpAddr::V4(v4)) => octets.put_slice(&v4.to_ipv6_mapped().octets()),
                (_, IpAddr::V6(v6)) => octets.put_slice(&v6.octets()),
            }
        }
        octets.put_u16(self.source.port());
        octets.put_u16(self.destination.port());
        if !identity.is_empty() {
            octets.put_u8(PROXY_IDENTITY);
            octets.put_u16(identity_length);
            octets.put_slice(identity.as_bytes());
        }
        Ok(octets.freeze())
    }
}

/// Reads a header, and tells how many octets it took. `None` stands for a connection of the proxy's
/// own, which has no client. Values of other types are skipped; the last identity counts.
///
/// # Errors
///
/// When the octets are no header, or not all of it is there yet.
pub fn decode(octets: &[u8]) -> Result<(Option<Header>, usize), DecodeError> {
    let begun = octets.len().min(SIGNATURE.len());
    if octets.get(..begun) != SIGNATURE.get(..begun) {
        return Err(DecodeError::Signature);
    }
    let mut fields = Fields(octets.get(SIGNATURE.len()..).unwrap_or_default());
    let incomplete = DecodeError::Incomplete;
    let [command, family] = fields.take().ok_or(incomplete.clone())?;
    let length = usize::from(fields.u16().ok_or(incomplete.clone())?);
    let taken = octets.len() - fields.0.len() + length;
    let mut fields = Fields(fields.0.get(..length).ok_or(incomplete)?);
    match command {
        PROXY => {}
        LOCAL => return Ok((None, taken)),
        other => return Err(DecodeError::Command(other)),
    }
    let addresses = match family {
        TCP4 => fields.addresses::<4, Ipv4Addr>(),
        TCP6 => fields.addresses::<16, Ipv6Addr>(),
        other => return Err(DecodeError::Family(other)),
    };
    let (source, destination) = addresses.ok_or(DecodeError::Length)?;
    let mut identity = None;
    while let [kind, tail @ ..] = fields.0 {
        fields = Fields(tail);
        let value = fields.value().ok_or(DecodeError::Length)?;
        if *kind == PROXY_IDENTITY {
            let text = std::str::from_utf8(value).map_err(|_| DecodeError::Identity)?;
            identity = Some(text.to_owned());
        }
    }
    let header = Header {
        source,
        destination,
        identity,
    };
    Ok((Some(header), taken))
}

/// What is left of a header.
struct Fields<'o>(&'o [u8]);

impl<'o> Fields<'o> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn value(&mut self) -> Option<&'o [u8]> {
        let length = usize::from(self.u16()?);
        let (value, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(value)
    }

    fn addresses<const N: usize, A: From<[u8; N]>>(&mut self) -> Option<(SocketAddr, SocketAddr)>
    where
        IpAddr: From<A>,
    {
        let [source, destination] = [self.take::<N>()?, self.take::<N>()?];
        let [source_port, destination_port] = [self.u16()?, self.u16()?];
        let address = |octets: [u8; N], port| SocketAddr::new(A::from(octets).into(), port);
        Some((
            address(source, source_port),
            address(destination, destination_port),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(source: &str, destination: &str, identity: Option<&str>) -> Header {
        Header {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            identity: identity.map(ToOwned::to_owned),
        }
    }

    /// A header of these octets behind the signature.
    fn written(rest: &[u8]) -> Vec<u8> {
        [&SIGNATURE, rest].concat()
    }

    #[test]
    fn a_client_with_an_identity_is_announced() {
        let header = header("10.0.0.7:4711", "10.0.0.8:80", Some("id"));
        let octets = written(b"\x21\x11\0\x11\x0a\0\0\x07\x0a\0\0\x08\x12\x67\0\x50\xd0\0\x02id");
        assert_eq!(header.encode().unwrap(), octets);
        let length = octets.len();
        let more = [octets, b"GET /".to_vec()].concat();
        assert_eq!(decode(&more), Ok((Some(header), length)));
    }

    #[test]
    fn ipv6_and_mixed_addresses_are_written_as_ipv6() {
        let six = header("[2001:db8::7]:1", "[2001:db8::8]:2", None);
        let octets = six.encode().unwrap();
        assert_eq!(octets.len(), 16 + 36);
        assert_eq!(decode(&octets), Ok((Some(six), 52)));
        let mixed = header("10.0.0.7:1", "[2001:db8::8]:2", None).encode();
        let told = header("[::ffff:10.0.0.7]:1", "[2001:db8::8]:2", None);
        assert_eq!(decode(&mixed.unwrap()), Ok((Some(told), 52)));
    }

    #[test]
    fn an_identity_that_does_not_fit_is_refused() {
        let long = "x".repeat(65_535 - 12 - 3);
        let fits = header("10.0.0.7:1", "10.0.0.8:2", Some(&long));
        assert_eq!(decode(&fits.encode().unwrap()), Ok((Some(fits), 65_551)));
        let longer = format!("{long}x");
        let error = header("10.0.0.7:1", "10.0.0.8:2", Some(&longer)).encode();
        assert_eq!(error, Err(EncodeError::IdentityTooLong(65_521)));
    }

    #[test]
    fn every_beginning_of_a_header_is_incomplete() {
        let header = header("10.0.0.7:4711", "10.0.0.8:80", Some("id"));
        let octets = header.encode().unwrap();
        for end in 0..octets.len() {
            assert_eq!(
                decode(&octets[..end]),
                Err(DecodeError::Incomplete),
                "{end}"
            );
        }
    }

    #[test]
    fn other_values_are_skipped_and_a_proxy_of_its_own_has_no_client() {
        let addresses = b"\x0a\0\0\x07\x0a\0\0\x08\0\x01\0\x02";
        let octets = [
            b"\x21\x11\0\x17",
            &addresses[..],
            b"\x04\0\0\xd0\0\x01a\xee\0\x01x",
        ]
        .concat();
        let told = header("10.0.0.7:1", "10.0.0.8:2", Some("a"));
        assert_eq!(decode(&written(&octets)), Ok((Some(told), 39)));
        assert_eq!(decode(&written(b"\x20\0\0\x01xy")), Ok((None, 17)));
    }

    #[test]
    fn other_octets_are_refused() {
        let addresses = "\n\0\0\u{7}\n\0\0\u{8}\0\u{1}\0\u{2}";
        let with = |length: u8, values: &[u8]| {
            [&[0x21, 0x11, 0, length], addresses.as_bytes(), values].concat()
        };
        let wrong = [
            (b"GET / HTTP/1.1\r\n".to_vec(), DecodeError::Signature),
            (b"\r\nx".to_vec(), DecodeError::Signature),
            (written(b"\x11\x11\0\0"), DecodeError::Command(0x11)),
            (written(b"\x22\x11\0\0"), DecodeError::Command(0x22)),
            (written(b"\x21\x12\0\0"), DecodeError::Family(0x12)),
            (written(b"\x21\x31\0\0"), DecodeError::Family(0x31)),
            (written(b"\x21\x11\0\x01x"), DecodeError::Length),
            (written(&with(13, b"\xd0")), DecodeError::Length),
            (written(&with(15, b"\xd0\0\x01")), DecodeError::Length),
            (written(&with(16, b"\xd0\0\x01\xff")), DecodeError::Identity),
        ];
        for (octets, error) in wrong {
            assert_eq!(decode(&octets), Err(error), "{octets:?}");
        }
    }
}
