//! `networking.k8s.io/v1` `NetworkPolicy`, with the rules of Kubernetes
//! `pkg/apis/networking/validation` and the defaults of `pkg/apis/networking/v1/defaults.go`.

use ipnet::IpNet;

use crate::model::{LabelSelector, Meta, NetworkPolicy, Peer, PortMatch, PortRule, Protocol, Rule};
use crate::source::syntax;

use super::field::{Field, IntOrString, Mapping};
use super::meta::{selector, unknown_word};

/// Reads a policy; what is wrong with it is reported on the way.
pub(super) fn network_policy(object: Mapping<'_, '_, '_>, meta: Meta) -> NetworkPolicy {
    object.only(&["apiVersion", "kind", "metadata", "spec", "status"]);
    let mut policy = NetworkPolicy {
        meta,
        pod_selector: LabelSelector::default(),
        isolates_ingress: true,
        isolates_egress: false,
        ingress: Vec::new(),
        egress: Vec::new(),
    };
    let Some(field) = object.get("spec") else {
        object
            .field
            .note("has no `spec`: it isolates every pod of its namespace for ingress");
        return policy;
    };
    let Some(spec) = field.mapping() else {
        return policy;
    };
    spec.only(&["egress", "ingress", "podSelector", "policyTypes"]);
    match spec.get("podSelector") {
        Some(field) => policy.pod_selector = selector(field),
        None => field.note("has no `podSelector`: it selects every pod of its namespace"),
    }
    policy.ingress = spec
        .items("ingress")
        .filter_map(|r| rule(r, "from"))
        .collect();
    policy.egress = spec.items("egress").filter_map(|r| rule(r, "to")).collect();
    (policy.isolates_ingress, policy.isolates_egress) =
        policy_types(spec).unwrap_or((true, !policy.egress.is_empty()));
    policy
}

/// Ingress and egress in `policyTypes`; `None` when the field is absent or empty.
fn policy_types(spec: Mapping<'_, '_, '_>) -> Option<(bool, bool)> {
    const TYPES: &[&str] = &["Ingress", "Egress"];
    let field = spec.get("policyTypes")?;
    let (mut ingress, mut egress, mut count) = (false, false, 0);
    for item in field.items() {
        count += 1;
        match item.string() {
            Some("Ingress") => ingress = true,
            Some("Egress") => egress = true,
            Some(other) => unknown_word(item, other, TYPES),
            None => {}
        }
    }
    if count > TYPES.len() {
        field.wrong("must have no more than two entries");
    }
    (count > 0).then_some((ingress, egress))
}

fn rule(field: Field<'_, '_, '_>, peers: &'static str) -> Option<Rule> {
    let rule = field.mapping()?;
    rule.only(&[peers, "ports"]);
    Some(Rule {
        peers: rule.mappings(peers).filter_map(peer).collect(),
        ports: rule.mappings("ports").filter_map(port).collect(),
        line: field.line(),
    })
}

fn peer(peer: Mapping<'_, '_, '_>) -> Option<Peer> {
    peer.only(&["ipBlock", "namespaceSelector", "podSelector"]);
    let namespaces = peer.get("namespaceSelector");
    let pods = peer.get("podSelector");
    let block = peer.get("ipBlock");
    if let Some(block) = block {
        if namespaces.is_some() || pods.is_some() {
            block.wrong_hint(
                "stands beside a selector: a peer is either addresses or pods",
                "make it an item of its own",
            );
        }
        return ip_block(block);
    }
    if namespaces.is_none() && pods.is_none() {
        // An unknown field has been reported already, and is the likelier cause.
        if peer.field.view.entries().is_empty() {
            peer.field.wrong_hint(
                "is empty: a peer needs `podSelector`, `namespaceSelector` or `ipBlock`",
                "`podSelector: {}` is every pod of the namespace; leave the list out for any peer",
            );
        } else {
            peer.field
                .wrong("has neither `podSelector` nor `namespaceSelector` nor `ipBlock`");
        }
        return None;
    }
    Some(Peer::Pods {
        namespaces: namespaces.map(selector),
        pods: pods.map(selector),
    })
}

