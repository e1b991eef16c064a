//! Kustomizations: their output, and which files they use as something other than manifests.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use crate::model::shell_word;
use crate::yaml::{Document, View, split};

use super::FileKind;
use super::gathered::{Gathered, io_message};

/// The names that kustomize looks for.
pub(super) const FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Fields of a kustomization that name files which are no manifests of their own, with the field
/// below that holds the name where the entries are mappings.
const NOT_MANIFESTS: [(&str, Option<&str>); 9] = [
    ("patches", Some("path")),
    ("patchesStrategicMerge", None),
    ("patchesJson6902", Some("path")),
    ("replacements", Some("path")),
    ("transformers", None),
    ("configurations", None),
    ("generators", None),
    ("helmCharts", Some("valuesFile")),
    ("helmCharts", Some("additionalValuesFiles")),
];

/// Runs `kubectl kustomize` and takes its output.
pub(super) fn build(directory: &Path, kubectl: Option<&Path>, gathered: &mut Gathered) {
    let name = format!("-k {}", directory.display());
    let pipe = format!(
        "install kubectl, or pipe: `kustomize build {} | kubectl ambient migrate -f -`",
        shell_word(&directory.display().to_string())
    );
    let kubectl = kubectl.unwrap_or(Path::new("kubectl"));
    let run = Command::new(kubectl)
        .args([Path::new("kustomize"), Path::new("--"), directory])
        .stdin(Stdio::null())
        .output();
    match run {
        Ok(output) if output.status.success() => {
            gathered.take(&name, None, output.stdout, FileKind::Kustomize);
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim().trim_start_matches("error: ");
            let said = if said.is_empty() {
                output.status.to_string()
            } else {
                said.to_owned()
            };
            gathered.unreadable(&name, format!("`kubectl kustomize` failed: {said}"), None);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let message = format!("there is no `{}` to run kustomize", kubectl.display());
            gathered.unreadable(&name, message, Some(&pipe));
        }
        Err(error) => {
            let message = format!("`{}` {}", kubectl.display(), io_message(&error));
            gathered.unreadable(&name, message, Some(&pipe));
        }
    }
}

/// The files that the kustomizations among `paths` use as patches, values and the like, each with
/// the field that names it. Paths are in the form of [`normal`].
pub(super) fn patches<'p>(
    paths: impl Iterator<Item = &'p Path>,
) -> BTreeMap<PathBuf, &'static str> {
    let mut patches = BTreeMap::new();
    for path in paths {
        let is_kustomization = path
            .file_name()
            .and_then(|n| n.to_str())
            .is_some_and(|n| FILES.contains(&n));
        if !is_kustomization {
            continue;
        }
        let directory = path.parent().unwrap_or(Path::new(""));
        // One that cannot be read is skipped as any other; nothing is known about its patches.
        let Ok(text) = fs::read_to_string(path) else {
            continue;
        };
        for chunk in split(&text) {
            let document = Document::parse(chunk);
            if let Some(root) = document.as_ref().ok().and_then(Document::root) {
                collect(root, directory, &mut patches);
            }
        }
    }
    patches
}

fn collect(root: View<'_>, directory: &Path, patches: &mut BTreeMap<PathBuf, &'static str>) {
    for (field, below) in NOT_MANIFESTS {
        let entries = root.get(field).into_iter().flat_map(View::items);
        for entry in entries {
            let value = match below {
                Some(key) => entry.get(key),
                None => Some(entry),
            };
            let Some(value) = value else { continue };
            let names = value.text().into_iter();
            let names = names.chain(value.items().filter_map(View::text));
            // An inline patch has several lines; no path has.
            for name in names.filter(|n| !n.contains('\n')) {
                patches.insert(normal(&directory.join(name)), field);
            }
        }
    }
}

/// A path without `.` and without `..` as far as the text tells, so that two spellings compare.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(normal.components().next_back(), Some(Component::Normal(_))) =>
            {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}
