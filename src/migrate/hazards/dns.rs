//! Look-ups of names: ztunnel takes those of captured pods, whichever server they are sent to, and
//! asks the servers of its own `resolv.conf`, from the network of the pod (istio-cni
//! `cni/pkg/iptables`, ztunnel `src/dns/server.rs`).

use std::net::IpAddr;

use ambient_facts::{namespaces, ports};

use super::{Context, about, at_line, list};
use crate::finding::{Finding, codes};
use crate::migrate::setting::role::captures_dns;
use crate::migrate::setting::scope::is_system;
use crate::model::{
    LabelSelector, NetworkPolicy, ObjectRef, Peer, PodTemplate, PortMatch, PortRule, Protocol,
    Rule, Workload,
};
use crate::netpol::selects_namespace;

pub(super) fn find(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let clients: Vec<&Workload> = context
        .representatives()
        .into_iter()
        .map(|(_, workload)| workload)
        .filter(|workload| captures_dns(context.world, &workload.pod))
        .collect();
    findings.extend(clients.iter().filter_map(|c| own_servers(context, c)));
    servers(context, &clients, findings);
}

/// Pods that ask servers of their own, or those of the node.
fn own_servers(context: &Context<'_>, workload: &Workload) -> Option<Finding> {
    let pod = &workload.pod;
    let asked = match (pod.asks_as_node, pod.name_servers.as_slice()) {
        (false, []) => return None,
        (false, own) => list(own),
        (true, []) => "the name servers of its node".to_owned(),
        (true, own) => format!("the name servers of its node and {}", list(own)),
    };
    let mut isolating = context.isolating_egress.at(workload).peekable();
    let is_isolated = isolating.peek().is_some();
    let lost = is_isolated && !isolating.any(|policy| may_allow_dns(context, policy, pod));
    let mut message =
        format!("asks {asked}, and its look-ups go to the name servers of ztunnel instead");
    let code = if lost {
        message.push_str(", which no egress policy allows");
        &codes::LOOKUPS_LOST
    } else {
        &codes::NAME_SERVERS_REPLACED
    };
    let origin = at_line(&workload.meta.origin, pod.line);
    Some(about(code, workload.reference(), origin, message))
}

/// Whether a policy may let look-ups get to the DNS of the cluster.
fn may_allow_dns(context: &Context<'_>, policy: &NetworkPolicy, pod: &PodTemplate) -> bool {
    let port = |p: &PortRule| {
        p.protocol == Protocol::Udp
            && match &p.port {
                PortMatch::All | PortMatch::Name(_) => true,
                PortMatch::Range(first, last) => (first..=last).contains(&&ports::DNS),
            }
    };
    let is_own = |address| {
        let mut own = pod.name_servers.iter();
        own.any(|server| server.parse::<IpAddr>() == Ok(address))
    };
    let peer = |peer: &Peer| match peer {
        // A block of one address that the pod names is its own server, not the cluster's.
        Peer::Block { cidr, .. } => {
            let one = cidr.prefix_len() == cidr.max_prefix_len();
            !one || !is_own(cidr.addr())
        }
        Peer::Pods { namespaces, .. } => match namespaces {
            Some(selector) => may_hold_dns(context, selector),
            None => namespaces::CLUSTER_DNS.contains(&policy.meta.namespace.as_str()),
        },
    };
    let allows = |rule: &Rule| {
        (rule.ports.is_empty() || rule.ports.iter().any(port))
            && (rule.peers.is_empty() || rule.peers.iter().any(peer))
    };
    policy.egress.iter().any(allows)
}

/// Whether a selector may select a namespace in which the DNS of a cluster is. Of one that the input
/// does not hold only the name is known.
fn may_hold_dns(context: &Context<'_>, selector: &LabelSelector) -> bool {
    let mut names = namespaces::CLUSTER_DNS.iter();
    names.any(|name| selects_namespace(context.world, name, selector) != Some(false))
}

