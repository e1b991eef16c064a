//! Placeholder: the interface of the part that reads manifests.
#![allow(missing_docs, reason = "placeholder")]

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{ObjectRef, World};
use crate::yaml::Format;

#[derive(Debug, Clone, Default)]
pub struct Request {
    pub files: Vec<PathBuf>,
    pub recursive: bool,
    pub kustomize: Option<PathBuf>,
    pub default_namespace: String,
}

#[derive(Debug, Default)]
pub struct Loaded {
    pub world: World,
    pub files: Vec<SourceFile>,
    pub problems: Vec<Problem>,
    pub notes: Vec<Note>,
}

#[derive(Debug, Clone)]
pub struct SourceFile {
    pub name: Arc<str>,
    pub path: Option<PathBuf>,
    pub text: Arc<str>,
    pub format: Format,
    pub kind: FileKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    Manifest,
    Stdin,
    Kustomize,
}

#[derive(Debug, Clone)]
pub struct Problem {
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
    pub object: Option<ObjectRef>,
    pub message: String,
    pub excerpt: Option<String>,
    pub hint: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Note {
    pub file: Arc<str>,
    pub line: u32,
    pub message: String,
}

pub fn load(_request: &Request, _stdin: &mut dyn Read) -> Loaded {
    Loaded::default()
}
