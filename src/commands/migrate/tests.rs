use std::path::PathBuf;
use std::sync::Arc;

use super::gate::exit;
use super::next::flags;
use super::*;
use crate::finding::{Code, Finding, Severity, codes};
use crate::migrate::{AuthzMode, Cni, Options, Strategy, WaypointRequest};
use crate::model::{ObjectRef, Origin, Problem};
use crate::plan::{Comparison, Proof, Relation, Verdict};
use crate::settings::Acceptance;
use crate::source::Request;

fn settings(fail_on: Severity, accept: &[&str]) -> Migrate {
    let accept: Vec<String> = accept.iter().map(ToString::to_string).collect();
    Migrate {
        request: Request::default(),
        options: migrate::Options::default(),
        acceptance: Acceptance::parse(&accept).unwrap(),
        fail_on,
        target: Some(Target::InPlace),
        dry_run: true,
        keep_going: false,
        diff: false,
        format: Format::Table,
        step_summary: None,
    }
}

fn plan_with(codes: &[&'static Code]) -> Plan {
    let finding = |code: &&'static Code| {
        let subject = ObjectRef::namespaced("shop", "NetworkPolicy", "db");
        Finding::new(code, subject, Origin::synthetic(), String::new())
    };
    Plan {
        findings: codes.iter().map(finding).collect(),
        ..Plan::default()
    }
}

fn problem() -> Problem {
    Problem {
        file: "broken.yaml".into(),
        line: 0,
        column: 0,
        object: None,
        message: String::new(),
        excerpt: None,
        hint: None,
    }
}

/// What comes of a plan that is to be written: the exit code, and why it is not written if so.
fn settle(plan: &Plan, problems: Vec<Problem>, settings: &Migrate) -> String {
    let prepared = Prepared::default();
    let report = Report {
        problems,
        ..Report::new(plan, &prepared, |finding, id| {
            settings.acceptance.accepts(finding, id)
        })
    };
    let outcome = write(&report, settings).unwrap();
    let exit = exit(&report, &outcome, settings.fail_on);
    format!("{} {outcome:?}", exit.code())
}

#[test]
fn findings_refuse_from_the_chosen_severity_on() {
    let cases: [(&[&'static Code], Severity, &[&str]); 7] = [
        (&[], Severity::Info, &[]),
        (&[&codes::TUNNEL_CLOSED], Severity::Error, &[]),
        (&[&codes::TUNNEL_CLOSED], Severity::Info, &[]),
        (&[&codes::GAINED], Severity::Error, &[]),
        (&[&codes::GAINED], Severity::Error, &["AMB0110"]),
        (&[&codes::GAINED], Severity::Error, &["AMB0102"]),
        (&[&codes::GAINED; 4], Severity::Error, &[]),
    ];
    let settled = cases.map(|(codes, fail_on, accept)| {
        settle(&plan_with(codes), Vec::new(), &settings(fail_on, accept))
    });
    insta::assert_snapshot!(settled.join("\n"), @r#"
    0 DryRun
    0 DryRun
    1 Refused("findings have to be dealt with first, or be accepted with `--accept AMB0102-002c0281`")
    1 Refused("findings have to be dealt with first, or be accepted with `--accept AMB0110-002c0281`")
    0 DryRun
    1 Refused("findings have to be dealt with first, or be accepted with `--accept AMB0110-002c0281`")
    1 Refused("findings have to be dealt with first, or be accepted with `--accept AMB0110-002c0281`")
    "#);
}

#[test]
fn bad_input_refuses_unless_told_to_keep_going_and_always_shows_in_the_exit_code() {
    let plan = plan_with(&[]);
    let stop = settings(Severity::Error, &[]);
    let keep_going = Migrate {
        keep_going: true,
        ..settings(Severity::Error, &[])
    };
    let settled = [stop, keep_going].map(|settings| settle(&plan, vec![problem()], &settings));
    insta::assert_snapshot!(settled.join("\n"), @r#"
    2 Refused("some of the input cannot be used; `--keep-going` writes the rest")
    2 DryRun
    "#);
}

#[test]
fn a_failed_proof_refuses_even_without_a_finding() {
    let mut settled = Vec::new();
    let cases: [(Verdict, &[&'static Code]); 4] = [
        (Verdict::Unknown, &[]),
        (Verdict::Gained, &[]),
        (Verdict::Lost, &[]),
        (Verdict::Gained, &[&codes::UNKNOWN_PLUGIN_POLICY]),
    ];
    for (verdict, codes) in cases {
        let difference = Comparison {
            source: "a".to_owned(),
            destination: "b".to_owned(),
            relation: Relation::Tunnel,
            verdict,
            before: String::new(),
            after: String::new(),
            difference: String::new(),
            example: String::new(),
            because: String::new(),
            policies: Arc::default(),
        };
        let plan = Plan {
            proof: Proof {
                differences: vec![difference],
                ..Proof::default()
            },
            ..plan_with(codes)
        };
        settled.push(settle(
            &plan,
            Vec::new(),
            &settings(Severity::Error, &["all"]),
        ));
    }
    insta::assert_snapshot!(settled.join("\n"), @r#"
    0 DryRun
    1 Refused("connections are gained, and no finding accounts for them")
    1 Refused("connections are lost, and no finding accounts for them")
    1 Refused("connections are gained, and no finding accounts for them")
    "#);
}

#[test]
fn what_kustomize_built_is_written_elsewhere() {
    let built = Migrate {
        request: Request {
            kustomize: Some(PathBuf::from("overlay")),
            default_namespace: "default".to_owned(),
            ..Request::default()
        },
        target: None,
        ..settings(Severity::Error, &[])
    };
    let prepared = Prepared {
        changes: vec![sink::FileChange {
            name: "ambient-policies.yaml".into(),
            path: None,
            link_to: None,
            before: None,
            after: "kind: AuthorizationPolicy\n".into(),
        }],
        ..Prepared::default()
    };
    let plan = plan_with(&[]);
    let report = Report::new(&plan, &prepared, |_, _| false);
    insta::assert_snapshot!(next::commands(&report, &built).join("\n"), @"
    kubectl ambient migrate diff -k overlay
    kubectl ambient migrate -k overlay --output-dir DIR
    ");
}

#[test]
fn the_next_command_can_be_pasted_into_a_shell() {
    let request = Request {
        files: vec![PathBuf::from("k8s/it's here"), PathBuf::from("a.yaml")],
        companions: true,
        recursive: true,
        kustomize: None,
        kubectl: None,
        default_namespace: "team".to_owned(),
    };
    let options = Options {
        namespaces: vec!["shop".to_owned()],
        exclude: vec!["batch".to_owned()],
        waypoints: vec![WaypointRequest {
            name: "waypoint".to_owned(),
            namespace: Some("shop".to_owned()),
        }],
        pod_ranges: vec!["10.244.0.0/16".parse().unwrap()],
        cni: Some(Cni::Calico),
        authz: AuthzMode::Allow,
        strategy: Strategy::Companion,
        enroll: true,
    };
    insta::assert_snapshot!(flags(&request, &Options::default()), @r"-f 'k8s/it'\''s here' -f a.yaml -n team -R");
    insta::assert_snapshot!(flags(&request, &options), @r"-f 'k8s/it'\''s here' -f a.yaml -n team --only shop --exclude batch --waypoint waypoint=shop --cni calico --pod-cidr 10.244.0.0/16 --authz allow --strategy companion -R --enroll");
}
