//! In the clear nothing changes but the tunnel's own port. Where an application listens on that
//! port itself, opening it must be reported.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use kubectl_ambient::model::{Protocol, World};
use kubectl_ambient::plan::{Relation, Verdict};

use super::claims::{self, Claims, Name, Pair};
use super::in_the_clear::entering;
use super::mesh::Fates;
use super::subjects::Subject;
use super::{Case, Violations, readings};
use crate::reference::{Party, Pod, Port, modes, plain_to_mesh, plaintext, waypoint_pod};

const TUNNEL: Port = Port::tcp(15008);

/// Compares connections in the clear.
pub(super) struct Plaintext<'c> {
    pub(super) case: &'c Case<'c>,
    pub(super) claims: &'c Claims,
    pub(super) ports: &'c BTreeSet<Port>,
    pub(super) flows: u64,
    pub(super) violations: Violations,
}

impl Plaintext<'_> {
    /// From the pods of one workload to those of another.
    pub(super) fn between(&mut self, source: &Subject, destination: &Subject) {
        let mut found = BTreeSet::new();
        for (from, to) in source.with(destination) {
            let ends = (Party::Pod(from), Party::Pod(to));
            found.extend(self.difference(ends, destination));
            // A pod on the host network need not be named: its node's address stands for it.
            if !from.host_network && self.opens(Party::Pod(from), to) {
                let names = (
                    Name::Endpoint(&source.name),
                    Name::Endpoint(&destination.name),
                );
                found.extend(self.opened_unsaid(names));
            }
        }
        let (source, destination) = (&source.name, &destination.name);
        let named = found
            .iter()
            .map(|v| format!("{source} => {destination}: {v}"));
        self.violations.extend(named);
    }

    /// From and to addresses outside.
    pub(super) fn with_outside(&mut self, subject: &Subject, blocks: &[IpNet]) {
        let name = &subject.name;
        let mut found = BTreeSet::new();
        for pod in subject.without_address() {
            for address in readings::external(blocks) {
                let (pod_end, outside) = (Party::Pod(pod), Party::External(address));
                let mut say = |from: &dyn std::fmt::Display, to: &dyn std::fmt::Display, what| {
                    let what: Option<String> = what;
                    found.extend(what.map(|what| format!("{from} => {to}: {what}")));
                };
                say(&address, name, self.difference((outside, pod_end), subject));
                say(&address, name, self.entered_unsaid(address, pod, subject));
                say(name, &address, self.difference((pod_end, outside), subject));
                if self.opens(outside, pod) {
                    let names = (Name::Address(address), Name::Endpoint(name));
                    say(&address, name, self.opened_unsaid(names));
                }
                // Whoever is out there may listen on it.
                if self.opens_outward(pod, address) {
                    let names = (Name::Endpoint(name), Name::Address(address));
                    say(name, &address, self.opened_unsaid(names));
                }
            }
        }
        self.violations.extend(found);
    }

    /// The first port on which ztunnel, and whoever else decides, changes what becomes of connections
    /// from an address outside, and nothing is said.
    fn entered_unsaid(&self, address: IpAddr, pod: &Pod, subject: &Subject) -> Option<String> {
        // Those of the plan change nothing in the clear, which is asked for elsewhere.
        let before = self.case.before;
        if before.authorization_policies.is_empty() && before.peer_authentications.is_empty() {
            return None;
        }
        let names = (Name::Address(address), Name::Endpoint(&subject.name));
        let mut tcp = self.ports.iter().filter(|p| p.protocol == Protocol::Tcp);
        let port = tcp.find(|&&port| {
            let said = self.claims.in_the_clear(names.0, names.1, port);
            let changes = [Verdict::Lost, Verdict::Gained].into_iter();
            let mut changes = changes.filter(|&v| self.enters(address, pod, subject, port, v));
            changes.any(|verdict| !said.contains(&verdict) && !said.contains(&Verdict::Unknown))
        })?;
        Some(format!(
            "TCP {} in the clear changes, and not reported",
            port.number
        ))
    }

    /// Whether connections from an address outside to a pod in the mesh are lost, or gained.
    fn enters(
        &self,
        address: IpAddr,
        pod: &Pod,
        subject: &Subject,
        port: Port,
        verdict: Verdict,
    ) -> bool {
        let outside = (Party::External(address), None);
        let mut passed = entering(self.case, outside, (subject, pod), port.number).into_iter();
        let is_it = |(was, now)| was != now && now == (verdict == Verdict::Gained);
        subject.in_mesh && port != TUNNEL && passed.any(is_it)
    }

    /// What is claimed of connections in the clear is so: that the tunnel's port is opened to an
    /// application that listens on it. Nothing else can be.
    /// What sidecars make of them has fates of its own.
    pub(super) fn check_claims(&mut self, subjects: &[Subject], fates: &Fates) {
        for pair in self.claims.pairs() {
            let (source, destination, relation) = pair;
            let is_decided =
                self.claims.has(pair, Verdict::Gained) || self.claims.has(pair, Verdict::Lost);
            let is_judged = |port| {
                let ports = fates.by_pair.get(pair);
                ports.is_some_and(|ports| ports.contains_key(&port))
            };
            if *relation == Relation::Plaintext
                && is_decided
                && !self.is_true(pair, subjects, &is_judged)
            {
                self.violations.push(format!(
                    "{source} => {destination} by {relation}: reported, and not so"
                ));
            }
        }
    }

    /// Whether every port that is claimed is opened between some pods of the pair.
    fn is_true(&self, pair: &Pair, subjects: &[Subject], is_judged: &dyn Fn(Port) -> bool) -> bool {
        let says = |port, verdict| self.claims.about(pair, port).contains(&verdict);
        let from_outside = claims::range(&pair.0).is_some();
        let is_decided = |port| says(port, Verdict::Gained) || says(port, Verdict::Lost);
        let mut decided = self
            .ports
            .iter()
            .filter(|&&port| is_decided(port))
            .peekable();
        decided.peek().is_some()
            && decided.all(|&port| {
                let is_opened = || self.is_opened(pair, port, subjects);
                is_judged(port) || ((from_outside || !says(port, Verdict::Lost)) && is_opened())
            })
    }

    fn is_opened(&self, pair: &Pair, port: Port, subjects: &[Subject]) -> bool {
        let (source, destination, _) = pair;
        let gateways = self.case.gateways();
        let waypoint = |name: &str| {
            let mut gateways = gateways.iter();
            let found =
                gateways.find(|(ns, gateway)| *name == format!("{ns}/{gateway}[Deployment]"));
            found.map(|(ns, gateway)| waypoint_pod(self.case.before, (ns, gateway)))
        };
        let pods = |name: &str| -> Vec<Pod> {
            let named = subjects.iter().filter(|s| s.name == *name);
            let known = named.flat_map(Subject::without_address).cloned();
            known.chain(waypoint(name)).collect()
        };
        let destinations = pods(destination);
        let address_opens = |address: IpAddr| {
            let mut pods = destinations.iter();
            pods.any(|pod| self.gains(Party::External(address), pod, port))
        };
        if let Some((first, last)) = claims::range(source) {
            let enters = |address: IpAddr, verdict| {
                let named = subjects.iter().filter(|s| s.name == *destination);
                let mut pods = named.flat_map(|s| s.without_address().map(move |pod| (s, pod)));
                pods.any(|(subject, pod)| self.enters(address, pod, subject, port, verdict))
            };
            let mut said = self.claims.about(pair, port).into_iter();
            return (address_opens(first) && address_opens(last))
                || said.all(|verdict| {
                    verdict == Verdict::Unknown || (enters(first, verdict) && enters(last, verdict))
                });
        }
        if let Some((first, last)) = claims::range(destination) {
            let mut pods = pods(source).into_iter();
            return port == TUNNEL
                && pods.any(|p| self.opens_outward(&p, first) && self.opens_outward(&p, last));
        }
        let sources = subjects.iter().filter(|s| s.name == *source);
        let to = || subjects.iter().filter(|d| d.name == *destination);
        let mut pairs = sources.flat_map(|s| to().flat_map(move |d| s.with(d)));
        pairs.any(|(from, to)| self.gains(Party::Pod(from), to, port))
            || pods(source).iter().any(|from| {
                let mut to = destinations.iter();
                to.any(|to| self.gains(Party::Pod(from), to, port))
            })
    }

    /// The first port whose answer changes.
    fn difference(&mut self, ends: (Party<'_>, Party<'_>), subject: &Subject) -> Option<String> {
        self.flows += self.ports.len() as u64;
        let (before, after) = (self.case.before, self.case.after);
        for &port in self.ports.iter().filter(|&&port| port != TUNNEL) {
            let was = answer(before, ends, port, subject.in_mesh);
            let is = answer(after, ends, port, subject.in_mesh);
            if was != is {
                let [was, is] = [was, is].map(describe);
                let Port { protocol, number } = port;
                return Some(format!(
                    "{protocol} {number} in the clear {was} before, {is} after"
                ));
            }
        }
        let is_closed =
            plaintext(before, ends.0, ends.1, TUNNEL) && !plaintext(after, ends.0, ends.1, TUNNEL);
        is_closed.then(|| "the tunnel's port is closed".to_owned())
    }

    /// Whether the tunnel's port is opened to a pod whose application listens on it.
    fn opens(&self, source: Party<'_>, destination: &Pod) -> bool {
        self.gains(source, destination, TUNNEL)
    }

    /// Whether a port is opened to a pod; the tunnel's counts where an application listens on it.
    fn gains(&self, source: Party<'_>, destination: &Pod, port: Port) -> bool {
        let mut ports = destination.ports.iter();
        let listens = ports.any(|p| p.number == port.number && p.protocol == port.protocol);
        let passes = |world| plaintext(world, source, Party::Pod(destination), port);
        (listens || port != TUNNEL) && !passes(self.case.before) && passes(self.case.after)
    }

    /// Whether the tunnel's port of an address outside is opened to a pod.
    fn opens_outward(&self, source: &Pod, address: IpAddr) -> bool {
        let ends = (Party::Pod(source), Party::External(address));
        let passes = |world| plaintext(world, ends.0, ends.1, TUNNEL);
        !passes(self.case.before) && passes(self.case.after)
    }

    fn opened_unsaid(&self, (source, destination): (Name<'_>, Name<'_>)) -> Option<String> {
        let is_said = self.claims.opened(source, destination, TUNNEL);
        (!is_said).then(|| "the tunnel's port is opened where somebody may listen on it".to_owned())
    }
}

/// Whether a connection passes the network policies, and then ztunnel, which sees no identity.
fn answer(world: &World, ends: (Party<'_>, Party<'_>), port: Port, in_mesh: bool) -> (bool, bool) {
    let (source, destination) = ends;
    let network = plaintext(world, source, destination, port);
    match destination {
        Party::Pod(pod) if in_mesh && port.protocol == Protocol::Tcp => {
            let mut modes = modes(world, pod, port.number).into_iter();
            let passes = |mode| plain_to_mesh(world, source, pod, port.number, mode);
            (network, modes.any(passes))
        }
        _ => (network, network),
    }
}

fn describe(answer: (bool, bool)) -> &'static str {
    match answer {
        (true, true) => "passes",
        (true, false) => "is denied by authorization policies",
        (false, _) => "is denied by network policies",
    }
}
