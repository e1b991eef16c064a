//! `migrate` and `migrate diff`: what is shown, and with which exit code.

use crate::harness::Ambient;
use crate::manifests::{BROKEN, NAMED, SHARED};

#[test]
fn a_plan_is_shown_and_nothing_is_written() {
    let run = Ambient::new()
        .file("k8s/policy.yaml", NAMED)
        .args(["migrate", "-f", "k8s"])
        .run();
    insta::assert_snapshot!(run, @"
    exit code: 0
    ----- stdout -----
    Plan   0 namespaces, 0 workloads   1 object to edit, 1 to create
    Read   1 NetworkPolicy

    NAMESPACE   WORKLOADS   POLICIES          WAYPOINT   VERDICT
    default     0           1 edited, 1 new   <none>     left out: no workload of the input is in it

    Proof   equal: no connection is lost, none is gained
            equal 6, lost 0, gained 0, unknown 0 (1 pod class, 2 address ranges)

    Step 1   open the tunnel port in network policies
    ACTION   OBJECT                         WHERE               WHY
    edit     default/networkpolicy/my-app   k8s/policy.yaml:1   open port 15008 in 1 rule

    Step 2   keep the port limits inside the tunnel
    ACTION   OBJECT                                        WHERE
    create   default/authorizationpolicy/my-app-np-ports   beside k8s/policy.yaml
             keep the tunnel to the ports allowed at the pods of `default/networkpolicy/my-app`

    INFO      OBJECT                         WHAT
    AMB0102   default/networkpolicy/my-app   tunnel port closed
    AMB0103   default/networkpolicy/my-app   port limit moves into the tunnel
    AMB0125   default/networkpolicy/my-app   policy that selects no pod
    `kubectl ambient explain CODE` says more, `-o json` lists all objects

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
    @@ -0,0 +1,22 @@
    +apiVersion: security.istio.io/v1
    +kind: AuthorizationPolicy
    +metadata:
    +  name: my-app-np-ports
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
    1 file changed, 1 added
    "#);
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
    @@ -0,0 +1,22 @@
    +apiVersion: security.istio.io/v1
    +kind: AuthorizationPolicy
    +metadata:
    +  name: my-app-np-ports
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
    1 file changed, 1 added
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
    @@ -0,0 +1,22 @@
    +apiVersion: security.istio.io/v1
    +kind: AuthorizationPolicy
    +metadata:
    +  name: my-app-np-ports
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
    1 file changed, 1 added
    "#);
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
fn gained_connections_keep_the_diff_from_being_printed_until_they_are_accepted() {
    let run = |flags: &[&str]| {
        Ambient::new()
            .file("shop.yaml", SHARED)
            .args(["migrate", "diff", "-f", "shop.yaml"])
            .args(flags.iter().copied())
            .run()
    };
    insta::assert_snapshot!(run(&[]), @"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: no diff is printed: findings have to be dealt with first, or be accepted with `--accept AMB0112-2bb79dc3`
    hint: `kubectl ambient migrate -f shop.yaml --diff` shows it all
    ");
    let accepted = run(&["--accept", "AMB0112-2bb79dc3"]);
    assert_eq!(
        (accepted.code, accepted.stderr.as_str()),
        (1, "1 file changed, 1 added\n")
    );
    assert!(accepted.stdout.starts_with("diff --git "), "{accepted}");
    let strict = run(&["--accept", "AMB0112", "--fail-on", "info"]);
    assert_eq!((strict.code, strict.stdout.as_str()), (1, ""), "{strict}");
}

#[test]
fn an_error_without_a_difference_does_not_pass() {
    let written = Ambient::new()
        .file("shop.yaml", SHARED)
        .args(["migrate", "-f", "shop.yaml", "--write", "--accept", "all"])
        .run();
    let (shop, policies) = (
        written.read("shop.yaml").unwrap(),
        written.read("ambient-policies.yaml").unwrap(),
    );
    let run = |flags: &[&str]| {
        Ambient::new()
            .file("shop.yaml", &shop)
            .file("ambient-policies.yaml", &policies)
            .args(["migrate", "diff", "-f", "."])
            .args(flags.iter().copied())
            .run()
    };
    insta::assert_snapshot!(run(&[]), @"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: no diff is printed: findings have to be dealt with first, or be accepted with `--accept AMB0112-2bb79dc3`
    hint: `kubectl ambient migrate -f . --diff` shows it all
    ");
    assert_eq!(run(&["--accept", "all"]).code, 0);
}

#[test]
fn the_next_commands_repeat_the_flags() {
    let run = Ambient::new()
        .file("k8s/policy.yaml", NAMED)
        .args([
            "migrate", "-f", "k8s", "-R", "--only", "default", "--cni", "calico",
        ])
        .args(["--waypoint", "waypoint=default", "--strategy", "companion"])
        .run();
    insta::assert_snapshot!(run.stderr, @"Next: kubectl ambient migrate diff -f k8s --only default --waypoint waypoint=default --cni calico --strategy companion -R   |   kubectl ambient migrate -f k8s --only default --waypoint waypoint=default --cni calico --strategy companion -R --write");
}

#[test]
fn input_without_anything_to_analyse_is_not_called_equal() {
    let run = |arguments: &[&str]| {
        Ambient::new()
            .file(
                "chart/templates/web.yaml",
                "kind: Deployment\nmetadata:\n  name: {{ .Values.name }}\n",
            )
            .file(
                "secret.yaml",
                "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n",
            )
            .args(arguments.iter().copied())
            .args(["-f", ".", "-R"])
            .run()
    };
    insta::assert_snapshot!(run(&["migrate"]), @"
    exit code: 0
    ----- stdout -----
    Plan   0 namespaces, 0 workloads   0 objects to edit, 0 to create
    Read   nothing that is analysed
           not analysed: 1 Secret
           not read: 1 Helm template

    Proof   unknown: no connection is known to be lost or gained, some cannot be decided
            equal 0, lost 0, gained 0, unknown 1 (0 pod classes, 2 address ranges)
    VERDICT   SOURCE   DESTINATION   THROUGH   CONNECTIONS
    unknown   (any)    (any pod)     tunnel    unknown
              `./chart/templates/web.yaml` is a template of Helm and was not read

    warning AMB0151   template that was not read
      The file is a template of Helm and holds no objects before it is rendered. Policies and workloads
      that come out of it are missing from the plan and from the comparison, so no verdict is certain.
      What the plan opens or limits may then be too much or too little.
      fix: Render the chart and pipe it in: `helm template NAME CHART | kubectl ambient migrate -f -`.
      AMB0151-b639ad6e   template/./chart/templates/web.yaml   ./chart/templates/web.yaml:3
        policies and workloads that it makes are not part of the plan

    Nothing was written.
    ----- stderr -----
    note: ./chart/templates/web.yaml:3: Helm template, not read; render it first: `helm template … | kubectl ambient migrate -f -`
    ");
    insta::assert_snapshot!(run(&["migrate", "diff"]), @"
    exit code: 0
    ----- stdout -----
    ----- stderr -----
    note: ./chart/templates/web.yaml:3: Helm template, not read; render it first: `helm template … | kubectl ambient migrate -f -`
    warning: nothing was compared: the input holds no workload and no policy
    ");
}

/// `monitoring` may not exist: a command for it could fail, or enrol what nobody looked at.
#[test]
fn namespaces_that_rules_only_mention_are_not_enrolled() {
    let policy = NAMED.replace(
        "  ingress:\n  - ports:",
        "  ingress:\n  - from:\n    - namespaceSelector:\n        matchLabels: \
         {kubernetes.io/metadata.name: monitoring}\n    ports:",
    );
    let run = Ambient::new()
        .file("policy.yaml", &policy)
        .file(
            "pod.yaml",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: a}]}\n",
        )
        .args(["migrate", "-f", "policy.yaml", "-f", "pod.yaml"])
        .run();
    let about: Vec<&str> = run
        .stdout
        .lines()
        .filter(|l| l.contains("label namespace"))
        .collect();
    insta::assert_snapshot!(about.join("\n"), @"  kubectl label namespace default istio.io/dataplane-mode=ambient");
    assert!(!run.stdout.contains("monitoring"), "{run}");
}

#[test]
fn probes_are_said_to_be_refused_by_the_policy_that_is_about_the_pods() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: app, labels: \
               {app.kubernetes.io/name: my-app}}\nspec:\n  containers:\n  - name: main\n    \
               image: main\n    livenessProbe: {tcpSocket: {port: 8080}}\n";
    let everything = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
                      metadata: {name: a-default}\nspec: {podSelector: {}, ingress: []}\n";
    let run = Ambient::new()
        .file("k8s.yaml", &[NAMED, everything, pod].join("---\n"))
        .args(["migrate", "-f", "k8s.yaml"])
        .run();
    let about: Vec<&str> = run
        .stdout
        .lines()
        .filter(|l| l.contains("its probes"))
        .collect();
    insta::assert_snapshot!(about.join("\n"), @"    `default/networkpolicy/my-app` isolates it, and its probes on port 8080 come from another");
}

/// Calico evaluates what is staged for its logs alone.
#[test]
fn staged_policies_leave_the_verdict_certain() {
    let verdict = |kind: &str| {
        let policy = format!(
            "---\napiVersion: projectcalico.org/v3\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{}}\n"
        );
        let run = Ambient::new()
            .file("k8s.yaml", &(NAMED.to_owned() + &policy))
            .args(["migrate", "-f", "k8s.yaml"])
            .run();
        let proof = run.stdout.lines().find_map(|l| l.strip_prefix("Proof   "));
        let (verdict, _) = proof.and_then(|p| p.split_once(':')).unwrap();
        verdict.to_owned()
    };
    assert_eq!(verdict("NetworkPolicy"), "unknown");
    assert_eq!(verdict("StagedNetworkPolicy"), "equal");
}
