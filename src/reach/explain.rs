//! Why one party may, or may not, connect to another.

use std::net::IpAddr;

use ambient_facts::ports;

use super::Mode;
use super::view::View;
use crate::model::{NetworkPolicy, ObjectRef, Origin, Protocol, World};
use crate::netpol::{Direction, Node, PortSet, Selection, rule_ports};

/// Why a source may connect to a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The source, as it is listed.
    pub source: String,
    /// The destination, as it is listed.
    pub destination: String,
    /// The connections that are allowed, as printed; of the port asked for, if one was.
    pub allowed: String,
    /// Whether more may be allowed: an `ipBlock` may match pods, or a selector pods on the node's
    /// network.
    pub uncertain: bool,
    /// What the policies of the source say.
    pub egress: Side,
    /// What the policies of the destination say.
    pub ingress: Side,
}

/// What the policies at one end say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// What they allow, as printed.
    pub allowed: String,
    /// The tier that decides: `NetworkPolicy`, or `default` when no policy isolates the pods.
    pub tier: String,
    /// Why, in one sentence.
    pub because: String,
    /// The rules that allow something of what was asked for.
    pub rules: Vec<RuleUse>,
}

/// One rule that allows something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleUse {
    /// Its policy.
    pub policy: ObjectRef,
    /// Zero-based index in its policy's `ingress` or `egress`.
    pub rule: usize,
    /// Where it is.
    pub origin: Origin,
    /// What it allows between the two, as printed.
    pub allows: String,
}

/// Nobody of this name is in the input, or more than one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no endpoint `{name}`")]
pub struct UnknownParty {
    /// The name that was asked for.
    pub name: String,
    /// Endpoints that may be meant.
    pub similar: Vec<String>,
}

/// Explains the connections of a pair, or one port of them.
///
/// Parties are `namespace/name[Kind]`, `namespace/name`, a `name` that only one endpoint has, or an
/// address outside of the cluster.
///
/// # Errors
///
/// When a party is not in the input.
pub fn explain(
    world: &World,
    mode: Mode,
    source: &str,
    destination: &str,
    port: Option<(u16, Protocol)>,
) -> Result<Explanation, UnknownParty> {
    let mut view = View::of(world, mode);
    let (source_name, from) = party(&view, source)?;
    let (destination_name, to) = party(&view, destination)?;
    let asked = port.map_or_else(PortSet::all, |(number, protocol)| {
        PortSet::port(protocol, number)
    });
    let mut allowed = PortSet::none();
    let mut uncertain = false;
    for &from in &from {
        for &to in &to {
            allowed = allowed.union(&view.connections(from, to));
            uncertain |= view.is_uncertain(from, to);
        }
    }
    let (Some(&from), Some(&to)) = (from.first(), to.first()) else {
        return Err(UnknownParty {
            name: source.to_owned(),
            similar: Vec::new(),
        });
    };
    let tunnelled =
        view.is_tunnelled(from, to) && port.is_none_or(|(_, protocol)| protocol == Protocol::Tcp);
    let seen = if tunnelled {
        PortSet::port(Protocol::Tcp, ports::HBONE)
    } else {
        asked.clone()
    };
    let egress = side(&view, Direction::Egress, from, to, &seen, tunnelled);
    let mut ingress = side(&view, Direction::Ingress, from, to, &seen, tunnelled);
    if tunnelled {
        let inside = view.authorized(from, to).intersection(&asked);
        ingress.because += "; authorization policies let the tunnel carry ";
        ingress.because += &inside.to_string();
    }
    Ok(Explanation {
        source: source_name,
        destination: destination_name,
        allowed: allowed.intersection(&asked).to_string(),
        uncertain,
        egress,
        ingress,
    })
}

