//! What AuthorizationPolicies let the tunnel carry, worked out once for all that they treat alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::authz::{Allowance, Crowd, Enforcer, Party, Policies, Selected, TrustDomain};
use crate::model::{AuthorizationPolicy, Mesh, Workload, World};
use crate::netpol::{Bounds, PortSets};

/// Everybody who has an identity, sorted.
pub(super) fn parties(world: &World) -> Vec<Party> {
    let party = |w: &Workload| Party::new(&w.meta.namespace, Some(&w.pod.service_account));
    let mut parties: Vec<Party> = world.workloads.iter().map(party).collect();
    parties.sort_unstable();
    parties.dedup();
    parties
}

/// The policies of a world.
pub(super) struct Authorizer<'w> {
    policies: Policies<'w>,
    crowd: Crowd<'w>,
    parties: &'w [Party],
    /// What each party may use, by the policies that apply and by what enforces them.
    decided: BTreeMap<(Vec<usize>, Enforcer), Arc<[Bounds]>>,
}

impl<'w> Authorizer<'w> {
    pub(super) fn new(
        policies: &'w [AuthorizationPolicy],
        parties: &'w [Party],
        mesh: &'w Mesh,
    ) -> Self {
        Self {
            policies: Policies::new(policies, mesh.root_namespace()),
            crowd: Crowd::new(parties).of_domain(TrustDomain::of(&mesh.trust_domains())),
            parties,
            decided: BTreeMap::new(),
        }
    }

    /// Index of the party of a workload.
    pub(super) fn party(&self, workload: &Workload) -> Option<usize> {
        let key = |p: &Party| {
            let own = workload.pod.service_account.as_str();
            let own = (workload.meta.namespace.as_str(), Some(own));
            (p.namespace(), p.service_account()).cmp(&own)
        };
        self.parties.binary_search_by(key).ok()
    }

    /// The policies that apply to the pods of a workload.
    pub(super) fn applying(&self, workload: &Workload) -> Vec<usize> {
        self.policies
            .selecting(&workload.meta.namespace, &workload.pod.labels)
    }

    /// What each party may use at a workload, by index.
    pub(super) fn decide(
        &mut self,
        workload: &Workload,
        enforcer: Enforcer,
        sets: &mut PortSets,
    ) -> Arc<[Bounds]> {
        let key = (self.applying(workload), enforcer);
        let (policies, crowd, parties) = (&self.policies, &self.crowd, self.parties.len());
        let decide = |(applying, _): &(Vec<usize>, Enforcer)| {
            let decision = Selected::listed(policies.listed(applying), enforcer).decide(crowd);
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
