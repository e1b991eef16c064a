//! Reading manifests: files, folders, standard input and the output of kustomize become a
//! [`World`], with precise problems for what the API server would reject.
//!
//! The only module that reads manifests from disk. It decides what an object says, never what
//! follows from it. One bad file, document or object hides no other.

mod asked;
mod assemble;
mod builds;
mod controllers;
mod decode;
mod document;
mod gathered;
mod kinds;
mod kustomize;
mod mesh;
mod patch;
mod problem;
mod read;
mod rebuild;
mod rework;
mod syntax;
mod template;
mod unlisted;

#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{Note, Problem, World};
use crate::yaml::Format;
use builds::Builds;
use gathered::Gathered;

pub use gathered::io_reason;
pub use syntax::dns_label;

/// The name of the file, one per directory, that holds the objects this program adds.
pub const POLICIES_FILE: &str = "ambient-policies.yaml";

/// The namespace of objects that name none, unless another is asked for.
pub const UNNAMED: &str = "default";

/// What to read.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Files and folders; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// Whether what this program added beside a file is read with it: a [`POLICIES_FILE`] in the
    /// same folder.
    pub companions: bool,
    /// Whether folders are read with the folders below them.
    pub recursive: bool,
    /// A folder whose kustomize output is read.
    pub kustomize: Option<PathBuf>,
    /// The kubectl that runs kustomize; `kubectl` on the search path when absent.
    pub kubectl: Option<PathBuf>,
    /// Namespace of objects that name none.
    pub default_namespace: String,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The objects.
    pub world: World,
    /// The texts that were read, in the order of reading.
    pub files: Vec<SourceFile>,
    /// The kustomizations beside them, which hold no objects.
    pub kustomizations: Vec<SourceFile>,
    /// What cannot be used as it is, by file and line.
    pub problems: Vec<Problem>,
    /// What was skipped on purpose, or read in a way worth knowing, by file and line.
    pub notes: Vec<Note>,
}

/// One text that was read.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Name as the user would write it; objects have it in their
    /// [`Origin::file`](crate::model::Origin::file).
    pub name: Arc<str>,
    /// Where the text can be written back; `None` for standard input, pipes and kustomize.
    pub path: Option<PathBuf>,
    /// The file that `path` leads to, where it is a symbolic link.
    pub link_to: Option<PathBuf>,
    /// The text, byte for byte.
    pub text: Arc<str>,
    /// Its syntax.
    pub format: Format,
    /// Where it comes from.
    pub kind: FileKind,
}

/// Where a text comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// A file of manifests.
    Manifest,
    /// Standard input, or a pipe.
    Stdin,
    /// The output of `kubectl kustomize`.
    Kustomize,
    /// A kustomization: which files a build takes, and what it makes of them.
    Kustomization,
}

/// Reads what is asked for. Whatever fails is among [`Loaded::problems`].
pub fn load(request: &Request, stdin: &mut dyn Read) -> Loaded {
    let mut gathered = Gathered::default();
    read::gather(request, stdin, &mut gathered);
    if let Some(directory) = &request.kustomize {
        kustomize::build(directory, request.kubectl.as_deref(), &mut gathered);
    }
    finish(gathered, &request.default_namespace)
}

/// Reads texts that are at hand, each with its name. The names stand for files that could be
/// written back.
pub fn load_texts<'a>(
    texts: impl IntoIterator<Item = (&'a str, &'a str)>,
    default_namespace: &str,
) -> Loaded {
    let mut gathered = Gathered::default();
    for (name, text) in texts {
        gathered.files.push(SourceFile {
            name: Arc::from(name),
            path: Some(PathBuf::from(name)),
            link_to: None,
            text: Arc::from(text),
            format: document::format(name, text),
            kind: FileKind::Manifest,
        });
    }
    finish(gathered, default_namespace)
}

fn finish(gathered: Gathered, default_namespace: &str) -> Loaded {
    let Gathered {
        files,
        kustomizations,
        mut problems,
        mut notes,
        incomplete,
    } = gathered;
    let mut documents = document::read_all(&files, default_namespace);
    problems.append(&mut documents.problems);
    notes.append(&mut documents.notes);
    let builds = Builds::of(&kustomizations);
    let reworked = rework::reworked(&builds, &files, &documents.objects);
    let unlisted = unlisted::unlisted(&builds, &files, &documents.objects);
    let rebuilt = rebuild::rebuilt(
        &builds,
        &files,
        &documents.objects,
        default_namespace != UNNAMED,
    );
    let mut world = assemble::world(documents, incomplete, &files, &mut problems);
    world.rebuilt = rebuilt;
    world.reworked = reworked;
    world.unlisted = unlisted;
    problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    notes.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    Loaded {
        world,
        files,
        kustomizations,
        problems,
        notes,
    }
}
