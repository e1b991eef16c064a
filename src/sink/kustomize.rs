//! Patches for objects that kustomize built: the files they come from are not known, and may serve
//! other builds too.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::plan::{Edit, Segment};
use crate::yaml::{Chunk, Document, View, split};
use crate::yamledit::{self, Refusal};

use super::{Input, POLICIES_FILE, Snippet};

/// What kustomize built.
#[derive(Debug)]
pub(super) struct Built<'t> {
    chunks: Vec<Chunk<'t>>,
}

impl<'t> Built<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let chunks = split(text);
        Self { chunks }
    }

    fn read(&self, document: usize, items: &[usize]) -> Result<Value, Refusal> {
        let missing = || refusal("the object is not there".to_owned());
        let chunk = self.chunks.get(document).ok_or_else(missing)?;
        let root: Value = serde_yaml::from_str(chunk.text).map_err(|e| refusal(e.to_string()))?;
        let object = items
            .iter()
            .try_fold(&root, |value, &index| value.get("items")?.get(index));
        object.cloned().ok_or_else(missing)
    }
}

/// JSON 6902 patches, one file per object.
#[derive(Debug, Default)]
pub(super) struct Patches {
    patches: Vec<Patch>,
    /// Whether objects are created beside the input's.
    pub(super) creates: bool,
}

#[derive(Debug)]
struct Patch {
    file: String,
    target: Value,
    operations: Vec<Value>,
}

impl Patches {
    /// Expresses the edits of one object as a patch.
    pub(super) fn edit(
        &mut self,
        built: &Built<'_>,
        document: usize,
        items: &[usize],
        edits: &[Edit],
    ) -> Result<(), Refusal> {
        let mut object = built.read(document, items)?;
        let target = target(&object);
        let mut operations = Vec::new();
        let mut guarded: Vec<String> = Vec::new();
        for edit in edits {
            let before = object.clone();
            edit.apply(&mut object)
                .map_err(|e| refusal(e.to_string()))?;
            match edit {
                Edit::Append { path, item } => {
                    let list = pointer(path);
                    let length = before
                        .pointer(&list)
                        .and_then(Value::as_array)
                        .map_or(0, Vec::len);
                    if !guarded.contains(&list) {
                        let sibling = format!("{list}/{}", length.saturating_sub(1));
                        let value = before.pointer(&sibling).cloned().unwrap_or_default();
                        operations.push(json!({"op": "test", "path": sibling, "value": value}));
                        guarded.push(list.clone());
                    }
                    operations
                        .push(json!({"op": "add", "path": format!("{list}/-"), "value": item}));
                }
                Edit::Add { path, key, value } => {
                    let mapping = pointer(path);
                    let (path, value) = if before.pointer(&mapping).is_some() {
                        (format!("{mapping}/{}", escape(key)), value.clone())
                    } else {
                        (mapping, json!({ key: value }))
                    };
                    operations.push(json!({"op": "add", "path": path, "value": value}));
                }
            }
        }
        self.push(target, operations);
        Ok(())
    }

    /// Expresses a new version of an object as a patch of everything but its identity.
    pub(super) fn replace(
        &mut self,
        built: &Built<'_>,
        document: usize,
        items: &[usize],
        body: &Value,
    ) -> Result<(), Refusal> {
        let object = built.read(document, items)?;
        let fields = body.as_object().into_iter().flatten();
        let operations = fields
            .filter(|(key, value)| {
                !matches!(key.as_str(), "apiVersion" | "kind" | "metadata")
                    && object.get(key) != Some(*value)
            })
            // `add` replaces what is there.
            .map(|(key, value)| json!({"op": "add", "path": format!("/{}", escape(key)), "value": value}))
            .collect();
        self.push(target(&object), operations);
        Ok(())
    }

