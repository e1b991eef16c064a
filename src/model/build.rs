//! What kustomizations make of objects that were read as they are in their files.

use std::sync::Arc;

use super::{ObjectRef, Origin};

/// A kustomization that puts objects which were read as they are into another namespace, or gives
/// them other names. One that does neither leaves the namespace open, for another to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// Its folder, as the user would name it.
    pub folder: String,
    /// Where it says so.
    pub origin: Origin,
    /// The namespace that it puts them into, if it does.
    pub namespace: Option<String>,
    /// Whether it changes names.
    pub renames: bool,
    /// The files of these objects, sorted.
    pub files: Vec<Arc<str>>,
}

/// A field of a kustomization that changes what objects say which were read as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reworked {
    /// Its folder, as the user would name it.
    pub folder: String,
    /// Where the field is.
    pub origin: Origin,
    /// The field: `patches`, `commonLabels` and the like.
    pub field: &'static str,
    /// The objects, sorted; at least one.
    pub objects: Vec<ObjectRef>,
}

/// A file with objects that this program added, beside a kustomization that does not take it: what
/// is built, and applied, lacks them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlisted {
    /// The folder of the kustomization, as the user would name it.
    pub folder: String,
    /// The kustomization, at the line of its `resources` where it has any.
    pub origin: Origin,
    /// The file.
    pub file: Arc<str>,
    /// What `resources` would have to name.
    pub entry: String,
    /// How many objects of this program are in the file; at least one.
    pub objects: usize,
}
