//! The ways to pods that lead through waypoints.

use ambient_facts::ports;

use super::Analysis;
use crate::authz::Allowance;
use crate::model::Protocol;
use crate::netpol::{Node, PortSet};

/// A way to a class through a waypoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    /// Index of the waypoint.
    pub(crate) waypoint: usize,
    pub(crate) asked: Asked,
    /// The last part of it is in the clear: the pods take no tunnel, or may not.
    pub(crate) plain: bool,
}

/// What clients on a way ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A port of a Service, by index.
    Service {
        service: usize,
        port: u16,
        /// The ports of the pods that it leads to. Another port may lead to the same: what becomes
        /// of connections to one says nothing about those to the other.
        targets: PortSet,
    },
    /// The pods themselves.
    Pod,
}

impl Way {
    /// Ports of the pods that some ports which clients ask for lead to. Look-ups of DNS over TCP
    /// are answered or passed on before they get on the way, unless `dns`.
    pub(crate) fn leading_to(
        &self,
        asked: &PortSet,
        dns: bool,
        analysis: &Analysis<'_, '_>,
    ) -> PortSet {
        let dns_port = PortSet::port(Protocol::Tcp, ports::DNS);
        let asked = if dns {
            asked.clone()
        } else {
            asked.difference(&dns_port)
        };
        let leading: PortSet = match &self.asked {
            Asked::Pod => asked,
            Asked::Service { port, targets, .. } if asked.contains(Protocol::Tcp, *port) => {
                targets.clone()
            }
            Asked::Service { .. } => PortSet::none(),
        };
        if self.plain {
            leading.intersection(&PortSet::protocol(Protocol::Tcp))
        } else {
            leading.intersection(&analysis.tunnelled)
        }
    }

    /// The same of what clients may ask for.
    pub(crate) fn led_to(
        &self,
        asked: &Allowance,
        dns: bool,
        analysis: &Analysis<'_, '_>,
    ) -> Allowance {
        Allowance {
            low: self.leading_to(&asked.low, dns, analysis),
            high: self.leading_to(&asked.high, dns, analysis),
        }
    }

    /// Ports that clients ask for to reach some ports of the pods.
    pub(crate) fn asked_for(&self, targets: &PortSet) -> PortSet {
        match &self.asked {
            Asked::Pod => targets.clone(),
            Asked::Service {
                port, targets: to, ..
            } if !to.intersection(targets).is_empty() => PortSet::port(Protocol::Tcp, *port),
            Asked::Service { .. } => PortSet::none(),
        }
    }
}

impl Analysis<'_, '_> {
    /// Finds the ways to every class, and the classes that waypoints' pods are.
    pub(crate) fn find_ways(&mut self) {
        let setting = self.setting;
        for node in 0..self.universe.classes().len() {
            if let Some(waypoint) = self.waypoint_at(node) {
                self.nodes_of_waypoint[waypoint].push(node);
            }
        }
        for (&service, &waypoint) in &setting.waypoints.of_service {
            let Some(object) = setting.world.services.get(service) else {
                continue;
            };
            for workload in setting.backends(object) {
                let Some(node) = self.universe.class_of(workload) else {
                    continue;
                };
                let targets = setting.targets(object, workload);
                let hops = setting.role(workload).last_hops();
                let hops = hops.flat_map(|plain| targets.iter().map(move |t| (plain, t)));
                for (plain, (port, targets)) in hops {
                    let way = Way {
                        waypoint,
                        asked: Asked::Service {
                            service,
                            port: *port,
                            targets: targets.clone(),
                        },
                        plain,
                    };
                    if way.plain {
                        let targets = self.targets_of(&way);
                        let known = self.in_the_clear.entry(waypoint).or_default();
                        *known = known.union(&targets);
                    }
                    // All pods of a class are behind the same Services.
                    if !self.ways[node].contains(&way) {
                        self.ways[node].push(way);
                    }
                }
            }
        }
        for (node, class) in self.universe.classes().iter().enumerate() {
            let first = class.workloads.first();
            if let Some(waypoint) = first.and_then(|&w| setting.pod_waypoint(w)) {
                self.ways[node].push(Way {
                    waypoint,
                    asked: Asked::Pod,
                    plain: false,
                });
            }
        }
    }

    /// The ways to a class through waypoints.
    pub(crate) fn ways_to(&self, class: Node) -> &[Way] {
        self.ways.get(class).map_or(&[], Vec::as_slice)
    }

    /// The classes that the pods of a waypoint are.
    pub(crate) fn nodes_of_waypoint(&self, waypoint: usize) -> &[Node] {
        let nodes = self.nodes_of_waypoint.get(waypoint);
        nodes.map_or(&[], Vec::as_slice)
    }

    /// The ports of the pods that a way leads to.
    pub(crate) fn targets_of(&self, way: &Way) -> PortSet {
        way.leading_to(&PortSet::all(), true, self)
    }
}
