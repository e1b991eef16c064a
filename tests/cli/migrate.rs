//! `migrate`: which flags go together, and what ends as which exit code.

use crate::harness::Ambient;

/// A policy that only opens 9090, on the pods of an application.
const NAMED: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: my-app
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: my-app
  ingress:
  - ports:
    - port: 9090   # metrics
      protocol: TCP
";

/// Clients of one service account that may use different ports.
const SHARED: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: 5432}]
  - from: [{podSelector: {matchLabels: {app: admin}}}]
    ports: [{port: 9000}]
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: main, image: main}]}
---
apiVersion: v1
kind: Pod
metadata: {name: admin, namespace: shop, labels: {app: admin}}
spec: {containers: [{name: main, image: main}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {containers: [{name: main, image: main}]}
";

const BROKEN: &str = "kind: NetworkPolicy\nmetadata: {name: web\n";

fn run<const COUNT: usize>(arguments: [&str; COUNT]) -> String {
    Ambient::new().args(arguments).run().to_string()
}

#[test]
fn input_has_to_be_named() {
    insta::assert_snapshot!(run(["migrate"]), @"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: no manifests are given
    hint: pass `-f FILE`, `-f FOLDER`, `-f -` for standard input, or `-k FOLDER`
    ");
}

#[test]
fn a_folder_without_manifests_is_an_error() {
    insta::assert_snapshot!(run(["migrate", "-f", "."]), @"
    exit code: 2
    ----- stdout -----
    Plan   0 namespaces, 0 workloads   0 objects to edit, 0 to create

    Proof   equal: no connection is lost, none is gained, as far as the input can be used
            equal 0, lost 0, gained 0, unknown 0   (0 pod classes, 2 address ranges)

    Nothing was written.
    ----- stderr -----
    error: no file here ends in `.yaml`, `.yml` or `.json`
      --> .
    ");
}

#[test]
fn machines_get_a_document_on_failure() {
    insta::assert_snapshot!(run(["migrate", "-o", "json"]), @r#"
    exit code: 2
    ----- stdout -----
    {
      "apiVersion": "ambient.dev/v1alpha1",
      "kind": "MigrationPlan",
      "metadata": {
        "toolVersion": "0.1.0"
      },
      "error": {
        "message": "no manifests are given",
        "hint": "pass `-f FILE`, `-f FOLDER`, `-f -` for standard input, or `-k FOLDER`",
        "exitCode": 2
      }
    }
    ----- stderr -----
    error: no manifests are given
    hint: pass `-f FILE`, `-f FOLDER`, `-f -` for standard input, or `-k FOLDER`
    "#);
    insta::assert_snapshot!(run(["policy", "list", "-o", "json"]), @r#"
    exit code: 2
    ----- stdout -----
    {
      "apiVersion": "ambient.dev/v1alpha1",
      "kind": "Connectivity",
      "metadata": {
        "toolVersion": "0.1.0"
      },
      "error": {
        "message": "no manifests are given",
        "hint": "pass `-f FILE`, `-f FOLDER`, `-f -` for standard input, or `-k FOLDER`",
        "exitCode": 2
      }
    }
    ----- stderr -----
    error: no manifests are given
    hint: pass `-f FILE`, `-f FOLDER`, `-f -` for standard input, or `-k FOLDER`
    "#);
}

#[test]
fn standard_input_cannot_be_rewritten() {
    insta::assert_snapshot!(run(["migrate", "-f", "-", "--write"]), @"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: standard input cannot be rewritten in place
    hint: pass `--output-dir DIR` to write elsewhere
    ");
}

#[test]
fn a_server_dry_run_needs_a_cluster() {
    insta::assert_snapshot!(run(["migrate", "-f", ".", "--write", "--dry-run=server"]), @"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: `--dry-run=server` needs a cluster, and files are written without one
    hint: use `--dry-run=client`
    ");
}

#[test]
fn only_what_can_be_a_finding_is_accepted() {
    insta::assert_snapshot!(run(["migrate", "-f", ".", "--accept", "everything"]), @"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: `everything` is neither a finding nor a code
    hint: pass an id such as `AMB0110-1a2b3c4d`, a code such as `AMB0110`, or `all`
    ");
}

#[test]
fn flags_follow_the_verb() {
    insta::assert_snapshot!(run(["migrate", "-f", ".", "diff"]), @"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: the subcommand 'diff' cannot be used with '--filename <PATH>'

    Usage: kubectl ambient migrate [OPTIONS]
           kubectl ambient migrate <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn a_plan_is_shown_and_nothing_is_written() {
    let run = Ambient::new()
        .file("k8s/policy.yaml", NAMED)
        .args(["migrate", "-f", "k8s"])
        .run();
    insta::assert_snapshot!(run, @"
    exit code: 0
    ----- stdout -----
    Plan   1 namespace, 0 workloads   1 object to edit, 1 to create

    NAMESPACE   WORKLOADS   POLICIES          WAYPOINT   VERDICT
    default     0           1 edited, 1 new   <none>     ready

    Step 1   open the tunnel port in network policies
    ACTION   OBJECT                         WHERE               WHY
    edit     default/networkpolicy/my-app   k8s/policy.yaml:1   open port 15008 in 1 rule

    Step 2   keep the port limits inside the tunnel
    ACTION   OBJECT                                        WHERE                    WHY
    create   default/authorizationpolicy/my-app-np-ports   beside k8s/policy.yaml   keep tunnelled traffic to the ports that `default/networkpolicy/my-app` allows

    Step 3   enrol
      kubectl label namespace default istio.io/dataplane-mode=ambient

    INFO               OBJECT                         WHERE                MESSAGE
    AMB0102-60b0b5eb   default/networkpolicy/my-app   k8s/policy.yaml:10   its ingress rules do not let the tunnel through; the plan opens it for the same peers
    AMB0103-9b2e2009   default/networkpolicy/my-app   k8s/policy.yaml:1    ports are limited; `default/authorizationpolicy/my-app-np-ports` keeps the limit inside the tunnel
    AMB0125-44e5e905   default/networkpolicy/my-app   k8s/policy.yaml:1    it selects no pod of the input; it is rewritten as if it selected one

    Proof   equal: no connection is lost, none is gained
            equal 6, lost 0, gained 0, unknown 0   (1 pod class, 2 address ranges)

    Nothing was written.
    ----- stderr -----
    Next: kubectl ambient migrate diff -f k8s   |   kubectl ambient migrate -f k8s --write
    ");
    assert_eq!(run.read("k8s/policy.yaml").as_deref(), Some(NAMED));
}

#[test]
fn a_diff_exits_with_1() {
    let run = Ambient::new()
        .file("k8s/policy.yaml", NAMED)
        .args(["migrate", "diff", "-f", "k8s"])
        .run();
    insta::assert_snapshot!(run, @r#"
    exit code: 1
    ----- stdout -----
    diff --git a/k8s/ambient-policies.yaml b/k8s/ambient-policies.yaml
    new file mode 100644
    --- /dev/null
    +++ b/k8s/ambient-policies.yaml
    @@ -0,0 +1,23 @@
    +apiVersion: security.istio.io/v1
    +kind: AuthorizationPolicy
    +metadata:
    +  name: my-app-np-ports
    +  namespace: default
    +  labels:
    +    app.kubernetes.io/managed-by: kubectl-ambient
    +  annotations:
    +    ambient.dev/companion-of: networkpolicy/my-app
    +spec:
    +  selector:
    +    matchLabels:
    +      app.kubernetes.io/name: my-app
    +  action: DENY
    +  rules:
    +  - from:
    +    - source:
    +        principals:
    +        - "*"
    +    to:
    +    - operation:
    +        notPorts:
    +        - "9090"
    diff --git a/k8s/policy.yaml b/k8s/policy.yaml
    --- a/k8s/policy.yaml
    +++ b/k8s/policy.yaml
    @@ -10,3 +10,5 @@
       - ports:
         - port: 9090   # metrics
           protocol: TCP
    +    - port: 15008
    +      protocol: TCP
    ----- stderr -----
    2 files differ, 1 new
    "#);
}

#[test]
fn what_is_written_is_the_diff_and_a_second_run_has_nothing_to_do() {
    let run = Ambient::new()
        .file("k8s/policy.yaml", NAMED)
        .args(["migrate", "-f", "k8s", "--write"])
        .run();
    let last: Vec<&str> = run.stdout.lines().rev().take(3).collect();
    insta::assert_snapshot!(last.into_iter().rev().collect::<Vec<_>>().join("\n"), @"
    Wrote 2 files:
      k8s/ambient-policies.yaml
      k8s/policy.yaml
    ");
    let written = run.read("k8s/policy.yaml").unwrap();
    assert!(
        written.contains("    - port: 9090   # metrics\n"),
        "{written}"
    );
    let policies = run.read("k8s/ambient-policies.yaml").unwrap();

    let again = Ambient::new()
        .file("k8s/policy.yaml", &written)
        .file("k8s/ambient-policies.yaml", &policies)
        .args(["migrate", "diff", "-f", "k8s"])
        .run();
    insta::assert_snapshot!(again, @"
    exit code: 0
    ----- stdout -----
    ----- stderr -----
    ");
}

#[test]
fn an_output_folder_leaves_the_input_alone() {
    let run = Ambient::new()
        .file("k8s/policy.yaml", NAMED)
        .args(["migrate", "-f", "k8s", "--output-dir", "out"])
        .run();
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(run.read("k8s/policy.yaml").as_deref(), Some(NAMED));
    assert!(run.read("out/k8s/policy.yaml").is_some());
    assert!(run.read("out/k8s/ambient-policies.yaml").is_some());
}

#[test]
fn a_client_dry_run_writes_nothing() {
    let run = Ambient::new()
        .file("k8s/policy.yaml", NAMED)
        .args(["migrate", "-f", "k8s", "--write", "--dry-run=client"])
        .run();
    let last = run.stdout.lines().last().unwrap_or_default();
    insta::assert_snapshot!(last, @"Nothing was written (dry run); 2 files would be.");
    assert_eq!(run.read("k8s/policy.yaml").as_deref(), Some(NAMED));
    assert_eq!(run.read("k8s/ambient-policies.yaml"), None);
}

#[test]
fn gained_connections_refuse_until_they_are_accepted() {
    let run = |flags: &[&str]| {
        Ambient::new()
            .file("shop.yaml", SHARED)
            .args(["migrate", "-f", "shop.yaml", "--write"])
            .args(flags.iter().copied())
            .run()
    };
    let refused = run(&[]);
    insta::assert_snapshot!(refused, @"
    exit code: 1
    ----- stdout -----
    Plan   1 namespace, 3 workloads   1 object to edit, 1 to create

    NAMESPACE   WORKLOADS   POLICIES          WAYPOINT   VERDICT
    shop        3           1 edited, 1 new   <none>     blocked by AMB0112

    Step 1   open the tunnel port in network policies
    ACTION   OBJECT                  WHERE         WHY
    edit     shop/networkpolicy/db   shop.yaml:1   open port 15008 in 2 rules

    Step 2   keep the port limits inside the tunnel
    ACTION   OBJECT                                 WHERE              WHY
    create   shop/authorizationpolicy/db-np-ports   beside shop.yaml   keep tunnelled traffic to the ports that `shop/networkpolicy/db` allows

    Step 3   enrol
      kubectl label namespace shop istio.io/dataplane-mode=ambient

    error AMB0112-2bb79dc3   shop/networkpolicy/db   shop.yaml:1
      `shop/admin[Pod]` runs under the same service account `shop/default` and may use the ports (tunnel)
        shop/admin[Pod] => shop/db[Pod] : TCP 5432   for example TCP 5432   by shop/networkpolicy/db
        shop/web[Pod] => shop/db[Pod] : TCP 9000   for example TCP 9000   by shop/networkpolicy/db
      fix: give `shop/web[Pod]` a service account of its own in `spec.template.spec.serviceAccountName`
      fix: give `shop/admin[Pod]` a service account of its own in `spec.template.spec.serviceAccountName`

    INFO               OBJECT                  WHERE         MESSAGE
    AMB0102-2aaaa7f5   shop/networkpolicy/db   shop.yaml:7   its ingress rules do not let the tunnel through; the plan opens it for the same peers
    AMB0103-2752cd28   shop/networkpolicy/db   shop.yaml:1   ports are limited; `shop/authorizationpolicy/db-np-ports` keeps the limit inside the tunnel

    Proof   gained: no connection is lost, some are gained
            equal 28, lost 0, gained 2, unknown 0   (3 pod classes, 2 address ranges)
    VERDICT   SOURCE            DESTINATION    THROUGH   CONNECTIONS   BECAUSE
    gained    shop/admin[Pod]   shop/db[Pod]   tunnel    TCP 5432      `shop/web[Pod]` runs under the same service account `shop/default` and may use the ports
    gained    shop/web[Pod]     shop/db[Pod]   tunnel    TCP 9000      `shop/admin[Pod]` runs under the same service account `shop/default` and may use the ports

    Nothing was written: findings have to be dealt with first, or be accepted with `--accept AMB0112-2bb79dc3`
    ----- stderr -----
    ");
    assert_eq!(refused.read("shop.yaml").as_deref(), Some(SHARED));

    let accepted = run(&["--accept", "all"]);
    assert_eq!(accepted.code, 0, "{accepted}");
    assert_ne!(accepted.read("shop.yaml").as_deref(), Some(SHARED));
}

#[test]
fn standard_input_is_read() {
    let run = Ambient::new()
        .stdin(NAMED)
        .args(["migrate", "diff", "-f", "-"])
        .run();
    insta::assert_snapshot!(run, @r#"
    exit code: 1
    ----- stdout -----
    diff --git a/stdin.yaml b/stdin.yaml
    --- a/stdin.yaml
    +++ b/stdin.yaml
    @@ -10,3 +10,5 @@
       - ports:
         - port: 9090   # metrics
           protocol: TCP
    +    - port: 15008
    +      protocol: TCP
    diff --git a/ambient-policies.yaml b/ambient-policies.yaml
    new file mode 100644
    --- /dev/null
    +++ b/ambient-policies.yaml
    @@ -0,0 +1,23 @@
    +apiVersion: security.istio.io/v1
    +kind: AuthorizationPolicy
    +metadata:
    +  name: my-app-np-ports
    +  namespace: default
    +  labels:
    +    app.kubernetes.io/managed-by: kubectl-ambient
    +  annotations:
    +    ambient.dev/companion-of: networkpolicy/my-app
    +spec:
    +  selector:
    +    matchLabels:
    +      app.kubernetes.io/name: my-app
    +  action: DENY
    +  rules:
    +  - from:
    +    - source:
    +        principals:
    +        - "*"
    +    to:
    +    - operation:
    +        notPorts:
    +        - "9090"
    ----- stderr -----
    2 files differ, 1 new
    "#);
}

#[test]
fn bad_input_does_not_hide_the_rest() {
    let run = Ambient::new()
        .file("k8s/a-broken.yaml", BROKEN)
        .file("k8s/policy.yaml", NAMED)
        .args(["migrate", "diff", "-f", "k8s"])
        .run();
    insta::assert_snapshot!(run, @r#"
    exit code: 2
    ----- stdout -----
    diff --git a/k8s/ambient-policies.yaml b/k8s/ambient-policies.yaml
    new file mode 100644
    --- /dev/null
    +++ b/k8s/ambient-policies.yaml
    @@ -0,0 +1,23 @@
    +apiVersion: security.istio.io/v1
    +kind: AuthorizationPolicy
    +metadata:
    +  name: my-app-np-ports
    +  namespace: default
    +  labels:
    +    app.kubernetes.io/managed-by: kubectl-ambient
    +  annotations:
    +    ambient.dev/companion-of: networkpolicy/my-app
    +spec:
    +  selector:
    +    matchLabels:
    +      app.kubernetes.io/name: my-app
    +  action: DENY
    +  rules:
    +  - from:
    +    - source:
    +        principals:
    +        - "*"
    +    to:
    +    - operation:
    +        notPorts:
    +        - "9090"
    diff --git a/k8s/policy.yaml b/k8s/policy.yaml
    --- a/k8s/policy.yaml
    +++ b/k8s/policy.yaml
    @@ -10,3 +10,5 @@
       - ports:
         - port: 9090   # metrics
           protocol: TCP
    +    - port: 15008
    +      protocol: TCP
    ----- stderr -----
    error: invalid YAML: unclosed bracket '{'
      --> k8s/a-broken.yaml:2:11
      |
    2 | metadata: {name: web
      |           ^
    2 files differ, 1 new
    "#);
}

#[test]
fn bad_input_keeps_files_from_being_written() {
    let run = |flags: &[&str]| {
        Ambient::new()
            .file("k8s/a-broken.yaml", BROKEN)
            .file("k8s/policy.yaml", NAMED)
            .args(["migrate", "-f", "k8s", "--write"])
            .args(flags.iter().copied())
            .run()
    };
    let stopped = run(&[]);
    let last = stopped.stdout.lines().last().unwrap_or_default();
    insta::assert_snapshot!(format!("{} {last}", stopped.code), @"2 Nothing was written: some of the input cannot be used; `--keep-going` writes the rest");
    assert_eq!(stopped.read("k8s/policy.yaml").as_deref(), Some(NAMED));

    let kept_going = run(&["--keep-going"]);
    assert_eq!(kept_going.code, 2, "{kept_going}");
    assert_ne!(kept_going.read("k8s/policy.yaml").as_deref(), Some(NAMED));
}

#[test]
fn machine_formats_are_one_document_and_the_same_in_every_run() {
    for format in ["json", "yaml", "sarif", "markdown", "github"] {
        let run = || {
            Ambient::new()
                .file("k8s/a-broken.yaml", BROKEN)
                .file("k8s/policy.yaml", NAMED)
                .args(["migrate", "-f", "k8s", "-o", format, "--diff"])
                .run()
        };
        let (first, second) = (run(), run());
        assert_eq!(first.to_string(), second.to_string());
        assert_eq!(first.code, 2, "{first}");
        if matches!(format, "json" | "sarif") {
            let document: serde_json::Value = serde_json::from_str(&first.stdout).unwrap();
            assert!(document.is_object());
        }
    }
}

#[test]
fn the_step_summary_of_github_is_appended_to() {
    let run = Ambient::new()
        .file("k8s/policy.yaml", NAMED)
        .file("summary.md", "earlier\n")
        .env("GITHUB_STEP_SUMMARY", "summary.md")
        .args(["migrate", "-f", "k8s", "-o", "github"])
        .run();
    let summary = run.read("summary.md").unwrap();
    let heads: Vec<&str> = summary.lines().take(2).collect();
    insta::assert_snapshot!(heads.join("\n"), @"
    earlier
    ### kubectl ambient migrate
    ");
}
