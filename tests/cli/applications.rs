//! Whole runs over the applications and examples in `testdata`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Ambient, Run};

/// A run in a copy of an application's folder.
fn run_in(application: &str, arguments: &[&str]) -> Run {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let ambient = Ambient::new().folder(&folder.join(application));
    ambient.args(arguments.iter().copied()).run()
}

#[test]
fn online_boutique_is_planned() {
    insta::assert_snapshot!(run_in("online-boutique", &["migrate", "-f", ".", "-R"]));
}

#[test]
fn online_boutique_is_shown_as_a_diff() {
    let run = run_in("online-boutique", &["migrate", "diff", "-f", ".", "-R"]);
    insta::assert_snapshot!(run);
}

#[test]
fn online_boutique_is_listed() {
    let run = run_in("online-boutique", &["policy", "list", "-f", ".", "-R"]);
    insta::assert_snapshot!(run);
}

#[test]
fn bookinfo_is_planned() {
    insta::assert_snapshot!(run_in("bookinfo", &["migrate", "-f", ".", "-R"]));
}

/// The diff is what `patch` takes, and with it applied nothing is left to do and every connection
/// is in the tunnel that was in the clear.
#[test]
fn the_diff_of_online_boutique_applies_and_leaves_nothing_to_do() {
    let diff = run_in("online-boutique", &["migrate", "diff", "-f", ".", "-R"]);
    assert_eq!(diff.code, 1);
    let listed = run_in("online-boutique", &["policy", "list", "-f", ".", "-R"]);
    let mut patch = Command::new("patch")
        .args(["-p1", "--no-backup-if-mismatch"])
        .current_dir(listed.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("`patch` has to be installed");
    {
        use std::io::Write as _;
        let mut stdin = patch.stdin.take().unwrap();
        stdin.write_all(diff.stdout.as_bytes()).unwrap();
    }
    assert!(patch.wait().unwrap().success());

    let again = Ambient::new().folder(listed.folder());
    let again = again.args(["migrate", "diff", "-f", ".", "-R"]).run();
    assert_eq!((again.code, again.stdout.as_str()), (0, ""));

    let tunnel = Ambient::new().folder(listed.folder());
    let list = ["policy", "list", "-f", ".", "-R", "--mode", "tunnel"];
    let tunnel = tunnel.args(list).run();
    let between_pods = |run: &Run| -> Vec<String> {
        let lines = run.stdout.lines().filter(|l| l.matches('[').count() == 2);
        lines
            .filter(|l| l.contains("TCP "))
            .map(str::to_owned)
            .collect()
    };
    assert!(!between_pods(&listed).is_empty());
    assert_eq!(between_pods(&tunnel), between_pods(&listed));
}

/// The policy that documents about ambient mesh print, as it is printed: without a name.
#[test]
fn the_example_of_the_documents_needs_a_name() {
    let run = run_in("example-my-app", &["migrate", "-f", "nameless.yaml"]);
    insta::assert_snapshot!(run);
}

/// With a name: 9090 stays, 15008 is added, and what is tunnelled is kept to 9090.
#[test]
fn the_example_of_the_documents_keeps_its_port() {
    let run = run_in("example-my-app", &["migrate", "diff", "-f", "named.yaml"]);
    insta::assert_snapshot!(run);
}

#[test]
fn a_plugin_that_sees_the_ports_leaves_nothing_to_compare() {
    let run = run_in("shop", &["migrate", "-f", ".", "--cni", "calico-ambient"]);
    let proof: Vec<&str> = run
        .stdout
        .lines()
        .filter(|l| l.starts_with("Proof"))
        .collect();
    assert_eq!(
        (run.code, proof.join("\n").as_str()),
        (
            0,
            "Proof   nothing to compare: the network plugin sees the ports inside the tunnel, so policies stay as"
        )
    );
}

/// Deployments that may use one port of each other: more pairs than are listed.
fn many(pods: usize) -> String {
    let mut text = String::from(
        "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]}
",
    );
    for number in 0..pods {
        _ = writeln!(
            text,
            "---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web-{number}, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: main, image: web}}]}}"
        );
    }
    text
}

/// The plan for some manifests without limits inside the tunnel, as JSON.
fn without_limits(manifests: String) -> String {
    let arguments = ["migrate", "-f", "-", "--authz", "none", "-o", "json"];
    Ambient::new().stdin(manifests).args(arguments).run().stdout
}

/// What is gained between many pods alike is counted whole, and listed only up to a number.
#[test]
fn many_pairs_are_counted_and_not_all_listed() {
    let pods = 150;
    let plan: serde_json::Value = serde_json::from_str(&without_limits(many(pods))).unwrap();
    let proof = &plan["proof"];
    let differences = proof["differences"].as_array().unwrap().iter();
    let gained = differences.filter(|d| d["verdict"] == "gained");
    assert_eq!(gained.count(), 10_000);
    assert_eq!(proof["unlisted"], pods * pods - 10_000);
    assert_eq!(proof["gained"], pods * pods);
}

/// Where pairs are too many to be listed, each policy still has its finding.
#[test]
fn policies_have_findings_when_their_pairs_are_not_listed() {
    let mut text = many(150);
    for client in ["a", "b"] {
        writeln!(
            text,
            "---
apiVersion: v1
kind: Pod
metadata: {{name: {client}, namespace: till, labels: {{app: {client}}}}}
spec: {{serviceAccountName: {client}, containers: [{{name: main, image: client}}]}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: out-{client}, namespace: till}}
spec:
  podSelector: {{matchLabels: {{app: {client}}}}}
  policyTypes: [Egress]
  egress: [{{to: [{{podSelector: {{matchLabels: {{app: server}}}}}}], ports: [{{port: 80}}]}}]"
        )
        .unwrap();
    }
    text += "---
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: till, labels: {app: server}}
spec: {serviceAccountName: server, containers: [{name: main, image: server}]}
";
    let plan: serde_json::Value = serde_json::from_str(&without_limits(text)).unwrap();
    let findings = plan["findings"].as_array().unwrap().iter();
    let gained = findings.filter(|f| f["code"] == "AMB0110");
    let subjects: Vec<String> = gained.map(|f| f["subject"].to_string()).collect();
    insta::assert_snapshot!(subjects.join("\n"), @r#"
    {"namespace":"shop","kind":"NetworkPolicy","name":"web"}
    {"namespace":"till","kind":"NetworkPolicy","name":"out-a"}
    {"namespace":"till","kind":"NetworkPolicy","name":"out-b"}
    "#);
}

