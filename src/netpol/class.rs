//! Pod classes: pods that no selector, port name or identity tells apart.
//!
//! Only the label keys and port names that some policy mentions are kept, so the thousands of pods
//! of a cluster fall into few classes, and nothing is lost: two pods of one class have the same
//! connections under every policy at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;

use ambient_facts::addresses::{NODE_PROBE_V4, NODE_PROBE_V6};
use fixedbitset::FixedBitSet;
use ipnet::IpNet;

use super::address::{AddressRange, AddressSpace};
use super::mentioned::{ClassKey, Mentioned, Trait};
use crate::model::{Endpoints, Labels, NetworkPolicy, Protocol, World};

/// Index of a [`Class`]. Nodes from [`Universe::classes`] on are address ranges.
pub type Node = usize;

/// What manifests cannot tell about a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assumptions {
    /// Whether an `ipBlock` also matches pods that have an address inside it. Network plugins
    /// differ: Cilium's never does, most others' do. `None` when the plugin is not known.
    pub blocks_match_pods: Option<bool>,
    /// Where pods may have their addresses.
    pub pod_addresses: Vec<IpNet>,
    /// Where pods on the network of their node may have theirs.
    pub node_addresses: Vec<IpNet>,
}

impl Assumptions {
    /// The same with the ranges that pods get their addresses from; none leaves them unknown.
    #[must_use]
    pub fn with_pod_ranges(self, ranges: &[IpNet]) -> Self {
        if ranges.is_empty() {
            return self;
        }
        Self {
            pod_addresses: ranges.to_vec(),
            ..self
        }
    }
}

fn parsed(ranges: &[&str]) -> Vec<IpNet> {
    ranges.iter().filter_map(|n| n.parse().ok()).collect()
}

impl Default for Assumptions {
    /// An unknown plugin, and pods anywhere in the private and shared ranges (RFC 1918, RFC 6598,
    /// RFC 4193).
    fn default() -> Self {
        let private = parsed(&[
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "fc00::/7",
        ]);
        Self {
            blocks_match_pods: None,
            node_addresses: parsed(&["0.0.0.0/0", "::/0"]),
            pod_addresses: private,
        }
    }
}

/// Pods that no policy can tell apart.
#[derive(Debug, Clone, Default)]
pub struct Class {
    /// Namespace.
    pub namespace: String,
    /// Labels whose keys some policy mentions.
    pub labels: Labels,
    /// Service account; `None` when it is not known.
    pub service_account: Option<String>,
    /// Whether the pods share the node's network: no policy isolates them, and whether a selector
    /// matches them is not defined.
    pub host_network: bool,
    /// Numbers of the ports that some policy names.
    pub ports: BTreeMap<(Protocol, String), BTreeSet<u16>>,
    /// Whether no object describes the pods, so that what their ports are called is not known.
    pub imagined: bool,
    /// The caller's own distinction.
    pub tag: u32,
    /// Indices into [`World::workloads`].
    pub workloads: Vec<usize>,
    /// Atoms of the addresses, when every pod of the class has one.
    pub(super) atoms: BTreeSet<usize>,
}

/// What others than network policies tell pods and addresses apart by.
#[derive(Debug, Clone, Default)]
pub struct Distinctions<'d> {
    /// Keys of labels that other selectors use.
    pub keys: BTreeSet<&'d str>,
    /// Blocks of addresses that other rules name.
    pub blocks: Vec<IpNet>,
}

/// All classes and address ranges: the nodes between which connections are decided.
#[derive(Debug)]
pub struct Universe {
    pub(super) classes: Vec<Class>,
    pub(super) space: AddressSpace,
    pub(super) assumptions: Assumptions,
    /// Classes are sorted by namespace; these are the stretches.
    pub(super) namespaces: BTreeMap<String, Range<Node>>,
    of_workload: Vec<Option<Node>>,
    /// Those of pods that are known.
    addresses: BTreeSet<IpAddr>,
    /// Whether some policy names a block of IPv6.
    has_v6_blocks: bool,
    is_cut_for_others: bool,
}

