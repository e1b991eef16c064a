//! What keeps a plan from being trusted shows in its verdicts, and keeps it from being written.

use crate::harness::{Ambient, Run};
use crate::manifests::{BROKEN, NAMED};

/// Two Deployments in a namespace that their manifests do not name.
const APPS: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: web, containers: [{name: main, image: web}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {serviceAccountName: db, containers: [{name: main, image: db}]}
";

/// Policies that let `web` use one port of `db`, and everybody another.
const POLICY: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: 5432}]
  - from: [{podSelector: {}}]
    ports: [{port: 9187}]
";

/// The lines of an answer that hold one of these words.
fn lines<'r>(run: &'r Run, words: &[&str]) -> Vec<&'r str> {
    let has = |line: &&str| words.iter().any(|word| line.contains(word));
    run.stdout.lines().filter(has).collect()
}

#[test]
fn a_template_that_was_not_read_leaves_the_verdict_open() {
    let run = |extra: &[&str]| {
        Ambient::new()
            .file("chart/Chart.yaml", "name: shop\n")
            .file("chart/templates/apps.yaml", APPS)
            .file(
                "chart/templates/policy.yaml",
                "{{- if .Values.policies }}\nkind: NetworkPolicy\n{{- end }}\n",
            )
            .args(["migrate", "-f", "chart", "-R"])
            .args(extra.iter().copied())
            .run()
    };
    let shown = run(&[]);
    assert_eq!(shown.code, 0);
    insta::assert_snapshot!(
        lines(&shown, &["default  ", "Proof", "AMB0151-", "fix:", "(any)"]).join("\n"),
        @"
    default     2           <none>     <none>     ready, 1 warning
    Proof   unknown: no connection is known to be lost or gained, some cannot be decided
    unknown   (any)    (any pod)     tunnel    unknown
      fix: Render the chart and pipe it in: `helm template NAME CHART | kubectl ambient migrate -f -`.
      AMB0151-e384f831   template/chart/templates/policy.yaml   chart/templates/policy.yaml:1
    "
    );
    assert_eq!(run(&["--fail-on", "warning"]).code, 1);
}

#[test]
fn problems_of_the_input_stand_in_the_verdict_of_the_namespaces_that_they_concern() {
    let run = Ambient::new()
        .file("apps.yaml", APPS)
        .file(
            "other.yaml",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: other}\n\
             spec: {containers: [{name: a, image: a}]}\n---\n\
             apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
             metadata: {name: a, namespace: other}\nspec: {podSelector: 1}\n",
        )
        .args(["migrate", "-f", "."])
        .run();
    insta::assert_snapshot!(lines(&run, &["default  ", "other  "]).join("\n"), @"
    default     2           <none>     <none>     ready
    other       1           <none>     <none>     blocked by 1 problem of the input
    ");
    let run = Ambient::new()
        .file("apps.yaml", APPS)
        .file("broken.yaml", BROKEN)
        .args(["migrate", "-f", "."])
        .run();
    insta::assert_snapshot!(lines(&run, &["default  "]).join("\n"), @"default     2           <none>     <none>     blocked by 1 problem of the input");
}

