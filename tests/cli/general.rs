//! Commands that read no manifests.

use std::io::Read as _;
use std::process::{Command, Stdio};

use crate::harness::Ambient;

fn run<const COUNT: usize>(arguments: [&str; COUNT]) -> String {
    Ambient::new().args(arguments).run().to_string()
}

#[test]
fn the_version_is_one_line_or_one_document() {
    insta::assert_snapshot!(run(["version"]), @"
    exit code: 0
    ----- stdout -----
    kubectl-ambient 0.1.0
    ----- stderr -----
    ");
    insta::assert_snapshot!(run(["version", "-o", "json"]), @r#"
    exit code: 0
    ----- stdout -----
    {
      "apiVersion": "ambient.dev/v1alpha1",
      "kind": "Version",
      "metadata": {
        "toolVersion": "0.1.0"
      }
    }
    ----- stderr -----
    "#);
    insta::assert_snapshot!(run(["--version"]), @"
    exit code: 0
    ----- stdout -----
    kubectl-ambient 0.1.0
    ----- stderr -----
    ");
}

#[test]
fn options_lists_the_flags_of_every_command() {
    insta::assert_snapshot!(run(["options"]), @"
    exit code: 0
    ----- stdout -----
    These flags can be passed to any command:

          --color <WHEN>  When to use colour [default: auto] [possible values: auto, always, never]
    ----- stderr -----
    ");
}

#[test]
fn a_code_is_explained() {
    insta::assert_snapshot!(run(["explain", "amb0110"]), @"
    exit code: 0
    ----- stdout -----
    AMB0110 connections gained through the tunnel
    severity: error

    The tunnel would carry connections that the network policies refuse today. A network plugin cannot see the port inside the tunnel, so a peer that may reach port 15008 may reach every TCP port, unless an AuthorizationPolicy at the destination limits it. Nothing fails when this happens, so only this comparison shows it.

    fix: Give the sources service accounts of their own in `spec.serviceAccountName`, or accept the finding with `--accept`.
    ----- stderr -----
    ");
    assert_eq!(
        run(["explain", "AMB0110-1a2b3c4d"]),
        run(["explain", "AMB0110"])
    );
}

#[test]
fn a_wrong_code_gets_suggestions() {
    insta::assert_snapshot!(run(["explain", "AMB110"]), @"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: there is no code or cause `AMB110`
    hint: did you mean `AMB0110` or `AMB0101` or `AMB0102`?
    ");
    insta::assert_snapshot!(run(["explain", "E0308"]), @"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: there is no code or cause `E0308`
    hint: `kubectl ambient explain` lists all codes and causes
    ");
}

#[test]
fn wrong_usage_exits_with_2_and_says_what_is_right() {
    insta::assert_snapshot!(run(["migrat"]), @"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: unrecognized subcommand 'migrat'

      tip: a similar subcommand exists: 'migrate'

    Usage: kubectl ambient [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(run(["migrate", "-f", "k8s", "-o", "xml"]), @"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid value 'xml' for '--output <FORMAT>'
      [possible values: table, json, yaml, markdown, sarif, github]

      tip: a similar value exists: 'yaml'

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(run(["migrate", "-f", "k8s", "--dry-run"]), @"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: a value is required for '--dry-run <WHERE>' but none was supplied
      [possible values: none, client, server]

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(run(["migrate", "-f", "k8s", "-k", "overlay"]), @"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: the argument '--filename <PATH>' cannot be used with '--kustomize <DIR>'

    Usage: kubectl ambient migrate --filename <PATH>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(run(["migrate", "-f", "k8s", "--waypoint", "=shop"]), @"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid value '=shop' for '--waypoint <NAME[=NAMESPACE]>': expected `NAME` or `NAME=NAMESPACE`

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(run(["completion", "tcsh"]), @"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid value 'tcsh' for '<SHELL>'
      [possible values: bash, zsh, fish, powershell]

      tip: a similar value exists: 'zsh'

    For more information, try '--help'.
    ");
}

#[test]
fn colour_is_never_in_what_is_not_a_terminal_unless_asked_for() {
    let explain = |flags: &[&str]| {
        let run = Ambient::new()
            .args(["explain", "AMB0110"])
            .args(flags.iter().copied())
            .run();
        run.stdout.contains('\u{1b}')
    };
    assert!(!explain(&[]));
    assert!(!explain(&["--color=never"]));
    assert!(explain(&["--color=always"]));
    let forced = Ambient::new()
        .args(["explain", "AMB0110"])
        .env("CLICOLOR_FORCE", "1");
    assert!(forced.run().stdout.contains('\u{1b}'));
}

#[test]
fn kubectl_completes_through_a_link_to_the_binary() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join(format!(
        "kubectl_complete-ambient{}",
        std::env::consts::EXE_SUFFIX
    ));
    // A copy could still be open for writing in a child that another test has just forked.
    #[cfg(unix)]
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kubectl-ambient"), &link).unwrap();
    #[cfg(not(unix))]
    std::fs::copy(env!("CARGO_BIN_EXE_kubectl-ambient"), &link).unwrap();
    let complete = |words: &[&str]| Ambient::of(&link).args(words.iter().copied()).run();
    insta::assert_snapshot!(complete(&[""]), @"
    exit code: 0
    ----- stdout -----
    migrate	Plan the move of workloads to ambient mesh, and prove that no connection changes
    policy	Show who may connect to whom under the network policies
    diagnose	Probe tunnels from outside, and name what is the matter with them
    demo	Watch a tunnel between two relays on this machine, without a cluster
    explain	Explain a finding code, or a cause that `diagnose` names
    completion	Print a completion script for a shell
    version	Print the version
    options	List the flags that every command takes
    help	Print the help of a command
    :4
    ----- stderr -----
    ");
    insta::assert_snapshot!(complete(&["migrate", "-f", "k8s", "--authz", ""]), @"
    exit code: 0
    ----- stdout -----
    deny	Refuse the other ports
    allow	Allow the ports that are allowed today, and nothing else
    none	Not at all: the limits are reported as gained connections
    :4
    ----- stderr -----
    ");
    insta::assert_snapshot!(complete(&["migrate", "-f", ""]), @"
    exit code: 0
    ----- stdout -----
    :0
    ----- stderr -----
    ");
    insta::assert_snapshot!(complete(&[]), @"
    exit code: 0
    ----- stdout -----
    migrate	Plan the move of workloads to ambient mesh, and prove that no connection changes
    policy	Show who may connect to whom under the network policies
    diagnose	Probe tunnels from outside, and name what is the matter with them
    demo	Watch a tunnel between two relays on this machine, without a cluster
    explain	Explain a finding code, or a cause that `diagnose` names
    completion	Print a completion script for a shell
    version	Print the version
    options	List the flags that every command takes
    help	Print the help of a command
    :4
    ----- stderr -----
    ");
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-ambient"))
        .args(["completion", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut errors = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut errors).unwrap();
    assert_eq!(
        (child.wait().unwrap().code(), errors.as_str()),
        (Some(0), "")
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_a_failure() {
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-ambient"))
        .args(["version"])
        .stdout(full)
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(errors, @"
    error: standard output could not be written: no space left on device
    hint: make some room on the disk
    ");
}
