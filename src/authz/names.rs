//! Lists of principals, and whether an identity is among them.

use std::collections::BTreeSet;

use ambient_facts::namespaces;

use super::decide::{Identity, any};

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
        };
        any([account]
            .into_iter()
            .chain(self.patterns.iter().map(|p| principal(p, identity))))
    }
}

/// `principals`: `trust-domain/ns/NAMESPACE/sa/NAME`, with `*` at one end, or alone.
pub(super) fn principal(pattern: &str, identity: Identity<'_>) -> Option<bool> {
    match identity {
        Identity::Anonymous => Some(false),
        _ if pattern == "*" => Some(true),
        Identity::Workload {
            namespace,
            service_account,
        } => {
            let path = format!("/ns/{namespace}/sa/{service_account}");
            if let Some(suffix) = pattern.strip_prefix('*') {
                // A suffix that reaches into the trust domain depends on it.
                return if path.ends_with(suffix) {
                    Some(true)
                } else if suffix.ends_with(&path) {
                    None
                } else {
                    Some(false)
                };
            }
            let matches = |identity: String| match pattern.strip_suffix('*') {
                Some(prefix) => identity.starts_with(prefix),
                None => identity == pattern,
            };
            if matches(format!("{}{path}", namespaces::TRUST_DOMAIN)) {
                return Some(true);
            }
            // Another trust domain than the usual one may be in use.
            let domain = pattern.split_once('/').map_or("", |(domain, _)| domain);
            if matches(format!("{domain}{path}")) {
                None
            } else {
                Some(false)
            }
        }
        Identity::SomeoneIn { namespace } => {
            let path = format!("/ns/{namespace}/sa/");
            if pattern.contains("/ns/") && !pattern.contains(&path) {
                Some(false)
            } else {
                None
            }
        }
    }
}
