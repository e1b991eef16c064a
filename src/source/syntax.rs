//! The syntax rules of the API server for names, labels, ports and addresses. Each function gives
//! the rule that a text breaks, worded to follow "it".

use ipnet::{IpNet, Ipv4Net};

/// The rule that a text breaks.
pub(super) type Rule = &'static str;

const LOWER: &str =
    "must be lower-case letters, digits and `-`, with a letter or digit at both ends";

fn is_lower(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// A DNS label (RFC 1123): names of namespaces, containers and Service ports.
///
/// # Errors
///
/// With the rule that the text breaks.
pub fn dns_label(text: &str) -> Result<(), &'static str> {
    if text.len() > 63 {
        return Err("must have no more than 63 characters");
    }
    let ends = text.starts_with(is_lower) && text.ends_with(is_lower);
    let all = text.chars().all(|c| is_lower(c) || c == '-');
    if ends && all { Ok(()) } else { Err(LOWER) }
}

/// A DNS subdomain (RFC 1123): most names.
pub(super) fn dns_subdomain(text: &str) -> Result<(), Rule> {
    if text.len() > 253 {
        return Err("must have no more than 253 characters");
    }
    let label = |part: &str| {
        let ends = part.starts_with(is_lower) && part.ends_with(is_lower);
        ends && part.chars().all(|c| is_lower(c) || c == '-')
    };
    if text.split('.').all(label) {
        Ok(())
    } else {
        Err(
            "must be lower-case letters, digits, `-` and `.`, with a letter or digit at both ends \
             of every part",
        )
    }
}

/// The part of a label key after its prefix, and a label value that is not empty.
fn qualified(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text
            .chars()
            .all(|c| alphanumeric(c) || matches!(c, '-' | '_' | '.'))
}

/// A label or annotation key: `[prefix/]name`.
pub(super) fn label_key(text: &str) -> Result<(), Rule> {
    let name = match text.split_once('/') {
        Some((prefix, name)) => {
            if dns_subdomain(prefix).is_err() {
                return Err("must have a lower-case DNS name before its `/`");
            }
            name
        }
        None => text,
    };
    if name.is_empty() {
        return Err("must not be empty");
    }
    if name.len() > 63 {
        return Err("must have no more than 63 characters after its prefix");
    }
    if qualified(name) {
        Ok(())
    } else {
        Err(
            "must be letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, after \
             at most one prefix and `/`",
        )
    }
}

/// A label value.
pub(super) fn label_value(text: &str) -> Result<(), Rule> {
    if text.len() > 63 {
        return Err("must have no more than 63 characters");
    }
    if text.is_empty() || qualified(text) {
        Ok(())
    } else {
        Err("must be letters, digits, `-`, `_` and `.`, with a letter or digit at both ends")
    }
}

/// The name of a container port, where a number could stand too (IANA service name, RFC 6335).
pub(super) fn port_name(text: &str) -> Result<(), Rule> {
    if text.is_empty() {
        return Err("must not be empty");
    }
    if text.len() > 15 {
        return Err("must have no more than 15 characters");
    }
    if !text.chars().all(|c| is_lower(c) || c == '-') {
        return Err("must be lower-case letters, digits and `-`");
    }
    if !text.contains(|c: char| c.is_ascii_lowercase()) {
        return Err("must have at least one letter");
    }
    if text.contains("--") {
        return Err("must not have two `-` in a row");
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err("must not begin or end with `-`");
    }
    Ok(())
}

/// A port number.
pub(super) fn port_number(number: i128) -> Result<u16, Rule> {
    match u16::try_from(number) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err("must be between 1 and 65535"),
    }
}

/// A CIDR, and what the API server still accepts but should be written differently.
pub(super) struct Cidr {
    /// The network, host bits cleared.
    pub(super) network: IpNet,
    /// Whether host bits were set, or a number had leading zeros: newer API servers refuse both in
    /// new objects (KEP-4858).
    pub(super) sloppy: bool,
}

/// Reads a CIDR as the API server does for fields that are older than its strict syntax.
pub(super) fn cidr(text: &str) -> Result<Cidr, Rule> {
    let (address, prefix) = text
        .split_once('/')
        .ok_or("must be an address and a prefix length, as in `10.0.0.0/8`")?;
    let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
    let length = if digits {
        prefix.parse::<u8>().ok()
    } else {
        None
    };
    let trimmed = without_leading_zeros(address);
    let ip: std::net::IpAddr = trimmed
        .parse()
        .map_err(|_| "must have an IPv4 or IPv6 address before its `/`")?;
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    let length = length
        .filter(|&l| l <= longest)
        .ok_or("must have a prefix length from 0 to 32 (IPv4) or 128 (IPv6)")?;
    if let std::net::IpAddr::V6(v6) = ip
        && v6.to_ipv4_mapped().is_some()
    {
        return Err("must not be an IPv4-mapped IPv6 address");
    }
    let net = IpNet::new(ip, length).map_err(|_| "must be a CIDR")?;
    let zeros = trimmed != address || (prefix.len() > 1 && prefix.starts_with('0'));
    Ok(Cidr {
        network: net.trunc(),
        sloppy: zeros || net.trunc() != net,
    })
}

