//! From changes of objects to new texts of files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{ObjectRef, Origin};
use crate::plan::{Body, Change, ChangeAction, Edit, Plan};
use crate::yamledit::{self, ObjectEdits, Refusal};

use super::kustomize::{self, Built, Patches};
use super::{FileChange, FileRefusal, Input, InputKind, POLICIES_FILE, Prepared, Snippet};

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
    preparation.replace();
    preparation.append();
    preparation.finish()
}

/// The place of an object in a file: document, items.
type Place = (usize, Vec<usize>);

/// Something for each of some objects, by file and place.
type ByPlace<T> = BTreeMap<Arc<str>, BTreeMap<Place, T>>;

fn place(origin: &Origin) -> Place {
    (origin.document, origin.items.clone())
}

/// What is done to files is gathered first, so that each text is read once however much of it
/// changes.
struct Preparation<'p> {
    inputs: BTreeMap<Arc<str>, &'p Input>,
    /// By the name of the file for new objects beside each.
    kustomizations: BTreeMap<Arc<str>, &'p Input>,
    files: BTreeMap<Arc<str>, File>,
    patches: BTreeMap<Arc<str>, Patches>,
    replacements: BTreeMap<Arc<str>, Vec<Replacement<'p>>>,
    additions: BTreeMap<Arc<str>, Additions<'p>>,
    refusals: Vec<FileRefusal>,
    snippets: Vec<Snippet>,
}

/// A file whose text is being changed.
struct File {
    path: Option<PathBuf>,
    link_to: Option<PathBuf>,
    before: Option<Arc<str>>,
    text: String,
}

/// An object that takes the place of an earlier version.
struct Replacement<'p> {
    object: &'p ObjectRef,
    origin: &'p Origin,
    body: &'p Body,
}

/// Objects that are added to one file.
#[derive(Default)]
struct Additions<'p> {
    path: Option<PathBuf>,
    bodies: Vec<&'p Body>,
    /// Those that stand in for no refused edit: nothing else reports them.
    created: Vec<&'p ObjectRef>,
}

impl<'p> Preparation<'p> {
    fn new(inputs: &'p [Input]) -> Self {
        let is_kustomization = |i: &&Input| i.kind == InputKind::Kustomization;
        let (kustomizations, inputs): (Vec<_>, Vec<_>) = inputs.iter().partition(is_kustomization);
        let beside = |input: &'p Input| (policies_file(Some(input)).0.into(), input);
        let named = |input: &'p Input| (Arc::clone(&input.name), input);
        Self {
            inputs: inputs.into_iter().map(named).collect(),
            kustomizations: kustomizations.into_iter().map(beside).collect(),
            files: BTreeMap::new(),
            patches: BTreeMap::new(),
            replacements: BTreeMap::new(),
            additions: BTreeMap::new(),
            refusals: Vec::new(),
            snippets: Vec::new(),
        }
    }

    /// Makes all edits, file by file. Returns the objects whose edits were refused.
    fn edit(&mut self, plan: &Plan) -> ByPlace<Refusal> {
        let mut edits: ByPlace<Vec<Edit>> = BTreeMap::new();
        for change in plan.changes() {
            if let ChangeAction::Edit {
                origin, edits: new, ..
            } = &change.action
            {
                let file = edits.entry(Arc::clone(&origin.file)).or_default();
                let object = file.entry(place(origin)).or_default();
                object.extend_from_slice(new);
            }
        }
        let refused = edits.into_iter().map(|(file, objects)| {
            let refused = self.edit_file(&file, &objects);
            (file, refused)
        });
        refused.collect()
    }

