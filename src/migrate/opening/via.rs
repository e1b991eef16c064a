//! Network policies on the way through waypoints.
//!
//! A client reaches a waypoint on the tunnel's port, and the waypoint the server; so policies that
//! let the client reach the server have to let each of them take its half of the way. What a
//! waypoint that is isolated itself needs is in [`super::isolated`].

use std::collections::BTreeMap;

use ambient_facts::ports;

use super::{Changed, Means, Opener};
use crate::migrate::setting::Setting;
use crate::migrate::tunnel_port::{covers_tunnel, gateway_peer, grants_some_tcp, only_tunnel};
use crate::model::{LabelSelector, NetworkPolicy, Peer, PortMatch, PortRule, Protocol, Rule};
use crate::netpol::{Direction, Node, PortSet, rule_ports};

impl<'s> Opener<'s, '_> {
    /// Appends the rules that the ways through waypoints need.
    pub(crate) fn waypoint_rules(&mut self, changed: &mut Vec<Changed>) {
        for place in 0..self.setting.waypoints.all.len() {
            let behind = self.behind(place);
            let Some(waypoint) = self.setting.waypoints.all.get(place) else {
                continue;
            };
            let people = self.setting.world.indexed_network_policies_of_people();
            for (index, policy) in people {
                let own = &policy.meta.namespace;
                let peer = gateway_peer(own, &waypoint.namespace, &waypoint.name);
                for direction in Direction::BOTH {
                    if !direction.isolated_by(policy) {
                        continue;
                    }
                    if self.leads_through(direction, policy, &behind) {
                        let peers = std::slice::from_ref(&peer);
                        if !self.is_covered(policy, direction, peers) {
                            add(changed, index, policy, direction, peer.clone());
                        }
                    }
                }
                if let Some(rule) = self.in_the_clear(policy, &peer, &behind) {
                    append(changed, index, Direction::Ingress, rule);
                }
            }
        }
        changed.sort_by_key(|c| c.policy);
    }

    fn behind(&self, place: usize) -> Behind {
        let universe = self.selection.universe();
        let mut behind = Behind::default();
        for server in servers(self.setting, place) {
            let Some(class) = universe.class_of(server.workload) else {
                continue;
            };
            // What ports are called on pods that no object describes is not known.
            let imagined = universe.classes().get(class).is_some_and(|c| c.imagined);
            let ports = if imagined {
                PortSet::protocol(Protocol::Tcp)
            } else {
                server.ports.clone()
            };
            let hops = if server.plain {
                &mut behind.plain
            } else {
                &mut behind.mesh
            };
            for hops in [hops, &mut behind.all] {
                let known = hops.entry(class).or_default();
                *known = known.union(&ports);
            }
        }
        behind
    }

    /// Whether a policy lets somebody take a way that goes through the waypoint in front of some
    /// pods, on a port that the waypoint leads to, and the tunnel's port has to be open for it.
    fn leads_through(
        &mut self,
        direction: Direction,
        policy: &'s NetworkPolicy,
        behind: &Behind,
    ) -> bool {
        let subjects = self
            .selection
            .subjects(&policy.meta.namespace, &policy.pod_selector);
        let sends = subjects.iter().any(|&n| self.speakers.senders.contains(n));
        direction.rules(policy).iter().any(|rule| {
            if !rule.ports.is_empty() && !grants_some_tcp(rule) {
                return false;
            }
            let set = self.selection.peers(&policy.meta.namespace, &rule.peers);
            let set = self.selection.get(set);
            let classes = self.selection.universe().classes();
            // Beside the ports of applications the tunnel's says nothing of these.
            let tunnel = if rule.ports.len() > 1 {
                PortSet::port(Protocol::Tcp, ports::HBONE)
            } else {
                PortSet::none()
            };
            let is_led = |&class: &Node, ports: &PortSet| {
                let granted = classes.get(class).map(|class| {
                    let imagined = class.imagined.then(|| PortSet::protocol(Protocol::Tcp));
                    imagined.unwrap_or_else(|| rule_ports(rule, class).difference(&tunnel))
                });
                granted.is_some_and(|granted| !granted.intersection(ports).is_empty())
            };
            let senders = &self.speakers.senders;
            match direction {
                Direction::Ingress => {
                    let from = !set.yes.is_disjoint(senders) || !set.maybe.is_disjoint(senders);
                    let mut led = subjects.iter();
                    from && led.any(|n| behind.mesh.get(n).is_some_and(|p| is_led(n, p)))
                }
                Direction::Egress => {
                    let mut led = behind.all.iter();
                    sends
                        && led.any(|(n, ports)| {
                            (set.yes.contains(*n) || set.maybe.contains(*n)) && is_led(n, ports)
                        })
                }
            }
        })
    }

    /// The rule that lets a waypoint reach pods that are not in the mesh: on the ports on which the
    /// policy lets clients of the waypoint reach them. `None` when there is nothing to add.
    fn in_the_clear(
        &mut self,
        policy: &'s NetworkPolicy,
        waypoint: &Peer,
        behind: &Behind,
    ) -> Option<Rule> {
        if behind.plain.is_empty() || !policy.isolates_ingress {
            return None;
        }
        let classes = self.selection.universe().classes();
        let subjects = self
            .selection
            .subjects(&policy.meta.namespace, &policy.pod_selector);
        let mut missing = PortSet::none();
        for subject in subjects {
            let (Some(targets), Some(class)) = (behind.plain.get(&subject), classes.get(subject))
            else {
                continue;
            };
            let mut wanted = PortSet::none();
            let mut open = PortSet::none();
            for rule in &policy.ingress {
                let ports = rule_ports(rule, class);
                if rule.peers.is_empty() || rule.peers.contains(waypoint) {
                    open = open.union(&ports);
                }
                let set = self.selection.peers(&policy.meta.namespace, &rule.peers);
                let set = self.selection.get(set);
                let clients = &self.speakers.clients;
                if !set.yes.is_disjoint(clients) || !set.maybe.is_disjoint(clients) {
                    wanted = wanted.union(&ports.intersection(targets));
                }
            }
            missing = missing.union(&wanted.difference(&open));
        }
        (!missing.is_empty()).then(|| Rule {
            peers: vec![waypoint.clone()],
            ports: tcp_ports(&missing),
            line: 0,
        })
    }
}

