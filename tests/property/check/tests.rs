//! The checks see what they are there for: plans that are wrong in one way each.

mod newcomers;
mod proxies;

use std::sync::Arc;

use kubectl_ambient::finding::{CATALOGUE, Finding, Severity, codes};
use kubectl_ambient::model::{Endpoints, ObjectRef, Origin, Workload, World};
use kubectl_ambient::plan::{Comparison, NamespacePlan, Plan, Relation, Verdict};
use kubectl_ambient::yaml::Format;
use serde_json::{Value, json};

use super::claims::Claims;
use super::in_the_clear::changes_from_outside;
use super::mesh::Certainty;
use super::{Case, Migration, Outcome, Summary, check, compare};
use crate::generate::{self, Authorization, Cluster, File, Request};
use crate::objects;

/// A migration whose outcome is written down.
struct Scripted {
    after: Vec<File>,
    claims: Vec<Comparison>,
}

impl Migration for Scripted {
    fn migrate(&self, files: &[File], request: &Request) -> Result<Outcome, String> {
        let world = super::read(files)?;
        let mut plan = enrol_everything(&world, request);
        state(&mut plan, self.claims.clone());
        Ok(Outcome {
            plan,
            world,
            after: self.after.clone(),
        })
    }
}

/// A plan that enrols every namespace that is not excluded.
fn enrol_everything(world: &World, request: &Request) -> Plan {
    let names = world.namespaces.keys();
    let namespaces = names.map(|name| {
        let enrolled = !request.exclude.contains(name);
        let of_namespace = || world.workloads.iter().filter(|w| w.meta.namespace == *name);
        let out = of_namespace().filter(|w| {
            let mode = w.pod.labels.get("istio.io/dataplane-mode");
            w.pod.host_network || mode.is_some_and(|m| m == "none")
        });
        let endpoints = Endpoints::of(world);
        let printed = |w: &Workload| {
            let index = world.workloads.iter().position(|other| other == w)?;
            let endpoint = endpoints.get(endpoints.of_workload(index)?)?;
            Some((endpoint.to_string(), "it says so".to_owned()))
        };
        NamespacePlan {
            name: name.clone(),
            enrolled,
            labelled: false,
            reason: if enrolled { "" } else { "excluded" }.to_owned(),
            in_mesh: 0,
            staying_out: out.filter_map(printed).collect(),
            waypoint: None,
        }
    });
    Plan {
        namespaces: namespaces.collect(),
        ..Plan::default()
    }
}

/// Puts claims into a plan, and refuses it if it gains.
fn state(plan: &mut Plan, claims: Vec<Comparison>) {
    if claims.iter().any(|c| c.verdict == Verdict::Gained) {
        find(plan, ObjectRef::cluster("Namespace", "shop"));
    }
    plan.proof.differences = claims;
}

/// Says something grave about an object.
fn find(plan: &mut Plan, subject: ObjectRef) {
    let code = CATALOGUE.iter().find(|c| c.severity == Severity::Error);
    let message = "there is something".to_owned();
    let finding = Finding::new(code.unwrap(), subject, Origin::synthetic(), message);
    plan.findings.push(finding);
}

fn yaml(text: &str) -> Vec<File> {
    vec![File {
        name: "all.yaml".to_owned(),
        text: text.to_owned(),
        format: Format::Yaml,
    }]
}

const PODS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {containers: [{name: main}]}
---
";
const POLICY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{ipBlock: {cidr: 203.0.113.0/24}}]
    ports: [{port: 80}]
  - ports:
    - port: 5432
";
const TUNNEL: &str = "    - port: 15008\n";
const LIMIT: &str = "---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: db, namespace: shop}
spec:
  selector: {matchLabels: {app: db}}
  action: DENY
  rules:
  - from: [{source: {principals: ['*']}}]
    to: [{operation: {notPorts: ['5432']}}]
";

