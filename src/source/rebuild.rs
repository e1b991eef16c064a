//! What builds of kustomize make of objects that are read as they are in their files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SourceFile;
use super::decode::{Object, Read};
use super::kustomize::normal;
use crate::model::{Origin, Rebuilt};
use crate::yaml::{Document, View, split};

/// Fields of a kustomization that name files or folders whose objects it takes.
const TAKES: [&str; 3] = ["resources", "bases", "components"];

/// One kustomization, as far as it moves or renames objects.
#[derive(Debug, Default)]
struct Kustomization {
    name: Arc<str>,
    /// What it takes, as [`normal`] paths.
    takes: Vec<PathBuf>,
    namespace: Option<String>,
    renames: bool,
    /// The line that says so.
    line: u32,
}

/// The builds that put objects of these files into another namespace than they were read in, or
/// give them other names; or that leave the namespace open, for another build to set.
pub(super) fn rebuilt(
    kustomizations: &[SourceFile],
    files: &[SourceFile],
    objects: &[Read],
    namespace_asked: bool,
) -> Vec<Rebuilt> {
    let by_folder: BTreeMap<PathBuf, Kustomization> = kustomizations
        .iter()
        .filter_map(|file| {
            let folder = file.path.as_ref()?.parent().unwrap_or(Path::new(""));
            Some((normal(folder), parse(file, folder)))
        })
        .collect();
    let mut of_path: BTreeMap<PathBuf, &Arc<str>> = BTreeMap::new();
    for file in files {
        if let Some(path) = &file.path {
            of_path.insert(normal(path), &file.name);
        }
    }
    let mut namespaces: BTreeMap<&Arc<str>, BTreeSet<&str>> = BTreeMap::new();
    let mut open: BTreeSet<&Arc<str>> = BTreeSet::new();
    for read in objects.iter().filter(|read| has_a_say(&read.object)) {
        if let Some(meta) = read.object.meta().filter(|m| !m.namespace.is_empty()) {
            let of_file = namespaces.entry(&meta.origin.file).or_default();
            of_file.insert(&meta.namespace);
            if !meta.namespace_given && !namespace_asked {
                open.insert(&meta.origin.file);
            }
        }
    }
    let used: BTreeSet<&PathBuf> = by_folder.values().flat_map(|k| &k.takes).collect();
    let moved = |(folder, it): (&PathBuf, &Kustomization)| {
        let changes = it.namespace.is_some() || it.renames;
        if !changes && used.contains(folder) {
            return None;
        }
        let mut taken = BTreeSet::new();
        take(folder, &by_folder, &mut taken);
        let names = taken.iter().filter_map(|path| of_path.get(path).copied());
        let elsewhere = |name: &&Arc<str>| {
            if !changes {
                return open.contains(*name);
            }
            let read_in = namespaces.get(*name);
            read_in.is_some_and(|read_in| {
                let other = |namespace: &String| read_in.iter().any(|n| n != namespace);
                it.renames || it.namespace.as_ref().is_some_and(other)
            })
        };
        let files: Vec<Arc<str>> = names.filter(elsewhere).cloned().collect();
        let origin = Origin {
            file: Arc::clone(&it.name),
            ..Origin::synthetic().at(it.line)
        };
        (!files.is_empty()).then(|| Rebuilt {
            folder: shown(&it.name),
            origin,
            namespace: it.namespace.clone(),
            renames: it.renames,
            files,
        })
    };
    by_folder.iter().filter_map(moved).collect()
}

/// Whether names of an object's kind, or of its namespace, are in policies.
fn has_a_say(object: &Object) -> bool {
    !matches!(object, Object::Configuration(_) | Object::Networking(_))
}

/// The folder of a kustomization, as the user would name it.
fn shown(name: &str) -> String {
    let folder = Path::new(name).parent();
    let folder = folder.filter(|f| !f.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).display().to_string()
}

/// All files that a build in this folder takes, at once or through other kustomizations.
fn take(
    folder: &Path,
    by_folder: &BTreeMap<PathBuf, Kustomization>,
    taken: &mut BTreeSet<PathBuf>,
) {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        let Some(kustomization) = by_folder.get(&folder) else {
            taken.insert(folder);
            continue;
        };
        if seen.insert(folder) {
            waiting.extend(kustomization.takes.iter().cloned());
        }
    }
}

fn parse(file: &SourceFile, folder: &Path) -> Kustomization {
    let mut found = Kustomization {
        name: Arc::clone(&file.name),
        ..Kustomization::default()
    };
    for chunk in split(&file.text) {
        // One that does not parse builds nothing.
        let Ok(document) = Document::parse(chunk) else {
            continue;
        };
        let Some(root) = document.root() else {
            continue;
        };
        let takes = TAKES.iter().filter_map(|field| root.get(field));
        let names = takes.flat_map(View::items).filter_map(View::text);
        found
            .takes
            .extend(names.map(|name| normal(&folder.join(name))));
        let said = |field| {
            let value: View<'_> = root.get(field)?;
            let text = value.text().filter(|text| !text.is_empty())?;
            Some((text.to_owned(), value.line()))
        };
        let affixes = ["namePrefix", "nameSuffix"].into_iter().find_map(said);
        if let Some((_, line)) = affixes {
            found.renames = true;
            found.line = line;
        }
        if let Some((namespace, line)) = said("namespace") {
            found.namespace = Some(namespace);
            found.line = line;
        }
    }
    found
}