fn without_leading_zeros(address: &str) -> String {
    if address.contains(':') {
        return address.to_owned();
    }
    let part = |p: &str| {
        let trimmed = p.trim_start_matches('0');
        let zero = trimmed.is_empty() && !p.is_empty();
        if zero {
            "0".to_owned()
        } else {
            trimmed.to_owned()
        }
    };
    address.split('.').map(part).collect::<Vec<_>>().join(".")
}

/// An address or a CIDR, as Istio takes in `ipBlocks`.
pub(super) fn address_or_cidr(text: &str) -> Result<(), Rule> {
    if text.parse::<std::net::IpAddr>().is_ok() || text.parse::<IpNet>().is_ok() {
        Ok(())
    } else {
        Err("must be an address, or a CIDR as in `10.0.0.0/8`")
    }
}

/// What a CIDR without a prefix length, or with missing parts, was probably meant to be.
pub(super) fn cidr_guess(text: &str) -> Option<String> {
    if let Ok(ip) = text.parse::<std::net::IpAddr>() {
        return Some(format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 }));
    }
    let (address, prefix) = text.split_once('/')?;
    let parts = address.split('.').count();
    let padded = format!(
        "{address}{}/{prefix}",
        ".0".repeat(4usize.checked_sub(parts)?)
    );
    padded.parse::<Ipv4Net>().ok().map(|n| n.to_string())
}

/// The known word that a wrong one was probably meant to be.
pub(super) fn did_you_mean<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = |s: &str| s.replace(['-', '_'], "").to_lowercase();
    let word = plain(word);
    let distance = |k: &&str| edit_distance(&word, &plain(k));
    let near = |&(d, k): &(usize, &str)| d <= 2 && d * 2 < k.len();
    known
        .iter()
        .map(|k| (distance(k), *k))
        .min_by_key(|(d, _)| *d)
        .filter(near)
        .map(|(_, k)| k)
}

/// Levenshtein distance of two short words; a large number when one is long.
fn edit_distance(a: &str, b: &str) -> usize {
    const LONGEST_WORD: usize = 64;
    if a.len() > LONGEST_WORD || b.len() > LONGEST_WORD {
        return usize::MAX / 4;
    }
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let cost = (*cell + 1)
                .min(left + 1)
                .min(diagonal + usize::from(x != y));
            diagonal = std::mem::replace(cell, cost);
            left = cost;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_the_api_server() {
        for good in ["a", "my-app", "a.b-c.d", "0"] {
            assert_eq!(dns_subdomain(good), Ok(()), "{good}");
        }
        for bad in ["", "A", "a_b", "-a", "a-", "a..b", ".a", "{{x}}"] {
            assert!(dns_subdomain(bad).is_err(), "{bad}");
        }
        assert!(dns_label("a.b").is_err() && dns_label(&"a".repeat(64)).is_err());
        assert_eq!(dns_label(&"a".repeat(63)), Ok(()));
    }

    #[test]
    fn labels_follow_the_rules_of_the_api_server() {
        for good in ["app", "app.kubernetes.io/name", "A_b.c-D"] {
            assert_eq!(label_key(good), Ok(()), "{good}");
        }
        for bad in ["", "/a", "a/", "a/b/c", "Prefix/a", "-a", "a b"] {
            assert!(label_key(bad).is_err(), "{bad}");
        }
        assert_eq!(label_value(""), Ok(()));
        assert!(label_value("a/b").is_err() && label_value(&"a".repeat(64)).is_err());
    }

    #[test]
    fn port_names_need_a_letter() {
        for good in ["http", "a", "grpc-web", "8080-tcp", "123456789012a45"] {
            assert_eq!(port_name(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "80",
            "HTTP",
            "a--b",
            "-a",
            "a-",
            "a.b",
            "1234567890123a56",
        ] {
            assert!(port_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cidrs_are_read_as_old_fields_are() {
        let read = |t: &str| cidr(t).map(|c| (c.network.to_string(), c.sloppy));
        assert_eq!(read("10.0.0.0/8"), Ok(("10.0.0.0/8".to_owned(), false)));
        assert_eq!(read("10.1.2.3/8"), Ok(("10.0.0.0/8".to_owned(), true)));
        assert_eq!(read("010.0.0.0/08"), Ok(("10.0.0.0/8".to_owned(), true)));
        assert_eq!(
            read("2001:db8::/32"),
            Ok(("2001:db8::/32".to_owned(), false))
        );
        for bad in [
            "",
            "10.0.0.0",
            "10.0.0/8",
            "10.0.0.0/33",
            "::/129",
            "::ffff:10.0.0.0/104",
            "a/8",
            "10.0.0.0/+8",
        ] {
            assert!(cidr(bad).is_err(), "{bad}");
        }
        assert_eq!(cidr_guess("10.0/16").as_deref(), Some("10.0.0.0/16"));
        assert_eq!(cidr_guess("10.0.0.1").as_deref(), Some("10.0.0.1/32"));
        assert_eq!(cidr_guess("1.2.3.4.5/8"), None);
    }

    #[test]
    fn near_words_are_proposed() {
        let known = ["podSelector", "ports", "from", "endPort"];
        assert_eq!(did_you_mean("podselector", &known), Some("podSelector"));
        assert_eq!(did_you_mean("port", &known), Some("ports"));
        assert_eq!(did_you_mean("end_port", &known), Some("endPort"));
        assert_eq!(did_you_mean("selector", &known), None);
        assert_eq!(did_you_mean("x", &known), None);
    }
}
