//! Writing files, all or none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::Prepared;
use super::error::{FileState, WriteError};
use super::staging::{stage, sync_directory};
use super::target::{self, Placed, Target};

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The files, in the order of their names.
    pub files: Vec<PathBuf>,
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
