//! Which waypoint serves what: the label chain of Services, pods and namespaces, resolved as the
//! control plane does (istiod `pilot/pkg/serviceregistry/ambient/waypoints.go`,
//! `fetchWaypointForTarget`).
//!
//! An object's own label decides alone, even when it is broken; without one the namespace's does.
//! Readiness of a waypoint cannot be seen in manifests and is not judged here.

use std::collections::BTreeMap;

use ambient_facts::{annotations, labels, ports};

use crate::model::{AllowedNamespaces, Gateway, Meta, Service, Workload, World};

/// Resolves waypoints in one world.
#[derive(Debug, Clone)]
pub(crate) struct Waypoints<'w> {
    world: &'w World,
    planned: &'w BTreeMap<String, String>,
    gateways: BTreeMap<(&'w str, &'w str), &'w Gateway>,
}

/// A waypoint that serves something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waypoint<'w> {
    /// Namespace of the Gateway.
    pub namespace: &'w str,
    /// Name of the Gateway.
    pub name: &'w str,
    /// The Gateway; `None` when the plan creates it.
    pub gateway: Option<&'w Gateway>,
}

/// What the label chain of an object comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binding<'w> {
    /// No waypoint: no label, or `none`.
    Unbound,
    /// A waypoint that takes this traffic.
    Bound(Waypoint<'w>),
    /// A label whose waypoint cannot be used: traffic goes to the pods directly.
    Broken(Broken<'w>),
}

/// A label for a waypoint that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken<'w> {
    /// Namespace in which the Gateway is looked for.
    pub namespace: &'w str,
    /// Its name.
    pub name: &'w str,
    /// Whether the object's own label says so, and not its namespace's.
    pub own: bool,
    /// What is wrong.
    pub reason: BrokenReason<'w>,
}

/// Why a waypoint cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrokenReason<'w> {
    /// There is no such Gateway in the input.
    Missing,
    /// The Gateway has no HBONE listener.
    NotAWaypoint(&'w Gateway),
    /// Its listener does not admit the namespace.
    NamespaceRefused(&'w Gateway),
    /// It does not take this kind of traffic, but the one given.
    Traffic(&'w Gateway, &'w str),
}

/// Kinds of traffic that a waypoint may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Traffic {
    Service,
    Workload,
    Any,
}

impl<'w> Waypoints<'w> {
    /// Prepares to resolve. `planned` gives, per namespace, the name of a waypoint in it that the
    /// plan will label the namespace for.
    pub(crate) fn new(world: &'w World, planned: &'w BTreeMap<String, String>) -> Self {
        let key = |g: &'w Gateway| (g.meta.namespace.as_str(), g.meta.name.as_str());
        let gateways = world.gateways.iter().map(|g| (key(g), g)).collect();
        Self {
            world,
            planned,
            gateways,
        }
    }

