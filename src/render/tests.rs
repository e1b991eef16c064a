//! Every format of one report that has something of everything.

use serde_json::json;

use super::*;
use crate::finding::{Finding, Flow, codes};
use crate::model::{ObjectRef, Origin};
use crate::plan::{
    Change, ChangeAction, Comparison, Edit, NamespacePlan, Plan, Proof, Relation, Segment, Step,
    StepKind, Verdict,
};

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
            policies: vec![policy(name)],
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
            body: json!({ "kind": "AuthorizationPolicy" }),
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
        ],
        proof: Proof {
            equal: 1234,
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
                policies: vec![policy("db")],
            }],
            classes: 12,
            address_ranges: 3,
        },
    }
}

fn sample(plan: &Plan) -> Report<'_> {
    let problem = Problem {
        file: "k8s/broken.yaml".into(),
        line: 3,
        column: 7,
        object: None,
        message: "mapping values are not allowed here".to_owned(),
        excerpt: Some("a: b: c".to_owned()),
        hint: Some("quote the value".to_owned()),
    };
    let note = |file: &str, line, message: &str| Note {
        file: file.into(),
        line,
        message: message.to_owned(),
    };
    let file = |name: &str, before: Option<&str>, after: &str| FileChange {
        name: name.into(),
        before: before.map(Into::into),
        after: after.into(),
    };
    Report {
        files: vec![
            file("k8s/shop.yaml", Some("a: 1\n"), "a: 1\nb: 2\n"),
            file("k8s/shop-ambient.yaml", None, "c: 3\n"),
        ],
        show_diff: true,
        refusals: vec![note("k8s/aliases.yaml", 4, "the ports are an alias")],
        problems: vec![problem],
        notes: vec![note("chart/web.yaml", 0, "left alone: a Helm template")],
        outcome: Outcome::Refused("1 finding is not accepted".to_owned()),
        failure: None,
        ..Report::new(plan, |finding, _| finding.subject.name == "cache")
    }
}

fn show(format: Format) -> String {
    report(&sample(&plan()), format, Style::default())
}

#[test]
fn a_plan_as_tables() {
    insta::assert_snapshot!(show(Format::Table), @"");
}

#[test]
fn a_plan_with_nothing_to_do() {
    let plan = Plan::default();
    let report = report(
        &Report::new(&plan, |_, _| false),
        Format::Table,
        Style::default(),
    );
    insta::assert_snapshot!(report, @"");
}

#[test]
fn colour_adds_nothing_but_colour() {
    let plan = plan();
    let sample = sample(&plan);
    let style = Style {
        color: true,
        terminal: false,
    };
    let mut colored = report(&sample, Format::Table, style);
    while let Some(start) = colored.find('\u{1b}') {
        let length = colored[start..].find('m').unwrap();
        colored.replace_range(start..=start + length, "");
    }
    assert_eq!(colored, report(&sample, Format::Table, Style::default()));
}

#[test]
fn a_plan_that_was_written() {
    let plan = Plan::default();
    let outcomes = [
        Outcome::Planned,
        Outcome::DryRun,
        Outcome::Written(Vec::new()),
        Outcome::Written(vec!["k8s/shop.yaml".to_owned(), "k8s/new.yaml".to_owned()]),
        Outcome::Refused("1 finding is not accepted".to_owned()),
    ];
    let ends = outcomes.map(|outcome| {
        let shown = Report {
            outcome,
            ..Report::new(&plan, |_, _| false)
        };
        let text = report(&shown, Format::Table, Style::default());
        text.rsplit("\n\n").next().unwrap_or_default().to_owned()
    });
    insta::assert_snapshot!(ends.concat(), @"");
}

#[test]
fn a_plan_as_json() {
    insta::assert_snapshot!(show(Format::Json), @"");
}

#[test]
fn yaml_is_the_same_document_as_json() {
    let json: serde_json::Value = serde_json::from_str(&show(Format::Json)).unwrap();
    let yaml: serde_json::Value = serde_yaml::from_str(&show(Format::Yaml)).unwrap();
    assert_eq!(json, yaml);
}

#[test]
fn a_plan_as_markdown() {
    insta::assert_snapshot!(show(Format::Markdown), @"");
}

#[test]
fn markdown_stays_within_the_limit_of_a_comment() {
    let plan = Plan {
        findings: (0..400)
            .map(|i| gained(&format!("db-{i}"), "TCP 1-5431"))
            .collect(),
        ..plan()
    };
    let mut report = sample(&plan);
    let long = "- `port`: 15008\n".repeat(10_000);
    report.files = vec![FileChange {
        name: "k8s/long.yaml".into(),
        before: None,
        after: long.as_str().into(),
    }];
    let text = markdown(&report);
    assert!(text.len() <= 60_000, "{}", text.len());
    assert!(text.len() > 59_000, "{}", text.len());
    let counts: Vec<&str> = text.lines().filter(|l| l.starts_with('…')).collect();
    insta::assert_snapshot!(counts.join("\n"), @"");
}

#[test]
fn a_plan_as_sarif() {
    insta::assert_snapshot!(show(Format::Sarif), @"");
}

#[test]
fn a_plan_as_workflow_commands() {
    insta::assert_snapshot!(show(Format::Github), @"");
}

#[test]
fn a_failure_is_a_whole_document_in_every_format() {
    let failure = Failure {
        message: "no manifests are given".to_owned(),
        hint: Some("pass `-f FILE`".to_owned()),
        exit_code: 2,
    };
    let formats = [
        Format::Table,
        Format::Json,
        Format::Yaml,
        Format::Markdown,
        Format::Sarif,
        Format::Github,
    ];
    let texts = formats.map(|format| {
        let text = failed_report(&failure, "MigrationPlan", format);
        format!("[{format:?}]\n{text}")
    });
    insta::assert_snapshot!(texts.concat(), @"");
}

/// Names and messages come from manifests; no format may let them act on a terminal.
#[test]
fn no_format_lets_control_characters_through() {
    let hostile = "x\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\r";
    let mut plan = plan();
    for finding in &mut plan.findings {
        finding.message = hostile.to_owned();
        finding.subject.name = hostile.to_owned();
        finding.origin.file = hostile.into();
        for flow in &mut finding.flows {
            flow.source = hostile.to_owned();
        }
    }
    for namespace in &mut plan.namespaces {
        namespace.name = hostile.to_owned();
        namespace.reason = hostile.to_owned();
        namespace.waypoint = Some(hostile.to_owned());
    }
    let mut report = sample(&plan);
    report.outcome = Outcome::Written(vec![hostile.to_owned()]);
    for problem in &mut report.problems {
        problem.message = hostile.to_owned();
        problem.file = hostile.into();
        problem.hint = Some(hostile.to_owned());
    }
    report.files = vec![FileChange {
        name: hostile.into(),
        before: None,
        after: hostile.into(),
    }];
    let style = Style {
        color: false,
        terminal: true,
    };
    for format in [
        Format::Table,
        Format::Json,
        Format::Yaml,
        Format::Markdown,
        Format::Sarif,
        Format::Github,
    ] {
        let text = super::report(&report, format, style);
        let bad: Vec<char> = text
            .chars()
            .filter(|c| *c != '\n' && (c.is_control() || *c == '\u{202e}'))
            .collect();
        assert!(bad.is_empty(), "{format:?}: {bad:?}\n{text}");
    }
}
