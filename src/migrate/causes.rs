//! Differences, told as people need them: who, what, why, by which policies.

use std::collections::{BTreeMap, BTreeSet};

use super::AuthzMode;
use super::analysis::Analysis;
use super::compare::Outcome;
use super::restore::Limits;
use crate::finding::{Code, Finding, Flow, codes};
use crate::model::{ObjectRef, Origin, WorkloadKind};
use crate::netpol::{Direction, Node, PortSet};
use crate::plan::{Comparison, Proof, Relation, Verdict};

/// Pairs are listed one by one up to this number; the others are counted.
const LISTED_PAIRS: usize = 10_000;

/// What a difference comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// What the policies say.
    Policies,
    /// Whether an `ipBlock` matches pods.
    AddressBlock,
}

/// One pair of nodes that differs in one relation.
#[derive(Debug, Clone)]
pub(super) struct Difference {
    pub(super) source: Node,
    pub(super) destination: Node,
    pub(super) relation: Relation,
    pub(super) verdict: Verdict,
    pub(super) cause: Cause,
    pub(super) outcome: Outcome,
}

/// All differences, and how much was compared.
#[derive(Debug, Default)]
pub(super) struct Differences {
    list: Vec<Difference>,
    compared: u64,
    differing: BTreeMap<Verdict, u64>,
}

impl Differences {
    pub(super) fn compared(&mut self, pairs: u64) {
        self.compared += pairs;
    }

    /// Takes in what another part of the comparison found.
    pub(super) fn append(&mut self, other: Self) {
        self.compared += other.compared;
        for (verdict, count) in other.differing {
            *self.differing.entry(verdict).or_default() += count;
        }
        for difference in other.list {
            self.list(difference);
        }
    }

    /// Losses and gains are listed even when the list is long already with the unknown.
    fn list(&mut self, difference: Difference) {
        if difference.verdict != Verdict::Unknown || self.list.len() < LISTED_PAIRS {
            self.list.push(difference);
        }
    }

    pub(super) fn add(&mut self, analysis: &Analysis<'_, '_>, mut difference: Difference) {
        let imagined = |node: Node| {
            let class = analysis.universe.classes().get(node);
            class.is_some_and(|c| c.service_account.is_none())
        };
        if imagined(difference.source) || imagined(difference.destination) {
            difference.verdict = Verdict::Unknown;
        }
        *self.differing.entry(difference.verdict).or_default() += 1;
        self.list(difference);
    }

    /// Writes everything down.
    pub(super) fn report(
        self,
        analysis: &mut Analysis<'_, '_>,
        limits: &Limits,
    ) -> (Proof, Vec<Finding>) {
        let mut proof = Proof {
            equal: self.compared - self.differing.values().sum::<u64>().min(self.compared),
            unlisted: self.differing.values().sum::<u64>() - self.list.len() as u64,
            differences: Vec::new(),
            classes: analysis.universe.classes().len(),
            address_ranges: analysis.universe.address_ranges().len(),
        };
        let mut findings: BTreeMap<(&'static str, ObjectRef), Finding> = BTreeMap::new();
        for difference in &self.list {
            let told = Teller { analysis, limits }.tell(difference);
            let key = (told.code.id, told.subject.clone());
            let finding = findings.entry(key).or_insert_with(|| {
                Finding::new(told.code, told.subject, told.origin, told.message)
            });
            for fix in told.fixes {
                if !finding.fixes.contains(&fix) {
                    finding.fixes.push(fix);
                }
            }
            for comparison in told.comparisons {
                finding.flows.push(Flow {
                    source: comparison.source.clone(),
                    destination: comparison.destination.clone(),
                    connections: comparison.difference.clone(),
                    example: comparison.example.clone(),
                    policies: comparison.policies.clone(),
                });
                proof.differences.push(comparison);
            }
        }
        proof.differences.sort();
        proof.differences.dedup();
        let mut findings: Vec<Finding> = findings.into_values().collect();
        for finding in &mut findings {
            finding.flows.sort();
            finding.flows.dedup();
        }
        (proof, findings)
    }
}

/// A difference in words.
struct Told {
    code: &'static Code,
    subject: ObjectRef,
    origin: Origin,
    message: String,
    fixes: Vec<String>,
    comparisons: Vec<Comparison>,
}

struct Teller<'t, 's, 'w> {
    analysis: &'t mut Analysis<'s, 'w>,
    limits: &'t Limits,
}

