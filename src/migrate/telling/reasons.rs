//! Why pairs differ, worked out for every source of every difference, and therefore not in words.

use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;

use super::deciding::Rules;
use super::governing::{Ends, ListId};
use super::responsible::{Refusing, Responsible};
use crate::authz::selects;
use crate::finding::{Code, codes};
use crate::migrate::AuthzMode;
use crate::migrate::analysis::Analysis;
use crate::migrate::analysis::ways::Asked;
use crate::migrate::limits::restore::Limits;
use crate::migrate::proof::differences::Difference;
use crate::migrate::proof::outcome::Doubt;
use crate::migrate::setting::role::ClientToday;
use crate::model::{AuthorizationPolicy, Protocol};
use crate::netpol::{Node, PortSet};
use crate::plan::{Relation, Verdict};

/// Why a source differs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Reason<'t> {
    /// No object of the input describes these.
    Imagined(Node),
    /// These are on the network of their node.
    HostNetwork(Node),
    /// Whether only pods have the addresses.
    AddressesOfPods,
    /// The labels of this namespace are not known.
    NamespaceLabels(&'t str),
    /// Whether a block holds the pods.
    Block,
    /// What policies of authorization do.
    Authorization,
    /// Whether a sidecar takes the tunnel.
    TakesTunnel,
    /// Policies of Istio refuse them.
    Refused,
    /// Limits of an earlier run do.
    LeftOver,
    /// Network policies do not list it, and tunnels carry it today.
    Carried,
    Lost,
    InPlaintext,
    /// The tunnel is opened for a block that holds more than pods.
    BlockOpened,
    /// An application listens on the tunnel's port.
    Listening,
    /// Limits were not asked for.
    NoLimits,
    /// Sidecars refuse it today.
    Identity,
    NotSelectable,
    TooManyPorts,
    /// This one may use the ports under the service account of the source.
    SharedAccount {
        twin: Node,
        source: Node,
    },
    /// Others may use the ports, and have no name.
    Unnamed,
    /// A waypoint takes connections to the addresses of pods.
    WayToPods,
    SplitService,
    Gained,
}

impl Reason<'_> {
    /// What findings about it are.
    pub(crate) fn code(&self) -> &'static Code {
        match self {
            Self::Imagined(_) => &codes::UNKNOWN_PEER,
            Self::HostNetwork(_) => &codes::UNKNOWN_HOST_NETWORK,
            Self::AddressesOfPods | Self::Block => &codes::UNKNOWN_ADDRESS_BLOCK,
            Self::NamespaceLabels(_) => &codes::UNKNOWN_NAMESPACE,
            Self::Authorization => &codes::UNKNOWN_AUTHORIZATION,
            Self::TakesTunnel => &codes::UNKNOWN_SIDECAR,
            Self::Refused => &codes::LOST_TO_AUTHORIZATION,
            Self::Carried => &codes::LIMITS_PODS_IN_MESH,
            Self::LeftOver | Self::Lost => &codes::LOST,
            Self::InPlaintext | Self::BlockOpened => &codes::GAINED_IN_PLAINTEXT,
            Self::Listening => &codes::RESERVED_PORT,
            Self::NoLimits | Self::Unnamed | Self::WayToPods | Self::Gained => &codes::GAINED,
            Self::Identity => &codes::GAINS_IDENTITY,
            Self::NotSelectable => &codes::SELECTOR_NOT_EXPRESSIBLE,
            Self::TooManyPorts => &codes::PORT_LIST_TOO_LONG,
            Self::SharedAccount { .. } => &codes::SHARED_SERVICE_ACCOUNT,
            Self::SplitService => &codes::SPLIT_SERVICE,
        }
    }
}

/// Finds reasons.
pub(crate) struct Reasons<'t, 's, 'w> {
    analysis: &'t Analysis<'s, 'w>,
    limits: &'t Limits,
    pub(crate) responsible: Responsible<'t, 's, 'w>,
    /// Limits of an earlier run that this plan does not make.
    left_over: Vec<&'t AuthorizationPolicy>,
}

/// What there is to know of a difference before its sources are looked at.
pub(crate) struct About<'d, 't> {
    difference: &'d Difference,
    /// The policies that govern what the destination receives.
    to: ListId,
    common: Common<'t>,
    /// The rules that decide, as far as they were looked at.
    pub(crate) rules: Rules,
    /// By client: the first policy of Istio that refuses it.
    refusing: BTreeMap<Client, Option<Refusing>>,
}

