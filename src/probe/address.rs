//! Whom to probe, as people write it.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use ambient_facts::ports;

/// Whom to probe.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// A name, or an address without brackets; a link-local one of IPv6 with its zone:
    /// `fe80::1%eth0`.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no address: {reason}")]
pub struct ParseAddressError {
    text: String,
    reason: &'static str,
}

impl ParseAddressError {
    /// What is wrong, without the text itself.
    pub fn reason(&self) -> &'static str {
        self.reason
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// `HOST`, `HOST:PORT`, `[IPV6]:PORT` or an IPv6 address alone; the port is the tunnel's otherwise.
impl FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = parts(text).and_then(|(host, port)| Ok((host, port_of(port)?)));
        let (host, port) = parts.map_err(|reason| ParseAddressError {
            text: text.to_owned(),
            reason,
        })?;
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

/// The host, and the port where there is one.
fn parts(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    if is_ipv6(text) {
        return Ok((text, None));
    }
    if text.split_once('%').is_some_and(|(a, _)| is_ipv6(a)) {
        return Err(
            "what follows `%` is no interface; one with a port is written `[ADDRESS]:PORT`",
        );
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("the bracket is not closed")?;
        if !is_ipv6(host) {
            return Err("what is in brackets is no IPv6 address");
        }
        return match rest.strip_prefix(':') {
            None if rest.is_empty() => Ok((host, None)),
            None => Err("after the bracket comes `:` and a port"),
            port => Ok((host, port)),
        };
    }
    let (host, port) = match text.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            return Err("an IPv6 address with a port is written `[ADDRESS]:PORT`");
        }
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let is_part = |c: char| c.is_alphanumeric() || ".-_".contains(c);
    if host.is_empty() || !host.chars().all(is_part) {
        return Err("the host is neither a name nor an address");
    }
    Ok((host, port))
}

/// An address, perhaps with its zone (RFC 4007, section 11): the name or number of an interface.
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let is_zone = |zone: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || ".-_@".contains(c);
        !zone.is_empty() && zone.chars().all(is_part)
    };
    address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(is_zone)
}

fn port_of(text: Option<&str>) -> Result<u16, &'static str> {
    match text.map(str::parse::<u16>) {
        None => Ok(ports::HBONE),
        Some(Ok(port)) if port > 0 => Ok(port),
        Some(_) => Err("the port is not a number from 1 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let all = [
            ("10.0.0.1", "10.0.0.1", ports::HBONE),
            ("db.shop:80", "db.shop", 80),
            ("fd00::1", "fd00::1", ports::HBONE),
            ("[fd00::1]:80", "fd00::1", 80),
            ("fe80::1%eth0", "fe80::1%eth0", ports::HBONE),
            ("[fe80::1%2]:80", "fe80::1%2", 80),
        ];
        for (text, host, port) in all {
            let address: Address = text.parse().unwrap();
            assert_eq!((&*address.host, address.port), (host, port), "{text}");
            let shown: Address = address.to_string().parse().unwrap();
            assert_eq!(shown, address, "what is shown reads the same");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let all = [
            "",
            ":80",
            "a b",
            "a:0",
            "a:65536",
            "a:b",
            "[fd00::1",
            "[a]:80",
            "[fd00::1]80",
            "fd00::1%",
            "fd00::1%a b",
            "10.0.0.1%eth0",
            "[10.0.0.1]:80",
            "a:1:2",
        ];
        for text in all {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
