//! Why one party may, or may not, connect to another.

use ambient_facts::ports;

use super::Lens;
use super::party::{self, Unclear};
use super::view::View;
use crate::model::{NetworkPolicy, ObjectRef, Origin, Protocol, TargetPort, World};
use crate::netpol::{Direction, Node, PortSet, Selection, rule_ports};

/// Why a source may connect to a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The source, as it is listed.
    pub source: String,
    /// The destination, as it is listed.
    pub destination: String,
    /// The connections that were asked about, as printed; `None` for all.
    pub asked: Option<String>,
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

/// Explains the connections of a pair, or one port of them.
///
/// Parties are `namespace/name[Kind]`, `namespace/name`, a `name` that only one endpoint has,
/// `svc/name` or `svc/name.namespace` for the pods behind a Service, or an address outside of the
/// cluster. The port is the destination's own: a Service's leads to its pods', and the name of one
/// means what the pods have under it.
///
/// # Errors
///
/// When a party or the port is not in the input, or may be several.
pub fn explain(
    world: &World,
    lens: impl Into<Lens>,
    source: &str,
    destination: &str,
    port: Option<&(TargetPort, Protocol)>,
) -> Result<Explanation, Unclear> {
    let mut view = View::of(world, &lens.into());
    let from = party::find(&view, source)?;
    let to = party::find(&view, destination)?;
    let ports = to.ports(&view, port)?;
    let asked = ports.clone().unwrap_or_else(PortSet::all);
    let mut allowed = PortSet::none();
    let mut uncertain = false;
    for &from in &from.nodes {
        for &to in &to.nodes {
            allowed = allowed.union(&view.connections(from, to));
            uncertain |= view.is_uncertain(from, to);
        }
    }
    let (Some(&first), Some(&last)) = (from.nodes.first(), to.nodes.first()) else {
        return Err(Unclear::Unknown {
            name: source.to_owned(),
            known: Vec::new(),
        });
    };
    let tunnelled = view.is_tunnelled(first, last)
        && (ports.is_none() || !asked.only(Protocol::Tcp).is_empty());
    let seen = if tunnelled {
        PortSet::port(Protocol::Tcp, ports::HBONE)
    } else {
        asked.clone()
    };
    let egress = side(&view, Direction::Egress, first, last, &seen, tunnelled);
    let mut ingress = side(&view, Direction::Ingress, first, last, &seen, tunnelled);
    if tunnelled {
        let inside = view.authorized(first, last).intersection(&asked);
        ingress.because += "; authorization policies let the tunnel carry ";
        ingress.because += &inside.to_string();
    }
    Ok(Explanation {
        source: from.name,
        destination: to.name,
        asked: ports.map(|ports| ports.to_string()),
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
    let (rules, allowed) = rules(
        view,
        &mut selection,
        &isolating,
        direction,
        (peer, destination),
        asked,
    );
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

/// The rules of policies that allow a peer something of what was asked for, and what they allow.
fn rules<'w>(
    view: &View<'w>,
    selection: &mut Selection<'w>,
    isolating: &[&'w NetworkPolicy],
    direction: Direction,
    (peer, destination): (Node, Node),
    asked: &PortSet,
) -> (Vec<RuleUse>, PortSet) {
    let mut rules = Vec::new();
    let mut allowed = PortSet::none();
    for policy in isolating {
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
    (rules, allowed)
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