#[test]
fn an_error_of_the_network_plugin_stands_in_the_verdict_of_every_namespace() {
    let run = Ambient::new()
        .file("apps.yaml", APPS)
        .file(
            "cilium.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system}\n\
             data: {bpf-lb-sock: \"true\", cni-exclusive: \"true\"}\n",
        )
        .args(["migrate", "-f", "."])
        .run();
    insta::assert_snapshot!(lines(&run, &["default  ", "kube-system  "]).join("\n"), @"
    default       2           <none>     <none>     blocked by AMB0804
    kube-system   0           <none>     <none>     left out: system namespace
    ");
}

#[test]
fn a_companion_in_place_of_an_edit_is_a_warning() {
    let policy = POLICY.replace("ports: [{port: 5432}]", "ports: &p [{port: 5432}]");
    let policy = policy.replace("ports: [{port: 9187}]", "ports: *p");
    let run = |fail_on: &str| {
        Ambient::new()
            .file("apps.yaml", APPS)
            .file("policy.yaml", &policy)
            .args(["migrate", "-f", ".", "--fail-on", fail_on])
            .run()
    };
    insta::assert_snapshot!(lines(&run("error"), &["AMB0127", "companion in"]).join("\n"), @"
                               a companion in ./ambient-policies.yaml
    warning AMB0127   file not edited
      AMB0127-a711b113   default/networkpolicy/db   ./policy.yaml:8
        `spec.ingress[0].ports` is shared through an anchor, an alias or a merge key; a companion in
    ");
    assert_eq!((run("error").code, run("warning").code), (0, 1));
}

#[test]
fn files_that_kustomize_moves_are_not_written() {
    let run = |overlay: &str, namespace: &str| {
        Ambient::new()
            .file("base/apps.yaml", APPS)
            .file("base/policy.yaml", POLICY)
            .file(
                "base/kustomization.yaml",
                "resources: [apps.yaml, policy.yaml]\n",
            )
            .file("prod/kustomization.yaml", overlay)
            .args(["migrate", "-f", ".", "-R", "-n", namespace, "--write"])
            .run()
    };
    let moved = "resources: [../base]\nnamespace: prod\n";
    let told = run(moved, "default");
    insta::assert_snapshot!(
        lines(&told, &["default  ", "Proof", "AMB0152", "puts", "fix:", "written"]).join("\n"),
        @"
    default     2           1 edited, 1 new   <none>     blocked by AMB0152
    Proof   unknown: no connection is known to be lost or gained, some cannot be decided
              `kustomization/./prod` puts the objects of `./base/apps.yaml` and 1 more into namespace
    error AMB0152   objects that kustomize moves or renames
      The files were read as they are, and a kustomization among them puts their objects into another
      fix: kubectl ambient migrate -k ./prod --output-dir DIR
      AMB0152-dcbb9ab8   kustomization/./prod   ./prod/kustomization.yaml:2
        puts the objects of `./base/apps.yaml` and 1 more into namespace `prod`, and not the names that
      fix: Run the plan in CI so that new clients are compared and named, give clients accounts of their
    Nothing was written: findings have to be dealt with first, or be accepted with `--accept AMB0152-dcbb9ab8`
    "
    );
    assert_eq!(told.code, 1);
    assert_eq!(told.read("base/policy.yaml").as_deref(), Some(POLICY));
    // In the namespace that they end up in, they are what the plan takes them for.
    assert_eq!(run(moved, "prod").code, 0);
    let open = run("resources: [../base]\n", "default");
    insta::assert_snapshot!(lines(&open, &["default  ", "Proof", "AMB0153"]).join("\n"), @"
    default     2           1 edited, 1 new   <none>     ready, 2 warnings
    Proof   equal: no connection is lost, none is gained
    warning AMB0153   namespace that kustomize may set
      AMB0153-95689c6f   kustomization/./prod   ./prod/kustomization.yaml
    ");
    assert_eq!(open.code, 0);
    let renamed = run("resources: [../base]\nnamePrefix: x-\n", "default");
    insta::assert_snapshot!(lines(&renamed, &["AMB0152-", "puts"]).join("\n"), @"
              `kustomization/./prod` puts the objects of `./base/apps.yaml` and 1 more under other names
      The files were read as they are, and a kustomization among them puts their objects into another
      AMB0152-b2a8d992   kustomization/./prod   ./prod/kustomization.yaml:2
        puts the objects of `./base/apps.yaml` and 1 more under other names, and not the names that the
    Nothing was written: findings have to be dealt with first, or be accepted with `--accept AMB0152-b2a8d992`
    ");
}

#[test]
fn commands_that_are_told_can_be_pasted_into_a_shell() {
    let run = Ambient::new()
        .file("base/apps.yaml", APPS)
        .file(
            "the shop/kustomization.yaml",
            "resources: [../base/apps.yaml]\nnamespace: prod\n",
        )
        .args(["migrate", "-f", ".", "-R"])
        .run();
    let told = lines(&run, &["migrate -k"]).join("\n");
    insta::assert_snapshot!(told.trim(), @"fix: kubectl ambient migrate -k './the shop' --output-dir DIR");
}

#[test]
fn what_holds_no_workload_is_not_enrolled() {
    let run = |flags: &[&str]| {
        Ambient::new()
            .file("policy.yaml", NAMED)
            .file(
                "empty.yaml",
                "apiVersion: v1\nkind: Namespace\nmetadata: {name: cert-manager}\n",
            )
            .args(["migrate", "-f", "."])
            .args(flags.iter().copied())
            .run()
    };
    let words = ["Plan", "default  ", "cert-manager  ", "label"];
    insta::assert_snapshot!(lines(&run(&[]), &words).join("\n"), @"
    Plan   0 namespaces, 0 workloads   1 object to edit, 1 to create
    cert-manager   0           <none>            <none>     left out: no workload of the input is in it
    default        0           1 edited, 1 new   <none>     left out: no workload of the input is in it
    ");
    let asked = run(&["--only", "cert-manager"]);
    insta::assert_snapshot!(lines(&asked, &words).join("\n"), @"
    Plan   1 namespace, 0 workloads   0 objects to edit, 0 to create
    cert-manager   0           <none>     <none>     ready
    default        0           <none>     <none>     left out: not among the namespaces asked for
      kubectl label namespace cert-manager istio.io/dataplane-mode=ambient
    ");
}

#[test]
fn a_namespace_whose_workloads_all_stay_out_is_left_out() {
    let gateway = APPS.replace("containers:", "hostNetwork: true, containers:");
    assert_ne!(gateway, APPS);
    let run = |flags: &[&str]| {
        Ambient::new()
            .file("apps.yaml", &gateway)
            .file(
                "namespace.yaml",
                "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n",
            )
            .args(["migrate", "-f", "."])
            .args(flags.iter().copied())
            .run()
    };
    let words = ["Plan", "default  ", "left out", "label"];
    insta::assert_snapshot!(lines(&run(&[]), &words).join("\n"), @"
    Plan   0 namespaces, 0 workloads   0 objects to edit, 0 to create
    default     0 of 2      <none>     <none>
                left out: all workloads of the input that are in it stay out of the mesh
    ");
    insta::assert_snapshot!(lines(&run(&["--only", "default"]), &words).join("\n"), @"
    Plan   1 namespace, 0 workloads   0 objects to edit, 0 to create
    default     0 of 2      <none>     <none>     ready, 2 warnings
      kubectl label namespace default istio.io/dataplane-mode=ambient
    ");
}

#[test]
fn what_is_not_known_of_a_plugin_is_not_asked_for_again() {
    let apps = APPS.replace(
        "image: db}",
        "image: db, livenessProbe: {tcpSocket: {port: 5432}}}",
    );
    assert_ne!(apps, APPS);
    let fixes = |flags: &[&str]| {
        let run = Ambient::new()
            .file("apps.yaml", &apps)
            .file("policy.yaml", POLICY)
            .args(["migrate", "-f", ".", "-n", "shop", "-o", "json"])
            .args(flags.iter().copied())
            .run();
        let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let findings = json["findings"].as_array().unwrap().iter();
        let fixes = findings.filter(|f| f["code"] == "AMB0803");
        fixes.map(|f| f["fixes"].to_string()).collect::<Vec<_>>()
    };
    insta::assert_snapshot!(fixes(&[]).join("\n"), @r#"["Say which network plugin the cluster has with `--cni`."]"#);
    insta::assert_snapshot!(fixes(&["--cni", "kindnet"]).join("\n"), @r#"["with `kindnet`, of which it is not known, enrol one pod first and see that its probes pass; if they do not, let `169.254.7.127/32` in with an `ipBlock`"]"#);
    insta::assert_snapshot!(fixes(&["--cni", "calico-ebpf"]).join("\n"), @r#"["with `calico-ebpf` before Calico 3.29, enrol one pod first and see that its probes pass; if they do not, let `169.254.7.127/32` in with an `ipBlock`"]"#);
    insta::assert_snapshot!(fixes(&["--cni", "unknown"]).join("\n"), @r#"["where nobody knows the plugin, enrol one pod first and see that its probes pass; if they do not, let `169.254.7.127/32` in with an `ipBlock`"]"#);
    assert!(fixes(&["--cni", "calico"]).is_empty());
}

#[test]
fn enrolment_ends_injection_and_its_warning_keeps_its_name() {
    let namespace = "apiVersion: v1\nkind: Namespace\n\
                     metadata: {name: default, labels: {istio-injection: enabled}}\n";
    let run = |namespace: &str| {
        Ambient::new()
            .file("apps.yaml", APPS)
            .file("namespace.yaml", namespace)
            .args(["migrate", "-f", ".", "--enroll", "--write"])
            .run()
    };
    let first = run(namespace);
    let words = ["AMB0301-", "kubectl label", "take the label"];
    insta::assert_snapshot!(lines(&first, &words).join("\n"), @"
    kubectl label namespace default istio-injection-
    fix: kubectl label namespace default istio-injection-
    fix: take the label out of `./namespace.yaml:1` as well: the plan only inserts
    AMB0301-22aafb33   namespace/default   ./namespace.yaml:1
    ");
    let second = run(&first.read("namespace.yaml").unwrap());
    assert_eq!(lines(&second, &words), lines(&first, &words));
}