enum Common<'t> {
    /// One reason for all.
    Settled(Reason<'t>),
    /// It depends on a peer, and which one on the ends.
    Peer,
    /// Policies may refuse it: which one depends on who it is, and on its proxy of today. The reason
    /// if none does.
    Refused {
        by: BTreeMap<Client, bool>,
        otherwise: Reason<'t>,
    },
    Gained {
        /// Those that the network policies let use some of the ports today.
        today: Vec<&'t FixedBitSet>,
        /// What comes before a shared service account.
        first: Option<Reason<'t>>,
        otherwise: Reason<'t>,
    },
}

/// As far as policies of authorization can tell sources apart: the party, and what is learned of it
/// today.
type Client = (Option<usize>, ClientToday);

impl<'t, 's, 'w> Reasons<'t, 's, 'w> {
    pub(crate) fn new(analysis: &'t Analysis<'s, 'w>, limits: &'t Limits) -> Self {
        let name = |p: &'t AuthorizationPolicy| (&p.meta.namespace, &p.meta.name);
        let wanted: std::collections::BTreeSet<_> =
            limits.policies.iter().map(|l| name(&l.policy)).collect();
        let ours = analysis.setting.world.authorization_policies.iter();
        let ours = ours.filter(|p| p.meta.is_ours());
        Self {
            analysis,
            limits,
            responsible: Responsible::new(analysis),
            left_over: ours.filter(|p| !wanted.contains(&name(p))).collect(),
        }
    }

