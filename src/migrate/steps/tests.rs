use std::collections::BTreeSet;

use crate::finding::codes;
use crate::migrate::fixture::{Fixture, deployment, labels, meta};
use crate::migrate::{Options, WaypointRequest, plan};
use crate::model::{
    LabelSelector, NetworkPolicy, ObjectRef, Operator, PortMatch, PortRule, Protocol, Requirement,
    Rule, WorkloadKind,
};
use crate::plan::{ChangeAction, Edit};

/// The steps of the plan for a namespace with a waypoint, as text.
fn steps(enroll: bool, namespace_labels: &[(&str, &str)]) -> String {
    let options = Options {
        enroll,
        waypoints: vec![WaypointRequest {
            name: "waypoint".to_owned(),
            namespace: Some("shop".to_owned()),
        }],
        ..Options::default()
    };
    let mut fixture = Fixture::shop();
    let namespace = fixture.world.namespaces.get_mut("shop").unwrap();
    namespace.meta.labels.extend(labels(namespace_labels));
    let plan = plan(&fixture.world, &options);
    let mut lines = Vec::new();
    for step in &plan.steps {
        lines.push(format!("{:?}", step.kind));
        for change in &step.changes {
            lines.push(format!("  {}: {}", change.object, change.reason));
            let edits = match &change.action {
                ChangeAction::Edit { edits, .. } => edits.as_slice(),
                ChangeAction::Create { .. } | ChangeAction::Replace { .. } => &[],
            };
            for edit in edits {
                if let Edit::Add { key, value, .. } = edit {
                    lines.push(format!("    {key}: {value}"));
                }
            }
        }
        lines.extend(step.commands.iter().map(|command| format!("  {command}")));
    }
    lines.join("\n")
}

/// A waypoint reaches pods that are not captured yet in the clear and from its own address, which
/// nobody has let in.
#[test]
fn waypoints_are_used_after_everything_behind_them_is_enrolled() {
    insta::assert_snapshot!(steps(false, &[]), @r"
    Enrol
      kubectl label namespace shop istio.io/dataplane-mode=ambient
    UseWaypoints
      istioctl waypoint apply --namespace shop --name waypoint
      kubectl label namespace shop istio.io/use-waypoint=waypoint
    ");
}

#[test]
fn the_label_for_a_waypoint_is_written_once_the_namespace_is_in_the_mesh() {
    insta::assert_snapshot!(steps(true, &[]), @r#"
    Enrol
      namespace/shop: enrol the namespace
        istio.io/dataplane-mode: "ambient"
    UseWaypoints
      istioctl waypoint apply --namespace shop --name waypoint
      kubectl label namespace shop istio.io/use-waypoint=waypoint
    "#);
    let enrolled = ("istio.io/dataplane-mode", "ambient");
    insta::assert_snapshot!(steps(true, &[enrolled]), @r#"
    UseWaypoints
      namespace/shop: use waypoint `waypoint`, once the pods behind it are in the mesh
        istio.io/use-waypoint: "waypoint"
      istioctl waypoint apply --namespace shop --name waypoint
    "#);
    let injected = ("istio-injection", "enabled");
    insta::assert_snapshot!(steps(true, &[enrolled, injected]), @r"
    Enrol
      kubectl label namespace shop istio-injection-
    UseWaypoints
      istioctl waypoint apply --namespace shop --name waypoint
      kubectl label namespace shop istio.io/use-waypoint=waypoint
    ");
}

#[test]
fn a_limit_is_about_the_object_that_it_accompanies() {
    let mut pod = deployment("shop", "web");
    pod.kind = WorkloadKind::Pod;
    let requirement = Requirement {
        key: "app".to_owned(),
        operator: Operator::In(BTreeSet::from(["web".to_owned(), "other".to_owned()])),
    };
    let fixture = Fixture::with_namespace("shop", &[])
        .workload(pod)
        .network(NetworkPolicy {
            meta: meta("shop", "in", "policies.yaml"),
            pod_selector: LabelSelector {
                match_expressions: vec![requirement],
                ..LabelSelector::default()
            },
            isolates_ingress: true,
            isolates_egress: false,
            ingress: vec![Rule {
                peers: Vec::new(),
                ports: vec![PortRule {
                    protocol: Protocol::Tcp,
                    port: PortMatch::Range(80, 80),
                }],
                line: 8,
            }],
            egress: Vec::new(),
        });
    let plan = plan(&fixture.world, &Options::default());
    let limits = plan.findings.iter();
    let limits = limits.filter(|f| *f.code == codes::PORT_LIMIT_IN_TUNNEL);
    let subjects: Vec<_> = limits.map(|f| f.subject.clone()).collect();
    assert_eq!(subjects, [ObjectRef::namespaced("shop", "Pod", "web")]);
}
