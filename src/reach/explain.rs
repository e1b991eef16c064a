//! Why one party may, or may not, connect to another.

use std::collections::{BTreeMap, BTreeSet};

use ambient_facts::ports;

use super::Lens;
use super::authorized::parties;
use super::party::{self, Unclear};
use super::view::{View, refused_by_ztunnel, shown};
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
    /// Whether more may be allowed: the input does not tell whether some rule applies.
    pub uncertain: bool,
    /// What the policies of the source say; more than one thing when they do not treat all of its
    /// pods alike, or all pods of the destination.
    pub egress: Vec<Side>,
    /// What the policies of the destination say, with those that decide inside the tunnel behind
    /// the network policies.
    pub ingress: Vec<Side>,
}

/// What the policies at one end say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// What they allow, as printed.
    pub allowed: String,
    /// The tier that decides: `NetworkPolicy`, `AuthorizationPolicy` inside the tunnel, `ztunnel` for
    /// ports of its own, or `default` when no policy says anything.
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
    let parties = parties(world);
    let lens = lens.into();
    let mut view = View::of(world, &parties, &lens);
    let from = party::find(&view, source)?;
    let to = party::find(&view, destination)?;
    let ports = to.ports(&view, port)?;
    let asked = ports.clone().unwrap_or_else(PortSet::all);
    let (mut allowed, mut most) = (PortSet::none(), PortSet::none());
    let (mut egress, mut ingress) = (Answers::default(), Answers::default());
    if from.is_one_pod(&view) && from.is_same(&to) {
        let always = "no policy keeps a pod from itself".to_owned();
        (allowed, most) = (PortSet::all(), PortSet::all());
        egress.add(open(always.clone(), &asked), (0, 0));
        ingress.add(open(always, &asked), (0, 0));
    } else {
        for &source in &from.nodes {
            for &destination in &to.nodes {
                let bounds = view.between(source, destination);
                allowed = allowed.union(view.sets.get(bounds.low));
                most = most.union(view.sets.get(bounds.high));
                let pair = Pair::new(&view, source, destination, &asked);
                egress.add(pair.side(&view, Direction::Egress), (source, destination));
                ingress.add(pair.side(&view, Direction::Ingress), (destination, source));
                if let Some(inside) = pair.inside(&mut view, &asked) {
                    ingress.add(inside, (destination, source));
                }
            }
        }
    }
    Ok(Explanation {
        source: from.name,
        destination: to.name,
        asked: ports.map(|ports| ports.to_string()),
        uncertain: !allowed.includes(&most.intersection(&asked)),
        allowed: shown(&allowed.intersection(&asked), lens.mode),
        egress: egress.told(&view, "to"),
        ingress: ingress.told(&view, "from"),
    })
}

/// What is said of pairs of a subject and its peer.
#[derive(Default)]
struct Answers(Vec<(Side, Vec<(Node, Node)>)>);

impl Answers {
    fn add(&mut self, side: Side, pair: (Node, Node)) {
        match self.0.iter_mut().find(|(known, _)| *known == side) {
            Some((_, pairs)) => pairs.push(pair),
            None => self.0.push((side, vec![pair])),
        }
    }

    /// Says of each answer for which pods it is, where that is not all.
    fn told(self, view: &View<'_>, toward: &str) -> Vec<Side> {
        let pairs = self.0.iter().flat_map(|(_, pairs)| pairs).copied();
        let everybody: (BTreeSet<Node>, BTreeSet<Node>) = pairs.unzip();
        let mut told = Vec::new();
        for (side, pairs) in self.0 {
            for [subjects, peers] in blocks(&pairs) {
                let mut about = Vec::new();
                if subjects != everybody.0 {
                    about.push(format!("for {}", pods(view, &subjects)));
                }
                if peers != everybody.1 {
                    about.push(format!("{toward} {}", pods(view, &peers)));
                }
                let mut side = side.clone();
                if !about.is_empty() {
                    side.because = format!("{}: {}", about.join(" "), side.because);
                }
                told.push(side);
            }
        }
        told
    }
}

/// Pairs as subjects that have all of their peers in common.
fn blocks(pairs: &[(Node, Node)]) -> Vec<[BTreeSet<Node>; 2]> {
    let mut peers_of: BTreeMap<Node, BTreeSet<Node>> = BTreeMap::new();
    for &(subject, peer) in pairs {
        peers_of.entry(subject).or_default().insert(peer);
    }
    let mut blocks: Vec<[BTreeSet<Node>; 2]> = Vec::new();
    for (subject, peers) in peers_of {
        match blocks.iter_mut().find(|[_, known]| *known == peers) {
            Some([subjects, _]) => {
                subjects.insert(subject);
            }
            None => blocks.push([BTreeSet::from([subject]), peers]),
        }
    }
    blocks
}

