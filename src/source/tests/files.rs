//! Files, folders, standard input and kustomize.

use std::fs;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;

use super::report;
use crate::model::{Coverage, Kind};
use crate::source::{FileKind, Loaded, Request};

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    directory
}

fn account(name: &str) -> String {
    format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}}}\n")
}

/// Loads files below a folder, named by their paths in it.
fn load(directory: &Path, files: &[&str], recursive: bool) -> Loaded {
    let join = |f: &&str| match *f {
        "-" => PathBuf::from("-"),
        f => directory.join(f),
    };
    let request = Request {
        files: files.iter().map(join).collect(),
        recursive,
        default_namespace: "default".to_owned(),
        ..Request::default()
    };
    crate::source::load(&request, &mut account("stdin").as_bytes())
}

/// The report with the folder left out of paths.
fn shown(directory: &Path, loaded: &Loaded) -> String {
    report(loaded).replace(&*directory.to_string_lossy(), "DIR")
}

/// Names of the service accounts that were read, with their files.
fn accounts(directory: &Path, loaded: &Loaded) -> Vec<String> {
    let accounts = loaded.world.service_accounts.iter();
    let shown = accounts.map(|m| format!("{} in {}", m.name, m.origin));
    shown
        .map(|s| s.replace(&*directory.to_string_lossy(), "DIR"))
        .collect()
}

#[test]
fn folders_are_read_as_kubectl_reads_them() {
    let directory = folder(&[
        ("b.yml", account("b").as_bytes()),
        ("a.yaml", account("a").as_bytes()),
        ("c.json", b"{\"apiVersion\": \"v1\", \"kind\": \"ServiceAccount\", \"metadata\": {\"name\": \"c\"}}"),
        ("d.txt", account("d").as_bytes()),
        ("sub/e.yaml", account("e").as_bytes()),
    ]);
    let at = directory.path();
    let flat = load(at, &[""], false);
    assert_eq!(
        accounts(at, &flat),
        ["a in DIR/a.yaml:1", "b in DIR/b.yml:1", "c in DIR/c.json:1"]
    );
    assert_eq!(report(&flat), "");
    let deep = load(at, &["", "d.txt", "-"], true);
    assert_eq!(
        accounts(at, &deep),
        [
            "a in DIR/a.yaml:1",
            "b in DIR/b.yml:1",
            "c in DIR/c.json:1",
            "d in DIR/d.txt:1",
            "e in DIR/sub/e.yaml:1",
            "stdin in -:1"
        ]
    );
    let kinds: Vec<_> = deep
        .files
        .iter()
        .map(|f| (f.kind, f.path.is_some()))
        .collect();
    assert_eq!(kinds[0], (FileKind::Stdin, false));
    assert!(kinds[1..].iter().all(|k| *k == (FileKind::Manifest, true)));
}