    /// The waypoint of a Service.
    pub(crate) fn of_service(&self, service: &'w Service) -> Binding<'w> {
        let managed = service.meta.label(labels::GATEWAY_MANAGED);
        if matches!(
            managed,
            Some(labels::MANAGED_WAYPOINT | labels::MANAGED_EAST_WEST)
        ) {
            return Binding::Unbound;
        }
        self.resolve(&service.meta, &service.meta.labels, Traffic::Service)
    }

    /// The waypoint of traffic to the addresses of a workload's pods.
    pub(crate) fn of_workload(&self, workload: &'w Workload) -> Binding<'w> {
        match self.resolve(&workload.meta, &workload.pod.labels, Traffic::Workload) {
            // The label of a namespace is for Services first; that its waypoint does not take pod
            // addresses is no error.
            Binding::Broken(Broken {
                own: false,
                reason: BrokenReason::Traffic(..),
                ..
            }) => Binding::Unbound,
            binding => binding,
        }
    }

    /// The waypoint that the label of a ServiceEntry, or of its namespace, names.
    pub(crate) fn of_entry(&self, meta: &'w Meta) -> Binding<'w> {
        self.resolve(meta, &meta.labels, Traffic::Service)
    }

    /// What the label of a namespace itself names, whatever it serves.
    pub(crate) fn of_namespace(&self, namespace: &'w str) -> Binding<'w> {
        match self.namespace_target(namespace) {
            Some(Target::Named(at, name)) => self.check(at, name, namespace, false, Traffic::Any),
            _ => Binding::Unbound,
        }
    }

    /// A Gateway by namespace and name.
    pub(crate) fn gateway(&self, namespace: &str, name: &str) -> Option<&'w Gateway> {
        self.gateways.get(&(namespace, name)).copied()
    }

    /// Whether the plan creates a waypoint of this name in the namespace.
    pub(crate) fn is_planned(&self, namespace: &str, name: &str) -> bool {
        self.planned.get(namespace).is_some_and(|n| n == name)
    }

    fn resolve(
        &self,
        meta: &'w Meta,
        own: &'w BTreeMap<String, String>,
        traffic: Traffic,
    ) -> Binding<'w> {
        let namespace = meta.namespace.as_str();
        match target(own, namespace) {
            Some(Target::None) => Binding::Unbound,
            Some(Target::Named(at, name)) => self.check(at, name, namespace, true, traffic),
            None => match self.namespace_target(namespace) {
                Some(Target::Named(at, name)) => self.check(at, name, namespace, false, traffic),
                _ => Binding::Unbound,
            },
        }
    }

    fn namespace_target(&self, namespace: &'w str) -> Option<Target<'w>> {
        let own = self.world.namespaces.get(namespace);
        own.and_then(|n| target(&n.meta.labels, namespace))
            .or_else(|| {
                let planned = self.planned.get(namespace)?;
                Some(Target::Named(namespace, planned))
            })
    }

    fn check(
        &self,
        at: &'w str,
        name: &'w str,
        from: &'w str,
        own: bool,
        traffic: Traffic,
    ) -> Binding<'w> {
        let broken = |reason| {
            Binding::Broken(Broken {
                namespace: at,
                name,
                own,
                reason,
            })
        };
        let waypoint = |gateway| {
            Binding::Bound(Waypoint {
                namespace: at,
                name,
                gateway,
            })
        };
        let Some(gateway) = self.gateway(at, name) else {
            let planned = at == from && self.is_planned(at, name) && traffic != Traffic::Workload;
            return if planned {
                waypoint(None)
            } else {
                broken(BrokenReason::Missing)
            };
        };
        let listener = gateway
            .listeners
            .iter()
            .find(|l| l.protocol == "HBONE" && l.port == ports::HBONE);
        let Some(listener) = listener else {
            return broken(BrokenReason::NotAWaypoint(gateway));
        };
        if !self.admits(&listener.allowed, at, from) {
            return broken(BrokenReason::NamespaceRefused(gateway));
        }
        let takes = gateway.meta.label(labels::WAYPOINT_FOR);
        let takes = takes.unwrap_or(SERVICE);
        let wanted = match traffic {
            Traffic::Service => matches!(takes, SERVICE | ALL),
            Traffic::Workload => matches!(takes, WORKLOAD | ALL),
            Traffic::Any => matches!(takes, SERVICE | WORKLOAD | ALL),
        };
        if wanted {
            waypoint(Some(gateway))
        } else {
            broken(BrokenReason::Traffic(gateway, takes))
        }
    }

    fn admits(&self, allowed: &AllowedNamespaces, at: &str, from: &str) -> bool {
        match allowed {
            AllowedNamespaces::Same => at == from,
            AllowedNamespaces::All => true,
            AllowedNamespaces::Selector(selector) => {
                let namespace = self.world.namespaces.get(from);
                // Without the object its labels are unknown, and nothing is claimed.
                namespace.is_none_or(|n| !n.declared || selector.matches(&n.meta.labels))
            }
        }
    }
}

impl Waypoint<'_> {
    /// The name of the service account that its pods run under, in its namespace.
    pub(crate) fn service_account(&self) -> &str {
        let named = self.gateway.and_then(|g| account_named_by(&g.meta));
        named.unwrap_or(self.name)
    }
}

/// The service account that a Gateway names for its pods. The control plane reads an empty name as
/// none.
pub(crate) fn account_named_by(gateway: &Meta) -> Option<&str> {
    let named = gateway.annotation(annotations::GATEWAY_SERVICE_ACCOUNT);
    named.filter(|name| !name.is_empty())
}

/// What a `use-waypoint` label names.
#[derive(Debug, Clone, Copy)]
enum Target<'w> {
    None,
    Named(&'w str, &'w str),
}

fn target<'w>(own: &'w BTreeMap<String, String>, namespace: &'w str) -> Option<Target<'w>> {
    let name = own.get(labels::USE_WAYPOINT)?;
    if name == labels::NONE {
        return Some(Target::None);
    }
    let at = own.get(labels::USE_WAYPOINT_NAMESPACE);
    Some(Target::Named(at.map_or(namespace, String::as_str), name))
}

/// Values of [`labels::WAYPOINT_FOR`].
const SERVICE: &str = "service";
const WORKLOAD: &str = "workload";
const ALL: &str = "all";

#[cfg(test)]
mod tests;
