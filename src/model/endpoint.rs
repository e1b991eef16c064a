//! Endpoints: what a person calls one communicating party.
//!
//! The pods of one top owner are one endpoint, written `namespace/name[Kind]`. An endpoint whose
//! pods are in the input is described by them; else by its template.

use std::collections::BTreeMap;
use std::fmt;

use ambient_facts::labels;

use super::{Workload, World};

/// Index of an [`Endpoint`] in [`Endpoints`].
pub type EndpointId = usize;

/// One communicating party inside the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Namespace.
    pub namespace: String,
    /// Name of the top owner.
    pub name: String,
    /// Kind of the top owner; `Pod` when it has none.
    pub kind: String,
    /// Indices into [`World::workloads`] of the objects that describe its pods; never empty.
    pub workloads: Vec<usize>,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}[{}]", self.namespace, self.name, self.kind)
    }
}

/// All endpoints of a [`World`], sorted.
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    all: Vec<Endpoint>,
    of_workload: BTreeMap<usize, EndpointId>,
}

impl Endpoints {
    /// Groups the workloads of a world by top owner. Terminated pods are left out.
    pub fn of(world: &World) -> Self {
        let owners = OwnerIndex::new(world);
        let mut grouped: BTreeMap<(String, String, String), Vec<usize>> = BTreeMap::new();
        for (index, workload) in world.workloads.iter().enumerate() {
            if !workload.terminated {
                let (kind, name) = owners.top(workload);
                let key = (workload.meta.namespace.clone(), name, kind);
                grouped.entry(key).or_default().push(index);
            }
        }
        let mut endpoints = Self::default();
        for ((namespace, name, kind), mut workloads) in grouped {
            let is_pod = |&i: &usize| world.workloads[i].kind == super::WorkloadKind::Pod;
            if workloads.iter().any(is_pod) {
                workloads.retain(is_pod);
            } else {
                // Without pods the outermost template speaks: a Deployment's, not its old
                // ReplicaSets'.
                let top = |&i: &usize| world.workloads[i].kind.as_str() == kind;
                if workloads.iter().any(top) {
                    workloads.retain(top);
                }
            }
            let id = endpoints.all.len();
            endpoints
                .of_workload
                .extend(workloads.iter().map(|&w| (w, id)));
            endpoints.all.push(Endpoint {
                namespace,
                name,
                kind,
                workloads,
            });
        }
        endpoints
    }

    /// All of them, sorted by namespace, name and kind.
    pub fn iter(&self) -> impl Iterator<Item = (EndpointId, &Endpoint)> {
        self.all.iter().enumerate()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// One of them.
    pub fn get(&self, id: EndpointId) -> Option<&Endpoint> {
        self.all.get(id)
    }

    /// The endpoint that a workload describes; `None` for a template whose pods are in the input.
    pub fn of_workload(&self, workload: usize) -> Option<EndpointId> {
        self.of_workload.get(&workload).copied()
    }
}

/// Follows owner references through the objects of the input.
struct OwnerIndex<'w> {
    by_name: BTreeMap<(&'w str, &'w str, &'w str), &'w Workload>,
}

impl<'w> OwnerIndex<'w> {
    fn new(world: &'w World) -> Self {
        let key = |w: &'w Workload| {
            (
                w.meta.namespace.as_str(),
                w.kind.as_str(),
                w.meta.name.as_str(),
            )
        };
        Self {
            by_name: world.workloads.iter().map(|w| (key(w), w)).collect(),
        }
    }

    /// Kind and name of the top owner.
    fn top(&self, workload: &'w Workload) -> (String, String) {
        // An owner chain is three long at most; the bound ends a circular one.
        const LONGEST_CHAIN: usize = 8;
        let mut at = (
            workload.kind.as_str().to_owned(),
            workload.meta.name.clone(),
        );
        let mut current = Some(workload);
        for _ in 0..LONGEST_CHAIN {
            let Some(object) = current else { break };
            // A node owns its static pods, and is no workload.
            let owner = object
                .meta
                .owners
                .iter()
                .find(|o| o.controller && !o.kind.is_empty() && o.kind != "Node");
            let Some(owner) = owner else {
                break;
            };
            at = (owner.kind.clone(), owner.name.clone());
            current = self
                .by_name
                .get(&(object.meta.namespace.as_str(), &owner.kind, &owner.name))
                .copied();
            if current.is_none() && owner.kind == "ReplicaSet" {
                // A Deployment names its ReplicaSets after itself and the template's hash
                // (Kubernetes `pkg/controller/deployment/sync.go`, `getNewReplicaSet`).
                let hash = object.pod.labels.get(labels::POD_TEMPLATE_HASH);
                if let Some(name) = hash.and_then(|h| owner.name.strip_suffix(h)?.strip_suffix('-'))
                {
                    at = ("Deployment".to_owned(), name.to_owned());
                }
            }
        }
        at
    }
}
