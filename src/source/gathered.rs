//! What reading finds, texts and problems, before anything is made of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document;
use super::problem::{Note, Problem};
use super::{FileKind, SourceFile};

/// Files beyond this are not read. 512 MiB is more than an API server stores altogether.
pub(super) const LARGEST_FILE: u64 = 512 << 20;

/// What was found under the arguments.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) files: Vec<SourceFile>,
    pub(super) kustomizations: Vec<SourceFile>,
    pub(super) problems: Vec<Problem>,
    pub(super) notes: Vec<Note>,
    /// Whether something that should have been read could not be.
    pub(super) incomplete: bool,
}

impl Gathered {
    /// Reports a file that cannot be read.
    pub(super) fn unreadable(&mut self, name: &str, message: String, hint: Option<&str>) {
        self.incomplete = true;
        let file = Arc::from(name);
        self.problems.push(Problem::of_file(&file, message, hint));
    }

    /// Notes what was done with a file.
    pub(super) fn note(&mut self, name: &str, message: impl Into<String>) {
        self.notes.push(Note {
            file: Arc::from(name),
            line: 0,
            message: message.into(),
        });
    }

    /// Takes the bytes of a text.
    pub(super) fn take(
        &mut self,
        name: &str,
        path: Option<PathBuf>,
        bytes: Vec<u8>,
        kind: FileKind,
    ) {
        match String::from_utf8(bytes) {
            Ok(text) => {
                let format = document::format(name, &text);
                self.files.push(SourceFile {
                    name: Arc::from(name),
                    link_to: path.as_deref().and_then(linked),
                    path,
                    text: Arc::from(text),
                    format,
                    kind,
                });
            }
            Err(error) => self.not_text(name, error.as_bytes(), error.utf8_error().valid_up_to()),
        }
    }

    fn not_text(&mut self, name: &str, bytes: &[u8], offset: usize) {
        let wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
        let hint = if wide {
            "it looks like UTF-16: save it as UTF-8"
        } else {
            "save it as UTF-8"
        };
        let before = bytes.get(..offset).unwrap_or_default();
        let line = before.split(|&b| b == b'\n').count();
        let byte = bytes.get(offset).copied().unwrap_or_default();
        self.unreadable(
            name,
            format!("not UTF-8: byte 0x{byte:02x} at offset {offset}"),
            Some(hint),
        );
        if let Some(problem) = self.problems.last_mut() {
            problem.line = u32::try_from(line).unwrap_or(u32::MAX);
        }
    }
}

/// What went wrong.
pub(super) fn io_message(error: &io::Error) -> String {
    format!("cannot be read: {}", io_reason(error))
}

/// The words of the operating system, in lower case and without its number.
pub fn io_reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" (os error").map_or(&*text, |(t, _)| t);
    text.to_lowercase()
}

/// The text of a regular file that is read beside the input; `None` when it cannot be.
pub(super) fn small_text(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    let fits = metadata.is_file() && metadata.len() <= LARGEST_FILE;
    fits.then(|| fs::read_to_string(path).ok()).flatten()
}

/// The file that a symbolic link leads to.
pub(super) fn linked(path: &Path) -> Option<PathBuf> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink());
    is_link.then(|| fs::canonicalize(path).ok()).flatten()
}
