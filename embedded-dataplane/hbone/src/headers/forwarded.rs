//! `forwarded`: from where the client connected, and to which host.

use std::net::{IpAddr, SocketAddr};

use http::HeaderValue;

/// Octets of a value that are read; ztunnel's have some hundred at most.
const MOST_OCTETS: usize = 1024;

/// From where the client connected, and to which host (RFC 7239, as ztunnel uses it).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// The client's address; port 0 where none was given.
    pub client: Option<SocketAddr>,
    /// The host name of the service that the client connected to.
    pub host: Option<String>,
}

impl Forwarded {
    /// The header's value: `for="10.0.0.7:4711";host=reviews.shop.svc.cluster.local`. `None` when
    /// nothing is known.
    pub fn encode(&self) -> Option<HeaderValue> {
        use std::fmt::Write as _;

        let mut text = String::with_capacity(96);
        if let Some(client) = self.client {
            // A colon has to be quoted (section 6). Writing to a string cannot fail.
            let _ = write!(text, "for=\"{client}\"");
        }
        if let Some(host) = self.host.as_deref().filter(|h| is_token(h)) {
            let separator = if text.is_empty() { "" } else { ";" };
            let _ = write!(text, "{separator}host={host}");
        }
        HeaderValue::try_from(text).ok().filter(|v| !v.is_empty())
    }

    /// Reads a value: its first element, which the proxy nearest to the client wrote. What is
    /// missing or not understood is `None`; a value of more than 1024 octets says nothing.
    pub fn decode(value: &[u8]) -> Self {
        let mut forwarded = Self::default();
        let Ok(mut rest) = std::str::from_utf8(value) else {
            return forwarded;
        };
        if rest.len() > MOST_OCTETS {
            return forwarded;
        }
        while let Some((name, tail)) = rest.split_once('=') {
            // Whatever is behind a comma before the name is another element.
            if name.contains(',') {
                break;
            }
            let Some((value, tail)) = self::value(tail) else {
                break;
            };
            let name = name.trim_start_matches([';', ' ', '\t']);
            if name.eq_ignore_ascii_case("for") {
                forwarded.client = client(value);
            } else if name.eq_ignore_ascii_case("host") {
                forwarded.host = host(value);
            }
            rest = tail;
        }
        forwarded
    }
}

/// A value, quoted or not, and what follows it. Escapes in quotes are not undone, since nothing that
/// is read here contains any.
fn value(text: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted.split_once('"');
    }
    let end = text.find([';', ',']).unwrap_or(text.len());
    text.split_at_checked(end)
}

/// A node of section 6: an address, with a port or without.
fn client(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let address: IpAddr = bare.unwrap_or(text).parse().ok()?;
    Some(SocketAddr::new(address, 0))
}

fn host(text: &str) -> Option<String> {
    (!text.is_empty() && is_token(text)).then(|| text.to_owned())
}

/// Characters of a token (RFC 9110, section 5.6.2) without those that no host has.
fn is_token(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'*');
    text.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(client: Option<&str>, host: Option<&str>) -> Forwarded {
        Forwarded {
            client: client.map(|c| c.parse().unwrap()),
            host: host.map(ToOwned::to_owned),
        }
    }

    fn read(text: &str) -> Forwarded {
        Forwarded::decode(text.as_bytes())
    }

    #[test]
    fn what_ztunnel_writes_is_written_and_read() {
        let values = [
            (
                forwarded(
                    Some("10.0.0.7:4711"),
                    Some("reviews.shop.svc.cluster.local"),
                ),
                "for=\"10.0.0.7:4711\";host=reviews.shop.svc.cluster.local",
            ),
            (
                forwarded(Some("[2001:db8::7]:4711"), None),
                "for=\"[2001:db8::7]:4711\"",
            ),
            (forwarded(None, Some("*.example")), "host=*.example"),
        ];
        for (value, text) in values {
            assert_eq!(value.encode().unwrap(), text);
            assert_eq!(read(text), value);
        }
        assert_eq!(Forwarded::default().encode(), None);
    }

    #[test]
    fn a_host_that_could_add_to_the_header_is_not_written() {
        let value = forwarded(None, Some("a;for=10.0.0.1"));
        assert_eq!(value.encode(), None);
    }

    #[test]
    fn other_writers_are_understood() {
        let values = [
            ("For=10.0.0.7", Some("10.0.0.7:0"), None),
            ("for=\"[::1]\" ; HOST=\"a.b\"", Some("[::1]:0"), Some("a.b")),
            ("by=x;for=10.0.0.7:1;proto=tcp", Some("10.0.0.7:1"), None),
            ("host=a, for=10.0.0.8;host=b", None, Some("a")),
            ("for=unknown;host=a", None, Some("a")),
        ];
        for (text, client, host) in values {
            assert_eq!(read(text), forwarded(client, host), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_says_nothing() {
        let long = format!("host=a;{}", "x=y;".repeat(400));
        let texts = [
            "",
            "=",
            ";;;",
            "for",
            "for=",
            "for=\"",
            "for=\"10.0.0.7:1",
            "for=_x",
            "host=",
            "host=a b",
            "host=\"a\\\"b\"",
            "host=\u{fc}",
            ", host=a",
            &long,
        ];
        for text in texts {
            assert_eq!(read(text), Forwarded::default(), "{text}");
        }
        assert_eq!(Forwarded::decode(b"host=\xff"), Forwarded::default());
    }
}
