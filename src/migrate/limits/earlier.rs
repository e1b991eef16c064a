//! What an earlier run left, and names that go with it.

use std::collections::BTreeSet;

use super::restore::{Limit, Limits};
use crate::migrate::object::Names;
use crate::model::{Action, AuthorizationPolicy, AuthorizationRule, Source, World};

impl Limits {
    /// Calls policies what an earlier run called them: after which network policy that is depends on
    /// the others that select the same pods, and these come and go.
    pub(super) fn adopt_names(&mut self, world: &World) {
        let ours = world.authorization_policies.iter();
        let ours: Vec<&AuthorizationPolicy> = ours.filter(|p| p.meta.is_ours()).collect();
        let name = |p: &AuthorizationPolicy| (p.meta.namespace.clone(), p.meta.name.clone());
        let mut kept: BTreeSet<(String, String)> =
            self.policies.iter().map(|l| name(&l.policy)).collect();
        for limit in &mut self.policies {
            let policy = &limit.policy;
            let is_there = |p: &&&AuthorizationPolicy| p.meta.is_same(&policy.meta);
            if ours.iter().any(|p| is_there(&p)) {
                continue;
            }
            let is_twin = |p: &&&AuthorizationPolicy| {
                p.meta.namespace == policy.meta.namespace
                    && p.selector == policy.selector
                    && p.targets == policy.targets
                    && p.action == policy.action
                    && !kept.contains(&name(p))
            };
            if let Some(twin) = ours.iter().find(is_twin) {
                kept.insert(name(twin));
                limit.policy.meta.name.clone_from(&twin.meta.name);
            }
        }
    }

    /// Gives policies names that are free: not those of each other, nor those of people's policies.
    pub(super) fn number_names(&mut self, world: &World) {
        let people = world.authorization_policies_of_people();
        let mut names = Names::of(people.map(|p| &p.meta));
        for limit in &mut self.policies {
            names.take(&mut limit.policy.meta);
        }
    }

    /// Replaces what an earlier run allowed and the plan does not need by policies that do nothing:
    /// an ALLOW that is left behind lets in what those of people refuse.
    pub(super) fn spend(&mut self, world: &World) {
        let left = world.authorization_policies.iter().filter(|policy| {
            let wanted = || {
                let mut limits = self.policies.iter();
                limits.any(|l| l.policy.meta.is_same(&policy.meta))
            };
            policy.meta.is_ours() && policy.action == Action::Allow && !wanted()
        });
        let spent: Vec<Limit> = left
            .map(|policy| Limit {
                policy: AuthorizationPolicy {
                    action: Action::Deny,
                    rules: [never()].into(),
                    ..policy.clone()
                },
                of: policy.reference(),
                beside: policy.meta.origin.clone(),
                reason: "allow nothing beyond what people's policies allow".to_owned(),
                is_spent: true,
            })
            .collect();
        self.policies.extend(spent);
    }
}

/// A rule that matches nobody: everybody with an identity, and without. istiod refuses a DENY that has
/// no rule at all (`ValidateAuthorizationPolicy`).
fn never() -> AuthorizationRule {
    let anybody = || vec!["*".into()];
    AuthorizationRule {
        from: vec![Source {
            principals: anybody(),
            not_principals: anybody(),
            ..Source::default()
        }],
        ..AuthorizationRule::default()
    }
}