fn side(
    view: &View<'_>,
    direction: Direction,
    source: Node,
    destination: Node,
    asked: &PortSet,
    tunnelled: bool,
) -> Side {
    let (subject, peer) = match direction {
        Direction::Egress => (source, destination),
        Direction::Ingress => (destination, source),
    };
    let word = match direction {
        Direction::Egress => "egress",
        Direction::Ingress => "ingress",
    };
    let Some(class) = view.universe.classes().get(subject) else {
        return open(
            "no policy is about addresses outside of the cluster".to_owned(),
            asked,
        );
    };
    if class.host_network {
        return open(
            "no policy isolates pods on the node's network".to_owned(),
            asked,
        );
    }
    let mut selection = Selection::new(view.world, &view.universe);
    let isolating: Vec<&NetworkPolicy> = view
        .world
        .network_policies
        .iter()
        .filter(|p| direction.isolated_by(p))
        .filter(|p| {
            selection
                .subjects(&p.meta.namespace, &p.pod_selector)
                .contains(&subject)
        })
        .collect();
    if isolating.is_empty() {
        return open(format!("no policy isolates it for {word}"), asked);
    }
    let mut rules = Vec::new();
    let mut allowed = PortSet::none();
    for policy in &isolating {
        for (index, rule) in direction.rules(policy).iter().enumerate() {
            let set = selection.peers(&policy.meta.namespace, &rule.peers);
            if !selection.get(set).yes.contains(peer) {
                continue;
            }
            let granted = match view.universe.classes().get(destination) {
                Some(class) => rule_ports(rule, class),
                None => numbers(rule),
            };
            let granted = granted.intersection(asked);
            if !granted.is_empty() {
                allowed = allowed.union(&granted);
                rules.push(RuleUse {
                    policy: policy.reference(),
                    rule: index,
                    origin: policy.meta.origin.at(rule.line),
                    allows: granted.to_string(),
                });
            }
        }
    }
    let names: Vec<String> = isolating
        .iter()
        .map(|p| format!("`{}`", p.reference()))
        .collect();
    let what = if tunnelled {
        " and the tunnel's port is what they see"
    } else {
        ""
    };
    let because = format!("isolated for {word} by {}{what}", names.join(", "));
    Side {
        allowed: allowed.to_string(),
        tier: "NetworkPolicy".to_owned(),
        because,
        rules,
    }
}

fn open(because: String, asked: &PortSet) -> Side {
    Side {
        allowed: asked.to_string(),
        tier: "default".to_owned(),
        because,
        rules: Vec::new(),
    }
}

/// The ports that a rule grants outside of the cluster, where names mean nothing.
fn numbers(rule: &crate::model::Rule) -> PortSet {
    let nowhere = crate::netpol::Class::default();
    rule_ports(rule, &nowhere)
}

/// The printed name and the nodes of a party.
fn party(view: &View<'_>, name: &str) -> Result<(String, Vec<Node>), UnknownParty> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok((
            address.to_string(),
            vec![view.universe.node_of_address(address)],
        ));
    }
    let mut matching = Vec::new();
    for (id, endpoint) in view.endpoints.iter() {
        let full = endpoint.to_string();
        let qualified = format!("{}/{}", endpoint.namespace, endpoint.name);
        if name == full {
            return Ok((full, view.classes_of(id)));
        }
        if name == qualified || name == endpoint.name {
            matching.push((full, id));
        }
    }
    if let [(full, id)] = &matching[..] {
        return Ok((full.clone(), view.classes_of(*id)));
    }
    let mut similar: Vec<String> = matching.into_iter().map(|(full, _)| full).collect();
    if similar.is_empty() {
        let wanted = name.rsplit('/').next().unwrap_or(name);
        let near = view.endpoints.iter().filter(|(_, e)| {
            e.name.contains(wanted) || (!e.name.is_empty() && wanted.contains(&e.name))
        });
        similar = near.map(|(_, e)| e.to_string()).take(5).collect();
    }
    Err(UnknownParty {
        name: name.to_owned(),
        similar,
    })
}
