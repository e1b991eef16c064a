//! Whole runs over the applications and examples in `testdata`.

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

/// What is gained between many pods alike is counted whole, and listed only up to a number.
#[test]
fn many_pairs_are_counted_and_not_all_listed() {
    use std::fmt::Write as _;
    let pods = 150;
    let mut text = String::from(
        "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]}
",
    );
    for number in 0..pods {
        writeln!(
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
        )
        .unwrap();
    }
    let arguments = ["migrate", "-f", "-", "--authz", "none", "-o", "json"];
    let run = Ambient::new().stdin(text).args(arguments).run();
    let plan: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let proof = &plan["proof"];
    assert_eq!(proof["differences"].as_array().unwrap().len(), 10_000);
    assert_eq!(proof["unlisted"], pods * pods - 10_000);
    assert_eq!(proof["gained"], pods * pods);
}
