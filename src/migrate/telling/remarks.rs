//! What a plan says beside its steps: about probes, policies, plugins and namespaces.

use ambient_facts::addresses::{NODE_PROBE_V4, NODE_PROBE_V6};
use ambient_facts::{annotations, labels};

use crate::finding::{Finding, codes};
use crate::migrate::AuthzMode;
use crate::migrate::limits::restore::Limits;
use crate::migrate::opening::Opening;
use crate::migrate::opening::probes;
use crate::migrate::setting::Setting;
use crate::migrate::setting::cni::Cni;
use crate::migrate::setting::scope::{Membership, NamespaceState, StaysOut};
use crate::migrate::setting::unread::unknown;
use crate::migrate::setting::waypoints::{Binding, Waypoint, Waypoints};
use crate::migrate::tunnel_port;
use crate::model::{Meta, Namespace, NetworkPolicy, ObjectRef, Origin, Peer, World};
use crate::plan::{Comparison, NamespacePlan, Relation};

pub(crate) fn probe_findings(
    setting: &Setting<'_>,
    opening: &Opening,
    findings: &mut Vec<Finding>,
) {
    let needed = setting.cni.cni.needs_probe_rule();
    if needed == Some(false) {
        return;
    }
    let mut policies = opening.after.clone();
    let new = opening.added.iter().filter(|a| a.replaces.is_none());
    policies.extend(new.map(|a| a.policy.clone()));
    let code = if needed.is_none() {
        &codes::PROBES_CNI_UNKNOWN
    } else {
        &codes::PROBES_BLOCKED
    };
    for refused in probes::refused(setting, &policies) {
        let ports: Vec<String> = refused.ports.iter().map(ToString::to_string).collect();
        let message = format!(
            "`{}` isolates it, and its probes on port {} come from another address after enrolment",
            refused.policy.reference(),
            ports.join(", ")
        );
        let workload = refused.workload;
        let (subject, origin) = (workload.reference(), workload.meta.origin.clone());
        let mut finding = Finding::new(code, subject, origin, message);
        if needed.is_none() {
            finding.fixes = try_probes(setting);
        }
        findings.push(finding);
    }
}

/// What to do where the plugin is named and its answer to probes is not known all the same. Where it
/// is not named the code says it.
fn try_probes(setting: &Setting<'_>) -> Vec<String> {
    let plugin = setting.cni.cni;
    if plugin == Cni::Unknown && setting.options.cni.is_none() {
        return Vec::new();
    }
    let whose = match plugin {
        Cni::Unknown => "where nobody knows the plugin".to_owned(),
        Cni::CalicoEbpf => format!("with `{plugin}` before Calico 3.29"),
        _ => format!("with `{plugin}`, of which it is not known"),
    };
    vec![format!(
        "{whose}, enrol one pod first and see that its probes pass; if they do not, let \
         `{NODE_PROBE_V4}/32` in with an `ipBlock`"
    )]
}

/// Findings about policies and options themselves.
pub(crate) fn policy_findings(setting: &Setting<'_>, findings: &mut Vec<Finding>) {
    let world = &*setting.world;
    if setting.options.authz == AuthzMode::None {
        let limited = world.network_policies.iter().find(|p| {
            let mut rules = p.ingress.iter().chain(&p.egress);
            rules.any(tunnel_port::grants_some_tcp)
        });
        if let Some(policy) = limited {
            findings.push(Finding::new(
                &codes::AUTHORIZATION_DISABLED,
                policy.reference(),
                policy.meta.origin.clone(),
                "`--authz none` leaves port limits to nobody inside the tunnel".to_owned(),
            ));
        }
    }
    for policy in &world.network_policies {
        let selects = |&index: &usize| {
            let workload = world.workloads.get(index);
            !setting.is_imagined(index)
                && workload
                    .is_some_and(|w| !w.terminated && policy.pod_selector.matches(&w.pod.labels))
        };
        if !setting
            .workloads_of(&policy.meta.namespace)
            .iter()
            .any(selects)
        {
            findings.push(Finding::new(
                &codes::POLICY_SELECTS_NOTHING,
                policy.reference(),
                policy.meta.origin.clone(),
                "it selects no pod of the input; it is rewritten as if it selected one".to_owned(),
            ));
        }
    }
    for name in &setting.nameless {
        let Some(namespace) = world.namespaces.get(name) else {
            continue;
        };
        let is_given = |(name, _): &(&String, _)| !setting.nameless.contains(*name);
        let given = || world.namespaces.iter().filter(is_given);
        let asks = |peer: &Peer| match peer {
            Peer::Pods {
                namespaces: Some(selector),
                ..
            } => {
                let selects = |n: &Namespace| selector.matches(&n.meta.labels);
                !selector.is_empty() && selects(namespace) && !given().any(|(_, n)| selects(n))
            }
            _ => false,
        };
        for policy in world.network_policies_of_people() {
            let mut rules = policy.ingress.iter().chain(&policy.egress);
            let Some(rule) = rules.find(|r| r.peers.iter().any(asks)) else {
                continue;
            };
            findings.push(Finding::new(
                &codes::UNKNOWN_NAMESPACE,
                policy.reference(),
                policy.meta.origin.at(rule.line),
                format!("a rule is for {name}, and no Namespace of the input is one of them"),
            ));
        }
    }
    let asked = {
        let asked = |p: &NetworkPolicy| {
            let mut peers = p.ingress.iter().chain(&p.egress).flat_map(|r| &r.peers);
            peers.any(|peer| match peer {
                Peer::Pods {
                    namespaces: Some(selector),
                    ..
                } => selector.keys().any(|k| k != labels::NAMESPACE_NAME),
                _ => false,
            })
        };
        world.network_policies.iter().any(asked)
    };
    for (name, namespace) in &world.namespaces {
        if !namespace.declared && asked {
            findings.push(Finding::new(
                &codes::NAMESPACE_UNDECLARED,
                ObjectRef::cluster("Namespace", name),
                Origin::synthetic(),
                format!("the input does not hold namespace `{name}`, so of its labels only its name is known"),
            ));
        }
    }
}