/// A pair counts once, of however many classes the pods of its ends are.
#[test]
fn a_pair_of_endpoints_is_counted_once_in_each_relation() {
    let mut text = String::from(
        "apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop, labels: {app: client}}
spec: {serviceAccountName: client, containers: [{name: main, image: client}]}
",
    );
    for tier in ["a", "b"] {
        writeln!(
            text,
            "---
apiVersion: v1
kind: Pod
metadata:
  name: web-{tier}
  namespace: shop
  labels: {{tier: {tier}}}
  ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: web, uid: x, controller: true}}]
spec: {{serviceAccountName: web, containers: [{{name: main, image: web}}]}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: in-{tier}, namespace: shop}}
spec:
  podSelector: {{matchLabels: {{tier: {tier}}}}}
  ingress: [{{from: [{{podSelector: {{matchLabels: {{app: client}}}}}}], ports: [{{port: 80}}]}}]"
        )
        .unwrap();
    }
    let mut plan: serde_json::Value = serde_json::from_str(&without_limits(text)).unwrap();
    let proof = plan["proof"].as_object_mut().unwrap();
    proof.remove("differences");
    insta::assert_snapshot!(serde_json::to_string(proof).unwrap(), @r#"{"verdict":"gained","equal":15,"lost":0,"gained":1,"unknown":0,"unlisted":0,"classes":3,"addressRanges":2}"#);
}
