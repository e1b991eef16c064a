//! Policies by where they apply.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decide::selects;
use crate::model::{Action, AuthorizationPolicy, AuthorizationRule, Labels};

/// Policies by namespace, so that those that apply somewhere are found without looking at all.
#[derive(Debug)]
pub struct Policies<'p> {
    list: Vec<&'p AuthorizationPolicy>,
    root_namespace: &'p str,
    by_namespace: BTreeMap<&'p str, Vec<usize>>,
    /// By policy: the first that decides alike wherever both apply.
    alike: Vec<usize>,
}

impl<'p> Policies<'p> {
    /// Indices count from the first of these. Those of the root namespace apply everywhere.
    pub fn new(
        policies: impl IntoIterator<Item = &'p AuthorizationPolicy>,
        root_namespace: &'p str,
    ) -> Self {
        let list: Vec<&AuthorizationPolicy> = policies.into_iter().collect();
        let mut by_namespace: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut first: BTreeMap<Content<'_>, usize> = BTreeMap::new();
        let mut alike = Vec::with_capacity(list.len());
        for (index, policy) in list.iter().enumerate() {
            let here = by_namespace.entry(&policy.meta.namespace);
            here.or_default().push(index);
            alike.push(*first.entry(Content::of(policy)).or_insert(index));
        }
        Self {
            list,
            root_namespace,
            by_namespace,
            alike,
        }
    }

    /// The namespace whose policies apply everywhere.
    pub fn root_namespace(&self) -> &'p str {
        self.root_namespace
    }

    /// The policies that ztunnel applies to the pods of a workload.
    pub fn selecting(&self, namespace: &str, labels: &Labels) -> Vec<usize> {
        let root = self.root_namespace;
        self.matching(namespace, |p| selects(p, root, namespace, labels))
    }

    /// The policies of a namespace, and of the root namespace, that fit; of those that decide alike
    /// only one. Sorted.
    pub fn matching(
        &self,
        namespace: &str,
        fits: impl Fn(&AuthorizationPolicy) -> bool,
    ) -> Vec<usize> {
        let root = (namespace != self.root_namespace).then_some(self.root_namespace);
        let places = [Some(namespace), root].into_iter().flatten();
        let here = places.filter_map(|n| self.by_namespace.get(n)).flatten();
        let fitting = here.filter(|&&index| self.list.get(index).is_some_and(|p| fits(p)));
        let alike = fitting.filter_map(|&index| self.alike.get(index).copied());
        let mut matching: Vec<usize> = alike.collect();
        matching.sort_unstable();
        matching.dedup();
        matching
    }

    /// Policies by index.
    pub fn listed<'l>(
        &'l self,
        indices: &'l [usize],
    ) -> impl Iterator<Item = &'p AuthorizationPolicy> + Clone + 'l {
        indices
            .iter()
            .filter_map(|&index| self.list.get(index).copied())
    }
}

/// What a policy decides by, wherever it applies. Rules are the same where they are shared; to
/// compare long lists would cost more than to evaluate them twice.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Content<'p> {
    /// Service accounts without a namespace are of this one.
    namespace: &'p str,
    action: Action,
    dry_run: bool,
    selects_nothing: bool,
    rules: *const AuthorizationRule,
    count: usize,
    people: bool,
}

impl<'p> Content<'p> {
    fn of(policy: &'p AuthorizationPolicy) -> Self {
        Self {
            namespace: &policy.meta.namespace,
            action: policy.action,
            dry_run: policy.is_dry_run(),
            selects_nothing: policy.selects_nothing,
            rules: Arc::as_ptr(&policy.rules).cast(),
            count: policy.rules.len(),
            people: !policy.meta.is_ours(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Meta;

    fn policy(namespace: &str, app: &str, rules: &Arc<[AuthorizationRule]>) -> AuthorizationPolicy {
        AuthorizationPolicy {
            meta: Meta::synthetic(namespace, app),
            selector: Labels::from([("app".to_owned(), app.to_owned())]),
            selects_nothing: false,
            targets: Vec::new(),
            action: Action::Deny,
            rules: Arc::clone(rules),
        }
    }

    #[test]
    fn policies_that_share_their_rules_count_as_one_in_a_namespace() {
        let shared: Arc<[AuthorizationRule]> = [AuthorizationRule::default()].into();
        let equal: Arc<[AuthorizationRule]> = [AuthorizationRule::default()].into();
        let mut allowing = policy("shop", "web", &shared);
        allowing.action = Action::Allow;
        let list = [
            policy("shop", "web", &shared),
            policy("shop", "db", &shared),
            policy("pay", "db", &shared),
            policy("shop", "db", &equal),
            policy("wide", "db", &shared),
            allowing,
        ];
        let policies = Policies::new(&list, "wide");
        let selecting = |namespace: &str, app: &str| {
            let labels = Labels::from([("app".to_owned(), app.to_owned())]);
            policies.selecting(namespace, &labels)
        };
        assert_eq!(selecting("shop", "web"), [0, 5]);
        assert_eq!(selecting("shop", "db"), [0, 3, 4]);
        assert_eq!(selecting("pay", "db"), [2, 4]);
        assert_eq!(selecting("pay", "web"), [0; 0]);
        let listed = policies.listed(&[0, 3, 9]);
        assert_eq!(
            listed.map(|p| p.meta.name.as_str()).collect::<Vec<_>>(),
            ["web", "db"]
        );
    }
}