fn claim(verdict: Verdict, difference: &str) -> Comparison {
    Comparison {
        source: "shop/web[Deployment]".to_owned(),
        destination: "shop/db[Pod]".to_owned(),
        relation: Relation::Tunnel,
        verdict,
        before: String::new(),
        after: String::new(),
        difference: difference.to_owned(),
        example: String::new(),
        because: String::new(),
        policies: Arc::default(),
    }
}

/// What the checks say about a plan that leaves this after `PODS` and `POLICY`, and that was not
/// asked to restore limits.
fn verdict(after: &str, claims: Vec<Comparison>) -> String {
    verdict_on(after, claims, Authorization::None)
}

fn verdict_on(after: &str, claims: Vec<Comparison>, authorization: Authorization) -> String {
    let scripted = Scripted {
        after: yaml(&format!("{PODS}{after}")),
        claims,
    };
    let before = yaml(&format!("{PODS}{POLICY}"));
    let request = Request {
        authorization,
        ..Request::default()
    };
    match check(&scripted, &before, &request) {
        Ok(summary) => format!("{} pairs, {} gained", summary.pairs, summary.gained),
        Err(violations) => violations.join("\n"),
    }
}

#[test]
fn a_right_plan_passes() {
    let after = format!("{POLICY}{TUNNEL}{LIMIT}");
    insta::assert_snapshot!(verdict(&after, vec![]), @"3 pairs, 0 gained");
}

#[test]
fn a_plan_that_opens_nothing_loses() {
    insta::assert_snapshot!(verdict(POLICY, vec![]), @"shop/web[Deployment] => shop/db[Pod] by tunnel: TCP 5432 lost and not reported");
}

#[test]
fn a_plan_that_only_opens_the_tunnel_gains() {
    let after = format!("{POLICY}{TUNNEL}");
    insta::assert_snapshot!(verdict(&after, vec![]), @"shop/web[Deployment] => shop/db[Pod] by tunnel: TCP 1,2,52,54,79,80,81,5431,5433,15000,15002,15005,15007,15009,15052,15053,15054,15079,15081,65534,65535 gained and not reported");
    let all_others = claim(Verdict::Gained, "TCP 1-5431,5433-65535");
    insta::assert_snapshot!(verdict(&after, vec![all_others]), @"3 pairs, 1 gained");
    let too_many = claim(Verdict::Gained, "TCP 1-65535");
    insta::assert_snapshot!(verdict(&after, vec![too_many]), @"shop/web[Deployment] => shop/db[Pod] by tunnel: TCP 5432 reported as gained and not gained");
}

#[test]
fn a_gain_that_a_policy_could_refuse_is_seen() {
    let after = format!("{POLICY}{TUNNEL}");
    let said = vec![claim(Verdict::Gained, "TCP 1-5431,5433-65535")];
    insta::assert_snapshot!(verdict_on(&after, said, Authorization::Deny), @"shop/web[Deployment] => shop/db[Pod] by tunnel: TCP 1,2,52,54,79,80,81,5431,5433,15000,15002,15005,15007,15009,15052,15053,15054,15079,15081,65534,65535 gained, and a policy could refuse it");
}