fn ip_block(field: Field<'_, '_, '_>) -> Option<Peer> {
    let block = field.mapping()?;
    block.only(&["cidr", "except"]);
    let network = block.required("cidr").and_then(cidr);
    let mut except = Vec::new();
    for item in block.items("except") {
        let (Some(part), Some(whole)) = (cidr(item), network) else {
            continue;
        };
        let same_family = part.addr().is_ipv4() == whole.addr().is_ipv4();
        if same_family && whole.contains(&part) && part != whole {
            except.push(part);
        } else if same_family {
            item.wrong(format!(
                "is `{part}`, which is not a smaller part of `{whole}`"
            ));
        } else {
            item.wrong(format!(
                "is `{part}`, of another address family than `{whole}`"
            ));
        }
    }
    Some(Peer::Block {
        cidr: network?,
        except,
    })
}

fn cidr(field: Field<'_, '_, '_>) -> Option<IpNet> {
    let text = field.string()?;
    match syntax::cidr(text) {
        Ok(cidr) => {
            if cidr.sloppy {
                let network = cidr.network;
                field.note(&format!(
                    "has the CIDR `{text}`, read as `{network}`; newer API servers refuse the \
                     first form in new objects"
                ));
            }
            Some(cidr.network)
        }
        Err(rule) => {
            let guess = syntax::cidr_guess(text).map(|g| format!("did you mean `{g}`?"));
            field.breaks(text, "a CIDR", rule, guess);
            None
        }
    }
}

fn port(entry: Mapping<'_, '_, '_>) -> Option<PortRule> {
    entry.only(&["endPort", "port", "protocol"]);
    let protocol = match entry.get("protocol") {
        Some(field) => protocol(field),
        None => Some(Protocol::Tcp),
    };
    let end = entry.get("endPort");
    let port = match entry.get("port") {
        None => {
            if let Some(end) = end {
                end.wrong("stands without `port`");
            }
            PortMatch::All
        }
        Some(field) => match field.int_or_string()? {
            IntOrString::String(name) => {
                if let Some(end) = end {
                    end.wrong("stands beside a named port: a range needs numbers");
                }
                port_name(field, name)?
            }
            IntOrString::Int(_) => {
                let first = field.port();
                let last = match end {
                    Some(end) => end.port(),
                    None => first,
                };
                let (first, last) = (first?, last?);
                if let (Some(end), true) = (end, last < first) {
                    end.wrong(format!("is {last}, below `port`, which is {first}"));
                }
                PortMatch::Range(first, last)
            }
        },
    };
    Some(PortRule {
        protocol: protocol?,
        port,
    })
}

fn port_name(field: Field<'_, '_, '_>, name: &str) -> Option<PortMatch> {
    match syntax::port_name(name) {
        Ok(()) => Some(PortMatch::Name(name.to_owned())),
        Err(rule) => {
            if name.parse::<u16>().is_ok() {
                field.wrong_hint(
                    format!("is the string `\"{name}\"`, so a port name; a port name {rule}"),
                    field.as_plain(format_args!("port: {name}")),
                );
            } else {
                field.breaks(name, "a port name", rule, range_hint(name));
            }
            None
        }
    }
}

fn range_hint(name: &str) -> Option<String> {
    let (first, last) = name.split_once(['-', ':'])?;
    let (first, last) = (
        first.trim().parse::<u16>().ok()?,
        last.trim().parse::<u16>().ok()?,
    );
    Some(format!(
        "a range is written `port: {first}` and `endPort: {last}`"
    ))
}

/// Reads `protocol`.
pub(super) fn protocol(field: Field<'_, '_, '_>) -> Option<Protocol> {
    match field.string()? {
        "TCP" => Some(Protocol::Tcp),
        "UDP" => Some(Protocol::Udp),
        "SCTP" => Some(Protocol::Sctp),
        other => {
            unknown_word(field, other, &["TCP", "UDP", "SCTP"]);
            None
        }
    }
}