/// Network policies that the plugin does not enforce, of a world that planning left them out of.
pub(crate) fn inert_policies(world: &World, setting: &Setting<'_>, findings: &mut Vec<Finding>) {
    if setting.cni.cni.enforces_policies() != Some(false) {
        return;
    }
    let plugin = setting.cni.cni;
    let message = match setting.cni.evidence.first() {
        Some(evidence) => format!(
            "`{plugin}`, which `{}` shows, does not enforce it; the plan leaves it out",
            evidence.object
        ),
        None => format!("`{plugin}` does not enforce it; the plan leaves it out"),
    };
    findings.extend(world.network_policies.iter().map(|policy| {
        let (subject, origin) = (policy.reference(), policy.meta.origin.clone());
        Finding::new(&codes::POLICY_INERT, subject, origin, message.clone())
    }));
}

/// Policy kinds that are not analysed make what they may touch unknown.
pub(crate) fn plugin_policies(
    setting: &Setting<'_>,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    let enforced = setting.world.plugin_policies.iter();
    for policy in enforced.filter(|p| !p.is_staged()) {
        let because = format!(
            "`{}` of group `{}` also decides about connections, and is not analysed",
            policy.kind, policy.group
        );
        let (object, origin) = (policy.reference(), policy.meta.origin.clone());
        let finding = Finding::new(&codes::UNKNOWN_PLUGIN_POLICY, object, origin, because);
        differences.push(undecided(Relation::Tunnel, &finding));
        findings.push(finding);
    }
    differences.sort();
}

/// Ways through waypoints that the comparison does not follow make what takes them unknown.
pub(crate) fn ways_not_analysed(
    setting: &Setting<'_>,
    differences: &mut Vec<Comparison>,
    findings: &mut Vec<Finding>,
) {
    let world = &*setting.world;
    let waypoints = Waypoints::new(world, &setting.planned);
    let not_analysed = |kind: &str, meta: &Meta, because: String| {
        let (object, origin) = (meta.reference(kind), meta.origin.clone());
        Finding::new(&codes::WAY_NOT_ANALYSED, object, origin, because)
    };
    let entries = world.networking.iter();
    let entries = entries
        .filter(|o| o.kind == "ServiceEntry")
        .filter_map(|entry| {
            let through = through(waypoints.of_entry(&entry.meta))?;
            let because = format!("connections to its hosts leave the cluster {through}");
            Some(not_analysed("ServiceEntry", &entry.meta, because))
        });
    // What stands behind these is listed by hand, and may be pods. A headless Service and an alias
    // have no address that could lead through a waypoint.
    let by_hand = world
        .services
        .iter()
        .filter(|s| s.selector.is_empty() && !s.headless && s.service_type != "ExternalName");
    let by_hand = by_hand.filter_map(|service| {
        let through = through(waypoints.of_service(service))?;
        let because = if service.is_api_server() {
            format!("its clients reach the API server {through}, whose address it sees")
        } else {
            format!("it has no selector, so what its clients reach {through} is not known")
        };
        let mut finding = not_analysed("Service", &service.meta, because);
        finding.fixes = vec![format!(
            "kubectl label service {} --namespace {} {}={}",
            service.meta.name,
            service.meta.namespace,
            labels::USE_WAYPOINT,
            labels::NONE
        )];
        Some(finding)
    });
    let sees_ports = setting.cni.cni.keeps_ports_visible();
    let seen = setting.waypoints.of_service.keys().filter(|_| sees_ports);
    let seen = seen.filter_map(|&service| {
        let because = "the network plugin sees the waypoint as the client of its pods".to_owned();
        let meta = &world.services.get(service)?.meta;
        Some(not_analysed("Service", meta, because))
    });
    for finding in entries.chain(by_hand).chain(seen) {
        differences.push(undecided(Relation::Waypoint, &finding));
        findings.push(finding);
    }
    differences.sort();
}

