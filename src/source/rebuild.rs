//! Objects that builds of kustomize put elsewhere than they were read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::SourceFile;
use super::builds::{Build, Builds};
use super::decode::{Object, Read};
use super::kustomize::normal;
use crate::model::Rebuilt;
use crate::yaml::View;

/// What one kustomization does to all that it takes.
#[derive(Debug, Default)]
struct Move {
    namespace: Option<String>,
    renames: bool,
    /// The line that says so.
    line: u32,
}

/// The builds that put objects of these files into another namespace than they were read in, or
/// give them other names; or that leave the namespace open, for another build to set.
pub(super) fn rebuilt(
    builds: &Builds<'_>,
    files: &[SourceFile],
    objects: &[Read],
    namespace_asked: bool,
) -> Vec<Rebuilt> {
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
    let used: BTreeSet<&PathBuf> = builds.by_folder.values().flat_map(|k| &k.takes).collect();
    let moved = |(folder, build): (&PathBuf, &Build<'_>)| {
        let it = Move::of(build);
        let changes = it.namespace.is_some() || it.renames;
        if !changes && used.contains(folder) {
            return None;
        }
        let taken = builds.taken(folder);
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
        (!files.is_empty()).then(|| Rebuilt {
            folder: build.shown(),
            origin: build.origin(it.line),
            namespace: it.namespace,
            renames: it.renames,
            files,
        })
    };
    builds.by_folder.iter().filter_map(moved).collect()
}

/// Whether names of an object's kind, or of its namespace, are in policies.
fn has_a_say(object: &Object) -> bool {
    !matches!(object, Object::Configuration(_) | Object::Networking(_))
}

impl Move {
    fn of(build: &Build<'_>) -> Self {
        let mut found = Self::default();
        for root in build.roots() {
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
}
