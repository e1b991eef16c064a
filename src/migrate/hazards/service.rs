//! Services and machines outside of Kubernetes.

use ambient_facts::ports;

use super::{Context, about, list};
use crate::finding::{Code, Finding, codes};
use crate::model::{Protocol, Service, TargetPort};

pub(super) fn find(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for service in &context.world.services {
        if service.service_type == "ExternalName" {
            if context.scope.is_enrolled(&service.meta.namespace) {
                let message = "is of type ExternalName, and what it names stays out of the mesh";
                findings.push(of_service(
                    service,
                    &codes::EXTERNAL_NAME,
                    message.to_owned(),
                ));
            }
        } else if !context.backends(service).is_empty() {
            reserved_targets(service, findings);
            other_protocols(service, findings);
        }
    }
    for object in &context.world.networking {
        let machine = matches!(object.kind.as_str(), "WorkloadEntry" | "WorkloadGroup");
        if machine && context.scope.is_enrolled(&object.meta.namespace) {
            let message =
                "stands for machines outside of Kubernetes, which ambient mesh cannot take in";
            let origin = object.meta.origin.clone();
            let code = &codes::VIRTUAL_MACHINE;
            findings.push(about(code, object.reference(), origin, message.to_owned()));
        }
    }
}

fn of_service(service: &Service, code: &'static Code, predicate: String) -> Finding {
    let subject = service.meta.reference("Service");
    about(code, subject, service.meta.origin.clone(), predicate)
}

fn reserved_targets(service: &Service, findings: &mut Vec<Finding>) {
    for (index, port) in service.ports.iter().enumerate() {
        let TargetPort::Number(target) = port.target else {
            continue;
        };
        if port.protocol == Protocol::Tcp && ports::RESERVED.contains(&target) {
            let message = format!(
                "leads to port {target} of its pods by `spec.ports[{index}]`, and ztunnel opens that \
                 port in every captured pod"
            );
            findings.push(of_service(service, &codes::RESERVED_PORT, message));
        }
    }
}

fn other_protocols(service: &Service, findings: &mut Vec<Finding>) {
    let others = service.ports.iter().filter(|p| p.protocol != Protocol::Tcp);
    let others: Vec<_> = others
        .map(|p| format!("{} {}", p.protocol, p.port))
        .collect();
    if !others.is_empty() {
        let message = format!(
            "has ports that stay outside of the tunnel: {}",
            list(others)
        );
        findings.push(of_service(service, &codes::NOT_CAPTURED_PROTOCOL, message));
    }
}

#[cfg(test)]
mod tests;
