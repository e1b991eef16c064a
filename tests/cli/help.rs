//! Help, asked for in every way.

use crate::harness::Ambient;

fn run<const COUNT: usize>(arguments: [&str; COUNT]) -> String {
    Ambient::new().args(arguments).run().to_string()
}

#[test]
fn without_a_command_the_help_is_shown() {
    insta::assert_snapshot!(run([]), @"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    Move Kubernetes clusters to ambient mesh, and prove what changes before it does

    Usage: kubectl ambient [OPTIONS] <COMMAND>

    Commands:
      migrate     Plan the move of workloads to ambient mesh, and prove that no connection changes
      policy      Show who may connect to whom under the network policies
      diagnose    Probe tunnels from outside, and name what is the matter with them
      demo        Watch a tunnel between two relays on this machine, without a cluster
      explain     Explain a finding code, or a cause that `diagnose` names
      completion  Print a completion script for a shell
      version     Print the version
      options     List the flags that every command takes
      help        Print the help of a command

    Options:
          --color <WHEN>  When to use colour [default: auto] [possible values: auto, always, never]
      -h, --help          Print help (see more with '--help')
      -V, --version       Print version

    Exit codes:
      0    done
      1    findings at or above --fail-on that were not accepted, or differences
      2    wrong usage, or input that cannot be used; the rest is still analysed
      70   a bug in this program
      130  interrupted

    Examples:
      kubectl ambient migrate -f k8s/          # what has to change, and the proof
      kubectl ambient migrate diff -f k8s/     # the same as a diff
      kubectl ambient migrate -f k8s/ --write  # change the files
      kubectl ambient diagnose --address POD   # what is the matter with a tunnel
    ");
}

#[test]
#[expect(clippy::too_many_lines, reason = "the help text is long")]
fn help_is_an_answer() {
    insta::assert_snapshot!(run(["migrate", "--help"]), @"
    exit code: 0
    ----- stdout -----
    Plan the move of workloads to ambient mesh, and prove that no connection changes

    Usage: kubectl ambient migrate [OPTIONS]
           kubectl ambient migrate <COMMAND>

    Commands:
      plan  Show what has to change, what to know first, and the proof (the default)
      diff  Print the changes as a unified diff

    Options:
          --color <WHEN>
              When to use colour

              Possible values:
              - auto:   On a terminal, unless the environment says otherwise
              - always: Everywhere, into files too
              - never:  Nowhere
              
              [default: auto]

      -h, --help
              Print help (see a summary with '-h')

    Input:
      -f, --filename <PATH>
              A file or folder of manifests, or `-` for standard input

      -R, --recursive
              Read folders with everything below them

      -k, --kustomize <DIR>
              A folder with a kustomization, built with `kubectl kustomize`

      -n, --namespace <NAMESPACE>
              The namespace of objects that name none
              
              [default: default]

    Planning:
          --only <NAMESPACE>
              Enrol only this namespace

          --exclude <NAMESPACE>
              Do not enrol this namespace

          --waypoint <NAME[=NAMESPACE]>
              Plan with a waypoint for a namespace, or for all that are enrolled

          --cni <NAME>
              The network plugin; `auto` looks for it in the manifests
              
              [default: auto]
              [possible values: auto, unknown, calico, calico-ebpf, calico-ambient, cilium, antrea,
              antrea-userspace, ovn-kubernetes, aws-vpc, gke-dataplane-v2, kube-router, weave, flannel,
              kindnet]

          --pod-cidr <CIDR>
              A range that pods get their addresses from; the private ranges when none is given

          --authz <HOW>
              How port limits are kept inside the tunnel

              Possible values:
              - deny:  Refuse the other ports
              - allow: Allow the ports that are allowed today, and nothing else
              - none:  Not at all: the limits are reported as gained connections
              
              [default: deny]

          --strategy <HOW>
              How policies that exist are changed

              Possible values:
              - edit:      Insert into the object
              - companion: Add an object beside it
              
              [default: edit]

          --enroll
              Write the enrolment labels too; else they are listed as a step of their own
              
              A namespace gets the label for its waypoint only when it is enrolled already: until its
              pods are in the mesh, a waypoint would reach them in the clear. So run it again when they
              are.

    Findings:
          --accept <ID|CODE|all>
              Accept a finding by its id, all findings of a code, or `all`

          --fail-on <SEVERITY>
              The severity from which findings fail the run

              Possible values:
              - error:   Errors
              - warning: Warnings and errors
              - info:    Any finding
              
              [default: error]

    Output:
          --diff
              Show the diff of the files as well

          --write
              Change the files in place, if no finding stands against it

          --output-dir <DIR>
              Write the changed files into this folder instead

          --keep-going
              With `--write`: write although some of the input cannot be used

          --dry-run <WHERE>
              Whether to check everything, but write nothing

              Possible values:
              - none:   Write what `--write` or `--output-dir` asks for
              - client: Do everything but write
              - server: Let the API server check it; there is none for files
              
              [default: none]

      -o, --output <FORMAT>
              Output format

              Possible values:
              - table:    Tables for people
              - json:     One JSON document
              - yaml:     One YAML document
              - markdown: A comment for a pull request
              - sarif:    SARIF 2.1.0 for code scanning
              - github:   Annotations and step summary of GitHub Actions
              
              [default: table]

    Exit codes:
      0    done
      1    findings at or above --fail-on that were not accepted, or differences
      2    wrong usage, or input that cannot be used; the rest is still analysed
      70   a bug in this program
      130  interrupted

    Examples:
      kubectl ambient migrate -f k8s/ -R
      kubectl ambient migrate -f k8s/ -R --diff --waypoint waypoint=shop
      kubectl ambient migrate -f k8s/ -R --write --accept AMB0110-1a2b3c4d
      helm template shop | kubectl ambient migrate -f - -o json
    ----- stderr -----
    ");
}

#[test]
fn help_is_a_command_too() {
    let lines = [
        (run(["help"]), run(["--help"])),
        (run(["help", "migrate"]), run(["migrate", "--help"])),
        (
            run(["help", "migrate", "diff"]),
            run(["migrate", "diff", "--help"]),
        ),
    ];
    for (command, flag) in lines {
        assert_eq!(command, flag);
    }
    insta::assert_snapshot!(run(["help", "migrat"]), @"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: there is no command `migrat`
    hint: did you mean `migrate`?
    ");
    insta::assert_snapshot!(run(["help", "policy", "everything"]), @"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: there is no command `everything`
    hint: `kubectl ambient help` lists all commands
    ");
}
