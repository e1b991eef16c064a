//! Pods that call themselves by their own Service: the address of a Service is led through the tunnel
//! even where it comes to the caller itself (what a pod sends to its own address is not), and there
//! limits hold that no network policy has for a pod and itself.

use std::collections::BTreeMap;

use crate::authz::{Enforcer, Selected};
use crate::finding::{Finding, codes};
use crate::migrate::analysis::Analysis;
use crate::migrate::limits::restore::Limits;
use crate::migrate::setting::selecting::Selecting;
use crate::netpol::PortSet;

/// Tells of workloads whose limits refuse them ports that a Service of theirs leads to.
pub(crate) fn own_services(
    analysis: &Analysis<'_, '_>,
    limits: &Limits,
    findings: &mut Vec<Finding>,
) {
    let setting = analysis.setting;
    let at_pods = Selecting::of(limits.policies.iter().map(|l| &l.policy));
    let crowd = analysis.crowd();
    let mut decisions = BTreeMap::new();
    for (index, service) in setting.world.services.iter().enumerate() {
        if service.headless || setting.waypoints.of_service.contains_key(&index) {
            continue;
        }
        for backend in setting.backends(service) {
            let role = setting.role(backend);
            let is_captured = role.receives && role.sends && !role.behind_sidecar;
            let workload = setting.world.workloads.get(backend);
            let class = analysis.universe.class_of(backend);
            let (true, Some(workload), Some(class)) = (is_captured, workload, class) else {
                continue;
            };
            let places = at_pods.places(&workload.meta.namespace, &workload.pod.labels);
            if places.is_empty() {
                continue;
            }
            let decision = decisions.entry(places.clone()).or_insert_with(|| {
                let limits = places.iter().filter_map(|&place| at_pods.get(place));
                Selected::listed(limits, Enforcer::Ztunnel).decide(&crowd)
            });
            let own = analysis.party_of.get(class);
            let own = own.and_then(|own| decision.iter().find(|(_, who)| who.contains(*own)));
            let targets = setting.targets(service, backend).into_iter();
            let targets: PortSet = targets.map(|(_, ports)| ports).collect();
            // What its replicas may use of each other is compared.
            let compared = if analysis.is_one_pod(class) {
                PortSet::none()
            } else {
                analysis
                    .sets
                    .get(analysis.value_at(class, class).before.high)
                    .clone()
            };
            let allowed = own.map(|(allowance, _)| allowance.high.union(&compared));
            let lost = allowed.map(|allowed| targets.difference(&allowed));
            if let Some(lost) = lost.filter(|lost| !lost.is_empty()) {
                let message = format!(
                    "limits refuse its own account {lost}, to which `{}` leads, also where it comes \
                     to the pod that calls",
                    service.meta.reference("Service")
                );
                findings.push(Finding::new(
                    &codes::OWN_SERVICE_REFUSED,
                    workload.reference(),
                    workload.meta.origin.clone(),
                    message,
                ));
            }
        }
    }
}
