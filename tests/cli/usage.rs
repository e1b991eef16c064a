//! `migrate`: which flags go together, and what a failure looks like.

use crate::harness::Ambient;
use crate::manifests::{BROKEN, NAMED, SHARED};

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
    Read   nothing that is analysed

    Proof   nothing to compare: the input holds no workload and no policy that is analysed, as far as
            the input can be used

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
fn names_have_to_be_those_of_the_input() {
    let run = |verb: &[&str], flags: &[&str]| {
        let run = Ambient::new()
            .file("shop.yaml", SHARED)
            .args(["migrate"])
            .args(verb.iter().copied())
            .args(["-f", "shop.yaml"])
            .args(flags.iter().copied())
            .run();
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run}");
        format!("{}\n{}", flags.join(" "), run.stderr)
    };
    let refused = [
        run(&[], &["--only", "shpo"]),
        run(&["diff"], &["--exclude", "Shop"]),
        run(&[], &["--only", "payments"]),
        run(&[], &["--waypoint", "waypoint=shp"]),
        run(&[], &["--waypoint", "Way_point"]),
        run(&[], &["--waypoint", "a=shop", "--waypoint", "b=shop"]),
        run(&[], &["--waypoint", "a", "--waypoint", "b"]),
        run(&[], &["-n", "my team"]),
    ];
    insta::assert_snapshot!(refused.join("\n"), @"
    --only shpo
    error: `--only` names the namespace `shpo`, which is not in the input
    hint: did you mean `shop`?

    --exclude Shop
    error: `--exclude` names the namespace `Shop`, which is not in the input
    hint: did you mean `shop`?

    --only payments
    error: `--only` names the namespace `payments`, which is not in the input
    hint: the input has `shop`; add other manifests with another `-f`

    --waypoint waypoint=shp
    error: `--waypoint` names the namespace `shp`, which is not in the input
    hint: did you mean `shop`?

    --waypoint Way_point
    error: the name in `--waypoint Way_point` must be lower-case letters, digits and `-`, with a letter or digit at both ends

    --waypoint a=shop --waypoint b=shop
    error: `a` and `b` are both to be the waypoint of the namespace `shop`
    hint: pass `--waypoint NAME=NAMESPACE` once for each namespace

    --waypoint a --waypoint b
    error: `a` and `b` are both to be the waypoint of every namespace
    hint: pass `--waypoint NAME=NAMESPACE` once for each namespace

    -n my team
    error: the name in `--namespace my team` must be lower-case letters, digits and `-`, with a letter or digit at both ends
    ");
}

#[test]
fn names_may_be_in_files_that_cannot_be_read() {
    let run = Ambient::new()
        .file("k8s/shop.yaml", SHARED)
        .file("k8s/broken.yaml", BROKEN)
        .args(["migrate", "-f", "k8s", "--only", "payments"])
        .run();
    assert!(
        run.stdout.contains("not among the namespaces asked for"),
        "{run}"
    );
}

#[test]
fn what_the_system_refuses_is_said_once_and_with_a_way_out() {
    let run = |arguments: &[&str]| {
        let run = Ambient::new()
            .file("policy.yaml", NAMED)
            .env("GITHUB_STEP_SUMMARY", "nowhere/summary.md")
            .args(arguments.iter().copied())
            .run();
        let last = run.stdout.lines().last().unwrap_or_default();
        format!("exit code: {}\n{}{last}\n", run.code, run.stderr)
    };
    let runs = [
        run(&["migrate", "-f", "gone.yaml"]),
        run(&[
            "migrate",
            "-f",
            "policy.yaml",
            "--output-dir",
            "policy.yaml",
        ]),
        run(&["migrate", "-f", "policy.yaml", "-o", "github"]),
        run(&["policy", "diff", "gone", "policy.yaml"]),
    ];
    insta::assert_snapshot!(runs.join("\n"), @"
    exit code: 2
    error: cannot be read: no such file or directory
      --> gone.yaml
    hint: check the path; relative ones start in the current folder
    Nothing was written.

    exit code: 2
    error: the files could not be written: cannot create `policy.yaml`: file exists
    hint: name a folder, not a file
    Nothing was written: writing failed

    exit code: 2
    ::error title=kubectl ambient::the step summary `nowhere/summary.md` could not be written: no such file or directory%0Ahint: make the folder that it is to be in

    exit code: 2
    error: cannot be read: no such file or directory
      --> gone
    hint: check the path; relative ones start in the current folder
    error: the input could not be read completely
    hint: mend what is named above and run it again
    ");
}
