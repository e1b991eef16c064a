use std::process::Command;

use super::*;

fn change(name: &str, before: Option<&str>, after: &str) -> FileChange {
    FileChange {
        name: name.into(),
        path: None,
        link_to: None,
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
fn a_diff_names_the_file_that_a_link_leads_to() {
    let linked = FileChange {
        link_to: Some("/repository/base/policy.yaml".into()),
        ..change("k8s/policy.yaml", Some("a\n"), "a\nb\n")
    };
    let names = |folder: &str| {
        let files = [linked.clone(), change("k8s/new.yaml", None, "x\n")];
        let text = diff(&files, Some(Path::new(folder)), Style::default());
        let names = text.lines().filter(|l| l.starts_with("+++ "));
        let names = names.collect::<Vec<_>>().join("\n");
        names + "\n" + &diff_summary(&files, Some(Path::new(folder)))
    };
    insta::assert_snapshot!(names("/repository"), @"
    +++ b/base/policy.yaml
    +++ b/k8s/new.yaml
    1 file changed, 1 added
    ");
    insta::assert_snapshot!(names("/repository/shop"), @"
    +++ b/repository/base/policy.yaml
    +++ b/repository/shop/k8s/new.yaml
    1 file changed, 1 added
    not all of them are below the current folder, so `patch -p1 -d /` applies the diff
    ");
}

#[test]
fn a_diff_reads_like_one_of_git() {
    let text = diff(&samples(), None, Style::default()).replace('\r', "␍");
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
    insta::assert_snapshot!(diff(&[changed], None, style).replace('\u{1b}', "^["), @r"
    ^[[1mdiff --git a/a.yaml b/a.yaml^[[0m
    ^[[1m--- a/a.yaml^[[0m
    ^[[1m+++ b/a.yaml^[[0m
    ^[[36m@@ -1 +1,2 @@^[[0m
     a: \u{1b}[31m
    ^[[32m+b: 1^[[0m
    ");
}

#[test]
fn paths_start_from_the_folder_of_the_user() {
    let folder = Path::new("/home/me/repo");
    let names = [
        "./a.yaml",
        "a/./b//../c.yaml",
        "-",
        "/home/me/repo/k8s/a.yaml",
        "../repo/a.yaml",
    ];
    let files = names.map(|name| change(name, Some(""), "x"));
    let start = Start::of(&files, Some(folder));
    assert_eq!(
        names.map(|name| start.path(name)),
        ["a.yaml", "a/c.yaml", "stdin.yaml", "k8s/a.yaml", "a.yaml"]
    );
    assert_eq!(diff_summary(&files, Some(folder)), "5 files changed\n");
}

#[test]
fn paths_start_from_the_root_where_a_file_is_elsewhere() {
    let folder = Path::new("/home/me/repo");
    let names = [
        "../k8s/a.yaml",
        "b.yaml",
        "/etc/c.yaml",
        "../../../../d.yaml",
    ];
    let files = names.map(|name| change(name, None, "x"));
    let start = Start::of(&files, Some(folder));
    assert_eq!(
        names.map(|name| start.path(name)),
        [
            "home/me/k8s/a.yaml",
            "home/me/repo/b.yaml",
            "etc/c.yaml",
            "d.yaml"
        ]
    );
    insta::assert_snapshot!(diff_summary(&files, Some(folder)), @"
    4 files added
    not all of them are below the current folder, so `patch -p1 -d /` applies the diff
    ");
    // What does not differ is not part of the diff.
    let same = [
        change("/etc/c.yaml", Some("x"), "x"),
        change("b.yaml", Some(""), "x"),
    ];
    assert_eq!(diff_summary(&same, Some(folder)), "1 file changed\n");
}

#[test]
fn a_summary_tells_changed_from_added() {
    let (changed, added) = (change("a", Some(""), "x"), change("b", None, "x"));
    let summary = |files: &[FileChange]| diff_summary(files, None);
    assert_eq!(summary(&[]), "");
    assert_eq!(summary(std::slice::from_ref(&changed)), "1 file changed\n");
    assert_eq!(summary(&[added.clone(), added.clone()]), "2 files added\n");
    assert_eq!(
        summary(&[changed.clone(), changed, added]),
        "2 files changed, 1 added\n"
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
        let text = diff(&samples, Some(folder.path()), Style::default());
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

/// Files that are named by an absolute path, or through the folder above.
#[test]
fn diffs_of_files_named_from_elsewhere_apply_in_the_folder_of_the_user() {
    for tool in [
        ["git", "apply", "changes.diff"],
        ["patch", "-p1", "--input=changes.diff"],
    ] {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("repo");
        std::fs::create_dir(&folder).unwrap();
        let absolute = folder.join("absolute.yaml").display().to_string();
        let files = [absolute.as_str(), "../repo/above.yaml"]
            .map(|name| change(name, Some("a\n"), "a\nb\n"));
        for file in &files {
            std::fs::write(folder.join(&*file.name), "a\n").unwrap();
        }
        let text = diff(&files, Some(&folder), Style::default());
        std::fs::write(folder.join("changes.diff"), text).unwrap();
        let [program, arguments @ ..] = tool;
        let run = Command::new(program)
            .args(arguments)
            .current_dir(&folder)
            .output();
        let Ok(run) = run else { continue };
        assert!(run.status.success(), "{program}: {run:?}");
        for file in &files {
            let after = std::fs::read_to_string(folder.join(&*file.name)).unwrap();
            assert_eq!(after, *file.after, "{program}: {}", file.name);
        }
    }
}

/// Files elsewhere need another folder to apply the diff in, which the summary names.
#[test]
fn diffs_of_files_elsewhere_apply_from_the_root() {
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("a.yaml");
    std::fs::write(&path, "a\n").unwrap();
    let file = change(&path.display().to_string(), Some("a\n"), "a\nb\n");
    let folder = tempfile::tempdir().unwrap();
    let text = diff(&[file], Some(folder.path()), Style::default());
    let input = folder.path().join("changes.diff");
    std::fs::write(&input, text).unwrap();
    let input = format!("--input={}", input.display());
    let run = Command::new("patch")
        .args(["-p1", "-d", "/", &input])
        .output();
    let Ok(run) = run else { return };
    assert!(run.status.success(), "{run:?}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "a\nb\n");
}
