//! Every format, on one report that has something of everything.

mod demo;
mod document;
mod github;
mod markdown;
mod safety;
mod sarif;
mod table;

use serde_json::json;

use super::*;
use crate::finding::{Finding, Flow, codes};
use crate::model::{Excerpt, Note, ObjectRef, Origin, Problem};
use crate::plan::{
    Change, ChangeAction, Comparison, Edit, NamespacePlan, Plan, Proof, Relation, Segment, Step,
    StepKind, Verdict,
};
use crate::sink::{FileChange, FileRefusal, Prepared, Snippet};

fn origin(file: &str, line: u32) -> Origin {
    Origin {
        file: file.into(),
        document: 1,
        items: Vec::new(),
        line,
    }
}

fn policy(name: &str) -> ObjectRef {
    ObjectRef::namespaced("shop", "NetworkPolicy", name)
}

fn gained(name: &str, connections: &str) -> Finding {
    let message = format!("`shop/{name}` would take connections that `{name}` refuses today");
    Finding {
        flows: vec![Flow {
            source: "shop/web[Deployment]".to_owned(),
            destination: format!("shop/{name}[StatefulSet]"),
            connections: connections.to_owned(),
            example: "TCP 81".to_owned(),
            policies: [policy(name)].into(),
        }],
        fixes: vec!["give `shop/web` a service account of its own".to_owned()],
        ..Finding::new(
            &codes::GAINED,
            policy(name),
            origin("k8s/shop.yaml", 12),
            message,
        )
    }
}

fn opened() -> Finding {
    let message = "its ingress rules do not let the tunnel through".to_owned();
    Finding::new(
        &codes::TUNNEL_CLOSED,
        policy("db"),
        origin("k8s/shop.yaml", 14),
        message,
    )
}

fn namespaces() -> Vec<NamespacePlan> {
    let shop = NamespacePlan {
        name: "shop".to_owned(),
        enrolled: true,
        labelled: false,
        reason: String::new(),
        in_mesh: 8,
        staying_out: vec![(
            "shop/agent[DaemonSet]".to_owned(),
            "it uses the host's network".to_owned(),
        )],
        waypoint: Some("shop/waypoint".to_owned()),
    };
    let assets = NamespacePlan {
        name: "assets".to_owned(),
        in_mesh: 3,
        staying_out: Vec::new(),
        waypoint: None,
        ..shop.clone()
    };
    let system = NamespacePlan {
        name: "kube-system".to_owned(),
        enrolled: false,
        reason: "it belongs to the cluster".to_owned(),
        in_mesh: 0,
        ..assets.clone()
    };
    vec![assets, system, shop]
}

fn steps() -> Vec<Step> {
    let ports = ["spec", "ingress"].map(Segment::from).into();
    let edit = Change {
        object: policy("db"),
        reason: "rule 1 lets in TCP 5432, which becomes a tunnel".to_owned(),
        action: ChangeAction::Edit {
            origin: origin("k8s/shop.yaml", 12),
            edits: vec![Edit::Append {
                path: ports,
                item: json!({ "port": 15008, "protocol": "TCP" }),
            }],
            companion: None,
        },
    };
    let create = Change {
        object: ObjectRef::namespaced("shop", "AuthorizationPolicy", "db-ports"),
        reason: "keeps tunnelled connections to TCP 5432".to_owned(),
        action: ChangeAction::Create {
            body: json!({ "kind": "AuthorizationPolicy" }).into(),
            beside: origin("k8s/shop.yaml", 12),
        },
    };
    let step = |kind, changes, commands: &[&str]| Step {
        kind,
        changes,
        commands: commands.iter().map(ToString::to_string).collect(),
    };
    vec![
        step(StepKind::OpenTunnel, vec![edit], &[]),
        step(StepKind::RestorePorts, vec![create], &[]),
        step(
            StepKind::Enrol,
            Vec::new(),
            &["kubectl label namespace shop istio.io/dataplane-mode=ambient"],
        ),
    ]
}

fn plan() -> Plan {
    Plan {
        namespaces: namespaces(),
        steps: steps(),
        findings: vec![
            gained("db", "TCP 1-5431"),
            gained("cache", "All Connections"),
            opened(),
        ],
        proof: Proof {
            equal: 1234,
            unlisted: std::collections::BTreeMap::new(),
            differences: vec![Comparison {
                source: "shop/web[Deployment]".to_owned(),
                destination: "shop/db[StatefulSet]".to_owned(),
                relation: Relation::Tunnel,
                verdict: Verdict::Gained,
                before: "TCP 5432".to_owned(),
                after: "TCP 1-5432".to_owned(),
                difference: "TCP 1-5431".to_owned(),
                example: "TCP 81".to_owned(),
                because: "`shop/web` shares its service account".to_owned(),
                policies: [policy("db")].into(),
            }],
            classes: 12,
            address_ranges: 3,
        },
    }
}

fn file(name: &str, before: Option<&str>, after: &str) -> FileChange {
    FileChange {
        name: name.into(),
        path: None,
        link_to: None,
        before: before.map(Into::into),
        after: after.into(),
    }
}

fn prepared() -> Prepared {
    Prepared {
        changes: vec![
            file("k8s/shop.yaml", Some("a: 1\n"), "a: 1\nb: 2\n"),
            file("k8s/ambient-policies.yaml", None, "c: 3\n"),
        ],
        refusals: vec![
            FileRefusal {
                object: policy("aliases"),
                origin: origin("k8s/aliases.yaml", 4),
                reason: "the ports are an alias".to_owned(),
                companion: Some("k8s/ambient-policies.yaml".into()),
            },
            FileRefusal {
                object: policy("template"),
                origin: origin("chart/web.yaml", 9),
                reason: "the line is a template".to_owned(),
                companion: None,
            },
        ],
        snippets: vec![Snippet {
            file: "overlay".into(),
            message: "add the patch to `kustomization.yaml`".to_owned(),
            text: "patches:\n- path: ambient.yaml\n".to_owned(),
        }],
    }
}

fn sample<'p>(plan: &'p Plan, prepared: &'p Prepared) -> Report<'p> {
    let problem = Problem {
        file: "k8s/broken.yaml".into(),
        line: 3,
        column: 7,
        object: None,
        message: "mapping values are not allowed here".to_owned(),
        excerpt: Some(Excerpt::of("a: b: c", 7)),
        hint: Some("quote the value".to_owned()),
    };
    Report {
        show_diff: true,
        problems: vec![problem],
        notes: vec![Note {
            file: "chart/web.yaml".into(),
            line: 0,
            message: "left alone: a Helm template".to_owned(),
        }],
        outcome: Outcome::Refused("1 finding is not accepted".to_owned()),
        failure: None,
        ..Report::new(plan, prepared, |finding, _| finding.subject.name == "cache")
    }
}

fn show(format: Format) -> String {
    report(&sample(&plan(), &prepared()), format, Style::default())
}

/// A report of nothing, with an outcome.
fn empty(outcome: Outcome) -> String {
    let (plan, prepared) = (Plan::default(), Prepared::default());
    let shown = Report {
        outcome,
        ..Report::new(&plan, &prepared, |_, _| false)
    };
    report(&shown, Format::Table, Style::default())
}

const FORMATS: [Format; 6] = [
    Format::Table,
    Format::Json,
    Format::Yaml,
    Format::Markdown,
    Format::Sarif,
    Format::Github,
];
