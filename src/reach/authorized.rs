//! What AuthorizationPolicies let the tunnel carry, worked out once for all that they treat alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use ambient_facts::namespaces;

use crate::authz::{Allowance, Crowd, Enforcer, Party, Selected, selects};
use crate::model::{AuthorizationPolicy, Workload, World};
use crate::netpol::{Bounds, PortSets};

/// Everybody who has an identity, sorted.
pub(super) fn parties(world: &World) -> Vec<Party> {
    let party = |w: &Workload| Party {
        namespace: w.meta.namespace.clone(),
        service_account: Some(w.pod.service_account.clone()),
    };
    let mut parties: Vec<Party> = world.workloads.iter().map(party).collect();
    parties.sort_unstable();
    parties.dedup();
    parties
}

/// The policies of a world.
pub(super) struct Authorizer<'w> {
    policies: &'w [AuthorizationPolicy],
    by_namespace: BTreeMap<&'w str, Vec<usize>>,
    crowd: Crowd<'w>,
    parties: &'w [Party],
    /// What each party may use, by the policies that apply and by what enforces them.
    decided: BTreeMap<(Vec<usize>, Enforcer), Arc<[Bounds]>>,
}

impl<'w> Authorizer<'w> {
    pub(super) fn new(policies: &'w [AuthorizationPolicy], parties: &'w [Party]) -> Self {
        let mut by_namespace: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, policy) in policies.iter().enumerate() {
            let namespace = policy.meta.namespace.as_str();
            by_namespace.entry(namespace).or_default().push(index);
        }
        Self {
            policies,
            by_namespace,
            crowd: Crowd::new(parties),
            parties,
            decided: BTreeMap::new(),
        }
    }

    /// Index of the party of a workload.
    pub(super) fn party(&self, workload: &Workload) -> Option<usize> {
        let key = |p: &Party| {
            let name = p.service_account.as_deref();
            let own = workload.pod.service_account.as_str();
            (p.namespace.as_str(), name).cmp(&(workload.meta.namespace.as_str(), Some(own)))
        };
        self.parties.binary_search_by(key).ok()
    }

    /// The policies that apply to the pods of a workload.
    pub(super) fn applying(&self, workload: &Workload) -> Vec<usize> {
        let namespace = workload.meta.namespace.as_str();
        let root = (namespace != namespaces::ROOT).then_some(namespaces::ROOT);
        let places = [Some(namespace), root].into_iter().flatten();
        let here = places.filter_map(|n| self.by_namespace.get(n)).flatten();
        let applies = |&&index: &&usize| {
            let policy = self.policies.get(index);
            policy.is_some_and(|p| selects(p, namespace, &workload.pod.labels))
        };
        here.filter(applies).copied().collect()
    }

    /// What each party may use at a workload, by index.
    pub(super) fn decide(
        &mut self,
        workload: &Workload,
        enforcer: Enforcer,
        sets: &mut PortSets,
    ) -> Arc<[Bounds]> {
        let key = (self.applying(workload), enforcer);
        let (policies, crowd, parties) = (self.policies, &self.crowd, self.parties.len());
        let decide = |(applying, _): &(Vec<usize>, Enforcer)| {
            let applying = applying.iter().filter_map(|&index| policies.get(index));
            let decision = Selected::listed(applying, enforcer).decide(crowd);
            let mut bounds = |Allowance { low, high }: Allowance| Bounds {
                low: sets.intern(low),
                high: sets.intern(high),
            };
            let mut decided = vec![bounds(Allowance::all()); parties];
            for (allowance, members) in decision {
                let allowed = bounds(allowance);
                for party in members.ones().take_while(|&party| party < parties) {
                    decided[party] = allowed;
                }
            }
            Arc::from(decided)
        };
        Arc::clone(self.decided.entry(key).or_insert_with_key(decide))
    }
}
