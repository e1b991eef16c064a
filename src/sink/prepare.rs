//! From changes of objects to new texts of files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::model::{ObjectRef, Origin};
use crate::plan::{Change, ChangeAction, Edit, Plan};
use crate::yamledit::{self, ObjectEdits, Refusal};

use super::kustomize::Patches;
use super::{FileChange, FileRefusal, Input, InputKind, POLICIES_FILE, Prepared};

/// Turns the changes of a plan into new texts of files.
///
/// `inputs` are the texts that the plan's objects were read from. Objects that are created go into
/// [`POLICIES_FILE`] in the directory of the file that they belong beside.
pub fn prepare(plan: &Plan, inputs: &[Input]) -> Prepared {
    let mut preparation = Preparation::new(inputs);
    let refused = preparation.edit(plan);
    for change in plan.changes() {
        preparation.change(change, &refused);
    }
    preparation.finish()
}

/// The place of an object: file, document, items.
type Place = (Arc<str>, usize, Vec<usize>);

fn place(origin: &Origin) -> Place {
    (
        Arc::clone(&origin.file),
        origin.document,
        origin.items.clone(),
    )
}

struct Preparation<'i> {
    inputs: BTreeMap<Arc<str>, &'i Input>,
    files: BTreeMap<Arc<str>, File>,
    patches: BTreeMap<Arc<str>, Patches>,
    refusals: Vec<FileRefusal>,
}

/// A file whose text is being changed.
struct File {
    path: Option<PathBuf>,
    before: Option<Arc<str>>,
    text: String,
}

impl<'i> Preparation<'i> {
    fn new(inputs: &'i [Input]) -> Self {
        Self {
            inputs: inputs
                .iter()
                .map(|input| (Arc::clone(&input.name), input))
                .collect(),
            files: BTreeMap::new(),
            patches: BTreeMap::new(),
            refusals: Vec::new(),
        }
    }

    /// Makes all edits, file by file. Returns the objects whose edits were refused.
    fn edit(&mut self, plan: &Plan) -> BTreeMap<Place, Refusal> {
        let mut edits: BTreeMap<Place, Vec<Edit>> = BTreeMap::new();
        for change in plan.changes() {
            if let ChangeAction::Edit {
                origin, edits: new, ..
            } = &change.action
            {
                edits
                    .entry(place(origin))
                    .or_default()
                    .extend_from_slice(new);
            }
        }
        let files: BTreeSet<Arc<str>> = edits.keys().map(|(file, ..)| Arc::clone(file)).collect();
        let mut refused = BTreeMap::new();
        for file in files {
            let objects: Vec<_> = edits.iter().filter(|((f, ..), _)| *f == file).collect();
            let Some(&input) = self.inputs.get(&file) else {
                let refusal = Refusal {
                    line: 0,
                    reason: "the object was not read from a file".to_owned(),
                };
                refused.extend(
                    objects
                        .iter()
                        .map(|(place, _)| ((*place).clone(), refusal.clone())),
                );
                continue;
            };
            if input.kind == InputKind::Kustomize {
                for (place, edits) in objects {
                    let patches = self.patches.entry(Arc::clone(&file)).or_default();
                    if let Err(refusal) = patches.edit(input, place.1, &place.2, edits) {
                        refused.insert(place.clone(), refusal);
                    }
                }
                continue;
            }
            let object_edits: Vec<_> = objects
                .iter()
                .map(|((_, document, items), edits)| ObjectEdits {
                    document: *document,
                    items,
                    edits,
                })
                .collect();
            let text = &self.file(input).text;
            let applied = yamledit::apply_where_possible(text, input.format, &object_edits);
            self.file(input).text = applied.text;
            for (index, refusal) in applied.refusals {
                if let Some((place, _)) = objects.get(index) {
                    refused.insert((*place).clone(), refusal);
                }
            }
        }
        refused
    }