    fn push(&mut self, target: Value, operations: Vec<Value>) {
        let part = |field| target.get(field).and_then(Value::as_str);
        let parts = [part("kind"), part("namespace"), part("name")];
        let parts: Vec<_> = parts.into_iter().flatten().map(str::to_lowercase).collect();
        let file = format!("ambient-patch-{}.yaml", parts.join("-")).replace(['/', '\\', ':'], "-");
        self.patches.push(Patch {
            file,
            target,
            operations,
        });
    }

    /// The patch files with their names.
    pub(super) fn files(&self) -> impl Iterator<Item = (String, String)> {
        self.patches.iter().map(|patch| {
            let text = yamledit::emit(&Value::Array(patch.operations.clone()));
            (patch.file.clone(), text)
        })
    }

    /// What a kustomization has to say to use the files; `None` when there are none.
    pub(super) fn snippet(&self, input: &Arc<str>) -> Option<Snippet> {
        let mut kustomization = Map::new();
        if self.creates {
            kustomization.insert("resources".to_owned(), json!([POLICIES_FILE]));
        }
        if !self.patches.is_empty() {
            let patches = self
                .patches
                .iter()
                .map(|patch| json!({"path": patch.file, "target": patch.target}))
                .collect();
            kustomization.insert("patches".to_owned(), Value::Array(patches));
        }
        (!kustomization.is_empty()).then(|| Snippet {
            file: Arc::clone(input),
            message: "add this to a kustomization that has the built one among its `resources`"
                .to_owned(),
            text: yamledit::emit(&Value::Object(kustomization)),
        })
    }
}

/// The edit that lets a kustomization take in the objects that are added beside it, and its
/// document; `None` when it does.
pub(super) fn listing(kustomization: &Input) -> Option<(usize, Edit)> {
    let chunks = split(&kustomization.text);
    let mut first = None;
    let mut into = None;
    for (index, chunk) in chunks.into_iter().enumerate() {
        let document = Document::parse(chunk);
        let Some(root) = document.as_ref().ok().and_then(Document::root) else {
            continue;
        };
        first.get_or_insert(index);
        if let Some(resources) = root.get("resources") {
            let named = resources.items().filter_map(View::text);
            let mut named = named.map(|name| name.strip_prefix("./").unwrap_or(name));
            if named.any(|name| name == POLICIES_FILE) {
                return None;
            }
            into.get_or_insert(index);
        }
    }
    let item: Value = POLICIES_FILE.into();
    let append = |index| {
        let path = vec!["resources".into()];
        let item = item.clone();
        (index, Edit::Append { path, item })
    };
    let add = || {
        let key = "resources".to_owned();
        let value = Value::Array(vec![item.clone()]);
        let path = Vec::new();
        (first.unwrap_or(0), Edit::Add { path, key, value })
    };
    Some(into.map_or_else(add, append))
}

/// What a kustomization has to say to take in the objects that are added beside it.
pub(super) fn resources(kustomization: &Input) -> Snippet {
    Snippet {
        file: Arc::clone(&kustomization.name),
        message: "add this to its `resources`; without it a build leaves the new objects out"
            .to_owned(),
        text: yamledit::emit(&json!({ "resources": [POLICIES_FILE] })),
    }
}

fn refusal(reason: String) -> Refusal {
    Refusal { line: 0, reason }
}

/// The `target` of a kustomize patch that selects one object.
fn target(object: &Value) -> Value {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
    let api_version = text("/apiVersion").unwrap_or("");
    let (group, version) = match api_version.split_once('/') {
        Some((group, version)) => (Some(group), Some(version)),
        None => (None, Some(api_version)),
    };
    let fields = [
        ("group", group),
        ("version", version),
        ("kind", text("/kind")),
        ("name", text("/metadata/name")),
        ("namespace", text("/metadata/namespace")),
    ];
    let fields = fields
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?.into())));
    Value::Object(fields.collect())
}

fn pointer(path: &[Segment]) -> String {
    path.iter()
        .map(|segment| match segment {
            Segment::Key(key) => format!("/{}", escape(key)),
            Segment::Index(index) => format!("/{index}"),
        })
        .collect()
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
