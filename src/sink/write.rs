//! Writing files, all or none.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::Prepared;
use super::staging::{stage, sync_directory};
use super::target::{self, Placed};

/// Where files are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Where they were read.
    InPlace,
    /// Below a directory, under their names.
    Directory(PathBuf),
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The files, in the order of their names.
    pub files: Vec<PathBuf>,
}

/// What a file holds after a write that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// What it held before.
    Unchanged,
    /// The new text.
    New,
}

impl fmt::Display for FileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unchanged => "unchanged",
            Self::New => "has the new text",
        })
    }
}

/// Why nothing, or not everything, was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Standard input and built manifests have no file.
    #[error("`{name}` is no file that could be changed in place")]
    NoFile {
        /// The name in output.
        name: String,
    },
    /// The name leads out of the output directory.
    #[error("`{name}` would be written outside the output directory")]
    Escapes {
        /// The name in output.
        name: String,
    },
    /// Two names lead to one file.
    #[error("`{name}` and `{other}` are the same file")]
    SameFile {
        /// One name.
        name: String,
        /// The other.
        other: String,
    },
    /// Someone else wrote the file meanwhile.
    #[error("`{}` changed since it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A new file's name is taken by a file that was not read.
    #[error("`{}` exists, but was not among the files that were read", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was attempted: `read`, `write`, `create`, `open`, `replace`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: io::Error,
    },
    /// Some files were replaced before an error, and could not all be put back.
    #[error("cannot {action} `{}`, and what was written before could not all be undone: {}",
        path.display(), DisplayStates(states))]
    Partly {
        /// What was attempted.
        action: &'static str,
        /// The file that failed.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: io::Error,
        /// Every file of the plan with what it holds now.
        states: Vec<(PathBuf, FileState)>,
    },
}

impl WriteError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        Self::Io {
            action,
            path,
            source,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoFile { .. } => Some("write to a directory with `--output-dir DIR`"),
            Self::Escapes { .. } => {
                Some("run the command in a directory above the manifests, and name them from there")
            }
            Self::SameFile { .. } => Some("name the file once with `-f`"),
            Self::Changed { .. } => Some("run the command again"),
            Self::Exists { .. } => {
                Some("name its directory with `-f`, so that its objects are known")
            }
            Self::Partly { .. } => {
                Some("restore the files that have the new text from version control")
            }
            Self::Io { .. } => None,
        }
    }
}

struct DisplayStates<'s>(&'s [(PathBuf, FileState)]);

impl fmt::Display for DisplayStates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (path, state)) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}`{}` {state}", path.display())?;
        }
        Ok(())
    }
}

/// Writes all files, or none as far as the operating system allows.
///
/// Every new text is first written beside its file and flushed; then the files are checked to hold
/// what was read; then each is replaced by a rename. When a rename fails, those before it are
/// undone. Permissions stay, symbolic links are followed; hard links are cut, as by most editors.
///
/// # Errors
///
/// When a file cannot be written or is not what it was; nothing has changed then. Only
/// [`WriteError::Partly`] leaves some files with new text, and says which.
pub fn write(prepared: &Prepared, target: &Target) -> Result<Written, WriteError> {
    write_with(prepared, target, &mut |_| {})
}

/// [`write()`], told of each rename before it happens.
pub(super) fn write_with(
    prepared: &Prepared,
    target: &Target,
    before_rename: &mut dyn FnMut(&Path),
) -> Result<Written, WriteError> {
    let placed = target::place(&prepared.changes, target)?;
    let staged = placed
        .iter()
        .map(|p| {
            stage(&p.path, p.change.after.as_bytes())
                .map_err(|e| WriteError::io("write", &p.path, e))
        })
        .collect::<Result<Vec<_>, _>>()?;
    for file in &placed {
        check(file, target)?;
    }
    replace_all(&placed, staged, before_rename)?;
    let files = placed.into_iter().map(|p| p.path).collect();
    Ok(Written { files })
}

/// Whether a file still is what the plan was made for.
fn check(file: &Placed<'_>, target: &Target) -> Result<(), WriteError> {
    let now = match fs::read(&file.path) {
        Ok(bytes) => Some(bytes),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(WriteError::io("read", &file.path, e)),
    };
    let path = || file.path.clone();
    let expected = match target {
        Target::InPlace => file.change.before.as_ref().map(|text| text.as_bytes()),
        Target::Directory(_) => file.existing.as_deref(),
    };
    match (expected, now) {
        (None, Some(_)) => Err(WriteError::Exists { path: path() }),
        (expected, now) if expected != now.as_deref() => Err(WriteError::Changed { path: path() }),
        _ => Ok(()),
    }
}

fn replace_all(
    placed: &[Placed<'_>],
    staged: Vec<NamedTempFile>,
    before_rename: &mut dyn FnMut(&Path),
) -> Result<(), WriteError> {
    for (i, (file, temporary)) in placed.iter().zip(staged).enumerate() {
        before_rename(&file.path);
        let persisted = match file.existing {
            Some(_) => temporary.persist(&file.path),
            None => temporary.persist_noclobber(&file.path),
        };
        if let Err(error) = persisted {
            let done = placed.get(..i).unwrap_or_default();
            return Err(undo(placed, done, &file.path, error.error));
        }
    }
    for file in placed {
        sync_directory(&file.path);
    }
    Ok(())
}

/// Puts back the files that were replaced, latest first.
fn undo(
    placed: &[Placed<'_>],
    done: &[Placed<'_>],
    failed: &Path,
    source: io::Error,
) -> WriteError {
    let mut states: Vec<_> = placed
        .iter()
        .map(|p| (p.path.clone(), FileState::Unchanged))
        .collect();
    for (i, file) in done.iter().enumerate().rev() {
        let undone = match &file.existing {
            Some(bytes) => stage(&file.path, bytes)
                .and_then(|temporary| Ok(temporary.persist(&file.path).map(|_| ())?)),
            None => fs::remove_file(&file.path),
        };
        if let (Err(_), Some((_, state))) = (undone, states.get_mut(i)) {
            *state = FileState::New;
        }
    }
    let path = failed.to_path_buf();
    if states
        .iter()
        .all(|(_, state)| *state == FileState::Unchanged)
    {
        return WriteError::Io {
            action: "replace",
            path,
            source,
        };
    }
    WriteError::Partly {
        action: "replace",
        path,
        source,
        states,
    }
}
