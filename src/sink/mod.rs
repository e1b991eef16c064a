//! Placeholder: the interface of the part that writes files.
#![allow(missing_docs, clippy::missing_errors_doc, reason = "placeholder")]

use std::path::PathBuf;
use std::sync::Arc;

use crate::plan::Plan;
use crate::source::SourceFile;

#[derive(Debug, Default)]
pub struct Prepared {
    pub changes: Vec<FileChange>,
    pub refusals: Vec<FileRefusal>,
}

#[derive(Debug, Clone)]
pub struct FileChange {
    pub name: Arc<str>,
    pub before: Option<Arc<str>>,
    pub after: Arc<str>,
}

#[derive(Debug, Clone)]
pub struct FileRefusal {
    pub file: Arc<str>,
    pub line: u32,
    pub reason: String,
}

#[derive(Debug, Clone)]
pub enum Target {
    InPlace,
    Directory(PathBuf),
}

#[derive(Debug, Default)]
pub struct Written {
    pub files: Vec<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot write `{0}`")]
pub struct WriteError(String);

pub fn prepare(_plan: &Plan, _files: &[SourceFile]) -> Prepared {
    Prepared::default()
}

pub fn write(_prepared: &Prepared, _target: &Target) -> Result<Written, WriteError> {
    Ok(Written::default())
}