    fn change(&mut self, change: &Change, refused: &BTreeMap<Place, Refusal>) {
        match &change.action {
            ChangeAction::Edit {
                origin, companion, ..
            } => {
                let Some(refusal) = refused.get(&place(origin)) else {
                    return;
                };
                let companion = companion.as_ref().map(|body| self.create(body, origin));
                self.refuse(&change.object, origin, refusal, companion);
            }
            ChangeAction::Create { body, beside } => {
                self.create(body, beside);
            }
            ChangeAction::Replace { origin, body } => {
                if let Err(refusal) = self.replace(origin, body) {
                    self.refuse(&change.object, origin, &refusal, None);
                }
            }
        }
    }

    fn refuse(
        &mut self,
        object: &ObjectRef,
        origin: &Origin,
        refusal: &Refusal,
        companion: Option<Arc<str>>,
    ) {
        let line = if refusal.line == 0 {
            origin.line
        } else {
            refusal.line
        };
        self.refusals.push(FileRefusal {
            object: object.clone(),
            origin: origin.at(line),
            reason: refusal.reason.clone(),
            companion,
        });
    }

    /// Adds an object to the file for it; returns the file's name.
    fn create(&mut self, body: &Value, beside: &Origin) -> Arc<str> {
        let input = self.inputs.get(&beside.file).copied();
        if let Some(input) = input.filter(|i| i.kind == InputKind::Kustomize) {
            self.patches
                .entry(Arc::clone(&input.name))
                .or_default()
                .creates = true;
        }
        // What belongs beside no file goes beside the first.
        let input = input.or_else(|| self.inputs.values().copied().find(|i| i.path.is_some()));
        let (name, path) = policies_file(input);
        let name: Arc<str> = name.into();
        if let Some(&existing) = self.inputs.get(&name) {
            self.file(existing);
        }
        let file = self.files.entry(Arc::clone(&name)).or_insert_with(|| File {
            path,
            before: None,
            text: String::new(),
        });
        file.text = yamledit::append_document(&file.text, body);
        name
    }

    fn replace(&mut self, origin: &Origin, body: &Value) -> Result<(), Refusal> {
        let refuse = |reason: &str| Refusal {
            line: origin.line,
            reason: reason.to_owned(),
        };
        let Some(&input) = self.inputs.get(&origin.file) else {
            return Err(refuse("the object was not read from a file"));
        };
        if input.kind == InputKind::Kustomize {
            let patches = self.patches.entry(Arc::clone(&input.name)).or_default();
            return patches.replace(input, origin.document, &origin.items, body);
        }
        if !origin.items.is_empty() || input.format != crate::yaml::Format::Yaml {
            return Err(refuse(
                "only an object that is a YAML document of its own is replaced",
            ));
        }
        let file = self.file(input);
        file.text = yamledit::replace_document(&file.text, origin.document, body)?;
        Ok(())
    }

    fn file(&mut self, input: &Input) -> &mut File {
        self.files
            .entry(Arc::clone(&input.name))
            .or_insert_with(|| File {
                path: input.path.clone(),
                before: Some(Arc::clone(&input.text)),
                text: input.text.to_string(),
            })
    }

    fn finish(mut self) -> Prepared {
        let mut snippets = Vec::new();
        for (name, patches) in std::mem::take(&mut self.patches) {
            snippets.extend(patches.snippet(&name));
            for (name, text) in patches.files() {
                let file = File {
                    path: None,
                    before: None,
                    text,
                };
                self.files.insert(name.into(), file);
            }
        }
        let difference = |(name, file): (Arc<str>, File)| {
            let same = file.before.as_deref() == Some(file.text.as_str());
            (!same).then(|| FileChange {
                name,
                path: file.path,
                before: file.before,
                after: file.text.into(),
            })
        };
        let changes = self.files.into_iter().filter_map(difference).collect();
        self.refusals.sort();
        Prepared {
            changes,
            refusals: self.refusals,
            snippets,
        }
    }
}

/// Name and path of the file for new objects beside an input.
fn policies_file(input: Option<&Input>) -> (String, Option<PathBuf>) {
    match input.and_then(|i| Some((i, i.path.as_ref()?))) {
        Some((input, path)) => {
            let name = Path::new(&*input.name).with_file_name(POLICIES_FILE);
            let name = name.to_string_lossy().into_owned();
            (name, Some(path.with_file_name(POLICIES_FILE)))
        }
        None => (POLICIES_FILE.to_owned(), None),
    }
}
