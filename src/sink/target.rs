//! Which file on disk each change goes to.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::FileChange;
use super::error::WriteError;

/// Where files are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Where they were read.
    InPlace,
    /// Below a directory, under their names.
    Directory(PathBuf),
}

/// A change with the file that it is written to.
#[derive(Debug)]
pub(super) struct Placed<'p> {
    pub(super) change: &'p FileChange,
    /// The file, symbolic links followed.
    pub(super) path: PathBuf,
    /// What is there now; `None` when nothing is.
    pub(super) existing: Option<Vec<u8>>,
}

/// Finds the files of all changes, and makes directories below an output directory.
pub(super) fn place<'p>(
    changes: &'p [FileChange],
    target: &Target,
) -> Result<Vec<Placed<'p>>, WriteError> {
    let mut placed: Vec<Placed<'p>> = Vec::new();
    let mut taken: BTreeMap<PathBuf, &str> = BTreeMap::new();
    // Every name is checked before the first directory is made.
    let paths: Vec<_> = changes
        .iter()
        .map(|change| path_of(change, target))
        .collect::<Result<_, _>>()?;
    for (change, path) in changes.iter().zip(paths) {
        if let Target::Directory(out) = target {
            make_directory(out, &path, &change.name)?;
        }
        let path = real_path(&path)?;
        if let Some(other) = taken.insert(path.clone(), &change.name) {
            return Err(WriteError::SameFile {
                name: change.name.to_string(),
                other: other.to_owned(),
            });
        }
        let existing = match fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(WriteError::io("read", &path, e)),
        };
        placed.push(Placed {
            change,
            path,
            existing,
        });
    }
    Ok(placed)
}

fn path_of(change: &FileChange, target: &Target) -> Result<PathBuf, WriteError> {
    match target {
        Target::InPlace => change.path.clone().ok_or_else(|| WriteError::NoFile {
            name: change.name.to_string(),
        }),
        Target::Directory(out) => below(out, &change.name),
    }
}

/// The path below an output directory: of an absolute path without its root, and of no path that
/// leads out.
fn below(out: &Path, name: &str) -> Result<PathBuf, WriteError> {
    if name == "-" {
        return Ok(out.join("stdin.yaml"));
    }
    let mut path = out.to_path_buf();
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            Component::ParentDir => {
                return Err(WriteError::Escapes {
                    name: name.to_owned(),
                });
            }
        }
    }
    Ok(path)
}

/// Makes the directory of a file below `out`, unless a symbolic link on the way leads out of it.
fn make_directory(out: &Path, path: &Path, name: &str) -> Result<(), WriteError> {
    let parent = path.parent().unwrap_or(out);
    fs::create_dir_all(out).map_err(|e| WriteError::io("create", out, e))?;
    let root = fs::canonicalize(out).map_err(|e| WriteError::io("open", out, e))?;
    let mut existing = parent;
    while !existing.exists() {
        match existing.parent() {
            Some(up) if existing != out => existing = up,
            _ => break,
        }
    }
    let real = fs::canonicalize(existing).map_err(|e| WriteError::io("open", existing, e))?;
    let real_file = fs::canonicalize(path).ok();
    if !real.starts_with(&root) || real_file.is_some_and(|file| !file.starts_with(&root)) {
        return Err(WriteError::Escapes {
            name: name.to_owned(),
        });
    }
    fs::create_dir_all(parent).map_err(|e| WriteError::io("create", parent, e))
}

/// The path with symbolic links followed; the file itself need not exist.
fn real_path(path: &Path) -> Result<PathBuf, WriteError> {
    match fs::canonicalize(path) {
        Ok(real) => Ok(real),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let parent = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            let parent = fs::canonicalize(parent).map_err(|e| WriteError::io("open", parent, e))?;
            Ok(path
                .file_name()
                .map_or(parent.clone(), |name| parent.join(name)))
        }
        Err(e) => Err(WriteError::io("open", path, e)),
    }
}
