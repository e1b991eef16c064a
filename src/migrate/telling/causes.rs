//! Why pairs differ: told as people need it, with what to do and by which policies.

use std::collections::BTreeSet;
use std::sync::Arc;

use ambient_facts::labels;

use super::deciding::Deciding;
use super::reasons::{About, Reason, Reasons};
use super::responsible::Refusing;
use crate::migrate::analysis::Analysis;
use crate::migrate::analysis::naming::{name_of, names, names_of};
use crate::migrate::limits::restore::Limits;
use crate::migrate::proof::differences::Difference;
use crate::model::{AuthorizationPolicy, Maker, ObjectRef, Origin, WorkloadKind, includes};
use crate::netpol::{Node, PortSet};
use crate::plan::{Comparison, Relation, Verdict};

/// Tells differences, one source at a time.
pub(crate) struct Teller<'t, 's, 'w> {
    analysis: &'t Analysis<'s, 'w>,
    pub(crate) reasons: Reasons<'t, 's, 'w>,
    deciding: Deciding<'t, 's, 'w>,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// A network policy, by its index.
    Policy(usize),
    /// A policy of Istio.
    Refusing(Refusing),
    /// A workload, by its index.
    Workload(usize),
    /// Neither is known.
    World,
}

impl<'t, 's, 'w> Teller<'t, 's, 'w> {
    pub(crate) fn new(analysis: &'t Analysis<'s, 'w>, limits: &'t Limits) -> Self {
        Self {
            analysis,
            reasons: Reasons::new(analysis, limits),
            deciding: Deciding::new(analysis),
        }
    }

    /// What the finding is about: the policy that refuses it, or whose rule decides, or the
    /// destination where no policy governs the pair.
    pub(crate) fn subject(
        &mut self,
        difference: &Difference,
        about: &mut About<'_, 't>,
        source: Node,
        reason: Reason<'t>,
    ) -> Subject {
        let refusing = match reason {
            Reason::Authorization | Reason::Refused | Reason::Identity => {
                self.reasons.refusing(about, source)
            }
            Reason::LeftOver => {
                let left_over = self.reasons.first_left_over(difference);
                left_over.map(Refusing::Authorization)
            }
            _ => None,
        };
        if let Some(refusing) = refusing {
            return Subject::Refusing(refusing);
        }
        let ends = self.reasons.ends(about, source);
        let governing = &self.reasons.responsible.governing;
        let rules = &mut about.rules;
        let deciding = &mut self.deciding;
        if let Some(policy) = deciding.policy(governing, ends, source, difference, rules) {
            return Subject::Policy(policy);
        }
        let class = |node: Node| self.analysis.universe.classes().get(node);
        let described = class(difference.destination).or(class(source));
        let workload = described.and_then(|c| c.workloads.first());
        workload.map_or(Subject::World, |&w| Subject::Workload(w))
    }

    /// A subject as people know it, and where it is.
    pub(crate) fn named(&self, subject: Subject) -> (ObjectRef, Origin) {
        let world = &*self.analysis.setting.world;
        let known = match subject {
            Subject::Policy(index) => {
                let policy = self.reasons.responsible.governing.policy(index);
                policy.map(|p| (p.reference(), p.meta.origin.clone()))
            }
            Subject::Refusing(Refusing::Authorization(index)) => {
                let policy = world.authorization_policies.get(index);
                policy.map(|p| (p.reference(), p.meta.origin.clone()))
            }
            Subject::Refusing(Refusing::Peer(index)) => {
                let policy = world.peer_authentications.get(index);
                policy.map(|p| {
                    (
                        p.meta.reference("PeerAuthentication"),
                        p.meta.origin.clone(),
                    )
                })
            }
            Subject::Workload(index) => {
                let workload = world.workloads.get(index);
                workload.map(|w| (w.reference(), w.meta.origin.clone()))
            }
            Subject::World => None,
        };
        known.unwrap_or_else(|| (ObjectRef::cluster("World", ""), Origin::synthetic()))
    }