    /// Looks at a difference.
    pub(crate) fn about<'d>(&mut self, difference: &'d Difference) -> About<'d, 't> {
        let common = match (difference.doubt, difference.verdict) {
            _ if self.analysis.is_imagined(difference.destination) => {
                Common::Settled(Reason::Imagined(difference.destination))
            }
            (Some(Doubt::Peer), _) => Common::Peer,
            (Some(Doubt::Authorization), _) => Common::Settled(Reason::Authorization),
            (Some(Doubt::Tunnel), _) => Common::Settled(Reason::TakesTunnel),
            (None, Verdict::Lost) => self.lost(difference),
            (None, _) => self.gained(difference),
        };
        About {
            difference,
            to: self.responsible.governing.destination(difference),
            common,
            rules: Rules::default(),
            refusing: BTreeMap::new(),
        }
    }

    /// The first policy of Istio that refuses a source, if any.
    pub(crate) fn refusing(&self, about: &mut About<'_, '_>, source: Node) -> Option<Refusing> {
        let analysis = self.analysis;
        let client = (
            analysis.party_of.get(source).copied(),
            analysis.client_today(source),
        );
        let difference = about.difference;
        let first = || self.responsible.first_refusing(source, difference);
        *about.refusing.entry(client).or_insert_with(first)
    }

    /// A limit of an earlier run on the destination, as the index of a policy.
    pub(crate) fn first_left_over(&self, difference: &Difference) -> Option<usize> {
        let first = self.left_over(difference).next()?;
        let mut policies = self.analysis.setting.world.authorization_policies.iter();
        policies.position(|policy| std::ptr::eq(policy, first))
    }

    /// The lists of policies that govern a source and the destination.
    pub(crate) fn ends(&mut self, about: &About<'_, '_>, source: Node) -> Ends {
        (self.responsible.governing.source(source), about.to)
    }

    /// Why one of the sources differs.
    pub(crate) fn reason(&mut self, about: &mut About<'_, 't>, source: Node) -> Reason<'t> {
        if self.analysis.is_imagined(source) {
            return Reason::Imagined(source);
        }
        let difference = about.difference;
        if difference.verdict == Verdict::Lost && self.is_carried(source, difference) {
            return Reason::Carried;
        }
        match &mut about.common {
            Common::Settled(reason) => *reason,
            Common::Peer => {
                let ends = (self.responsible.governing.source(source), about.to);
                self.doubtful_peer(difference, source, ends)
            }
            Common::Refused { by, otherwise } => {
                let analysis = self.analysis;
                let client = (
                    analysis.party_of.get(source).copied(),
                    analysis.client_today(source),
                );
                let responsible = &self.responsible;
                let refuses = || !responsible.refusing(source, difference).is_empty();
                if *by.entry(client).or_insert_with(refuses) {
                    Reason::Refused
                } else {
                    *otherwise
                }
            }
            Common::Gained {
                today,
                first,
                otherwise,
            } => {
                if today.iter().any(|nodes| nodes.contains(source)) {
                    return Reason::Identity;
                }
                let shared = || self.shared_account(today, source);
                first.or_else(shared).unwrap_or(*otherwise)
            }
        }
    }

    /// Whether network policies list nothing of what is lost, so that only a tunnel carries it today.
    fn is_carried(&self, source: Node, difference: &Difference) -> bool {
        let analysis = self.analysis;
        let listed = analysis.value_at(source, difference.destination).before;
        difference.relation != Relation::Plaintext
            && self.responsible.is_captured_today(difference)
            && !analysis.sets.get(listed.high).meets(&difference.changed)
    }

    /// Limits of an earlier run on the destination that this plan does not make.
    pub(crate) fn left_over(
        &self,
        difference: &Difference,
    ) -> impl Iterator<Item = &'t AuthorizationPolicy> {
        let world = &self.analysis.setting.world;
        let root = world.mesh.root_namespace();
        let applies = move |p: &&'t AuthorizationPolicy| {
            let mut workloads = difference.to_workloads(self.analysis);
            workloads.any(|w| {
                let workload = world.workloads.get(w);
                workload.is_some_and(|w| selects(p, root, &w.meta.namespace, &w.pod.labels))
            })
        };
        self.left_over.iter().copied().filter(applies)
    }

    fn doubtful_peer(&self, difference: &Difference, source: Node, ends: Ends) -> Reason<'t> {
        let analysis = self.analysis;
        let class = |node: Node| analysis.universe.classes().get(node);
        let nodes = [source, difference.destination];
        for node in nodes {
            if class(node).is_some_and(|c| c.host_network) {
                return Reason::HostNetwork(node);
            }
        }
        // Who decides looks at addresses, whatever the network plugin does.
        let by_istio = class(source).is_none() && difference.refused;
        if class(difference.destination).is_none() || by_istio {
            return Reason::AddressesOfPods;
        }
        let world = &analysis.setting.world;
        for node in nodes {
            let namespace = class(node)
                .map(|c| c.namespace.as_str())
                .unwrap_or_default();
            let declared = world.namespaces.get(namespace).is_none_or(|n| n.declared);
            if !declared && self.responsible.governing.ask_for_labels(ends) {
                return Reason::NamespaceLabels(namespace);
            }
        }
        Reason::Block
    }

    fn lost(&self, difference: &Difference) -> Common<'t> {
        let otherwise = if self.left_over(difference).next().is_some() {
            Reason::LeftOver
        } else {
            Reason::Lost
        };
        if difference.refused {
            let by = BTreeMap::new();
            Common::Refused { by, otherwise }
        } else {
            Common::Settled(otherwise)
        }
    }

    fn gained(&self, difference: &Difference) -> Common<'t> {
        let analysis = self.analysis;
        let destination = difference.destination;
        let may_use = |set| analysis.sets.get(set).meets(&difference.changed);
        let today = analysis.sources_of(destination).iter();
        let today = today.filter(|(value, _)| may_use(value.before.high));
        let today: Vec<&FixedBitSet> = today.map(|(_, nodes)| nodes).collect();
        if difference.relation == Relation::Plaintext {
            let tunnel = PortSet::port(Protocol::Tcp, ambient_facts::ports::HBONE);
            let by_network = if !tunnel.includes(&difference.changed) {
                Reason::InPlaintext
            } else if destination >= analysis.universe.classes().len() {
                Reason::BlockOpened
            } else {
                Reason::Listening
            };
            return Common::Gained {
                today,
                first: Some(by_network),
                otherwise: by_network,
            };
        }
        if analysis.setting.options.authz == AuthzMode::None {
            return Common::Settled(Reason::NoLimits);
        }
        let among = |known: &BTreeMap<Node, PortSet>| {
            let ports = known.get(&destination);
            ports.is_some_and(|ports| ports.meets(&difference.changed))
        };
        let mut workloads = difference.to_workloads(analysis);
        let first = if workloads.any(|w| self.limits.unselectable.contains(&w)) {
            Some(Reason::NotSelectable)
        } else {
            among(&self.limits.unlisted).then_some(Reason::TooManyPorts)
        };
        let otherwise = if among(&self.limits.unnamed) {
            Reason::Unnamed
        } else if self.leads_to_pods(difference) {
            Reason::WayToPods
        } else if difference.relation == Relation::Waypoint {
            Reason::SplitService
        } else {
            Reason::Gained
        };
        Common::Gained {
            today,
            first,
            otherwise,
        }
    }

    /// Whether it is about a way through a waypoint that is taken to the addresses of pods.
    fn leads_to_pods(&self, difference: &Difference) -> bool {
        let ways = self.analysis.ways_to(difference.destination);
        let way = difference.way.and_then(|way| ways.get(way));
        way.is_some_and(|way| way.asked == Asked::Pod)
    }

    /// Another source under the same service account may use the ports today.
    fn shared_account(&self, today: &[&FixedBitSet], source: Node) -> Option<Reason<'t>> {
        let analysis = self.analysis;
        let party = *analysis.party_of.get(source)?;
        let mut others = analysis.nodes_of_party.get(party)?.iter().copied();
        let may_use = |node: Node| today.iter().any(|nodes| nodes.contains(node));
        let twin = others.find(|&node| node != source && may_use(node))?;
        Some(Reason::SharedAccount { twin, source })
    }
}
