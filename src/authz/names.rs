//! Lists of principals, and whether an identity is among them.

use std::collections::BTreeSet;

use ambient_facts::namespaces;

use super::decide::Identity;
use super::matching::any;

/// A list of principals. Those of one service account in any trust domain, which is what long
/// lists are made of, are searched; the others are tried one by one.
#[derive(Debug)]
pub(super) struct Names<'p> {
    accounts: BTreeSet<(&'p str, &'p str)>,
    patterns: Vec<&'p str>,
}

impl<'p> Names<'p> {
    pub(super) fn of(list: &'p [String]) -> Self {
        let mut names = Self {
            accounts: BTreeSet::new(),
            patterns: Vec::new(),
        };
        for pattern in list {
            let account = pattern
                .strip_prefix("*/ns/")
                .and_then(|rest| rest.split_once("/sa/"));
            match account {
                Some((namespace, name)) if !name.contains(['/', '*']) => {
                    names.accounts.insert((namespace, name));
                }
                _ => names.patterns.push(pattern),
            }
        }
        names
    }

    /// The service accounts, when nothing else but everybody is on the list.
    pub(super) fn accounts(&self) -> Option<impl Iterator<Item = (&'p str, &'p str)>> {
        let plain = self.patterns.iter().all(|p| *p == "*");
        plain.then(|| self.accounts.iter().copied())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.patterns.is_empty()
    }

    /// Whether one of them matches. `None` when it is not known.
    pub(super) fn match_one(&self, identity: Identity<'_>) -> Option<bool> {
        let account = match identity {
            Identity::Anonymous => Some(false),
            Identity::Workload {
                namespace,
                service_account,
            } => Some(self.accounts.contains(&(namespace, service_account))),
            Identity::SomeoneIn { namespace } => {
                let mut from = self.accounts.range((namespace, "")..);
                let there = from.next().is_some_and(|(n, _)| *n == namespace);
                if there { None } else { Some(false) }
            }
            Identity::Anyone => (self.accounts.is_empty()).then_some(false),
        };
        any([account]
            .into_iter()
            .chain(self.patterns.iter().map(|p| principal(p, identity))))
    }
}

/// `principals`: `trust-domain/ns/NAMESPACE/sa/NAME`, with `*` at one end, or alone. `None` when it
/// depends on what is not known: the trust domain, or parts of the identity.
pub(super) fn principal(pattern: &str, identity: Identity<'_>) -> Option<bool> {
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
        match fits {
            false => Some(false),
            // Another trust domain than the usual one may be in use.
            true if self.whole && domain == namespaces::TRUST_DOMAIN => Some(true),
            true => None,
        }
    }

    fn starts_with(&self, prefix: &str) -> Option<bool> {
        let Some(slash) = prefix.find('/') else {
            let usual = namespaces::TRUST_DOMAIN.starts_with(prefix);
            return usual.then_some(true);
        };
        let (domain, path) = prefix.split_at(slash);
        if self.path.starts_with(path) {
            return (domain == namespaces::TRUST_DOMAIN).then_some(true);
        }
        let name = path.strip_prefix(self.path);
        let perhaps = !self.whole && name.is_some_and(|n| !n.contains('/'));
        if perhaps { None } else { Some(false) }
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
            let list = [pattern.to_owned()];
            let names = Names::of(&list);
            let expected = [
                (cart, at_cart),
                (someone, at_someone),
                (Identity::Anyone, at_anyone),
                (Identity::Anonymous, Some(false)),
            ];
            for (identity, answer) in expected {
                assert_eq!(names.match_one(identity), answer, "{pattern} {identity:?}");
                assert_eq!(
                    principal(pattern, identity),
                    answer,
                    "{pattern} {identity:?}"
                );
            }
        }
    }
}
