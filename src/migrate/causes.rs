//! Why pairs differ: told as people need it, with what to do and by which policies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ambient_facts::labels;

use super::AuthzMode;
use super::analysis::Analysis;
use super::differences::Difference;
use super::naming::{name_of, names, names_of};
use super::outcome::Doubt;
use super::responsible::Responsible;
use super::restore::Limits;
use super::ways::Asked;
use crate::authz::selects;
use crate::finding::{Code, codes};
use crate::model::{AuthorizationPolicy, ObjectRef, Origin, WorkloadKind};
use crate::netpol::{Node, PortSet};
use crate::plan::{Comparison, Relation, Verdict};

/// A difference in words.
pub(super) struct Told {
    pub(super) code: &'static Code,
    pub(super) subject: ObjectRef,
    pub(super) origin: Origin,
    /// In one sentence.
    pub(super) because: String,
    pub(super) fixes: Vec<String>,
    /// Those responsible.
    pub(super) policies: Arc<[ObjectRef]>,
}

/// Tells differences, one source at a time.
pub(super) struct Teller<'t, 's, 'w> {
    analysis: &'t Analysis<'s, 'w>,
    limits: &'t Limits,
    responsible: Responsible<'t, 's, 'w>,
    /// Limits of an earlier run that this plan does not make.
    left_over: Vec<&'t AuthorizationPolicy>,
}