    fn edit_file(
        &mut self,
        file: &Arc<str>,
        objects: &BTreeMap<Place, Vec<Edit>>,
    ) -> BTreeMap<Place, Refusal> {
        let Some(&input) = self.inputs.get(file) else {
            let refusal = refusal("the object was not read from a file");
            let places = objects.keys().cloned();
            return places.map(|place| (place, refusal.clone())).collect();
        };
        if input.kind == InputKind::Kustomize {
            let built = Built::of(&input.text);
            let patches = self.patches.entry(Arc::clone(file)).or_default();
            let patch = |(place, edits): (&Place, &Vec<Edit>)| {
                let refusal = patches.edit(&built, place.0, &place.1, edits).err()?;
                Some((place.clone(), refusal))
            };
            return objects.iter().filter_map(patch).collect();
        }
        let edits = objects
            .iter()
            .map(|((document, items), edits)| ObjectEdits {
                document: *document,
                items,
                edits,
            });
        let edits: Vec<_> = edits.collect();
        let file = self.file(input);
        let applied = yamledit::apply_where_possible(&file.text, input.format, &edits);
        file.text = applied.text;
        let refusals = applied.refusals.into_iter();
        let places: Vec<&Place> = objects.keys().collect();
        refusals
            .filter_map(|(index, refusal)| Some(((*places.get(index)?).clone(), refusal)))
            .collect()
    }

