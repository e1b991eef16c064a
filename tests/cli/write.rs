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
             keep the tunnel to the ports allowed at the pods of `shop/networkpolicy/db`

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

    warning AMB0119   clients that come later are told by their account
      The policy admits clients by their labels, and inside the tunnel there are no labels, only service
      accounts. The AuthorizationPolicy that keeps the port limit therefore names the accounts of the
      clients of the input, and nobody where all of these may use the same, or none of them anything. A
      client that comes later under another account is refused by it, although the network policy admits
      it, until the plan is made again. One that comes under the same account gets the ports of that
      account, whatever its labels are; `default` is the account of every pod that names none.
      fix: Run the plan in CI so that new clients are compared and named, give clients accounts of their
           own in `spec.serviceAccountName`, and add the manifests of all of them with `-f`.
      AMB0119-b8264e27   shop/networkpolicy/db   shop.yaml:1
        it admits clients by label to ports of their own, and no limit of the plan keeps those apart
        that come later

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

#[test]
fn a_change_that_no_file_can_take_is_an_error_and_keeps_all_from_being_written() {
    let written = Ambient::new()
        .file("k8s/policy.yaml", NAMED)
        .args(["migrate", "-f", "k8s", "--write"])
        .run();
    let policy = written.read("k8s/policy.yaml").unwrap();
    let companion = written.read("k8s/ambient-policies.yaml").unwrap();
    // The companion is out of date, and in a list, whose items are not replaced.
    let stale = companion.replace("9090", "9091").replace('\n', "\n  ");
    let list = format!("apiVersion: v1\nkind: List\nitems:\n- {stale}").replace("  \n", "\n");
    let run = |flags: &[&str]| {
        Ambient::new()
            .file("k8s/policy.yaml", &policy)
            .file("k8s/other.yaml", &NAMED.replace("my-app", "other"))
            .file("k8s/list.yaml", list.trim_end_matches(' '))
            .args(["migrate", "-f", "k8s"])
            .args(flags.iter().copied())
            .run()
    };
    let stopped = run(&["--write"]);
    let ending = stopped.stdout.lines().last().unwrap_or_default();
    insta::assert_snapshot!(format!("{} {ending}\n{}", stopped.code, stopped.stderr), @"
    2 Nothing was written: some of the input cannot be used; `--keep-going` writes the rest
    error: the change cannot be made: only an object that is a YAML document of its own is replaced
      --> k8s/list.yaml:4 (default/authorizationpolicy/my-app-np-ports)
    hint: take out what stands in the way, or make the change by hand
    ");
    let other = NAMED.replace("my-app", "other");
    assert_eq!(stopped.read("k8s/other.yaml"), Some(other.clone()));
    assert_eq!(run(&[]).code, 2);

    let kept_going = run(&["--write", "--keep-going"]);
    assert_eq!(kept_going.code, 2, "{kept_going}");
    assert_ne!(kept_going.read("k8s/other.yaml"), Some(other));
}

#[test]
fn a_second_run_on_one_file_knows_what_the_first_added_beside_it() {
    let other = NAMED.replace("my-app", "other");
    let run = |files: &[(&str, &str)], arguments: &[&str]| {
        let ambient = Ambient::new().file("k8s/other.yaml", &other);
        let ambient = files
            .iter()
            .fold(ambient, |a, (name, text)| a.file(name, text));
        ambient
            .args(["migrate"])
            .args(arguments.iter().copied())
            .run()
    };
    let first = run(
        &[("k8s/policy.yaml", NAMED)],
        &["-f", "k8s/policy.yaml", "--write"],
    );
    assert_eq!((first.code, first.stderr.as_str()), (0, ""), "{first}");
    let policy = first.read("k8s/policy.yaml").unwrap();
    let added = first.read("k8s/ambient-policies.yaml").unwrap();
    let written = [
        ("k8s/policy.yaml", policy.as_str()),
        ("k8s/ambient-policies.yaml", added.as_str()),
    ];
    insta::assert_snapshot!(run(&written, &["diff", "-f", "k8s/policy.yaml"]), @"
    exit code: 0
    ----- stdout -----
    ----- stderr -----
    note: k8s/ambient-policies.yaml: read as well: `migrate --write` added it
    ");

    // What the first run added for one file stays when another one is next.
    let next = run(&written, &["-f", "k8s/other.yaml", "--write"]);
    assert_eq!(next.code, 0, "{next}");
    let both = next.read("k8s/ambient-policies.yaml").unwrap();
    assert!(
        both.starts_with(&added) && both.contains("name: other-np-ports"),
        "{both}"
    );

    // A file of that name that somebody else wrote is theirs.
    let theirs = added.replace("kubectl-ambient", "somebody");
    let foreign = [written[0], ("k8s/ambient-policies.yaml", theirs.as_str())];
    let refused = run(&foreign, &["-f", "k8s/policy.yaml", "--write"]);
    assert_eq!(refused.code, 2, "{refused}");
    let reason = "exists, but was not among the files that were read\n";
    assert!(refused.stderr.contains(reason), "{refused}");
}

#[test]
fn new_objects_name_their_namespace_only_beside_objects_that_do() {
    let named = NAMED.replace(
        "name: my-app\nspec",
        "name: my-app\n  namespace: shop\nspec",
    );
    assert_ne!(named, NAMED);
    for (policy, lines) in [(NAMED, 0), (&named, 1)] {
        let run = Ambient::new()
            .file("k8s/policy.yaml", policy)
            .args(["migrate", "-f", "k8s", "-n", "shop", "--write"])
            .run();
        let policies = run.read("k8s/ambient-policies.yaml").unwrap();
        let found = policies.matches("\n  namespace: shop\n").count();
        assert_eq!(found, lines, "{policies}");
        assert_eq!(policies.matches("namespace: ").count(), lines, "{policies}");
        let written = run.read("k8s/policy.yaml").unwrap();

        let again = Ambient::new()
            .file("k8s/policy.yaml", &written)
            .file("k8s/ambient-policies.yaml", &policies)
            .args(["migrate", "diff", "-f", "k8s", "-n", "shop"])
            .run();
        insta::allow_duplicates! {
            insta::assert_snapshot!(again, @"
            exit code: 0
            ----- stdout -----
            ----- stderr -----
            ");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_diff_is_of_the_files_that_links_lead_to() {
    let run = Ambient::new()
        .file("base/policy.txt", NAMED)
        .link("k8s/policy.yaml", "../base/policy.txt")
        .args(["migrate", "diff", "-f", "k8s"])
        .run();
    let files = run.stdout.lines().filter(|l| l.starts_with("+++ "));
    let files: Vec<&str> = files.collect();
    insta::assert_snapshot!(files.join("\n"), @"
    +++ b/k8s/ambient-policies.yaml
    +++ b/base/policy.txt
    ");
}
