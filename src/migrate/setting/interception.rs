//! What a sidecar gets to see of its pod's connections (istio `tools/istio-iptables`, and the
//! injection template of istiod).

use ambient_facts::{annotations, ports};

use crate::model::{PodTemplate, Protocol, is_true};
use crate::netpol::PortSet;

/// The ports of TCP that connections reach past the sidecar of a pod.
pub(crate) fn past_sidecar(pod: &PodTemplate) -> PortSet {
    let tcp = PortSet::protocol(Protocol::Tcp);
    if is_off(pod) {
        return tcp;
    }
    let annotation = |key: &str| pod.annotations.get(key).map(String::as_str);
    let included = annotation(annotations::INCLUDE_INBOUND_PORTS).unwrap_or("*");
    let not_included = if included.trim() == "*" {
        PortSet::none()
    } else {
        tcp.difference(&listed(included))
    };
    let excluded = annotation(annotations::EXCLUDE_INBOUND_PORTS).unwrap_or_default();
    not_included
        .union(&listed(excluded))
        .union(&of_sidecar_itself())
}

/// The ports on which a sidecar itself, or its agent, serves; where it is gone nothing does.
pub(crate) fn of_sidecar_itself() -> PortSet {
    let ports = ports::NEVER_INTERCEPTED.into_iter();
    ports
        .map(|port| PortSet::port(Protocol::Tcp, port))
        .collect()
}

/// Whether plaintext reaches a pod in the mesh past ztunnel (istio `cni/pkg/iptables`, ingress mode).
pub(crate) fn goes_past_ztunnel(pod: &PodTemplate) -> bool {
    let bypass = pod.annotations.get(annotations::BYPASS_INBOUND_CAPTURE);
    bypass.is_some_and(|bypass| is_true(bypass))
}

/// Whether all connections that a pod opens go through its sidecar.
pub(crate) fn sends_all(pod: &PodTemplate) -> bool {
    let is_default = |(key, default): (&str, &str)| {
        let value = pod.annotations.get(key);
        value.is_none_or(|v| v.trim() == default)
    };
    !is_off(pod) && annotations::OUTBOUND_EXCEPTIONS.into_iter().all(is_default)
}

fn is_off(pod: &PodTemplate) -> bool {
    let mode = pod.annotations.get(annotations::INTERCEPTION_MODE);
    mode.is_some_and(|mode| mode == "NONE")
}

/// The ports of a list; what is no port is none.
fn listed(list: &str) -> PortSet {
    let ports = list.split(',').filter_map(|port| port.trim().parse().ok());
    ports
        .map(|port| PortSet::port(Protocol::Tcp, port))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;

    fn pod(annotations: &[(&str, &str)]) -> PodTemplate {
        let annotations = annotations.iter();
        PodTemplate {
            annotations: annotations
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect::<Labels>(),
            ..PodTemplate::default()
        }
    }

    #[test]
    fn ports_are_excepted_as_the_annotations_say() {
        let past = |annotations: &[(&str, &str)]| past_sidecar(&pod(annotations)).to_string();
        let (include, exclude) = (
            annotations::INCLUDE_INBOUND_PORTS,
            annotations::EXCLUDE_INBOUND_PORTS,
        );
        assert_eq!(past(&[]), "TCP 15020-15021,15090");
        assert_eq!(past(&[(include, "*")]), "TCP 15020-15021,15090");
        assert_eq!(
            past(&[(exclude, "9000, 9001")]),
            "TCP 9000-9001,15020-15021,15090"
        );
        assert_eq!(
            past(&[(include, "80,9000"), (exclude, "9000")]),
            "TCP 1-79,81-65535"
        );
        assert_eq!(past(&[(include, "")]), "TCP 1-65535");
        let mode = annotations::INTERCEPTION_MODE;
        assert_eq!(past(&[(mode, "NONE")]), "TCP 1-65535");
        assert_eq!(past(&[(mode, "TPROXY")]), "TCP 15020-15021,15090");
    }

    #[test]
    fn a_sidecar_sends_everything_unless_an_annotation_excepts_some() {
        let prefix = annotations::SIDECAR_TRAFFIC_PREFIX;
        let sends = |name: &str, value| sends_all(&pod(&[(&format!("{prefix}{name}"), value)]));
        assert!(sends_all(&pod(&[])));
        assert!(sends("includeOutboundIPRanges", "*"));
        assert!(!sends("includeOutboundIPRanges", "10.0.0.0/8"));
        assert!(!sends("includeOutboundIPRanges", ""));
        assert!(!sends("excludeOutboundPorts", "3306"));
        assert!(sends("excludeOutboundPorts", ""));
        assert!(!sends("excludeOutboundIPRanges", "10.0.0.1/32"));
        assert!(!sends("includeOutboundPorts", "80"));
    }
}