#[test]
fn a_limit_that_is_too_tight_loses() {
    let after = format!("{POLICY}{TUNNEL}{}", LIMIT.replace("5432", "5433"));
    insta::assert_snapshot!(verdict(&after, vec![]), @r#"
    shop/web[Deployment] => shop/db[Pod] by tunnel: TCP 5433 gained and not reported
    shop/web[Deployment] => shop/db[Pod] by tunnel: TCP 5432 lost and not reported
    "#);
}

#[test]
fn a_limit_without_its_guard_changes_plaintext() {
    let guard = "from: [{source: {principals: ['*']}}]\n    to:";
    let after = format!("{POLICY}{TUNNEL}{}", LIMIT.replace(guard, "to:"));
    insta::assert_snapshot!(verdict(&after, vec![]), @"203.0.113.0 => shop/db[Pod]: TCP 80 in the clear passes before, is denied by authorization policies after");
}

#[test]
fn an_allowance_for_the_whole_namespace_isolates_pods() {
    let blanket = "---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: tunnel, namespace: shop}
spec: {podSelector: {}, ingress: [{ports: [{port: 15008}]}]}
";
    let after = format!("{POLICY}{LIMIT}{blanket}");
    insta::assert_snapshot!(verdict(&after, vec![]), @r#"
    Ingress isolation of shop/web[Deployment] changes from false to true
    shop/db[Pod] => shop/web[Deployment]: SCTP 1 in the clear passes before, is denied by network policies after
    192.0.2.77 => shop/web[Deployment]: SCTP 1 in the clear passes before, is denied by network policies after
    2001:4860::1 => shop/web[Deployment]: SCTP 1 in the clear passes before, is denied by network policies after
    203.0.113.0 => shop/web[Deployment]: SCTP 1 in the clear passes before, is denied by network policies after
    shop/web[Deployment] => shop/web[Deployment]: SCTP 1 in the clear passes before, is denied by network policies after
    "#);
}

#[test]
fn an_edit_that_replaces_is_seen() {
    let after = format!("{}{LIMIT}", POLICY.replace("5432", "54320"));
    insta::assert_snapshot!(verdict(&after, vec![]), @r#"
    all.yaml: the edit changes `[2].spec.ingress[1].ports[0].port`
    192.0.2.77 => shop/db[Pod]: TCP 5432 in the clear passes before, is denied by network policies after
    2001:4860::1 => shop/db[Pod]: TCP 5432 in the clear passes before, is denied by network policies after
    203.0.113.0 => shop/db[Pod]: TCP 5432 in the clear passes before, is denied by network policies after
    shop/web[Deployment] => shop/db[Pod]: TCP 5432 in the clear passes before, is denied by network policies after
    shop/web[Deployment] => shop/db[Pod] by tunnel: TCP 5432 lost and not reported
    "#);
}

#[test]
fn a_claim_about_a_pair_that_does_not_exist_is_seen() {
    let after = format!("{POLICY}{TUNNEL}{LIMIT}");
    let mut stray = claim(Verdict::Gained, "TCP 80");
    stray.destination = "shop/cache[Pod]".to_owned();
    insta::assert_snapshot!(verdict(&after, vec![stray]), @"shop/web[Deployment] => shop/cache[Pod] by tunnel: reported, and cannot differ");
    let mut plaintext = claim(Verdict::Lost, "TCP 80");
    plaintext.relation = Relation::Plaintext;
    insta::assert_snapshot!(verdict(&after, vec![plaintext]), @"shop/web[Deployment] => shop/db[Pod] by plaintext: reported, and not so");
}

/// Opens the tunnel's port wherever a rule names TCP ports, restores no limit, and says truly what
/// that does.
struct Candid {
    /// Leave out the last thing that there is to say.
    silent: bool,
}

impl Migration for Candid {
    fn migrate(&self, files: &[File], request: &Request) -> Result<Outcome, String> {
        let world = super::read(files)?;
        let mut after = files.to_vec();
        for file in &mut after {
            let mut objects = file.objects()?;
            objects.iter_mut().for_each(open_tunnel);
            file.text = write(&objects);
        }
        let after_world = super::read(&after)?;
        let mut plan = enrol_everything(&world, request);
        for namespace in world.namespaces.values().filter(|n| !n.declared) {
            let subject = namespace.meta.reference("Namespace");
            let message = "it is not there".to_owned();
            let code = &codes::NAMESPACE_UNDECLARED;
            plan.findings
                .push(Finding::new(code, subject, Origin::synthetic(), message));
        }
        let case = Case {
            before: &world,
            existing: &world,
            is_new: true,
            after: &after_world,
            plan: &plan,
            request,
        };
        let outside = changes_from_outside(&case).into_iter();
        let fates = compare(&case, &Claims::of(&Plan::default())?).0;
        let outside = outside.map(|(address, destination, port, verdict)| Comparison {
            source: format!("{address}-{address}"),
            destination,
            relation: Relation::Plaintext,
            ..claim(verdict, &format!("TCP {port}"))
        });
        let mut claims: Vec<Comparison> = outside.collect();
        for ((source, destination, relation), ports) in fates.by_pair {
            for (port, fate) in ports {
                let sides = [(fate.gained, Verdict::Gained), (fate.lost, Verdict::Lost)];
                for (certainty, verdict) in sides {
                    let verdict = match certainty {
                        Certainty::Never => continue,
                        Certainty::Sometimes => Verdict::Unknown,
                        Certainty::Always => verdict,
                    };
                    let difference = format!("{} {}", port.protocol, port.number);
                    claims.push(Comparison {
                        source: source.clone(),
                        destination: destination.clone(),
                        relation,
                        ..claim(verdict, &difference)
                    });
                }
            }
        }
        // What may be lost or gained is said once.
        claims.dedup();
        if self.silent && claims.pop().is_none() {
            return Err("there is nothing to be silent about".to_owned());
        }
        state(&mut plan, claims);
        Ok(Outcome { plan, world, after })
    }
}

fn open_tunnel(object: &mut Value) {
    let tunnel = json!({ "port": 15008, "protocol": "TCP" });
    for direction in ["ingress", "egress"] {
        let rules = object["spec"][direction].as_array_mut();
        for rule in rules.into_iter().flatten() {
            // Hosts outside are nothing that this plan speaks of.
            let leads_outside = direction == "egress"
                && rule["to"].as_array().is_none_or(|to| {
                    to.is_empty() || to.iter().any(|peer| peer["ipBlock"].is_object())
                });
            let Some(ports) = rule["ports"].as_array_mut().filter(|_| !leads_outside) else {
                continue;
            };
            let tcp = |p: &Value| p["protocol"].is_null() || p["protocol"] == "TCP";
            if ports.iter().any(tcp) && !ports.contains(&tunnel) {
                ports.push(tunnel.clone());
            }
        }
    }
}

fn write(objects: &[Value]) -> String {
    let texts: Vec<_> = objects
        .iter()
        .map(|object| format!("{object:#}\n"))
        .collect();
    texts.concat()
}

fn as_json(cluster: &Cluster) -> Vec<File> {
    vec![File {
        name: "all.json".to_owned(),
        text: write(&cluster.objects),
        format: Format::Json,
    }]
}

#[test]
fn a_naive_plan_that_tells_the_truth_passes_and_one_that_keeps_something_silent_does_not() {
    let mut total = Summary::default();
    let mut silenced = 0;
    for seed in 0..40 {
        let mut cluster = crate::prove::cluster(seed);
        cluster.request.authorization = Authorization::None;
        let files = as_json(&cluster);
        if files[0].text.contains("\"containerPort\": 15008") {
            continue;
        }
        let told = check(&Candid { silent: false }, &files, &cluster.request);
        match told {
            Ok(summary) => total += summary,
            Err(violations) => panic!("seed {seed}: {violations:#?}\n{}", files[0].text),
        }
        let kept = check(&Candid { silent: true }, &files, &cluster.request).unwrap_err();
        silenced += u32::from(kept.iter().any(|v| v.contains("and not reported")));
    }
    // The clusters are worth something only when there is much to say.
    assert!(silenced > 10, "{silenced} of 40: {total:?}");
    assert!(total.gained > 100, "{total:?}");
}

/// The generator writes the objects that it means.
#[test]
fn a_cluster_reads_the_same_from_json() {
    let cluster = crate::prove::cluster(7);
    let read = super::read(&as_json(&cluster)).unwrap();
    let meant = objects::world(&cluster.objects);
    assert_eq!(super::same_world(&meant, &read), Vec::<String>::new());
    assert!(!generate::files(&cluster).is_empty());
}
