//! The authority of a CONNECT: where the tunnel is to lead.
//!
//! An address and a port, or the host name of a service and a port (ztunnel `src/proxy.rs`,
//! `HboneAddress`). What a name stands for, and whether anybody may go there, is decided elsewhere.

use std::fmt;
use std::net::{AddrParseError, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Where a CONNECT is to lead.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// An address and a port, which is never 0. An IPv6 address that stands for an IPv4 one stays as
    /// it was written.
    Address(SocketAddr),
    /// The host name of a service and its port.
    Host(Host),
}

/// A host name and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    name: String,
    port: u16,
}

impl Host {
    /// The name, in lower case and without a dot at its end.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port, which is never 0.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// An authority leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// There is no port.
    #[error("there is no port: write HOST:PORT")]
    NoPort,
    /// The port is no number from 1 to 65535.
    #[error("the port is no number from 1 to 65535")]
    Port,
    /// What stands in brackets is no IPv6 address.
    #[error("what stands in brackets is no IPv6 address")]
    Ipv6(#[source] AddrParseError),
    /// A host of colons or a bracket that has no partner.
    #[error("an IPv6 address stands in brackets: [ADDRESS]:PORT")]
    Brackets,
    /// A host that ends in a number and is no IPv4 address.
    #[error("the host ends in a number and is no IPv4 address")]
    Ipv4(#[source] AddrParseError),
    /// The host is no name of RFC 1123, section 2.1 (underscores are taken too).
    #[error("the host is no name: labels of letters, digits, `-` and `_`, 253 octets at most")]
    Host,
}

/// The longest host name (RFC 1035, section 2.3.4, as text).
const LONGEST_NAME: usize = 253;
/// The longest label of a host name (the same section).
const LONGEST_LABEL: usize = 63;

impl Target {
    /// The port, which is never 0.
    pub fn port(&self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::Host(host) => host.port,
        }
    }
}

impl FromStr for Target {
    type Err = AuthorityError;

    fn from_str(text: &str) -> Result<Self, AuthorityError> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']').ok_or(AuthorityError::Brackets)?;
            let address: Ipv6Addr = address.parse().map_err(AuthorityError::Ipv6)?;
            let port = port.strip_prefix(':').ok_or(AuthorityError::NoPort)?;
            return Ok(Self::Address((address, self::port(port)?).into()));
        }
        let (host, port) = text.rsplit_once(':').ok_or(AuthorityError::NoPort)?;
        if host.contains([':', '[', ']']) {
            return Err(AuthorityError::Brackets);
        }
        let port = self::port(port)?;
        match host.parse::<Ipv4Addr>() {
            Ok(address) => Ok(Self::Address((address, port).into())),
            // Readers disagree on what `10.0.0.256` or `127.1` stand for, so nobody gets to see them.
            Err(error) if ends_in_number(host) => Err(AuthorityError::Ipv4(error)),
            Err(_) => Ok(Self::Host(Host {
                name: self::host(host)?,
                port,
            })),
        }
    }
}

/// The authority as it is sent: always made from what was understood, never the text of a peer.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Host(Host { name, port }) => write!(f, "{name}:{port}"),
        }
    }
}

fn port(text: &str) -> Result<u16, AuthorityError> {
    // `parse` would take a sign.
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(AuthorityError::Port);
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(AuthorityError::Port),
        Ok(port) => Ok(port),
    }
}

fn ends_in_number(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or(host);
    !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit())
}

fn host(text: &str) -> Result<String, AuthorityError> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        let fits = (1..=LONGEST_LABEL).contains(&label.len());
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        fits && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() <= LONGEST_NAME && name.split('.').all(is_label) {
        Ok(name.to_ascii_lowercase())
    } else {
        Err(AuthorityError::Host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_and_written() {
        let targets = [
            ("10.0.0.7:80", "10.0.0.7:80"),
            ("0.0.0.0:65535", "0.0.0.0:65535"),
            ("[2001:DB8::7]:8080", "[2001:db8::7]:8080"),
            ("[::ffff:10.0.0.7]:80", "[::ffff:10.0.0.7]:80"),
            (
                "reviews.shop.svc.cluster.local:9080",
                "reviews.shop.svc.cluster.local:9080",
            ),
            ("Reviews.Shop.:080", "reviews.shop:80"),
            ("a_b-c.7-eleven.x1:1", "a_b-c.7-eleven.x1:1"),
        ];
        for (text, written) in targets {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.to_string(), written, "{text}");
            assert_eq!(written.parse(), Ok(target), "{text}");
        }
    }

    #[test]
    fn an_address_is_never_taken_for_a_name() {
        let address = |text: &str| matches!(text.parse(), Ok(Target::Address(_)));
        assert!(address("10.0.0.7:80"));
        assert!(address("[::1]:80"));
        assert!(!address("10.0.0.7.example:80"));
    }

    #[test]
    fn what_leads_nowhere_says_why() {
        let long_name = format!("{}.{}:1", "a.".repeat(126), "bc");
        let long_label = format!("{}:1", "a".repeat(64));
        let wrong = [
            ("", "NoPort"),
            ("10.0.0.7", "NoPort"),
            ("[::1]", "NoPort"),
            ("[::1]80", "NoPort"),
            (":80", "Host"),
            ("10.0.0.7:", "Port"),
            ("10.0.0.7:0", "Port"),
            ("10.0.0.7:+80", "Port"),
            ("10.0.0.7:65536", "Port"),
            ("10.0.0.7:80/", "Port"),
            ("[::1]:x", "Port"),
            ("[fe80::1%eth0]:80", "Ipv6"),
            ("[10.0.0.7]:80", "Ipv6"),
            ("[]:80", "Ipv6"),
            ("[::1:80", "Brackets"),
            ("::1:80", "Brackets"),
            ("a]:80", "Brackets"),
            ("10.0.0.256:80", "Ipv4"),
            ("127.1:80", "Ipv4"),
            ("2130706433:80", "Ipv4"),
            ("010.0.0.7:80", "Ipv4"),
            ("10.0.0.7.:80", "Ipv4"),
            ("user@host:80", "Host"),
            ("a..b:80", "Host"),
            (".:80", "Host"),
            ("-a:80", "Host"),
            ("a-:80", "Host"),
            ("a b:80", "Host"),
            ("*.example:80", "Host"),
            ("b\u{fc}cher.example:80", "Host"),
            (&long_name, "Host"),
            (&long_label, "Host"),
        ];
        for (text, why) in wrong {
            let error = text.parse::<Target>().unwrap_err();
            let variant = format!("{error:?}");
            assert!(variant.starts_with(why), "{text}: {variant}");
            assert!(!error.to_string().is_empty());
        }
    }
}
