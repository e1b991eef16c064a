//! Whether single fields of a rule match a client: string matches, address blocks, conditions.
//!
//! The answers are Kleene's three: `None` where the input does not tell.

use std::collections::BTreeSet;

use ambient_facts::namespaces;

use super::party::Identity;
use crate::model::{Condition, Protocol};
use crate::netpol::PortSet;

/// What evaluates policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Enforcer {
    /// The proxy of the node, which knows connections.
    Ztunnel,
    /// A waypoint or a sidecar, which knows requests as well.
    Envoy,
}

/// The ports in the first list, or all if it is empty, without those in the second.
pub(super) fn listed(ports: &[String], not_ports: &[String]) -> PortSet {
    let set = |list: &[String]| -> PortSet {
        let numbers = list.iter().filter_map(|p| p.parse().ok());
        numbers.map(|n| PortSet::port(Protocol::Tcp, n)).collect()
    };
    let positive = if ports.is_empty() {
        PortSet::protocol(Protocol::Tcp)
    } else {
        set(ports)
    };
    positive.difference(&set(not_ports))
}

/// Whether ztunnel can evaluate a condition.
pub(super) fn is_layer4(condition: &Condition) -> bool {
    matches!(
        condition.key.as_str(),
        "source.ip"
            | "source.namespace"
            | "source.principal"
            | "destination.ip"
            | "destination.port"
    )
}

/// `namespaces`.
pub(super) fn namespace(pattern: &str, identity: Identity<'_>) -> Option<bool> {
    match identity {
        Identity::Anonymous => Some(false),
        Identity::Workload { namespace, .. } | Identity::SomeoneIn { namespace } => {
            Some(text(pattern, namespace))
        }
        Identity::Anyone => (pattern == "*").then_some(true),
    }
}

/// A string match of Istio: exact, prefix, suffix or presence.
fn text(pattern: &str, value: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        _ if pattern == "*" => true,
        (Some(suffix), _) => value.ends_with(suffix),
        (_, Some(prefix)) => value.starts_with(prefix),
        _ => value == pattern,
    }
}

/// The trust domain of the workloads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TrustDomain {
    /// Nothing was read: the usual one, but another may be in use.
    #[default]
    Usual,
    /// This one.
    Known(String),
    /// One of several.
    Ambiguous,
}

impl TrustDomain {
    /// Of all that were read.
    pub fn of(domains: &BTreeSet<String>) -> Self {
        let mut domains = domains.iter();
        match (domains.next(), domains.next()) {
            (None, _) => Self::Usual,
            (Some(one), None) => Self::Known(one.clone()),
            (Some(_), Some(_)) => Self::Ambiguous,
        }
    }

    /// Whether it fits. Envoy takes the aliases of the mesh for it as well, ztunnel does not.
    fn fits(&self, enforcer: Enforcer, fits: impl Fn(&str) -> bool) -> Option<bool> {
        match self {
            Self::Usual if fits(namespaces::TRUST_DOMAIN) => Some(true),
            Self::Known(domain) if fits(domain) => Some(true),
            Self::Known(_) if enforcer == Enforcer::Ztunnel => Some(false),
            _ => None,
        }
    }
}

/// `principals`: `trust-domain/ns/NAMESPACE/sa/NAME`, with `*` at one end, or alone. `None` when it
/// depends on what is not known: the trust domain, or parts of the identity.
pub fn principal(
    pattern: &str,
    identity: Identity<'_>,
    domain: &TrustDomain,
    enforcer: Enforcer,
) -> Option<bool> {
    let (namespace, service_account) = match identity {
        Identity::Anonymous => return Some(false),
        _ if pattern == "*" => return Some(true),
        Identity::Anyone => return None,
        Identity::Workload {
            namespace,
            service_account,
        } => (namespace, Some(service_account)),
        Identity::SomeoneIn { namespace } => (namespace, None),
    };
    // What is known of `TRUST-DOMAIN/ns/NAMESPACE/sa/NAME`: everything from the first slash up to
    // the name, or its end.
    let path = format!("/ns/{namespace}/sa/{}", service_account.unwrap_or_default());
    let known = Known {
        path: &path,
        whole: service_account.is_some(),
        domain,
        enforcer,
    };
    if let Some(suffix) = pattern.strip_prefix('*') {
        known.ends_with(suffix)
    } else if let Some(prefix) = pattern.strip_suffix('*') {
        known.starts_with(prefix)
    } else {
        known.is(pattern)
    }
}

/// An identity without its trust domain, and perhaps without the name of the service account.
struct Known<'k> {
    path: &'k str,
    whole: bool,
    domain: &'k TrustDomain,
    enforcer: Enforcer,
}