/// A code, a sentence, and what to do.
type Cause = (&'static Code, String, Vec<String>);

impl<'t, 's, 'w> Teller<'t, 's, 'w> {
    pub(super) fn new(analysis: &'t Analysis<'s, 'w>, limits: &'t Limits) -> Self {
        let name = |p: &'t AuthorizationPolicy| (&p.meta.namespace, &p.meta.name);
        let wanted: BTreeSet<_> = limits.policies.iter().map(|l| name(&l.policy)).collect();
        let ours = analysis.setting.world.authorization_policies.iter();
        let ours = ours.filter(|p| p.meta.is_ours());
        Self {
            analysis,
            limits,
            responsible: Responsible::new(analysis),
            left_over: ours.filter(|p| !wanted.contains(&name(p))).collect(),
        }
    }

    /// What there is to say about one of the sources of a difference.
    pub(super) fn tell(&mut self, difference: &Difference, source: Node) -> Told {
        let mut policies = self.responsible.policies(source, difference);
        if difference.verdict == Verdict::Lost && !self.left_over.is_empty() {
            let left_over = self.left_over(difference).into_iter();
            policies = left_over.chain(policies.iter().cloned()).collect();
        }
        let (code, because, fixes) = self.cause(difference, source);
        let (subject, origin) = self.subject(source, difference.destination, &policies);
        Told {
            code,
            subject,
            origin,
            because,
            fixes,
            policies,
        }
    }

    /// The pairs of endpoints that it is told of, no more than `room`: two classes of thousands have
    /// millions.
    pub(super) fn list(
        &self,
        difference: &Difference,
        source: Node,
        told: &Told,
        room: usize,
    ) -> Vec<Comparison> {
        let destination = difference.destination;
        let example = self.example(destination, &difference.changed);
        let sources = names(self.analysis, source);
        let destinations = names_of(self.analysis, destination, difference.workloads.as_deref());
        let mut comparisons = Vec::new();
        'pairs: for from in &sources {
            for to in &destinations {
                if comparisons.len() >= room {
                    break 'pairs;
                }
                let itself = source == destination && from == to;
                if itself && self.is_one_pod(source, from) {
                    continue;
                }
                comparisons.push(Comparison {
                    source: from.clone(),
                    destination: to.clone(),
                    relation: difference.relation,
                    verdict: difference.verdict,
                    before: difference.before.to_string(),
                    after: difference.after.to_string(),
                    difference: difference.changed.to_string(),
                    example: example.clone(),
                    because: told.because.clone(),
                    policies: Arc::clone(&told.policies),
                });
            }
        }
        comparisons
    }

    /// Whether an endpoint has a single pod in a class.
    fn is_one_pod(&self, class: Node, endpoint: &str) -> bool {
        let setting = self.analysis.setting;
        let workloads = self.analysis.universe.classes().get(class);
        let workloads = workloads.into_iter().flat_map(|c| &c.workloads);
        let mut own =
            workloads.filter(|&&w| name_of(self.analysis, w).as_deref() == Some(endpoint));
        match (own.next(), own.next()) {
            (Some(&one), None) => {
                let kind = setting.world.workloads.get(one).map(|w| w.kind);
                kind == Some(WorkloadKind::Pod)
            }
            _ => false,
        }
    }

    fn cause(&self, difference: &Difference, source: Node) -> Cause {
        let destination = difference.destination;
        for node in [source, destination] {
            if self.analysis.is_imagined(node) {
                let who = names(self.analysis, node).join(", ");
                let because =
                    format!("no pod of the input is `{who}`, so its identity is not known");
                let fix = "add the manifests of these pods with `-f`".to_owned();
                return (&codes::UNKNOWN_PEER, because, vec![fix]);
            }
        }
        match (difference.doubt, difference.verdict) {
            (Some(Doubt::Peer), _) => self.doubtful_peer(difference, source),
            (Some(Doubt::Authorization), _) => self.doubtful_authorization(difference, source),
            (None, Verdict::Lost) => self.lost(difference, source),
            (None, _) => self.gained(difference, source),
        }
    }

    fn doubtful_peer(&self, difference: &Difference, source: Node) -> Cause {
        let class = |node: Node| self.analysis.universe.classes().get(node);
        let ends = [source, difference.destination];
        for node in ends {
            if class(node).is_some_and(|c| c.host_network) {
                let who = names(self.analysis, node).join(", ");
                let because =
                    format!("how policies see `{who}` on the node's network is not defined");
                return (&codes::UNKNOWN_HOST_NETWORK, because, Vec::new());
            }
        }
        if class(difference.destination).is_none() {
            let because = "whether these addresses are of pods alone cannot be told from the input";
            let fix = "name the addresses of pods with `--pod-cidr`";
            let (because, fixes) = (because.to_owned(), vec![fix.to_owned()]);
            return (&codes::UNKNOWN_ADDRESS_BLOCK, because, fixes);
        }
        let world = &self.analysis.setting.world;
        for node in ends {
            let namespace = class(node)
                .map(|c| c.namespace.as_str())
                .unwrap_or_default();
            let declared = world.namespaces.get(namespace).is_none_or(|n| n.declared);
            if !declared && self.asks_for_labels(source, difference) {
                let because = format!("the labels of namespace `{namespace}` are not in the input");
                let fix = format!("add the Namespace `{namespace}` with `-f`");
                return (&codes::UNKNOWN_NAMESPACE, because, vec![fix]);
            }
        }
        let known = self
            .analysis
            .setting
            .assumptions
            .blocks_match_pods
            .is_some();
        let (because, fix) = if known {
            (
                "whether the pods have addresses of an `ipBlock` cannot be told from the input",
                "name the addresses of pods with `--pod-cidr`",
            )
        } else {
            (
                "whether an `ipBlock` matches pods depends on the network plugin",
                "name the network plugin with `--cni`",
            )
        };
        let because = because.to_owned();
        (&codes::UNKNOWN_ADDRESS_BLOCK, because, vec![fix.to_owned()])
    }

    /// Whether policies that govern a pair select namespaces by labels other than their name.
    fn asks_for_labels(&self, source: Node, difference: &Difference) -> bool {
        let mut governing = self.responsible.governing(source, difference);
        governing.any(|p| p.rules().any(crate::model::Rule::asks_for_namespace_labels))
    }

    fn doubtful_authorization(&self, difference: &Difference, source: Node) -> Cause {
        let policies = self.responsible.refusing(source, difference);
        let names: Vec<String> = policies.iter().map(|p| format!("`{p}`")).collect();
        let because = format!(
            "what {} does to these connections, today or in the mesh, cannot be told from the input",
            names.join(", ")
        );
        (&codes::UNKNOWN_AUTHORIZATION, because, Vec::new())
    }

    fn lost(&self, difference: &Difference, source: Node) -> Cause {
        let policies = self.responsible.authorization(source, difference);
        if difference.refused
            && let Some(policy) = policies.first()
        {
            let because = format!(
                "`{}` refuses these connections, and nothing enforces it today",
                policy.reference()
            );
            return (&codes::LOST_TO_AUTHORIZATION, because, Vec::new());
        }
        let left_over = self.left_over(difference);
        if !left_over.is_empty() {
            let names: Vec<String> = left_over.iter().map(|r| format!("`{r}`")).collect();
            let names = names.join(", ");
            let because = format!("{names} of an earlier run would refuse connections of today");
            let fix = format!("delete {names}: the plan does not need it any more");
            return (&codes::LOST, because, vec![fix]);
        }
        let because = "connections of today would be refused".to_owned();
        (&codes::LOST, because, Vec::new())
    }

    /// Limits of an earlier run on the destination that this plan does not make.
    fn left_over(&self, difference: &Difference) -> Vec<ObjectRef> {
        let world = &self.analysis.setting.world;
        let applies = |p: &&&AuthorizationPolicy| {
            let mut workloads = difference.to_workloads(self.analysis);
            workloads.any(|w| {
                let workload = world.workloads.get(w);
                workload.is_some_and(|w| selects(p, &w.meta.namespace, &w.pod.labels))
            })
        };
        let left_over = self.left_over.iter().filter(applies);
        left_over.map(|p| p.reference()).collect()
    }

    fn gained(&self, difference: &Difference, source: Node) -> Cause {
        let destination = difference.destination;
        if difference.relation == Relation::Plaintext {
            let tunnel = PortSet::port(crate::model::Protocol::Tcp, ambient_facts::ports::HBONE);
            if !tunnel.includes(&difference.changed) {
                let because = "policies that are added allow it in the clear".to_owned();
                return (&codes::GAINED_IN_PLAINTEXT, because, Vec::new());
            }
            if destination >= self.analysis.universe.classes().len() {
                let because =
                    "the tunnel's port is opened for pods in a block that holds others as well";
                let fix = "select the pods by labels in place of the block".to_owned();
                return (&codes::GAINED_IN_PLAINTEXT, because.to_owned(), vec![fix]);
            }
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
        if self.responsible.refuses_today(source, difference) {
            let policies = self.responsible.refusing(source, difference);
            let names: Vec<String> = policies.iter().map(|p| format!("`{p}`")).collect();
            let then = if self.analysis.has_proxy_today(source) == Some(true) {
                "nothing does in the mesh"
            } else {
                "the client gets an identity"
            };
            let because = format!(
                "sidecars refuse these connections today, by {}, and {then}",
                names.join(", ")
            );
            return (&codes::GAINS_IDENTITY, because, Vec::new());
        }
        let mut workloads = difference.to_workloads(self.analysis);
        if workloads.any(|w| self.limits.unselectable.contains(&w)) {
            let because = "no labels select these pods and no others of their namespace".to_owned();
            return (&codes::SELECTOR_NOT_EXPRESSIBLE, because, Vec::new());
        }
        let among = |known: &BTreeMap<Node, PortSet>| {
            let ports = known.get(&destination);
            ports.is_some_and(|ports| !ports.intersection(&difference.changed).is_empty())
        };
        if among(&self.limits.unlisted) {
            let because =
                "the ports are too many to be listed in an AuthorizationPolicy".to_owned();
            return (&codes::PORT_LIST_TOO_LONG, because, Vec::new());
        }
        if let Some(cause) = self.shared_account(difference, source) {
            return cause;
        }
        if among(&self.limits.unnamed) {
            let because =
                "who else may use these ports cannot be named in an AuthorizationPolicy".to_owned();
            let fix = "add the manifests of all peers of the policies with `-f`".to_owned();
            return (&codes::GAINED, because, vec![fix]);
        }
        if self.leads_to_pods(difference) {
            let because =
                "the waypoint takes connections to the addresses of pods, and no policy at \
                           it tells these pods from others"
                    .to_owned();
            let fix = format!(
                "give the pods the label `{}: none`, or let the Gateway take Services only with \
                 `{}: service`",
                labels::USE_WAYPOINT,
                labels::WAYPOINT_FOR
            );
            return (&codes::GAINED, because, vec![fix]);
        }
        if difference.relation == Relation::Waypoint {
            let because = "the waypoint leads to pods with different limits".to_owned();
            return (&codes::SPLIT_SERVICE, because, Vec::new());
        }
        let because = "the tunnel carries ports that the network policies refuse".to_owned();
        (&codes::GAINED, because, Vec::new())
    }

    /// Whether it is about a way through a waypoint that is taken to the addresses of pods.
    fn leads_to_pods(&self, difference: &Difference) -> bool {
        let ways = self.analysis.ways_to(difference.destination);
        let way = difference.way.and_then(|way| ways.get(way));
        way.is_some_and(|way| way.asked == Asked::Pod)
    }

    /// Another source under the same service account may use the ports today.
    fn shared_account(&self, difference: &Difference, source: Node) -> Option<Cause> {
        let analysis = self.analysis;
        let party = *analysis.party_of.get(source)?;
        let others = analysis.nodes_of_party.get(party)?.iter().copied();
        let twin = others.filter(|&n| n != source).find(|&twin| {
            let today = analysis.value_at(twin, difference.destination).before.high;
            let today = analysis.sets.get(today);
            !today.intersection(&difference.changed).is_empty()
        })?;
        let twin = names(analysis, twin).into_iter().next()?;
        let class = analysis.universe.classes().get(source)?;
        let account = class.service_account.as_deref().unwrap_or_default();
        let because = format!(
            "`{twin}` runs under the same service account `{}/{account}` and may use the ports",
            class.namespace
        );
        let fix = give_own_account(analysis, source);
        Some((&codes::SHARED_SERVICE_ACCOUNT, because, vec![fix]))
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
        let network = || policies.iter().filter(|p| p.kind == "NetworkPolicy");
        let policy = network()
            .find(|p| p.namespace.as_deref() == namespace)
            .or(network().next())
            .and_then(|r| self.responsible.find(r));
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

/// How to tell the pods of a node from others in the mesh: with the field that has to change.
fn give_own_account(analysis: &Analysis<'_, '_>, node: Node) -> String {
    let class = analysis.universe.classes().get(node);
    let workloads = class.into_iter().flat_map(|c| &c.workloads);
    let endpoints = &analysis.setting.endpoints;
    let endpoints = workloads
        .filter_map(|&w| endpoints.get(endpoints.of_workload(w)?))
        .collect::<BTreeSet<_>>();
    let quoted: Vec<String> = names(analysis, node)
        .iter()
        .map(|n| format!("`{n}`"))
        .collect();
    let fields: BTreeSet<&str> = endpoints
        .into_iter()
        .map(|e| WorkloadKind::parse(&e.kind).map_or("spec.template.spec", WorkloadKind::pod_spec))
        .collect();
    let fields: Vec<String> = fields
        .into_iter()
        .map(|field| format!("`{field}.serviceAccountName`"))
        .collect();
    format!(
        "give {} a service account of its own in {}",
        quoted.join(", "),
        fields.join(" or ")
    )
}
