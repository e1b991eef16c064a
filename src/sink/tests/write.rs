use std::fs;
use std::path::Path;

use crate::sink::write::write_with;
use crate::sink::{FileChange, Prepared, Target, WriteError, write};

fn change(name: &str, path: Option<&Path>, before: Option<&str>, after: &str) -> FileChange {
    FileChange {
        name: name.into(),
        path: path.map(Path::to_path_buf),
        link_to: None,
        before: before.map(Into::into),
        after: after.into(),
    }
}

fn prepared(changes: impl IntoIterator<Item = FileChange>) -> Prepared {
    Prepared {
        changes: changes.into_iter().collect(),
        ..Prepared::default()
    }
}

/// Names and contents of a directory.
fn listing(directory: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            let inner = listing(&path);
            found.extend(inner.into_iter().map(|(n, t)| (format!("{name}/{n}"), t)));
        } else {
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    found
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

#[test]
fn files_are_replaced_in_place_and_made() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (
        directory.path().join("a.yaml"),
        directory.path().join("b.yaml"),
    );
    fs::write(&a, "old").unwrap();
    let changes = [
        change("a.yaml", Some(&a), Some("old"), "new"),
        change("b.yaml", Some(&b), None, "made"),
    ];
    let written = write(&prepared(changes), &Target::InPlace).unwrap();
    assert_eq!(written.files.len(), 2);
    assert_eq!(
        listing(directory.path()),
        pairs(&[("a.yaml", "new"), ("b.yaml", "made")])
    );
}

#[test]
fn nothing_is_written_when_a_file_is_not_what_was_read() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (
        directory.path().join("a.yaml"),
        directory.path().join("b.yaml"),
    );
    fs::write(&a, "a").unwrap();
    fs::write(&b, "b").unwrap();
    let good = || change("a.yaml", Some(&a), Some("a"), "new");
    let cases = [
        (
            change("b.yaml", Some(&b), Some("x"), "new"),
            "`b.yaml` changed since it was read",
        ),
        (
            change("b.yaml", Some(&b), None, "new"),
            "`b.yaml` exists, but was not among the files that were read",
        ),
        (
            change("-", None, Some("x"), "new"),
            "`-` is no file that could be changed in place",
        ),
        (
            change("./a.yaml", Some(&a), Some("a"), "x"),
            "`./a.yaml` and `a.yaml` are the same file",
        ),
        (
            change("c", Some(&directory.path().join("no/c")), None, "x"),
            "cannot open `no`",
        ),
    ];
    for (bad, expected) in cases {
        let error = write(&prepared([good(), bad]), &Target::InPlace).unwrap_err();
        let real = directory.path().canonicalize().unwrap();
        let mut text = error.to_string();
        for root in [real.as_path(), directory.path()] {
            text = text.replace(&format!("{}/", root.display()), "");
        }
        assert_eq!(text, expected);
        assert_eq!(
            listing(directory.path()),
            pairs(&[("a.yaml", "a"), ("b.yaml", "b")])
        );
    }
}

#[test]
fn an_output_directory_mirrors_names_and_is_never_left() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("new/out");
    let changes = [
        change("-", None, Some("x"), "stdin"),
        change(
            "./k8s/a.yaml",
            Some(Path::new("k8s/a.yaml")),
            Some("x"),
            "a",
        ),
        change("/abs/b.yaml", None, None, "b"),
    ];
    let target = Target::Directory(out.clone());
    write(&prepared(changes), &target).unwrap();
    let expected = [
        ("abs/b.yaml", "b"),
        ("k8s/a.yaml", "a"),
        ("stdin.yaml", "stdin"),
    ];
    assert_eq!(listing(&out), pairs(&expected));

    let error = write(&prepared([change("../a.yaml", None, None, "x")]), &target).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`../a.yaml` would be written outside the output directory"
    );
    assert!(error.hint().is_some());
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn permissions_and_symbolic_links_stay() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("real"), directory.path().join("link"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("real", &link).unwrap();
        let changes = [change("link", Some(&link), Some("old"), "new")];
        write(&prepared(changes), &Target::InPlace).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
            0o640
        );
    }

    #[test]
    fn a_read_only_file_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
        let changes = [change("a", Some(&file), Some("old"), "new")];
        let error = write(&prepared(changes), &Target::InPlace).unwrap_err();
        assert!(error.to_string().starts_with("cannot write `"), "{error}");
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "it is read-only");
        assert_eq!(listing(directory.path()), pairs(&[("a", "old")]));
    }

    #[test]
    fn a_link_out_of_the_output_directory_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let (out, elsewhere) = (root.path().join("out"), root.path().join("elsewhere"));
        fs::create_dir(&out).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        symlink("../elsewhere", out.join("k8s")).unwrap();
        let error = write(
            &prepared([change("k8s/sub/a.yaml", None, None, "x")]),
            &Target::Directory(out),
        );
        assert_eq!(
            error.unwrap_err().to_string(),
            "`k8s/sub/a.yaml` would be written outside the output directory"
        );
        assert!(listing(&elsewhere).is_empty());
    }

    #[test]
    fn what_was_replaced_before_an_error_is_put_back() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (directory.path().join("a"), directory.path().join("b"));
        fs::write(&a, "old").unwrap();
        let changes = [
            change("a", Some(&a), Some("old"), "new"),
            change("b", Some(&b), None, "x"),
        ];
        let prepared = prepared(changes);
        let error = write_with(&prepared, &Target::InPlace, &mut |path| {
            // The name is taken between the check and the rename.
            if path.ends_with("b") {
                fs::write(path, "other").unwrap();
            }
        });
        let error = error.unwrap_err();
        assert!(
            matches!(
                &error,
                WriteError::Io {
                    action: "replace",
                    ..
                }
            ),
            "{error}"
        );
        let expected = pairs(&[("a", "old"), ("b", "other")]);
        assert_eq!(listing(directory.path()), expected);
    }

    #[test]
    fn what_cannot_be_put_back_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (directory.path().join("d/a"), directory.path().join("b"));
        fs::create_dir(directory.path().join("d")).unwrap();
        fs::write(&a, "old").unwrap();
        let changes = [
            change("a", Some(&a), Some("old"), "new"),
            change("b", Some(&b), None, "x"),
        ];
        let moved = directory.path().join("moved");
        let error = write_with(&prepared(changes), &Target::InPlace, &mut |path| {
            if path.ends_with("b") {
                fs::write(path, "other").unwrap();
                fs::rename(directory.path().join("d"), &moved).unwrap();
            }
        });
        let text = error.unwrap_err().to_string();
        let real = directory.path().canonicalize().unwrap();
        assert_eq!(
            text.replace(&format!("{}/", real.display()), ""),
            "cannot replace `b`, and what was written before could not all be undone: \
             `d/a` has the new text, `b` unchanged"
        );
    }
}
