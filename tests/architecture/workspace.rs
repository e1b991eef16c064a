//! Reads the repository: source files from disk, packages through `cargo metadata`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

use crate::source::Source;

/// A package of the workspace.
#[derive(Debug, Default)]
pub(crate) struct Package {
    /// Name.
    pub(crate) name: String,
    /// Path of its manifest from the top of the repository.
    pub(crate) manifest: String,
    /// Text of its manifest.
    pub(crate) text: String,
    /// Packages that it depends on, other than for its own tests.
    pub(crate) dependencies: Vec<String>,
    /// File and text of its library, or of its binaries if it has none.
    pub(crate) roots: Vec<(String, String)>,
}

impl Package {
    /// The line of the manifest that starts with this key; 1 if there is none.
    pub(crate) fn line_of(&self, key: &str) -> usize {
        let mut lines = self.text.lines();
        lines.position(|l| l.starts_with(key)).unwrap_or_default() + 1
    }
}

/// The top of the repository.
fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("cannot read `{}`: {e}", path.display()))
}

/// The text of a file, by its path from the top of the repository.
pub(crate) fn text_of(file: &str) -> String {
    read(&top().join(file))
}

fn from_top(path: &Path) -> String {
    let inside = path.strip_prefix(top()).unwrap_or(path);
    let parts: Vec<_> = inside.iter().map(|p| p.to_string_lossy()).collect();
    parts.join("/")
}

/// Every Rust file of the repository, sorted.
pub(crate) fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    for folder in ["src", "tests", "embedded-dataplane"] {
        collect(&top().join(folder), &mut files);
    }
    files.sort();
    let parse = |file: &PathBuf| Source::parse(&from_top(file), &read(file));
    files.iter().map(parse).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder);
    let entries = entries.unwrap_or_else(|e| panic!("cannot list `{}`: {e}", folder.display()));
    for entry in entries {
        let path = entry.expect("the folder stays readable").path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// Every package of the workspace, sorted by name.
pub(crate) fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(top())
        .output()
        .expect("cargo can be started");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!(
            "`cargo metadata`: {}",
            String::from_utf8_lossy(&output.stderr)
        )
    });
    let mut packages: Vec<_> = list(&metadata["packages"]).iter().map(package).collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    packages
}

fn package(value: &Value) -> Package {
    let manifest = PathBuf::from(text(&value["manifest_path"]));
    let dependencies = list(&value["dependencies"]).iter();
    let targets = |kind: &str| -> Vec<_> {
        let wanted = |t: &&Value| list(&t["kind"]).iter().any(|k| k == kind);
        let files = list(&value["targets"]).iter().filter(wanted);
        files
            .map(|t| PathBuf::from(text(&t["src_path"])))
            .map(|path| (from_top(&path), read(&path)))
            .collect()
    };
    let libraries = targets("lib");
    Package {
        name: text(&value["name"]).to_owned(),
        text: read(&manifest),
        manifest: from_top(&manifest),
        dependencies: dependencies
            .filter(|d| d["kind"] != "dev")
            .map(|d| text(&d["name"]).to_owned())
            .collect(),
        roots: if libraries.is_empty() {
            targets("bin")
        } else {
            libraries
        },
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
