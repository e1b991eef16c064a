//! Files of this program that the kustomizations beside them leave out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SourceFile;
use super::builds::Builds;
use super::decode::Read;
use super::kustomize::normal;
use crate::model::Unlisted;
use crate::yaml::View;

/// The files with objects that this program added which no kustomization takes, though there is one
/// beside them. Whoever builds it applies the edits and not what belongs to them.
pub(super) fn unlisted(
    builds: &Builds<'_>,
    files: &[SourceFile],
    objects: &[Read],
) -> Vec<Unlisted> {
    let mut ours: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
    let metas = objects.iter().filter_map(|read| read.object.meta());
    for meta in metas.filter(|meta| meta.is_ours()) {
        *ours.entry(&meta.origin.file).or_default() += 1;
    }
    let taken: BTreeSet<&PathBuf> = builds.by_folder.values().flat_map(|b| &b.takes).collect();
    let left_out = |file: &SourceFile| {
        let objects = *ours.get(&file.name)?;
        let path = normal(file.path.as_ref()?);
        let build = builds
            .by_folder
            .get(path.parent().unwrap_or(Path::new("")))?;
        let resources = build.roots().find_map(|root| root.get("resources"));
        (!taken.contains(&path)).then(|| Unlisted {
            folder: build.shown(),
            origin: build.origin(resources.map_or(0, View::line)),
            file: Arc::clone(&file.name),
            entry: path.file_name().unwrap_or_default().display().to_string(),
            objects,
        })
    };
    files.iter().filter_map(left_out).collect()
}