/// Name servers in the cluster beside its own: look-ups of pods in the mesh never get there.
fn servers(context: &Context<'_>, clients: &[&Workload], findings: &mut Vec<Finding>) {
    let beside =
        |namespace: &str| !is_system(namespace) && !namespaces::CLUSTER_DNS.contains(&namespace);
    let is_pod_of = |workload: &Workload, other: &Workload| {
        workload.kind == other.kind && workload.meta.is_same(&other.meta)
    };
    let mut report = |subject: ObjectRef, origin, serves: &dyn Fn(&Workload) -> bool| {
        if clients.iter().all(|client| serves(client)) {
            return;
        }
        let message = format!(
            "answers on port {}, and look-ups that pods in the mesh send to it go to the name servers \
             of ztunnel instead",
            ports::DNS
        );
        findings.push(about(
            &codes::NAME_SERVER_NOT_ASKED,
            subject,
            origin,
            message,
        ));
    };
    for service in &context.world.services {
        let asked = service.ports.iter().any(|port| port.port == ports::DNS);
        if asked && beside(&service.meta.namespace) {
            let serves = |client: &Workload| {
                client.meta.namespace == service.meta.namespace
                    && service.selects(&client.pod.labels)
            };
            let subject = service.meta.reference("Service");
            report(subject, service.meta.origin.clone(), &serves);
        }
    }
    for (_, endpoint) in context.endpoints.iter() {
        let Some(server) = context.representative(endpoint) else {
            continue;
        };
        let listens = server
            .pod
            .ports
            .iter()
            .any(|port| port.number == ports::DNS);
        let has_service = context
            .services_of(server)
            .any(|service| service.ports.iter().any(|port| port.port == ports::DNS));
        if listens && !has_service && beside(&server.meta.namespace) {
            let origin = at_line(&server.meta.origin, server.pod.line);
            report(server.reference(), origin, &|client| {
                is_pod_of(client, server)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::fixture::{Fixture, annotated, deployment, meta, service, strings};

    fn client() -> Workload {
        let mut client = deployment("shop", "web");
        client.pod.name_servers = strings(&["10.9.9.9"]);
        client
    }

    /// Lets the pods send to a peer on port 53.
    fn policy(peer: Peer) -> NetworkPolicy {
        let port = |protocol| PortRule {
            protocol,
            port: PortMatch::Range(53, 53),
        };
        NetworkPolicy {
            meta: meta("shop", "egress", "policies.yaml"),
            pod_selector: LabelSelector::default(),
            isolates_ingress: false,
            isolates_egress: true,
            ingress: Vec::new(),
            egress: vec![Rule {
                peers: vec![peer],
                ports: vec![port(Protocol::Udp), port(Protocol::Tcp)],
                line: 8,
            }],
        }
    }

    fn block(cidr: &str) -> Peer {
        Peer::Block {
            cidr: cidr.parse().unwrap(),
            except: Vec::new(),
        }
    }

    fn namespace(selector: LabelSelector) -> Peer {
        Peer::Pods {
            namespaces: Some(selector),
            pods: None,
        }
    }

    #[test]
    fn name_servers_of_pods_are_replaced() {
        let fixture = || Fixture::with_namespace("shop", &[]);
        insta::assert_snapshot!(fixture().workload(client()).findings(), @"
        warning AMB0223 shop/deployment/web at workloads.yaml:10
          `shop/deployment/web` asks `10.9.9.9`, and its look-ups go to the name servers of ztunnel instead
        ");
        let mut keeps = annotated("shop", "web", &[("ambient.istio.io/dns-capture", "false")]);
        keeps.pod.name_servers = client().pod.name_servers;
        assert_eq!(fixture().workload(keeps).findings(), "");
    }

    #[test]
    fn look_ups_are_lost_where_egress_policies_allow_no_other_server() {
        let found = |peer: Peer| {
            let fixture = Fixture::with_namespace("shop", &[]).workload(client());
            fixture.network(policy(peer)).findings()
        };
        insta::assert_snapshot!(found(block("10.9.9.9/32")), @"
        error AMB0222 shop/deployment/web at workloads.yaml:10
          `shop/deployment/web` asks `10.9.9.9`, and its look-ups go to the name servers of ztunnel instead, which no egress policy allows
        ");
        let named = |name: &str| {
            namespace(LabelSelector::labels([(
                "kubernetes.io/metadata.name",
                name,
            )]))
        };
        let own = Peer::Pods {
            namespaces: None,
            pods: None,
        };
        for lost in [block("10.9.9.9/32"), named("other"), own] {
            assert!(found(lost.clone()).contains("error AMB0222"), "{lost:?}");
        }
        let unknown = LabelSelector::labels([("team", "platform")]);
        for kept in [
            block("10.0.0.0/8"),
            block("10.96.0.10/32"),
            named("kube-system"),
            namespace(LabelSelector::default()),
            namespace(unknown),
        ] {
            assert!(found(kept.clone()).contains("warning AMB0223"), "{kept:?}");
        }
    }

    #[test]
    fn servers_are_compared_by_their_addresses() {
        let mut client = client();
        client.pod.name_servers = strings(&["FD00:0:0::09"]);
        let fixture = Fixture::with_namespace("shop", &[]).workload(client);
        let found = fixture.network(policy(block("fd00::9/128"))).findings();
        assert!(found.contains("error AMB0222"), "{found}");
    }

    #[test]
    fn servers_of_the_node_are_replaced() {
        let found = |own: &[&str], peer: Option<Peer>| {
            let mut client = deployment("shop", "web");
            client.pod.asks_as_node = true;
            client.pod.name_servers = strings(own);
            let fixture = Fixture::with_namespace("shop", &[]).workload(client);
            match peer {
                Some(peer) => fixture.network(policy(peer)).findings(),
                None => fixture.findings(),
            }
        };
        insta::assert_snapshot!(found(&[], None), @"
        warning AMB0223 shop/deployment/web at workloads.yaml:10
          `shop/deployment/web` asks the name servers of its node, and its look-ups go to the name servers of ztunnel instead
        ");
        insta::assert_snapshot!(found(&["10.9.9.9"], Some(block("10.9.9.9/32"))), @"
        error AMB0222 shop/deployment/web at workloads.yaml:10
          `shop/deployment/web` asks the name servers of its node and `10.9.9.9`, and its look-ups go to the name servers of ztunnel instead, which no egress policy allows
        ");
        // The address may be that of either.
        let either = found(&[], Some(block("10.96.0.10/32")));
        assert!(either.contains("warning AMB0223"), "{either}");
    }

    #[test]
    fn servers_in_the_cluster_are_not_asked() {
        let server = |namespace: &str| {
            let mut server = deployment(namespace, "bind");
            server.pod.ports[0].number = 53;
            server
        };
        let fixture = |namespace: &str| {
            Fixture::with_namespace("shop", &[])
                .namespace(namespace, &[])
                .workload(deployment("shop", "web"))
                .workload(server(namespace))
        };
        let with_service = |namespace: &str| {
            let mut service = service(namespace, "bind");
            service.ports[0].port = 53;
            fixture(namespace).service(service)
        };
        insta::assert_snapshot!(fixture("dns").findings(), @"
        warning AMB0224 dns/deployment/bind at workloads.yaml:10
          `dns/deployment/bind` answers on port 53, and look-ups that pods in the mesh send to it go to the name servers of ztunnel instead
        ");
        insta::assert_snapshot!(with_service("dns").findings(), @"
        warning AMB0224 dns/service/bind at services.yaml:1
          `dns/service/bind` answers on port 53, and look-ups that pods in the mesh send to it go to the name servers of ztunnel instead
        ");
        assert_eq!(with_service("kube-system").findings(), "");

        // Nobody else is in the mesh.
        let alone = Fixture::with_namespace("dns", &[]).workload(server("dns"));
        assert_eq!(alone.findings(), "");
        let annotation = [("ambient.istio.io/dns-capture", "false")];
        let keeps = Fixture::with_namespace("dns", &[])
            .workload(server("dns"))
            .workload(annotated("dns", "web", &annotation));
        assert_eq!(keeps.findings(), "");
    }
}
