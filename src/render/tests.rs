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
            unlisted: 0,
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
    insta::assert_snapshot!(show(Format::Table), @"
    Plan   2 namespaces, 11 workloads   1 object to edit, 1 to create

    NAMESPACE     WORKLOADS   POLICIES          WAYPOINT        VERDICT
    assets        3           <none>            <none>          ready
    kube-system   0           <none>            <none>          left out: it belongs to the cluster
    shop          8 of 9      1 edited, 1 new   shop/waypoint   blocked by AMB0110

    STAYS OUT               BECAUSE
    shop/agent[DaemonSet]   it uses the host's network

    Step 1   open the tunnel port in network policies
    ACTION   OBJECT                  WHERE              WHY
    edit     shop/networkpolicy/db   k8s/shop.yaml:12   rule 1 lets in TCP 5432, which becomes a tunnel

    Step 2   keep the port limits inside the tunnel
    ACTION   OBJECT                              WHERE                  WHY
    create   shop/authorizationpolicy/db-ports   beside k8s/shop.yaml   keeps tunnelled connections to TCP 5432

    Step 3   enrol
      kubectl label namespace shop istio.io/dataplane-mode=ambient

    error AMB0110-d393c037   shop/networkpolicy/db   k8s/shop.yaml:12
      `shop/db` would take connections that `db` refuses today
        shop/web[Deployment] => shop/db[StatefulSet] : TCP 1-5431   for example TCP 81   by shop/networkpolicy/db
      fix: give `shop/web` a service account of its own

    ACCEPTED           SEVERITY   OBJECT                     MESSAGE
    AMB0110-48af4163   error      shop/networkpolicy/cache   `shop/cache` would take connections that `cache` refuses today

    NOT EDITED           BECAUSE
    k8s/aliases.yaml:4   the ports are an alias

    Proof   gained: no connection is lost, some are gained
            equal 1234, lost 0, gained 1, unknown 0   (12 pod classes, 3 address ranges)
    VERDICT   SOURCE                 DESTINATION            THROUGH   CONNECTIONS   BECAUSE
    gained    shop/web[Deployment]   shop/db[StatefulSet]   tunnel    TCP 1-5431    `shop/web` shares its service account

    diff --git a/k8s/shop.yaml b/k8s/shop.yaml
    --- a/k8s/shop.yaml
    +++ b/k8s/shop.yaml
    @@ -1 +1,2 @@
     a: 1
    +b: 2
    diff --git a/k8s/shop-ambient.yaml b/k8s/shop-ambient.yaml
    new file mode 100644
    --- /dev/null
    +++ b/k8s/shop-ambient.yaml
    @@ -0,0 +1 @@
    +c: 3

    Nothing was written: 1 finding is not accepted
    ");
}

