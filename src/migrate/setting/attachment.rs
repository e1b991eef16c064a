//! Where istiod attaches policies with targets (`pilot/pkg/model/policyattachment.go`,
//! `ShouldAttachPolicy`). Whether anything is sent there is not judged here.

use ambient_facts::{groups, labels};

use crate::model::{Meta, TargetRef};

/// What a target is, by group and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetKind {
    Service,
    ServiceEntry,
    Gateway,
    GatewayClass,
    /// Istio's own Gateway, which is no waypoint.
    IstioGateway,
}

impl TargetKind {
    /// `None` for what no policy can be attached to.
    pub(crate) fn of(target: &TargetRef) -> Option<Self> {
        match (group(target), target.kind.as_str()) {
            (groups::CORE, "Service") => Some(Self::Service),
            (groups::NETWORKING, "ServiceEntry") => Some(Self::ServiceEntry),
            (groups::NETWORKING, "Gateway") => Some(Self::IstioGateway),
            (groups::GATEWAY_API, "Gateway") => Some(Self::Gateway),
            (groups::GATEWAY_API, "GatewayClass") => Some(Self::GatewayClass),
            _ => None,
        }
    }
}

/// The group of a target, by the name that istiod compares.
pub(crate) fn group(target: &TargetRef) -> &str {
    match target.group.as_str() {
        "" => groups::CORE,
        group => group,
    }
}

/// A waypoint, with the Service that it is asked for, if it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'p> {
    pub(crate) root_namespace: &'p str,
    pub(crate) namespace: &'p str,
    pub(crate) name: &'p str,
    pub(crate) service: Option<&'p Meta>,
}

impl Place<'_> {
    /// Whether the waypoint enforces what a policy of a namespace says with this target.
    pub(crate) fn has(&self, target: &TargetRef, policy_namespace: &str) -> bool {
        let is = |meta: &Meta| meta.namespace == policy_namespace && meta.name == target.name;
        match TargetKind::of(target) {
            // The namespace of a target counts for Gateways alone.
            Some(TargetKind::Service) => self.service.is_some_and(is),
            Some(TargetKind::Gateway) => {
                let mut named = target.namespace.iter();
                named.all(|n| n == self.namespace)
                    && self.namespace == policy_namespace
                    && self.name == target.name
            }
            Some(TargetKind::GatewayClass) => {
                policy_namespace == self.root_namespace && target.name == labels::WAYPOINT_CLASS
            }
            Some(TargetKind::ServiceEntry | TargetKind::IstioGateway) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: Place<'_> = Place {
        root_namespace: "istio-system",
        namespace: "shop",
        name: "waypoint",
        service: None,
    };

    fn target(group: &str, kind: &str, name: &str) -> TargetRef {
        TargetRef {
            group: group.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            namespace: None,
        }
    }

    #[test]
    fn targets_are_attached_by_group_and_kind() {
        let server = Meta::synthetic("shop", "server");
        let place = Place {
            service: Some(&server),
            ..SHOP
        };
        let cases = [
            ("", "Service", "server", true),
            ("core", "Service", "server", true),
            ("v1", "Service", "server", false),
            ("gateway.networking.k8s.io", "Service", "server", false),
            ("", "Service", "other", false),
            ("gateway.networking.k8s.io", "Gateway", "waypoint", true),
            ("gateway.networking.k8s.io", "Gateway", "other", false),
            ("networking.istio.io", "Gateway", "waypoint", false),
            ("", "Gateway", "waypoint", false),
            ("networking.istio.io", "ServiceEntry", "server", false),
        ];
        for (group, kind, name, attached) in cases {
            let target = target(group, kind, name);
            assert_eq!(place.has(&target, "shop"), attached, "{target:?}");
            assert!(!place.has(&target, "bank"), "{target:?}");
        }
        assert!(!SHOP.has(&target("", "Service", "server"), "shop"));
    }

    #[test]
    fn a_target_in_another_namespace_than_the_gateway_is_not_attached() {
        let mut target = target("gateway.networking.k8s.io", "Gateway", "waypoint");
        target.namespace = Some("shop".to_owned());
        assert!(SHOP.has(&target, "shop"));
        target.namespace = Some("bank".to_owned());
        assert!(!SHOP.has(&target, "shop"));
    }

    #[test]
    fn a_class_is_attached_from_the_root_namespace() {
        let class = target(
            "gateway.networking.k8s.io",
            "GatewayClass",
            "istio-waypoint",
        );
        assert!(SHOP.has(&class, "istio-system"));
        assert!(!SHOP.has(&class, "shop"));
        let other = target("gateway.networking.k8s.io", "GatewayClass", "istio");
        assert!(!SHOP.has(&other, "istio-system"));
    }
}
