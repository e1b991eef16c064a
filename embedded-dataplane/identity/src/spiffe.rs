//! Identities of workloads.

use std::fmt;
use std::str::FromStr;

use ambient_facts::tunnel::SPIFFE_SCHEME;

/// The identity of a workload as Istio writes it: `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`.
///
/// SPIFFE permits any path. Istio's proxies take this form and no other (ztunnel `src/identity/
/// manager.rs`, `Identity::from_str`), so other SPIFFE IDs are no identities here. Neither are texts
/// with spaces or control characters, which no SPIFFE ID has (SPIFFE ID specification, section 2): a
/// peer chooses them, and they stand in lines of logs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    trust_domain: String,
    namespace: String,
    service_account: String,
}

impl SpiffeId {
    /// The authority that vouches for the identity.
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// The namespace of the service account.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The service account.
    pub fn service_account(&self) -> &str {
        &self.service_account
    }
}

/// A text is no identity of a workload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not of the form `{SPIFFE_SCHEME}DOMAIN/ns/NAMESPACE/sa/ACCOUNT`")]
pub struct ParseSpiffeIdError {
    text: String,
}

impl FromStr for SpiffeId {
    type Err = ParseSpiffeIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let visible = text.bytes().all(|octet| octet.is_ascii_graphic());
        let rest = text.strip_prefix(SPIFFE_SCHEME).filter(|_| visible);
        let parts = rest.map(|rest| {
            let mut parts = rest.split('/');
            std::array::from_fn::<_, 6, _>(|_| parts.next())
        });
        match parts {
            Some(
                [
                    Some(trust_domain),
                    Some("ns"),
                    Some(namespace),
                    Some("sa"),
                    Some(account),
                    None,
                ],
            ) if ![trust_domain, namespace, account].contains(&"") => Ok(Self {
                trust_domain: trust_domain.to_owned(),
                namespace: namespace.to_owned(),
                service_account: account.to_owned(),
            }),
            _ => Err(ParseSpiffeIdError {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trust_domain,
            namespace,
            service_account,
        } = self;
        write!(
            f,
            "{SPIFFE_SCHEME}{trust_domain}/ns/{namespace}/sa/{service_account}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(path: &str) -> String {
        format!("{SPIFFE_SCHEME}{path}")
    }

    #[test]
    fn an_identity_is_read_and_written_alike() {
        let text = written("cluster.local/ns/shop/sa/web");
        let id: SpiffeId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(
            (id.trust_domain(), id.namespace(), id.service_account()),
            ("cluster.local", "shop", "web")
        );
    }

    #[test]
    fn other_texts_are_refused() {
        let others = [
            "cluster.local/ns/shop/sa",
            "cluster.local/ns/shop/sa/web/more",
            "cluster.local/ns/shop/sa/web/",
            "cluster.local/sa/shop/ns/web",
            "cluster.local/ns//sa/web",
            "/ns/shop/sa/web",
            "cluster.local/ns/shop/sa/",
            "",
            "cluster.local/ns/shop/sa/web\nlevel=error",
            "cluster.local/ns/shop/sa/w eb",
            "cluster.local/ns/shop/sa/wéb",
        ];
        for other in others.map(written) {
            assert!(other.parse::<SpiffeId>().is_err(), "{other}");
        }
        let error = "shop/web".parse::<SpiffeId>().unwrap_err();
        let form = written("DOMAIN/ns/NAMESPACE/sa/ACCOUNT");
        assert_eq!(
            error.to_string(),
            format!("`shop/web` is not of the form `{form}`")
        );
    }
}