#[test]
fn a_plan_with_nothing_to_do() {
    let plan = Plan::default();
    let report = report(
        &Report::new(&plan, |_, _| false),
        Format::Table,
        Style::default(),
    );
    insta::assert_snapshot!(report, @"
    Plan   0 namespaces, 0 workloads   0 objects to edit, 0 to create

    Proof   equal: no connection is lost, none is gained
            equal 0, lost 0, gained 0, unknown 0   (0 pod classes, 0 address ranges)

    Nothing was written.
    ");
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
    insta::assert_snapshot!(ends.concat(), @"
    Nothing was written.
    Nothing was written (dry run); 0 files would be.
    Nothing was to be written.
    Wrote 2 files:
      k8s/shop.yaml
      k8s/new.yaml
    Nothing was written: 1 finding is not accepted
    ");
}

#[test]
fn a_plan_as_json() {
    insta::assert_snapshot!(show(Format::Json), @r#"
    {
      "apiVersion": "ambient.dev/v1alpha1",
      "kind": "MigrationPlan",
      "metadata": {
        "toolVersion": "0.1.0"
      },
      "summary": {
        "namespaces": 2,
        "workloads": 11,
        "changes": {
          "edit": 1,
          "create": 1,
          "replace": 0
        },
        "findings": {
          "error": 1,
          "warning": 0,
          "info": 0,
          "accepted": 1
        },
        "problems": 1,
        "verdict": "gained"
      },
      "outcome": {
        "result": "refused",
        "reason": "1 finding is not accepted"
      },
      "namespaces": [
        {
          "name": "assets",
          "enrolled": true,
          "labelled": false,
          "inMesh": 3,
          "stayingOut": [],
          "verdict": "ready"
        },
        {
          "name": "kube-system",
          "enrolled": false,
          "labelled": false,
          "reason": "it belongs to the cluster",
          "inMesh": 0,
          "stayingOut": [],
          "verdict": "leftOut"
        },
        {
          "name": "shop",
          "enrolled": true,
          "labelled": false,
          "inMesh": 8,
          "stayingOut": [
            {
              "workload": "shop/agent[DaemonSet]",
              "reason": "it uses the host's network"
            }
          ],
          "waypoint": "shop/waypoint",
          "verdict": "blocked"
        }
      ],
      "steps": [
        {
          "kind": "openTunnel",
          "changes": [
            {
              "action": "edit",
              "object": {
                "namespace": "shop",
                "kind": "NetworkPolicy",
                "name": "db"
              },
              "reason": "rule 1 lets in TCP 5432, which becomes a tunnel",
              "origin": {
                "file": "k8s/shop.yaml",
                "document": 1,
                "line": 12
              },
              "edits": [
                {
                  "operation": "append",
                  "path": "spec.ingress",
                  "value": {
                    "port": 15008,
                    "protocol": "TCP"
                  }
                }
              ]
            }
          ],
          "commands": []
        },
        {
          "kind": "restorePorts",
          "changes": [
            {
              "action": "create",
              "object": {
                "namespace": "shop",
                "kind": "AuthorizationPolicy",
                "name": "db-ports"
              },
              "reason": "keeps tunnelled connections to TCP 5432",
              "origin": {
                "file": "k8s/shop.yaml",
                "document": 1,
                "line": 12
              },
              "body": {
                "kind": "AuthorizationPolicy"
              }
            }
          ],
          "commands": []
        },
        {
          "kind": "enroll",
          "changes": [],
          "commands": [
            "kubectl label namespace shop istio.io/dataplane-mode=ambient"
          ]
        }
      ],
      "findings": [
        {
          "id": "AMB0110-d393c037",
          "code": "AMB0110",
          "severity": "error",
          "title": "connections gained through the tunnel",
          "accepted": false,
          "subject": {
            "namespace": "shop",
            "kind": "NetworkPolicy",
            "name": "db"
          },
          "origin": {
            "file": "k8s/shop.yaml",
            "document": 1,
            "line": 12
          },
          "message": "`shop/db` would take connections that `db` refuses today",
          "flows": [
            {
              "source": "shop/web[Deployment]",
              "destination": "shop/db[StatefulSet]",
              "connections": "TCP 1-5431",
              "example": "TCP 81",
              "policies": [
                {
                  "namespace": "shop",
                  "kind": "NetworkPolicy",
                  "name": "db"
                }
              ]
            }
          ],
          "fixes": [
            "give `shop/web` a service account of its own"
          ]
        },
        {
          "id": "AMB0110-48af4163",
          "code": "AMB0110",
          "severity": "error",
          "title": "connections gained through the tunnel",
          "accepted": true,
          "subject": {
            "namespace": "shop",
            "kind": "NetworkPolicy",
            "name": "cache"
          },
          "origin": {
            "file": "k8s/shop.yaml",
            "document": 1,
            "line": 12
          },
          "message": "`shop/cache` would take connections that `cache` refuses today",
          "flows": [
            {
              "source": "shop/web[Deployment]",
              "destination": "shop/cache[StatefulSet]",
              "connections": "All Connections",
              "example": "TCP 81",
              "policies": [
                {
                  "namespace": "shop",
                  "kind": "NetworkPolicy",
                  "name": "cache"
                }
              ]
            }
          ],
          "fixes": [
            "give `shop/web` a service account of its own"
          ]
        }
      ],
      "proof": {
        "verdict": "gained",
        "equal": 1234,
        "lost": 0,
        "gained": 1,
        "unknown": 0,
        "classes": 12,
        "addressRanges": 3,
        "differences": [
          {
            "source": "shop/web[Deployment]",
            "destination": "shop/db[StatefulSet]",
            "relation": "tunnel",
            "verdict": "gained",
            "before": "TCP 5432",
            "after": "TCP 1-5432",
            "difference": "TCP 1-5431",
            "example": "TCP 81",
            "because": "`shop/web` shares its service account",
            "policies": [
              {
                "namespace": "shop",
                "kind": "NetworkPolicy",
                "name": "db"
              }
            ]
          }
        ]
      },
      "refusals": [
        {
          "file": "k8s/aliases.yaml",
          "line": 4,
          "message": "the ports are an alias"
        }
      ],
      "problems": [
        {
          "file": "k8s/broken.yaml",
          "line": 3,
          "column": 7,
          "message": "mapping values are not allowed here",
          "hint": "quote the value"
        }
      ],
      "notes": [
        {
          "file": "chart/web.yaml",
          "line": 0,
          "message": "left alone: a Helm template"
        }
      ],
      "diff": "diff --git a/k8s/shop.yaml b/k8s/shop.yaml\n--- a/k8s/shop.yaml\n+++ b/k8s/shop.yaml\n@@ -1 +1,2 @@\n a: 1\n+b: 2\ndiff --git a/k8s/shop-ambient.yaml b/k8s/shop-ambient.yaml\nnew file mode 100644\n--- /dev/null\n+++ b/k8s/shop-ambient.yaml\n@@ -0,0 +1 @@\n+c: 3\n"
    }
    "#);
}

#[test]
fn yaml_is_the_same_document_as_json() {
    let json: serde_json::Value = serde_json::from_str(&show(Format::Json)).unwrap();
    let yaml: serde_json::Value = serde_yaml::from_str(&show(Format::Yaml)).unwrap();
    assert_eq!(json, yaml);
}

#[test]
fn a_plan_as_markdown() {
    insta::assert_snapshot!(show(Format::Markdown), @"
    ### kubectl ambient migrate

    **gained**: no connection is lost, some are gained (equal 1234, lost 0, gained 1, unknown 0).
    1 error, 0 warnings not accepted, 1 accepted; 2 objects changed.

    | Namespace | Workloads | Policies | Waypoint | Verdict |
    |---|---|---|---|---|
    | assets | 3 |  |  | ready |
    | kube-system | 0 |  |  | left out: it belongs to the cluster |
    | shop | 8 of 9 | 1 edited, 1 new | shop/waypoint | blocked by AMB0110 |

    | Bad input | Error |
    |---|---|
    | `k8s/broken.yaml:3:7` | mapping values are not allowed here |

    | Finding | Severity | Object | What |
    |---|---|---|---|
    | `AMB0110-d393c037` | **error** | `shop/networkpolicy/db`<br>`k8s/shop.yaml:12` | `shop/db` would take connections that `db` refuses today<br>`shop/web[Deployment] => shop/db[StatefulSet] : TCP 1-5431`, for example `TCP 81`<br>fix: give `shop/web` a service account of its own |
    | `AMB0110-48af4163` | error, accepted | `shop/networkpolicy/cache`<br>`k8s/shop.yaml:12` | `shop/cache` would take connections that `cache` refuses today<br>`shop/web[Deployment] => shop/cache[StatefulSet] : All Connections`, for example `TCP 81`<br>fix: give `shop/web` a service account of its own |

    | Step | Action | Object | Where | Why |
    |---|---|---|---|---|
    | 1. open the tunnel port in network policies | edit | `shop/networkpolicy/db` | `k8s/shop.yaml:12` | rule 1 lets in TCP 5432, which becomes a tunnel |
    | 2. keep the port limits inside the tunnel | create | `shop/authorizationpolicy/db-ports` | `beside k8s/shop.yaml` | keeps tunnelled connections to TCP 5432 |

    Then run:

    ```sh
    kubectl label namespace shop istio.io/dataplane-mode=ambient
    ```

    **Nothing was written**: 1 finding is not accepted.

    <details><summary>Diff of 2 files</summary>

    ```diff
    diff --git a/k8s/shop.yaml b/k8s/shop.yaml
    --- a/k8s/shop.yaml
    +++ b/k8s/shop.yaml
    @@ -1 +1,2 @@
     a: 1
    +b: 2
    diff --git a/k8s/shop-ambient.yaml b/k8s/shop-ambient.yaml
    new file mode 100644
    --- /dev/null
    +++ b/k8s/shop-ambient.yaml
    @@ -0,0 +1 @@
    +c: 3
    ```

    </details>
    ");
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
    insta::assert_snapshot!(counts.join("\n"), @"
    … and 315 findings more; `-o json` lists all
    … and 8012 more lines: run `kubectl ambient migrate diff`
    ");
}

#[test]
fn a_plan_as_sarif() {
    insta::assert_snapshot!(show(Format::Sarif), @r#"
    {
      "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
      "version": "2.1.0",
      "runs": [
        {
          "tool": {
            "driver": {
              "name": "kubectl-ambient",
              "version": "0.1.0",
              "informationUri": "https://github.com/kubectl-ambient/kubectl-ambient",
              "rules": [
                {
                  "id": "AMB0110",
                  "shortDescription": {
                    "text": "connections gained through the tunnel"
                  },
                  "fullDescription": {
                    "text": "The tunnel would carry connections that the network policies refuse today."
                  },
                  "help": {
                    "text": "Give the sources service accounts of their own, or accept the finding with `--accept`."
                  },
                  "defaultConfiguration": {
                    "level": "error"
                  }
                }
              ]
            }
          },
          "invocations": [
            {
              "executionSuccessful": false,
              "toolExecutionNotifications": [
                {
                  "level": "error",
                  "message": {
                    "text": "mapping values are not allowed here; hint: quote the value"
                  },
                  "locations": [
                    {
                      "physicalLocation": {
                        "artifactLocation": {
                          "uri": "k8s/broken.yaml"
                        },
                        "region": {
                          "startLine": 3,
                          "startColumn": 7
                        }
                      }
                    }
                  ]
                },
                {
                  "level": "note",
                  "message": {
                    "text": "left alone: a Helm template"
                  },
                  "locations": [
                    {
                      "physicalLocation": {
                        "artifactLocation": {
                          "uri": "chart/web.yaml"
                        }
                      }
                    }
                  ]
                }
              ]
            }
          ],
          "results": [
            {
              "ruleId": "AMB0110",
              "ruleIndex": 0,
              "level": "error",
              "message": {
                "text": "`shop/db` would take connections that `db` refuses today\nshop/web[Deployment] => shop/db[StatefulSet] : TCP 1-5431 (for example TCP 81)\nfix: give `shop/web` a service account of its own"
              },
              "locations": [
                {
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "k8s/shop.yaml"
                    },
                    "region": {
                      "startLine": 12
                    }
                  },
                  "logicalLocations": [
                    {
                      "fullyQualifiedName": "shop/networkpolicy/db",
                      "kind": "resource"
                    }
                  ]
                }
              ],
              "partialFingerprints": {
                "findingId/v1": "AMB0110-d393c037"
              }
            },
            {
              "ruleId": "AMB0110",
              "ruleIndex": 0,
              "level": "error",
              "message": {
                "text": "`shop/cache` would take connections that `cache` refuses today\nshop/web[Deployment] => shop/cache[StatefulSet] : All Connections (for example TCP 81)\nfix: give `shop/web` a service account of its own"
              },
              "locations": [
                {
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "k8s/shop.yaml"
                    },
                    "region": {
                      "startLine": 12
                    }
                  },
                  "logicalLocations": [
                    {
                      "fullyQualifiedName": "shop/networkpolicy/cache",
                      "kind": "resource"
                    }
                  ]
                }
              ],
              "partialFingerprints": {
                "findingId/v1": "AMB0110-48af4163"
              },
              "suppressions": [
                {
                  "kind": "external",
                  "justification": "accepted on the command line"
                }
              ]
            }
          ]
        }
      ]
    }
    "#);
}

#[test]
fn a_plan_as_workflow_commands() {
    insta::assert_snapshot!(show(Format::Github), @"
    ::error file=k8s/broken.yaml,line=3,col=7,title=bad input::mapping values are not allowed here%0Ahint: quote the value
    ::error file=k8s/shop.yaml,line=12,title=AMB0110-d393c037 connections gained through the tunnel::shop/networkpolicy/db: `shop/db` would take connections that `db` refuses today%0Ashop/web[Deployment] => shop/db[StatefulSet] : TCP 1-5431 (for example TCP 81)%0Afix: give `shop/web` a service account of its own
    ::notice file=k8s/shop.yaml,line=12,title=AMB0110-48af4163 connections gained through the tunnel (accepted)::shop/networkpolicy/cache: `shop/cache` would take connections that `cache` refuses today%0Ashop/web[Deployment] => shop/cache[StatefulSet] : All Connections (for example TCP 81)%0Afix: give `shop/web` a service account of its own
    ::error title=kubectl ambient::nothing was written: 1 finding is not accepted
    ::notice title=kubectl ambient::gained: no connection is lost, some are gained (equal 1234, lost 0, gained 1, unknown 0)
    ");
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
    insta::assert_snapshot!(texts.concat(), @r#"
    [Table]
    [Json]
    {
      "apiVersion": "ambient.dev/v1alpha1",
      "kind": "MigrationPlan",
      "metadata": {
        "toolVersion": "0.1.0"
      },
      "error": {
        "message": "no manifests are given",
        "hint": "pass `-f FILE`",
        "exitCode": 2
      }
    }
    [Yaml]
    apiVersion: ambient.dev/v1alpha1
    kind: MigrationPlan
    metadata:
      toolVersion: 0.1.0
    error:
      message: no manifests are given
      hint: pass `-f FILE`
      exitCode: 2
    [Markdown]
    ### kubectl ambient migrate

    **error**: no manifests are given

    hint: pass `-f FILE`
    [Sarif]
    {
      "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
      "version": "2.1.0",
      "runs": [
        {
          "tool": {
            "driver": {
              "name": "kubectl-ambient",
              "version": "0.1.0",
              "informationUri": "https://github.com/kubectl-ambient/kubectl-ambient",
              "rules": []
            }
          },
          "invocations": [
            {
              "executionSuccessful": false,
              "toolExecutionNotifications": [
                {
                  "level": "error",
                  "message": {
                    "text": "no manifests are given; hint: pass `-f FILE`"
                  }
                }
              ]
            }
          ],
          "results": []
        }
      ]
    }
    [Github]
    ::error title=kubectl ambient::no manifests are given%0Ahint: pass `-f FILE`
    "#);
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
        // YAML is written by the emitter of manifests, which keeps printable characters.
        let reorders = format != Format::Yaml;
        let bad: Vec<char> = text
            .chars()
            .filter(|c| *c != '\n' && (c.is_control() || (*c == '\u{202e}' && reorders)))
            .collect();
        assert!(bad.is_empty(), "{format:?}: {bad:?}\n{text}");
    }
}