    /// The policies responsible for a difference at one of its sources.
    fn policies(&mut self, difference: &Difference, source: Node) -> Arc<[ObjectRef]> {
        let policies = self.reasons.responsible.policies(source, difference);
        if difference.verdict != Verdict::Lost {
            return policies;
        }
        let left_over = self.reasons.left_over(difference);
        let left_over: Vec<ObjectRef> = left_over.map(AuthorizationPolicy::reference).collect();
        if left_over.is_empty() {
            return policies;
        }
        left_over
            .into_iter()
            .chain(policies.iter().cloned())
            .collect()
    }

    /// The pairs of endpoints that it is told of, no more than `room`: two classes of thousands have
    /// millions.
    pub(crate) fn list(
        &mut self,
        difference: &Difference,
        source: Node,
        because: &str,
        room: usize,
    ) -> Vec<Comparison> {
        let destination = difference.destination;
        let policies = self.policies(difference, source);
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
                    because: because.to_owned(),
                    policies: Arc::clone(&policies),
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

    /// A reason in one sentence.
    pub(crate) fn because(
        &self,
        reason: Reason<'_>,
        difference: &Difference,
        source: Node,
    ) -> String {
        let named = |node: Node| names(self.analysis, node).join(", ");
        let because = match reason {
            Reason::Imagined(node) => {
                let who = named(node);
                return format!("no pod of the input is `{who}`, so its identity is not known");
            }
            Reason::HostNetwork(node) => {
                let who = named(node);
                return format!("how policies see `{who}` on the node's network is not defined");
            }
            Reason::NamespaceLabels(namespace) => {
                return format!("the labels of namespace `{namespace}` are not in the input");
            }
            Reason::Authorization => {
                return format!(
                    "what {} does to these connections, today or in the mesh, cannot be told from the input",
                    self.refusing(difference, source)
                );
            }
            Reason::Refused => {
                let responsible = &self.reasons.responsible;
                return responsible.refusal(source, difference).unwrap_or_default();
            }
            Reason::LeftOver => {
                return format!(
                    "{} of an earlier run would refuse connections of today",
                    self.left_over(difference)
                );
            }
            Reason::Identity => {
                let responsible = &self.reasons.responsible;
                let is_plain = difference.relation == Relation::Plaintext;
                let then = if is_plain && !responsible.enters_mesh(difference) {
                    "the client loses its identity"
                } else if is_plain || responsible.knows_today(source, difference) {
                    "nothing does in the mesh"
                } else {
                    "the client gets an identity"
                };
                let by = self.refusing(difference, source);
                return if responsible.is_captured_today(difference) {
                    format!("ztunnel refuses these connections today, by {by}, and {then}")
                } else {
                    format!("sidecars refuse these connections today, by {by}, and {then}")
                };
            }
            Reason::SharedAccount { twin, source } => return self.shared_account(twin, source),
            Reason::AddressesOfPods => {
                "whether these addresses are of pods alone cannot be told from the input"
            }
            Reason::Block if self.plugin_is_known() => {
                "whether the pods have addresses of an `ipBlock` cannot be told from the input"
            }
            Reason::Block => "whether an `ipBlock` matches pods depends on the network plugin",
            Reason::TakesTunnel => {
                "whether the sidecar takes the tunnel cannot be told from the input"
            }
            Reason::Carried => {
                "the tunnel carries this today, no network policy lists it, and limits would refuse it"
            }
            Reason::Lost => "connections of today would be refused",
            Reason::InPlaintext => "policies that are added allow it in the clear",
            Reason::BlockOpened => {
                "the tunnel's port is opened for pods in a block that holds others as well"
            }
            Reason::Listening => "an application listens on the port that is opened for the tunnel",
            Reason::NoLimits => "no AuthorizationPolicy limits what the tunnel carries",
            Reason::NotSelectable => "no labels select these pods and no others of their namespace",
            Reason::TooManyPorts => "the ports are too many to be listed in an AuthorizationPolicy",
            Reason::Unnamed => {
                "who else may use these ports cannot be named in an AuthorizationPolicy"
            }
            Reason::WayToPods => {
                "the waypoint takes connections to the addresses of pods, and no policy at it tells \
                 these pods from others"
            }
            Reason::SplitService => "the waypoint leads to pods with different limits",
            Reason::Gained => "the tunnel carries ports that the network policies refuse",
        };
        because.to_owned()
    }

    /// What to do about it, where more can be said than its code does.
    pub(crate) fn fix(&self, reason: Reason<'_>, difference: &Difference) -> Option<String> {
        let fix = match reason {
            Reason::NamespaceLabels(namespace) => {
                return Some(format!("add the Namespace `{namespace}` with `-f`"));
            }
            Reason::LeftOver => {
                let names = self.left_over(difference);
                return Some(format!(
                    "delete {names}: the plan does not need it any more"
                ));
            }
            Reason::SharedAccount { source, .. } => {
                return Some(give_own_account(self.analysis, source));
            }
            Reason::WayToPods => {
                return Some(format!(
                    "give the pods the label `{}: none`, or let the Gateway take Services only \
                     with `{}: service`",
                    labels::USE_WAYPOINT,
                    labels::WAYPOINT_FOR
                ));
            }
            Reason::Imagined(node) => match self.maker(node) {
                Some(maker) => {
                    return Some(format!(
                        "add a Deployment with the pod template of `{}` with `-f`: its kind is not \
                         analysed",
                        maker.object
                    ));
                }
                None => "add the manifests of these pods with `-f`",
            },
            Reason::AddressesOfPods => "name the addresses of pods with `--pod-cidr`",
            Reason::Block if self.plugin_is_known() => {
                "name the addresses of pods with `--pod-cidr`"
            }
            Reason::Block => "name the network plugin with `--cni`",
            Reason::TakesTunnel => {
                return Some(format!(
                    "write the label `{}: http` into the template of the pods, if their sidecars take it",
                    labels::TUNNEL
                ));
            }
            Reason::BlockOpened => "select the pods by labels in place of the block",
            Reason::Listening => "let the application listen on another port",
            Reason::NoLimits => "leave out `--authz none`",
            Reason::Unnamed => "add the manifests of all peers of the policies with `-f`",
            Reason::HostNetwork(_)
            | Reason::Authorization
            | Reason::Refused
            | Reason::Carried
            | Reason::Lost
            | Reason::InPlaintext
            | Reason::Identity
            | Reason::NotSelectable
            | Reason::TooManyPorts
            | Reason::SplitService
            | Reason::Gained => return None,
        };
        Some(fix.to_owned())
    }

    /// The object that makes the pods of an imagined class, where its kind is all that is not read.
    fn maker(&self, node: Node) -> Option<&'t Maker> {
        let world = &self.analysis.setting.world;
        let class = self.analysis.universe.classes().get(node)?;
        let imagined = world.workloads.get(*class.workloads.first()?)?;
        let labels = &imagined.pod.labels;
        let makes = |maker: &&Maker| {
            let namespace = maker.object.namespace.as_ref();
            namespace == Some(&imagined.meta.namespace) && includes(&maker.labels, labels)
        };
        world.makers.iter().find(makes)
    }

    fn plugin_is_known(&self) -> bool {
        let assumptions = &self.analysis.setting.assumptions;
        assumptions.blocks_match_pods.is_some()
    }

    /// The policies of Istio that may refuse connections of a source.
    fn refusing(&self, difference: &Difference, source: Node) -> String {
        let policies = self.reasons.responsible.refusing(source, difference);
        let names: Vec<String> = policies.iter().map(|p| format!("`{p}`")).collect();
        names.join(", ")
    }

    fn left_over(&self, difference: &Difference) -> String {
        let left_over = self.reasons.left_over(difference);
        let names: Vec<String> = left_over.map(|p| format!("`{}`", p.reference())).collect();
        names.join(", ")
    }

    fn shared_account(&self, twin: Node, source: Node) -> String {
        let class = self.analysis.universe.classes().get(source);
        let (namespace, account) = class.map_or(("", ""), |c| {
            let account = c.service_account.as_deref();
            (c.namespace.as_str(), account.unwrap_or_default())
        });
        let twin = names(self.analysis, twin).into_iter().next();
        format!(
            "`{}` runs under the same service account `{namespace}/{account}` and may use the ports",
            twin.unwrap_or_default(),
        )
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