impl Teller<'_, '_, '_> {
    fn tell(&mut self, difference: &Difference) -> Told {
        let Difference {
            source,
            destination,
            relation,
            verdict,
            ..
        } = *difference;
        let outcome = &difference.outcome;
        let changed = match verdict {
            Verdict::Lost => outcome.lost.clone(),
            Verdict::Gained => outcome.gained.clone(),
            _ if outcome.lost.is_empty() && outcome.gained.is_empty() => outcome.before.clone(),
            _ => outcome.lost.union(&outcome.gained),
        };
        let policies = self.policies(source, destination);
        let (code, because, fixes) = self.cause(difference, &changed);
        let example = self.example(destination, &changed);
        let sources = names(self.analysis, source);
        let destinations = names(self.analysis, destination);
        let mut comparisons = Vec::new();
        for source in &sources {
            for destination in &destinations {
                if source == destination && self.is_one_pod(difference.source, source) {
                    continue;
                }
                comparisons.push(Comparison {
                    source: source.clone(),
                    destination: destination.clone(),
                    relation,
                    verdict,
                    before: outcome.before.to_string(),
                    after: outcome.after.to_string(),
                    difference: changed.to_string(),
                    example: example.clone(),
                    because: because.clone(),
                    policies: policies.clone(),
                });
            }
        }
        let (subject, origin) = self.subject(source, destination, &policies);
        let message = format!("{because} ({relation})");
        Told {
            code,
            subject,
            origin,
            message,
            fixes,
            comparisons,
        }
    }

    /// Whether an endpoint is a single pod, in a class with others.
    fn is_one_pod(&self, class: Node, endpoint: &str) -> bool {
        let setting = self.analysis.setting;
        let known = setting
            .endpoints
            .iter()
            .find(|(_, e)| e.to_string() == endpoint);
        let workloads = known.map(|(_, e)| &e.workloads);
        let of_class = |w: &&usize| self.analysis.universe.class_of(**w) == Some(class);
        let mut pods = workloads.into_iter().flatten().filter(of_class);
        match (pods.next(), pods.next()) {
            (Some(&one), None) => {
                let kind = setting.world.workloads.get(one).map(|w| w.kind);
                kind == Some(WorkloadKind::Pod)
            }
            _ => false,
        }
    }

    /// Why it is so, as a code, a sentence and what to do.
    fn cause(
        &mut self,
        difference: &Difference,
        changed: &PortSet,
    ) -> (&'static Code, String, Vec<String>) {
        let Difference {
            source,
            destination,
            ..
        } = *difference;
        let imagined = |analysis: &Analysis<'_, '_>, node: Node| {
            analysis
                .universe
                .classes()
                .get(node)
                .is_some_and(|c| c.service_account.is_none())
        };
        for node in [source, destination] {
            if imagined(self.analysis, node) {
                let who = names(self.analysis, node).join(", ");
                let because =
                    format!("no pod of the input is `{who}`, so its identity is not known");
                let fix = "add the manifests of these pods with `-f`".to_owned();
                return (&codes::UNKNOWN_PEER, because, vec![fix]);
            }
        }
        if difference.cause == Cause::AddressBlock {
            let because =
                "whether an `ipBlock` matches pods depends on the network plugin".to_owned();
            let fix = "name the network plugin with `--cni`".to_owned();
            return (&codes::UNKNOWN_ADDRESS_BLOCK, because, vec![fix]);
        }
        if difference.verdict == Verdict::Lost {
            let because = "connections of today would be refused".to_owned();
            return (&codes::LOST, because, Vec::new());
        }
        if difference.relation == Relation::Plaintext {
            let because =
                "an application listens on the port that is opened for the tunnel".to_owned();
            let fix = "let the application listen on another port".to_owned();
            return (&codes::RESERVED_PORT, because, vec![fix]);
        }
        if self.analysis.setting.options.authz == AuthzMode::None {
            let because = "no AuthorizationPolicy limits what the tunnel carries".to_owned();
            let fix = "leave out `--authz none`".to_owned();
            return (&codes::GAINED, because, vec![fix]);
        }
        let workloads = self
            .analysis
            .universe
            .classes()
            .get(destination)
            .map(|c| &c.workloads);
        if workloads
            .into_iter()
            .flatten()
            .any(|w| self.limits.unselectable.contains(w))
        {
            let because = "no labels select these pods and no others of their namespace".to_owned();
            return (&codes::SELECTOR_NOT_EXPRESSIBLE, because, Vec::new());
        }
        let too_long = self.limits.unlisted.get(&destination);
        if too_long.is_some_and(|ports| !ports.intersection(changed).is_empty()) {
            let because =
                "the ports are too many to be listed in an AuthorizationPolicy".to_owned();
            return (&codes::PORT_LIST_TOO_LONG, because, Vec::new());
        }
        if let Some(twin) = self.twin(source, destination, changed) {
            let class = &self.analysis.universe.classes()[source];
            let account = class.service_account.clone().unwrap_or_default();
            let because = format!(
                "`{twin}` runs under the same service account `{}/{account}` and may use the ports",
                class.namespace
            );
            let fix = format!(
                "give {} a service account of its own in `spec.template.spec.serviceAccountName`",
                names(self.analysis, source)
                    .iter()
                    .map(|n| format!("`{n}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            );
            return (&codes::SHARED_SERVICE_ACCOUNT, because, vec![fix]);
        }
        if difference.relation == Relation::Waypoint {
            let because = "the Service sends to pods with different limits".to_owned();
            return (&codes::SPLIT_SERVICE, because, Vec::new());
        }
        let because = "the tunnel carries ports that the network policies refuse".to_owned();
        (&codes::GAINED, because, Vec::new())
    }

    /// Another source under the same service account that may use the ports today.
    fn twin(&mut self, source: Node, destination: Node, ports: &PortSet) -> Option<String> {
        let party_of = &self.analysis.party_of;
        let twins = (0..party_of.len())
            .filter(|&n| n != source && party_of.get(n) == party_of.get(source))
            .collect::<Vec<_>>();
        twins.into_iter().find_map(|twin| {
            let today = self.analysis.value(twin, destination).before.high;
            let may = !self.analysis.sets.get(today).intersection(ports).is_empty();
            may.then(|| names(self.analysis, twin).into_iter().next())?
        })
    }

    /// A connection that a person would try: to a declared port, if there is one among these.
    fn example(&self, destination: Node, ports: &PortSet) -> String {
        let declared = if destination < self.analysis.universe.classes().len() {
            self.analysis.declared(destination).intersection(ports)
        } else {
            PortSet::none()
        };
        let port = declared.example().or_else(|| ports.example());
        port.map_or_else(String::new, |(protocol, port)| format!("{protocol} {port}"))
    }

    /// The network policies that govern a pair.
    fn policies(&self, source: Node, destination: Node) -> Vec<ObjectRef> {
        let world = &*self.analysis.setting.world;
        let pod = |node: Node| {
            let workload = *self
                .analysis
                .universe
                .classes()
                .get(node)?
                .workloads
                .first()?;
            world.workloads.get(workload)
        };
        let mut policies = BTreeSet::new();
        for (node, direction) in [
            (source, Direction::Egress),
            (destination, Direction::Ingress),
        ] {
            let Some(pod) = pod(node) else { continue };
            let selecting = world.network_policies.iter().filter(|p| {
                direction.isolated_by(p)
                    && p.meta.namespace == pod.meta.namespace
                    && !pod.pod.host_network
                    && p.pod_selector.matches(&pod.pod.labels)
            });
            policies.extend(selecting.map(crate::model::NetworkPolicy::reference));
        }
        policies.into_iter().collect()
    }

    /// What the finding is about: the destination's policy, the source's, or the destination.
    fn subject(
        &self,
        source: Node,
        destination: Node,
        policies: &[ObjectRef],
    ) -> (ObjectRef, Origin) {
        let world = &*self.analysis.setting.world;
        let class = |node: Node| self.analysis.universe.classes().get(node);
        let namespace = class(destination)
            .or(class(source))
            .map(|c| c.namespace.as_str());
        let policy = policies
            .iter()
            .find(|p| p.namespace.as_deref() == namespace)
            .or(policies.first())
            .and_then(|r| world.network_policies.iter().find(|p| p.reference() == *r));
        if let Some(policy) = policy {
            return (policy.reference(), policy.meta.origin.clone());
        }
        let workload = class(destination)
            .or(class(source))
            .and_then(|c| world.workloads.get(*c.workloads.first()?));
        workload.map_or_else(
            || (ObjectRef::cluster("World", ""), Origin::synthetic()),
            |w| (w.reference(), w.meta.origin.clone()),
        )
    }
}

/// The endpoints of a node, or the address range, as printed.
pub(super) fn names(analysis: &Analysis<'_, '_>, node: Node) -> Vec<String> {
    let setting = analysis.setting;
    let Some(class) = analysis.universe.classes().get(node) else {
        let place = node - analysis.universe.classes().len();
        return analysis
            .universe
            .address_ranges()
            .get(place)
            .map(ToString::to_string)
            .into_iter()
            .collect();
    };
    let name = |&workload: &usize| {
        if setting.is_imagined(workload) {
            let workload = setting.world.workloads.get(workload)?;
            return Some(format!(
                "{}/pods with {}",
                workload.meta.namespace, workload.meta.name
            ));
        }
        let endpoint = setting.endpoints.of_workload(workload)?;
        setting.endpoints.get(endpoint).map(ToString::to_string)
    };
    let names: BTreeSet<String> = class.workloads.iter().filter_map(name).collect();
    names.into_iter().collect()
}