/// The pods of classes, by name; the first of many.
fn pods(view: &View<'_>, classes: &BTreeSet<Node>) -> String {
    const NAMED: usize = 3;
    let classes = classes
        .iter()
        .filter_map(|&c| view.universe.classes().get(c));
    let workloads = classes.flat_map(|c| &c.workloads);
    let names = workloads.filter_map(|&w| view.world.workloads.get(w));
    let mut names: Vec<String> = names.map(|w| format!("`{}`", w.meta.name)).collect();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let listed = names.join(", ");
    if more > 0 {
        format!("{listed} and {more} more")
    } else {
        listed
    }
}

/// Pods of one class and their peers.
struct Pair {
    source: Node,
    destination: Node,
    /// What the network policies see of what was asked for.
    seen: PortSet,
    /// Whether some of it is in the tunnel.
    tunnelled: bool,
}

impl Pair {
    fn new(view: &View<'_>, source: Node, destination: Node, asked: &PortSet) -> Self {
        let beside = view.outside_tunnel(source);
        let tunnelled =
            view.is_tunnelled(source, destination) && !asked.difference(beside).is_empty();
        let seen = if tunnelled {
            let tunnel = PortSet::port(Protocol::Tcp, ports::HBONE);
            asked.intersection(beside).union(&tunnel)
        } else {
            asked.clone()
        };
        Self {
            source,
            destination,
            seen,
            tunnelled,
        }
    }

    fn side(&self, view: &View<'_>, direction: Direction) -> Side {
        let (subject, peer, word) = match direction {
            Direction::Egress => (self.source, self.destination, "egress"),
            Direction::Ingress => (self.destination, self.source, "ingress"),
        };
        let Some(class) = view.universe.classes().get(subject) else {
            let because = "no policy is about addresses outside of the cluster";
            return open(because.to_owned(), &self.seen);
        };
        if class.host_network {
            let because = "no policy isolates pods on the node's network";
            return open(because.to_owned(), &self.seen);
        }
        let mut selection = Selection::new(view.world, &view.universe);
        let isolates = |p: &&NetworkPolicy| {
            let selected = selection.subjects(&p.meta.namespace, &p.pod_selector);
            direction.isolated_by(p) && selected.contains(&subject)
        };
        let policies = view.world.network_policies.iter();
        let isolating: Vec<&NetworkPolicy> = policies.filter(isolates).collect();
        if isolating.is_empty() {
            return open(format!("no policy isolates it for {word}"), &self.seen);
        }
        let mut rules = Vec::new();
        let mut unsure = Vec::new();
        let mut allowed = PortSet::none();
        for policy in &isolating {
            for (index, rule) in direction.rules(policy).iter().enumerate() {
                let set = selection.peers(&policy.meta.namespace, &rule.peers);
                let set = selection.get(set);
                let granted = match view.universe.classes().get(self.destination) {
                    Some(class) => rule_ports(rule, class),
                    None => numbers(rule),
                };
                let granted = granted.intersection(&self.seen);
                if granted.is_empty() {
                    continue;
                }
                if set.maybe.contains(peer) {
                    unsure.push(format!("`{}` {word}[{index}]", policy.reference()));
                }
                if set.yes.contains(peer) {
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
        let names = listed(isolating.iter().map(|p| p.reference()));
        let what = if self.tunnelled {
            " and the tunnel's port is what they see"
        } else {
            ""
        };
        let mut because = format!("isolated for {word} by {names}{what}");
        if !unsure.is_empty() {
            because += "; the input does not tell whether these apply: ";
            because += &unsure.join(", ");
        }
        Side {
            allowed: allowed.to_string(),
            tier: "NetworkPolicy".to_owned(),
            because,
            rules,
        }
    }

    /// What AuthorizationPolicies say to what is in the tunnel.
    fn inside(&self, view: &mut View<'_>, asked: &PortSet) -> Option<Side> {
        if !self.tunnelled {
            return None;
        }
        let inside = asked.difference(view.outside_tunnel(self.source));
        if refused_by_ztunnel().includes(&inside) {
            return Some(Side {
                allowed: PortSet::none().to_string(),
                tier: "ztunnel".to_owned(),
                because: "ztunnel keeps the port for itself".to_owned(),
                rules: Vec::new(),
            });
        }
        let policies = view.authorizing(self.destination);
        if policies.is_empty() {
            let because = "no authorization policy limits what the tunnel carries";
            return Some(open(because.to_owned(), &inside));
        }
        let low = view.authorized(self.source, self.destination).low;
        let allowed = view.sets.get(low).intersection(&inside);
        let names = listed(
            policies
                .iter()
                .map(|p| p.meta.reference("AuthorizationPolicy")),
        );
        Some(Side {
            allowed: allowed.to_string(),
            tier: "AuthorizationPolicy".to_owned(),
            because: format!("what the tunnel carries is limited by {names}"),
            rules: Vec::new(),
        })
    }
}

fn listed(references: impl Iterator<Item = ObjectRef>) -> String {
    let names: Vec<String> = references.map(|r| format!("`{r}`")).collect();
    names.join(", ")
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
