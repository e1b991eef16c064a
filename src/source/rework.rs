//! Fields of kustomizations that change what objects say which were read as they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SourceFile;
use super::asked::Asked;
use super::builds::{Build, Builds};
use super::decode::{Object, Read};
use super::kustomize::normal;
use super::patch::{self, Source, Target};
use crate::model::{ObjectRef, Reworked};
use crate::yaml::{Document, Scalar, View, split};

/// What a field of a kustomization changes.
struct Change {
    field: &'static str,
    line: u32,
    targets: Vec<Target>,
}

/// What the kustomizations among the files change of the objects that they take, field by field:
/// the plan is about the objects as they are in their files.
pub(super) fn reworked(
    builds: &Builds<'_>,
    files: &[SourceFile],
    objects: &[Read],
) -> Vec<Reworked> {
    let mut of_file: BTreeMap<&Arc<str>, Vec<&Read>> = BTreeMap::new();
    for read in objects.iter().filter(|read| decides(&read.object)) {
        if let Some(meta) = read.object.meta() {
            of_file.entry(&meta.origin.file).or_default().push(read);
        }
    }
    let mut of_path: BTreeMap<PathBuf, &Vec<&Read>> = BTreeMap::new();
    for file in files {
        if let (Some(path), Some(objects)) = (&file.path, of_file.get(&file.name)) {
            of_path.insert(normal(path), objects);
        }
    }
    let asked = Asked::by(objects);
    let mut reworked = Vec::new();
    for (folder, build) in &builds.by_folder {
        let fields = changes(builds, build, &asked);
        if fields.is_empty() {
            continue;
        }
        let files = builds.changeable(folder);
        let objects = files.iter().filter_map(|path| of_path.get(path));
        let objects: Vec<&Read> = objects
            .flat_map(|objects| objects.iter().copied())
            .collect();
        reworked.extend(fields.iter().filter_map(|change| {
            let changed = objects.iter().filter(|read| change.reaches(read));
            let mut changed: Vec<_> = changed.filter_map(|read| reference(read)).collect();
            changed.sort();
            changed.dedup();
            (!changed.is_empty()).then(|| Reworked {
                folder: build.shown(),
                origin: build.origin(change.line),
                field: change.field,
                objects: changed,
            })
        }));
    }
    reworked
}

impl Change {
    fn reaches(&self, read: &Read) -> bool {
        let name = read.object.meta().map_or("", |meta| &meta.name);
        let mut targets = self.targets.iter();
        targets.any(|target| target.may_be(&read.kind, name))
    }
}

fn reference(read: &Read) -> Option<ObjectRef> {
    Some(read.object.meta()?.reference(&*read.kind))
}

/// Whether anything is concluded from what an object says.
fn decides(object: &Object) -> bool {
    !matches!(
        object,
        Object::Configuration(_) | Object::ServiceAccount(_) | Object::Other(..)
    )
}

fn changes(builds: &Builds<'_>, build: &Build<'_>, asked: &Asked) -> Vec<Change> {
    let mut changes = Vec::new();
    for root in build.roots() {
        let mut add = |field: &'static str, targets: &dyn Fn(View<'_>) -> Vec<Target>| {
            if let Some(value) = root.get(field) {
                let (line, targets) = (value.line(), targets(value));
                changes.push(Change {
                    field,
                    line,
                    targets,
                });
            }
        };
        let directory = build.directory;
        add("patches", &|list| patches(directory, list));
        add("patchesJson6902", &|list| patches(directory, list));
        add("patchesStrategicMerge", &|list| merged(directory, list));
        add("replacements", &|list| replacements(directory, list));
        add("transformers", &|list| {
            all_if(list.items().len() > 0).collect()
        });
        add("commonLabels", &|pairs| {
            all_if(!pairs.entries().is_empty()).collect()
        });
        add("labels", &|list| {
            let entries = list.items();
            entries.flat_map(|entry| labelled(entry, asked)).collect()
        });
        add("commonAnnotations", &|pairs| {
            all_if(names_mesh(pairs)).collect()
        });
    }
    let unread = |(component, _): &&(PathBuf, u32)| !builds.by_folder.contains_key(component);
    if let Some((_, line)) = build.components.iter().find(unread) {
        changes.push(Change {
            field: "components",
            line: *line,
            targets: all_if(true).collect(),
        });
    }
    changes.retain(|change| !change.targets.is_empty());
    changes
}

