use std::process::Command;

use super::*;

fn change(name: &str, before: Option<&str>, after: &str) -> FileChange {
    FileChange {
        name: name.into(),
        path: None,
        before: before.map(Into::into),
        after: after.into(),
    }
}

fn samples() -> Vec<FileChange> {
    vec![
        change(
            "./k8s//policy.yaml",
            Some("a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n"),
            "a\nb\nc\nc1\nd\ne\nf\ng\nh\ni\nj\nk\n",
        ),
        change(
            "k8s/no end.yaml",
            Some("ports:\r\n- port: 80\rx"),
            "ports:\r\n- port: 80\rx\r\n- port: 15008",
        ),
        change("k8s/new.yaml", None, "kind: AuthorizationPolicy\n"),
        change("k8s/one.yaml", Some("only\n"), "only\nmore\n"),
        change("k8s/\"quoted\"\t.yaml", None, "x"),
        change("k8s/empty.yaml", Some(""), "x\n"),
        change("k8s/same.yaml", Some("same\n"), "same\n"),
        change("k8s/nothing.yaml", None, ""),
    ]
}

#[test]
fn a_diff_reads_like_one_of_git() {
    let text = diff(&samples(), Style::default()).replace('\r', "␍");
    insta::assert_snapshot!(text, @r#"
    diff --git a/k8s/policy.yaml b/k8s/policy.yaml
    --- a/k8s/policy.yaml
    +++ b/k8s/policy.yaml
    @@ -1,6 +1,7 @@
     a
     b
     c
    +c1
     d
     e
     f
    @@ -8,3 +9,4 @@
     h
     i
     j
    +k
    diff --git a/k8s/no end.yaml b/k8s/no end.yaml
    --- a/k8s/no end.yaml	
    +++ b/k8s/no end.yaml	
    @@ -1,2 +1,3 @@
     ports:␍
    -- port: 80␍x
    \ No newline at end of file
    +- port: 80␍x␍
    +- port: 15008
    \ No newline at end of file
    diff --git a/k8s/new.yaml b/k8s/new.yaml
    new file mode 100644
    --- /dev/null
    +++ b/k8s/new.yaml
    @@ -0,0 +1 @@
    +kind: AuthorizationPolicy
    diff --git a/k8s/one.yaml b/k8s/one.yaml
    --- a/k8s/one.yaml
    +++ b/k8s/one.yaml
    @@ -1 +1,2 @@
     only
    +more
    diff --git "a/k8s/\"quoted\"\t.yaml" "b/k8s/\"quoted\"\t.yaml"
    new file mode 100644
    --- /dev/null
    +++ "b/k8s/\"quoted\"\t.yaml"
    @@ -0,0 +1 @@
    +x
    \ No newline at end of file
    diff --git a/k8s/empty.yaml b/k8s/empty.yaml
    --- a/k8s/empty.yaml
    +++ b/k8s/empty.yaml
    @@ -0,0 +1 @@
    +x
    diff --git a/k8s/nothing.yaml b/k8s/nothing.yaml
    new file mode 100644
    "#);
}

#[test]
fn a_terminal_gets_escapes_and_colour() {
    let style = Style {
        color: true,
        terminal: true,
        ..Style::default()
    };
    let changed = change("a.yaml", Some("a: \u{1b}[31m\n"), "a: \u{1b}[31m\nb: 1\r\n");
    insta::assert_snapshot!(diff(&[changed], style).replace('\u{1b}', "^["), @r"
    ^[[1mdiff --git a/a.yaml b/a.yaml^[[0m
    ^[[1m--- a/a.yaml^[[0m
    ^[[1m+++ b/a.yaml^[[0m
    ^[[36m@@ -1 +1,2 @@^[[0m
     a: \u{1b}[31m
    ^[[32m+b: 1^[[0m
    ");
}

#[test]
fn names_stay_below_the_prefix() {
    let names = ["/etc/a.yaml", "./a.yaml", "../a.yaml", "-", "a/./b//c.yaml"].map(relative);
    assert_eq!(
        names,
        [
            "etc/a.yaml",
            "a.yaml",
            "../a.yaml",
            "stdin.yaml",
            "a/b/c.yaml"
        ]
    );
}

/// Both tools that people apply patches with must reproduce the files byte for byte.
#[test]
fn patch_and_git_apply_the_diff() {
    for (tool, arguments) in [
        ("git", ["apply", "changes.diff"]),
        ("patch", ["-p1", "--input=changes.diff"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let samples = samples();
        for sample in &samples {
            let path = folder.path().join(&*sample.name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            if let Some(before) = &sample.before {
                std::fs::write(path, &**before).unwrap();
            }
        }
        let text = diff(&samples, Style::default());
        std::fs::write(folder.path().join("changes.diff"), text).unwrap();
        let run = Command::new(tool)
            .args(arguments)
            .current_dir(folder.path())
            .output();
        let Ok(run) = run else { continue };
        assert!(run.status.success(), "{tool}: {run:?}");
        for sample in &samples {
            let path = folder.path().join(&*sample.name);
            let after = std::fs::read_to_string(path).unwrap();
            assert_eq!(after, *sample.after, "{tool}: {}", sample.name);
        }
    }
}
