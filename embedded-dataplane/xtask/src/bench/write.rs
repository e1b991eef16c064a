//! Writes generated manifests into a folder.

use std::fs;
use std::io;
use std::path::Path;

use super::generate::Manifest;

/// Makes the folder if need be, and replaces files of the same names.
///
/// # Errors
///
/// When something cannot be written; the message names it.
pub(super) fn to_folder(manifests: &[Manifest], folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder).map_err(|e| named(&e, folder))?;
    for manifest in manifests {
        let path = folder.join(&manifest.name);
        fs::write(&path, &manifest.text).map_err(|e| named(&e, &path))?;
    }
    Ok(())
}

/// Does something while a new folder holds the manifests, and removes the folder whatever came of it.
///
/// # Errors
///
/// When something cannot be written or removed, or what is done fails.
pub(super) fn while_in_folder(
    manifests: &[Manifest],
    folder: &Path,
    task: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let done = to_folder(manifests, folder).and_then(|()| task());
    let removed = fs::remove_dir_all(folder);
    done.and(removed)
}

fn named(error: &io::Error, path: &Path) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot write `{}`: {error}", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_for_a_task_is_gone_when_the_task_failed() {
        let name = format!("ambient-bench-test-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let manifest = Manifest {
            name: "ns.yaml".to_owned(),
            text: String::new(),
        };
        let mut was_there = false;
        let error = while_in_folder(&[manifest], &folder, || {
            was_there = folder.join("ns.yaml").is_file();
            Err(io::Error::other("no program"))
        });
        assert_eq!(error.unwrap_err().to_string(), "no program");
        assert!(was_there && !folder.exists());
    }

    #[test]
    fn an_error_names_the_file() {
        let manifest = Manifest {
            name: "missing/ns.yaml".to_owned(),
            text: String::new(),
        };
        let folder = std::env::temp_dir();
        let error = to_folder(&[manifest], &folder).unwrap_err().to_string();
        let expected = folder.join("missing/ns.yaml");
        assert!(
            error.starts_with(&format!("cannot write `{}`: ", expected.display())),
            "{error}"
        );
    }
}
