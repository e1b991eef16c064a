//! Manifests beside kustomizations: what a build leaves out or changes stands in the verdict.

use crate::harness::{Ambient, Run};
use crate::manifests::NAMED;

/// The lines of an answer that hold one of these words.
fn lines(run: &Run, words: &[&str]) -> String {
    let has = |line: &&str| words.iter().any(|word| line.contains(word));
    let lines: Vec<&str> = run.stdout.lines().filter(has).collect();
    lines.join("\n")
}

fn run(files: &[(&str, &str)], arguments: &[&str]) -> Run {
    let ambient = files
        .iter()
        .fold(Ambient::new(), |a, (name, text)| a.file(name, text));
    ambient
        .args(["migrate"])
        .args(arguments.iter().copied())
        .run()
}

#[test]
fn what_is_added_is_listed_in_the_kustomization_beside_it() {
    let kustomization = "resources:\n- policy.yaml # ours\n";
    let files = [
        ("k8s/policy.yaml", NAMED),
        ("k8s/kustomization.yaml", kustomization),
    ];
    for named in ["k8s", "k8s/policy.yaml"] {
        let written = run(&files, &["-f", named, "--write"]);
        assert_eq!(written.code, 0, "{written}");
        let listed = written.read("k8s/kustomization.yaml").unwrap();
        assert_eq!(listed, format!("{kustomization}- ambient-policies.yaml\n"));

        let policy = written.read("k8s/policy.yaml").unwrap();
        let added = written.read("k8s/ambient-policies.yaml").unwrap();
        let again = [
            ("k8s/policy.yaml", &*policy),
            ("k8s/ambient-policies.yaml", &*added),
            ("k8s/kustomization.yaml", &*listed),
        ];
        assert_eq!(run(&again, &["-f", named]).code, 0);

        // As long as it is not listed, nothing that is built holds the limits.
        let [policy, added, _] = again;
        let left_out = [policy, added, files[1]];
        for _ in 0..2 {
            let told = run(&left_out, &["-f", named, "--write"]);
            assert_eq!(told.code, 1, "{told}");
            let words = ["Proof", "does not list", "fix: add", "AMB0155", "written"];
            insta::allow_duplicates! {
                insta::assert_snapshot!(lines(&told, &words), @"
                Proof   unknown: no connection is known to be lost or gained, some cannot be decided
                error AMB0155   added policies that no kustomization takes
                  A file with policies that this program added is beside a kustomization that does not list it, and
                  fix: add `- ambient-policies.yaml` under `resources` in `k8s/kustomization.yaml`
                  AMB0155-5ec9a048   kustomization/k8s   k8s/kustomization.yaml:2
                    does not list `ambient-policies.yaml`, so a build leaves out 1 policy of this program
                Nothing was written: findings have to be dealt with first, or be accepted with `--accept AMB0155-5ec9a048`
                ");
            }
        }
    }
}

#[test]
fn a_kustomization_that_cannot_be_edited_is_left_to_its_owner() {
    let files = [
        ("k8s/policy.yaml", NAMED),
        ("k8s/kustomization.yaml", "resources: &r [policy.yaml]\n"),
    ];
    let told = run(&files, &["-f", "k8s", "--write"]);
    insta::assert_snapshot!(told.stderr, @"
    error: the change cannot be made: `resources` is shared through an anchor, an alias or a merge key
      --> k8s/kustomization.yaml:1 (kustomization/k8s)
    hint: take out what stands in the way, or make the change by hand
    note: k8s/kustomization.yaml: a kustomization, not read; the files beside it are read as they are. To read what kustomize makes of them: `-k k8s`
    ");
    assert!(
        told.stdout.contains("add this to its `resources`"),
        "{told}"
    );
    assert_eq!(
        (told.code, told.read("k8s/ambient-policies.yaml")),
        (2, None)
    );
}

#[test]
fn files_that_kustomize_changes_are_not_written() {
    let overlay = "resources: [../base]\npatches:\n- patch: |-\n    kind: NetworkPolicy\n    \
                   metadata: {name: my-app}\n    spec: {ingress: [{ports: [{port: 22}]}]}\n";
    let files = [
        ("base/policy.yaml", NAMED),
        ("base/kustomization.yaml", "resources: [policy.yaml]\n"),
        ("prod/kustomization.yaml", overlay),
    ];
    let told = run(&files, &["-R", "-f", ".", "-n", "shop", "--write"]);
    let words = ["Proof", "patches", "fix: kubectl", "AMB0156", "written"];
    insta::assert_snapshot!(lines(&told, &words), @"
    Proof   unknown: no connection is known to be lost or gained, some cannot be decided
              `patches` of `kustomization/./prod` changes `shop/networkpolicy/my-app`
    error AMB0156   objects that kustomize changes
      fix: kubectl ambient migrate -k ./prod --output-dir DIR
      AMB0156-ea028cd9   kustomization/./prod   ./prod/kustomization.yaml:3
        `patches` changes `shop/networkpolicy/my-app`, and the plan is about the files
    Nothing was written: findings have to be dealt with first, or be accepted with `--accept AMB0156-ea028cd9`
    ");
    assert_eq!(told.code, 1);
    assert_eq!(told.read("base/policy.yaml").as_deref(), Some(NAMED));
}