impl Universe {
    /// Projects the workloads of a world to classes, as seen by the given policies.
    ///
    /// `traits` has one entry per workload of the world, or none at all.
    pub fn of<'p>(
        world: &World,
        endpoints: &Endpoints,
        policies: impl IntoIterator<Item = &'p NetworkPolicy>,
        others: Distinctions<'p>,
        traits: &[Trait],
        assumptions: Assumptions,
    ) -> Self {
        let mut mentioned = Mentioned::by(policies);
        mentioned.keys.extend(others.keys);
        let space = AddressSpace::cut_at(mentioned.blocks.iter().chain(&others.blocks));
        let mut grouped: BTreeMap<ClassKey, Vec<usize>> = BTreeMap::new();
        for (index, workload) in world.workloads.iter().enumerate() {
            if endpoints.of_workload(index).is_some() {
                let found = traits.get(index).copied().unwrap_or(Trait {
                    tag: 0,
                    identity_known: true,
                    imagined: false,
                });
                let key = mentioned.project(workload, found, &space);
                grouped.entry(key).or_default().push(index);
            }
        }
        let mut of_workload = vec![None; world.workloads.len()];
        let mut namespaces: BTreeMap<String, Range<Node>> = BTreeMap::new();
        let mut classes = Vec::with_capacity(grouped.len());
        for (node, (key, workloads)) in grouped.into_iter().enumerate() {
            let (namespace, labels, service_account, host_network, ports, tag, atoms) = key;
            namespaces
                .entry(namespace.clone())
                .or_insert(node..node)
                .end = node + 1;
            for &workload in &workloads {
                of_workload[workload] = Some(node);
            }
            classes.push(Class {
                namespace,
                labels,
                service_account,
                host_network,
                ports,
                imagined: workloads
                    .first()
                    .and_then(|&w| traits.get(w))
                    .is_some_and(|t| t.imagined),
                tag,
                workloads,
                atoms,
            });
        }
        Self {
            classes,
            space,
            assumptions,
            namespaces,
            of_workload,
            is_cut_for_others: !others.blocks.is_empty(),
            has_v6_blocks: mentioned.blocks.iter().any(|b| matches!(b, IpNet::V6(_))),
            addresses: world
                .workloads
                .iter()
                .flat_map(|w| w.addresses.iter().copied())
                .collect(),
        }
    }

    /// Pods that are only imagined.
    pub(super) fn imagined(&self) -> FixedBitSet {
        let mut imagined = FixedBitSet::with_capacity(self.nodes());
        let classes = self.classes.iter().enumerate();
        imagined.extend(classes.filter(|(_, c)| c.imagined).map(|(n, _)| n));
        imagined
    }

    /// Only these classes, in one namespace.
    #[cfg(test)]
    pub(super) fn with_classes(classes: Vec<Class>) -> Self {
        Self {
            namespaces: BTreeMap::from([(String::new(), 0..classes.len())]),
            classes,
            space: AddressSpace::cut_at([]),
            assumptions: Assumptions::default(),
            of_workload: Vec::new(),
            addresses: BTreeSet::new(),
            has_v6_blocks: false,
            is_cut_for_others: false,
        }
    }

    /// The classes; their indices are the first nodes.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// The address ranges; node `classes().len() + i` is range `i`.
    pub fn address_ranges(&self) -> &[AddressRange] {
        self.space.ranges()
    }

    /// Whether rules other than those of network policies ask for addresses.
    pub fn is_cut_for_others(&self) -> bool {
        self.is_cut_for_others
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.classes.len() + self.space.ranges().len()
    }

    /// What was assumed in making it.
    pub fn assumptions(&self) -> &Assumptions {
        &self.assumptions
    }

    /// Whether pods are known to have addresses in a block that are in none of some ranges.
    pub fn has_pods_beyond(&self, cidr: &IpNet, except: &[IpNet], ranges: &[IpNet]) -> bool {
        let inside = |address: &IpAddr| {
            cidr.contains(address)
                && !except.iter().any(|e| e.contains(address))
                && !ranges.iter().any(|r| r.contains(address))
        };
        self.addresses.iter().any(inside)
    }

    /// Whether a block matches pods whose addresses are not known; `None` where it may.
    pub fn block_matches_pods(&self, cidr: &IpNet, except: &[IpNet]) -> Option<bool> {
        self.block(cidr, except).pods
    }

    /// The nodes that are ranges of addresses which pods may have that are not known: none where no
    /// block matches pods.
    pub fn ranges_of_pods(&self) -> FixedBitSet {
        let mut nodes = FixedBitSet::with_capacity(self.nodes());
        let Assumptions {
            blocks_match_pods,
            pod_addresses,
            ..
        } = &self.assumptions;
        if *blocks_match_pods == Some(false) {
            return nodes;
        }
        // Pods with addresses of both families are told by the IPv4 one, unless blocks ask for both.
        let has_v4 = pod_addresses.iter().any(|p| matches!(p, IpNet::V4(_)));
        let only_v4 = has_v4 && *blocks_match_pods == Some(true) && !self.has_v6_blocks;
        let is_taken = |range: &AddressRange| {
            let is_probe = is_probe_address(&IpNet::from(range.first));
            range.first == range.last && (is_probe || self.addresses.contains(&range.first))
        };
        for (place, range) in self.space.ranges().iter().enumerate() {
            let mut pods = pod_addresses.iter();
            let meets = pods.any(|p| p.contains(&range.first) || range.contains(p.network()));
            if meets && !is_taken(range) && (range.first.is_ipv4() || !only_v4) {
                nodes.insert(self.classes.len() + place);
            }
        }
        nodes
    }

    /// The class of a workload; `None` when it describes no endpoint.
    pub fn class_of(&self, workload: usize) -> Option<Node> {
        self.of_workload.get(workload).copied().flatten()
    }

    /// The node of an address outside the cluster.
    pub fn node_of_address(&self, address: IpAddr) -> Node {
        self.classes.len() + self.space.holding(address)
    }

    /// A block, worked out for all classes.
    pub(super) fn block(&self, cidr: &IpNet, except: &[IpNet]) -> Block {
        let mut atoms = FixedBitSet::with_capacity(self.space.ranges().len());
        atoms.insert_range(self.space.inside(cidr));
        for part in except {
            for atom in self.space.inside(part) {
                atoms.set(atom, false);
            }
        }
        let holds = |space| holds(space, cidr, except);
        let matches = |held: Option<bool>| match (self.assumptions.blocks_match_pods, held) {
            (Some(false), _) => Some(false),
            (matches_pods, Some(true)) => matches_pods,
            (_, other) => other,
        };
        Block {
            atoms,
            pods: if is_probe_address(cidr) {
                Some(false)
            } else {
                matches(holds(&self.assumptions.pod_addresses))
            },
            nodes: matches(holds(&self.assumptions.node_addresses)),
        }
    }
}