    fn change(&mut self, change: &'p Change, refused: &ByPlace<Refusal>) {
        match &change.action {
            ChangeAction::Edit {
                origin, companion, ..
            } => {
                let file = refused.get(&origin.file);
                let Some(refusal) = file.and_then(|f| f.get(&place(origin))) else {
                    return;
                };
                let companion = companion.as_ref().map(|body| {
                    let (name, additions) = self.beside(origin);
                    additions.bodies.push(body);
                    name
                });
                self.refuse(&change.object, origin, refusal, companion);
            }
            ChangeAction::Create { body, beside } => {
                let (_, additions) = self.beside(beside);
                additions.bodies.push(body);
                additions.created.push(&change.object);
            }
            ChangeAction::Replace { origin, body } => {
                let file = self.replacements.entry(Arc::clone(&origin.file));
                file.or_default().push(Replacement {
                    object: &change.object,
                    origin,
                    body,
                });
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

    /// The file for what is added beside an object, and what is added to it so far.
    fn beside(&mut self, origin: &Origin) -> (Arc<str>, &mut Additions<'p>) {
        let input = self.inputs.get(&origin.file).copied();
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
        let additions = self.additions.entry(Arc::clone(&name)).or_default();
        additions.path = path;
        (name, additions)
    }

    /// Puts new versions of objects in the place of earlier ones.
    fn replace(&mut self) {
        for (name, replacements) in std::mem::take(&mut self.replacements) {
            let refused = self.replace_in_file(&name, &replacements);
            for (index, refusal) in refused {
                if let Some(replacement) = replacements.get(index) {
                    self.refuse(replacement.object, replacement.origin, &refusal, None);
                }
            }
        }
    }

    /// Replaces objects of one file. Returns those that were refused.
    fn replace_in_file(
        &mut self,
        name: &Arc<str>,
        replacements: &[Replacement<'_>],
    ) -> Vec<(usize, Refusal)> {
        let numbered = replacements.iter().enumerate();
        let Some(&input) = self.inputs.get(name) else {
            let refusal = refusal("the object was not read from a file");
            return numbered.map(|(i, _)| (i, refusal.clone())).collect();
        };
        if input.kind == InputKind::Kustomize {
            let built = Built::of(&input.text);
            let patches = self.patches.entry(Arc::clone(name)).or_default();
            let patch = |(i, r): (usize, &Replacement<'_>)| {
                let replaced =
                    patches.replace(&built, r.origin.document, &r.origin.items, &r.body.value());
                Some((i, replaced.err()?))
            };
            return numbered.filter_map(patch).collect();
        }
        let is_document = |r: &Replacement<'_>| {
            r.origin.items.is_empty() && input.format == crate::yaml::Format::Yaml
        };
        let (documents, others): (Vec<_>, Vec<_>) = numbered.partition(|(_, r)| is_document(r));
        let refusal = refusal("only an object that is a YAML document of its own is replaced");
        let mut refused: Vec<_> = others.iter().map(|(i, _)| (*i, refusal.clone())).collect();
        let bodies = documents.iter().map(|(_, r)| (r.origin.document, r.body));
        let bodies: Vec<_> = bodies.collect();
        let file = self.file(input);
        let replaced = yamledit::replace_documents(&file.text, &bodies);
        file.text = replaced.text;
        refused.extend(
            replaced
                .refusals
                .into_iter()
                .filter_map(|(place, refusal)| {
                    let (index, _) = documents.get(place)?;
                    Some((*index, refusal))
                }),
        );
        refused
    }

    /// Adds objects to the files for them.
    fn append(&mut self) {
        for (name, additions) in std::mem::take(&mut self.additions) {
            if let Some(&existing) = self.inputs.get(&name) {
                self.file(existing);
            }
            let file = self.files.entry(Arc::clone(&name)).or_insert_with(|| File {
                path: additions.path,
                link_to: None,
                before: None,
                text: String::new(),
            });
            let refusal = match yamledit::append_documents(&file.text, &additions.bodies) {
                Ok(text) => {
                    file.text = text;
                    self.list(&name);
                    continue;
                }
                Err(refusal) => refusal,
            };
            for refused in &mut self.refusals {
                if refused.companion.take_if(|file| *file == name).is_some() {
                    refused.reason = format!(
                        "{}; nor can a companion go into `{name}`: {}",
                        refused.reason, refusal.reason
                    );
                }
            }
            let origin = Origin {
                file: name,
                ..Origin::synthetic()
            };
            for object in additions.created {
                self.refuse(object, &origin, &refusal, None);
            }
        }
    }

    /// Lets the kustomization beside a file of new objects take it in.
    fn list(&mut self, name: &Arc<str>) {
        let Some(&kustomization) = self.kustomizations.get(name) else {
            return;
        };
        let Some((document, edit)) = kustomize::listing(kustomization) else {
            return;
        };
        let file = self.file(kustomization);
        let edits = ObjectEdits {
            document,
            items: &[],
            edits: &[edit],
        };
        match yamledit::apply(&file.text, kustomization.format, &[edits]) {
            Ok(text) => file.text = text,
            Err(refusal) => {
                let folder = Path::new(&*kustomization.name).parent();
                let folder = folder.filter(|f| !f.as_os_str().is_empty());
                let folder = folder.unwrap_or(Path::new(".")).display().to_string();
                let object = ObjectRef::cluster("Kustomization", folder);
                let origin = Origin {
                    file: Arc::clone(&kustomization.name),
                    ..Origin::synthetic()
                };
                self.refuse(&object, &origin, &refusal, None);
                self.snippets.push(kustomize::resources(kustomization));
            }
        }
    }

    fn file(&mut self, input: &Input) -> &mut File {
        self.files
            .entry(Arc::clone(&input.name))
            .or_insert_with(|| File {
                path: input.path.clone(),
                link_to: input.link_to.clone(),
                before: Some(Arc::clone(&input.text)),
                text: input.text.to_string(),
            })
    }

    fn finish(mut self) -> Prepared {
        for (name, patches) in std::mem::take(&mut self.patches) {
            self.snippets.extend(patches.snippet(&name));
            for (name, text) in patches.files() {
                let file = File {
                    path: None,
                    link_to: None,
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
                link_to: file.link_to,
                before: file.before,
                after: file.text.into(),
            })
        };
        let changes = self.files.into_iter().filter_map(difference).collect();
        self.refusals.sort();
        // Several steps may change one object.
        self.refusals.dedup();
        Prepared {
            changes,
            refusals: self.refusals,
            snippets: self.snippets,
        }
    }
}

/// A refusal that names no line.
fn refusal(reason: &str) -> Refusal {
    let reason = reason.to_owned();
    Refusal { line: 0, reason }
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