#[test]
fn what_cannot_be_read_is_reported_and_hides_nothing() {
    let directory = folder(&[
        ("latin.yaml", b"a: 1\nb: \xe9t\xe9\n"),
        ("utf16.yaml", b"\xff\xfea\0"),
        ("good.yaml", account("a").as_bytes()),
        ("empty/sub/x.yaml", b""),
        ("other/x.txt", b""),
    ]);
    let at = directory.path();
    let loaded = load(at, &["", "missing.yaml", "empty", "other"], false);
    assert_eq!(accounts(at, &loaded), ["a in DIR/good.yaml:1"]);
    assert_snapshot!(shown(at, &loaded), @"
    DIR/empty:0:0: no file here ends in `.yaml`, `.yml` or `.json`
      hint: `-R` also reads the folders below it
    DIR/latin.yaml:2:0: not UTF-8: byte 0xe9 at offset 8
      hint: save it as UTF-8
    DIR/missing.yaml:0:0: cannot be read: no such file or directory
      hint: check the path; relative ones start in the current folder
    DIR/other:0:0: no file here ends in `.yaml`, `.yml` or `.json`
    DIR/utf16.yaml:1:0: not UTF-8: byte 0xff at offset 0
      hint: it looks like UTF-16: save it as UTF-8
    ");
    assert!(
        Kind::ALL
            .iter()
            .all(|&k| loaded.world.coverage(k) == Coverage::Partial)
    );
    assert_snapshot!(report(&load(Path::new(""), &["https://example.com/a.yaml"], false)), @"
    https://example.com/a.yaml:0:0: addresses on the web are not read
      hint: pipe it in: `curl -L https://example.com/a.yaml | kubectl ambient migrate -f -`
    ");
}

#[test]
fn a_file_that_is_named_twice_is_read_once() {
    let directory = folder(&[("a.yaml", account("a").as_bytes())]);
    let at = directory.path();
    let loaded = load(at, &["a.yaml", "a.yaml", "", "./a.yaml", "-", "-"], false);
    assert_eq!(loaded.files.len(), 2);
    assert_snapshot!(shown(at, &loaded), @"DIR/./a.yaml:0: note: the same file as `DIR/a.yaml`, read once");
}

#[test]
fn duplicates_name_both_places() {
    let two = format!("{}---\n{}", account("b"), account("a"));
    let directory = folder(&[
        ("a.yaml", account("a").as_bytes()),
        ("b.yaml", two.as_bytes()),
    ]);
    let at = directory.path();
    let loaded = load(at, &[""], false);
    assert_eq!(
        accounts(at, &loaded),
        ["a in DIR/a.yaml:1", "b in DIR/b.yaml:1"]
    );
    assert_snapshot!(shown(at, &loaded), @"
    DIR/b.yaml:5:1: `default/serviceaccount/a` is defined twice: here and at DIR/a.yaml:1
      in default/serviceaccount/a
      | apiVersion: v1
      hint: remove one of them: only the last one applied would count
    ");
    assert_eq!(
        loaded.world.coverage(Kind::ServiceAccount),
        Coverage::Partial
    );
    assert_eq!(loaded.world.coverage(Kind::NetworkPolicy), Coverage::Given);
}

#[test]
fn what_kustomize_and_helm_use_otherwise_is_skipped_by_name() {
    let patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: 3}\n";
    let directory = folder(&[
        (
            "k/kustomization.yaml",
            b"resources: [a.yaml]\npatches:\n- path: p1.yaml\n- patch: |-\n    - op: add\n\
              patchesStrategicMerge: [./sub/../p2.yaml]\npatchesJson6902: [{path: p3.yaml}]\n\
              helmCharts: [{name: x, valuesFile: v.yaml, additionalValuesFiles: [w.yaml]}]\n",
        ),
        ("k/a.yaml", account("a").as_bytes()),
        ("k/p1.yaml", patch.as_bytes()),
        ("k/p2.yaml", patch.as_bytes()),
        ("k/p3.yaml", b"- op: add\n"),
        ("k/v.yaml", b"kind: x\n"),
        ("k/w.yaml", b"kind: x\n"),
        ("chart/Chart.yaml", b"apiVersion: v2\nname: x\n"),
        ("chart/values.yaml", b"a: 1\n"),
        ("chart/values-prod.yaml", b"a: 1\n"),
        ("chart/templates/x.yaml", b"a: {{ .Values.a }}\n"),
    ]);
    let at = directory.path();
    let loaded = load(at, &[""], true);
    assert_eq!(accounts(at, &loaded), ["a in DIR/k/a.yaml:1"]);
    let kustomizations: Vec<_> = loaded.kustomizations.iter().map(|k| &k.path).collect();
    assert_eq!(kustomizations, [&Some(at.join("k/kustomization.yaml"))]);
    assert_snapshot!(shown(at, &loaded), @"
    DIR/chart/Chart.yaml:0: note: part of a Helm chart, not read; render it first: `helm template … | kubectl ambient migrate -f -`
    DIR/chart/templates/x.yaml:1: note: Helm template, not read; render it first: `helm template … | kubectl ambient migrate -f -`
    DIR/chart/values-prod.yaml:0: note: part of a Helm chart, not read; render it first: `helm template … | kubectl ambient migrate -f -`
    DIR/chart/values.yaml:0: note: part of a Helm chart, not read; render it first: `helm template … | kubectl ambient migrate -f -`
    DIR/k/kustomization.yaml:0: note: a kustomization, not read; the files beside it are read as they are. To read what kustomize makes of them: `-k DIR/k`
    DIR/k/p1.yaml:0: note: named in a kustomization under `patches`, not read
    DIR/k/p2.yaml:0: note: named in a kustomization under `patchesStrategicMerge`, not read
    DIR/k/p3.yaml:0: note: named in a kustomization under `patchesJson6902`, not read
    DIR/k/v.yaml:0: note: named in a kustomization under `helmCharts`, not read
    DIR/k/w.yaml:0: note: named in a kustomization under `helmCharts`, not read
    ");
}

#[cfg(unix)]
#[test]
fn links_pipes_and_loops_do_no_harm() {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    let directory = folder(&[("sub/a.yaml", account("a").as_bytes())]);
    let at = directory.path();
    symlink(at, at.join("sub/up")).unwrap();
    symlink(at.join("loop.yaml"), at.join("loop.yaml")).unwrap();
    symlink(at.join("sub/a.yaml"), at.join("link.yaml")).unwrap();
    let _listener = UnixListener::bind(at.join("socket.yaml")).unwrap();
    let loaded = load(at, &[""], true);
    assert_eq!(accounts(at, &loaded), ["a in DIR/link.yaml:1"]);
    assert_snapshot!(shown(at, &loaded), @"
    DIR/loop.yaml:0:0: cannot be read: too many levels of symbolic links
    DIR/socket.yaml:0: note: not a regular file, not read
    DIR/sub/a.yaml:0: note: the same file as `DIR/link.yaml`, read once
    DIR/sub/up:0: note: a link to a folder, not followed
    ");
}

#[cfg(unix)]
#[test]
fn kustomize_runs_through_kubectl() {
    use std::os::unix::fs::PermissionsExt;

    let directory = folder(&[
        ("good", b"#!/bin/sh\nprintf 'apiVersion: v1\\nkind: ServiceAccount\\nmetadata: {name: %s}\\n' \"$1-$#\"\n"),
        ("bad", b"#!/bin/sh\necho 'error: no kustomization here' >&2\nexit 1\n"),
    ]);
    let at = directory.path();
    let run = |kubectl: &str| {
        let kubectl = at.join(kubectl);
        if kubectl.exists() {
            fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let request = Request {
            kustomize: Some(PathBuf::from("overlays/prod")),
            kubectl: Some(kubectl),
            default_namespace: "default".to_owned(),
            ..Request::default()
        };
        crate::source::load(&request, &mut std::io::empty())
    };
    let loaded = run("good");
    assert_eq!(accounts(at, &loaded), ["kustomize-3 in -k overlays/prod:1"]);
    assert_eq!(
        (loaded.files[0].kind, &loaded.files[0].path),
        (FileKind::Kustomize, &None)
    );
    assert_snapshot!(shown(at, &run("bad")), @"-k overlays/prod:0:0: `kubectl kustomize` failed: no kustomization here");
    assert_snapshot!(shown(at, &run("missing")), @"
    -k overlays/prod:0:0: there is no `DIR/missing` to run kustomize
      hint: install kubectl, or pipe: `kustomize build overlays/prod | kubectl ambient migrate -f -`
    ");
}
