//! In the clear nothing changes but the tunnel's own port.

use std::collections::BTreeSet;

use ipnet::IpNet;
use kubectl_ambient::model::{Protocol, World};

use super::subjects::Subject;
use super::{Case, Violations, readings};
use crate::reference::{Party, Port, plain_to_mesh, plaintext};

const TUNNEL: Port = Port::tcp(15008);

/// Compares connections in the clear.
pub(super) struct Plaintext<'c> {
    pub(super) case: &'c Case<'c>,
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
        let pods = subject.without_address().map(Party::Pod);
        for (pod, address) in pods.flat_map(|pod| {
            readings::external(blocks)
                .into_iter()
                .map(move |a| (pod, a))
        }) {
            let outside = Party::External(address);
            let inbound = self.difference((outside, pod), subject);
            self.violations
                .extend(inbound.map(|v| format!("{address} => {name}: {v}")));
            let outbound = self.difference((pod, outside), subject);
            self.violations
                .extend(outbound.map(|v| format!("{name} => {address}: {v}")));
        }
    }

    /// The first port whose answer changes. A workload that is to listen on the tunnel's port
    /// itself must be talked about when that port is opened to it.
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
        let (source, destination) = ends;
        let [was, is] = [before, after].map(|world| plaintext(world, source, destination, TUNNEL));
        let listens = match destination {
            Party::Pod(pod) => pod
                .ports
                .iter()
                .any(|p| p.number == TUNNEL.number && p.protocol == Protocol::Tcp),
            Party::External(_) => false,
        };
        let mut findings = self.case.plan.findings.iter();
        if was && !is {
            Some("the tunnel's port is closed".to_owned())
        } else if !was && is && listens && !findings.any(|f| f.subject == subject.reference) {
            Some("the tunnel's port is opened though the pod listens on it".to_owned())
        } else {
            None
        }
    }
}

/// Whether a connection passes the network policies, and then ztunnel, which sees no identity.
fn answer(world: &World, ends: (Party<'_>, Party<'_>), port: Port, in_mesh: bool) -> (bool, bool) {
    let (source, destination) = ends;
    let network = plaintext(world, source, destination, port);
    match destination {
        Party::Pod(pod) if in_mesh && port.protocol == Protocol::Tcp => {
            (network, plain_to_mesh(world, source, pod, port.number))
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