/// Whether a block is the address alone that the node agent gives to what comes from its node, which
/// no pod has.
fn is_probe_address(cidr: &IpNet) -> bool {
    let mut probe = [NODE_PROBE_V4, NODE_PROBE_V6].into_iter();
    probe.any(|address| *cidr == IpNet::from(address))
}

/// Whether a block holds all of an address space; `None` when it holds a part of it.
fn holds(space: &[IpNet], cidr: &IpNet, except: &[IpNet]) -> Option<bool> {
    let untouched = |pods: &IpNet| !cidr.contains(pods) && !pods.contains(cidr);
    let taken_out = |pods: &IpNet| {
        except
            .iter()
            .any(|e| e.contains(pods) || (pods.contains(cidr) && e.contains(cidr)))
    };
    if space.iter().all(|pods| untouched(pods) || taken_out(pods)) {
        return Some(false);
    }
    let covers = |pods: &IpNet| {
        cidr.contains(pods) && !except.iter().any(|e| e.contains(pods) || pods.contains(e))
    };
    // Of pods with addresses of both families, the plugin may look at the IPv4 one.
    let has_v4 = space.iter().any(|p| matches!(p, IpNet::V4(_)));
    let mut deciding = space
        .iter()
        .filter(|p| !has_v4 || matches!(p, IpNet::V4(_)));
    deciding.all(covers).then_some(true)
}

/// An address block, worked out once for all classes.
pub(super) struct Block {
    /// The ranges of addresses in it.
    pub(super) atoms: FixedBitSet,
    /// Whether it matches pods whose address is not known.
    pub(super) pods: Option<bool>,
    /// The same for pods on the network of their node.
    pub(super) nodes: Option<bool>,
}
