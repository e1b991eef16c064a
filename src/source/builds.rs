//! The kustomizations among the files: which files each takes, and whose objects it can change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SourceFile;
use super::kustomize::normal;
use crate::model::Origin;
use crate::yaml::{Document, View, split};

/// Fields of a kustomization that name files or folders whose objects it takes.
const TAKES: [&str; 3] = ["resources", "bases", COMPONENTS];

/// Those of them that name folders which also change what the others take.
const COMPONENTS: &str = "components";

/// All kustomizations that were read, by folder, as [`normal`] path.
#[derive(Debug, Default)]
pub(super) struct Builds<'f> {
    pub(super) by_folder: BTreeMap<PathBuf, Build<'f>>,
}

/// One kustomization.
#[derive(Debug)]
pub(super) struct Build<'f> {
    pub(super) name: &'f Arc<str>,
    /// Its folder, as it is named in the input.
    pub(super) directory: &'f Path,
    /// One for each document that parses: one that does not builds nothing.
    pub(super) documents: Vec<Document>,
    /// What it takes, as [`normal`] paths.
    pub(super) takes: Vec<PathBuf>,
    /// The components among these, with the line of the field.
    pub(super) components: Vec<(PathBuf, u32)>,
}

impl<'f> Builds<'f> {
    pub(super) fn of(kustomizations: &'f [SourceFile]) -> Self {
        let builds = kustomizations.iter().filter_map(|file| {
            let directory = file.path.as_ref()?.parent().unwrap_or(Path::new(""));
            Some((normal(directory), Build::of(file, directory)))
        });
        Self {
            by_folder: builds.collect(),
        }
    }

    /// All files that a build in this folder takes, at once or through other kustomizations.
    pub(super) fn taken(&self, folder: &Path) -> BTreeSet<PathBuf> {
        let mut taken = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut waiting = vec![folder.to_owned()];
        while let Some(folder) = waiting.pop() {
            let Some(build) = self.by_folder.get(&folder) else {
                taken.insert(folder);
                continue;
            };
            if seen.insert(folder) {
                waiting.extend(build.takes.iter().cloned());
            }
        }
        taken
    }

    /// All files whose objects the kustomization in this folder can change. A component changes
    /// those of whoever names it as well.
    pub(super) fn changeable(&self, folder: &Path) -> BTreeSet<PathBuf> {
        let mut files = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut waiting = vec![folder.to_owned()];
        while let Some(folder) = waiting.pop() {
            if !seen.insert(folder.clone()) {
                continue;
            }
            files.append(&mut self.taken(&folder));
            let names_it = |build: &Build<'_>| build.components.iter().any(|(c, _)| *c == folder);
            let users = self.by_folder.iter().filter(|(_, b)| names_it(b));
            waiting.extend(users.map(|(folder, _)| folder.clone()));
        }
        files
    }
}

impl<'f> Build<'f> {
    fn of(file: &'f SourceFile, directory: &'f Path) -> Self {
        let chunks = split(&file.text).into_iter();
        let documents: Vec<_> = chunks.filter_map(|c| Document::parse(c).ok()).collect();
        let (mut takes, mut components) = (Vec::new(), Vec::new());
        let path = |name: View<'_>| Some(normal(&directory.join(name.text()?)));
        for root in documents.iter().filter_map(Document::root) {
            for field in TAKES {
                let Some(value) = root.get(field) else {
                    continue;
                };
                let named: Vec<PathBuf> = value.items().filter_map(path).collect();
                if field == COMPONENTS {
                    components.extend(named.iter().map(|c| (c.clone(), value.line())));
                }
                takes.extend(named);
            }
        }
        Self {
            name: &file.name,
            directory,
            documents,
            takes,
            components,
        }
    }

    pub(super) fn roots(&self) -> impl Iterator<Item = View<'_>> {
        self.documents.iter().filter_map(Document::root)
    }

    /// A line of it.
    pub(super) fn origin(&self, line: u32) -> Origin {
        Origin {
            file: Arc::clone(self.name),
            ..Origin::synthetic().at(line)
        }
    }

    /// Its folder, as the user would name it.
    pub(super) fn shown(&self) -> String {
        let folder = Path::new(&**self.name).parent();
        let folder = folder.filter(|f| !f.as_os_str().is_empty());
        folder.unwrap_or(Path::new(".")).display().to_string()
    }
}
