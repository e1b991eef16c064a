//! New contents in temporary files beside the files they replace.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// Writes contents to a temporary file in the directory of `path`, through to the disk, with the
/// permissions and owner of what is at `path`, or those of a new file. A file that is read-only is
/// not replaced.
pub(super) fn stage(path: &Path, contents: &[u8]) -> io::Result<NamedTempFile> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = builder().tempfile_in(directory)?;
    file.write_all(contents)?;
    match fs::metadata(path) {
        // The rename would not mind, but whoever protected the file would.
        Ok(metadata) if metadata.permissions().readonly() => {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "it is read-only",
            ));
        }
        Ok(metadata) => {
            keep_owner(file.as_file(), &metadata);
            file.as_file().set_permissions(metadata.permissions())?;
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    file.as_file().sync_all()?;
    Ok(file)
}

/// Makes renames in the directory of `path` last. Not every system can; the data is safe anyway.
pub(super) fn sync_directory(path: &Path) {
    if let Some(directory) = path.parent()
        && let Ok(directory) = File::open(directory)
    {
        let _ = directory.sync_all();
    }
}

#[cfg(unix)]
fn builder() -> Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt as _;

    let mut builder = Builder::new();
    // Narrowed by the process's umask, as for every new file.
    builder
        .prefix(PREFIX)
        .permissions(fs::Permissions::from_mode(0o666));
    builder
}

#[cfg(not(unix))]
fn builder() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX);
    builder
}

/// Only root may give files away; for others the file becomes theirs, as with every editor.
#[cfg(unix)]
fn keep_owner(file: &File, original: &fs::Metadata) {
    use std::os::unix::fs::{MetadataExt as _, fchown};

    let _ = fchown(file, Some(original.uid()), Some(original.gid()));
}

#[cfg(not(unix))]
fn keep_owner(_file: &File, _original: &fs::Metadata) {}

const PREFIX: &str = ".kubectl-ambient-";