/// The pods behind a waypoint, by class, with the ports that it leads to.
#[derive(Default)]
struct Behind {
    all: BTreeMap<Node, PortSet>,
    /// Those that are reached through the tunnel.
    mesh: BTreeMap<Node, PortSet>,
    /// Those that are reached in the clear.
    plain: BTreeMap<Node, PortSet>,
}

/// A workload that a waypoint sends to.
pub(crate) struct Server {
    pub(crate) workload: usize,
    /// It is reached in the clear. Another entry may be about the same pods, through the tunnel.
    pub(crate) plain: bool,
    pub(crate) ports: PortSet,
}

/// All workloads behind a waypoint.
pub(crate) fn servers(setting: &Setting<'_>, place: usize) -> Vec<Server> {
    let mut servers = Vec::new();
    let of_service = &setting.waypoints.of_service;
    for (&service, _) in of_service.iter().filter(|(_, w)| **w == place) {
        let Some(service) = setting.world.services.get(service) else {
            continue;
        };
        servers.extend(setting.backends(service).flat_map(|workload| {
            let targets = setting.targets(service, workload).into_iter();
            let ports: PortSet = targets.map(|(_, target)| target).collect();
            let hops = setting.role(workload).last_hops();
            hops.map(move |plain| Server {
                workload,
                plain,
                ports: ports.clone(),
            })
        }));
    }
    let taken = (0..setting.world.workloads.len())
        .filter(|&w| setting.pod_waypoint(w) == Some(place))
        .map(|workload| Server {
            workload,
            plain: false,
            ports: PortSet::protocol(Protocol::Tcp),
        });
    servers.extend(taken);
    servers
}

/// TCP ports as entries of a rule.
pub(crate) fn tcp_ports(ports: &PortSet) -> Vec<PortRule> {
    let entry = |(first, last)| PortRule {
        protocol: Protocol::Tcp,
        port: PortMatch::Range(first, last),
    };
    ports.ranges(Protocol::Tcp).map(entry).collect()
}

fn add(
    changed: &mut Vec<Changed>,
    index: usize,
    policy: &NetworkPolicy,
    direction: Direction,
    peer: Peer,
) {
    let known = changed.iter().find(|c| c.policy == index);
    let opened = |place: usize| known.is_some_and(|c| c.rules.contains(&(direction, place)));
    // A rule for everybody, for all pods, or for just this waypoint, opens the way already.
    let open = direction
        .rules(policy)
        .iter()
        .enumerate()
        .any(|(place, rule)| {
            (covers_tunnel(rule) || opened(place))
                && (rule.peers.is_empty() || rule.peers.iter().any(|p| *p == peer || is_all(p)))
        });
    if !open {
        append(changed, index, direction, only_tunnel(vec![peer]));
    }
}

/// Whether a peer is every pod of every namespace.
fn is_all(peer: &Peer) -> bool {
    match peer {
        Peer::Pods { namespaces, pods } => {
            let all = pods.as_ref().is_none_or(LabelSelector::is_empty);
            all && namespaces.as_ref().is_some_and(LabelSelector::is_empty)
        }
        Peer::Block { .. } => false,
    }
}

fn append(changed: &mut Vec<Changed>, index: usize, direction: Direction, rule: Rule) {
    match changed.iter_mut().find(|c| c.policy == index) {
        Some(change) => change.appended.push((direction, rule)),
        None => changed.push(Changed {
            policy: index,
            rules: Vec::new(),
            inward: Vec::new(),
            appended: vec![(direction, rule)],
            means: Means::default(),
            fallback: None,
        }),
    }
}