impl Known<'_> {
    fn is(&self, text: &str) -> Option<bool> {
        let slash = text.find('/').unwrap_or(text.len());
        let (domain, path) = text.split_at(slash);
        let fits = if self.whole {
            path == self.path
        } else {
            path.strip_prefix(self.path)
                .is_some_and(|name| !name.is_empty() && !name.contains('/'))
        };
        if !fits {
            return Some(false);
        }
        match self.domain.fits(self.enforcer, |own| own == domain) {
            Some(true) if !self.whole => None,
            answer => answer,
        }
    }

    fn starts_with(&self, prefix: &str) -> Option<bool> {
        let Some(slash) = prefix.find('/') else {
            let begins = |own: &str| own.starts_with(prefix);
            return self.domain.fits(self.enforcer, begins);
        };
        let (domain, path) = prefix.split_at(slash);
        let fits = self.domain.fits(self.enforcer, |own| own == domain);
        if self.path.starts_with(path) {
            return fits;
        }
        let name = path.strip_prefix(self.path);
        let perhaps = !self.whole && name.is_some_and(|n| !n.contains('/'));
        if perhaps && fits != Some(false) {
            None
        } else {
            Some(false)
        }
    }

    fn ends_with(&self, suffix: &str) -> Option<bool> {
        if self.whole {
            return if self.path.ends_with(suffix) {
                Some(true)
            } else if suffix.ends_with(self.path) {
                // It reaches into the trust domain.
                None
            } else {
                Some(false)
            };
        }
        let (before, _) = suffix.rsplit_once('/')?;
        let directory = self.path.trim_end_matches('/');
        let perhaps = directory.ends_with(before) || before.ends_with(directory);
        if perhaps { None } else { Some(false) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_match_as_far_as_the_identity_is_known() {
        let cart = Identity::Workload {
            namespace: "shop",
            service_account: "cart",
        };
        let someone = Identity::SomeoneIn { namespace: "shop" };
        // Pattern, then the answer for: the cart, someone in its namespace, anyone, nobody.
        let cases = [
            ("*", Some(true), Some(true), Some(true)),
            ("cluster.local/ns/shop/sa/cart", Some(true), None, None),
            ("other.org/ns/shop/sa/cart", None, None, None),
            ("cluster.local/ns/shop/sa/car", Some(false), None, None),
            (
                "cluster.local/ns/sho/sa/cart",
                Some(false),
                Some(false),
                None,
            ),
            ("cluster.local/ns/shop/sa/", Some(false), Some(false), None),
            ("cluster.local/ns/shop/sa/*", Some(true), Some(true), None),
            ("cluster.local/ns/sh*", Some(true), Some(true), None),
            ("cluster.local/ns/sho/*", Some(false), Some(false), None),
            ("cluster.local/ns/shop/sa/ca*", Some(true), None, None),
            ("cluster.local/ns/shop/sa/x*", Some(false), None, None),
            ("other.org/ns/shop/*", None, None, None),
            ("clus*", Some(true), Some(true), None),
            ("other*", None, None, None),
            ("*/ns/shop/sa/cart", Some(true), None, None),
            ("*/ns/shop/sa/x", Some(false), None, None),
            ("*/ns/sho/sa/cart", Some(false), Some(false), None),
            ("*op/sa/cart", Some(true), None, None),
            ("*art", Some(true), None, None),
            ("*x", Some(false), None, None),
            ("*.local/ns/shop/sa/cart", None, None, None),
            ("*.local/ns/sho/sa/cart", Some(false), Some(false), None),
        ];
        for (pattern, at_cart, at_someone, at_anyone) in cases {
            let expected = [
                (cart, at_cart),
                (someone, at_someone),
                (Identity::Anyone, at_anyone),
                (Identity::Anonymous, Some(false)),
            ];
            for (identity, answer) in expected {
                for enforcer in [Enforcer::Ztunnel, Enforcer::Envoy] {
                    assert_eq!(
                        principal(pattern, identity, &TrustDomain::Usual, enforcer),
                        answer,
                        "{pattern} {identity:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn ztunnel_knows_no_other_name_of_the_trust_domain() {
        let cart = Identity::Workload {
            namespace: "shop",
            service_account: "cart",
        };
        let someone = Identity::SomeoneIn { namespace: "shop" };
        let corp = TrustDomain::of(&BTreeSet::from(["corp.example".to_owned()]));
        // Pattern, then the answer for the cart at ztunnel and at Envoy, and for someone at ztunnel.
        let cases = [
            ("corp.example/ns/shop/sa/cart", Some(true), Some(true), None),
            (
                "cluster.local/ns/shop/sa/cart",
                Some(false),
                None,
                Some(false),
            ),
            ("corp.example/ns/shop/*", Some(true), Some(true), Some(true)),
            ("cluster.local/ns/shop/*", Some(false), None, Some(false)),
            ("corp*", Some(true), Some(true), Some(true)),
            ("clus*", Some(false), None, Some(false)),
            (
                "cluster.local/ns/shop/sa/ca*",
                Some(false),
                None,
                Some(false),
            ),
            ("*/ns/shop/sa/cart", Some(true), Some(true), None),
        ];
        for (pattern, at_ztunnel, at_envoy, of_someone) in cases {
            let answer = |identity, enforcer| principal(pattern, identity, &corp, enforcer);
            assert_eq!(answer(cart, Enforcer::Ztunnel), at_ztunnel, "{pattern}");
            assert_eq!(answer(cart, Enforcer::Envoy), at_envoy, "{pattern}");
            assert_eq!(answer(someone, Enforcer::Ztunnel), of_someone, "{pattern}");
        }
        let two = ["corp.example".to_owned(), "cluster.local".to_owned()];
        let two = TrustDomain::of(&BTreeSet::from(two));
        let pattern = "cluster.local/ns/shop/sa/cart";
        assert_eq!(principal(pattern, cart, &two, Enforcer::Ztunnel), None);
    }
}