/// What a finding is about, as a comparison that came to nothing for its reason.
fn undecided(relation: Relation, finding: &Finding) -> Comparison {
    unknown(relation, &finding.subject, finding.message.clone())
}

/// Through which waypoint, if any.
fn through(binding: Binding<'_>) -> Option<String> {
    match binding {
        Binding::Bound(Waypoint {
            namespace, name, ..
        }) => Some(format!("through the waypoint `{namespace}/{name}`")),
        _ => None,
    }
}

/// Whether an earlier run made a policy for nothing but the probes of the kubelet.
pub(crate) fn lets_probes_in(policy: &NetworkPolicy) -> bool {
    let probe = |peer: &Peer| {
        let mut addresses = [NODE_PROBE_V4, NODE_PROBE_V6].into_iter();
        matches!(peer, Peer::Block { cidr, .. } if addresses.any(|a| *cidr == a.into()))
    };
    let mut rules = policy.rules();
    let only = rules.all(|rule| !rule.peers.is_empty() && rule.peers.iter().all(probe));
    policy.meta.is_ours() && !policy.ingress.is_empty() && only
}

/// What earlier runs made and this plan does not.
pub(crate) fn left_over(
    setting: &Setting<'_>,
    opening: &Opening,
    limits: &Limits,
    findings: &mut Vec<Finding>,
) {
    let world = &*setting.world;
    let mut report = |meta: &Meta, kind: &str| {
        let of = meta.annotation(annotations::COMPANION_OF);
        let message = format!(
            "an earlier run made it for `{}`, and the plan does not need it",
            of.unwrap_or_default()
        );
        let reference = meta.reference(kind);
        let origin = meta.origin.clone();
        findings.push(Finding::new(&codes::LEFT_OVER, reference, origin, message));
    };
    for (index, policy) in world.network_policies.iter().enumerate() {
        let mut added = opening.added.iter();
        let replaced = added.any(|a| a.policy.meta.is_same(&policy.meta));
        let needless = lets_probes_in(policy) && setting.cni.cni.needs_probe_rule() == Some(false);
        let kept = opening.kept.contains_key(&index) && !needless;
        if policy.meta.is_ours() && !replaced && !kept {
            report(&policy.meta, "NetworkPolicy");
        }
    }
    for policy in &world.authorization_policies {
        let mut wanted = limits.policies.iter();
        let wanted = wanted.any(|l| !l.is_spent && l.policy.meta.is_same(&policy.meta));
        if policy.meta.is_ours() && !wanted {
            report(&policy.meta, "AuthorizationPolicy");
        }
    }
}

pub(crate) fn namespaces(setting: &Setting<'_>) -> Vec<NamespacePlan> {
    let plan = |(name, state): (&str, &NamespaceState)| {
        let mut in_mesh = 0;
        let mut staying_out = Vec::new();
        for (id, endpoint) in setting
            .endpoints
            .iter()
            .filter(|(_, e)| e.namespace == name)
        {
            let synthetic = |w: &usize| {
                setting
                    .world
                    .workloads
                    .get(*w)
                    .is_none_or(|w| w.meta.origin.is_synthetic())
            };
            if endpoint.workloads.iter().all(synthetic) {
                continue;
            }
            match setting.scope.endpoint(id) {
                Membership::StaysOut(StaysOut::Namespace | StaysOut::Terminated) => {}
                Membership::StaysOut(why) => {
                    staying_out.push((endpoint.to_string(), why.to_string()));
                }
                Membership::Joins | Membership::JoinsWithoutSidecar => in_mesh += 1,
            }
        }
        let labelled = *state == NamespaceState::Labelled;
        let reason = match state {
            NamespaceState::LeftOut(why) => why.to_string(),
            NamespaceState::Enrolled if !setting.scope.enrols(name) => {
                if staying_out.is_empty() {
                    "no workload of the input is in it".to_owned()
                } else {
                    "all workloads of the input that are in it stay out of the mesh".to_owned()
                }
            }
            NamespaceState::Labelled | NamespaceState::Enrolled => String::new(),
        };
        let waypoint = setting.waypoints.of_namespace(&setting.world, name);
        NamespacePlan {
            name: name.to_owned(),
            enrolled: reason.is_empty(),
            labelled,
            reason,
            in_mesh,
            staying_out,
            waypoint: waypoint.map(|w| format!("{}/{}", w.namespace, w.name)),
        }
    };
    let namespaces = setting.scope.namespaces();
    namespaces
        .filter(|(name, _)| !setting.imagined_namespaces.contains(*name))
        .map(plan)
        .collect()
}
