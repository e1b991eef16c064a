//! From a plan to files: what each file becomes, and writing it.
//!
//! [`prepare`] is pure: it turns the changes of a [`crate::plan::Plan`] into whole new texts, so
//! that what is shown as a diff is what is written. [`write()`] is the only code that writes
//! manifests; it replaces all files or none, as far as the operating system lets it. The module
//! decides nothing about what is to change.

mod error;
mod kustomize;
mod prepare;
mod staging;
mod target;
mod write;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{ObjectRef, Origin};
use crate::yaml::Format;

pub use crate::source::POLICIES_FILE;
pub use error::{FileState, WriteError};
pub use prepare::prepare;
pub use target::Target;
pub use write::{Written, write};

/// A text that objects of the plan were read from.
#[derive(Debug, Clone)]
pub struct Input {
    /// The name in [`Origin::file`].
    pub name: Arc<str>,
    /// The file on disk; `None` for standard input and for built manifests.
    pub path: Option<PathBuf>,
    /// The file that `path` leads to, where it is a symbolic link.
    pub link_to: Option<PathBuf>,
    /// The text, as it was read.
    pub text: Arc<str>,
    /// Its syntax.
    pub format: Format,
    /// How it came.
    pub kind: InputKind,
}

/// How an [`Input`] came, which decides how it can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InputKind {
    /// A file or standard input: its text is edited.
    Text,
    /// The output of `kubectl kustomize`: patches are written instead.
    Kustomize,
    /// A kustomization beside the others: people are told what it has to name.
    Kustomization,
}

/// What is to be written, sorted by name.
#[derive(Debug, Clone, Default)]
pub struct Prepared {
    /// Files that change or are new.
    pub changes: Vec<FileChange>,
    /// Edits that were not made to the text they were meant for.
    pub refusals: Vec<FileRefusal>,
    /// Text for people to put into files of their own.
    pub snippets: Vec<Snippet>,
}

/// One file that changes or is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// The name in output, and the path below an output directory; `-` for standard input.
    pub name: Arc<str>,
    /// Where the file is on disk; `None` when it only exists below an output directory.
    pub path: Option<PathBuf>,
    /// The file that `path` leads to, where it is a symbolic link: writing follows it, and `patch`
    /// refuses to.
    pub link_to: Option<PathBuf>,
    /// The text as it was read; `None` for a new file.
    pub before: Option<Arc<str>>,
    /// The new text.
    pub after: Arc<str>,
}

/// A change that could not be made where it was meant to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileRefusal {
    /// The object.
    pub object: ObjectRef,
    /// The line that stands in the way.
    pub origin: Origin,
    /// What stands in the way, in lower case.
    pub reason: String,
    /// The file that a companion object with the same effect is put into; `None` when there is no
    /// such object, and the change is left to be made by hand.
    pub companion: Option<Arc<str>>,
}

/// Text for people to put into a file of their own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Snippet {
    /// The input that it belongs to.
    pub file: Arc<str>,
    /// What to do with it, in one sentence.
    pub message: String,
    /// The text.
    pub text: String,
}
