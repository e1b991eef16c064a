//! `migrate --write`: what is written, and when nothing is.

use crate::harness::Ambient;
use crate::manifests::{BROKEN, NAMED, SHARED};

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
    Read   1 NetworkPolicy, 3 Pods

    NAMESPACE   WORKLOADS   POLICIES          WAYPOINT   VERDICT
    shop        3           1 edited, 1 new   <none>     blocked by AMB0112

    Proof   gained: no connection is lost, some are gained
            equal 28, lost 0, gained 2, unknown 0 (3 pod classes, 2 address ranges)
    VERDICT   SOURCE            DESTINATION    THROUGH   CONNECTIONS
    gained    shop/admin[Pod]   shop/db[Pod]   tunnel    TCP 5432
              `shop/web[Pod]` runs under the same service account `shop/default` and may use the ports
    gained    shop/web[Pod]     shop/db[Pod]   tunnel    TCP 9000
              `shop/admin[Pod]` runs under the same service account `shop/default` and may use the ports

    Step 1   open the tunnel port in network policies
    ACTION   OBJECT                  WHERE         WHY
    edit     shop/networkpolicy/db   shop.yaml:1   open port 15008 in 2 rules

    Step 2   keep the port limits inside the tunnel
    ACTION   OBJECT                                 WHERE
    create   shop/authorizationpolicy/db-np-ports   beside shop.yaml
             keep tunnelled traffic to the ports that `shop/networkpolicy/db` allows

    Step 3   enrol
      kubectl label namespace shop istio.io/dataplane-mode=ambient

    error AMB0112   one service account, different port limits
      Two groups of pods run under one service account, and the network policies allow them different
      ports of the same destination. Network policies tell pods apart by labels, but inside the tunnel
      there is only the identity of the service account. No AuthorizationPolicy can allow a port to one
      group and refuse it to the other, so the wider limit would hold for both.
      fix: give `shop/web[Pod]` a service account of its own in `spec.serviceAccountName`
      fix: give `shop/admin[Pod]` a service account of its own in `spec.serviceAccountName`
      AMB0112-2bb79dc3   shop/networkpolicy/db   shop.yaml:1
        `shop/admin[Pod]` runs under the same service account `shop/default` and may use the ports
        (tunnel)
          shop/admin[Pod] => shop/db[Pod] : TCP 5432
            for example TCP 5432, by shop/networkpolicy/db
          shop/web[Pod] => shop/db[Pod] : TCP 9000
            for example TCP 9000, by shop/networkpolicy/db

    INFO      OBJECT                  WHAT
    AMB0102   shop/networkpolicy/db   tunnel port closed
    AMB0103   shop/networkpolicy/db   port limit moves into the tunnel
    `kubectl ambient explain CODE` says more, `-o json` lists all objects

    Nothing was written: findings have to be dealt with first, or be accepted with `--accept AMB0112-2bb79dc3`
    ----- stderr -----
    ");
    assert_eq!(refused.read("shop.yaml").as_deref(), Some(SHARED));

    let accepted = run(&["--accept", "all"]);
    assert_eq!(accepted.code, 0, "{accepted}");
    assert_ne!(accepted.read("shop.yaml").as_deref(), Some(SHARED));
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
