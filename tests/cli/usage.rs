//! `migrate`: which flags go together, and what a failure looks like.

use crate::harness::Ambient;

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
