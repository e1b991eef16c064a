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