/// The target that is every object, if it is one.
fn all_if(everything: bool) -> impl Iterator<Item = Target> {
    everything.then(Target::default).into_iter()
}

fn names_mesh(pairs: View<'_>) -> bool {
    pairs
        .entries()
        .iter()
        .any(|(key, _)| patch::is_of_mesh(key))
}

/// What an entry of `labels` changes. Every object gets the pairs, and those of a namespace or a pod
/// are what selectors look at; further fields are selectors and templates. What nobody asks for in a
/// template is nobody's concern.
fn labelled(entry: View<'_>, asked: &Asked) -> Vec<Target> {
    let Some(pairs) = entry.get("pairs").filter(|p| !p.entries().is_empty()) else {
        return Vec::new();
    };
    let is_set = |field| entry.get(field).and_then(View::scalar) == Some(Scalar::Bool(true));
    let fields = entry.get("fields").into_iter().flat_map(View::items);
    let is_read = pairs.entries().iter().any(|(key, _)| asked.for_label(key));
    if is_set("includeSelectors")
        || fields.count() > 0
        || (is_set("includeTemplates") && is_read)
        || names_mesh(pairs)
    {
        return all_if(true).collect();
    }
    if !is_read {
        return Vec::new();
    }
    let of_kind = |kind: &str| Target {
        kind: Some(kind.to_owned()),
        name: None,
    };
    ["Namespace", "Pod"].map(of_kind).into()
}

/// Entries with a `path` or the patch itself, and a `target` if that does not name its object.
fn patches(directory: &Path, list: View<'_>) -> Vec<Target> {
    let touched = |entry: View<'_>| {
        let target = entry.get("target").map(Target::of);
        let path = entry.get("path").and_then(View::text);
        let path = path.map(|path| directory.join(path));
        let inline = entry.get("patch").and_then(View::text);
        let source = match (&path, inline) {
            (Some(path), _) => Source::File(path),
            (None, text) => Source::Inline(text.unwrap_or("")),
        };
        patch::touched(target.as_ref(), source)
    };
    list.items().flat_map(touched).collect()
}

/// Entries that are a path, or the patch itself, which has several lines.
fn merged(directory: &Path, list: View<'_>) -> Vec<Target> {
    let touched = |text: &str| {
        if text.contains('\n') {
            return patch::touched(None, Source::Inline(text));
        }
        patch::touched(None, Source::File(&directory.join(text)))
    };
    let texts = list.items().filter_map(View::text);
    texts.flat_map(touched).collect()
}

/// Entries with their `targets`, or the `path` of a file with such entries.
fn replacements(directory: &Path, list: View<'_>) -> Vec<Target> {
    let mut targets = Vec::new();
    for entry in list.items() {
        let Some(path) = entry.get("path").and_then(View::text) else {
            targets.extend(replaced(entry));
            continue;
        };
        let Some(text) = Source::File(&directory.join(path)).text() else {
            targets.push(Target::default());
            continue;
        };
        for chunk in split(&text) {
            let document = Document::parse(chunk);
            match document.as_ref().map(Document::root) {
                Ok(Some(root)) if root.items().len() > 0 => {
                    targets.extend(root.items().flat_map(replaced));
                }
                Ok(Some(root)) => targets.extend(replaced(root)),
                Ok(None) => {}
                Err(_) => targets.push(Target::default()),
            }
        }
    }
    targets
}

/// What one replacement writes to.
fn replaced(replacement: View<'_>) -> Vec<Target> {
    let targets = replacement.get("targets").into_iter();
    let touched = |entry: View<'_>| {
        let target = entry.get("select").map(Target::of).unwrap_or_default();
        let paths = entry.get("fieldPaths").into_iter().flat_map(View::items);
        let mut paths = paths.filter_map(View::text).peekable();
        // Without a path it is the name.
        let renames = paths.peek().is_none();
        let harmless = |path: &str| {
            let change = patch::Change {
                path: path.split('.').map(str::to_owned).collect(),
                becomes: None,
            };
            change.is_harmless(&target)
        };
        (renames || !paths.all(harmless)).then_some(target)
    };
    targets.flat_map(View::items).filter_map(touched).collect()
}
